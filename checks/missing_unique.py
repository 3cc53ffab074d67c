"""
Nothing stops two rows with the same email, user name or slug.

## Why it hurts

Code that first checks and then inserts creates duplicates as soon as two requests run concurrently.

## Do this instead

Add a unique constraint or a unique index, on `lower(email)` if case does not matter.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Columns with a unique constraint or index, alone or with others.

## References

- <https://www.postgresql.org/docs/current/indexes-unique.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    CreateIndex,
    CreateTable,
    Example,
    Group,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    keys_of,
)

RULE = Rule(
    id="missing-unique",
    summary="duplicates are possible",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateTable(table=table, columns=columns) if any(each.name.lower() in _ONE_EACH for each in columns):
            known = list(keys_of(subject, table))
            expressions = ""
            for later, _ in context.later():
                known += keys_of(later, table)
                if isinstance(later, CreateIndex) and later.unique and later.table.matches(table):
                    expressions += " ".join(later.columns)
            for column in columns:
                guarded = column.name in expressions or any(
                    each.unique and column.name in each.columns for each in known
                )
                if column.name.lower() in _ONE_EACH and not guarded:
                    yield concern(
                        f"Nothing stops two rows of `{table}` with the same `{column.name}`.",
                        about=about.column(table, column.name, RULE.id),
                    )


_ONE_EACH = frozenset({"email", "username", "user_name", "slug", "email_address", "login"})


EXAMPLES = [
    Example(
        "an email",
        upgrade="""
        op.create_table("people", sa.Column("email", sa.Text(), nullable=False))  # flagged
        """,
    ),
    Example(
        "a unique one",
        upgrade="""
        op.create_table("people", sa.Column("email", sa.Text(), nullable=False, unique=True))
        """,
    ),
]
