"""Fresh data folders, kept between runs: copying one is ten times as fast as `initdb`.

Several reviewers may use the cache at once. An entry is built beside its place and renamed into it, so it is whole
or absent; it is never written again. A cache that cannot be used costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reviewer.guardian import Guardian
from reviewer.postgres.installation import Installation

FORMAT = 1
"""Raised whenever `initdb` is called in another way, so that old entries are not used."""


@dataclass(frozen=True)
class Tally:
    """How much was copied, to tell a whole data folder from one that lost something."""

    files: int
    bytes: int


@dataclass(frozen=True)
class Entry:
    """The place in the cache for the fresh data folder of one installation."""

    path: Path

    @classmethod
    def of(cls, installation: Installation) -> Entry:
        """The entry for `installation`: for this exact version at this place, and for this user."""
        binary = installation.folder.resolve() / "postgres"
        found = binary.stat()
        key = [FORMAT, installation.version, str(binary), found.st_size, found.st_mtime_ns, os.geteuid()]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        return cls(cache_folder() / "clusters" / f"{installation.version}-{digest}")

    def copy_to(self, data: Path, uid: int, gid: int) -> bool:
        """Copy the kept data folder to `data`, and say whether there was a whole one.

        Raises:
            OSError: the copy could not be written.
        """
        try:
            kept = Tally(**json.loads((self.path / "whole.json").read_bytes()))
            data.mkdir(mode=0o700)
        except FileNotFoundError:
            return False
        except (PermissionError, ValueError, TypeError):
            self.discard()
            return False
        try:
            copied = copy_tree(self.path / "data", data, uid, gid)
        except OSError as error:
            # A full disk is the target's trouble; anything else is the entry's.
            if error.filename is None or not str(error.filename).startswith(str(self.path)):
                raise
            copied = None
        if copied != kept:
            shutil.rmtree(data, ignore_errors=True)
            self.discard()
            return False
        return True

    def keep(self, data: Path, guardian: Guardian) -> None:
        """Keep a copy of the fresh folder `data`, unless another reviewer was faster or it cannot be written."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            building = Path(tempfile.mkdtemp(prefix=".building-", dir=self.path.parent))
            watched = guardian.folder(building)
            try:
                (building / "data").mkdir(mode=0o700)
                tally = copy_tree(data, building / "data", os.geteuid(), os.getegid())
                (building / "whole.json").write_text(json.dumps(tally.__dict__))
                building.rename(self.path)
            finally:
                shutil.rmtree(building, ignore_errors=True)
                guardian.forget(watched)

    def discard(self) -> None:
        """Take a damaged entry out of the cache."""
        with suppress(OSError):
            # Renamed first: a reviewer that is copying it right now finds its files gone rather than half of them.
            rubbish = Path(tempfile.mkdtemp(prefix=".damaged-", dir=self.path.parent))
            with suppress(OSError):
                self.path.rename(rubbish / "entry")
            shutil.rmtree(rubbish, ignore_errors=True)


def cache_folder() -> Path:
    """Where things are kept between runs: ALEMBIC_REVIEWER_CACHE, or the system's place for a user's cache."""
    chosen = os.environ.get("ALEMBIC_REVIEWER_CACHE")
    if chosen:
        return Path(chosen).absolute()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("alembic-reviewer"))


def copy_tree(source: Path, target: Path, uid: int, gid: int) -> Tally:
    """Copy what is in `source` into the empty folder `target`, everything private to `uid` and `gid`.

    Raises:
        OSError: something could not be read or written; its `filename` tells which.
    """
    own: Callable[[int], None] = (lambda file: os.fchown(file, uid, gid)) if uid != os.geteuid() else lambda _: None
    files = size = 0
    folders = [(str(source), str(target))]
    while folders:
        here, there = folders.pop()
        if uid != os.geteuid():
            os.chown(there, uid, gid)
        with os.scandir(here) as entries:
            for entry in entries:
                copy = f"{there}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    os.mkdir(copy, 0o700)  # noqa: PTH102 - a thousand paths: plain strings take half the time
                    folders.append((entry.path, copy))
                else:
                    files += 1
                    size += _copy_file(entry.path, copy, own)
    return Tally(files, size)


def _copy_file(source: str, target: str, own: Callable[[int], None]) -> int:
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            own(writing)
            return _copy_bytes(reading, writing, target)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_bytes(reading: int, writing: int, target: str) -> int:
    done = 0
    try:
        if sys.platform == "linux":  # elsewhere sendfile writes to sockets only
            while sent := os.sendfile(writing, reading, done, 1 << 30):
                done += sent
        else:
            while block := os.read(reading, 1 << 20):
                done += os.write(writing, block)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from error
    return done
