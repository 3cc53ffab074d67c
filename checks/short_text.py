"""
A column for prose is limited to a few characters.

## Why it hurts

A VARCHAR under 256 for content, descriptions or comments is too short as soon as somebody writes more, and then the
write fails.

## Do this instead

Use `sa.Text()`, and a CHECK on the length if there is a meaningful limit.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Columns for codes, names and the like.

## References

- <https://www.postgresql.org/docs/current/datatype-character.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    Concern,
    Context,
    CreateTable,
    Example,
    Group,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    implications,
    types,
)

RULE = Rule(
    id="short-text",
    summary="longer texts are rejected",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable() | AddColumn():
            for table, column in implications.new_columns(subject):
                if (
                    _LENGTH.fullmatch(types.canonical(column.type))
                    and column.name.lower().split("_")[-1] in _PROSE
                    and _length(column.type) < 256
                ):
                    yield concern(
                        f"`{table}.{column.name}` accepts only {_length(column.type)} characters.",
                        about=about.column(table, column.name, RULE.id),
                    )


_PROSE = frozenset(
    [
        "content",
        "body",
        "description",
        "bio",
        "comment",
        "comments",
        "note",
        "notes",
        "message",
        "text",
        "summary",
        "details",
        "about",
    ]
)
_LENGTH = re.compile(r"character varying\((\d+)\)")


def _length(type_: str) -> int:
    found = _LENGTH.fullmatch(types.canonical(type_))
    return int(found[1]) if found else 0


EXAMPLES = [
    Example(
        "a new table",
        upgrade="""
        op.create_table(  # flagged
            "things",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("description", sa.String(200)),
        )
        """,
    ),
    Example(
        "text without a limit",
        upgrade="""
        op.create_table(
            "things",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("description", sa.Text()),
        )
        """,
    ),
]
