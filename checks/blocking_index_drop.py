"""
Dropping an index takes ACCESS EXCLUSIVE on its table, and makes everybody queue behind the longest query.

## Why it hurts

`DROP INDEX` is quick once it has its lock, but it has to wait for every running query on the table, and while it
waits, all later reads and writes queue behind it. The lock is then held until the transaction ends.

## Do this instead

`DROP INDEX CONCURRENTLY`, outside a transaction, in a separate revision: it waits without blocking anybody else. It
is not possible for an index of a partitioned table, or for one that backs a constraint.

## Not flagged

- Indexes that the same deploy has created, or on tables that it has created.
- Indexes of a table that the same revision drops: see `dropped-table`.
- `DROP INDEX CONCURRENTLY`.

## References

- <https://www.postgresql.org/docs/current/sql-dropindex.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    DropIndex,
    DropTable,
    Example,
    Group,
    LockMode,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="blocking-index-drop",
    summary="reads and writes queue behind the drop, and the drop behind the longest query",
    severity=Severity.WARNING,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropIndex(concurrently=False, index=index) if not context.is_new_index(index):
            if context.observed and not context.locks():
                return  # IF EXISTS without such an index, or its table is new
            known = context.now.index_table(index)
            tables = [known.name] if known else [relation.as_name for relation in context.locks()]
            if tables and any(
                isinstance(op, DropTable) and op.table.matches(tables[0]) for op, _ in context.later()
            ):
                return
            of = f" of `{tables[0]}`" if tables else ""
            on = f"`{tables[0]}`" if tables else "its table"
            lock = LockMode.ACCESS_EXCLUSIVE
            waits = context.waiting(tables[0], lock) if tables else lock.blocks
            remedy = remedies.outside_transaction(
                remedies.call(
                    "op.drop_index",
                    index,
                    table_name=tables[0].name if tables else None,
                    postgresql_concurrently=True,
                    if_exists=True if subject.if_exists else None,
                )
            )
            yield concern(
                f"""
                Dropping index `{index}`{of} takes ACCESS EXCLUSIVE on {on}: later {waits} queue behind it
                while it waits for running queries, and then wait until the transaction ends.
                """,
                remedy=[] if tables and context.now.is_partitioned(tables[0]) else [remedy],
                about=about.index(index.name),
            )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'
INDEXED = f"""
{USERS}
op.create_index("ix_users_name", "users", ["name"])
"""

EXAMPLES = [
    Example(
        "in the revision's transaction",
        given=INDEXED,
        upgrade="""
        op.drop_index("ix_users_name", "users")  # flagged
        """,
    ),
    Example(
        "CONCURRENTLY",
        given=INDEXED,
        upgrade="""
        with op.get_context().autocommit_block():
            op.drop_index("ix_users_name", "users", postgresql_concurrently=True)
        """,
    ),
    Example(
        "with its table, as autogenerate writes it",
        given=INDEXED,
        upgrade="""
        op.drop_index("ix_users_name", "users")
        op.drop_table("users")
        """,
    ),
    Example(
        "if there is one, and there is none",
        given=USERS,
        upgrade="""
        op.execute("DROP INDEX IF EXISTS ix_users_name")
        """,
    ),
]
