"""
A rename that was written as drop and add: the values are lost, and nothing was copied.

## Why it hurts

Autogenerate cannot know that a column or table was renamed. It sees that one name disappears and another appears,
and writes a drop and an add. The revision runs up, down and up again without an error, and every value is lost.

## Do this instead

Keep the old column and copy its values: add the new one, let the code write both, copy the old rows in batches, and
drop the old column a release later. A plain rename (`op.alter_column(..., new_column_name=...)`, `op.rename_table`)
keeps the values, but breaks the code that runs while it is deployed: see `renamed-column` and `renamed-table`.

## Not flagged

- A drop and an add of different types: see `dropped-column`.
- A column whose values were copied in between, and one of a table that was emptied before: nothing is lost.
- A column whose values the revision has fetched before it wrote rows: it took them somewhere else.
- A new column that refers to another table than the dropped one, or has a default other than an empty text, zero or
  false, and a dropped column that comes again.
- Tables and columns that the same deploy has created.

## References

- <https://alembic.sqlalchemy.org/en/latest/autogenerate.html#what-does-autogenerate-detect-and-what-does-it-not-detect>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from reviewer.check import (
    AddColumn,
    AddForeignKey,
    ColumnDefinition,
    Concern,
    Context,
    CreateTable,
    Direction,
    DropColumn,
    DropTable,
    Example,
    Group,
    Insert,
    Name,
    Operation,
    Rule,
    Severity,
    Step,
    Subject,
    Update,
    about,
    concern,
    remedies,
    types,
)

RULE = Rule(
    id="rename-as-drop",
    summary="what looks like a rename is a drop and an add, and loses every value",
    severity=Severity.ERROR,
    group=Group.LOSING_DATA,
    replaces=frozenset({"dropped-column", "dropped-table"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropColumn(table=table, column=old) if not context.is_new_column(table, old):
            type_ = _type_of_column(table, old, context)
            new = _new_column(subject, context)
            if type_ and new and not _nothing_lost(table, old, new, context):
                yield concern(
                    f"""
                    `{table}.{old}` is dropped and `{new}` of the same type is added: this looks like a rename, and
                    it destroys every value of `{old}`.
                    """,
                    remedy=remedies.second_column(
                        table,
                        old,
                        new,
                        type_,
                        required=context.now.must_be_written(table, old),
                        added=_came_first(new, context),
                    ),
                    about=about.column(table, old),
                    evidence={"becomes": new},
                )
        case DropTable(table=table) if context.exists(table):
            created = _new_table(subject, context)
            if created and not _table_copied(table, context):
                yield concern(
                    f"""
                    `{table}` is dropped and `{created}` with the same columns is created: this looks like a rename,
                    and it destroys every row of `{table}`.
                    """,
                    remedy=[_keep_rows(table, created, context)],
                    about=about.table(table),
                )


def _type_of_column(table: Name, column: str, context: Context) -> str | None:
    """As it is now; without a server from the downgrade, which adds the column again."""
    known = context.now.column(table, column)
    if known is not None:
        return known.type
    for operation, _ in context.story.operations(Direction.DOWNGRADE) if context.story else ():
        if isinstance(operation, AddColumn) and operation.table.matches(table) and operation.column.name == column:
            return operation.column.type
    return None


def _types(step: Step, table: Name, column: str, context: Context) -> set[str]:
    """The types of the column, before the deploy and since."""
    before = step.now.column_origin(table, column)
    found = {_type_of_column(table, column, replace(context, now=step.now))}
    if before is not None and (known := context.before.column(*before)) is not None:
        found.add(known.type)
    return {types.canonical(type_) for type_ in found if type_}


def _new_column(dropped: DropColumn, context: Context) -> str | None:
    """The column that replaces it: of one type, the first dropped is paired with the first added."""
    table = context.now.origin(dropped.table)
    steps = context.story.steps(context.direction) if context.story else ()
    here = [step for step in steps if isinstance(step.operation, DropColumn | AddColumn) and _on(step, table)]
    gone = [
        (
            step.operation.table,
            step.operation.column,
            _types(step, step.operation.table, step.operation.column, context),
        )
        for step in here
        if isinstance(step.operation, DropColumn)
    ]
    come = [
        step.operation.column
        for step in here
        if isinstance(step.operation, AddColumn)
        and step.now.column(step.operation.table, step.operation.column.name) is None  # else nothing is added
    ]
    again = {each.name for each in come}
    for on, column, had in gone:
        if column in again:
            continue
        fitting = (each for each in come if types.canonical(each.type) in had)
        new = next((each for each in fitting if _means_the_same(on, column, each, steps, context)), None)
        if new is not None:
            come.remove(new)
        if on.matches(dropped.table) and column == dropped.column:
            return new.name if new else None
    return None


def _means_the_same(table: Name, old: str, new: ColumnDefinition, steps: Sequence[Step], context: Context) -> bool:
    """Whether the new column refers to what the old one refers to, and has a default only if that has one; True if it
    refers to nothing, or that is unknown.
    """
    keys = [new.references] if new.references is not None else []
    for step in steps:
        match step.operation:
            case AddForeignKey(table=on, key=key) if on.matches(table) and key.columns == (new.name,):
                keys.append(key)
    before = context.now.column_origin(table, old)
    known = context.before.table(before[0]) if before is not None else None
    if before is None or known is None:
        return True
    was = known.column(before[1])
    if new.default is not None and (was is None or was.default is None) and not _is_empty(new.default):
        return False  # the rows get a value that says nothing of the old one
    if not keys:
        return True
    referred = [each.referenced for each in known.constraints if each.referenced and each.columns == (before[1],)]
    return any(key.referenced.matches(each) for key in keys for each in referred)


def _is_empty(default: str) -> bool:
    """Whether the default only lets existing rows be NOT NULL, as an empty text or zero does."""
    return _EMPTY.fullmatch(default) is not None


_EMPTY = re.compile(
    r"\(?(?:'(?:\{\}|\[\]|0|f|false)?'|0(?:\.0*)?|false|null)\)?(?:::[\w \[\]()\"]+)?", re.IGNORECASE
)


def _on(step: Step, table: Name | None) -> bool:
    """Whether the operation is about the table that was called `table` before the deploy."""
    named = getattr(step.operation, "table", None)
    before = step.now.origin(named) if isinstance(named, Name) else None
    return before is not None and table is not None and before.matches(table)


def _came_first(new: str, context: Context) -> ColumnDefinition | None:
    """The new column, if it already exists when the old one is dropped."""
    before = (operation.column for operation, _ in context.earlier if isinstance(operation, AddColumn))
    return next((column for column in before if column.name == new), None)


def _keep_rows(table: Name, created: Name, context: Context) -> str:
    if context.is_new(created):
        return remedies.outside_transaction(
            remedies.execute(f"INSERT INTO {created.sql} SELECT * FROM {table.sql} ON CONFLICT DO NOTHING")
        )
    view = remedies.execute(f"CREATE VIEW {table.sql} AS SELECT * FROM {created.sql}")
    return remedies.call("op.rename_table", table, created.name) + "\n" + view


def _nothing_lost(table: Name, old: str, new: str, context: Context) -> bool:
    """Whether there was no value left, or each was taken along."""
    return (
        context.emptied(table)
        or (context.moved_in_python(table) and _filled(table, new, context))
        or context.taken_in_python(table, old)
        or _column_copied(table, old, new, context)
    )


def _filled(table: Name, new: str, context: Context) -> bool:
    """Whether the revision writes to the new column."""
    return any(
        isinstance(operation, Update) and operation.table.matches(table) and new in operation.columns
        for operation, _ in context.same_revision()
    )


def _column_copied(table: Name, old: str, new: str, context: Context) -> bool:
    before, dropped = context.now.origin(table), context.now.column_origin(table, old)
    return any(
        isinstance(step.operation, Update)
        and _on(step, before)
        and new in step.operation.columns
        and any(step.now.column_origin(step.operation.table, read) == dropped for read in step.operation.reads)
        for step in (context.story.steps(context.direction) if context.story else ())
    )


def _new_table(dropped: DropTable, context: Context) -> Name | None:
    known = context.now.table(dropped.table)
    columns: dict[str, str] = {}
    if known is not None:
        columns = {column.name: types.canonical(column.type) for column in known.columns}
    elif context.story:
        for operation, _ in context.story.operations(Direction.DOWNGRADE):
            if isinstance(operation, CreateTable) and operation.table.matches(dropped.table):
                columns = {column.name: types.canonical(column.type) for column in operation.columns}
    for operation in _operations(context):
        if isinstance(operation, CreateTable) and columns and not operation.table.matches(dropped.table):
            same = {column.name: types.canonical(column.type) for column in operation.columns} == columns
            if same:
                return operation.table
    return None


def _operations(context: Context) -> list[Operation]:
    """Every operation of the same revision and direction, in order."""
    return [operation for operation, _ in context.story.operations(context.direction)] if context.story else []


def _table_copied(table: Name, context: Context) -> bool:
    return any(
        isinstance(operation, Insert) and any(source.matches(table) for source in operation.sources)
        for operation in _operations(context)
    )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "a column, as autogenerate writes it",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("full_name", sa.String(50)))
        op.drop_column("users", "name")  # flagged
        """,
        downgrade="""
        op.add_column("users", sa.Column("name", sa.String(50)))
        op.drop_column("users", "full_name")
        """,
    ),
    Example(
        "a table, as autogenerate writes it",
        given=USERS,
        upgrade="""
        op.create_table(
            "accounts", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("name", sa.String(50))
        )
        op.drop_table("users")  # flagged
        """,
    ),
    Example(
        "of another type",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.drop_column("users", "name")
        """,
    ),
    Example(
        "copied in between",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("full_name", sa.String(50)))
        op.execute("UPDATE users SET full_name = name")
        op.drop_column("users", "name")
        """,
    ),
    Example(
        "a new column that refers to another table",
        given="""
        op.execute("CREATE TABLE users (id int PRIMARY KEY)")
        op.execute("CREATE TABLE calls (id int PRIMARY KEY, place int)")
        """,
        upgrade="""
        op.add_column("calls", sa.Column("user_id", sa.Integer()))
        op.create_foreign_key("of_user", "calls", "users", ["user_id"], ["id"])
        op.drop_column("calls", "place")
        """,
    ),
    Example(
        "a new column with a default of its own",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("home", sa.String(50), server_default="/tmp", nullable=False))
        op.drop_column("users", "name")
        """,
    ),
    Example(
        "a new column with an empty default, for the rows that are there",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("full_name", sa.String(50), server_default="", nullable=False))
        op.drop_column("users", "name")  # flagged
        """,
    ),
    Example(
        "a column that was there before",
        given='op.execute("CREATE TABLE calls (id int PRIMARY KEY, place int, floor int)")',
        upgrade="""
        op.execute("ALTER TABLE calls ADD COLUMN IF NOT EXISTS floor int")
        op.drop_column("calls", "place")
        """,
    ),
    Example(
        "a column that comes again with another type",
        given='op.execute("CREATE TABLE calls (id int PRIMARY KEY, place int)")',
        upgrade="""
        op.add_column("calls", sa.Column("floor", sa.Integer()))
        op.drop_column("calls", "place")
        op.add_column("calls", sa.Column("place", sa.Text()))
        """,
    ),
    Example(
        "copied by a program",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("full_name", sa.String(50)))
        found = op.get_bind().execute(sa.text("SELECT id, name FROM users")).all()
        made = [{"id": id_, "new": f"{name}!"} for id_, name in found]
        op.get_bind().execute(sa.text("UPDATE users SET full_name = :new WHERE id = :id"), made)
        op.drop_column("users", "name")
        """,
    ),
    Example(
        "of a table that was emptied before",
        given=USERS,
        upgrade="""
        op.execute("DELETE FROM users")
        op.add_column("users", sa.Column("full_name", sa.String(50)))
        op.drop_column("users", "name")
        """,
    ),
]
