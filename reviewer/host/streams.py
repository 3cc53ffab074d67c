"""The standard streams of a command, which its caller may have closed, filled or stopped reading."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from reviewer.errors import UsageError

_closed: set[int] = set()
"""Numbers of the streams that were closed when we started."""


def hold() -> None:
    """Open closed streams on `/dev/null`.

    Otherwise the next file that is opened would take the number of one, and be read or written in its place: by us,
    and by every process that we start. Call it before anything is opened.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _closed.add(number)
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free, which is this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # how Python marks a closed one
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as we live
        with suppress(AttributeError, ValueError, OSError):
            # A character that its encoding lacks is escaped, and is no reason to fail.
            getattr(sys, name).reconfigure(errors="backslashreplace")


def refuse_closed_output() -> None:
    """Raises `UsageError` if standard output cannot be written: checked before the work, not after it."""
    if 1 in _closed:
        raise UsageError(
            "The report cannot be written to standard output: it is closed.",
            "Name a file for it with --output FILE.",
        )


def write(text: str) -> None:
    """Write `text`, and a newline if it has none, to standard output.

    A reader that stops early, as `head` does, has seen enough: that is not a failure. Raises `UsageError` if the
    disk is full.
    """
    _written(lambda: sys.stdout.write(text if text.endswith("\n") else text + "\n"))


def write_bytes(data: bytes) -> None:
    """Write `data` as it is to standard output. See `write`."""
    _written(lambda: sys.stdout.buffer.write(data))


def _written(send: Callable[[], object]) -> None:
    refuse_closed_output()
    try:
        send()
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(1)
    except OSError as error:
        _silence(1)
        raise UsageError(
            f"The report cannot be written to standard output: {error.strerror}.",
            "Free some space there, or name a file for it with --output FILE.",
        ) from None


def say(text: str) -> None:
    """Write `text` as a line to standard error, if that is open."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        _silence(2)


def failed(error: OSError) -> int:
    """The exit status if a help page could not be written, after printing a sentence that says so."""
    for number in (1, 2):
        try:
            (sys.stdout if number == 1 else sys.stderr).flush()
        except OSError:
            _silence(number)
    say(f"alembic-reviewer: The output cannot be written: {error.strerror or error}.")
    return UsageError.exit_status


def _silence(number: int) -> None:
    # What is still in the buffer would be written again at exit, and fail again.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
