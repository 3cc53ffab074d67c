"""
A new revision stands below revisions that the base branch has already.

## Why it hurts

Databases that have run the later ones count the new one as done, because it lies below them, and never run it. Only new
databases get it.

## Do this instead

Put it on top: give it the current head as its `down_revision`, and leave the other revisions as they are.

## Not flagged

- New revisions on top of the base's heads.

## References

- <https://alembic.sqlalchemy.org/en/latest/branches.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Basis, Concern, Context, Example, Group, Rule, Severity, Story, Subject, concern

RULE = Rule(
    id="inserted-revision",
    summary="databases that are further on will never run it",
    severity=Severity.ERROR,
    group=Group.HISTORY,
    replaces=frozenset({"edited-revision"}),
    needs="a base branch",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            for entry in context.recording.history.inserted:
                if entry.revision == revision.id:
                    on_it = f" (`{entry.detail}` stands on it)" if entry.detail else ""
                    yield concern(
                        f"""
                        `{revision.id}` is put below revisions that the base branch has{on_it}: databases that have run these
                        will never run it.
                        """,
                        about=("revision", revision.id),
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
