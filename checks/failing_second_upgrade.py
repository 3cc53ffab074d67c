"""
After a downgrade the upgrade fails: something was left behind.

## Why it hurts

The release was rolled back, the mistake fixed, and now the upgrade fails on what the downgrade forgot: a row that
was inserted, an enum type, or everything because the downgrade is empty. The only way forward is then hand-written
SQL on the production database.

## Do this instead

Undo everything that the upgrade does. Enum types must be dropped explicitly:
`sa.Enum(name="mood").drop(op.get_bind())` after the last column that uses it was dropped.

## Not flagged

- A downgrade that fails itself, or raises deliberately: there is no second upgrade.
- If the catalogue shows what was left behind, `incomplete-downgrade` names it.

## References

- <https://alembic.sqlalchemy.org/en/latest/autogenerate.html#what-does-autogenerate-detect-and-what-does-it-not-detect>
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
    Rule,
    Severity,
    Story,
    Subject,
    concern,
    failures,
    ways_out,
)

RULE = Rule(
    id="failing-second-upgrade",
    summary="after a rollback the upgrade fails",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    reports_failed=Direction.UPGRADE_AGAIN,
    replaces=frozenset({"missing-downgrade"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story:
            failed = failures.gravest(story, Direction.UPGRADE_AGAIN)
            if failed is None or failures.told_before(context, failed):
                return
            empty = ", which does nothing" if revision.downgrade_is_empty else ""
            known = empty and failed.failure is not None and failed.failure.sqlstate == _THERE
            helps = "" if known else ways_out.way_out(failed)
            yield concern(
                f"""
                After a downgrade{empty}, the upgrade of `{revision.id}` fails: {failures.words(failed)}.
                {helps}
                """,
                about=failures.about(failed),
                basis=Basis.OBSERVED,
                location=failures.place(revision, failed),
                direction=Direction.UPGRADE_AGAIN,
                evidence=failures.evidence(failed),
            )


_THERE = "42P07"
"""What made a relation that is there already is known where the downgrade does nothing."""


EXAMPLES = [
    Example(
        "a row stays behind",
        given='op.execute("CREATE TABLE roles (name text PRIMARY KEY)")',
        upgrade="""
        op.add_column("roles", sa.Column("rank", sa.Integer()))
        op.execute("INSERT INTO roles VALUES ('guest', 1)")  # flagged
        """,
        downgrade="""
        op.drop_column("roles", "rank")
        """,
    ),
    Example(
        "an empty downgrade",
        upgrade="""
        op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))  # flagged
        """,
        downgrade="pass",
    ),
    Example(
        "the enum type dropped too",
        upgrade="""
        op.create_table("users", sa.Column("mood", sa.Enum("good", "bad", name="mood")))
        """,
        downgrade="""
        op.drop_table("users")
        sa.Enum(name="mood").drop(op.get_bind())
        """,
    ),
]
