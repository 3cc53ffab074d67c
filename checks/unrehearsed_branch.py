"""
Part of the upgrade runs only in another environment, and was not rehearsed.

## Why it hurts

`if os.environ.get("ENV") == "production":` is false in every test, and true for the first time where the data is. What
the branch drops or changes has never run, and nothing in this review is about it.

## Do this instead

Let every environment run the same revision. Where that cannot be, review the branch too: `--env ENV=production`, or
`-x NAME=VALUE` for an argument of the command.

## Not flagged

- A branch that ran in the rehearsal.
- A branch that drops and changes nothing.
- Everything with `--static`, which runs nothing.

## References

- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.environment.EnvironmentContext.get_x_argument>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Direction,
    Example,
    Group,
    Location,
    Outcome,
    Pass,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
    listed,
)

RULE = Rule(
    id="unrehearsed-branch",
    summary="what only production runs was not rehearsed",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) if not context.static and any(_succeeded(each) for each in subject.passes):
            ran = {each.statement.location.line for each in subject.upgrade if each.statement.location is not None}
            for branch in revision.environment_branches:
                if branch.changes and not any(branch.first <= line <= branch.last for line in ran):
                    what = listed([f"`{each}`" for each in dict.fromkeys(branch.changes)])
                    yield concern(
                        f"""
                        {what} under `{branch.condition}` did not run in the rehearsal: nothing here is about it. Review it with
                        the environment of production: `--env NAME=VALUE`, or `-x NAME=VALUE`.
                        """,
                        about=about.other("branch", str(branch.first)),
                        basis=Basis.PARSED,
                        location=Location(revision.path, branch.first),
                        direction=Direction.UPGRADE,
                    )


def _succeeded(each: Pass) -> bool:
    return each.direction is Direction.UPGRADE and each.outcome is Outcome.OK


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50), age int)")'

EXAMPLES = [
    Example(
        "a column that only production drops",
        given=USERS,
        upgrade="""
        import os
        op.execute("ANALYZE users")
        if os.environ.get("STAGE") == "production":
            op.drop_column("users", "age")  # flagged
        """,
    ),
    Example(
        "statistics that only production collects",
        given=USERS,
        upgrade="""
        import os
        op.execute("ANALYZE users")
        if os.environ.get("STAGE") == "production":
            op.execute("ANALYZE users")
        """,
    ),
    Example(
        "a branch that runs in the rehearsal",
        given=USERS,
        upgrade="""
        import os
        if os.environ.get("STAGE") != "production":
            op.execute("UPDATE users SET name = 'x' WHERE id = 0")
        """,
    ),
]
