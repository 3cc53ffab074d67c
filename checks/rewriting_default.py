"""
A new column with a volatile default rewrites the whole table while reads and writes wait.

## Why it hurts

A constant default costs nothing: PostgreSQL stores it in the catalogue. The same holds for one that is the same
for every row of a statement, such as `now()`. But a volatile default (`gen_random_uuid()`, `clock_timestamp()`,
`random()`, `nextval()`, a function of yours that is not marked otherwise) has a different value for each row:
PostgreSQL writes all rows into a new file and rebuilds every index, under ACCESS EXCLUSIVE. Until the transaction
ends, nobody can read or write the table.

## Do this instead

Add the column without a default, then set the default: it applies only to new rows. Backfill the old rows in
batches, each in its own transaction. If it should be NOT NULL, set that afterwards (see `scanning-not-null`).

## Not flagged

- Constant defaults, and functions that are STABLE or IMMUTABLE: nothing is rewritten. A server shows whether the
  table was rewritten; from the text alone, only well-known volatile functions are recognised.
- Columns of a table that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
- <https://www.postgresql.org/docs/current/xfunc-volatility.html>
"""

from __future__ import annotations

import re
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
    Severity,
    Subject,
    about,
    concern,
    remedies,
    types,
)

RULE = Rule(
    id="rewriting-default",
    summary="reads and writes wait while the whole table is rewritten",
    severity=Severity.ERROR,
    group=Group.REWRITING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    rewrites=True,
    scans=True,
)

_VOLATILE = re.compile(
    r"\b(gen_random_uuid|uuid_generate_v\w+|uuidv[47]|random|random_normal|clock_timestamp|timeofday|nextval|setval"
    r"|gen_random_bytes|gen_salt)\s*\(",
    re.IGNORECASE,
)

_STABLE = frozenset(
    [
        "now",
        "transaction_timestamp",
        "statement_timestamp",
        "timezone",
        "date_trunc",
        "lower",
        "upper",
        "coalesce",
        "concat",
        "to_char",
        "to_date",
        "to_timestamp",
        "make_date",
        "json_build_object",
        "jsonb_build_object",
        "json_build_array",
        "jsonb_build_array",
        "current_setting",
        "array_fill",
    ]
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddColumn(table=table, column=ColumnDefinition(default=str(default)) as column) if context.exists(
            table
        ):
            if column.serial or column.identity or not _rewrites(subject, default, context):
                return
            yield concern(
                f"""
                Adding `{table}.{column.name}` with the volatile default `{default}` rewrites every row of `{table}`
                under ACCESS EXCLUSIVE, so reads and writes of `{table}` wait until the transaction ends.
                """,
                remedy=[
                    remedies.add_column(table, column) + "\n" + remedies.set_default(table, column.name, default),
                    remedies.fill_default(table, column.name),
                    *(() if column.nullable else remedies.not_null(table, column.name, context.major)),
                ],
                about=about.column(table, column.name),
                severity=None if context.observed or _VOLATILE.search(default) else RULE.severity.lower,
            )


def _rewrites(added: AddColumn, default: str, context: Context) -> bool:
    if context.observed:
        # the table of a domain with a constraint is rewritten whatever the default: see rewriting-domain-column
        may = "(" in default or types.built_in(added.column.type)
        return context.rewrote(added.table) and may and (context.alone or not _is_stable(default))
    return _VOLATILE.search(default) is not None or _calls_volatile(default, context)


def _is_stable(default: str) -> bool:
    """Whether the text shows that it is the same for every row: then another action of the statement rewrites."""
    return all(word in _STABLE or types.built_in(word) for word in re.findall(r"\b(\w+)\s*\(", default.lower()))


def _calls_volatile(default: str, context: Context) -> bool:
    """Whether the default calls a user-defined function that earlier revisions have created as volatile."""
    called = set(re.findall(r"\b(\w+)\s*\(", default.lower()))
    return any(name in called for _, name in context.now.volatile)


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")'

EXAMPLES = [
    Example(
        "another value for each row",
        given=USERS,
        upgrade="""
        op.add_column(  # flagged
            "users", sa.Column("key", sa.Uuid(), nullable=False, server_default=sa.text("gen_random_uuid()"))
        )
        """,
    ),
    Example(
        "a function of the user's, volatile as it is not marked otherwise",
        given=f"""
        {USERS}
        op.execute("CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42'")
        """,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN answer int DEFAULT answer() + random()::int")  # flagged
        """,
    ),
    Example(
        "a constant, and the time of the statement",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), nullable=False, server_default="0"))
        op.add_column("users", sa.Column("made", sa.DateTime(), nullable=False, server_default=sa.func.now()))
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.create_table("notes", sa.Column("id", sa.BigInteger()))
        op.add_column("notes", sa.Column("key", sa.Uuid(), server_default=sa.text("gen_random_uuid()")))
        """,
    ),
]
