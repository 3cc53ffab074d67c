"""
The column requires a value, and running code that relied on the default can no longer insert.

## Why it hurts

Code that does not name the column in its INSERTs got the default. Without it the column becomes NULL, and NOT NULL
rejects the row. This also breaks a well-meant idiom: add a NOT NULL column with a server default to fill the old
rows, and drop the default in the same revision. The code of the last release does not know the column and runs
until the deploy is over: each of its INSERTs fails.

## Do this instead

Keep the default until all running code writes the column, and drop it in a later release. An unused default costs
nothing.

## Not flagged

- Nullable columns: the old code's rows have NULL there.
- A default that is dropped and set again in the same revision, as around a change of type, or in the same transaction.
- A column that a trigger fills: an INSERT that leaves it out was tried after the revision, and succeeded.
- Tables that the same deploy has created, and columns that it drops.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-DEFAULT>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddIdentity,
    Column,
    Concern,
    Context,
    DropColumn,
    DropDefault,
    DropIdentity,
    DropNotNull,
    Example,
    Group,
    Name,
    Rule,
    SetDefault,
    SetNotNull,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="dropped-default",
    summary="INSERTs of the running code that relied on the default fail",
    severity=Severity.WARNING,
    group=Group.BREAKING_CODE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropDefault(table=table, column=column) | DropIdentity(table=table, column=column) if context.exists(
            table
        ):
            known = context.now.column(table, column)
            if known is None and not context.static:
                return
            if known is not None and (
                _may_be_null(known.nullable, table, column, context) or _had_none(known, subject)
            ):
                return
            if any(_comes_back(later, table, column) for later, _ in context.later()):
                return
            then = context.committed.column(table, column)
            if then is not None and (then.nullable or then.default is not None):
                return
            if context.filled(table, column):
                return
            if known is not None and context.now.is_new_column(table, column):
                yield concern(
                    f"""
                    `{table}.{column}` is added with a default that is dropped again: the running code does not know
                    the column, and each of its INSERTs into `{table}` fails because the column is NOT NULL.
                    """,
                    about=about.column(table, column),
                    severity=context.certainty(Severity.ERROR),
                )
            else:
                yield concern(
                    f"""
                    Without the default of `{table}.{column}`, INSERTs of the running code that leave the column out
                    fail because it is NOT NULL.
                    """,
                    about=about.column(table, column),
                    severity=RULE.severity if known and not _old_code_inserts(table, context) else Severity.NOTICE,
                )


def _old_code_inserts(table: Name, context: Context) -> bool | None:
    """Whether the INSERT of the base commit's models still runs on the upgraded table; None if it was not tried."""
    old, before = context.recording.old_code, context.now.origin(table)
    if before is None or not any(
        each.table.matches(before) and "insert" in each.tried for each in old.mapped or ()
    ):
        return None
    return not any(each.table.matches(before) and "insert" in each.statements for each in old.broken)


def _may_be_null(nullable: bool, table: Name, column: str, context: Context) -> bool:
    return nullable and not any(
        isinstance(later, SetNotNull) and later.table.matches(table) and later.column == column
        for later, _ in context.later()
    )


def _had_none(known: Column, subject: DropDefault | DropIdentity) -> bool:
    """Whether there was no default to drop: autogenerate renders `server_default=None` even if none was set."""
    return isinstance(subject, DropDefault) and known.default is None


def _comes_back(operation: object, table: Name, column: str) -> bool:
    match operation:
        case (
            SetDefault(table=on, column=name)
            | AddIdentity(table=on, column=name)
            | DropColumn(table=on, column=name)
        ):
            return on.matches(table) and name == column
        case DropNotNull(table=on, column=name):
            return on.matches(table) and name == column
    return False


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, mood varchar(50) NOT NULL DEFAULT 'good')")"""

EXAMPLES = [
    Example(
        "added with a default that does not stay",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), nullable=False, server_default="0"))
        op.alter_column("users", "age", server_default=None)  # flagged
        """,
    ),
    Example(
        "a default that code relies on",
        given=USERS,
        upgrade="""
        op.alter_column("users", "mood", server_default=None)  # flagged
        """,
    ),
    Example(
        "of a column that may be NULL",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), server_default="0"))
        op.alter_column("users", "age", server_default=None)
        """,
    ),
    Example(
        "around a change of type",
        given=USERS,
        upgrade="""
        op.alter_column("users", "mood", server_default=None)
        op.alter_column("users", "mood", type_=sa.Text(), server_default="bad")
        """,
    ),
    Example(
        "that a trigger replaces",
        given=USERS,
        upgrade="""
        op.execute(
            "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN NEW.mood = coalesce(NEW.mood, ''good''); RETURN NEW; END'"
        )
        op.execute("CREATE TRIGGER fill BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fill()")
        op.alter_column("users", "mood", server_default=None)
        """,
    ),
    Example(
        "that a trigger replaces too late",
        given=USERS,
        upgrade="""
        op.execute(
            "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN NEW.mood = coalesce(NEW.mood, ''good''); RETURN NEW; END'"
        )
        op.execute("CREATE TRIGGER fill AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION fill()")
        op.alter_column("users", "mood", server_default=None)  # flagged
        """,
    ),
]
