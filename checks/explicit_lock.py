"""
LOCK TABLE, or SELECT … FOR UPDATE of every row, blocks others explicitly.

## Why it hurts

Without a mode `LOCK TABLE` takes ACCESS EXCLUSIVE, which blocks even a plain SELECT, and it is held until the
transaction ends: by default that is the end of the whole upgrade, all later revisions included. `SELECT … FOR UPDATE`
without WHERE locks each row for as long: each UPDATE and DELETE of others waits.

## Do this instead

Statements take the locks that they need automatically. If one is needed beforehand, take the weakest sufficient
mode, as late as possible, with a `lock_timeout`, and in a separate transaction. Lock rows in batches, with WHERE or LIMIT.

## Not flagged

- Modes that block neither reads nor writes, and FOR KEY SHARE.
- SELECT … FOR UPDATE outside of a transaction, or on a table whose writers wait anyway.
- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-lock.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    LockTable,
    Rule,
    Select,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="explicit-lock",
    summary="others wait for an explicit lock",
    severity=Severity.WARNING,
    group=Group.LOCKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case LockTable(table=table, mode=mode) if context.exists(table):
            lock = LockMode(mode)
            if lock.blocks_writes:
                yield concern(
                    f"""
                    LOCK TABLE takes {lock} on `{table}`, so {lock.blocks} of `{table}` wait until the transaction
                    ends.
                    """,
                    about=about.table(table),
                )
        case Select(tables=(table,), locks_all=True) if context.exists(table) and not context.blocking():
            known, rows = context.now.table(table), context.statement.rows
            fewer = context.observed and known is not None and rows is not None and rows < known.rows
            if context.statement.in_transaction and not fewer:
                yield concern(
                    f"""
                    This SELECT locks every row of `{table}`, so each UPDATE and DELETE of them waits until the transaction
                    ends.
                    """,
                    about=about.rows(table),
                )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "without a mode",
        given=USERS,
        upgrade="""
        op.execute("LOCK TABLE users")  # flagged
        """,
    ),
    Example(
        "a mode that blocks writes",
        given=USERS,
        upgrade="""
        op.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")  # flagged
        """,
    ),
    Example(
        "every row",
        given=USERS,
        upgrade="""
        op.execute("SELECT id FROM users ORDER BY id FOR UPDATE")  # flagged
        """,
    ),
    Example(
        "some rows, and all of them against deletion alone",
        given=USERS,
        upgrade="""
        op.execute("SELECT id FROM users WHERE id = 1 FOR UPDATE")
        op.execute("SELECT id FROM users ORDER BY id LIMIT 2 FOR UPDATE")
        op.execute("SELECT id FROM users FOR KEY SHARE")
        """,
    ),
    Example(
        "a mode that blocks nobody's reads and writes",
        given=USERS,
        upgrade="""
        op.execute("LOCK TABLE users IN SHARE UPDATE EXCLUSIVE MODE")
        """,
    ),
]
