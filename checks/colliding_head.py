"""
Since the branch was created, the base branch has gained another revision with the same down_revision.

## Why it hurts

Each of the two pull requests is fine on its own, and both are green. Once both are merged, the history has two
heads, and `alembic upgrade head` fails on every machine.

## Do this instead

Merge or rebase onto the base branch, and give the newer revision the other one as its `down_revision`; or join the
two with `alembic merge heads`.

## Not flagged

- Heads on branches with their own branch label, which are meant to stay separate.
- Two heads within the branch: see `several-heads`.
- Reviews without git, as with `--revisions`: there is no other branch.

## References

- <https://alembic.sqlalchemy.org/en/latest/branches.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Basis, Concern, Context, Example, Group, Rule, Severity, Story, Subject, about, concern

RULE = Rule(
    id="colliding-head",
    summary="once merged, `alembic upgrade head` fails",
    severity=Severity.ERROR,
    group=Group.HISTORY,
    needs="a base branch that has moved on",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            for entry in context.recording.history.colliding:
                if entry.revision == revision.id:
                    yield concern(
                        f"""
                        The base branch has since gained `{entry.detail}`: once merged, the history has two heads,
                        `{revision.id}` and `{entry.detail}`, and `alembic upgrade head` fails.
                        """,
                        about=about.other("heads", revision.id, entry.detail),
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
