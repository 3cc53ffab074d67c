"""
Renaming a table breaks the running code at the moment of the commit.

## Why it hurts

The rename itself is instant. But the code that runs while the migration is deployed still uses the old name, and
every such query fails from the commit until the last process of the old version has stopped.

## Do this instead

Rename the model and keep the table: `__tablename__` can differ from the name of the class. Or rename, and in the
same revision create a view under the old name: plain views in PostgreSQL can be read and written like the table.
Drop the view one release later.

## Not flagged

- A rename with a view of all its columns under the old name in the same revision.
- Tables that the same deploy has created.
- A table that has its old name again when the transaction commits.

## References

- <https://www.postgresql.org/docs/current/sql-createview.html#SQL-CREATEVIEW-UPDATABLE-VIEWS>
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
    RenameTable,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    implications,
    listed,
    remedies,
)

RULE = Rule(
    id="renamed-table",
    summary="the running code still uses the old name and fails once the migration commits",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case RenameTable(table=table, new_name=new) if context.exists(table) and not context.is_back(table):
            view = implications.view_instead(context, table)
            columns = implications.left_out(context, table, view) if view else ()
            left_out = [column for column in columns if context.old_code_uses(table, column) is not False]
            if view and not left_out:
                return
            renamed = Name(new, table.schema)
            lost = listed([f"`{each}`" for each in left_out])
            what = f"{lost} of `{table}`, which the view under that name lacks" if lost else f"`{table}`"
            yield concern(
                f"""
                Renaming `{table}` to `{new}` breaks every query of the running code that names {what}, from the
                commit until the last process of the old version has stopped.
                """,
                remedy=[
                    remedies.call("op.rename_table", table, new)
                    + "\n"
                    + remedies.execute(f"CREATE VIEW {table.sql} AS SELECT * FROM {renamed.sql}"),
                ],
                about=about.column(table, left_out[0]) if left_out else about.table(table),
                severity=Severity.NOTICE if context.old_code_uses(table) is False else None,
            )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "a table in use",
        given=USERS,
        upgrade="""
        op.rename_table("users", "accounts")  # flagged
        """,
    ),
    Example(
        "with a view under the old name",
        given=USERS,
        upgrade="""
        op.rename_table("users", "accounts")
        op.execute("CREATE VIEW users AS SELECT * FROM accounts")
        """,
    ),
    Example(
        "with a view under the old name that leaves a column out",
        given=USERS,
        upgrade="""
        op.rename_table("users", "accounts")  # flagged
        op.execute("CREATE VIEW users AS SELECT id FROM accounts")
        """,
    ),
    Example(
        "a table of the same revision",
        upgrade=f"""
        {USERS}
        op.rename_table("users", "accounts")
        """,
    ),
]
