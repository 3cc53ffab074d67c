"""
Dropping a database destroys all of it, and does not belong in a migration.

## Why it hurts

`DROP DATABASE` removes every schema, table and row at once and cannot be undone. In a transaction, where Alembic
runs its revisions, PostgreSQL rejects it; in an autocommit block nothing stops it.

## Do this instead

Never from a migration. Create and drop databases by hand, with a tested backup.

## Not flagged

- Anything other than DROP DATABASE: for schemas see `dropped-schema`.

## References

- <https://www.postgresql.org/docs/current/sql-dropdatabase.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, DropObject, Example, Group, Rule, Severity, Subject, about, concern

RULE = Rule(
    id="dropped-database",
    summary="a whole database is destroyed",
    severity=Severity.ERROR,
    group=Group.LOSING_DATA,
    replaces=frozenset({"failing-upgrade"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropObject(kind="database", object=database):
            yield concern(
                f"Dropping the database `{database}` destroys everything in it, and no downgrade restores it.",
                about=about.object_("database", database),
            )


EXAMPLES = [
    Example(
        "from a migration",
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("DROP DATABASE IF EXISTS reports_of_last_year")  # flagged
        """,
    ),
    Example(
        "a schema that is empty",
        given='op.execute("CREATE SCHEMA old")',
        upgrade="""
        op.execute("DROP SCHEMA old")
        """,
    ),
]
