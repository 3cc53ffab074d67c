"""
No timeout ends a statement of the migration that takes too long.

## Why it hurts

A statement that takes hours instead of minutes keeps its locks for hours. Somebody has to notice and cancel it by
hand.

## Do this instead

Set one for the migration's session, in env.py: `connection.execute(text("SET statement_timeout = '15min'"))`.
Long-running statements, such as a concurrent index build, set their own.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- A limit that env.py, the role, the database or the revision has set: what counts is the effective one.
- A review without a server.

## References

- <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT>
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
    Select,
    SessionCommand,
    SetVariable,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="missing-statement-timeout",
    summary="a statement that takes too long keeps its locks",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording():
            for story in context.stories:
                for each in story.upgrade:
                    seen = each.statement.observation
                    works = any(not isinstance(o, SetVariable | SessionCommand | Select) for o in each.operations)
                    if works and seen is not None and not seen.statement_timeout and each.statement.location:
                        yield concern(
                            "No statement_timeout is in effect here, nor for the statements that follow.",
                            about=about.other("statement_timeout"),
                            location=each.statement.location,
                            basis=Basis.OBSERVED,
                        )
                        return


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")'

EXAMPLES = [
    Example(
        "none",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))  # flagged
        """,
    ),
    Example(
        "set before",
        given=USERS,
        upgrade="""
        op.execute("SET LOCAL statement_timeout = '15min'")
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
    ),
]
