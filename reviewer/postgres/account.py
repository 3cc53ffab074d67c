"""The operating system account under which a server runs: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from msgspec import Struct

from reviewer.errors import ServerError
from reviewer.host.guardian import MARK


class Account(Struct, frozen=True):
    """An account that a program can run under. `drop` means that root privileges are dropped for it."""

    uid: int
    gid: int
    drop: bool

    def can_use(self, path: Path) -> bool:
        """Return whether the account can reach `path` through its parents and read it (or, for a folder, enter and
        list it).
        """
        if not self.drop:
            return os.access(path, os.R_OK)
        resolved = path.resolve()
        readable = stat.S_IROTH | (stat.S_IXOTH if resolved.is_dir() else 0)
        return self._has(resolved, readable) and self.can_enter(resolved.parent)

    def can_enter(self, folder: Path) -> bool:
        """Return whether the account can reach files in `folder`, given their names."""
        if not self.drop:
            return os.access(folder, os.X_OK)
        return all(self._has(parent, stat.S_IXOTH) for parent in [folder, *folder.parents])

    def _has(self, path: Path, others: int) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return found.st_mode & (others << shift) == others << shift

    def run(
        self, command: Sequence[str], *, timeout: float, stdin: int = subprocess.DEVNULL, mark: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` to its end with the file descriptor `stdin` as its input. Returns its output, including
        errors. The guardian recognizes it and everything that it starts by `mark`.

        Raises:
            OSError: it could not be started.
            subprocess.TimeoutExpired: it did not end within `timeout` seconds.
        """
        user, group, groups = self._identity
        return subprocess.run(
            command,
            user=user,
            group=group,
            extra_groups=groups,
            env=clean_environment(mark),
            cwd="/",
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            timeout=timeout,
            check=False,
        )

    def spawn(self, command: Sequence[str], log: IO[bytes], mark: str) -> subprocess.Popen[bytes]:
        """Start `command` in its own session, with all its output going to `log`. `mark` is the same as for `run`."""
        user, group, groups = self._identity
        return subprocess.Popen(
            command,
            user=user,
            group=group,
            extra_groups=groups,
            env=clean_environment(mark),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    @property
    def _identity(self) -> tuple[int | None, int | None, list[int] | None]:
        return (self.uid, self.gid, []) if self.drop else (None, None, None)


def server_account() -> Account:
    """Return the account for a server that this process starts: its own, or an unprivileged one if it runs as root.

    `nobody` comes before `postgres`: migrations can become the server's superuser, which can reach everything that
    the account can, and `postgres` may own the files of real servers on this machine.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), drop=False)
    for name in ("nobody", "daemon", "postgres"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, drop=True)
    raise ServerError(
        "PostgreSQL refuses to run as root, and there is no account `nobody`, `daemon` or `postgres` to run it under.",
        "Run alembic-reviewer as an ordinary user, or add such an account.",
    )


def clean_environment(mark: str = "") -> dict[str, str]:
    """Return the environment for a server: nothing from the user's except the search paths of shared libraries and
    TZDIR.
    """
    kept = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "TZDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {MARK: mark} if mark else {}
    return environment | {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}
