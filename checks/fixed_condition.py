"""
A condition of the revision always or never holds, so that part of it always or never runs.

## Why it hurts

`if op.get_bind().dialect.name == "postgres":` is never true: SQLAlchemy says `postgresql`. Alembic records the revision as
applied, and nothing has happened. `if "email" not in inspector.get_columns("users"):` is always true: the inspector returns
dictionaries. The guard guards nothing, and the upgrade fails where the column is there.

## Do this instead

Compare with `"postgresql"`, and with the names: `{each["name"] for each in inspector.get_columns("users")}`.

## Not flagged

- Conditions that depend on the database, the environment or the data.
- Comparisons with the name of another dialect, such as `sqlite`.

## References

- <https://docs.sqlalchemy.org/en/20/core/reflection.html#sqlalchemy.engine.reflection.Inspector.get_columns>
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
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="fixed-condition",
    summary="part of the revision always or never runs, whatever there is",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            for each in revision.fixed_conditions:
                back = revision.downgrade_line
                downgrade = (
                    back is not None
                    and revision.upgrade_line is not None
                    and each.line > back > revision.upgrade_line
                )
                yield concern(
                    f"`{each.condition}` {'always' if each.holds else 'never'} holds: {each.because}.",
                    about=about.other("condition", str(each.line)),
                    basis=Basis.PARSED,
                    location=Location(revision.path, each.line),
                    direction=Direction.DOWNGRADE if downgrade else Direction.UPGRADE,
                )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "a dialect that has another name",
        given=USERS,
        upgrade="""
        if op.get_bind().dialect.name == "postgres":  # flagged
            op.add_column("users", sa.Column("age", sa.Integer()))
        """,
    ),
    Example(
        "a name among dictionaries",
        given=USERS,
        upgrade="""
        columns = sa.inspect(op.get_bind()).get_columns("users")
        if "age" not in columns:  # flagged
            op.add_column("users", sa.Column("age", sa.Integer()))
        """,
    ),
    Example(
        "conditions that say what they mean",
        given=USERS,
        upgrade="""
        inspector = sa.inspect(op.get_bind())
        columns = inspector.get_columns("users")
        columns = [each["name"] for each in columns]
        if op.get_bind().dialect.name == "postgresql" and "age" not in columns and inspector.has_table("users"):
            op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        downgrade="""
        op.drop_column("users", "age")
        """,
    ),
]
