"""Writes changed files: all of them or none."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from reviewer.errors import UsageError
from reviewer.host import files

_AGAIN = "Nothing was written. Run it again."


class _Ready(Struct, frozen=True):
    place: Path
    written: Path
    """The new content, beside it."""
    old: bytes | None


def write(root: Path, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
    """Have the files below `root` hold `after`, if they still hold `before`; what is not in `before` is new.

    Raises:
        UsageError: one of them has changed or cannot be written, and none was.
    """
    ready: list[_Ready] = []
    try:
        for path, data in sorted(after.items()):
            ready.append(_prepared(root / path, path, before.get(path), data))
        _put(ready)
    finally:
        for each in ready:
            with suppress(OSError):
                each.written.unlink()


def _prepared(place: Path, path: str, old: bytes | None, data: bytes) -> _Ready:
    try:
        mode = 0o666 & ~_umask()
        if old is None:
            if os.path.lexists(place):
                raise UsageError(f"The file {path} already exists. {_AGAIN}")
            place.parent.mkdir(parents=True, exist_ok=True)
        else:
            place = place.resolve()
            if files.read_regular(place) != old:
                raise UsageError(f"{path} has changed since it was reviewed.", _AGAIN)
            mode = stat.S_IMODE(place.stat().st_mode)
            if not os.access(place, os.W_OK):
                raise UsageError(
                    f"{path} is read-only.", "Nothing was written. Make it writable, and run it again."
                )
        number, name = tempfile.mkstemp(prefix=".alembic-reviewer-", dir=place.parent)
        with open(number, "wb") as stream:  # noqa: PTH123 - of a number, not of a path
            stream.write(data)
        Path(name).chmod(mode)
    except FileNotFoundError:
        raise UsageError(f"{path} is gone since it was reviewed.", _AGAIN) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {files.why(error)}.",
            "Nothing was written. Check the permissions of its folder.",
        ) from None
    return _Ready(place, Path(name), old)


def _put(ready: list[_Ready]) -> None:
    done: list[_Ready] = []
    try:
        for each in ready:
            each.written.replace(each.place)
            done.append(each)
    except BaseException as error:
        for each in reversed(done):
            with suppress(OSError):
                if each.old is None:
                    each.place.unlink()
                else:
                    each.place.write_bytes(each.old)
        if isinstance(error, OSError):
            raise UsageError(
                f"{ready[len(done)].place} cannot be written: {files.why(error)}.",
                "Nothing was written: the files are unchanged.",
            ) from None
        raise


def _umask() -> int:
    found = os.umask(0o077)
    os.umask(found)
    return found
