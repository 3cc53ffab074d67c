"""
The models and the foreign key disagree about what happens to the children.

## Why it hurts

A `relationship()` says what the ORM does with the rows that refer to a deleted one, and the foreign key's ON DELETE
what the database does. If only one of them cascades, a delete through the other one fails, leaves orphaned rows, or
deletes more than intended; and without `passive_deletes` the ORM first loads every child to delete it
separately.

## Do this instead

All three or none: `relationship(cascade="all, delete-orphan", passive_deletes=True)` with
`ForeignKey(..., ondelete="CASCADE")`; or neither `delete` in the cascade nor ON DELETE CASCADE.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Foreign keys that existed before the branch.
- ON DELETE SET NULL on a nullable column, with or without `passive_deletes`: the row stays.

## References

- <https://docs.sqlalchemy.org/en/20/orm/cascades.html#using-foreign-key-on-delete-cascade-with-orm-relationships>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    Basis,
    Concern,
    Context,
    CreateTable,
    Example,
    Group,
    Location,
    Name,
    Relationship,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="orphaning-relationship",
    summary="the ORM and the database disagree about what happens to the children",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story():
            for each in context.recording.models.relationships:
                said, place = _disagreement(each), _place(subject, each)
                if said and place is not None:
                    yield concern(
                        f"`{each.model}.{each.attribute}` and the foreign key `{each.table}.{each.column}` {said}.",
                        about=about.column(each.table, each.column, RULE.id),
                        basis=Basis.COMPARED,
                        location=place,
                        evidence={"ondelete": each.ondelete, "passive_deletes": each.passive_deletes},
                    )


def _disagreement(each: Relationship) -> str:
    cascades = each.ondelete == "CASCADE"
    if each.cascades and not cascades:
        stays = f"says ON DELETE {each.ondelete}" if each.ondelete else "has no ON DELETE"
        return f"disagree: the relationship deletes the children, but the foreign key {stays}"
    if cascades and not each.cascades:
        return "disagree: the foreign key deletes the children, but the cascade of the relationship does not"
    if cascades and not each.passive_deletes:
        return "both delete the children, but without `passive_deletes=True` the ORM loads each of them first"
    if not each.ondelete and not each.cascades and not each.nullable:
        return "make it impossible to delete a parent: the ORM sets the column to NULL, which it forbids"
    return ""


def _place(story: Story, each: Relationship) -> Location | None:
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

OLD = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
"""

NEW = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    posts = orm.relationship("Post", {cascade})

class Post(Base):
    __tablename__ = "posts"
    id = sa.Column(sa.Integer, primary_key=True)
    user_id = sa.Column(sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True)
"""

POSTS = """
op.create_table({flag}
    "posts",
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
)
op.create_index("ix_posts_user_id", "posts", ["user_id"])
"""

EXAMPLES = [
    Example(
        "only the database cascades",
        given=USERS,
        upgrade=POSTS.format(flag="  # flagged"),
        models=OLD,
        new_models=NEW.format(cascade='cascade="save-update"'),
    ),
    Example(
        "all three",
        given=USERS,
        upgrade=POSTS.format(flag=""),
        models=OLD,
        new_models=NEW.format(cascade='cascade="all, delete-orphan", passive_deletes=True'),
    ),
]
