"""
A revision of the base branch was deleted.

## Why it hurts

Databases that are at this revision, or have run it, refer to a revision that no longer exists: `Can't locate
revision identified by ...`. Its changes remain in them, and are missing in new ones.

## Do this instead

Keep the file, and undo its changes in a new revision.

## Not flagged

- A file that was renamed or moved: the revision still exists.

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
    id="deleted-revision",
    summary="databases that have run it can no longer be upgraded",
    severity=Severity.ERROR,
    group=Group.HISTORY,
    needs="a base branch",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording(history=history):
            for entry in history.deleted:
                yield concern(
                    f"`{entry.revision}` is on the base branch but was deleted here: databases at this revision cannot be upgraded.",
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
