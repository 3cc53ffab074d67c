"""
The downgrade fails: a rollback is impossible.

## Why it hurts

A downgrade is needed when a release has gone wrong. If it fails then, it costs time that nobody has, and often the
only way out is hand-written SQL on the production database.

## Do this instead

Make the downgrade the reverse of the upgrade, in reverse order, with every constraint under its name. PostgreSQL's
message names the problem. If a rollback is impossible, say so: `raise NotImplementedError("restore from the
backup")`.

## Not flagged

- A downgrade that raises deliberately: the revision is reported as irreversible.
- As a notice only: one that fails on values which the upgrade itself has made possible, such as a longer text. It is
  a warning where NULL is enough, because code that leaves the column out writes it. The rollback label is then
  `data-dependent`.

## References

- <https://alembic.sqlalchemy.org/en/latest/naming.html>
- <https://www.postgresql.org/docs/current/errcodes-appendix.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Direction,
    Example,
    Group,
    Name,
    Pass,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
    failures,
    ways_out,
)

RULE = Rule(
    id="failing-downgrade",
    summary="a rollback is impossible: the downgrade fails",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    reports_failed=Direction.DOWNGRADE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story:
            yield from _on_new_data(story, context)
            failed = failures.gravest(story, Direction.DOWNGRADE)
            if failed is None or failures.on_purpose(failed) or failures.told_before(context, failed):
                return
            yield concern(
                f"""
                The downgrade of `{revision.id}` fails{failures.where(story, failed)}: {failures.words(failed)}.
                {ways_out.way_out(failed)}
                """,
                about=failures.about(failed),
                basis=None if context.static else Basis.OBSERVED,
                location=failures.place(revision, failed),
                direction=Direction.DOWNGRADE,
                evidence=failures.evidence(failed),
            )


def _on_new_data(story: Story, context: Context) -> Iterator[Concern]:
    """Data written after the upgrade that only the new schema allows makes the downgrade fail."""
    revision = story.revision
    told: set[str] = set()
    for trial in context.recording.trials if not context.static else ():
        downgrade = trial.revision == revision.id and trial.direction is Direction.DOWNGRADE
        words = failures.words(trial)
        if downgrade and trial.written and story.failed(Direction.DOWNGRADE) is None and words not in told:
            told.add(words)
            yield concern(
                f"""
                The downgrade of `{revision.id}` fails once the tables hold {" or ".join(trial.written)}, which
                the upgrade makes possible: {words}.
                """,
                about=about.failure(revision.id, Direction.DOWNGRADE, "new data"),
                severity=Severity.WARNING if _wants_values(trial, story) else Severity.NOTICE,
                basis=Basis.OBSERVED,
                location=failures.place(revision, trial),
                direction=Direction.DOWNGRADE,
                evidence=failures.evidence(trial),
            )


def _wants_values(trial: Pass, story: Story) -> bool:
    """Whether NULL alone is in its way: code that leaves the column out is all it takes. Where the upgraded schema does
    not allow NULL there, the downgrade has made it of another value.
    """
    failure = trial.failure
    if failure is None or failure.sqlstate != "23502":
        return False
    named = _COLUMN.search(failure.message)
    upgraded = story.after.column(Name.told(named[2]), named[1]) if named else None
    return upgraded is None or upgraded.nullable


_COLUMN = re.compile(r'column "([^"]+)" of relation "([^"]+)"')


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, age integer)")'

EXAMPLES = [
    Example(
        "a constraint without a name",
        given=USERS,
        upgrade="""
        op.create_check_constraint("adult", "users", "age > 17", postgresql_not_valid=True)
        """,
        downgrade="""
        op.drop_constraint("users_age_check", "users")  # flagged
        """,
    ),
    Example(
        "NOT NULL again, and the table has rows",
        given=USERS,
        upgrade="""
        op.drop_column("users", "age")
        """,
        downgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), nullable=False))  # flagged
        """,
    ),
    Example(
        "the reverse of the upgrade",
        given=USERS,
        upgrade="""
        op.create_check_constraint("adult", "users", "age > 17", postgresql_not_valid=True)
        """,
        downgrade="""
        op.drop_constraint("adult", "users")
        """,
    ),
    Example(
        "raises on purpose",
        given=USERS,
        upgrade="""
        op.create_check_constraint("adult", "users", "age > 17", postgresql_not_valid=True)
        """,
        downgrade="""
        raise NotImplementedError("there is no way back")
        """,
    ),
]
