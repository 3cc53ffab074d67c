"""
The statement is not understood, so nothing that its text means was checked.

## Why it hurts

What is not understood cannot be judged: it may do anything. Where it ran on a server, what it locked, read and wrote anew
was still observed; what it means for data and running code was not. A DO block, or a procedure, is understood as such,
but without a server nobody sees what it does.

## Do this instead

Review it by hand. Where it is plain SQL that PostgreSQL takes, it is worth a report.

## Not flagged

- DO blocks and calls that ran on a server: what they do to tables was seen.

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
    concern,
)

RULE = Rule(
    id="unrecognized-statement",
    summary="nothing that its text means was checked",
    severity=Severity.NOTICE,
    group=Group.NOT_WORKING,
    directions=frozenset({Direction.UPGRADE, Direction.DOWNGRADE}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Unrecognized(sql=sql) if not context.statement.error:
            yield concern(
                f"The statement is not understood, and was not checked by its text: `{_short(sql)}`.",
                about=("statement", _short(sql)),
            )
        case DoBlock() | Call() if context.static:
            yield concern(
                f"Without a server nobody sees what this does: `{_short(context.statement.sql)}`.",
                about=("statement", _short(context.statement.sql)),
            )


def _short(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= 80 else text[:79] + "…"


EXAMPLES = [
    Example(
        "a schema with its tables in one statement",
        upgrade="""
        op.execute("CREATE SCHEMA app CREATE TABLE notes (id bigint PRIMARY KEY)")  # flagged
        """,
    ),
    Example(
        "a DO block that ran",
        upgrade="""
        op.execute("DO $$ BEGIN PERFORM 1; END $$")
        """,
    ),
]
