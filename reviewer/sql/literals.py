"""What hides the words and semicolons of a text: its strings, quoted names and comments, found without reading more.

Source: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>. Enough to cut a text into statements, and
to keep from sqlglot's tokenizer what it takes for something else or would read letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class Hidden(Enum):
    """What a mark stands for."""

    COMMENT = "comment"
    STRING = "string"
    ESCAPED = "escaped"
    """A string that begins with `E`, in which a backslash escapes."""
    DOLLARS = "dollars"
    """A string between `$$` or `$tag$`."""
    QUOTED = "quoted"
    """A name in double quotes."""
    SEMICOLON = "semicolon"


class Mark(NamedTuple):
    """A part of a text that is no code, or a semicolon that is."""

    kind: Hidden
    start: int
    end: int
    closed: bool
    """False where the text ends before the part does."""


_IN_NAME = "A-Za-z0-9_$\u0080-\U0010ffff"
_TAG = "[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*"
_MARK = re.compile(
    rf"""
      (?P<semicolon> ; )
    | (?P<line> --[^\n\r]* )
    | (?P<block> /\* )
    | (?P<escaped> (?<![{_IN_NAME}])[eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*(?P<_1>'|\Z|\\\Z) )
    | (?P<string> '[^']*(?:''[^']*)*(?P<_2>'|\Z) )
    | (?P<quoted> "[^"]*(?:""[^"]*)*(?P<_3>"|\Z) )
    | (?P<dollars> (?<![{_IN_NAME}])(?P<quote>\$(?:{_TAG})?\$)(?:.*?(?P<_4>(?P=quote))|.*) )
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "escaped": (Hidden.ESCAPED, "_1"),
    "string": (Hidden.STRING, "_2"),
    "quoted": (Hidden.QUOTED, "_3"),
    "dollars": (Hidden.DOLLARS, "_4"),
}
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_BLANK = re.compile(r"(?:[ \t\n\r\f\v]+|--[^\n\r]*)+")


def marks(sql: str, start: int = 0) -> Iterator[Mark]:
    """The parts of `sql` from `start` on, in order. Takes time in proportion to the text."""
    position = start
    while found := _MARK.search(sql, position):
        group = found.lastgroup or ""
        if group == "semicolon":
            mark = Mark(Hidden.SEMICOLON, found.start(), found.end(), True)
        elif group == "line":
            mark = Mark(Hidden.COMMENT, found.start(), found.end(), True)
        elif group == "block":
            end = _end_of_comment(sql, found.end())
            mark = Mark(Hidden.COMMENT, found.start(), len(sql) if end is None else end, end is not None)
        else:
            kind, closing = _KINDS[group]
            closed = found.group(closing) not in {None, "", "\\"}
            mark = Mark(kind, found.start(), found.end(), closed)
        yield mark
        position = mark.end


def skip_blank(sql: str, start: int) -> int:
    """Where the first thing from `start` on is that is neither white space nor a comment."""
    position = start
    while True:
        if found := _BLANK.match(sql, position):
            position = found.end()
        if not sql.startswith("/*", position):
            return position
        end = _end_of_comment(sql, position + 2)
        if end is None:
            return position
        position = end


def _end_of_comment(sql: str, start: int) -> int | None:
    """Where a comment that is open at `start` ends, with those inside it."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return None
