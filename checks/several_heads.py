"""
The history has more than one head: `alembic upgrade head` refuses to run.

## Why it hurts

Two revisions have the same parent, so the history forks. `alembic upgrade head` stops with "Multiple head revisions are
present", on every machine, from the moment that the branch is merged.

## Do this instead

Give the newer revision the other head as its `down_revision`, or join the two with `alembic merge heads`.

## Not flagged

- Branches with a label of their own, which are meant to stay apart.
- Heads that the base branch has already: not this branch's doing.

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
    concern,
)

RULE = Rule(
    id="several-heads",
    summary="`alembic upgrade head` refuses to run: the history forks",
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
                The history has {len(heads)} heads ({named}), so `alembic upgrade head` refuses to run until `{last.id}`
                gets another of them as its `down_revision` or `alembic merge heads` joins them.
                """,
                about=("heads", *sorted(heads)),
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
