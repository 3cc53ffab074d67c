#!/usr/bin/env bash
# Makes a git repository in FOLDER with a branch checked out that must pass or must fail.
set -euo pipefail
folder=$1
kind=$2
here=$(cd "$(dirname "$0")" && pwd)

git init --quiet --initial-branch main "$folder"
cp -r "$here/base/." "$folder"
commit() {
    git -C "$folder" add --all
    git -C "$folder" -c user.name=selftest -c user.email=selftest@example.invalid commit --quiet --message "$1"
}
commit 'the beginning'
git -C "$folder" checkout --quiet -b feature
cp "$here/$kind.py" "$folder/migrations/versions/bbb222_second.py"
commit 'a revision'
