# Sourced by the steps: creates the reviewer's own environment under the runner's temporary folder, once per lock file,
# and sets `reviewer` to its interpreter. The project's interpreter is neither used nor changed.
# shellcheck shell=bash

# The job's PYTHON* variables are for the project's interpreter, not for ours.
unset PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONUSERBASE PYTHONPLATLIBDIR VIRTUAL_ENV

reviewer_python() {
    local candidate
    for candidate in \
        /usr/bin/python3 \
        "${RUNNER_TOOL_CACHE:-/nonexistent}"/Python/3.1[0-9].*/*/bin/python \
        python3.14 python3.13 python3.12 python3.11 python3.10 python3 python; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -I -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo '::error title=alembic-reviewer::There is no Python 3.10 or later with venv on this runner. Add actions/setup-python before this step.' >&2
    return 1
}

reviewer_digest() {
    if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi
}

reviewer_environment() {
    local python key folder path_file
    key=$(reviewer_digest "$GITHUB_ACTION_PATH/requirements.lock")
    folder=${RUNNER_TEMP:?}/alembic-reviewer-${key:0:16}
    if [ ! -e "$folder/complete" ]; then
        python=$(reviewer_python)
        echo '::group::Install alembic-reviewer in an environment of its own'
        rm -rf "$folder"
        if command -v uv >/dev/null; then
            uv venv --quiet --no-project --python "$python" "$folder"
            uv pip install --quiet --no-config --no-cache --python "$folder/bin/python" --require-hashes --only-binary :all: \
                --requirement "$GITHUB_ACTION_PATH/requirements.lock"
        else
            "$python" -I -m venv "$folder"
            "$folder/bin/python" -I -m pip install --quiet --disable-pip-version-check --require-hashes \
                --only-binary :all: --requirement "$GITHUB_ACTION_PATH/requirements.lock"
        fi
        touch "$folder/complete"
        echo '::endgroup::'
    fi
    # a path file instead of an installation: nothing is built, and the code is the action's own checkout
    path_file=$(echo "$folder"/lib/python3.*/site-packages)/alembic-reviewer.pth
    if [ "$(cat "$path_file" 2>/dev/null)" != "$GITHUB_ACTION_PATH" ]; then
        printf '%s\n' "$GITHUB_ACTION_PATH" >"$path_file.$$"
        mv -f "$path_file.$$" "$path_file" # another step may be reading it
    fi
    # shellcheck disable=SC2034  # for the step that sources this
    reviewer=$folder/bin/python
}

reviewer_environment
