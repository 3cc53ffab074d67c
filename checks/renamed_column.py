"""
Renaming a column breaks the running code at the moment of the commit.

## Why it hurts

The rename itself is instant. But the code that runs while the migration is deployed still uses the old name, and
every such query fails from the commit until the last process of the old version has stopped. No order of
deploying code and migration avoids that.

## Do this instead

Rename only the attribute in the model, and keep the column: `new_name = mapped_column("old_name")`. If the column
itself must be renamed: add the new column, let the code write both, copy the old rows in batches, let the code read
the new one, and drop the old column a release later.

## Not flagged

- Columns that the same deploy has added: no running code knows them.
- Columns of a table that the same deploy creates.
- A column that has its old name again when the transaction commits.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html>
- <https://docs.sqlalchemy.org/en/20/orm/declarative_tables.html#naming-declarative-mapped-columns-explicitly>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Name,
    RenameColumn,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="renamed-column",
    summary="the running code still uses the old name and fails once the migration commits",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case RenameColumn(table=table, column=old, new_name=new) if not (
            context.is_new_column(table, old) or context.is_back(table, old)
        ):
            yield concern(
                f"""
                Renaming `{table}.{old}` to `{new}` breaks every query of the running code that names `{old}`, from
                the commit until the last process of the old version has stopped.
                """,
                remedy=_copy(table, old, new, context),
                about=about.column(table, old),
                severity=Severity.NOTICE if context.old_code_uses(table, old) is False else None,
            )


def _copy(table: Name, old: str, new: str, context: Context) -> tuple[str, ...]:
    column = context.now.column(table, old)
    if column is None:
        return ()
    return remedies.second_column(table, old, new, column.type, required=context.now.must_be_written(table, old))


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "a column in use",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", new_column_name="full_name")  # flagged
        """,
    ),
    Example(
        "a column of the same revision",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("nick", sa.Text()))
        op.alter_column("users", "nick", new_column_name="nickname")
        """,
    ),
    Example(
        "renamed, and renamed back before anybody sees it",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", new_column_name="full_name")
        op.alter_column("users", "full_name", new_column_name="name")
        """,
    ),
    Example(
        "another column takes its name",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", new_column_name="full_name")  # flagged
        op.add_column("users", sa.Column("name", sa.String(50)))
        """,
    ),
]
