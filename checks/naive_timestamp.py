"""
The column stores a local time without a time zone.

## Why it hurts

`timestamp` stores the value as given and discards the time zone. Two servers, or one before and after a clock
change, write different moments as the same value.

## Do this instead

Use `sa.DateTime(timezone=True)`: a point in time, stored in UTC.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Dates, and times of day.

## References

- <https://wiki.postgresql.org/wiki/Don%27t_Do_This#Don.27t_use_timestamp_.28without_time_zone.29>
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
    id="naive-timestamp",
    summary="the same value means different moments",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable() | AddColumn():
            for table, column in implications.new_columns(subject):
                if types.base(column.type) == "timestamp without time zone":
                    yield concern(
                        f"`{table}.{column.name}` is a timestamp without time zone.",
                        about=about.column(table, column.name, RULE.id),
                    )


EXAMPLES = [
    Example(
        "a new table",
        upgrade="""
        op.create_table(  # flagged
            "things",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("seen", sa.DateTime()),
        )
        """,
    ),
    Example(
        "with a time zone",
        upgrade="""
        op.create_table(
            "things",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("seen", sa.DateTime(timezone=True)),
        )
        """,
    ),
]
