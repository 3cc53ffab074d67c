"""
The table is empty after a crash, and is not replicated.

## Why it hurts

An UNLOGGED table writes no WAL: it is fast, but its rows are lost after a crash or an unclean shutdown. A standby
that takes over has none of them.

## Do this instead

Leave out UNLOGGED, unless the rows can be recreated at any time.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Temporary tables.

## References

- <https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-UNLOGGED>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    CreateTable,
    Example,
    Group,
    Rule,
    SetLogged,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="unlogged-table",
    summary="its rows are lost after a crash",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable(table=table, unlogged=True) | SetLogged(table=table, logged=False):
            yield concern(
                f"`{table}` is unlogged: it is empty after a crash, and on every standby.",
                about=about.table(table, RULE.id),
            )


EXAMPLES = [
    Example(
        "unlogged",
        upgrade="""
        op.create_table("cache", sa.Column("key", sa.Text(), primary_key=True), prefixes=["UNLOGGED"])  # flagged
        """,
    ),
    Example(
        "logged",
        upgrade="""
        op.create_table("cache", sa.Column("key", sa.Text(), primary_key=True))
        """,
    ),
]
