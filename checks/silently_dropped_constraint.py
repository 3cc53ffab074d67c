"""
Dropping the column also drops a key, unique constraint or index over several columns that no statement names.

## Why it hurts

PostgreSQL drops every constraint and index that a dropped column is part of, without CASCADE and without a message.
A `UNIQUE (a, b)` is dropped with `b`: duplicates of `a` are possible from then on, and the downgrade that adds
the column again does not restore it. The same goes for a multi-column index: queries that used its other columns
become slow. And for an index that uses the column only in its WHERE, in an expression or in INCLUDE.

## Do this instead

Drop the constraint or index in a separate statement before the column, and create what must be enforced from now
on.

## Not flagged

- Constraints and indexes on the dropped column alone, except the primary key.
- Constraints and indexes that the same revision drops by name, or creates again.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-DROP-COLUMN>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddForeignKey,
    AddPrimaryKey,
    AddUnique,
    Concern,
    Context,
    CreateIndex,
    DropColumn,
    DropConstraint,
    DropIndex,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="silently-dropped-constraint",
    summary="a constraint or index is dropped that no statement names",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropColumn(table=table, column=column) if not context.is_new_column(table, column):
            gone = _gone(table, column, context)
            if gone:
                yield concern(
                    f"Dropping `{table}.{column}` also drops {' and '.join(gone.values())}, which no statement names.",
                    about=about.constraint(table, *gone),
                    evidence={"dropped": list(gone)},
                )


def _gone(table: Name, column: str, context: Context) -> dict[str, str]:
    known = context.now.table(table)
    if known is None:
        return {}
    found = {
        each.name: f"the {each.kind}{'' if each.kind.endswith('key') else ' constraint'} `{each.name}` over `{', '.join(each.columns)}`"
        for each in known.constraints
        if column in each.columns
        and (len(each.columns) > 1 or each.kind == "primary key")
        and each.kind != "not null"
    }
    for index in known.indexes:
        uses = {*index.columns, *index.reads} - {""}
        if column in uses and len(uses) > 1 and index.constraint is None:
            over = f"over `{', '.join(index.columns)}`" if not index.reads else f"(`{index.definition}`)"
            found[index.name] = f"the index `{index.name}` {over}"
    for operation, _ in (*context.earlier, *context.later()):
        match operation:
            case (
                DropConstraint(name=name)
                | AddUnique(name=str() as name)
                | AddForeignKey(name=str() as name)
                | AddCheck(name=str() as name)
                | AddPrimaryKey(name=str() as name)
                | CreateIndex(name=str() as name)
            ):
                found.pop(name, None)
            case DropIndex(index=index_name):
                found.pop(index_name.name, None)
    return found


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, a int, b int, CONSTRAINT a_b UNIQUE (a, b))")'

EXAMPLES = [
    Example(
        "a unique constraint over two columns",
        given=USERS,
        upgrade="""
        op.drop_column("users", "b")  # flagged
        """,
    ),
    Example(
        "dropped by name before",
        given=USERS,
        upgrade="""
        op.drop_constraint("a_b", "users", type_="unique")
        op.drop_column("users", "b")
        """,
    ),
    Example(
        "a column that only the WHERE of an index uses",
        given=USERS
        + """
op.drop_constraint("a_b", "users", type_="unique")
op.execute("CREATE UNIQUE INDEX live ON users (a) WHERE b IS NULL")
""",
        upgrade="""
        op.drop_column("users", "b")  # flagged
        """,
    ),
    Example(
        "a column that an index over an expression of two uses",
        given=USERS
        + """
op.drop_constraint("a_b", "users", type_="unique")
op.execute("CREATE INDEX total ON users ((a + b))")
""",
        upgrade="""
        op.drop_column("users", "b")  # flagged
        """,
    ),
    Example(
        "an index whose WHERE uses the column that it is on",
        given=USERS
        + """
op.drop_constraint("a_b", "users", type_="unique")
op.execute("CREATE INDEX given ON users (b) WHERE b IS NOT NULL")
""",
        upgrade="""
        op.drop_column("users", "b")
        """,
    ),
]
