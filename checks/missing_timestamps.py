"""
The table does not record when its rows were inserted and changed.

## Why it hurts

Which rows were written by the broken release? Without a timestamp nobody can tell.

## Do this instead

Add `created_at` and `updated_at` with `server_default=sa.func.now()`.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Tables that join two others, and partitions.

## References

- <https://www.postgresql.org/docs/current/functions-datetime.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
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
    types,
)

RULE = Rule(
    id="missing-timestamps",
    summary="nobody can tell when a row was written",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable(table=table, columns=columns, partition_of=None, as_query=False) if not subject.like:
            referring = {column for key in subject.foreign_keys for column in key.columns}
            own = [
                column
                for column in columns
                if column.name not in referring and column.name not in subject.primary_key
            ]
            if own and not any(types.base(column.type).startswith("timestamp") for column in columns):
                yield concern(
                    f"`{table}` does not record when a row was written.", about=about.table(table, RULE.id)
                )


EXAMPLES = [
    Example(
        "no time at all",
        upgrade="""
        op.create_table("people", sa.Column("name", sa.Text()))  # flagged
        """,
    ),
    Example(
        "with a time",
        upgrade="""
        op.create_table(
            "people",
            sa.Column("name", sa.Text()),
            sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
        )
        """,
    ),
]
