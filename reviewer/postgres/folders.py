"""The folder of a server: where it is created, and who owns it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from reviewer.errors import ServerError
from reviewer.host.folders import MEMORY_FOLDER, PREFIX, own_folder, temporary_folders
from reviewer.host.guardian import Guardian
from reviewer.postgres.account import Account

LONGEST_SOCKET_PATH = 103
"""The longest path of a unix socket, in bytes, that works on all systems: 107 on Linux, 103 on macOS (unix(7),
unix(4))."""

_SOCKET_IN_BASE = len(f"/{PREFIX}xxxxxxxx/.s.PGSQL.5432")
_NOT_IN_SOCKET_PATHS = re.compile(r"[,\x00-\x1f\x7f\ud800-\udfff]")
"""libpq and PostgreSQL treat a comma as the end of a path, and invalid text cannot be part of a URL."""
_FREE_IN_MEMORY_FOLDER = 2 << 30
_MEMORY_TO_SPARE = 4 << 30


@contextmanager
def run_folder(account: Account, guardian: Guardian) -> Iterator[Path]:
    """Create a folder that only we and `account` can enter, and in which the path of a server's socket is short
    enough.

    It is removed at the end, together with every process that still runs on it.

    Raises:
        ServerError: no folder for temporary files can be used.
    """
    with ExitStack() as stack:
        folder = _make(account, guardian, stack)
        try:
            os.chown(folder, account.uid, account.gid)
        except OSError as error:
            raise _unusable([f"{folder.parent} ({error.strerror})"]) from error
        yield folder


def _make(account: Account, guardian: Guardian, stack: ExitStack) -> Path:
    unusable = []
    for base in _bases():
        if _NOT_IN_SOCKET_PATHS.search(str(base)):
            unusable.append(f"{base} (the path of a socket cannot contain a comma or invalid text)")
        elif len(os.fsencode(base)) + _SOCKET_IN_BASE > LONGEST_SOCKET_PATH:
            unusable.append(f"{base} (too long for the path of a socket)")
        elif not account.can_enter(base):
            unusable.append(f"{base} (not accessible for the account that the server runs under)")
        else:
            try:
                return stack.enter_context(own_folder(base, guardian))
            except OSError as error:
                unusable.append(f"{base} ({error.strerror})")
    raise _unusable(unusable)


def _unusable(reasons: list[str]) -> ServerError:
    return ServerError(
        f"No folder for temporary files is suitable for a server: {', '.join(reasons)}.",
        "Free some space, or set TMPDIR to a writable folder with a short path.",
    )


def _bases() -> list[Path]:
    """Return where to try, best first: the folder that the user set, memory if there is plenty, then the usual
    places.
    """
    usual = [Path(os.path.realpath(each)) for each in temporary_folders()]
    if not os.environ.get("TMPDIR") and _memory_is_plenty():
        # Cloning a database writes about 8 MB, which takes ten times as long on a busy disk.
        usual.insert(0, MEMORY_FOLDER)
    return list(dict.fromkeys(usual))


def _memory_is_plenty() -> bool:
    if sys.platform != "linux" or not MEMORY_FOLDER.is_dir():
        return False
    try:
        room = os.statvfs(MEMORY_FOLDER)
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return False
    enough = room.f_bavail * room.f_frsize >= _FREE_IN_MEMORY_FOLDER
    return enough and min(available, _left_in_control_group()) >= _MEMORY_TO_SPARE


def _left_in_control_group() -> int:
    """Return the bytes of memory left within a container's limit; a huge number if there is no limit."""
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # absent, or the word "max"
            return int(Path(limit).read_text()) - int(Path(used).read_text())
    return sys.maxsize
