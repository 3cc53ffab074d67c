"""What hides words and semicolons in a text: strings, quoted names and comments, found without reading more.

Source: <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>. Enough to cut a text into statements, and
to keep from sqlglot's tokenizer what it would misread or read character by character.
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
    """A part of a text that is not code, or a semicolon that is."""

    kind: Hidden
    start: int
    end: int
    closed: bool
    """False if the text ends before the part does."""


_IN_NAME = "A-Za-z0-9_$\u0080-\U0010ffff"
_TAG = "[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*"
_MARK = re.compile(
    rf"""
      (?P<semicolon> ; )
    | (?P<line> --[^\n\r]* )
    | (?P<block> /\* )
    | (?P<escaped> (?<![{_IN_NAME}])[eE]' )
    | (?P<string> ' )
    | (?P<quoted> " )
    | (?P<dollars> (?<![{_IN_NAME}])\$(?:{_TAG})?\$ )
    """,
    re.VERBOSE,
)
_ESCAPED_QUOTE = re.compile(r"''|\\.|'", re.DOTALL)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_BLANK = re.compile(r"[ \t\n\r\f\v]+|--[^\n\r]*")


# Up to a thousand parts that contain no semicolon and need no further look: a loop in C.
_RUN = re.compile(
    r"""(?: [^;'"$/eE-]+ | [eE](?!') | -(?!-) | /(?!\*) | '[^']*' | "[^"]*" ){1,1000}""",
    re.VERBOSE,
)


def end_of_statement(sql: str, start: int) -> int | None:
    """Position of the next semicolon that is code, or the end of the text; None if a part of it is unterminated.

    For skipped text: many times faster than `marks`.
    """
    position = start
    while position < len(sql):
        if run := _RUN.match(sql, position):
            position = run.end()
            continue
        mark = next(marks(sql, position), None)
        if mark is None:
            return len(sql)
        if mark.kind is Hidden.SEMICOLON:
            return mark.start
        if not mark.closed:
            return None
        position = mark.end
    return len(sql)


def marks(sql: str, start: int = 0) -> Iterator[Mark]:
    """The parts of `sql` from `start` on, in order. Takes time in proportion to the text."""
    position = start
    while found := _MARK.search(sql, position):
        position = found.end()
        end: int | None = position
        match found.lastgroup:
            case "semicolon":
                kind = Hidden.SEMICOLON
            case "line":
                kind = Hidden.COMMENT
            case "block":
                kind, end = Hidden.COMMENT, _end_of_comment(sql, position)
            case "escaped":
                kind, end = Hidden.ESCAPED, _end_of_escaped(sql, position)
            case "string":
                kind, end = Hidden.STRING, _end_of_quoted(sql, position, "'")
            case "quoted":
                kind, end = Hidden.QUOTED, _end_of_quoted(sql, position, '"')
            case _:
                kind = Hidden.DOLLARS
                at = sql.find(found.group(), position)
                end = at + len(found.group()) if at >= 0 else None
        position = len(sql) if end is None else end
        yield Mark(kind, found.start(), position, end is not None)


def skip_blank(sql: str, start: int) -> int:
    """Position of the first character from `start` on that is neither white space nor part of a comment."""
    position = start
    while True:
        while found := _BLANK.match(sql, position):
            position = found.end()
        if not sql.startswith("/*", position):
            return position
        end = _end_of_comment(sql, position + 2)
        if end is None:
            return position
        position = end


def _end_of_quoted(sql: str, start: int, quote: str) -> int | None:
    """End of the literal that is open at `start`, in which a doubled quote counts as one."""
    position = start
    while (at := sql.find(quote, position)) >= 0:
        if sql[at + 1 : at + 2] != quote:
            return at + 1
        position = at + 2
    return None


def _end_of_escaped(sql: str, start: int) -> int | None:
    for edge in _ESCAPED_QUOTE.finditer(sql, start):
        if edge.group() == "'":
            return edge.end()
    return None


def _end_of_comment(sql: str, start: int) -> int | None:
    """End of the comment that is open at `start`, including nested ones."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return None
