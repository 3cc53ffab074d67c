"""
An UPDATE or DELETE without WHERE touches every row of the table in one transaction.

## Why it hurts

A DELETE without WHERE empties the table. An UPDATE without WHERE writes each row anew: the table doubles in size, every
index gets new entries, replicas fall behind, and each row stays locked for other writers until the commit, which is the
end of the whole migration.

## Do this instead

Say which rows have to change, and change them in batches that are committed one by one, outside the revision that
changes the schema.

## Not flagged

- Tables that the same deploy has created.
- Statements with a WHERE that leaves some rows out. `WHERE true` does not.
- An UPDATE while the table is locked by an earlier statement: `work-under-lock` speaks.

## References

- <https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer import remedies
from reviewer.context import Context, Subject
from reviewer.finding import Concern, Severity, concern
from reviewer.names import Name, quoted
from reviewer.operations import Delete, Update
from reviewer.rule import Example, Rule

RULE = Rule(
    id="unfiltered-change",
    summary="every row is deleted or written anew in one transaction",
    severity=Severity.WARNING,
    group="losing-data",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Delete(table=table, filtered=False) if context.exists(table):
            yield concern(
                f"DELETE without WHERE destroys all rows of `{table}`, and no downgrade brings them back.",
                about=("rows", str(table)),
            )
        case Update(table=table, columns=columns, filtered=False) if (
            context.exists(table) and not context.blocking()
        ):
            yield concern(
                f"""
                UPDATE without WHERE writes every row of `{table}` anew in one transaction, and each row stays locked
                for other writers until the commit.
                """,
                remedy=_in_batches(table, columns, context),
                about=("rows", str(table)),
            )


def _in_batches(table: Name, columns: tuple[str, ...], context: Context) -> list[str]:
    """In batches, where one column is set that can be told to be still empty."""
    found = re.search(r"\bSET\s+(.+)$", context.statement.sql, re.IGNORECASE | re.DOTALL)
    if (
        len(columns) != 1
        or found is None
        or re.search(r"\b(FROM|WHERE|RETURNING|SELECT)\b|%|:", found[1], re.IGNORECASE)
    ):
        return []
    if not context.is_new_column(table, columns[0]):
        return []
    return [remedies.in_batches(table, found[1].strip().rstrip(";"), f"{quoted(columns[0])} IS NULL")]


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "all rows deleted",
        given=USERS,
        upgrade="""
        op.execute("DELETE FROM users")  # flagged
        """,
    ),
    Example(
        "a WHERE that leaves none out",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET name = lower(name) WHERE 1 = 1")  # flagged
        """,
    ),
    Example(
        "some rows",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET name = lower(name) WHERE id < 10")
        """,
    ),
]
