"""The newest major version of PostgreSQL for the tests, before npm has a package of it: from Debian's experimental.

`python3 scripts/majors.py --next` unpacks it, and the libraries that it needs, into the folder of the other versions.
Nothing is installed, and nothing of the machine's own configuration of apt is used or changed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SUITES = ("experimental", "unstable")
_PROGRAMS = ("postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql")
_NEEDED = re.compile(r"^(?:lib(?!perl).+(?<!-perl)|zlib1g|postgresql(?:-client)?-\d+)$", re.MULTILINE)


class CannotFetch(Exception):
    """A server cannot be had on this machine; the sentence says why."""


def unpack(major: int, folder: Path, place: Path) -> None:
    """Unpack PostgreSQL `major` into `place`, which is made with one rename; `folder` is for what is on the way.

    Raises `CannotFetch`.
    """
    programs = {each: shutil.which(each) for each in ("apt-get", "apt-cache", "dpkg-deb")}
    lacking = [each for each, found in programs.items() if found is None] + [str(_KEYS)] * (not _KEYS.is_file())
    if lacking:
        raise CannotFetch(f"{lacking[0]} is not here: it takes a Debian system")
    options = _own_settings(folder)
    run(["apt-get", *options, "update"], folder)
    told = run(["apt-cache", *options, *_RECURSIVE, "-t", _SUITES[0], f"postgresql-{major}"], folder)
    packages = sorted({*_NEEDED.findall(told)})
    if f"postgresql-{major}" not in packages:
        raise CannotFetch(f"Debian's {_SUITES[0]} has no postgresql-{major}")
    files, root = folder / "files", folder / "root"
    files.mkdir()
    for package in packages:
        run(["apt-get", *options, "-t", _SUITES[0], "download", package], files)
    for file in sorted(files.glob("*.deb")):
        run(["dpkg-deb", "-x", str(file), str(root)], folder)
    shutil.rmtree(place, ignore_errors=True)
    root.rename(place)
    for program in _PROGRAMS:
        _with_own_libraries(binaries(major, place) / program, place)


def binaries(major: int, place: Path) -> Path:
    """The folder of the programs that `unpack` has put into `place`."""
    return place / f"usr/lib/postgresql/{major}/bin"


def _with_own_libraries(program: Path, place: Path) -> None:
    """Put a script in the place of `program` that starts it with the libraries in `place`, whatever the system has."""
    real = program.with_name(f"{program.name}.real")
    program.rename(real)
    (loader,) = place.glob("usr/lib/*/ld-linux-*.so.*")
    program.write_text(
        f'#!/bin/sh\nexec {loader} --library-path {loader.parent} --argv0 "$0" {real} "$@"\n', encoding="utf-8"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _own_settings(folder: Path) -> list[str]:
    """Options of apt for lists, packages and a state of their own in `folder`."""
    for each in ("lists/partial", "cache/archives/partial"):
        (folder / each).mkdir(parents=True)
    (folder / "status").touch()
    sources = folder / "sources.list"
    sources.write_text(
        "".join(f"deb [signed-by={_KEYS}] http://deb.debian.org/debian {suite} main\n" for suite in _SUITES),
        encoding="utf-8",
    )
    return [
        f"-o{name}={value}"
        for name, value in (
            ("Dir::Etc::sourcelist", sources),
            ("Dir::Etc::sourceparts", os.devnull),
            ("Dir::State::lists", folder / "lists"),
            ("Dir::State::status", folder / "status"),
            ("Dir::Cache", folder / "cache"),
            ("APT::Sandbox::User", "root"),
        )
    ]


_RECURSIVE = (
    "depends",
    "--recurse",
    *(f"--no-{each}" for each in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")),
)


def run(command: list[str], folder: Path) -> str:
    """Run `command` in `folder`, and return what it prints. Raises `CannotFetch` where it fails."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise CannotFetch(f"`{' '.join(command)}` failed: {said[-1]}")
    return done.stdout
