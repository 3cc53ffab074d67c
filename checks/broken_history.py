"""
The history cannot be loaded: a parent is missing, an id is there twice, or revisions stand on each other in a circle.

## Why it hurts

Every `alembic` command stops with an error, also those that have nothing to do with the revision concerned.

## Do this instead

Correct `revision` and `down_revision` in the files that are named.

## Not flagged

- Several heads: see `several-heads`.

- Here: a history that cannot be loaded cannot be run, so the review itself ends with the
  error and its place (exit status 2). The rule stands here to be explained.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, Example, Group, Rule, Severity, Subject

RULE = Rule(
    id="broken-history",
    summary="every `alembic` command stops with an error",
    severity=Severity.ERROR,
    group=Group.HISTORY,
    needs="a history that does not hold together",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    yield from ()


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
