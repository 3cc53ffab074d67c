"""
The new foreign key column is nullable.

## Why it hurts

All code has to handle rows without a parent, and needs an outer join instead of an inner one.

## Do this instead

Make the column NOT NULL if every row has a parent.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Columns that are added to a table with rows: they must be nullable at first.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-FK>
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
    implications,
)

RULE = Rule(
    id="nullable-foreign-key",
    summary="rows without a parent are possible",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable(columns=columns):
            for table, key in implications.foreign_keys(subject):
                for column in columns:
                    if (column.name,) == key.columns and column.nullable and column.name not in subject.primary_key:
                        yield concern(
                            f"`{table}.{column.name}` refers to `{key.referenced}` and is nullable.",
                            about=about.column(table, column.name, RULE.id),
                        )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")'

EXAMPLES = [
    Example(
        "a new table",
        given=USERS,
        upgrade="""
        op.create_table(  # flagged
            "orders", sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), index=True)
        )
        """,
    ),
    Example(
        "NOT NULL",
        given=USERS,
        upgrade="""
        op.create_table(
            "orders", sa.Column("user_id", sa.BigInteger(), sa.ForeignKey("users.id"), nullable=False, index=True)
        )
        """,
    ),
]
