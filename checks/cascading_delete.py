"""
Deleting a parent now deletes its children as well.

## Why it hurts

`ON DELETE CASCADE` turns one DELETE into many, in tables that the statement does not name. Code that deleted a
parent without children, or that relied on an error otherwise, now also deletes rows that nobody asked it to delete.

## Do this instead

Use `ON DELETE RESTRICT` and delete the children explicitly, unless they are part of the parent and meaningless
without it.

## Not flagged

- Keys of tables that the same deploy has created: no running code has rows in them.
- Other actions: `SET NULL`, `RESTRICT`, `NO ACTION`.
- A key that is only recreated with the same action.

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
    Example,
    ForeignKey,
    Group,
    Name,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    implications,
)

RULE = Rule(
    id="cascading-delete",
    summary="deleting a parent row deletes its children too",
    severity=Severity.NOTICE,
    group=Group.LOSING_DATA,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddForeignKey() | AddColumn():
            for table, key in implications.foreign_keys(subject):
                if key.on_delete == "CASCADE" and context.exists(table) and not _before(table, key, context):
                    yield concern(
                        f"From now on, deleting a row of `{key.referenced}` deletes the rows of `{table}` that refer to it.",
                        about=about.columns(table, *key.columns),
                    )


def _before(table: Name, key: ForeignKey, context: Context) -> bool:
    before = context.now.origin(table)
    return any(
        each.columns == key.columns and "ON DELETE CASCADE" in each.definition
        for each in (*context.now.constraints(table), *(context.before.constraints(before) if before else ()))
    )


USERS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint)")
"""

EXAMPLES = [
    Example(
        "on a table that is in use",
        given=USERS,
        upgrade="""
        op.create_foreign_key(  # flagged
            "fk", "orders", "users", ["user_id"], ["id"], ondelete="CASCADE", postgresql_not_valid=True
        )
        """,
    ),
    Example(
        "refused while there are children",
        given=USERS,
        upgrade="""
        op.create_foreign_key(
            "fk", "orders", "users", ["user_id"], ["id"], ondelete="RESTRICT", postgresql_not_valid=True
        )
        """,
    ),
]
