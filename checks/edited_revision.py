"""
A revision that is already on the base branch was changed.

## Why it hurts

Databases that have run it will never run it again: they keep the effect of the old code, new ones get that of the
new code, and nothing distinguishes them. The next revision then runs on two different schemas.

## Do this instead

Leave the old revision as it is, and make the change in a new one.

## Not flagged

- Comments, docstrings and formatting.
- Revisions that only this branch has.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Example,
    Group,
    Recording,
    Rule,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="edited-revision",
    summary="databases that have already run it will never get the change",
    severity=Severity.ERROR,
    group=Group.HISTORY,
    needs="a base branch",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording(history=history):
            for entry in history.edited:
                yield concern(
                    f"""
                    `{entry.revision}` is already on the base branch and was changed here: databases that have run
                    it will never get the change.
                    """,
                    about=about.revision(entry.revision),
                    basis=Basis.COMPARED,
                    location=entry.location,
                )


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
