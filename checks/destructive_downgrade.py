"""
The downgrade destroys what the upgrade did not bring.

## Why it hurts

A downgrade is run in a hurry, when a release has gone wrong. One that drops a table or a column which was there before
the upgrade, empties a table, or narrows a column that the upgrade did not touch, loses data that has nothing to do with
the release, and no one is looking for that in this moment.

## Do this instead

Let the downgrade undo the upgrade and nothing else. Where undoing is impossible without a loss, raise on purpose and say
what to restore: `raise NotImplementedError("restore public.orders from the backup")`.

A table or column that is seen to be gone after the downgrade is an error; what a DELETE, a TRUNCATE or a narrower type
takes, and what only the text shows, is a warning.

## Not flagged

- The plain reverse of an addition: dropping what this revision's upgrade has added, deleting rows that it has inserted,
  narrowing a type that it has widened. What was written after the upgrade is lost; the rollback label says so.
- A drop in the upgrade whose downgrade adds the column or table again, without its contents: that is part of
  `dropped-column` and `dropped-table`.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html#downgrading>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer import types
from reviewer.context import Context, Story, Subject
from reviewer.finding import Concern, Severity, concern
from reviewer.names import Name
from reviewer.operations import (
    AddColumn,
    AlterColumnType,
    Copy,
    CreateTable,
    CreateView,
    Delete,
    DropColumn,
    DropTable,
    Insert,
    Operation,
    RenameColumn,
    RenameTable,
    SetSchema,
    Truncate,
)
from reviewer.recording import NOT_THERE, Direction, Outcome
from reviewer.rule import Example, Rule

RULE = Rule(
    id="destructive-downgrade",
    summary="a rollback would destroy data that the upgrade did not bring",
    severity=Severity.WARNING,
    group="losing-data",
    replaces=frozenset({"incomplete-downgrade"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(upgrade=upgrade) as story if upgrade or not context.static:
            came = _Additions(tuple(operation for operation, _ in story.operations(Direction.UPGRADE)))
            gone = _Additions(tuple(operation for operation, _ in story.operations(Direction.DOWNGRADE)))
            for operation, statement in story.operations(Direction.DOWNGRADE):
                # what is not there to be lost is told as the failure that it is
                told = None if statement.sqlstate in NOT_THERE else _lost(operation, came, gone, context)
                if told:
                    what, about = told
                    yield concern(
                        f"Rolling back {what}, which the upgrade did not bring.",
                        about=about,
                        severity=Severity.ERROR if about[0] != "downgrade" and _seen(story) else None,
                        location=statement.location,
                        direction=Direction.DOWNGRADE,
                    )


def _seen(story: Story) -> bool:
    """Whether a server has run the downgrade: what it drops is then missing for certain."""
    return any(p.direction is Direction.DOWNGRADE and p.outcome is Outcome.OK and p.compared for p in story.passes)


class _Additions:
    """What the operations of one direction have brought."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._operations = operations

    def table(self, table: Name) -> bool:
        for operation in self._operations:
            match operation:
                case CreateTable(table=name) | CreateView(view=name) if name.matches(table):
                    return True
                case RenameTable(new_name=new) if Name(new, operation.table.schema).matches(table):
                    return True
                case SetSchema(object=name, new_schema=schema) if Name(name.name, schema).matches(table):
                    return True
        return False

    def column(self, table: Name, column: str) -> bool:
        for operation in self._operations:
            match operation:
                case AddColumn(table=on) if on.matches(table) and operation.column.name == column:
                    return True
                case RenameColumn(table=on, new_name=new) if on.matches(table) and new == column:
                    return True
        return self.table(table)

    def rows(self, table: Name) -> bool:
        return self.table(table) or any(
            isinstance(operation, Insert | Copy) and operation.table is not None and operation.table.matches(table)
            for operation in self._operations
        )

    def type(self, table: Name, column: str) -> bool:
        return self.column(table, column) or any(
            isinstance(operation, AlterColumnType) and operation.table.matches(table) and operation.column == column
            for operation in self._operations
        )


def _was_there(context: Context, table: Name, column: str | None = None) -> bool:
    """Whether it existed before the revision: in the base state, or through another new revision. What the text of the
    upgrade does not show, as in a DO block, may still be what it has brought.
    """
    found = context.table(table)
    if context.static and found is None:
        return True
    if found is not None and (column is None or found.column(column) is not None):
        return True
    others = (
        _Additions(tuple(operation for operation, _ in story.operations(Direction.UPGRADE)))
        for story in context.stories
        if context.revision is None or story.revision.id != context.revision.id
    )
    return any(each.column(table, column) if column else each.table(table) for each in others)


def _lost(
    operation: Operation, came: _Additions, gone: _Additions, context: Context
) -> tuple[str, tuple[str, ...]] | None:
    """What one operation of the downgrade destroys beyond the reverse of the upgrade."""
    match operation:
        case DropTable(table=table) if not (came.table(table) or gone.table(table)) and _was_there(context, table):
            return f"drops `{table}` and its rows", ("table", str(table))
        case DropColumn(table=table, column=column) if not (
            came.column(table, column) or gone.column(table, column)
        ) and _was_there(context, table, column):
            return f"drops `{table}.{column}` and its values", ("column", str(table), column)
        case Truncate(table=table) if not came.rows(table):
            return f"empties `{table}`", ("downgrade", "table", str(table))
        case Delete(table=table, filtered=filtered) if not came.rows(table):
            rows = "rows" if filtered else "all rows"
            return f"deletes {rows} of `{table}`", ("downgrade", "table", str(table))
        case AlterColumnType(table=table, column=column, type=type_) if not came.type(table, column):
            known = context.column(table, column)
            if known is not None and not types.keeps_storage(known.type, type_):
                return (
                    f"turns `{table}.{column}` from `{known.type}` into `{type_}`",
                    ("downgrade", "column", str(table), column),
                )
    return None


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "drops a column that was there before",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        downgrade="""
        op.drop_column("users", "name")  # flagged
        op.drop_column("users", "age")
        """,
    ),
    Example(
        "deletes rows that it has not inserted",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        downgrade="""
        op.execute("DELETE FROM users WHERE age IS NOT NULL")  # flagged
        op.drop_column("users", "age")
        """,
    ),
    Example(
        "the plain reverse of additions",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.create_table("groups", sa.Column("id", sa.BigInteger(), primary_key=True))
        op.execute("INSERT INTO users (id, name) VALUES (0, 'nobody')")
        """,
        downgrade="""
        op.execute("DELETE FROM users WHERE id = 0")
        op.drop_table("groups")
        op.drop_column("users", "age")
        """,
    ),
]
