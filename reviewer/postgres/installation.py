"""A folder of PostgreSQL binaries: its version, whether it works, and its extensions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

from reviewer.postgres.account import Account, clean_environment
from reviewer.postgres.request import Candidate
from reviewer.sql.versions import major_of

_PROBE_SECONDS = 20.0


class Installation(Struct, frozen=True):
    """Working binaries: `initdb` and `postgres` in `folder`."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The major version, for example 16."""
        return major_of(self.version)

    def usable_by(self, account: Account) -> bool:
        """Return whether `account` can start the binaries and read the files that they need."""
        share = share_folder(self.folder, self.major)
        needed = [self.folder / "postgres", self.folder / "initdb", *([share / "postgres.bki"] if share else [])]
        return all(account.can_use(path) for path in needed)

    def copied_to(self, target: Path, account: Account) -> Installation:
        """Copy the installation under `target` for an `account` that cannot reach the original. Works for
        relocatable installations.

        Raises:
            OSError: it could not be read or written.
        """
        prefix = self.folder.parent
        copy = target / prefix.parent.name / prefix.name
        (copy / "bin").mkdir(parents=True)
        for binary in ("initdb", "postgres"):
            shutil.copy2(self.folder / binary, copy / "bin" / binary)
        left_out = shutil.ignore_patterns("*.a", "pkgconfig", "doc", "man", "locale")
        for part in ("lib", "share"):
            shutil.copytree(prefix / part, copy / part, symlinks=True, ignore=left_out)
        # Where wheels keep the shared libraries that they contain.
        bundled = prefix.parent.with_name(prefix.parent.name + ".libs")
        if bundled.is_dir():
            shutil.copytree(bundled, target / bundled.name, symlinks=True)
        for path in (target, *target.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
        return Installation(copy / "bin", self.version)


def probe(source: str, folder: Path) -> Candidate:
    """Return the candidate for the binaries in `folder`. Runs `postgres --version`; starts no server."""

    def broken(reason: str) -> Candidate:
        return Candidate(source, folder=folder, problem=f"binaries present but broken: {reason}")

    for binary in ("postgres", "initdb"):
        if not (folder / binary).is_file():
            return broken(f"{folder} has no {binary}")
    # `initdb` is not tested: that costs another process, and it reports its problems when it is used.
    try:
        done = subprocess.run(
            [folder / "postgres", "--version"],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except OSError as error:
        return broken(f"{folder / 'postgres'} does not start ({error.strerror})")
    except subprocess.TimeoutExpired:
        return broken(f"`{folder / 'postgres'} --version` does not end")
    said = done.stdout.strip()
    if done.returncode:
        return broken(
            said.splitlines()[-1] if said else f"{folder / 'postgres'} ends with status {done.returncode}"
        )
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)*)", said)
    if match is None:
        return broken(f"`{folder / 'postgres'} --version` says {said[:80]!r}")
    version = match.group(1)
    return Candidate(source, version, folder, extensions=extensions_in(folder, major_of(version)))


def extensions_in(folder: Path, major: int) -> frozenset[str]:
    """Return the extensions that have a control file for the binaries in `folder`."""
    share = share_folder(folder, major)
    if share is None:
        return frozenset()
    return frozenset(file.stem for file in (share / "extension").glob("*.control"))


def share_folder(folder: Path, major: int) -> Path | None:
    """Return the share directory of the binaries in `folder`, or `None` if it is not found.

    Distributions put it in different places; in all of them it contains plpgsql. `pg_config` is run only if none of
    the usual places has it: that costs one more process, and `pg_config` is often not installed.
    """
    prefix = folder.parent
    for share in (
        prefix / "share" / "postgresql",
        prefix / "share",
        prefix / "share" / f"postgresql@{major}",
        prefix / "share" / "pgsql",
        prefix / "share" / f"postgresql{major}",
        Path("/usr/share/postgresql") / str(major),
    ):
        if (share / "extension" / "plpgsql.control").is_file():
            return share
    try:
        asked = subprocess.run(
            [folder / "pg_config", "--sharedir"],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    share = Path(asked.stdout.strip())
    return share if (share / "extension").is_dir() else None
