"""
Building an index blocks every write to the table until the build is done.

## Why it hurts

`CREATE INDEX` takes SHARE on the table and reads every row of it. Reads go on; INSERT, UPDATE and DELETE wait until
the transaction ends, and the larger the table, the longer the build takes. If the same transaction has already
altered the table, reads wait too.

## Do this instead

Build it CONCURRENTLY, outside a transaction, in a revision of its own. That takes SHARE UPDATE EXCLUSIVE, which lets
reads and writes go on. If the build fails it leaves an invalid index behind: drop that before the next try. It waits for
every older transaction, so a `lock_timeout` ends it: turn that off for the build. On a
partitioned table CONCURRENTLY is impossible: create the index `ON ONLY` the table, build one CONCURRENTLY on each
partition, and attach them.

## Not flagged

- As a notice only: an index on a materialized view, which can be read meanwhile.
- Indexes on a table that the same deploy creates.
- `CREATE INDEX CONCURRENTLY`, and `ON ONLY` a partitioned table: nothing is built.

## References

- <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>
- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.migration.MigrationContext.autocommit_block>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    CreateIndex,
    DropIndex,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    Severity,
    Subject,
    about,
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
            if (context.observed and not context.scanned(table)) or context.statement.sqlstate == NEVER:
                return
            if index.only and not context.observed:
                return
            lock = context.strongest(table, LockMode.SHARE)
            waits = context.waiting(table, lock)
            yield concern(
                f"""
                Building {f"index `{index.name}`" if index.name else "an index"} on `{table}` reads every row under
                {lock}, so {waits} of `{table}` wait until the transaction ends.{_only_renamed(index, context)}
                """,
                remedy=_remedy(index, context),
                about=about.index(index.name),
                severity=Severity.NOTICE if waits == "refreshes" else None,
            )


NEVER = "0A000"
"""PostgreSQL supports no such index: the failure is reported."""


def _remedy(index: CreateIndex, context: Context) -> tuple[str, ...]:
    timeout = context.lock_timeout_in_force
    if not context.now.is_partitioned(index.table):
        return (remedies.create_index(index, context.statement.sql, timeout=timeout),)
    partitions = context.plain_partitions(index)
    return remedies.index_on_partitions(index, partitions, timeout=timeout) if partitions is not None else ()


def _only_renamed(index: CreateIndex, context: Context) -> str:
    """What is said of an index that the same revision drops under another name."""
    simple = not (index.where or index.include or index.nulls_not_distinct or index.only)
    if index.name is None or not simple or index.method not in {None, "btree"} or context.is_new(index.table):
        return ""
    listed = ", ".join(index.columns)
    if not context.statement.sql.replace('"', "").rstrip("; \n").endswith(f"({listed})"):
        return ""
    dropped = [
        each.index.name for each, _ in (*context.same_revision(), *context.later()) if isinstance(each, DropIndex)
    ]
    known = context.recording.base.table(context.now.origin(index.table) or index.table)
    for each in known.indexes if known is not None else ():
        same = each.definition.endswith(f" USING btree ({listed})") and each.unique == index.unique
        if same and each.name in dropped and each.name != index.name and each.constraint is None:
            renamed = f"ALTER INDEX {Name(each.name, index.table.schema).sql} RENAME TO {quoted(index.name)}"
            return f" The index `{each.name}`, which the revision drops, is the same: `{renamed}` does both, and takes no time."
    return ""


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
