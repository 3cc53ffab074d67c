"""
The statement is not understood, so its text was not checked.

## Why it hurts

What is not understood cannot be reviewed: it may do anything. If it ran on a server, its locks, scans and rewrites
were still observed; its effects on data and running code were not. A DO block or a procedure is recognised as such,
but without a server its effects are unknown.

## Do this instead

Review it by hand. If it is plain SQL that PostgreSQL accepts, please report it.

## Not flagged

- DO blocks and calls that ran on a server: their effects on tables were observed.

## References

- <https://www.postgresql.org/docs/current/sql-do.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Call,
    Concern,
    Context,
    Direction,
    DoBlock,
    Example,
    Group,
    Rule,
    Severity,
    Subject,
    Unrecognized,
    about,
    concern,
)

RULE = Rule(
    id="unrecognized-statement",
    summary="its text was not checked",
    severity=Severity.NOTICE,
    group=Group.NOT_WORKING,
    directions=frozenset({Direction.UPGRADE, Direction.DOWNGRADE}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Unrecognized(sql=sql) if not context.statement.error:
            yield concern(
                f"The statement is not understood, so its text was not checked: `{_short(sql)}`.",
                about=about.other("statement", _short(sql)),
            )
        case DoBlock() | Call() if context.static:
            yield concern(
                f"Without a server the effects of this statement are unknown: `{_short(context.statement.sql)}`.",
                about=about.other("statement", _short(context.statement.sql)),
            )


def _short(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= 80 else text[:79] + "…"


EXAMPLES = [
    Example(
        "a schema with its tables and privileges in one statement",
        upgrade="""
        op.execute("CREATE SCHEMA app CREATE TABLE notes (id bigint PRIMARY KEY) GRANT SELECT ON notes TO PUBLIC")  # flagged
        """,
    ),
    Example(
        "a DO block that ran",
        upgrade="""
        op.execute("DO $$ BEGIN PERFORM 1; END $$")
        """,
    ),
]
