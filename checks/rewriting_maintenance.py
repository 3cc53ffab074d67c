"""
VACUUM FULL, CLUSTER or REPACK rewrites a whole table while nobody can use it.

## Why it hurts

They copy all rows into a new file and rebuild every index, under ACCESS EXCLUSIVE. Nobody can read or write the
table for that time.

## Do this instead

Do not do this in a migration. A plain VACUUM makes space reusable without blocking anybody. To return space to
the system, or to sort rows, use REPACK (CONCURRENTLY) from PostgreSQL 19 on, and
pg_repack before: both work while the application is running.

## Not flagged

- A plain VACUUM, ANALYZE, and REPACK (CONCURRENTLY).
- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-vacuum.html>
- <https://www.postgresql.org/docs/current/sql-cluster.html>
- <https://www.postgresql.org/docs/current/sql-repack.html>
- <https://reorg.github.io/pg_repack/>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Cluster,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Name,
    Repack,
    Rule,
    Severity,
    Subject,
    Vacuum,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="rewriting-maintenance",
    summary="reads and writes wait while the whole table is rewritten",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    rewrites=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Vacuum(full=True, table=table) | Cluster(table=table) | Repack(table=table, concurrently=False):
            if isinstance(table, Name) and not context.exists(table):
                return
            if context.observed and not context.work():
                return
            what = "VACUUM FULL" if isinstance(subject, Vacuum) else type(subject).__name__.upper()
            on = f"`{table}`" if table else "every table"
            lock = LockMode.ACCESS_EXCLUSIVE
            waits = context.waiting(table, lock) if table else lock.blocks
            yield concern(
                f"""
                {what} rewrites {on} under ACCESS EXCLUSIVE, so {waits} of {on} wait until it is done.
                """,
                remedy=_concurrently(table, context),
                about=about.table(table),
            )


def _concurrently(table: Name | None, context: Context) -> list[str]:
    if table is None or context.major < _REPACK:
        return []
    return [remedies.outside_transaction(remedies.execute(f"REPACK (CONCURRENTLY) {table.sql}"))]


_REPACK = 19
"""The first PostgreSQL with REPACK."""

USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "VACUUM FULL",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("VACUUM FULL users")  # flagged
        """,
    ),
    Example(
        "CLUSTER",
        given=USERS,
        upgrade="""
        op.execute("CLUSTER users USING users_pkey")  # flagged
        """,
    ),
    Example(
        "REPACK",
        given=USERS,
        upgrade="""
        op.execute("REPACK users")  # flagged
        """,
        since=19,
    ),
    Example(
        "REPACK that lets others go on",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("REPACK (CONCURRENTLY) users")
        """,
        since=19,
    ),
    Example(
        "a plain VACUUM",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("VACUUM ANALYZE users")
        """,
    ),
]
