#!/usr/bin/env bash
# Publishes the report. Runs nothing of the project's.
set -euo pipefail

# whatever is installed has no business with the token
token=${REVIEWER_GITHUB_TOKEN:-}
unset REVIEWER_GITHUB_TOKEN
# shellcheck source=action/environment.sh
. "$GITHUB_ACTION_PATH/action/environment.sh"
export REVIEWER_GITHUB_TOKEN=$token

exec "$reviewer" -I -m reviewer.github.publish_step
