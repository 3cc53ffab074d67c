"""
The running code still reads and writes the old type.

## Why it hurts

Drivers bind and decode values by the column's type. Old code that sends a string for what is now an integer, or
that compares naive with aware timestamps, fails; prepared statements of asyncpg and psycopg fail once with `cached
plan must not change result type`.

## Do this instead

Add a column of the new type next to the old one, let the code write both, copy the old rows in batches, switch
reads to the new one, and drop the old column one release later.

## Not flagged

- Changes within one kind: a longer `varchar`, `varchar` to `text`, `integer` to `bigint`, more digits.
- Columns that the same deploy has added.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DATA-TYPE>
- <https://magicstack.github.io/asyncpg/current/faq.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AlterColumnType,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    RenameObject,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    refusals,
    types,
)

RULE = Rule(
    id="type-changed-for-old-code",
    summary="the running code still sends and expects the old type",
    severity=Severity.WARNING,
    group=Group.BREAKING_CODE,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AlterColumnType(table=table, column=column, type=new) if not context.is_new_column(table, column):
            known = context.was(table, column)
            if known is None or context.statement.error or types.kind(known.type) == types.kind(new):
                return
            if _renamed(known.type, context) or any(refusals(subject, context)):
                return
            harmless = context.observed and not context.rewrote(table)
            harmless = harmless or (context.static and types.depends_on_time_zone(known.type, new))
            harmless = harmless or context.old_code_uses(table, column) is False
            yield concern(
                f"""
                `{table}.{column}` becomes `{types.canonical(new)}`, and the running code still sends and expects
                `{types.canonical(known.type)}`.
                """,
                about=about.column(table, column, "type"),
                severity=RULE.severity.lower if harmless else RULE.severity,
            )


def _renamed(old: str, context: Context) -> bool:
    """Whether the type is the old one under its new name from the same revision: an enum that is replaced."""
    return any(isinstance(earlier, RenameObject) and earlier.object.name == old for earlier, _ in context.earlier)


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50), born varchar(10))")"""

EXAMPLES = [
    Example(
        "a string becomes a date",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, born timestamp)")
        """,
        upgrade="""
        op.alter_column("users", "born", type_=sa.Text())  # flagged
        """,
    ),
    Example(
        "text stays text",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", type_=sa.Text())
        """,
    ),
]
