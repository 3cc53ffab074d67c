"""A folder for one run: where it may lie, whose it is, and how one is recognised that a crashed run left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reviewer.errors import ServerError
from reviewer.guardian import Guardian, end_processes_on
from reviewer.postgres.account import Account

PREFIX = "alembic-reviewer-"
LONGEST_SOCKET_PATH = 103
"""Bytes that the path of a unix socket may have everywhere: 107 on Linux, 103 on macOS (unix(7), unix(4))."""

_OWNER = "owner"
_SOCKET_IN_BASE = len(f"/{PREFIX}xxxxxxxx/.s.PGSQL.5432")
_MEMORY_FOLDER = Path("/dev/shm")
_FREE_IN_MEMORY_FOLDER = 2 << 30
_MEMORY_TO_SPARE = 4 << 30


@contextmanager
def run_folder(account: Account, guardian: Guardian) -> Iterator[Path]:
    """A new folder that only we and `account` can enter, in which a server's socket has a path that is short enough.

    It is removed at the end, with whatever still runs on it.

    Raises:
        ServerError: no folder for temporary files can be used.
    """
    clear_stale_folders()
    folder = _make(account)
    watched = guardian.folder(folder)
    try:
        with _owned(folder):
            try:
                os.chown(folder, account.uid, account.gid)
            except OSError as error:
                raise _unusable([f"{folder.parent} ({error.strerror})"]) from error
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():  # something still writes in it
            end_processes_on(str(folder))
            shutil.rmtree(folder, ignore_errors=True)
        guardian.forget(watched)


def clear_stale_folders() -> None:
    """Remove the folders of earlier runs of the same user, of which neither reviewer nor guardian is alive.

    A living reviewer holds a lock on a file in its folder. The system gives it up with the process and by no
    other way, so a file of ours that can be locked proves that its run is dead, whatever its number was.
    """
    for base in {_MEMORY_FOLDER, Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")}:
        with suppress(OSError), os.scandir(base) as entries:
            for folder in [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]:
                with suppress(OSError):
                    _clear_if_stale(folder)


def _clear_if_stale(folder: Path) -> None:
    owner = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Somebody else could make a folder of this name, but not a file of ours in it.
        if os.fstat(owner).st_uid != os.geteuid():
            return
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        end_processes_on(str(folder))
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(owner)


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    # Locked before it has its name: whoever sees it under its name cannot take it for a dead run's.
    nameless = folder / f".{_OWNER}"
    owner = os.open(nameless, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: then its folders are never taken for stale
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            nameless.rename(folder / _OWNER)
        yield
    finally:
        os.close(owner)


def _make(account: Account) -> Path:
    unusable = []
    for base in _bases():
        if len(os.fsencode(base)) + _SOCKET_IN_BASE > LONGEST_SOCKET_PATH:
            unusable.append(f"{base} (too long for the path of a socket)")
        elif not account.can_enter(base):
            unusable.append(f"{base} (not open to the account that the server runs under)")
        else:
            try:
                return Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
            except OSError as error:
                unusable.append(f"{base} ({error.strerror})")
    raise _unusable(unusable)


def _unusable(reasons: list[str]) -> ServerError:
    return ServerError(
        f"No folder for temporary files can hold a server: {', '.join(reasons)}.",
        "Make room, or set TMPDIR to a folder with a short path that can be written.",
    )


def _bases() -> list[Path]:
    """Where to try, best first: what the user set, memory where there is plenty, then the usual places."""
    usual = [Path(os.path.realpath(tempfile.gettempdir())), Path("/tmp"), Path("/var/tmp")]
    if not os.environ.get("TMPDIR") and _memory_is_plenty():
        # Cloning a database writes some 8 MB: on a busy disk that takes ten times as long.
        usual.insert(0, _MEMORY_FOLDER)
    return list(dict.fromkeys(usual))


def _memory_is_plenty() -> bool:
    if sys.platform != "linux" or not _MEMORY_FOLDER.is_dir():
        return False
    try:
        room = os.statvfs(_MEMORY_FOLDER)
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return False
    enough = room.f_bavail * room.f_frsize >= _FREE_IN_MEMORY_FOLDER
    return enough and min(available, _left_in_control_group()) >= _MEMORY_TO_SPARE


def _left_in_control_group() -> int:
    """Bytes of memory that a container's limit leaves; a huge number where there is no limit."""
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # absent, or the word "max"
            return int(Path(limit).read_text()) - int(Path(used).read_text())
    return sys.maxsize
