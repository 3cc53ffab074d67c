"""
The key overflows after two billion rows.

## Why it hurts

An `integer` key ends at 2,147,483,647, counting all rows ever inserted, including rolled back ones. Making it
`bigint` then rewrites the table and all that refer to it, while nobody can insert.

## Do this instead

Use `sa.BigInteger()` for sequential keys.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- `bigint`, `uuid` and text keys, and keys over several columns.

## References

- <https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-INT>
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
    id="small-primary-key",
    summary="inserts fail after two billion rows",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable(table=table, columns=columns, primary_key=(name,)):
            for column in columns:
                if (
                    column.name == name
                    and types.base(column.type) in {"integer", "smallint"}
                    and column.references is None
                ):
                    yield concern(
                        f"The key `{table}.{name}` is `{types.base(column.type)}` and will overflow.",
                        about=about.column(table, name, RULE.id),
                    )


EXAMPLES = [
    Example(
        "an integer",
        upgrade="""
        op.create_table("things", sa.Column("id", sa.Integer(), primary_key=True))  # flagged
        """,
    ),
    Example(
        "a bigint",
        upgrade="""
        op.create_table("things", sa.Column("id", sa.BigInteger(), primary_key=True))
        """,
    ),
]
