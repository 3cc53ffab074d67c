"""
The column is `json`, which can be neither compared nor indexed.

## Why it hurts

`json` is stored as text: no equality, so DISTINCT and GROUP BY fail, no GIN index, and each access parses it again.

## Do this instead

Use `postgresql.JSONB()`, unless the exact text must be preserved.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- `jsonb`.

## References

- <https://www.postgresql.org/docs/current/datatype-json.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
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
    implications,
    types,
)

RULE = Rule(
    id="json-column",
    summary="it can be neither compared nor indexed",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable() | AddColumn():
            for table, column in implications.new_columns(subject):
                if types.base(column.type) == "json":
                    yield concern(
                        f"`{table}.{column.name}` is `json`, which can be neither compared nor indexed.",
                        about=about.column(table, column.name, RULE.id),
                    )


EXAMPLES = [
    Example(
        "a new table",
        upgrade="""
        op.create_table(  # flagged
            "things",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("extra", sa.JSON()),
        )
        """,
    ),
    Example(
        "jsonb",
        upgrade="""
        op.create_table(
            "things",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("extra", postgresql.JSONB()),
        )
        """,
    ),
]
