"""
CONCURRENTLY inside a transaction: PostgreSQL rejects it, and the deploy stops.

## Why it hurts

`CREATE INDEX CONCURRENTLY` and similar statements commit in between, so they cannot run inside a transaction block.
Alembic runs a revision, and by default a whole upgrade, in one. A text of several statements sent at once is a
transaction too, even in autocommit mode.

## Do this instead

Put the one statement into `with op.get_context().autocommit_block():`, in a separate revision.

## Not flagged

- Statements in an autocommit block, and in projects that set `transactional_ddl=False`.
- `REFRESH MATERIALIZED VIEW CONCURRENTLY`: it can run in a transaction.

## References

- <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>
- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.migration.MigrationContext.autocommit_block>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    CreateIndex,
    DetachPartition,
    Direction,
    DropIndex,
    Example,
    Group,
    Operation,
    Reindex,
    Rule,
    Severity,
    Subject,
    concern,
    remedies,
)

RULE = Rule(
    id="concurrently-in-transaction",
    summary="PostgreSQL rejects it inside a transaction, and the deploy stops",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    sqlstate="25001",
    directions=frozenset({Direction.UPGRADE, Direction.DOWNGRADE}),
    replaces=frozenset({"failing-upgrade", "failing-downgrade"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case (
            CreateIndex(concurrently=True)
            | DropIndex(concurrently=True)
            | Reindex(concurrently=True)
            | DetachPartition(concurrently=True)
        ) if _inside(context):
            alone = context.understood is not None and context.understood.alone
            what = _words(subject)
            yield concern(
                f"{what} cannot run inside a transaction, and Alembic runs the revision in one."
                if alone
                else f"{what} cannot run in one text with other statements, which PostgreSQL runs as one transaction.",
                remedy=_remedy(subject, context) if alone else (),
                basis=Basis.PARSED if context.static else Basis.OBSERVED,
                evidence={"sqlstate": context.statement.sqlstate} if context.statement.sqlstate else None,
            )


def _remedy(operation: Operation, context: Context) -> tuple[str, ...]:
    """The same outside of a transaction; none where PostgreSQL refuses it there too, for what it is about."""
    match operation:
        case CreateIndex(table=table) as index:
            known = context.now.table(table)
            if known is not None and known.kind == "foreign table":
                return ()
            if context.now.is_partitioned(table):
                partitions = context.plain_partitions(index)
                timeout = context.lock_timeout_in_force
                return (
                    remedies.index_on_partitions(index, partitions, timeout=timeout)
                    if partitions is not None
                    else ()
                )
        case DropIndex(index=name):
            known = context.now.index_table(name)
            if known is not None and known.kind == "partitioned table":
                return (remedies.execute(context.statement.sql.replace(" CONCURRENTLY", "", 1)),)
    return (remedies.outside_transaction(remedies.execute(context.statement.sql)),)


def _inside(context: Context) -> bool:
    if context.static:
        several = context.understood is not None and not context.understood.alone
        return context.statement.in_transaction or several
    return context.statement.sqlstate == "25001"


def _words(operation: Operation) -> str:
    match operation:
        case CreateIndex(name=name):
            return f"CREATE INDEX CONCURRENTLY `{name}`" if name else "CREATE INDEX CONCURRENTLY"
        case DropIndex(index=index):
            return f"DROP INDEX CONCURRENTLY `{index}`"
        case DetachPartition(partition=partition):
            return f"DETACH PARTITION `{partition}` CONCURRENTLY"
        case _:
            return "REINDEX CONCURRENTLY"


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "in the revision's transaction",
        given=USERS,
        upgrade="""
        op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "on a partitioned table, of which PostgreSQL builds none CONCURRENTLY anywhere",
        given="""
        op.execute("CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
        op.execute("CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
        """,
        upgrade="""
        op.create_index("ix_events_id", "events", ["id"], postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "in one text with another statement",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("SET lock_timeout = '5s'; CREATE INDEX CONCURRENTLY ix_name ON users (name)")  # flagged
        """,
    ),
    Example(
        "in the downgrade",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)
        """,
        downgrade="""
        op.drop_index("ix_users_name", "users", postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "in an autocommit block",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)
        """,
    ),
]
