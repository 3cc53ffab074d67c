"""Statements of pg_stat_statements without anything that could be a value.

PostgreSQL writes `$1` for constants, but older versions do not in commands, and comments stay as they are.
"""

from __future__ import annotations

import re

from reviewer.sql.literals import Hidden, marks

_KEPT = re.compile(r"[\s(]*(select|insert|update|delete|merge|with|values)\b", re.IGNORECASE)
"""What a statement begins with that is kept: others are commands, which may hold a password."""
_NUMBER = re.compile(r"(?<![\w$\u0080-\U0010ffff])(?:\d|\.\d)[\w.]*")


def normalised(text: str) -> str | None:
    """`text` in one line, without comments, `?` in place of each constant; None for a command and for what cannot be
    read.
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
