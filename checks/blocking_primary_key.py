"""
Adding a primary key builds its index, or reads every row for NULL, while reads and writes wait.

## Why it hurts

`ADD PRIMARY KEY` takes ACCESS EXCLUSIVE on the table and builds a unique index over all of it. With USING INDEX
nothing is built; but a primary key makes its columns NOT NULL, and if they are not, all rows are scanned for that.
Until the transaction ends, nobody can read or write the table.

## Do this instead

Make the columns NOT NULL first, without a scan (see `scanning-not-null`). Build a unique index CONCURRENTLY,
outside a transaction. Then `ADD CONSTRAINT ... PRIMARY KEY USING INDEX` is instant.

## Not flagged

- `PRIMARY KEY USING INDEX` over columns that are NOT NULL already.
- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT-USING-INDEX>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    AddPrimaryKey,
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
    implications,
    remedies,
)

RULE = Rule(
    id="blocking-primary-key",
    summary="reads and writes wait while the key's index is built or its columns are read for NULL",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddPrimaryKey(table=table, using_index=None, columns=columns) if context.exists(table):
            if context.observed and not context.built(table):
                return
            name = subject.name or f"{table.name}_pkey"
            yield concern(
                _message(table, f"builds the index of `{name}` over every row of `{table}`"),
                remedy=_remedy(subject, name, context),
                about=about.constraint(table, name),
            )
        case AddPrimaryKey(table=table, using_index=str(index)) if context.exists(table):
            columns = next((found.columns for found in context.now.indexes(table) if found.name == index), ())
            if context.scanned(table) if context.observed else _may_be_null(table, columns, context):
                name = subject.name or index
                yield concern(
                    _message(table, f"makes its columns NOT NULL, which reads every row of `{table}`"),
                    remedy=(
                        *_not_null(table, columns, context),
                        remedies.execute(context.statement.sql),
                    )
                    if columns
                    else (),
                    about=about.constraint(table, name),
                    severity=context.certainty(RULE.severity) if context.statement.error is None else None,
                )
        case AddColumn(table=table, column=column) if column.primary_key and context.exists(table):
            if context.built(table) and not context.rewrote(table):
                yield concern(
                    _message(table, f"builds an index over every row of `{table}`"),
                    about=about.constraint(table, f"{table.name}_pkey"),
                )


def _message(table: Name, does: str) -> str:
    return f"""
    Adding a primary key to `{table}` {does} under ACCESS EXCLUSIVE, so reads and writes of `{table}` wait until the
    transaction ends.
    """


def _may_be_null(table: Name, columns: tuple[str, ...], context: Context) -> bool:
    """Whether the text says that a column is nullable, and nothing proves otherwise."""
    return any(
        context.now.column(table, name) and not implications.is_proved_not_null(context.now, table, name)
        for name in columns
    )


def _remedy(added: AddPrimaryKey, name: str, context: Context) -> tuple[str, ...]:
    table, columns = added.table, added.columns
    if context.now.is_partitioned(table):
        return ()
    return (
        *_not_null(table, columns, context),
        *remedies.constraint_from_index(
            "PRIMARY KEY", table, name, columns, context.statement.sql, timeout=context.lock_timeout_in_force
        ),
    )


def _not_null(table: Name, columns: tuple[str, ...], context: Context) -> tuple[str, ...]:
    """The steps that make nullable columns NOT NULL."""
    nullable = [name for name in columns if (known := context.now.column(table, name)) and known.nullable]
    return tuple(body for name in nullable for body in remedies.not_null(table, name, context.major))


EXAMPLES = [
    Example(
        "on a table that exists",
        given='op.execute("CREATE TABLE users (id bigint NOT NULL, name text)")',
        upgrade="""
        op.create_primary_key("users_pkey", "users", ["id"])  # flagged
        """,
    ),
    Example(
        "USING INDEX over a column that may be NULL",
        given="""
        op.execute("CREATE TABLE users (id bigint, name text)")
        op.execute("CREATE UNIQUE INDEX users_key ON users (id)")
        """,
        upgrade="""
        op.execute("ALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY USING INDEX users_key")  # flagged
        """,
    ),
    Example(
        "USING INDEX over a column that is NOT NULL",
        given="""
        op.execute("CREATE TABLE users (id bigint NOT NULL, name text)")
        op.execute("CREATE UNIQUE INDEX users_key ON users (id)")
        """,
        upgrade="""
        op.execute("ALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY USING INDEX users_key")
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.execute("CREATE TABLE notes (id bigint)")
        op.create_primary_key("notes_pkey", "notes", ["id"])
        """,
    ),
]
