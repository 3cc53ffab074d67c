"""
A comment accepts a finding that does not exist.

## Why it hurts

It was right once. Now it hides the next finding of that rule on its line, which nobody has reviewed.

## Do this instead

Remove the comment.

## Not flagged

- Comments for rules that were not run in this review, or that are about the code of the base commit if that was not
  tested.
- Comments in a revision that was not reviewed completely: without a server, without rows, or because it did not run
  up and down.

- Here: findings of this rule are created where the comments are applied to the findings
  of all other rules (reviewer/review/suppressions.py).

## References

- <https://docs.python.org/3/library/tokenize.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, Example, Group, Rule, Severity, Subject

RULE = Rule(
    id="unused-suppression",
    summary="it hides the next finding, which nobody has reviewed",
    severity=Severity.ERROR,
    group=Group.HISTORY,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    yield from ()


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "nothing is flagged there",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))  # reviewer: allow[dropped-table] empty since 2.4  # flagged
        """,
    ),
    Example(
        "a comment that accepts what is there",
        given=USERS,
        upgrade="""
        op.drop_table("users")  # reviewer: allow[dropped-table] empty since 2.4
        """,
    ),
]
