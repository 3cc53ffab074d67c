"""
The downgrade destroys data that the upgrade did not add.

## Why it hurts

A downgrade is run in a hurry, when a release has gone wrong. One that drops a table or a column that existed before
the upgrade, empties a table, or narrows a column that the upgrade did not touch, loses data that has nothing to do
with the release, and nobody is looking for that at this moment.

## Do this instead

Let the downgrade undo the upgrade and nothing else. If undoing is impossible without a loss, raise deliberately and
say what to restore: `raise NotImplementedError("restore public.orders from the backup")`.

A table or column that was observed to be missing after the downgrade is an error; losses by DELETE, TRUNCATE or a
narrower type, and what only the text shows, are a warning.

## Not flagged

- The plain reverse of an addition: dropping what this revision's upgrade has added, deleting rows that it has
  inserted, narrowing a type that it has widened. What was written after the upgrade is lost; the rollback label
  says so.
- A drop in the upgrade whose downgrade adds the column or table again, without its contents: that is part of
  `dropped-column` and `dropped-table`.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html#downgrading>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    NOT_THERE,
    AlterColumnType,
    Concern,
    Context,
    Copy,
    Delete,
    Direction,
    DropColumn,
    DropTable,
    Example,
    Group,
    Insert,
    Name,
    Outcome,
    Rule,
    Severity,
    Step,
    Story,
    Subject,
    Truncate,
    about,
    concern,
    names,
    types,
)

RULE = Rule(
    id="destructive-downgrade",
    summary="a rollback would destroy data that the upgrade did not add",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
    replaces=frozenset({"incomplete-downgrade"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(upgrade=upgrade) as story if upgrade or not context.static:
            brought = _Brought(story)
            for step in story.steps(Direction.DOWNGRADE):
                statement = step.statement
                # what does not exist cannot be lost: that is reported as a failure
                told = None if statement.sqlstate in NOT_THERE else _told(step, brought, story, context.static)
                if told:
                    what, about = told
                    yield concern(
                        f"Rolling back {what}.",
                        about=about,
                        severity=Severity.ERROR if about[0] != "downgrade" and _seen(story) else None,
                        location=statement.location,
                        direction=Direction.DOWNGRADE,
                    )


def _seen(story: Story) -> bool:
    """Whether a server has run the downgrade: what it drops is then known to be missing."""
    return any(p.direction is Direction.DOWNGRADE and p.outcome is Outcome.OK and p.compared for p in story.passes)


class _Brought:
    """What the upgrade of a revision has added, by the names that objects have after it."""

    def __init__(self, story: Story) -> None:
        self._steps = story.steps(Direction.UPGRADE)
        schema = story.before.deployed()
        for step in self._steps:
            if step.statement.error is None:
                schema = schema.apply(step.operation)
        self.schema = schema

    def rows(self, table: Name) -> bool:
        return self.schema.is_new(table) or any(
            isinstance(step.operation, Insert | Copy)
            and step.operation.table is not None
            and step.operation.table.matches(table)
            for step in self._steps
        )

    def type(self, table: Name, column: str) -> bool:
        return self.schema.is_new_column(table, column) or any(
            isinstance(step.operation, AlterColumnType)
            and step.operation.table.matches(table)
            and step.operation.column == column
            for step in self._steps
        )


def _was_there(step: Step, brought: _Brought, story: Story, static: bool, column: str | None = None) -> bool:
    """Whether it existed before the revision, and the downgrade does not replace it. What the text of the upgrade
    does not show, as in a DO block, may still have been added by it.
    """
    table = getattr(step.operation, "table", None)
    assert isinstance(table, Name)
    ended = story.downgrade[-1].schemas[-1]
    if (ended.table(table) if column is None else ended.column(table, column)) is not None:
        return False
    if column is None:
        upgraded = step.now.origin(table)
        before = brought.schema.origin(upgraded) if upgraded is not None else None
    else:
        at = step.now.column_origin(table, column)
        found = brought.schema.column_origin(*at) if at is not None else None
        before, column = found if found is not None else (None, None)
    if before is None:
        return False
    known = story.before.table(before)
    return static if known is None else column is None or known.column(column) is not None


def _told(step: Step, brought: _Brought, story: Story, static: bool) -> tuple[str, tuple[str, ...]] | None:
    match step.operation:
        case Delete(table=table) if table.name.startswith("pg_") and table.schema in {None, "pg_catalog"}:
            said = f"deletes rows of the system catalogue `{table}`, and PostgreSQL does not check what needs them"
            if table.name == "pg_enum":
                said = (
                    "deletes a label from the system catalogue `pg_enum`: a row that has it can no longer be read"
                )
            return said, ("downgrade", "table", str(table))
    lost = _lost(step, brought, story, static)
    return (f"{lost[0]}, which the upgrade did not add", lost[1]) if lost is not None else None


def _lost(step: Step, brought: _Brought, story: Story, static: bool) -> tuple[str, tuple[str, ...]] | None:
    """What one operation of the downgrade destroys beyond the reverse of the upgrade."""
    match step.operation:
        case DropTable(table=table) if _was_there(step, brought, story, static):
            return f"drops `{table}` and its rows", about.table(table)
        case DropColumn(table=table, column=column) if _was_there(step, brought, story, static, column):
            return f"drops `{table}.{column}` and its values", about.column(table, column)
        case Truncate(table=table) if not brought.rows(table):
            return f"empties `{table}`", ("downgrade", "table", str(table))
        case Delete(table=table, filtered=filtered) if not brought.rows(table):
            rows = "rows" if filtered else "all rows"
            return f"deletes {rows} of `{table}`", ("downgrade", "table", str(table))
        case AlterColumnType(table=table, column=column, type=type_) if not brought.type(table, column):
            known = step.now.column(table, column)
            if (
                known is not None
                and not types.keeps_storage(known.type, type_)
                and not _one_name(known.type, type_)
            ):
                return (
                    f"turns `{table}.{column}` from `{known.type}` into `{type_}`",
                    ("downgrade", "column", str(table), column),
                )
    return None


def _one_name(one: str, other: str) -> bool:
    """Whether both name one type. Where a new type has taken the name, no value is lost: one that it lacks makes the
    downgrade fail.
    """
    if one.endswith("[]") != other.endswith("[]"):
        return False
    first, second = names.read(one.removesuffix("[]")), names.read(other.removesuffix("[]"))
    return first is not None and second is not None and first.matches(second)


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "deletes a label by hand",
        given="""
        op.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, mood mood)")
        """,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'happy'")
        """,
        downgrade="""
        op.execute("DELETE FROM pg_enum WHERE enumlabel = 'happy' AND enumtypid = 'mood'::regtype")  # flagged
        """,
    ),
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
