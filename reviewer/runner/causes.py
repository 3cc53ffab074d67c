"""What an exception says, and which of those behind it is the reason. Whatever they are made of, nothing here
raises.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8. An exception is the project's object: it may have a `__str__` that raises, a chain that leads back to
itself, a text of a hundred megabytes. So nothing of it is called where that can be helped, and everything is
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
"""So many exceptions behind one are looked at."""
LONGEST_TEXT = 100_000
"""Characters of an exception's text that are looked at."""
LINES, LONGEST_LINE = 12, 400
"""Of what is told of one exception."""
LONGEST_NAME = 200

DRIVERS = ("psycopg", "psycopg2", "asyncpg", "pg8000", "psycopg_pool", "sqlalchemy.dialects.postgresql")
_NOISE = (
    "(Background on this error at",
    "For further information visit",
    "[SQL: ",
    "[parameters: ",
    "[cached since ",
)
# pydantic shows what it was given: that may be a secret.
_GIVEN = re.compile(r",? ?input_value=.*?(?:, input_type=\w+)?(?=\]$)")
_PLACE = re.compile(r'\s*File "(.+)", line (\d+)')
_RAISE = dis.opmap["RAISE_VARARGS"]

# the descriptors of the type itself: an exception of the project's may have attributes of these names
_cause: Callable[[BaseException], Any] = vars(BaseException)["__cause__"].__get__
_context: Callable[[BaseException], Any] = vars(BaseException)["__context__"].__get__
traceback_of: Callable[[BaseException], Any] = vars(BaseException)["__traceback__"].__get__
_suppressed: Callable[[BaseException], bool] = vars(BaseException)["__suppress_context__"].__get__
_name = type.__dict__["__name__"].__get__
_module = type.__dict__["__module__"].__get__
_lineage = type.__dict__["__mro__"].__get__


# -- one exception --------------------------------------------------------------------------------


def text_of(thing: object) -> str | None:
    """`str(thing)`, or at most its beginning, whatever `thing` does when it is asked; None where it has no text."""
    try:
        text = str(thing)
        return str.__getitem__(text, slice(0, LONGEST_TEXT)) if isinstance(text, str) else None
    except BaseException:  # it is the project's, and what it raises is no answer
        return None


def attribute(thing: object, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except BaseException:
        return None


def type_name(error: object) -> str:
    return str(_name(type(error)))[:LONGEST_NAME]


def told(error: BaseException) -> str:
    """The type and the words of an exception on one line: every line that may name the cause, and no long ones."""
    name, text = type_name(error), text_of(error)
    if text is None:
        return f"{name} (what it says cannot be read)"
    said = on_one_line(text)
    return f"{name}: {said}" if said else name


def on_one_line(text: str) -> str:
    """Several lines as one sentence. A line that is indented under another one tells of it."""
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
    """What a traceback in a text comes to: its last line, with the place."""
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


# -- those behind it ------------------------------------------------------------------------------


def parts_of(error: BaseException) -> tuple[Any, ...]:
    """The exceptions of a group; none of any other."""
    if not any(_name(kind) == "BaseExceptionGroup" for kind in _lineage(type(error))):
        return ()
    parts = attribute(error, "exceptions")
    return parts[:LONGEST_CHAIN] if type(parts) is tuple else ()


def all_behind(error: BaseException) -> Iterator[BaseException]:
    """`error` and every exception that it can be traced to, by any way, each once, the nearest first."""
    waiting: list[Any] = [error]
    seen: list[BaseException] = []
    while waiting and len(seen) < LONGEST_CHAIN:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and not _is_among(each, seen):
            seen.append(each)
            yield each
            waiting += [_cause(each), _context(each), *parts_of(each), attribute(each, "orig")]


def _is_among(error: BaseException, seen: list[BaseException]) -> bool:
    """Whether it is one of them: what an exception of the project's is equal to, and its hash, are its own business."""
    return any(each is error for each in seen)


def said_causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it says it was raised from, and so on."""
    seen: list[BaseException] = []
    while error is not None and not _is_among(error, seen) and len(seen) < LONGEST_CHAIN:
        seen.append(error)
        yield error
        error = _cause(error)


def refused(error: BaseException) -> Any:
    """The driver's exception, where `error` is one, or SQLAlchemy's for one; else None."""
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
    """The exception behind `error` that says why: a statement that was refused or a module that is missing, else itself.

    What an exception was raised `from` is its reason. What was being handled when it was raised is so only where
    somebody has put that into other words with a `raise`; an error that merely happens in a handler stands for
    itself, and so does a NotImplementedError, with which a revision says that there is no way. `ours` tells files
    of the project's migrations.
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
    """The refused statement that was being handled when `error` was raised, if there was one."""
    if isinstance(error, NotImplementedError) or _suppressed(error):
        return None
    context = _context(error)
    return context if context is not None and refused(context) is not None else None


def _puts_in_words(error: BaseException, ours: Callable[[str], bool]) -> bool:
    """Whether `error` was raised by a `raise` (or sys.exit) that answers what was being handled."""
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
    """The exception in a group that is told: the first one with a statement that was refused, else the first."""
    for _ in range(LONGEST_CHAIN):
        parts = [part for part in parts_of(error) if isinstance(part, BaseException)]
        if not parts:
            return error
        error = next(
            (part for part in parts if any(refused(each) is not None for each in all_behind(part))), parts[0]
        )
    return error
