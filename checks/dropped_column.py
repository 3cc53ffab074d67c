"""
Dropping a column destroys its values, and breaks the code that still reads it.

## Why it hurts

The drop is instant and final: a downgrade can recreate the column, but not its values. And while the migration is
deployed, the old code still runs: SQLAlchemy names every mapped column in each SELECT and INSERT, so all of them
fail once the migration commits.

## Do this instead

Remove the column from the models first, and deploy that. Drop the column in a later release, when nothing reads it,
and say so next to the statement: `# reviewer: allow[dropped-column] unused since 2.4`. Keep a copy of data that may
be needed again.

The same holds for an attribute of a composite type that a column has.

## Not flagged

- Columns that the same deploy has added.
- `DROP COLUMN IF EXISTS` if there is no such column.
- A column that looks renamed by drop and add: see `rename-as-drop`.

## References

- <https://www.postgresql.org/docs/current/ddl-alter.html#DDL-ALTER-REMOVING-A-COLUMN>
- <https://docs.sqlalchemy.org/en/20/orm/queryguide/columns.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    AlterObject,
    Column,
    Concern,
    Context,
    Direction,
    DropColumn,
    Example,
    Group,
    Insert,
    LockMode,
    Name,
    Operation,
    Rule,
    Severity,
    Statement,
    Subject,
    Update,
    about,
    concern,
    listed,
    quoted,
    remedies,
)

RULE = Rule(
    id="dropped-column",
    summary="its values are lost for good, and code that still reads it fails",
    severity=Severity.ERROR,
    group=Group.LOSING_DATA,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropColumn(table=table, column=column) if not context.is_new_column(table, column):
            if context.absent(table, column) and subject.if_exists:
                return
            kept = (
                any(_copies(*earlier, table, column) for earlier in context.earlier)
                or context.survived(table, column)
                or context.moved_in_python(table)
                or context.emptied(table)
            )
            comes = next(
                (o for o, _ in context.later() if isinstance(o, AddColumn) and _adds(o, table, column)), None
            )
            known = context.now.column(table, column)
            if known is not None and known.generated:
                if comes is not None and comes.column.generated is not None:
                    return  # computed anew
                if comes is not None:
                    yield concern(
                        f"""
                        `{table}.{column}`, which is generated, becomes an empty plain column: nothing computes its values any
                        more.{" `DROP EXPRESSION` keeps those that are there, and a trigger computes new ones." if known.stored else ""}
                        """,
                        remedy=[_made_plain(table, known)] if known.stored and known.default else [],
                        about=about.column(table, column),
                    )
                    return
                kept = True
            unused = context.old_code_uses(table, column) is False
            uses = context.old_code_uses(table, column)
            lost = f"breaks the running code, {'which' if uses else 'if that'} still reads and writes it"
            if unused:
                lost = "is safe for the running code, whose models no longer have it"
            if not kept:
                lost = f"destroys its values {'but' if unused else 'and'} {lost}"
            yield concern(
                f"Dropping `{table}.{column}` {lost}{_comes_back_empty(subject, context, kept)}.",
                about=about.column(table, column),
                severity=Severity.NOTICE
                if unused
                else context.certainty(RULE.severity)
                if subject.if_exists
                or (context.static and comes is not None and comes.column.generated is not None)
                else None,
            )
        case AlterObject(kind="type", object=name, action=action) if found := _ATTRIBUTE.match(action):
            if held := _holders(name, context):
                where = listed([f"`{table}.{column}`" for table, column in held])
                yield concern(
                    f"""
                    Dropping the attribute `{found[1]}` of the type `{name}` destroys its values in {where} and breaks the
                    running code, if that still reads it.
                    """,
                    about=about.column(*held[0]),
                )


_ATTRIBUTE = re.compile(r'DROP\s+ATTRIBUTE\s+(?:IF\s+EXISTS\s+)?"?(\w+)', re.IGNORECASE)


def _holders(type_: Name, context: Context) -> list[tuple[Name, str]]:
    """The columns that have the composite type, or an array of it."""
    return [
        (table.name, column.name)
        for table in context.now.tables.values()
        if not context.is_new(table.name)
        for column in table.columns
        if Name.told(column.type.removesuffix("[]")).matches(type_)
    ]


def _made_plain(table: Name, column: Column) -> str:
    """For a stored generated column: it becomes a plain one, with its values."""
    plain = f"ALTER TABLE {table.sql} ALTER COLUMN {quoted(column.name)} DROP EXPRESSION"
    return f"{remedies.kept_filled(table, column.name, column.default or '')}\n{remedies.execute(plain)}"


def _adds(operation: Operation, table: Name, column: str) -> bool:
    return isinstance(operation, AddColumn) and operation.table.matches(table) and operation.column.name == column


def _copies(operation: Operation, statement: Statement, table: Name, column: str) -> bool:
    """Whether the values of the column were copied elsewhere before."""
    match operation:
        case Insert() | Update() if _WITH.match(statement.sql) and statement.error is None:
            # a query of several parts hands the values on from one to the next
            return all(re.search(rf"\b{re.escape(name)}\b", statement.sql) for name in (table.name, column))
        case Insert(sources=sources) if any(source.matches(table) for source in sources):
            return (
                statement.error is None
                and re.search(rf"\b{re.escape(column)}\b", statement.sql, re.IGNORECASE) is not None
            )
        case Update(table=into, reads=reads, sources=sources):
            return column in reads and (into.matches(table) or any(source.matches(table) for source in sources))
    return False


_WITH = re.compile(r"\s*WITH\b", re.IGNORECASE)


def _comes_back_empty(dropped: DropColumn, context: Context, kept: bool) -> str:
    if context.story is None or kept:
        return ""
    for operation, _ in context.story.operations(Direction.DOWNGRADE):
        match operation:
            case AddColumn(table=table, column=column):
                if table.matches(dropped.table) and column.name == dropped.column:
                    return "; the downgrade adds the column again, but not its values"
    return ""


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "an attribute of a composite type that no table has",
        given="""
        op.execute("CREATE TYPE address AS (street text, zip text)")
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
        """,
        upgrade="""
        op.execute("ALTER TYPE address DROP ATTRIBUTE zip")
        """,
    ),
    Example(
        "a column with values",
        given=USERS,
        upgrade="""
        op.drop_column("users", "name")  # flagged
        """,
        downgrade="""
        op.add_column("users", sa.Column("name", sa.String(50)))
        """,
    ),
    Example(
        "a generated column that becomes a plain one",
        given="""
        op.execute("CREATE TABLE lines (id bigint PRIMARY KEY, sum int, twice int GENERATED ALWAYS AS (sum * 2) STORED)")
        """,
        upgrade="""
        op.drop_column("lines", "twice")  # flagged
        op.add_column("lines", sa.Column("twice", sa.Integer()))
        """,
        downgrade="""
        pass
        """,
    ),
    Example(
        "a column of the same deploy",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("nick", sa.Text()))
        """,
        then=('op.drop_column("users", "nick")',),
    ),
    Example(
        "its values are copied to another table before",
        given=USERS,
        upgrade="""
        op.create_table("names", sa.Column("user_id", sa.BigInteger(), primary_key=True), sa.Column("name", sa.Text()))
        op.execute("INSERT INTO names SELECT id, name FROM users")
        op.drop_column("users", "name")  # flagged
        """,
        downgrade="""
        op.add_column("users", sa.Column("name", sa.String(50)))
        op.execute("UPDATE users SET name = names.name FROM names WHERE names.user_id = users.id")
        op.drop_table("names")
        """,
    ),
    Example(
        "a generated column with another expression",
        given='op.execute("CREATE TABLE lines (id int PRIMARY KEY, price int NOT NULL, total int GENERATED ALWAYS AS (price * 2) STORED)")',
        upgrade="""
        op.drop_column("lines", "total")
        op.add_column("lines", sa.Column("total", sa.Integer(), sa.Computed("price * 3", persisted=True)))
        """,
    ),
    Example(
        "if there is one, and there is none",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users DROP COLUMN IF EXISTS nick")
        """,
    ),
]
