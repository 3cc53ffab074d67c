"""Reading and writing files that a user names or that we find, without ever blocking on a pipe.

`open` blocks until somebody writes to a named pipe, or reads from it: forever if nobody does.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


def read(path: Path, most: int = -1) -> bytes:
    """The contents of the file `path`, at most `most` bytes of it unless that is negative.

    A pipe is read to its end if somebody writes to it.

    Raises:
        OSError: it cannot be read, or is a pipe without a writer.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(number, "rb") as stream:  # noqa: PTH123 - of a number, not of a path
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            os.set_blocking(number, True)
        found = stream.read(most)
        if not found and stat.S_ISFIFO(mode):
            raise OSError(errno.ENXIO, "it is a pipe without a writer", str(path))
        return found


class Stamp(NamedTuple):
    """What changes when a file is written or replaced."""

    device: int
    inode: int
    written: int
    """In nanoseconds."""
    size: int


def read_regular(path: Path, largest: int | None = None) -> bytes:
    """The contents of the regular file `path`.

    Raises:
        OSError: it cannot be read, is a pipe, a folder, a socket or a device, or has more than `largest` bytes.
    """
    return read_stamped(path, largest)[0]


def read_stamped(path: Path | str, largest: int | None = None) -> tuple[bytes, Stamp]:
    """The contents of the regular file `path`, and what it looked like before they were read.

    Raises:
        OSError: as `read_regular` does.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    # unbuffered: of a thousand files it takes half as long
    with open(number, "rb", buffering=0) as stream:  # noqa: PTH123 - as above
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if largest is not None and found.st_size > largest:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        text = stream.read() if largest is None else stream.read(largest)
        return text, Stamp(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def why_unwritable(path: Path, *, makes_folders: bool = False) -> str:
    """Why the file `path` cannot be written, as far as that shows without an attempt; empty if nothing speaks against
    it. To be asked before the work instead of after it. `makes_folders`: missing folders are created.
    """
    if path.is_dir():
        return "it is a folder"
    if path.exists():
        return "" if os.access(path, os.W_OK) else "it is write-protected"
    folder = path.absolute().parent
    if makes_folders:
        folder = next(each for each in (folder, *folder.parents) if each.exists())
    if not folder.is_dir():
        return f"{folder} is no folder" if folder.exists() else f"there is no folder {folder}"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"the folder {folder} is write-protected"


def write(path: Path, text: str) -> None:
    """Write `text` to the file `path`; a new file is removed again if the text does not fit.

    Raises:
        OSError: it cannot be written, or is a pipe without a reader.
    """
    there = os.path.lexists(path)
    number = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o666
    )
    try:
        with open(number, "w", encoding="utf-8", newline="") as stream:  # noqa: PTH123 - as above
            os.set_blocking(number, True)
            stream.write(text)
    except BaseException:
        if not there:
            with suppress(OSError):
                path.unlink()
        raise


def keep_newest(paths: Iterable[Path], most: int) -> None:
    """Remove all but the `most` files that were written or touched last. One that cannot be removed stays."""

    def written(path: Path) -> float:
        with suppress(OSError):
            return path.stat().st_mtime
        return 0.0

    for path in sorted(paths, key=written, reverse=True)[most:]:
        with suppress(OSError):
            path.unlink()


def why(error: OSError) -> str:
    """The reason for `error`, for the end of a sentence."""
    if error.errno == errno.ENXIO and error.strerror == os.strerror(errno.ENXIO):  # when opened for writing
        return "it is a pipe without a reader"
    return error.strerror or str(error)
