"""What an exception says, and which of the exceptions that it can be traced to is the reason. Nothing here raises,
whatever the exceptions are made of.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8. An exception is an object of the project: it may have a `__str__` that raises, a chain that leads
back to itself, or a text of a hundred megabytes. So its own code is called as little as possible, and everything is
bounded.
"""

from __future__ import annotations

import dis
import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any


LONGEST_CHAIN = 200
"""The most exceptions that are followed from one."""
LONGEST_TEXT = 100_000
"""The most characters of an exception's text that are read."""
LINES, LONGEST_LINE = 12, 400
"""Limits for the description of one exception: lines, and characters per line."""
LONGEST_NAME = 200

DRIVERS = ("psycopg", "psycopg2", "asyncpg", "pg8000", "psycopg_pool", "sqlalchemy.dialects.postgresql")
_NOISE = (
    "(Background on this error at",
    "For further information visit",
    "[SQL: ",
    "[parameters: ",
    "[cached since ",
)
# pydantic shows the input that it was given, which may be a secret.
_GIVEN = re.compile(r",? ?input_value=.*?(?:, input_type=\w+)?(?=\]$)")
_PLACE = re.compile(r'\s*File "(.+)", line (\d+)')
_RAISE = dis.opmap["RAISE_VARARGS"]

# the descriptors of the base type: an exception of the project may define attributes with these names
_cause: Callable[[BaseException], Any] = vars(BaseException)["__cause__"].__get__
_context: Callable[[BaseException], Any] = vars(BaseException)["__context__"].__get__
traceback_of: Callable[[BaseException], Any] = vars(BaseException)["__traceback__"].__get__
_suppressed: Callable[[BaseException], bool] = vars(BaseException)["__suppress_context__"].__get__
_name = type.__dict__["__name__"].__get__
_module = type.__dict__["__module__"].__get__
_lineage = type.__dict__["__mro__"].__get__


# -- one exception --------------------------------------------------------------------------------


def text_of(thing: object) -> str | None:
    """Return `str(thing)`, or its beginning, whatever `thing` does when asked; None if it has no text."""
    try:
        text = str(thing)
        return str.__getitem__(text, slice(0, LONGEST_TEXT)) if isinstance(text, str) else None
    except BaseException:  # the object belongs to the project, and what it raises is not an answer
        return None


def attribute(thing: object, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except BaseException:
        return None


def type_name(error: object) -> str:
    return str(_name(type(error)))[:LONGEST_NAME]


def told(error: BaseException) -> str:
    """Return the type and the message of an exception on one line: every line that may name the cause, long ones
    shortened.
    """
    name, text = type_name(error), text_of(error)
    if text is None:
        return f"{name} (what it says cannot be read)"
    said = on_one_line(text)
    return f"{name}: {said}" if said else name


def on_one_line(text: str) -> str:
    """Join several lines into one sentence. A line that is indented under another one explains it."""
    lines = [line.rstrip() for line in text.split("\n[SQL: ")[0].strip().splitlines() if line.strip()]
    lines = list(_without_tracebacks(line for line in lines if not line.lstrip().startswith(_NOISE)))
    more, lines = len(lines) - LINES, lines[:LINES]
    found, before = "", 0
    for line in lines:
        depth = len(line) - len(line.lstrip())
        link = "" if not found else " " if found.endswith((":", ",", ";")) else ": " if depth > before else "; "
        found += link + _shortened(_GIVEN.sub("", line.strip()))
        before = depth
    return found + (f"; and {more} more lines" if more > 0 else "")


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 4] + " ..."


def _without_tracebacks(lines: Iterable[str]) -> Iterator[str]:
    """Replace each traceback in a text with its last line and the place."""
    inside, place = False, ""
    for line in lines:
        found = _PLACE.match(line)
        if line.lstrip().startswith("Traceback (most recent call last)"):
            inside = True
        elif inside and found:
            place = f" ({os.path.basename(found.group(1))}, line {found.group(2)})"
        elif not inside:
            yield line
        elif not line[:1].isspace():
            inside = False
            yield line + place


# -- the exceptions behind one --------------------------------------------------------------------


