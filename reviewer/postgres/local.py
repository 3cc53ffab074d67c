"""Finds binaries that are installed on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reviewer.postgres.installation import probe
from reviewer.postgres.request import VERIFIED, Candidate

_PLACES = (
    ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
    ("/usr", "pgsql-*/bin"),  # PostgreSQL's own packages for Red Hat and its derivatives
    ("/usr/libexec", "postgresql*"),  # Alpine
    ("/opt/homebrew/opt", "postgresql*/bin"),
    ("/usr/local/opt", "postgresql*/bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql*/bin"),
    ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
    ("/usr/local/pgsql", "bin"),  # built from source
)


def candidates() -> tuple[Candidate, ...]:
    """Return the installed binaries: those that `PG_CONFIG` names first, then the newest verified ones; broken ones
    last.
    """
    asked = _asked_for()
    seen = {asked.folder.resolve()} if asked and asked.folder else set()
    found = []
    # `pg_config` is run last: it costs a process, and often belongs to a client-only installation.
    for folders in (_folders(), _folders_of_pg_config()):
        for folder in folders:
            if folder not in seen:
                seen.add(folder)
                found.append(probe("local", folder))
        if found:
            break
    found.sort(
        key=lambda one: (not one.problem, one.supported, _is_verified(one), _numbers(one.version)), reverse=True
    )
    return (*([asked] if asked else []), *found)


def _is_verified(candidate: Candidate) -> bool:
    return candidate.major is not None and candidate.major <= VERIFIED


def asked_for() -> bool:
    """Return whether the user names binaries with `PG_CONFIG`. Other local ones are then not used."""
    return bool(os.environ.get("PG_CONFIG"))


def _asked_for() -> Candidate | None:
    if not asked_for():
        return None
    program = os.environ["PG_CONFIG"]
    try:
        folder = _folder_that_it_names(program)
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Candidate(
            "local", problem=f"binaries present but broken: PG_CONFIG={program} does not run ({reason})"
        )
    return probe("local", folder)


def _folders() -> Iterator[Path]:
    for program in ("postgres", "initdb"):
        found = shutil.which(program)
        if found:
            # Links such as /usr/local/bin/postgres point to the folder with the other programs.
            folder = Path(found).resolve().parent
            if (folder / "postgres").is_file():
                yield folder
    for base, pattern in _PLACES:
        for folder in Path(base).glob(pattern):
            if (folder / "postgres").is_file():
                yield folder.resolve()


def _folders_of_pg_config() -> Iterator[Path]:
    config = shutil.which("pg_config")
    if config:
        with suppress(OSError, subprocess.SubprocessError):
            folder = _folder_that_it_names(config).resolve()
            if (folder / "postgres").is_file():
                yield folder


def _folder_that_it_names(pg_config: str) -> Path:
    done = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, timeout=20, check=True)
    return Path(done.stdout.strip())


def _numbers(version: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)) if version else ()
