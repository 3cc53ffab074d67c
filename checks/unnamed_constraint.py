"""
The database generates the constraint's name, and the downgrade cannot name it.

## Why it hurts

Autogenerate writes `op.create_foreign_key(None, ...)` and, in the downgrade, `op.drop_constraint(None, ...)`. The
upgrade works, because PostgreSQL generates a name. The downgrade raises: it has no name to drop.

## Do this instead

Give the constraint a name in both directions, or set `MetaData(naming_convention=...)` once, so that every
constraint of the models has one.

## Not flagged

- Names from a naming convention.
- Constraints that are written in CREATE TABLE or on a new column: they are dropped with the table or the column.
- Unnamed primary keys: their name is always the table's name with `_pkey`.

## References

- <https://alembic.sqlalchemy.org/en/latest/naming.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddExclusion,
    AddForeignKey,
    AddUnique,
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
    about,
    concern,
    failures,
)

RULE = Rule(
    id="unnamed-constraint",
    summary="the downgrade cannot drop a constraint without a name",
    severity=Severity.WARNING,
    group=Group.HISTORY,
    replaces=frozenset({"failing-downgrade"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story:
            failed = story.failed(Direction.DOWNGRADE)
            if failed is None or failed.failure is None or not _lacks_a_name(failed.failure.message):
                return
            yield concern(
                f"The downgrade of `{revision.id}` drops a constraint without a name, and raises.",
                about=about.failure(revision.id, Direction.DOWNGRADE),
                severity=Severity.ERROR,
                basis=Basis.OBSERVED,
                location=failures.place(revision, failed),
                direction=Direction.DOWNGRADE,
            )
        case (
            AddForeignKey(table=table, name=None)
            | AddCheck(table=table, name=None)
            | AddUnique(table=table, name=None)
            | AddExclusion(table=table, name=None)
        ) if context.exists(table):
            yield concern(
                f"PostgreSQL generates the name of the new constraint on `{table}`, so later revisions cannot rely on it.",
                about=about.constraint(table, "unnamed"),
                severity=RULE.severity.lower,
            )


def _lacks_a_name(message: str) -> bool:
    return "it has no name" in message or "constraint name is required" in message.lower()


USERS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint)")
"""

EXAMPLES = [
    Example(
        "None for a name, both ways",
        given=USERS,
        upgrade="""
        op.create_foreign_key(None, "orders", "users", ["user_id"], ["id"], postgresql_not_valid=True)  # flagged
        """,
        downgrade="""
        op.drop_constraint(None, "orders", type_="foreignkey")  # flagged
        """,
    ),
    Example(
        "with a name",
        given=USERS,
        upgrade="""
        op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"], postgresql_not_valid=True)
        """,
        downgrade="""
        op.drop_constraint("fk", "orders", type_="foreignkey")
        """,
    ),
]
