"""
Dropping a schema destroys everything in it.

## Why it hurts

`DROP SCHEMA ... CASCADE` names one object and drops all tables, views, types and functions of the schema, rows
included. No downgrade restores them.

## Do this instead

Drop the objects one by one, each in a revision that names it, after the code has stopped using them; then drop the
empty schema without CASCADE, which PostgreSQL rejects as long as anything is left.

## Not flagged

- A schema that the same deploy has created.
- A drop without CASCADE: it only works on an empty schema.
- A drop with CASCADE that dropped nothing else on the server.

## References

- <https://www.postgresql.org/docs/current/sql-dropschema.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, DropObject, Example, Group, Rule, Severity, Subject, about, concern

RULE = Rule(
    id="dropped-schema",
    summary="all tables of the schema are dropped with their rows",
    severity=Severity.ERROR,
    group=Group.LOSING_DATA,
    replaces=frozenset({"cascading-drop"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropObject(kind="schema", object=schema, cascade=True) if not context.now.has_made(schema, "schema"):
            if context.observed and not context.says("drop cascades to"):
                return
            tables = list(map(str, context.now.tables_in(schema.name)))
            with_it = f" with {', '.join(f'`{table}`' for table in tables[:5])}" if tables else ""
            more = f" and {len(tables) - 5} more tables" if len(tables) > 5 else ""
            yield concern(
                f"Dropping the schema `{schema}` destroys everything in it{with_it}{more}.",
                about=about.object_("schema", schema),
                severity=context.certainty(RULE.severity),
                evidence={"tables": tables},
            )


SCHEMA = 'op.execute("CREATE SCHEMA old"); op.execute("CREATE TABLE old.users (id bigint PRIMARY KEY)")'

EXAMPLES = [
    Example(
        "with everything in it",
        given=SCHEMA,
        upgrade="""
        op.execute("DROP SCHEMA old CASCADE")  # flagged
        """,
    ),
    Example(
        "an empty one",
        given='op.execute("CREATE SCHEMA old")',
        upgrade="""
        op.execute("DROP SCHEMA old")
        """,
    ),
]
