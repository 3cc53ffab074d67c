"""
A column with a few valid values accepts any text.

## Why it hurts

A misspelt status is neither found nor counted, without an error.

## Do this instead

Add a CHECK that lists the values, or a table of them with a foreign key.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Columns of an enum type, with a CHECK that names them, or with a foreign key.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-CHECK-CONSTRAINTS>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
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
    id="unchecked-choices",
    summary="misspelt values are accepted",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable() | AddColumn():
            for table, column in implications.new_columns(subject):
                if column.name.lower().split("_")[-1] not in _CHOICES or types.kind(column.type) != "text":
                    continue
                checks = subject.checks if isinstance(subject, CreateTable) else ()
                later = [each.expression for each, _ in context.later() if isinstance(each, AddCheck)]
                if column.references or any(column.name in each for each in (*checks, *later, column.check or "")):
                    continue
                yield concern(
                    f"`{table}.{column.name}` accepts any text.", about=about.column(table, column.name, RULE.id)
                )


_CHOICES = frozenset({"status", "role", "state", "kind"})


EXAMPLES = [
    Example(
        "any text",
        upgrade="""
        op.create_table("people", sa.Column("status", sa.Text()))  # flagged
        """,
    ),
    Example(
        "listed",
        upgrade="""
        op.create_table(
            "people", sa.Column("status", sa.Text()), sa.CheckConstraint("status IN ('in', 'out')", name="known")
        )
        """,
    ),
]
