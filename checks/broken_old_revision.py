"""
A revision that is deployed already does not run with the code of this branch: a fresh install fails.

## Why it hurts

An old revision that imports the application's models runs with the models of today. Once the branch gives a model a
column, the query of that revision asks for a column which the schema does not have yet. Every database that exists has
the revision behind it and notices nothing; a new developer, a new tenant and the test database of every pull request
stop there.

## Do this instead

Give the old revision tables of its own (`sa.table("users", sa.column("id"), sa.column("name"))`) in place of the
models. That it changes is right here: what it does stays the same.

## Not flagged

- Histories that do not run with the code of the base commit either: the review cannot start there.

## References

- <https://alembic.sqlalchemy.org/en/latest/ops.html#alembic.operations.Operations.bulk_insert>
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
    id="broken-old-revision",
    summary="a fresh install fails: the history does not run with this branch's code",
    severity=Severity.ERROR,
    group=Group.HISTORY,
    needs="an old revision that imports the models, and a branch that changes them",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording(failing_old=found) if found is not None:
            commit = subject.old_code.commit[:7]
            yield concern(
                f"""
                The revision `{found.revision}`, which is deployed already, does not run with the code of this branch, so a
                fresh install fails: {found.failure.message.rstrip(".")}. With the code of the base commit
                {f"(`{commit}`) " if commit else ""}it runs.
                """,
                about=about.other("old revision", found.revision),
                basis=Basis.OBSERVED,
                location=found.failure.seen_at,
                evidence={"revision": found.revision, "sqlstate": found.failure.sqlstate},
            )


EXAMPLES = [
    Example(
        "an old revision with tables of its own",
        given="""
        op.create_table("users", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()))
        op.bulk_insert(sa.table("users", sa.column("name")), [{"name": "Ann"}])
        """,
        upgrade="""
        op.add_column("users", sa.Column("plan", sa.Text()))
        """,
    ),
]
