"""
The column becomes nullable, and the running code does not expect that.

## Why it hurts

Code that was written for a column that is always set does not check for None: it adds, compares and formats it. The
first row without a value, written by the new code, breaks the old code that reads it.

## Do this instead

Deploy code that can read NULL first, and drop NOT NULL with or after it.

## Not flagged

- Columns that were nullable before, or that the same deploy has added.
- Columns that the same revision makes NOT NULL again or drops.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    DropColumn,
    DropNotNull,
    Example,
    Group,
    Rule,
    SetNotNull,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="nullable-for-old-code",
    summary="the running code encounters NULL where there never was one",
    severity=Severity.NOTICE,
    group=Group.BREAKING_CODE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropNotNull(table=table, column=column) if not context.is_new_column(table, column):
            known = context.was(table, column)
            if (known is not None and known.nullable) or any(
                isinstance(later, SetNotNull | DropColumn) and later.table.matches(table) and later.column == column
                for later, _ in context.later()
            ):
                return
            yield concern(
                f"`{table}.{column}` is nullable from now on, which the running code does not expect.",
                about=about.column(table, column, "nullable"),
            )


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, age int)")"""

EXAMPLES = [
    Example(
        "was always set",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", nullable=True)  # flagged
        """,
    ),
    Example(
        "was nullable already",
        given=USERS,
        upgrade="""
        op.alter_column("users", "age", nullable=True)
        """,
    ),
]
