"""
The history has more than one head: `alembic upgrade head` fails.

## Why it hurts

Two revisions have the same down_revision, so the history branches. `alembic upgrade head` stops with "Multiple head
revisions are present", on every machine, as soon as the branch is merged.

## Do this instead

Give the newer revision the other head as its `down_revision`, or join the two with `alembic merge heads`.

## Not flagged

- Branches with their own branch label, which are meant to stay separate.
- Heads that the base branch already has: this branch did not cause them.

## References

- <https://alembic.sqlalchemy.org/en/latest/branches.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Example,
    Group,
    Location,
    Recording,
    Rule,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="several-heads",
    summary="`alembic upgrade head` fails: the history has several heads",
    severity=Severity.ERROR,
    group=Group.HISTORY,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording(history=history, revisions=revisions):
            heads = [head for head in history.heads if head not in history.labelled_heads]
            new = [revision for revision in revisions if revision.id in heads]
            if len(heads) < 2 or not new or len(history.heads) <= len(history.base_heads):
                return
            last = new[-1]
            named = ", ".join(f"`{head}`" for head in heads)
            yield concern(
                f"""
                The history has {len(heads)} heads ({named}), so `alembic upgrade head` fails until `{last.id}` gets
                another one of them as its `down_revision` or `alembic merge heads` joins them.
                """,
                about=about.other("heads", *sorted(heads)),
                basis=Basis.PARSED,
                location=Location(last.path, last.upgrade_line or 1),
                evidence={"heads": heads},
            )


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "two revisions with one parent",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        beside=(
            """
            # flagged
            op.add_column("users", sa.Column("nick", sa.Text()))
            """,
        ),
    ),
    Example(
        "one after the other",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        then=('op.add_column("users", sa.Column("nick", sa.Text()))',),
    ),
]
