"""
The index is dropped before its replacement exists.

## Why it hurts

Between the two statements no query has an index for these columns. Each one scans the whole table until the new
index is built, which takes time in proportion to the table; a unique index enforces nothing in the meantime.

## Do this instead

Build the new index under another name first, then drop the old one, and rename the new one if its name matters.

## Not flagged

- Both in one transaction: nobody sees the gap (see `blocking-index` for what the build locks).
- Indexes that are invalid or that the same deploy has created.
- An index on other columns.
- A column that gets another type in between: its new index cannot be built before.

## References

- <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AlterColumnType,
    Concern,
    Context,
    CreateIndex,
    DropIndex,
    Example,
    Group,
    Rule,
    Severity,
    Statement,
    Subject,
    about,
    concern,
    is_partial,
)

RULE = Rule(
    id="index-gap",
    summary="queries have no index until the new one is built",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropIndex(index=name) if not context.is_new_index(name):
            table = context.now.index_table(name)
            dropped = next((each for each in table.indexes if each.name == name.name), None) if table else None
            if table is None or dropped is None or not dropped.valid or not dropped.columns:
                return
            if any(
                each.valid
                and not is_partial(each)
                and each.name != name.name
                and each.columns[:1] == dropped.columns[:1]
                for each in table.indexes
            ):
                return
            for later, statement in context.later_in_deploy():
                match later:
                    case AlterColumnType(table=on, column=column) if (
                        on.matches(table.name) and column in dropped.columns
                    ):
                        return  # the new index cannot be built before
                    case CreateIndex(table=on, name=new, columns=columns) if on.matches(table.name):
                        together = _in_one_transaction(context.statement, statement, context)
                        if columns[:1] == dropped.columns[:1] and not together:
                            yield concern(
                                f"""
                                From the drop of `{name}` until `{new}` is built, no query on `{table.name}` has an
                                index that begins with `{columns[0]}`.
                                """,
                                about=about.index(name.name, "gap"),
                            )
                            return


def _in_one_transaction(one: Statement, other: Statement, context: Context) -> bool:
    """Whether nobody sees what is between two statements; of two revisions only where that was observed."""
    if not (one.in_transaction and other.in_transaction):
        return False
    if any(statement is other for _, statement in context.later()):
        return True
    seen, later = one.observation, other.observation
    return seen is None or later is None or seen.transaction == later.transaction


USERS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text, age int)")
op.execute("CREATE INDEX by_name ON users (name)")
"""

EXAMPLES = [
    Example(
        "dropped first",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS by_name")  # flagged
            op.create_index("by_name", "users", ["name", "age"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "dropped in an earlier revision of the deploy",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.drop_index("by_name", "users", postgresql_concurrently=True)  # flagged
        """,
        then=(
            """
            with op.get_context().autocommit_block():
                op.create_index("by_name_and_age", "users", ["name", "age"], postgresql_concurrently=True)
            """,
        ),
    ),
    Example(
        "rebuilt on a column of another type",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.drop_index("by_name", "users", postgresql_concurrently=True)
        op.execute('ALTER TABLE users ALTER COLUMN name TYPE text COLLATE "C"')
        with op.get_context().autocommit_block():
            op.create_index("by_name", "users", ["name"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "created first",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY by_name_and_age ON users (name, age)")
            op.execute("DROP INDEX CONCURRENTLY by_name")
        """,
    ),
]
