"""
The default exists only in Python: rows inserted by other means do not get it.

## Why it hurts

`default=` is applied by SQLAlchemy when it sends an INSERT. Rows from the old code during the deploy, hand-written
SQL, `COPY` and other programs do not get it: they have NULL, or fail if the column is NOT NULL. Besides,
`datetime.utcnow` is the clock of the application's machine, without a time zone.

## Do this instead

Give the column a `server_default`, for example `server_default=sa.func.now()` or `server_default=sa.false()`.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Columns that existed before the branch.
- Columns that have both a `server_default` and a `default`.

## References

- <https://docs.sqlalchemy.org/en/20/core/defaults.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    Basis,
    ClientDefault,
    Concern,
    Context,
    CreateTable,
    Example,
    Group,
    Location,
    Name,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="client-side-default",
    summary="rows that are not inserted through the models do not get the default",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story():
            for each in context.recording.models.defaults:
                place = _place(subject, each)
                if place is not None:
                    yield concern(
                        f"""
                        The default {_words(each)} of `{each.table}.{each.column}` exists only in Python
                        (`{each.model}`): rows inserted by other means do not get it.
                        """,
                        about=about.column(each.table, each.column, RULE.id),
                        basis=Basis.COMPARED,
                        location=place,
                    )


def _words(each: ClientDefault) -> str:
    return f"`{each.default}`"


def _place(story: Story, each: ClientDefault) -> Location | None:
    """The place where the revision adds the column."""
    for operation, statement in story.operations():
        if _adds(operation, each.table, each.column):
            return statement.location or Location(story.revision.path, story.revision.upgrade_line or 1)
    return None


def _adds(operation: object, table: Name, column: str) -> bool:
    match operation:
        case CreateTable(table=on, columns=columns):
            return on.matches(table) and any(each.name == column for each in columns)
        case AddColumn(table=on, column=added):
            return on.matches(table) and added.name == column
    return False


USERS = 'op.execute("CREATE TABLE users (id int PRIMARY KEY)")'

MODELS = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
"""

EXAMPLES = [
    Example(
        "a default in Python",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("active", sa.Boolean()))  # flagged
        """,
        models=MODELS,
        new_models=MODELS + "    active = sa.Column(sa.Boolean, default=True)\n",
    ),
    Example(
        "a default in the database",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("active", sa.Boolean(), server_default=sa.true()))
        """,
        models=MODELS,
        new_models=MODELS + "    active = sa.Column(sa.Boolean, server_default=sa.true())\n",
    ),
]
