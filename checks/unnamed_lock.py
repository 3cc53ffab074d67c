"""
The statement locks a table that it does not name.

## Why it hurts

Some statements lock more than their text shows. Dropping a foreign key, or a table that has one, takes ACCESS
EXCLUSIVE on the table that it refers to; a new partition takes it on the partitioned table; a constraint of a
domain locks every table that uses it. Nobody who reads the revision expects that table to be blocked, and while the
statement waits for its lock there, all reads and writes of that table wait behind it.

## Do this instead

Run such a statement alone, in a short transaction, with a `lock_timeout`. Drop foreign keys one by one before the
table. Add a new partition with `CREATE TABLE ... (LIKE ...)` and ATTACH PARTITION, which takes a weaker lock. Do
not rename a constraint by dropping and adding it: `ALTER TABLE ... RENAME CONSTRAINT` locks no other table.

## Not flagged

- Tables that the statement names, and their partitions.
- Tables that the same deploy creates.
- Locks that block nobody.
- A new table's foreign key is a notice: it holds SHARE ROW EXCLUSIVE on the table that it refers to, which blocks
  writes, but it scans nothing.

## References

- <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from reviewer.check import (
    Call,
    Concern,
    Context,
    CreateTable,
    DoBlock,
    DropIndex,
    DropObject,
    DropView,
    Example,
    Group,
    Name,
    Operation,
    Reindex,
    RenameIndex,
    Rule,
    Select,
    Severity,
    Subject,
    Truncate,
    Understood,
    Unrecognized,
    about,
    concern,
)

RULE = Rule(
    id="unnamed-lock",
    summary="a table that the statement does not name is blocked",
    severity=Severity.WARNING,
    group=Group.LOCKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Understood(operations=operations) if not _opaque(operations):
            named = [name for operation in operations for name in _names(operation)]
            for relation, mode in context.locks().items():
                if not mode.blocks_writes or relation.kind == "materialized view":
                    continue
                if any(context.belongs(relation, name) for name in named):
                    continue
                seen = context.observation
                bounded = seen is not None and seen.lock_timeout > 0
                referred = re.search(rf"\b{re.escape(relation.name)}\b", context.statement.sql) is not None
                how = "which it only refers to" if referred else "which it does not name"
                yield concern(
                    f"""
                    This statement takes {mode} on `{relation}`, {how}, so {mode.blocks} of `{relation}` wait until the
                    transaction ends.
                    """,
                    about=about.table(relation),
                    severity=None if mode.blocks_reads and not bounded else Severity.NOTICE,
                )


def _opaque(operations: tuple[Operation, ...]) -> bool:
    """Whether the text cannot name its tables: code, or objects that represent tables."""
    return any(
        isinstance(each, DoBlock | Call | Select | Unrecognized | DropIndex | RenameIndex | Reindex)
        or (isinstance(each, DropView | DropObject | Truncate) and each.cascade)
        for each in operations
    )


def _names(value: object) -> Iterator[Name]:
    """Every name in an operation, except tables that a new one refers to, or is a partition of."""
    if isinstance(value, Name):
        yield value
    elif isinstance(value, CreateTable):
        yield value.table
    elif isinstance(value, tuple):
        for each in value:
            yield from _names(each)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _names(getattr(value, name))


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")'
ORDERS = 'op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint CONSTRAINT fk REFERENCES users)")'

EXAMPLES = [
    Example(
        "a foreign key dropped locks the table that it referred to",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.drop_constraint("fk", "orders")  # flagged
        """,
    ),
    Example(
        "a partition created locks the partitioned table",
        given="""
        op.execute("CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
        """,
        upgrade="""
        op.execute(  # flagged
            "CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
        )
        """,
    ),
    Example(
        "a foreign key renamed",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.execute("ALTER TABLE orders RENAME CONSTRAINT fk TO fk_user")
        """,
    ),
    Example(
        "both tables are named",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.create_foreign_key("again", "orders", "users", ["user_id"], ["id"], postgresql_not_valid=True)
        """,
    ),
]
