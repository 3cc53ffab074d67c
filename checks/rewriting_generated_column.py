"""
A stored generated column rewrites the whole table while reads and writes wait.

## Why it hurts

`GENERATED ALWAYS AS (...) STORED` needs a value in every existing row, so PostgreSQL writes all rows into a new
file and rebuilds every index, under ACCESS EXCLUSIVE. `SET EXPRESSION` does the same again. Until the transaction
ends, nobody can read or write the table.

## Do this instead

Since PostgreSQL 18 a VIRTUAL column costs nothing: its value is computed when it is read. Before that: add a plain
column, a trigger that fills it for new and changed rows, and backfill the old rows in batches.

## Not flagged

- Virtual columns.
- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/ddl-generated-columns.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    ColumnDefinition,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Rule,
    SetExpression,
    Severity,
    Subject,
    about,
    concern,
    quoted,
    remedies,
)

RULE = Rule(
    id="rewriting-generated-column",
    summary="reads and writes wait while a value is computed for every row",
    severity=Severity.ERROR,
    group=Group.REWRITING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    rewrites=True,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddColumn(table=table, column=ColumnDefinition(generated=str(expression), stored=True) as column):
            if not context.exists(table) or (context.observed and not context.rewrote(table)):
                return
            virtual = (
                f"ALTER TABLE {table.sql} ADD COLUMN {quoted(column.name)} {column.type}"
                f" GENERATED ALWAYS AS ({expression}) VIRTUAL"
            )
            filled = remedies.in_batches(
                table,
                f"{quoted(column.name)} = {expression}",
                f"{quoted(column.name)} IS DISTINCT FROM ({expression})",
            )
            yield concern(
                f"""
                Adding the stored generated column `{table}.{column.name}` rewrites every row of `{table}` under
                ACCESS EXCLUSIVE, so reads and writes of `{table}` wait until the transaction ends.
                """,
                remedy=[remedies.execute(virtual)]
                if context.major >= 18
                else [
                    f"{remedies.add_column(table, column)}\n{remedies.kept_filled(table, column.name, expression)}",
                    filled,
                ],
                about=about.column(table, column.name),
            )
        case SetExpression(table=table, column=name) if context.exists(table):
            if context.rewrote(table) if context.observed else True:
                yield concern(
                    f"""
                    Giving `{table}.{name}` another expression rewrites every row of `{table}` under ACCESS
                    EXCLUSIVE, so reads and writes of `{table}` wait until the transaction ends.
                    """,
                    about=about.column(table, name),
                    severity=context.certainty(RULE.severity) if context.statement.error is None else None,
                )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "stored",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("low", sa.Text(), sa.Computed("lower(name)", persisted=True)))  # flagged
        """,
    ),
    Example(
        "another expression",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, double bigint GENERATED ALWAYS AS (id * 2) STORED)")
        """,
        upgrade="""
        op.execute("ALTER TABLE users ALTER COLUMN double SET EXPRESSION AS (id + id)")  # flagged
        """,
        since=17,
    ),
    Example(
        "virtual",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN low text GENERATED ALWAYS AS (lower(name)) VIRTUAL")
        """,
        since=18,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.create_table("notes", sa.Column("text", sa.Text()))
        op.add_column("notes", sa.Column("low", sa.Text(), sa.Computed("lower(text)", persisted=True)))
        """,
    ),
]