def parts_of(error: BaseException) -> tuple[Any, ...]:
    """Return the exceptions of a group; empty for any other exception."""
    if not any(_name(kind) == "BaseExceptionGroup" for kind in _lineage(type(error))):
        return ()
    parts = attribute(error, "exceptions")
    return parts[:LONGEST_CHAIN] if type(parts) is tuple else ()


def all_behind(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and every exception that it can be traced to in any way, each once, nearest first."""
    waiting: list[Any] = [error]
    seen: list[BaseException] = []
    while waiting and len(seen) < LONGEST_CHAIN:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and not _is_among(each, seen):
            seen.append(each)
            yield each
            waiting += [_cause(each), _context(each), *parts_of(each), attribute(each, "orig")]


def _is_among(error: BaseException, seen: list[BaseException]) -> bool:
    """Return whether it is one of them, by identity: the project may define equality and hash of its exceptions."""
    return any(each is error for each in seen)


def said_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error`, the exception that it was raised `from`, and so on."""
    seen: list[BaseException] = []
    while error is not None and not _is_among(error, seen) and len(seen) < LONGEST_CHAIN:
        seen.append(error)
        yield error
        error = _cause(error)


def refused(error: BaseException) -> Any:
    """Return the driver's exception, if `error` is one or wraps one for SQLAlchemy; None otherwise."""
    lineage = [
        (str(_module(kind)) if isinstance(_module(kind), str) else "", _name(kind))
        for kind in _lineage(type(error))
    ]
    if any(module == known or module.startswith(known + ".") for module, _ in lineage for known in DRIVERS):
        return error
    if ("sqlalchemy.exc", "DBAPIError") in lineage:
        original = attribute(error, "orig")
        return original if isinstance(original, BaseException) else error
    return None


def reason(error: BaseException, ours: Callable[[str], bool]) -> BaseException:
    """Return the exception behind `error` that says why: a failed statement or a missing module; otherwise `error`
    itself.

    The reason for an exception is what it was raised `from`. The exception that was being handled is the reason
    only if a `raise` of the project replaced it with another message. An error that merely occurs in a handler
    stands for itself, and so does a NotImplementedError, with which a revision says that it cannot be reverted.
    `ours` recognizes files of the project's migrations.
    """
    for each in _reasons(error, ours, []):
        if refused(each) is not None or isinstance(each, ImportError):
            return each
    return error


def _reasons(
    error: BaseException, ours: Callable[[str], bool], seen: list[BaseException]
) -> Iterator[BaseException]:
    while error is not None and not _is_among(error, seen) and len(seen) < LONGEST_CHAIN:
        seen.append(error)
        yield error
        if isinstance(error, NotImplementedError):
            return
        for part in parts_of(error):
            yield from _reasons(part, ours, seen)
        following = _cause(error)
        if following is None and not _suppressed(error):
            following = _context(error) if _puts_in_words(error, ours) else None
        error = following


def being_handled(error: BaseException) -> BaseException | None:
    """Return the failed statement's exception that was being handled when `error` was raised; None if there was
    none.
    """
    if isinstance(error, NotImplementedError) or _suppressed(error):
        return None
    context = _context(error)
    return context if context is not None and refused(context) is not None else None


def _puts_in_words(error: BaseException, ours: Callable[[str], bool]) -> bool:
    """Return whether `error` was raised by a `raise` (or sys.exit) that replaces the exception that was being
    handled.
    """
    if isinstance(error, SystemExit):
        return True
    last = traceback_of(error)
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    caught = traceback_of(_context(error)) if _context(error) is not None else None
    if last is None or caught is None:
        return False
    code = last.tb_frame.f_code
    raised = code.co_code[last.tb_lasti] == _RAISE
    return raised and (last.tb_frame is caught.tb_frame or ours(code.co_filename))


def without_groups(error: BaseException) -> BaseException:
    """Return the exception of a group to report: the first one that concerns a failed statement, or else the first."""
    for _ in range(LONGEST_CHAIN):
        parts = [part for part in parts_of(error) if isinstance(part, BaseException)]
        if not parts:
            return error
        error = next(
            (part for part in parts if any(refused(each) is not None for each in all_behind(part))), parts[0]
        )
    return error
