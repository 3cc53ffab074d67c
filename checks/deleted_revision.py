"""
A revision that the base branch has is gone.

## Why it hurts

Databases that stand at it, or have run it, refer to a revision that no longer exists: `Can't locate revision identified
by ...`. What it did stays in them, and is missing in new ones.

## Do this instead

Keep the file. What it did is undone by a new revision.

## Not flagged

- A file that was renamed or moved: the revision is still there.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Basis, Concern, Context, Example, Group, Recording, Rule, Severity, Subject, concern

RULE = Rule(
    id="deleted-revision",
    summary="databases that have run it cannot be upgraded any more",
    severity=Severity.ERROR,
    group=Group.HISTORY,
    needs="a base branch",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording(history=history):
            for entry in history.deleted:
                yield concern(
                    f"`{entry.revision}` is on the base branch and gone here: databases that stand at it cannot be upgraded.",
                    about=("revision", entry.revision),
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
