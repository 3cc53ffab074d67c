"""
A new serial or identity column rewrites the whole table while reads and writes wait.

## Why it hurts

Every existing row needs the next number of the sequence, so PostgreSQL writes all rows into a new file and rebuilds
every index, under ACCESS EXCLUSIVE. Until the transaction ends, nobody can read or write the table.

## Do this instead

Create the parts separately: a nullable column, a sequence that the column owns, and the sequence as the default,
which applies only to new rows. Backfill the old rows in batches, each in its own transaction, and make the column
NOT NULL afterwards.

## Not flagged

- Columns of a table that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-SERIAL>
- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from reviewer.check import (
    AddColumn,
    AddIdentity,
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
    quoted,
    remedies,
    types,
)

RULE = Rule(
    id="rewriting-serial",
    summary="reads and writes wait while every row gets its number",
    severity=Severity.ERROR,
    group=Group.REWRITING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    rewrites=True,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddColumn(table=table, column=column) if (column.serial or column.identity) and context.exists(table):
            if context.observed and not context.rewrote(table):
                return
            sequence = Name(remedies.constraint_name(table, [column.name], "seq"), table.schema)
            plain = replace(column, type=types.canonical(column.type))
            yield concern(
                f"""
                Adding {"identity" if column.identity else "serial"} column `{table}.{column.name}` rewrites every
                row of `{table}` under ACCESS EXCLUSIVE, so reads and writes of `{table}` wait until the
                transaction ends.
                """,
                remedy=[
                    "\n".join(
                        (
                            remedies.add_column(table, plain),
                            remedies.execute(
                                f"CREATE SEQUENCE {sequence.sql} OWNED BY {table.sql}.{quoted(column.name)}"
                            ),
                            remedies.set_default(table, column.name, f"nextval('{sequence.sql}')"),
                        )
                    ),
                    remedies.fill_default(table, column.name),
                    *remedies.not_null(table, column.name, context.major),
                ],
                about=about.column(table, column.name),
            )
        case AddIdentity(table=table, column=name) if context.exists(table) and context.rewrote(table):
            yield concern(
                f"""
                Making `{table}.{name}` an identity column rewrites every row of `{table}` under ACCESS
                EXCLUSIVE, so reads and writes of `{table}` wait until the transaction ends.
                """,
                about=about.column(table, name),
            )


USERS = 'op.execute("CREATE TABLE users (name text PRIMARY KEY)")'

EXAMPLES = [
    Example(
        "serial",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN number bigserial")  # flagged
        """,
    ),
    Example(
        "identity",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False))  # flagged
        """,
    ),
    Example(
        "the same by hand",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("number", sa.BigInteger()))
        op.execute("CREATE SEQUENCE users_number_seq OWNED BY users.number")
        op.alter_column("users", "number", server_default=sa.text("nextval('users_number_seq')"))
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.create_table("notes", sa.Column("text", sa.Text()))
        op.execute("ALTER TABLE notes ADD COLUMN number bigserial")
        """,
    ),
]
