"""
A type change without a table rewrite still rebuilds indexes while reads and writes wait.

## Why it hurts

Another collation, or a type with the same storage but a different order, needs no table rewrite, but every index on
the column is rebuilt under ACCESS EXCLUSIVE on the table. Until the transaction ends, nobody can read or write the
table.

## Do this instead

Add a new column next to the old one, with its own index built CONCURRENTLY, and copy the values in batches. Or drop
the index CONCURRENTLY, change the type, which is then instant, and rebuild the index CONCURRENTLY, if the queries
can do without it in the meantime. Not
a unique one: nothing would refuse duplicates until it is there again.

## Not flagged

- Type changes that also keep the indexes, such as a longer `varchar`.
- Changes that rewrite the table: see `rewriting-type-change`.
- Reviews without a server: the text does not show which indexes exist.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddPrimaryKey,
    AddUnique,
    AlterColumnType,
    Concern,
    Context,
    Example,
    Group,
    Index,
    LockMode,
    Name,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
    types,
)

RULE = Rule(
    id="index-rebuilding-type-change",
    summary="reads and writes wait while indexes of the column are rebuilt",
    severity=Severity.ERROR,
    group=Group.REWRITING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AlterColumnType(table=table, column=column) if (
            context.built(table) and not context.rewrote(table)
        ) or _rebuilt(subject, context):
            operations = context.understood.operations if context.understood else ()
            if any(isinstance(operation, AddUnique | AddPrimaryKey) for operation in operations):
                return
            seen = [work.index.name for work in context.work() if work.kind == "build" and work.index]
            built = seen or _rebuilt(subject, context)
            names = ", ".join(f"`{index}`" for index in built)
            yield concern(
                f"""
                Changing `{table}.{column}` rebuilds {names} under ACCESS EXCLUSIVE, so reads and writes of
                `{table}` wait until the transaction ends.
                """,
                remedy=_remedy(subject, set(built), context),
                about=about.column(table, column),
                severity=context.certainty(RULE.severity),
            )


def _rebuilt(changed: AlterColumnType, context: Context) -> list[str]:
    """The indexes that are rebuilt without a table rewrite according to the text: with another collation, and those
    with an expression or a WHERE that uses the column.
    """
    known, column = context.now.table(changed.table), context.now.column(changed.table, changed.column)
    if context.observed or context.statement.error or known is None or column is None or changed.using is not None:
        return []
    if not types.keeps_storage(column.type, changed.type):
        return []
    other = changed.collation is not None
    same = types.canonical(column.type) == types.canonical(changed.type) and not other
    mentions = re.compile(rf"\b{re.escape(changed.column)}\b")
    return [
        each.name
        for each in known.indexes
        if not same
        and mentions.search(each.definition.partition(" USING ")[2])
        and (other or "" in each.columns or " WHERE " in each.definition)
    ]


def _remedy(changed: AlterColumnType, built: set[str], context: Context) -> tuple[str, ...]:
    """Without the index in between; none if one is unique, which nothing would guard then."""
    table = changed.table
    known = context.now.table(table)
    indexes = [index for index in known.indexes if index.name in built] if known else []
    if len(indexes) != len(built) or any(index.constraint or index.unique for index in indexes):
        return ()
    return (
        *(_dropped(table, index) for index in indexes),
        remedies.execute(context.statement.sql),
        *(
            remedies.outside_transaction(
                remedies.execute(index.definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
            )
            for index in indexes
        ),
    )


def _dropped(table: Name, index: Index) -> str:
    return remedies.outside_transaction(
        remedies.call(
            "op.drop_index",
            Name(index.name, table.schema),
            table_name=table.name,
            postgresql_concurrently=True,
        )
    )


USERS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")
op.execute("CREATE INDEX users_name ON users (name)")
"""

EXAMPLES = [
    Example(
        "another collation",
        given=USERS,
        upgrade="""
        op.execute('ALTER TABLE users ALTER COLUMN name TYPE varchar(50) COLLATE "C"')  # flagged
        """,
    ),
    Example(
        "another collation under a unique index",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")
        op.execute("CREATE UNIQUE INDEX users_name ON users (name)")
        """,
        upgrade="""
        op.execute('ALTER TABLE users ALTER COLUMN name TYPE varchar(50) COLLATE "C"')  # flagged
        """,
    ),
    Example(
        "a longer varchar",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", type_=sa.String(100))
        """,
    ),
]
