"""
The branch changes models and migrations, and afterwards the database does not match the models.

## Why it hurts

A column that exists only in a model makes the first query fail. A different index, constraint or type is noticed
months later, when somebody runs autogenerate and finds changes that are not theirs.

## Do this instead

Write the missing operations into the revision, or revert the change of the model. The finding shows the lines that
autogenerate would write, with the options of the project's own env.py.

## Not flagged

- Differences that existed before the branch: the same comparison is made for the base commit, with its own code.
- Objects that no model describes and that existed before: tables of extensions and of other programs.
- Reviews without a base commit (`--revisions`), without a server, and with `--no-old-code`.

## References

- <https://alembic.sqlalchemy.org/en/latest/autogenerate.html>
- <https://alembic.sqlalchemy.org/en/latest/api/commands.html#alembic.command.check>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Disagreement,
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
    id="models-disagree",
    summary="the models and the migrated database differ",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
    of_models=True,
)

_MISSING = {
    "CreateTableOp": "the models have the table {name}, and the migrated database does not",
    "DropTableOp": "the migrated database has the table {name}, and the models do not",
    "AddColumnOp": "the models have the column {name}, and the migrated database does not",
    "DropColumnOp": "the migrated database has the column {name}, and the models do not",
    "AlterColumnOp": "the column {name} differs between the models and the migrated database",
    "CreateIndexOp": "the models have an index on {name} that the migrated database does not have",
    "DropIndexOp": "the migrated database has an index on {name} that the models do not have",
}


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) if context.stories and subject is context.stories[-1]:
            found = [each for each in context.recording.models.disagreements if _counts(each)]
            if not found:
                return
            more = (
                f", and {len(found) - 1} more such difference{'s' if len(found) > 2 else ''}" if found[1:] else ""
            )
            yield concern(
                f"After the new revisions models and migrations disagree: {_words(found[0])}{more}.",
                basis=Basis.COMPARED,
                about=about.other("models", revision.id),
                evidence={"autogenerate": [each.code for each in found]},
                location=Location(revision.path, revision.upgrade_line or 1),
            )


def _counts(each: Disagreement) -> bool:
    """Whether code would miss something. What only the database has may be there a deploy before the models, and what an
    operation of a plugin is about nobody here knows.
    """
    return (each.kind in _MISSING and not each.kind.startswith("Drop")) or each.kind in _CONSTRAINTS


_CONSTRAINTS = frozenset(
    {"CreateForeignKeyOp", "CreateUniqueConstraintOp", "CreateCheckConstraintOp", "CreatePrimaryKeyOp"}
)


def _words(each: Disagreement) -> str:
    name = f"{each.table}.{each.column}" if each.column else str(each.table or "")
    said = _MISSING.get(each.kind, "a constraint of {name} differs between the two")
    return said.format(name=f"`{name}`")


USERS = 'op.execute("CREATE TABLE users (id int PRIMARY KEY)")'

MODELS = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
"""

EXAMPLES = [
    Example(
        "a column that the migration forgets",
        given=USERS,
        upgrade="""
        # flagged
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        models=MODELS,
        new_models=MODELS + "    age = sa.Column(sa.Integer)\n    name = sa.Column(sa.String(50))\n",
    ),
    Example(
        "both change",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        models=MODELS,
        new_models=MODELS + "    age = sa.Column(sa.Integer)\n",
    ),
    Example(
        "a difference that was there before",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        models=MODELS + "    name = sa.Column(sa.String(50))\n",
        new_models=MODELS + "    name = sa.Column(sa.String(50))\n    age = sa.Column(sa.Integer)\n",
    ),
]
