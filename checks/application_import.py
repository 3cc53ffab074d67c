"""
The revision imports the application, which keeps changing afterwards.

## Why it hurts

A revision is run again for years, on each new database and in each test run. When a model that it imports loses a
column or moves to another module, the old revision fails or does something else, although nobody has touched it.

## Do this instead

Define what the revision needs in the revision itself: `sa.table("users", sa.column("name"))` for queries, and
column types in plain SQLAlchemy.

## Not flagged

- Modules beside env.py, and relative imports: helpers of the migrations themselves.
- Third-party packages.

## References

- <https://alembic.sqlalchemy.org/en/latest/ops.html#alembic.operations.Operations.bulk_insert>
- <https://docs.sqlalchemy.org/en/20/core/metadata.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import Basis, Concern, Context, Example, Group, Rule, Severity, Story, Subject, about, concern

RULE = Rule(
    id="application-import",
    summary="the old revision breaks when the application changes",
    severity=Severity.WARNING,
    group=Group.HISTORY,
    once_a_file=True,
    needs="an application",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            for entry in context.recording.history.imports:
                if entry.revision == revision.id:
                    models = any(part in _MODELS for part in re.split(r"[._]", entry.detail.lower()))
                    yield concern(
                        f"`{revision.id}` imports `{entry.detail}` from the application, and breaks when that changes.",
                        about=about.other("import", entry.detail),
                        basis=Basis.PARSED,
                        location=entry.location,
                        severity=RULE.severity if models else RULE.severity.lower,
                    )


_MODELS = frozenset({"model", "models", "entity", "entities", "orm", "tables", "domain"})
"""Parts of a module's name that indicate mapped classes; a module of column types changes less."""


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "a new revision on top",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
    ),
]
