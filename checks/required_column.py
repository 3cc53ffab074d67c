"""
A new column that is NOT NULL without a server default fails on existing rows, and breaks the running code.

## Why it hurts

`ADD COLUMN ... NOT NULL` without a server default has no value for existing rows: PostgreSQL rejects it as soon as
the table has one. On an empty table it succeeds, and then every INSERT of the code that is still running fails,
because that code does not name the column. `default=` of SQLAlchemy does not help: it is applied by the new code
only and never reaches the database.

## Do this instead

Give the column a `server_default`: PostgreSQL stores a constant default in the catalogue and does not rewrite the
table. If no value makes sense for all rows, add the column as nullable, let the new code write it, backfill the
old rows in batches, and make it NOT NULL in a later deploy (see `scanning-not-null`).

## Not flagged

- Columns of a table that the same deploy creates: it is empty, and no running code knows it.
- Columns with a server default, an identity, a serial type or a generated value: PostgreSQL has a value for each
  row.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
- <https://docs.sqlalchemy.org/en/20/core/defaults.html#server-invoked-ddl-explicit-default-expressions>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    Basis,
    ColumnDefinition,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
    types,
)

RULE = Rule(
    id="required-column",
    summary="a NOT NULL column without a server default fails on rows, and the running code cannot insert",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
    lock=LockMode.ACCESS_EXCLUSIVE,
    sqlstate="23502",
    replaces=frozenset({"failing-upgrade", "blocking-statement", "work-under-lock"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddColumn(table=table, column=column) if _required(column) and context.exists(table):
            refused = _refused(context)
            value = types.neutral(column.type) if column.references is None else None
            rejected = "" if context.emptied(table) else f"PostgreSQL rejects it if `{table}` has rows, and "
            yield concern(
                f"""
                `{table}.{column.name}` is NOT NULL and has no server default, so {rejected}each INSERT of the running
                code fails until the new code is deployed everywhere.
                """,
                remedy=[
                    _told(table, column, value)
                    + remedies.add_column(table, column, default=value, nullable=value is None)
                ],
                about=about.column(table, column.name),
                basis=Basis.OBSERVED if refused else None,
            )


def _told(table: Name, column: ColumnDefinition, value: str | None) -> str:
    """What the value means for the rows that are there: nobody should find out later."""
    name = remedies.shown(table, column.name)
    if value is None:
        return f"# once all running code writes {name}, fill it in the existing rows and make it NOT NULL\n"
    return (
        f"# existing rows, and rows from code that does not know the column, get {ascii(value)[1:-1]}: if that\n"
        f"# is wrong for {name}, leave out server_default and add the column as nullable\n"
    )


def _refused(context: Context) -> bool:
    """Whether the server has rejected the statement in one of the passes because of rows."""
    place = context.witness.refusal if context.witness else None
    return place is not None and context.recording.passes[place.run].statements[place.statement].sqlstate == "23502"


def _required(column: ColumnDefinition) -> bool:
    filled = column.default is not None or column.identity or column.generated is not None or column.serial
    return (not column.nullable or column.primary_key) and not filled


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "on a table with rows",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), nullable=False))  # flagged
        """,
    ),
    Example(
        "on an empty table",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("name", sa.String(50), nullable=False, default=""))  # flagged
        """,
        rows=False,
    ),
    Example(
        "with a server default",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), nullable=False, server_default="0"))
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade=f"""
        {USERS}
        op.add_column("users", sa.Column("age", sa.Integer(), nullable=False))
        """,
    ),
]
