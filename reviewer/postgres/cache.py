"""Fresh data folders, kept between runs: unpacking one is ten times as fast as `initdb`.

Each is one tar file with its size and its checksum in its name. Several reviewers can use the cache at once: an
entry is written under a temporary name and renamed, so it is either complete or absent, and it is never rewritten.
A cache that cannot be used, or a damaged entry, only costs time.

`tar` runs as a separate process instead of a loop in Python for two reasons: it can run as the account that the
folder is for, and a thread that copies a thousand files waits a thousand times for the main thread.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import subprocess
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

from msgspec import Struct

from reviewer.host.files import keep_newest
from reviewer.host.guardian import Guardian
from reviewer.postgres.account import Account, clean_environment
from reviewer.postgres.installation import Installation

FORMAT = 3
"""Increased whenever the arguments of `initdb`, what is removed from its folder or the names of entries change, so that
old entries are not used."""

_MOST = 12
"""So many entries are kept, of 30 MB or so each. There is one for each installation, and each environment with the
embedded server is one."""
_SECONDS = 120.0
_READ_AT_ONCE, _WRITTEN_AT_ONCE = "2048", "128"
"""Blocks of half a kilobyte that `tar` reads or writes at a time, instead of 20. What it writes is padded to a multiple."""
_PIECE = 2 << 20
"""Bytes. After each piece the thread waits for the main thread; larger ones do not stay in the processor's cache."""


class Entry(Struct, frozen=True):
    """The cache entry for the fresh data folder of one installation."""

    folder: Path
    name: str

    @classmethod
    def of(cls, installation: Installation) -> Entry:
        """Return the entry for this exact version of `installation` at this path, and for this user.

        Raises:
            OSError: the binaries no longer exist.
        """
        binary = installation.folder.resolve() / "postgres"
        found = binary.stat()
        key = [FORMAT, installation.version, str(binary), found.st_size, found.st_mtime_ns, os.geteuid()]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        return cls(cache_folder() / "clusters", f"{installation.version}-{digest}")

    def unpack(self, data: Path, account: Account) -> bool:
        """Unpack the cached folder to `data`, owned by `account`. Returns whether there was a complete one.

        Raises:
            OSError: the disk is full.
        """
        for archive in self._archives():
            with (
                suppress(FileNotFoundError, PermissionError, subprocess.TimeoutExpired),
                _opened(archive) as packed,
            ):
                found = os.fstat(packed.fileno())
                # An entry that is not a regular file, or is truncated, is not tried.
                if not stat.S_ISREG(found.st_mode) or _told(archive)[0] != str(found.st_size):
                    continue
                with ThreadPoolExecutor(1) as pool:
                    checksum = pool.submit(_checksum, packed.fileno())
                    # Times are not restored (-m): nothing reads them, and this saves one system call for each file.
                    done = account.run(
                        ["tar", "-b", _READ_AT_ONCE, "-xmf", "-", "-C", str(data.parent)],
                        timeout=_SECONDS,
                        stdin=packed.fileno(),
                    )
                if done.returncode == 0 and data.is_dir() and _told(archive)[1] == checksum.result():
                    with suppress(OSError):
                        os.utime(archive)  # the one used longest ago goes first
                    return True
                shutil.rmtree(data, ignore_errors=True)
                _refuse_full_disk(done.stdout)
        self.discard()
        return False

    def keep(self, data: Path, guardian: Guardian, without: Iterable[str] = ()) -> bool:
        """Keep a copy of the folder `data` of a stopped server, without the files in `without`. Returns whether it
        was kept; False if the cache cannot be written.
        """
        with suppress(OSError, subprocess.TimeoutExpired):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            building = self.folder / f".building-{secrets.token_hex(8)}"
            watched = guardian.folder(building)
            number = os.open(building, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                done = subprocess.run(
                    [
                        *("tar", "-b", _WRITTEN_AT_ONCE, "-cf", "-"),
                        *(f"--exclude={data.name}/{each}" for each in without),
                        *("-C", str(data.parent), data.name),
                    ],
                    stdout=number,
                    stderr=subprocess.DEVNULL,
                    env=clean_environment(),
                    timeout=_SECONDS,
                    check=False,
                )
                if done.returncode == 0:
                    size = os.fstat(number).st_size
                    building.rename(self.folder / f"{self.name}.{size}.{_checksum(number)}.tar")
                    keep_newest(self.folder.glob("*.tar"), _MOST)
                    return True
            finally:
                os.close(number)
                building.unlink(missing_ok=True)
                guardian.forget(watched)
        return False

    def discard(self) -> None:
        """Remove a damaged entry from the cache. Processes that are reading it can still read it to its end."""
        for archive in self._archives():
            with suppress(OSError):
                archive.unlink()

    def _archives(self) -> list[Path]:
        with suppress(OSError):
            return list(self.folder.glob(f"{self.name}.*.tar"))
        return []


def cache_folder() -> Path:
    """Return the folder for files that are kept between runs: ALEMBIC_REVIEWER_CACHE, or the system's cache folder
    for the user. For a user without a home, a path that cannot be written to.
    """
    chosen = os.environ.get("ALEMBIC_REVIEWER_CACHE")
    if chosen:
        return Path(chosen).absolute()
    if os.path.expanduser("~") == "~":  # noqa: PTH111 - Path.expanduser raises
        return Path(os.devnull) / "cache"  # a path that nobody can write to
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("alembic-reviewer")).absolute()


def _opened(archive: Path) -> IO[bytes]:
    # Opening a pipe in the place of an entry would block until another process writes to it.
    return open(os.open(archive, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: PTH123 - of a number


def _told(archive: Path) -> list[str]:
    """Return the size and the checksum in the name of an entry."""
    return archive.stem.split(".")[-2:]


def _checksum(number: int) -> str:
    """Return the checksum of the file with this descriptor, regardless of its position. It protects against damage,
    not against tampering.
    """
    found, position = 0, 0
    # always the same memory: the system clears each new piece before it hands it out, which takes longer than all the rest
    piece = memoryview(bytearray(_PIECE))
    while length := os.preadv(number, [piece], position):
        found = zlib.crc32(piece[:length], found)
        position += length
    return f"{found:08x}"


def _refuse_full_disk(said: str) -> None:
    for line in said.splitlines():
        if "No space left" in line or "quota exceeded" in line:
            raise OSError(line.removeprefix("tar: "))
