"""
Changing how a table is stored copies all of it while reads and writes wait.

## Why it hurts

`SET LOGGED`, `SET UNLOGGED`, `SET TABLESPACE` and `SET ACCESS METHOD` copy every row into a new file, under ACCESS
EXCLUSIVE. Until the transaction ends, nobody can read or write the table. An UNLOGGED table is empty after a crash,
and is not replicated to standbys.

## Do this instead

The lock cannot be avoided. Do it in a maintenance window, or fill a new table in batches and swap the two.

## Not flagged

- Changes to the current state of the table: PostgreSQL copies nothing.
- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Rule,
    SetAccessMethod,
    SetLogged,
    SetTablespace,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="rewriting-storage-change",
    summary="reads and writes wait while the whole table is copied",
    severity=Severity.ERROR,
    group=Group.REWRITING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    rewrites=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case SetLogged(table=table) | SetTablespace(table=table) | SetAccessMethod(table=table):
            if not context.exists(table) or (context.observed and not context.rewrote(table)):
                return
            match subject:
                case SetLogged(logged=logged):
                    what = f"Making `{table}` {'LOGGED' if logged else 'UNLOGGED'}"
                case SetTablespace(tablespace=tablespace):
                    what = f"Moving `{table}` to tablespace `{tablespace}`"
                case SetAccessMethod(method=method):
                    what = f"Giving `{table}` the access method `{method}`"
            waits = context.waiting(table, LockMode.ACCESS_EXCLUSIVE)
            yield concern(
                f"""
                {what} copies every row of it under ACCESS EXCLUSIVE, so {waits} of `{table}` wait until the transaction
                ends.
                """,
                about=about.table(table),
                severity=context.certainty(RULE.severity) if context.statement.error is None else None,
            )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "unlogged",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users SET UNLOGGED")  # flagged
        """,
    ),
    Example(
        "logged, as it is already",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users SET LOGGED")
        """,
    ),
    Example(
        "a table of the same revision",
        upgrade="""
        op.execute("CREATE UNLOGGED TABLE notes (id bigint)")
        op.execute("ALTER TABLE notes SET LOGGED")
        """,
    ),
]
