"""
Rows that others refer to cannot be deleted: the foreign key would set a column to NULL that is NOT NULL.

## Why it hurts

PostgreSQL accepts `ON DELETE SET NULL` on a column that is NOT NULL, and `SET DEFAULT` on one without a default, and says nothing. Each DELETE of a row that
others refer to then fails with "null value in column violates not-null constraint", which is noticed
when somebody deletes a user, not when the migration runs.

## Do this instead

Decide what becomes of the rows. If they stay without what they refer to, the column has to allow NULL
(`nullable=True`); if they go too, `ondelete="CASCADE"`; if they are in the way, leave `ondelete` out.

## Not flagged

- A key that was like that before.
- `SET NULL` with a list of columns, of which each allows NULL.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-FK>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reviewer.check import (
    AddColumn,
    AddForeignKey,
    Concern,
    Constraint,
    Context,
    CreateTable,
    Example,
    ForeignKey,
    Group,
    Name,
    Rule,
    SetNotNull,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="impossible-set-null",
    summary="rows that others refer to cannot be deleted: SET NULL meets NOT NULL",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddForeignKey(table=table, key=key):
            yield from _of(table, key, key.columns, context)
        case CreateTable(table=table, foreign_keys=keys):
            for key in keys:
                yield from _of(table, key, key.columns, context)
        case AddColumn(table=table, column=column) if column.references is not None:
            yield from _of(table, column.references, (column.name,), context)
        case SetNotNull(table=table, column=name):
            for each in context.now.constraints(table):
                if each.kind == "foreign key" and each.referenced is not None and name in _set_to_null(each):
                    yield from _told(table, name, each.referenced, context)


def _set_to_null(key: Constraint) -> Sequence[str]:
    """The columns that a foreign key sets to NULL."""
    found = re.search(r"\bON DELETE SET NULL(?: \(([^)]*)\))?", key.definition, re.IGNORECASE)
    if found is None:
        return ()
    return key.columns if found[1] is None else re.split(r",\s*", found[1].replace('"', ""))


def _of(table: Name, key: ForeignKey, columns: tuple[str, ...], context: Context) -> Iterator[Concern]:
    action = (key.on_delete or "").upper()
    if action in {"SET NULL", "SET DEFAULT"}:
        for column in key.sets or columns:
            yield from _told(table, column, key.referenced, context, to_default=action == "SET DEFAULT")


def _told(
    table: Name, column: str, referenced: Name, context: Context, *, to_default: bool = False
) -> Iterator[Concern]:
    """Where the column is NOT NULL at the end of the revision, and not only on the way."""
    ends = context.story.after.column(table, column) if context.story is not None else None
    if ends is None or ends.nullable or (to_default and (ends.default)):
        return
    what = "NOT NULL without a default" if to_default else "NOT NULL"
    to = "its default" if to_default else "NULL"
    yield concern(
        f"""
        `{table}.{column}` is {what}, and its foreign key sets it to {to} when the row of `{referenced}` is deleted:
        each such DELETE fails.
        """,
        about=about.column(table, column),
    )


GIVEN = """
op.create_table("users", sa.Column("id", sa.Integer(), primary_key=True))
op.create_table("notes", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("user_id", sa.Integer()))
"""

EXAMPLES = [
    Example(
        "in a new table",
        given=GIVEN,
        upgrade="""
        op.create_table(  # flagged
            "posts",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=False),
        )
        """,
    ),
    Example(
        "a column that becomes NOT NULL and has such a key",
        given=GIVEN
        + 'op.create_foreign_key("notes_user", "notes", "users", ["user_id"], ["id"], ondelete="SET NULL")',
        upgrade="""
        op.alter_column("notes", "user_id", nullable=False)  # flagged
        """,
    ),
    Example(
        "a column that has no default to be set to",
        given=GIVEN + 'op.alter_column("notes", "user_id", nullable=False)',
        upgrade="""
        op.create_foreign_key(  # flagged
            "notes_user", "notes", "users", ["user_id"], ["id"], ondelete="SET DEFAULT", postgresql_not_valid=True
        )
        """,
    ),
    Example(
        "a default that is there",
        given=GIVEN + 'op.alter_column("notes", "user_id", nullable=False, server_default="0")',
        upgrade="""
        op.create_foreign_key(
            "notes_user", "notes", "users", ["user_id"], ["id"], ondelete="SET DEFAULT", postgresql_not_valid=True
        )
        """,
    ),
    Example(
        "a key of several columns, of which one is set",
        given="""
        op.execute("CREATE TABLE users (org int, id int, PRIMARY KEY (org, id))")
        op.execute("CREATE TABLE notes (id int PRIMARY KEY, org int NOT NULL, user_id int)")
        """,
        upgrade="""
        op.execute(
            "ALTER TABLE notes ADD FOREIGN KEY (org, user_id) REFERENCES users (org, id)"
            " ON DELETE SET NULL (user_id) NOT VALID"
        )
        """,
        since=15,
    ),
    Example(
        "a column that allows NULL",
        given=GIVEN,
        upgrade="""
        op.create_table(
            "posts",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="SET NULL")),
        )
        """,
    ),
    Example(
        "the rows are deleted too",
        given=GIVEN,
        upgrade="""
        op.create_table(
            "posts",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        )
        """,
    ),
]
