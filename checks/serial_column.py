"""
The link between a serial column and its sequence is fragile.

## Why it hurts

`serial` is an integer, a default and a sequence with its own permissions. Dropping the default leaves the sequence,
a copied table shares it, and privileges on the table do not include it.

## Do this instead

Use an identity column: `sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True)`.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Identity columns.

## References

- <https://wiki.postgresql.org/wiki/Don%27t_Do_This#Don.27t_use_serial>
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
)

RULE = Rule(
    id="serial-column",
    summary="its sequence has its own owner and permissions",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable() | AddColumn():
            for table, column in implications.new_columns(subject):
                if column.serial:
                    yield concern(
                        f"`{table}.{column.name}` is `{column.type.lower()}`, not an identity column.",
                        about=about.column(table, column.name, RULE.id),
                    )


EXAMPLES = [
    Example(
        "what SQLAlchemy makes of a plain integer key",
        upgrade="""
        op.create_table("things", sa.Column("id", sa.BigInteger(), primary_key=True))  # flagged
        """,
    ),
    Example(
        "an identity column",
        upgrade="""
        op.create_table("things", sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True))
        """,
    ),
]
