"""
Only Python knows the default: rows that come another way do not have it.

## Why it hurts

`default=` is applied by SQLAlchemy when it sends an INSERT. Rows of the old code during the deploy, of SQL by hand, of
`COPY` and of other programs go without: NULL, or an error where the column is NOT NULL. `datetime.utcnow` besides is
the clock of the application's machine, and without a time zone.

## Do this instead

Give the column a `server_default`, for example `server_default=sa.func.now()` or `server_default=sa.false()`.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Columns that were there before the branch.
- Columns with a `server_default` beside the `default`.

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
    concern,
)

RULE = Rule(
    id="client-side-default",
    summary="rows that do not come through the models go without the default",
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
                        The default {_words(each)} of `{each.table}.{each.column}` is known to Python only
                        (`{each.model}`): rows that come another way do not have it.
                        """,
                        about=("column", str(each.table), each.column, RULE.id),
                        basis=Basis.COMPARED,
                        location=place,
                    )


def _words(each: ClientDefault) -> str:
    return f"`{each.default}`"


def _place(story: Story, each: ClientDefault) -> Location | None:
    """Where the revision adds the column."""
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
