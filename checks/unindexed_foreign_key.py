"""
No index begins with the columns of the foreign key.

## Why it hurts

PostgreSQL indexes the referenced key, not the referencing column. Each DELETE of a parent row, and each UPDATE of
its key, scans the whole child table to check whether a row still refers to it. So does each join from the parent to
its children.

## Do this instead

Add an index that begins with the columns of the key; on a table with rows CONCURRENTLY, in an autocommit block. On
a new table `index=True` on the column is enough.

## Not flagged

- A key whose columns are the leading ones of an index, of the primary key or of a unique constraint, even if the
  same revision creates it later.
- An index that is dropped while another one serves the key, or together with the key.
- A key that is added to an existing column: the index was already missing before.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-FK>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    AddForeignKey,
    Concern,
    Context,
    CreateTable,
    DropIndex,
    Example,
    Group,
    Index,
    Name,
    Operation,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    implications,
    is_partial,
    keys_of,
)

RULE = Rule(
    id="unindexed-foreign-key",
    summary="deleting a parent row scans the whole child table",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    once_a_table=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddForeignKey() | AddColumn() | CreateTable() if not context.statement.error:
            for table, key in implications.foreign_keys(subject):
                if not key.columns or not all(
                    context.is_new_column(table, c) or _adds(subject, c) for c in key.columns
                ):
                    continue
                known = [*context.now.indexes(table), *keys_of(subject, table)]
                for later in _rest_of_deploy(context):
                    known += keys_of(later, table)
                if any(_serves(each, key.columns) for each in known if not is_partial(each)):
                    continue
                columns = ", ".join(key.columns)
                yield concern(
                    f"No index of `{table}` begins with `{columns}`: deleting a row of `{key.referenced}` reads all of `{table}`.",
                    about=about.columns(table, *key.columns, "index"),
                )

        case DropIndex(index=index) if not context.statement.error and not context.is_new_index(index):
            yield from _left_without(index, context)


def _left_without(index: Name, context: Context) -> Iterator[Concern]:
    """A foreign key that no other index serves when the deploy has ended."""
    table = context.now.index_table(index)
    end = context.stories[-1].after if context.stories else context.now
    then = end.table(table.name) if table is not None else None
    gone = next((each for each in table.indexes if each.name == index.name), None) if table else None
    if table is None or then is None or gone is None or is_partial(gone):
        return
    for key in then.constraints:
        if key.kind != "foreign key" or not _serves(gone, key.columns):
            continue
        if not any(_serves(each, key.columns) for each in then.indexes if not is_partial(each)):
            yield concern(
                f"""
                `{index}` is the last index of `{table.name}` that begins with `{", ".join(key.columns)}`: from now on,
                deleting a row of `{key.referenced}` reads all of `{table.name}`.
                """,
                about=about.columns(table.name, *key.columns, "index"),
            )


def _serves(index: Index, columns: tuple[str, ...]) -> bool:
    return set(index.columns[: len(columns)]) == set(columns)


def _rest_of_deploy(context: Context) -> Iterator[Operation]:
    """Later operations of the same direction, in this revision and in those after it."""
    yield from (operation for operation, _ in context.later())
    here = next((n for n, story in enumerate(context.stories) if story is context.story), len(context.stories))
    for story in context.stories[here + 1 :]:
        yield from (operation for operation, _ in story.operations(context.direction))


def _adds(subject: AddForeignKey | AddColumn | CreateTable, column: str) -> bool:
    match subject:
        case AddColumn(column=added):
            return added.name == column
        case CreateTable():
            return True
    return False


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")'

EXAMPLES = [
    Example(
        "of a new table",
        given=USERS,
        upgrade="""
        op.create_table(  # flagged
            "orders",
            sa.Column("id", sa.BigInteger(), primary_key=True),
            sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), nullable=False),
        )
        """,
    ),
    Example(
        "with an index",
        given=USERS,
        upgrade="""
        op.create_table(
            "orders",
            sa.Column("id", sa.BigInteger(), primary_key=True),
            sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), nullable=False),
        )
        op.create_index("by_user", "orders", ["user_id"])
        """,
    ),
    Example(
        "the last index that begins with its column is dropped",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users, paid bool)")
        op.execute("CREATE INDEX by_user ON orders (user_id)")
        """,
        upgrade="""
        op.drop_index("by_user", "orders")  # flagged
        """,
    ),
    Example(
        "another index begins with it",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users, paid bool)")
        op.execute("CREATE INDEX by_user ON orders (user_id)")
        op.execute("CREATE INDEX by_user_and_paid ON orders (user_id, paid)")
        """,
        upgrade="""
        op.drop_index("by_user", "orders")
        """,
    ),
]
