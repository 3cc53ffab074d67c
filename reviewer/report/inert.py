"""Foreign text made harmless: SQL, names, paths and messages come from the project, and can contain anything.

Invisible characters (control characters, ANSI escapes, bidirectional marks, zero-width and odd spaces, lone
surrogates) are shown as the escapes that Python's `repr` uses, so that they have no effect and are visible.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

LONGEST_SENTENCE = 2_000
"""Characters of a message that a report for people shows."""
LONGEST_NAME = 300
"""Characters of a path, a name or a value that a report for people shows."""


def visible(text: str) -> str:
    """`text` on one line, everything invisible in it escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def spelled(text: str) -> str:
    """`text` with its lone surrogates as their escapes, so that it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def name(text: str) -> str:
    """A path, a name or a value: on one line, invisible characters escaped, truncated if it is far too long."""
    return visible(cut(text, LONGEST_NAME))


def sentence(text: str) -> str:
    """A message: line breaks folded to spaces, invisible characters escaped, truncated if it is far too long."""
    return visible(" ".join(cut(text, LONGEST_SENTENCE).split()))


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, ending with a note if some are left out."""
    return text if len(text) <= limit else text[: limit - 4] + " ..."


class Excerpt(Struct, frozen=True):
    """The beginning of a longer text, line by line."""

    lines: tuple[str, ...]
    note: str
    """What was left out, `12 more lines`; empty if nothing was."""


def excerpt(text: str, *, lines: int, columns: int) -> Excerpt:
    """At most `lines` lines of at most `columns` characters each, common indentation and blank edges removed."""
    text = spelled(text)
    head = text[: lines * (columns + 1) * 2]
    whole = len(head) == len(text)
    block = textwrap.dedent(_plain_breaks(head)).strip("\n").rstrip().expandtabs(4)
    found = block.split("\n")
    shown = tuple(visible(cut(line, columns)) for line in found[:lines])
    if whole and len(found) <= lines and all(len(line) <= columns for line in found):
        return Excerpt(shown, "")
    more = text.count("\n") + 1 - len(shown)
    note = f"{more:,} more {'line' if more == 1 else 'lines'}, " if more > 0 else ""
    return Excerpt(shown, f"{note}{len(text):,} characters in total")


def block(text: str, *, limit: int | None = None) -> str:
    """Several lines, each with its invisible characters escaped; at most about `limit` characters."""
    whole = text if limit is None else text[:limit]
    shown = "\n".join(visible(line.expandtabs(4)) for line in _plain_breaks(whole).split("\n"))
    return shown if len(whole) == len(text) else f"{shown} ..."


def without_commands(page: str) -> str:
    """`page` without anything that GitHub's runner takes for a workflow command when it is printed in a job.

    The runner obeys a line that begins, white space aside, with `::`, and `##[` anywhere in a line.
    https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
    """
    return re.sub(r"(?m)^([^\S\n]*):(?=:)", r"\1\\x3a", page.replace("##[", r"##\x5b"))


def json_text(value: object) -> str:
    """`value` as JSON in ASCII, the same for the same value, and inert on a job's output.

    A lone surrogate, as in the name of a file that is not UTF-8, becomes its escape: strict readers refuse it.
    """
    text = _dumped(value)
    if "\\ud" in text:
        text = _dumped(_all_spelled(value))
    return text.replace("##[", r"##\u005b") + "\n"


def _dumped(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)


def _all_spelled(value: object) -> object:
    match value:
        case str():
            return spelled(value)
        case Mapping():
            return {_all_spelled(key): _all_spelled(each) for key, each in value.items()}
        case list() | tuple():
            return [_all_spelled(each) for each in value]
        case _:
            return value


def json_value(value: object) -> object:
    """`value` as JSON can hold it: what it cannot becomes text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Enum():
            return json_value(value.value)
        case Mapping():
            return {str(key): json_value(each) for key, each in value.items()}
        case list() | tuple():
            return [json_value(each) for each in value]
        case set() | frozenset():
            return sorted(str(each) for each in value)
        case _:
            return str(value)


def _plain_breaks(text: str) -> str:
    return text.replace("\r\n", "\n")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
