#!/usr/bin/env bash
# Publishes the report. Runs nothing of the project's.
set -euo pipefail

# shellcheck source=action/environment.sh
. "$GITHUB_ACTION_PATH/action/environment.sh"

exec "$reviewer" -I -m reviewer.github.publish_step
