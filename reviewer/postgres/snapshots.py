"""Snapshots: data folders of stopped servers that hold a database in a base state, kept between runs.

Each consists of a tar file, like the cached fresh data folders, and a file that describes it: the database, the
reviewer's superuser on that server, and whatever the caller needs to know later. That file is written last and
removed first. It is verified when it is read, and only believed in a folder that nobody else can write to.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from reviewer.host.files import read_regular
from reviewer.host.guardian import Guardian
from reviewer.postgres.cache import Entry, cache_folder

FORMAT = 7
"""Increased whenever the contents of snapshots, or how a server runs, change, so that older snapshots are not
used."""
LIMIT = 1024
"""Megabytes that all snapshots of a user may take together."""

_LARGEST = 64 << 20
_ORPHANED = 3600.0
"""Age in seconds after which a file that no snapshot needs is taken for one left by a killed run."""
_UNFINISHED = ".building-"
_ASKED = ".asked"
_SUFFIXES = frozenset({".json", ".tar", _ASKED})


class Snapshot(Struct, frozen=True):
    """An existing snapshot."""

    path: Path
    """The file that describes it."""
    database: str
    superuser: str
    shared: Mapping[str, Any]
    """The server-wide state before the project changed anything, in the format of the code that reads it."""
    about: Mapping[str, Any]
    others: tuple[str, ...] = ()
    """Databases that its server knows and whose contents are not in it."""

    @property
    def entry(self) -> Entry:
        """The cache entry of its data folder."""
        return Entry(self.path.parent, self.path.stem)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return sum(_size(each) for each in (self.path, *_archives(self.path)))

    @property
    def used(self) -> float:
        """When it was last used, in seconds since 1970; 0 if that cannot be read."""
        with suppress(OSError):
            return self.path.stat().st_mtime
        return 0.0

    def touch(self) -> None:
        """Mark it as used now, so that others are discarded first."""
        with suppress(OSError):
            os.utime(self.path)

    def discard(self) -> None:
        """Remove it from the cache. Processes that are reading it can still read it to its end."""
        with suppress(OSError):
            self.path.unlink()
        self.entry.discard()


def folder() -> Path:
    """Return the folder of all snapshots."""
    return cache_folder() / "snapshots"


def name_of(key: Sequence[object]) -> str:
    """Return the prefix of the names of all snapshots with this key. `key` is anything that JSON can represent."""
    return hashlib.sha256(json.dumps([FORMAT, *key], sort_keys=True).encode()).hexdigest()[:32]


def found(name: str = "") -> Iterator[Snapshot]:
    """Yield the snapshots that can be read, most recently used first. If `name` is given, only those whose names
    start with it.
    """
    place = folder()
    if not _ours(place):
        return
    with suppress(OSError):
        files = sorted(place.glob(f"{name}*.json"), key=_written, reverse=True)
        for path in files:
            snapshot = _read(path)
            if snapshot is not None:
                yield snapshot


def writable() -> bool:
    """Return whether snapshots can be kept."""
    place = folder()
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _ours(place) and os.access(place, os.W_OK | os.X_OK)


def asked_again(name: str) -> bool:
    """Return whether this has been called before with the same name, and remember that it was."""
    if not writable():
        return False
    asked = folder() / f"{name}{_ASKED}"
    with suppress(OSError):
        known = asked.exists()
        asked.touch(0o600)
        return known
    return False


def keep(
    name: str,
    about: Mapping[str, object],
    data: Path,
    guardian: Guardian,
    *,
    database: str,
    superuser: str,
    shared: Mapping[str, Any],
    others: tuple[str, ...] = (),
    without: Iterable[str] = (),
) -> bool:
    """Keep the folder `data` of a stopped server. Returns whether it was kept. `make_room` limits what all take."""
    if not writable():
        return False
    place = folder()
    path = place / f"{name}-{secrets.token_hex(8)}.json"
    snapshot = Snapshot(path, database, superuser, shared, about, others)
    if not snapshot.entry.keep(data, guardian, without):
        return False
    known = {"database": database, "superuser": superuser, "shared": shared, "about": about, "others": others}
    text = json.dumps(known).encode()
    building = place / f"{_UNFINISHED}{secrets.token_hex(8)}"
    watched = guardian.folder(building)
    try:
        building.touch(0o600, exist_ok=False)
        building.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
        building.rename(path)
    except OSError:
        snapshot.discard()
        return False
    finally:
        with suppress(OSError):
            building.unlink(missing_ok=True)
        guardian.forget(watched)
    return True


def make_room(limit: int) -> None:
    """Discard the least recently used snapshots until the rest takes no more than `limit` megabytes."""
    left = limit << 20
    for each in found():
        left -= each.size
        if left < 0:
            each.discard()
    _sweep(time.time() - _ORPHANED)


def clear() -> tuple[int, int]:
    """Discard all snapshots. Returns how many there were, and their size in bytes."""
    if not _ours(folder()):
        return 0, 0
    paths = [path for path in folder().iterdir() if path.suffix in _SUFFIXES]
    sizes = sum(map(_size, paths))
    unfinished = folder().glob(f"{_UNFINISHED}*")
    for path in (
        *sorted(paths),
        *unfinished,
    ):  # the file that describes a snapshot goes first: `.json` sorts before `.tar`
        with suppress(OSError):
            path.unlink()
    return sum(path.suffix == ".json" for path in paths), sizes


def _sweep(before: float) -> None:
    """Remove files that no snapshot needs and that are older than `before`: tar files without a description,
    files that cannot be read, and what `asked_again` remembers.
    """
    with suppress(OSError):
        known = {each.path.stem for each in found()}
        for path in folder().iterdir():
            stem = path.name.split(".")[0]
            kept = path.suffix in _SUFFIXES and stem not in known
            if (kept or path.name.startswith(_UNFINISHED)) and _written(path) < before:
                with suppress(OSError):
                    path.unlink()


def _ours(place: Path) -> bool:
    """Return whether nobody else can have written to the folder."""
    try:
        seen = place.stat()
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o022


def _read(path: Path) -> Snapshot | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        digest, _, text = read_regular(path, _LARGEST).partition(b"\n")
        if hashlib.sha256(text).hexdigest().encode() == digest:
            known = json.loads(text)
            return Snapshot(
                path,
                str(known["database"]),
                str(known["superuser"]),
                dict(known["shared"]),
                dict(known["about"]),
                tuple(map(str, known["others"])),
            )
    return None


def _archives(path: Path) -> list[Path]:
    with suppress(OSError):
        return list(path.parent.glob(f"{path.stem}.*.tar"))
    return []


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _written(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
