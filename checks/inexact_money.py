"""
An amount of money is stored in a type that rounds.

## Why it hurts

Floating point cannot hold 0.10, so sums drift by cents. `money` depends on the server's locale and has no currency.

## Do this instead

Use `sa.Numeric(12, 2)` or whole cents in a `sa.BigInteger()`, and a column for the currency.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Floating point columns whose name does not suggest money.

## References

- <https://www.postgresql.org/docs/current/datatype-money.html>
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
    id="inexact-money",
    summary="sums drift by cents",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable() | AddColumn():
            for table, column in implications.new_columns(subject):
                if types.base(column.type) == "money" or (
                    types.kind(column.type) == "floating number" and _MONEY & set(column.name.lower().split("_"))
                ):
                    yield concern(
                        f"`{table}.{column.name}` stores money as `{types.canonical(column.type)}`, which rounds.",
                        about=about.column(table, column.name, RULE.id),
                    )


_MONEY = frozenset(
    [
        "price",
        "amount",
        "cost",
        "total",
        "balance",
        "fee",
        "salary",
        "payment",
        "charge",
        "subtotal",
        "tax",
        "discount",
        "revenue",
    ]
)


EXAMPLES = [
    Example(
        "a new table",
        upgrade="""
        op.create_table(  # flagged
            "things",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("total_price", sa.Float()),
        )
        """,
    ),
    Example(
        "numeric",
        upgrade="""
        op.create_table(
            "things",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("total_price", sa.Numeric(12, 2)),
        )
        """,
    ),
]
