"""
A comment that should accept a finding cannot be understood.

## Why it hurts

It names a rule that does not exist, gives no reason, or is not of the form `# reviewer: allow[rule-id] reason`; it
accepts nothing, although it looks as if it did.

## Do this instead

Correct the comment: `alembic-reviewer rules` lists the rules, and the reason is required.

## Not flagged

- Comments for rules that were not run in this review.

- Here: findings of this rule are created where the comments are applied to the findings
  of all other rules (reviewer/review/suppressions.py).

## References

- <https://docs.python.org/3/library/tokenize.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, Example, Group, Rule, Severity, Subject

RULE = Rule(
    id="unknown-suppression",
    summary="the finding looks accepted, but is not",
    severity=Severity.ERROR,
    group=Group.HISTORY,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    yield from ()


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "a rule that does not exist",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))  # reviewer: allow[dropping-tables] empty since 2.4  # flagged
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
