"""Statements of pg_stat_statements without anything that could be a value.

PostgreSQL writes `$1` for constants, but older versions do not do so in utility commands, and comments are kept.
"""

from __future__ import annotations

import re

from reviewer.sql.literals import Hidden, marks

_KEPT = re.compile(r"[\s(]*(select|insert|update|delete|merge|with|values)\b", re.IGNORECASE)
"""The beginnings of statements that are kept. Others are utility commands, which may hold a password."""
_NUMBER = re.compile(r"(?<![\w$\u0080-\U0010ffff])(?:\d|\.\d)[\w.]*")


def normalised(text: str) -> str | None:
    """Return `text` on one line, without comments and with `?` in place of each constant; None for a utility
    command, and for text that cannot be read.
    """
    parts: list[str] = []
    position = 0
    for mark in marks(text):
        if not mark.closed:
            return None
        parts.append(_NUMBER.sub("?", text[position : mark.start]))
        match mark.kind:
            case Hidden.COMMENT:
                parts.append(" ")
            case Hidden.QUOTED | Hidden.SEMICOLON:
                parts.append(text[mark.start : mark.end])
            case _:
                parts.append("?")
        position = mark.end
    parts.append(_NUMBER.sub("?", text[position:]))
    found = " ".join("".join(parts).split())
    return found if _KEPT.match(found) else None
