#!/usr/bin/env bash
# Runs the project's migrations. No token comes in here, and none is left in the environment.
set -euo pipefail
unset GITHUB_TOKEN GH_TOKEN ACTIONS_RUNTIME_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN

# the interpreter of the project is looked for where the job has it
project_environment=${VIRTUAL_ENV:-}
# shellcheck source=action/environment.sh
. "$GITHUB_ACTION_PATH/action/environment.sh"
if [ -n "$project_environment" ]; then
    export VIRTUAL_ENV=$project_environment
fi

exec "$reviewer" -I -m reviewer.github.review_step
