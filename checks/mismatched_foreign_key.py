"""
The referencing column has another type than the key that it refers to.

## Why it hurts

If the types are of different kinds, each check of the key casts one side, and may not be able to use an index. And
a column that is smaller than the key overflows first: an `integer` that refers to a `bigint` key cannot hold future
ids.

## Do this instead

Give the column exactly the type of the key. A key that is widened is one half of the change: the columns that refer to
it are the other.

## Not flagged

- Types of one family that compare without a cast, such as `varchar` and `text`.
- Columns whose type the review does not know.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-FK>
- <https://www.postgresql.org/docs/current/indexes-opclass.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    AddForeignKey,
    AlterColumnType,
    Concern,
    Context,
    CreateTable,
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
    types,
)

RULE = Rule(
    id="mismatched-foreign-key",
    summary="the column and the key that it refers to have different types",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddForeignKey() | AddColumn() | CreateTable():
            for table, key in implications.foreign_keys(subject):
                for column, other in zip(key.columns, _referenced(key, context), strict=False):
                    mine, theirs = (
                        _type(subject, table, column, context),
                        _type(subject, key.referenced, other, context),
                    )
                    if mine is None or theirs is None:
                        continue
                    smaller = _size(mine) < _size(theirs)
                    if types.family(mine) == types.family(theirs) and not smaller:
                        continue
                    what = f"`{table}.{column}` is `{types.canonical(mine)}`"
                    yield concern(
                        f"{what}, and `{key.referenced}.{other}`, which it refers to, is `{types.canonical(theirs)}`.",
                        about=about.column(table, column, "key type"),
                        severity=RULE.severity.lower if smaller else RULE.severity,
                    )

        case AlterColumnType(table=table, column=column) if not context.statement.error:
            yield from _left_apart(table, column, context)


def _left_apart(table: Name, column: str, context: Context) -> Iterator[Concern]:
    """A key that is widened, and columns that refer to it and are as small as before when the deploy has ended."""
    end = context.stories[-1].after if context.stories else context.now
    for child in context.now.tables.values():
        for key in child.constraints:
            if key.kind != "foreign key" or key.referenced is None or not key.referenced.matches(table):
                continue
            for mine, theirs in zip(key.columns, key.referenced_columns, strict=False):
                before, was = context.now.column(child.name, mine), context.now.column(table, theirs)
                small, large = end.column(child.name, mine), end.column(table, theirs)
                if theirs != column or small is None or large is None or before is None or was is None:
                    continue
                if _size(before.type) == _size(was.type) and _size(small.type) < _size(large.type):
                    yield concern(
                        f"""
                        `{child.name}.{mine}` remains `{types.canonical(small.type)}`, and `{table}.{column}`, which it
                        refers to, becomes `{types.canonical(large.type)}`: it cannot hold the larger keys to come.
                        """,
                        about=about.column(child.name, mine, "key type"),
                        severity=RULE.severity,
                    )


def _referenced(key: ForeignKey, context: Context) -> tuple[str, ...]:
    """The columns that the key refers to; those of the primary key if none are named."""
    return key.referenced_columns or context.now.primary_key(key.referenced)


def _type(
    subject: AddForeignKey | AddColumn | CreateTable, table: Name, column: str, context: Context
) -> str | None:
    match subject:
        case AddColumn(table=on, column=added) if on.matches(table) and added.name == column:
            return added.type
        case CreateTable(table=on, columns=columns) if on.matches(table):
            return next((each.type for each in columns if each.name == column), None)
    known = context.now.column(table, column)
    return known.type if known else None


def _size(type_: str) -> int:
    return {"smallint": 2, "integer": 4, "bigint": 8}.get(types.base(type_), 0)


USERS = """op.execute("CREATE TABLE users (id uuid PRIMARY KEY, name varchar(10) UNIQUE, number numeric UNIQUE)")"""

EXAMPLES = [
    Example(
        "a whole number that refers to a numeric",
        given=USERS,
        upgrade="""
        op.create_table(  # flagged
            "orders",
            sa.Column("id", sa.BigInteger(), primary_key=True),
            sa.Column("number", sa.BigInteger(), sa.ForeignKey("users.number"), index=True),
        )
        """,
    ),
    Example(
        "the same type, and one that compares without a cast",
        given=USERS,
        upgrade="""
        op.create_table(
            "orders",
            sa.Column("id", sa.BigInteger(), primary_key=True),
            sa.Column("user_id", sa.Uuid(), sa.ForeignKey("users.id"), index=True),
            sa.Column("user_name", sa.Text(), sa.ForeignKey("users.name"), index=True),
        )
        """,
    ),
    Example(
        "a key that is widened, without the column that refers to it",
        given="""
        op.execute("CREATE TABLE teams (id int PRIMARY KEY)")
        op.execute("CREATE TABLE players (id int PRIMARY KEY, team_id int REFERENCES teams)")
        """,
        upgrade="""
        op.alter_column("teams", "id", type_=sa.BigInteger())  # flagged
        """,
    ),
    Example(
        "a key that is widened to the type that the column has",
        given="""
        op.execute("CREATE TABLE teams (id int PRIMARY KEY)")
        op.execute("CREATE TABLE players (id int PRIMARY KEY, team_id bigint REFERENCES teams)")
        """,
        upgrade="""
        op.alter_column("teams", "id", type_=sa.BigInteger())
        """,
    ),
]
