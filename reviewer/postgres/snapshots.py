"""Snapshots: data folders of stopped servers that hold a database in a base state, kept between runs.

Each is a tar file, as the fresh data folders beside it are, and a file that says what is in it: the database, the
superuser of ours that the server knows, and whatever the caller wants to know again. That file comes last and goes
first, is checked when it is read, and is only believed where it lies in a folder that nobody else can write to.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reviewer.host.files import read_regular
from reviewer.host.guardian import Guardian
from reviewer.postgres.cache import Entry, cache_folder

FORMAT = 1
"""Raised whenever what is kept, or how a server runs, changes, so that older snapshots are not used."""
LIMIT = 1024
"""Megabytes that all snapshots of a user may take together."""

_LARGEST = 64 << 20
_ORPHANED = 3600.0
"""A file of that age, in seconds, that no snapshot needs was left by a run that was killed."""
_UNFINISHED = ".building-"


@dataclass(frozen=True)
class Snapshot:
    """One that is there."""

    path: Path
    """The file about it."""
    database: str
    superuser: str
    shared: Mapping[str, Any] = field(repr=False)
    """What the server was before anything of the project's, in the words of who reads that."""
    about: Mapping[str, Any] = field(repr=False)

    @property
    def entry(self) -> Entry:
        """Its data folder."""
        return Entry(self.path.parent, self.path.stem)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return sum(_size(each) for each in (self.path, *_archives(self.path)))

    @property
    def used(self) -> float:
        """When it was used last, in seconds since 1970."""
        with suppress(OSError):
            return self.path.stat().st_mtime
        return 0.0

    def touch(self) -> None:
        """It is in use: others go first."""
        with suppress(OSError):
            os.utime(self.path)

    def discard(self) -> None:
        """Take it out of the cache. Who is reading it still reads it to its end."""
        with suppress(OSError):
            self.path.unlink()
        self.entry.discard()


def folder() -> Path:
    """Where they are."""
    return cache_folder() / "snapshots"


def name_of(key: Sequence[object]) -> str:
    """What the names of all snapshots with this key begin with. `key` is anything that JSON can say."""
    return hashlib.sha256(json.dumps([FORMAT, *key], sort_keys=True).encode()).hexdigest()[:32]


def found(name: str = "") -> Iterator[Snapshot]:
    """The snapshots that can be read, the last used first; those of one key where its `name` is given."""
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
    """Whether something can be kept."""
    place = folder()
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _ours(place) and os.access(place, os.W_OK | os.X_OK)


def keep(
    name: str,
    about: Mapping[str, object],
    data: Path,
    guardian: Guardian,
    *,
    database: str,
    superuser: str,
    shared: Mapping[str, Any],
    without: Iterable[str] = (),
    limit: int = LIMIT,
) -> bool:
    """Keep the folder `data` of a server that does not run. Whether that was done."""
    if not writable():
        return False
    place = folder()
    path = place / f"{name}-{secrets.token_hex(8)}.json"
    snapshot = Snapshot(path, database, superuser, shared, about)
    if not snapshot.entry.keep(data, guardian, without):
        return False
    known = {"database": database, "superuser": superuser, "shared": shared, "about": about}
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
    make_room(limit)
    return path.exists()


def make_room(limit: int) -> None:
    """Discard what was used longest ago until all that is left takes no more than `limit` megabytes."""
    left = limit << 20
    for each in found():
        left -= each.size
        if left < 0:
            each.discard()
    _sweep(time.time() - _ORPHANED)


def clear() -> tuple[int, int]:
    """Discard all of them. How many there were, and their bytes."""
    if not _ours(folder()):
        return 0, 0
    paths = [path for path in folder().iterdir() if path.suffix in {".json", ".tar"}]
    sizes = sum(map(_size, paths))
    unfinished = folder().glob(f"{_UNFINISHED}*")
    for path in (
        *sorted(paths),
        *unfinished,
    ):  # the file about it goes first: `.json` before `.tar`, whatever stands between
        with suppress(OSError):
            path.unlink()
    return sum(path.suffix == ".json" for path in paths), sizes


def _sweep(before: float) -> None:
    """Remove what no snapshot needs: tar files that nothing is known of, and files that cannot be read."""
    with suppress(OSError):
        known = {each.path.stem for each in found()}
        for path in folder().iterdir():
            stem = path.name.split(".")[0]
            kept = path.suffix in {".json", ".tar"} and stem not in known
            if (kept or path.name.startswith(_UNFINISHED)) and _written(path) < before:
                with suppress(OSError):
                    path.unlink()


def _ours(place: Path) -> bool:
    """Whether nobody else can have put something there."""
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
