"""
Nobody can tell when a row was made.

## Why it hurts

Our reports, the archive job and most incident reviews ask when a row came into being. A column that is added later holds
nothing for the rows that are there.

## Do this instead

Give each new table `created_at timestamptz NOT NULL DEFAULT now()`.

## Not flagged

- Tables with a column of that name, whatever its type.
- Partitions, temporary tables and tables that are made from a query: their columns come from elsewhere.

## References

- The team's handbook, "Tables".
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, CreateTable, Example, Group, Rule, Severity, Subject, about, concern

RULE = Rule(
    id="table-without-created-at",
    summary="nobody can tell when a row was made",
    severity=Severity.WARNING,
    group=Group.HOUSE_RULES,
    since="1.0",
)


def check(subject: Subject, _: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable(table=table, columns=columns, partition_of=None, temporary=False, as_query=False) if all(
            column.name != "created_at" for column in columns
        ):
            yield concern(
                f"`{table}` has no column `created_at`.",
                about=about.column(table, "created_at"),
            )


EXAMPLES = [
    Example(
        "a table that does not say when",
        upgrade="""
        op.create_table("orders", sa.Column("id", sa.BigInteger(), primary_key=True))  # flagged
        """,
    ),
    Example(
        "a table that says when",
        upgrade="""
        op.create_table(
            "orders",
            sa.Column("id", sa.BigInteger(), primary_key=True),
            sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        )
        """,
    ),
]
