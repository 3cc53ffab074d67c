"""Folders for one run: created, locked and removed, and recognised when a killed run has left them behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from reviewer.errors import CannotReview
from reviewer.host.guardian import GIVE_UP_AFTER, Guardian, end_processes_on, give_back_memory

PREFIX = "alembic-reviewer-"
MEMORY_FOLDER = Path("/dev/shm")

_OWNER = "owner"
_SECONDS_TO_BEGIN = 600.0
"""One of our folders that is as old as this and still empty was left by a run that was killed just after creating it.
"""


@contextmanager
def work_folder(guardian: Guardian) -> Iterator[Path]:
    """A folder for our own files in the user's folder for temporary files.

    Raises:
        CannotReview: none can be created.
    """
    unusable = []
    for base in temporary_folders():
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(own_folder(base, guardian, serves=False))
            except OSError as error:
                unusable.append(f"{base} ({error.strerror})")
                continue
            yield folder
            return
    raise CannotReview(
        f"No temporary folder can be created: {', '.join(unusable)}.",
        "Free some space, or set TMPDIR to another folder for temporary files.",
    )


def temporary_folders() -> list[Path]:
    """Where to put temporary files, best first.

    The same places as in `tempfile`, which writes a file into each as a test: a signal in
    between would leave that file there.
    """
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    usual = [*named, "/tmp", "/var/tmp", "/usr/tmp"]
    return list(dict.fromkeys(Path(each).absolute() for each in usual if each and os.path.isdir(each)))  # noqa: PTH112


@contextmanager
def own_folder(base: Path, guardian: Guardian, *, serves: bool = True) -> Iterator[Path]:
    """A new folder in `base` that only we can enter. It is removed at the end, and processes that still use it are
    ended.

    `serves`: processes that we do not know of may use it, such as those that a server started. Searching for them
    takes time in proportion to the number of processes on the machine.

    Raises:
        OSError: it cannot be created there.
    """
    clear_stale_folders()
    folder, watched = guardian.make_folder(base, PREFIX)
    with ExitStack() as until_removed:  # otherwise another reviewer would take us for dead meanwhile
        try:
            until_removed.enter_context(_owned(folder))
            yield folder
        finally:
            if serves:
                end_processes_on(str(folder))
                give_back_memory(folder / "data")
                _remove_many(folder, "data")
            for _ in range(3):
                shutil.rmtree(folder, ignore_errors=True)
                if not folder.exists():
                    guardian.forget(watched)
                    break
                end_processes_on(str(folder))  # something still writes in it
            # What cannot be removed now is left to the guardian, which tries again.


def _remove_many(folder: Path, name: str) -> None:
    """Remove `name` in `folder`, which may hold tens of thousands of files: Python takes twice as long as `rm`. What is
    left is not reported.
    """
    # Without the path of the folder among its arguments, nobody takes it for a process of the server.
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["rm", "-rf", "--", name], cwd=folder, capture_output=True, timeout=GIVE_UP_AFTER, check=False
        )


def clear_stale_folders() -> None:
    """Remove the folders of earlier runs of the same user, whose reviewer and guardian are both dead.

    A living reviewer holds a lock on a file in its folder. The system releases it with the process and in no
    other way, so our file that can be locked proves that its run is dead, whatever its process id was.
    """
    for base in {MEMORY_FOLDER, *temporary_folders()}:
        with suppress(OSError), os.scandir(base) as entries:
            for folder in [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]:
                with suppress(OSError):
                    _clear_if_stale(folder)


def _clear_if_stale(folder: Path) -> None:
    try:
        owner = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        made = folder.stat(follow_symlinks=False)
        if made.st_uid == os.geteuid() and time.time() - made.st_mtime > _SECONDS_TO_BEGIN:
            folder.rmdir()  # which fails if anything is in it
        return
    try:
        # Somebody else could create a folder of this name, but not our file in it.
        if os.fstat(owner).st_uid != os.geteuid():
            return
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        end_processes_on(str(folder))
        give_back_memory(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(owner)


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    # Locked before it gets its name, so nobody who sees it under that name takes it for a dead run's.
    nameless = folder / f".{_OWNER}"
    owner = os.open(nameless, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # a file system without locks: its folders are never considered stale
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            nameless.rename(folder / _OWNER)
        os.write(owner, b"held as long as its owner lives\n")  # on a full disk files can be created but not written
        yield
    finally:
        os.close(owner)
