#!/usr/bin/env bash
# Runs the project's migrations. It gets no token, and none is left in the environment.
set -euo pipefail
unset GITHUB_TOKEN GH_TOKEN ACTIONS_RUNTIME_TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN

# keep the job's virtual environment, to find the project's interpreter
project_environment=${VIRTUAL_ENV:-}
# shellcheck source=action/environment.sh
. "$GITHUB_ACTION_PATH/action/environment.sh"
if [ -n "$project_environment" ]; then
    export VIRTUAL_ENV=$project_environment
fi

exec "$reviewer" -I -m reviewer.github.review_step
