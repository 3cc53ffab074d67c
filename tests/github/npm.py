"""Packages from npm that some tests are held against, installed once into a cache folder and never into the project."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest

VERSIONS = {
    "@action-validator/cli": "0.6.0",
    "@action-validator/core": "0.6.0",
    "@fontsource/noto-color-emoji": "5.3.2",
    "@microsoft/sarif-multitool": "5.7.0",
    "@octokit/graphql-schema": "15.26.1",
    "@octokit/webhooks-examples": "7.6.1",
    "@stoplight/prism-cli": "5.14.2",
    "axe-core": "4.14.1",
    "github-markdown-css": "5.9.0",
    "graphql": "16.15.0",
}


def package(name: str) -> Path:
    """The folder of the package `name`; the test is skipped, by name, where it cannot be had."""
    found = _folder() / "node_modules" / name
    if not found.is_dir():
        _install()
    if not found.is_dir():
        pytest.skip(f"the npm package {name} cannot be had")
    return found


def node() -> str:
    """The command `node`; the test is skipped where there is none."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no node")
    return found


def _folder() -> Path:
    given = os.environ.get("ALEMBIC_REVIEWER_NPM")
    return Path(given) if given else Path(platformdirs.user_cache_dir("alembic-reviewer-tests")) / "npm"


def _install() -> None:
    if shutil.which("npm") is None:
        return
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = json.dumps({"private": True, "dependencies": VERSIONS}, indent=2)
        manifest, done = folder / "package.json", folder / "tried.json"
        if done.exists() and done.read_text() == wanted:
            return
        manifest.write_text(wanted)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=folder,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        done.write_text(wanted)


if __name__ == "__main__":
    _install()
