"""
TRUNCATE destroys every row of the table, and locks everybody out.

## Why it hurts

All rows are deleted at once, and no downgrade restores them. `TRUNCATE ... CASCADE` also empties every table that
has a foreign key to it, without naming any of them. `ACCESS EXCLUSIVE` is taken on all of them: reads wait until
the commit.

## Do this instead

Specify which rows to delete, and delete them in batches outside the migration's transaction, after copying what may
be needed again. Never use CASCADE: list the tables.

## Not flagged

- Tables that the same deploy has created.

## References

- <https://www.postgresql.org/docs/current/sql-truncate.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Rule,
    Severity,
    Subject,
    Truncate,
    about,
    concern,
)

RULE = Rule(
    id="truncated-table",
    summary="every row is deleted",
    severity=Severity.ERROR,
    group=Group.LOSING_DATA,
    lock=LockMode.ACCESS_EXCLUSIVE,
    replaces=frozenset({"blocking-statement"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Truncate(table=table, cascade=cascade) if context.exists(table):
            others = _others(context) if cascade else []
            with_it = ""
            if others:
                with_it = f", and with it all rows of {', '.join(f'`{other}`' for other in others)}, which it does not name"
            elif cascade and not context.observed:
                with_it = ", and of every table that has a foreign key to it"
            yield concern(
                f"TRUNCATE destroys all rows of `{table}`{with_it}.",
                about=about.table(table),
                evidence={"cascades_to": others} if others else None,
            )


def _others(context: Context) -> list[str]:
    said = context.observation.messages if context.observation else ()
    return [name for message in said for name in re.findall(r'truncate cascades to table "(.+?)"', message)]


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "and every table that refers to it",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users (id))")
        """,
        upgrade="""
        op.execute("TRUNCATE users CASCADE")  # flagged
        """,
    ),
    Example(
        "a table of the same revision",
        upgrade=f"""
        {USERS}
        op.execute("TRUNCATE users")
        """,
    ),
]
