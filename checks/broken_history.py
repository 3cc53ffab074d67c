"""
The history cannot be loaded: a down_revision is missing, an id is used twice, or the down_revisions form a cycle.

## Why it hurts

Every `alembic` command fails with an error, even if it has nothing to do with the revision concerned.

## Do this instead

Correct `revision` and `down_revision` in the files named in the message.

## Not flagged

- Several heads: see `several-heads`.

- Here: a history that cannot be loaded cannot be run, so the review itself ends with the
  error and its location (exit status 2). The rule exists so that it can be explained.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, Example, Group, Rule, Severity, Subject

RULE = Rule(
    id="broken-history",
    summary="every `alembic` command fails with an error",
    severity=Severity.ERROR,
    group=Group.HISTORY,
    needs="a broken history",
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
