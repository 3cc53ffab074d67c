#!/usr/bin/env bash
# Publishes the report. Runs none of the project's code.
set -euo pipefail

# the installation does not need the token
token=${REVIEWER_GITHUB_TOKEN:-}
unset REVIEWER_GITHUB_TOKEN
# shellcheck source=action/environment.sh
. "$GITHUB_ACTION_PATH/action/environment.sh"
export REVIEWER_GITHUB_TOKEN=$token

exec "$reviewer" -I -m reviewer.github.publish_step
