"""
A new revision is inserted before revisions that are already on the base branch.

## Why it hurts

Databases that have run the later ones consider the new one applied, because it precedes them, and never run it.
Only new databases get it.

## Do this instead

Append it: give it the current head as its `down_revision`, and leave the other revisions unchanged.

## Not flagged

- New revisions on top of the base's heads.

## References

- <https://alembic.sqlalchemy.org/en/latest/branches.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Basis, Concern, Context, Example, Group, Rule, Severity, Story, Subject, about, concern

RULE = Rule(
    id="inserted-revision",
    summary="databases that are already past it will never run it",
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
                    on_it = f" (it is now the down_revision of `{entry.detail}`)" if entry.detail else ""
                    yield concern(
                        f"""
                        `{revision.id}` is inserted before revisions of the base branch{on_it}: databases that have
                        run these will never run it.
                        """,
                        about=about.revision(revision.id),
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
