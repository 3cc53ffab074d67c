"""Fresh data folders, kept between runs: unpacking one is ten times as fast as `initdb`.

Each is one tar file, with its size and its checksum in its name. Several reviewers may use the cache at once: an entry
is written beside its place and renamed into it, so it is whole or absent, and it is never written again. A cache that
cannot be used costs time and nothing else, and so does an entry that is damaged.

`tar` is a process of its own, and not a loop in here, for two reasons: it can run as the account that the folder is
for, and a thousand files copied in a thread wait a thousand times for whatever the main thread is doing.
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reviewer.host.guardian import Guardian
from reviewer.postgres.account import Account, clean_environment
from reviewer.postgres.installation import Installation

FORMAT = 2
"""Raised whenever `initdb` is called or the entry named in another way, so that old entries are not used."""

_SECONDS = 120.0
_PIECE = 1 << 20


@dataclass(frozen=True)
class Entry:
    """The place in the cache for the fresh data folder of one installation."""

    folder: Path
    name: str

    @classmethod
    def of(cls, installation: Installation) -> Entry:
        """The entry for `installation`: for this exact version at this place, and for this user.

        Raises:
            OSError: the binaries are gone.
        """
        binary = installation.folder.resolve() / "postgres"
        found = binary.stat()
        key = [FORMAT, installation.version, str(binary), found.st_size, found.st_mtime_ns, os.geteuid()]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        return cls(cache_folder() / "clusters", f"{installation.version}-{digest}")

    def unpack(self, data: Path, account: Account) -> bool:
        """Unpack the kept folder to `data`, owned by `account`, and say whether there was a whole one.

        Raises:
            OSError: there is no room for it.
        """
        for archive in self._archives():
            with (
                suppress(FileNotFoundError, PermissionError, subprocess.TimeoutExpired),
                _opened(archive) as packed,
            ):
                found = os.fstat(packed.fileno())
                # What is no file, or was cut short, is not even tried.
                if not stat.S_ISREG(found.st_mode) or _told(archive)[0] != str(found.st_size):
                    continue
                with ThreadPoolExecutor(1) as pool:
                    checksum = pool.submit(_checksum, packed.fileno())
                    # No times are restored (-m): nobody reads them, and it is one system call less for each file.
                    done = account.run(
                        ["tar", "-xmf", "-", "-C", str(data.parent)], timeout=_SECONDS, stdin=packed.fileno()
                    )
                if done.returncode == 0 and data.is_dir() and _told(archive)[1] == checksum.result():
                    return True
                shutil.rmtree(data, ignore_errors=True)
                _refuse_full_disk(done.stdout)
        self.discard()
        return False

    def keep(self, data: Path, guardian: Guardian) -> None:
        """Keep a copy of the fresh folder `data`, unless it cannot be written."""
        with suppress(OSError, subprocess.TimeoutExpired):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            building = self.folder / f".building-{secrets.token_hex(8)}"
            watched = guardian.folder(building)
            number = os.open(building, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                done = subprocess.run(
                    ["tar", "-cf", "-", "-C", str(data.parent), data.name],
                    stdout=number,
                    stderr=subprocess.DEVNULL,
                    env=clean_environment(),
                    timeout=_SECONDS,
                    check=False,
                )
                if done.returncode == 0:
                    size = os.fstat(number).st_size
                    building.rename(self.folder / f"{self.name}.{size}.{_checksum(number)}.tar")
            finally:
                os.close(number)
                building.unlink(missing_ok=True)
                guardian.forget(watched)

    def discard(self) -> None:
        """Take a damaged entry out of the cache. Who is reading it right now still reads it to its end."""
        for archive in self._archives():
            with suppress(OSError):
                archive.unlink()

    def _archives(self) -> list[Path]:
        with suppress(OSError):
            return list(self.folder.glob(f"{self.name}.*.tar"))
        return []


def cache_folder() -> Path:
    """Where things are kept between runs: ALEMBIC_REVIEWER_CACHE, or the system's place for a user's cache; for a user
    without a home, nowhere.
    """
    chosen = os.environ.get("ALEMBIC_REVIEWER_CACHE")
    if chosen:
        return Path(chosen).absolute()
    if os.path.expanduser("~") == "~":  # noqa: PTH111 - Path.expanduser raises
        return Path(os.devnull) / "cache"  # nobody's, in which nothing can be kept
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("alembic-reviewer")).absolute()


def _opened(archive: Path) -> IO[bytes]:
    # A pipe in the place of an entry would be waited for until somebody writes into it.
    return open(os.open(archive, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: PTH123 - of a number


def _told(archive: Path) -> list[str]:
    """The size and the checksum that the name of an entry tells."""
    return archive.stem.split(".")[-2:]


def _checksum(number: int) -> str:
    """Of the file with this number, wherever it has been read to. Guards against damage, not against malice."""
    found, position = 0, 0
    while piece := os.pread(number, _PIECE, position):
        found = zlib.crc32(piece, found)
        position += len(piece)
    return f"{found:08x}"


def _refuse_full_disk(said: str) -> None:
    for line in said.splitlines():
        if "No space left" in line or "quota exceeded" in line:
            raise OSError(line.removeprefix("tar: "))
