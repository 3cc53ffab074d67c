"""
SET NOT NULL scans every row while reads and writes wait.

## Why it hurts

`ALTER COLUMN ... SET NOT NULL` takes ACCESS EXCLUSIVE on the table and scans all of it to verify that no value
is NULL. Until the transaction ends, nobody can read or write the table.

## Do this instead

Prove it first, once all code that is running writes the column: from the first step on rows without a value are refused.
Add `CHECK (column IS NOT NULL)` as NOT VALID, validate it in a transaction of its own, and then set NOT
NULL: PostgreSQL uses the constraint as a proof and skips the scan. The constraint can be dropped afterwards. Since PostgreSQL
18 there is a shorter way: `ADD CONSTRAINT ... NOT NULL column NOT VALID`, then VALIDATE CONSTRAINT.

## Not flagged

- A column for which a valid CHECK already proves it, or which is already NOT NULL: nothing is scanned.
- Columns of a table that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddNotNull,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    SetNotNull,
    Severity,
    Subject,
    about,
    concern,
    implications,
    remedies,
)

RULE = Rule(
    id="scanning-not-null",
    summary="reads and writes wait while every row is checked for NULL",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case SetNotNull(table=table, column=column) | AddNotNull(table=table, column=column, not_valid=False):
            if not context.exists(table) or not _reads(table, column, context):
                return
            yield concern(
                f"""
                Making `{table}.{column}` NOT NULL reads every row of `{table}` under ACCESS EXCLUSIVE, so reads and
                writes of `{table}` wait until the transaction ends.
                """,
                remedy=remedies.not_null(table, column, context.major, _unproved(table, column, context)),
                about=about.column(table, column),
                severity=context.certainty(RULE.severity) if context.statement.error is None else None,
            )


def _reads(table: Name, column: str, context: Context) -> bool:
    if context.observed:
        proved = f'"{table.name}.{column}" are sufficient to prove'
        return context.scanned(table) and not context.says(proved)
    return not implications.is_proved_not_null(context.now, table, column)


def _unproved(table: Name, column: str, context: Context) -> str | None:
    """A CHECK that is there already and needs only to be validated to prove it."""
    waiting = implications.proofs_not_null(context.now, table, column, valid=False)
    return waiting[0].name if waiting else None


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "with nothing that proves it",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", nullable=False)  # flagged
        """,
    ),
    Example(
        "proved by a valid CHECK",
        given=f"""
        {USERS}
        op.create_check_constraint("name_is_set", "users", "name IS NOT NULL")
        """,
        upgrade="""
        op.alter_column("users", "name", nullable=False)
        """,
    ),
    Example(
        "a CHECK that is not valid proves nothing",
        given=f"""
        {USERS}
        op.create_check_constraint("name_is_set", "users", "name IS NOT NULL", postgresql_not_valid=True)
        """,
        upgrade="""
        op.alter_column("users", "name", nullable=False)  # flagged
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.create_table("notes", sa.Column("id", sa.BigInteger()))
        op.alter_column("notes", "id", nullable=False)
        """,
    ),
    Example(
        "in PostgreSQL 18's two steps",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ADD CONSTRAINT name_is_set NOT NULL name NOT VALID")
        """,
        then=('op.execute("ALTER TABLE users VALIDATE CONSTRAINT name_is_set")',),
        transaction_per_migration=True,
        since=18,
    ),
]
