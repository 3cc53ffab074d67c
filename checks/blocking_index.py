"""
Building an index blocks every write to the table until the build is done.

## Why it hurts

`CREATE INDEX` takes SHARE on the table and reads every row of it. Reads go on; INSERT, UPDATE and DELETE wait until the
transaction ends, and the build takes longer the larger the table is. Where the same transaction has already altered the
table, reads wait too.

## Do this instead

Build it CONCURRENTLY, outside a transaction, in a revision of its own. That takes SHARE UPDATE EXCLUSIVE, which lets
reads and writes go on. If the build fails it leaves an invalid index behind: drop that before the next try. On a
partitioned table CONCURRENTLY is impossible: create the index `ON ONLY` the table, build one CONCURRENTLY on each
partition, and attach them.

## Not flagged

- Indexes on a table that the same deploy creates.
- `CREATE INDEX CONCURRENTLY`, and `ON ONLY` a partitioned table: nothing is built.

## References

- <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>
- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.migration.MigrationContext.autocommit_block>
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reviewer.check import (
    Concern,
    Context,
    CreateIndex,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    Severity,
    Subject,
    concern,
    quoted,
    remedies,
)

RULE = Rule(
    id="blocking-index",
    summary="writes wait while the index is built",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.SHARE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateIndex(concurrently=False, table=table) as index if context.exists(table):
            if context.observed and not context.scanned(table):
                return
            if index.only and not context.observed:
                return
            lock = context.strongest(table, LockMode.SHARE)
            yield concern(
                f"""
                Building {f"index `{index.name}`" if index.name else "an index"} on `{table}` reads every row under
                {lock}, so {lock.blocks} of `{table}` wait until the transaction ends.
                """,
                remedy=_remedy(index, context),
                about=("index", index.name or ""),
            )


def _remedy(index: CreateIndex, context: Context) -> tuple[str, ...]:
    if not context.now.is_partitioned(index.table):
        return (remedies.create_index(index, context.statement.sql),)
    if index.name is None or not _plain(index, context):
        return ()
    partitions = _leaves(index.table, context)
    if partitions is None:
        return ()
    parent = _create(index, index.table, index.name, only=True)
    children = [(table, remedies.constraint_name(table, index.columns, "idx")) for table in partitions]
    return (
        parent,
        *(remedies.create_index(replace(index, table=table, name=name), "") for table, name in children),
        "\n".join(
            remedies.execute(
                f"ALTER INDEX {Name(index.name, index.table.schema).sql}"
                f" ATTACH PARTITION {Name(name, table.schema).sql}"
            )
            for table, name in children
        )
        or "pass",
    )


def _plain(index: CreateIndex, context: Context) -> bool:
    table = context.now.table(index.table)
    simple = not (index.where or index.include) and index.method in {None, "btree"}
    return simple and table is not None and all(table.column(column) for column in index.columns)


def _leaves(table: Name, context: Context) -> tuple[Name, ...] | None:
    """The partitions; None where they are partitioned again, which wants more than a recipe."""
    partitions = context.now.partitions(table)
    if any(partition.kind == "partitioned table" for partition in partitions):
        return None
    return tuple(partition.name for partition in partitions)


def _create(index: CreateIndex, table: Name, name: str, *, only: bool) -> str:
    unique = "UNIQUE " if index.unique else ""
    columns = ", ".join(quoted(column) for column in index.columns)
    return remedies.execute(
        f"CREATE {unique}INDEX {quoted(name)} ON {'ONLY ' if only else ''}{table.sql} ({columns})"
    )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EVENTS = """
op.execute("CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
op.execute("CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
"""

EXAMPLES = [
    Example(
        "on a table that exists",
        given=USERS,
        upgrade="""
        op.create_index("ix_users_name", "users", ["name"])  # flagged
        """,
    ),
    Example(
        "in one text with another statement",
        given=USERS,
        upgrade="""
        op.execute("SET LOCAL maintenance_work_mem = '64MB'; CREATE INDEX ix_name ON users (lower(name))")  # flagged
        """,
    ),
    Example(
        "on a column of the same revision",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.create_index("ix_users_age", "users", [sa.text("age DESC")])  # flagged
        """,
    ),
    Example(
        "on a partitioned table",
        given=EVENTS,
        upgrade="""
        op.create_index("ix_events_id", "events", ["id"])  # flagged
        """,
    ),
    Example(
        "CONCURRENTLY",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade=f"""
        {USERS}
        op.create_index("ix_users_name", "users", ["name"])
        """,
    ),
]
