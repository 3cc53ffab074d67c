"""
A new column of a domain with a constraint rewrites the whole table, even without a default.

## Why it hurts

PostgreSQL does not know in advance whether NULL, or the default, is allowed in a domain with a CHECK or NOT
NULL. So it writes all rows into a new file and rebuilds every index, under ACCESS EXCLUSIVE. Until the transaction
ends, nobody can read or write the table.

## Do this instead

Give the column the base type of the domain, and add the domain's check to it as NOT VALID; validate it in a
later revision, in a separate transaction.

## Not flagged

- Domains without a constraint.
- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-createdomain.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
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
    names,
    types,
)

RULE = Rule(
    id="rewriting-domain-column",
    summary="reads and writes wait while the whole table is rewritten",
    severity=Severity.ERROR,
    group=Group.REWRITING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    rewrites=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddColumn(table=table, column=column) if context.exists(table) and not types.built_in(column.type):
            if column.identity or column.generated or "(" in (column.default or ""):
                return
            if context.rewrote(table) if context.observed else _constrained(column.type, context):
                yield concern(
                    f"""
                    Adding `{table}.{column.name}` of the domain `{column.type}` rewrites every row of `{table}`
                    under ACCESS EXCLUSIVE, so reads and writes of `{table}` wait until the transaction ends.
                    """,
                    about=about.column(table, column.name),
                )


def _constrained(type_: str, context: Context) -> bool:
    """Whether the same deploy has created such a domain, or an earlier revision."""
    name = names.read(types.base(type_))
    return name is not None and not type_.endswith("]") and context.now.is_constrained(context.now.resolve(name))


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "a domain with a CHECK",
        given=f"""
        {USERS}
        op.execute("CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')")
        """,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN mail email")  # flagged
        """,
    ),
    Example(
        "a domain without a constraint",
        given=f"""
        {USERS}
        op.execute("CREATE DOMAIN label AS text")
        """,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN mark label")
        """,
    ),
]
