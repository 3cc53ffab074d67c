"""
The table has no primary key.

## Why it hurts

Logical replication rejects UPDATE and DELETE on it, the ORM cannot map it, and nothing distinguishes two rows.

## Do this instead

Give it a primary key, over the foreign keys if it joins two tables.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Partitions, temporary and foreign tables, and tables that inherit or copy another one.
- Tables that get their key later in the same revision.

## References

- <https://www.postgresql.org/docs/current/logical-replication-publication.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddPrimaryKey,
    Concern,
    Context,
    CreateTable,
    Example,
    Group,
    Rule,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="missing-primary-key",
    summary="nothing distinguishes two rows",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable(table=table, primary_key=(), partition_of=None, temporary=False, foreign=False):
            if subject.like or subject.inherits or subject.as_query:
                return
            if any(isinstance(later, AddPrimaryKey) and later.table.matches(table) for later, _ in context.later()):
                return
            yield concern(f"`{table}` has no primary key.", about=about.table(table, RULE.id))


EXAMPLES = [
    Example(
        "none",
        upgrade="""
        op.create_table("people", sa.Column("name", sa.Text()))  # flagged
        """,
    ),
    Example(
        "one over two columns",
        upgrade="""
        op.create_table("people", sa.Column("name", sa.Text(), primary_key=True), sa.Column("of", sa.Text(), primary_key=True))
        """,
    ),
]
