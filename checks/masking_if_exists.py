"""
IF [NOT] EXISTS turned a statement into a no-op.

## Why it hurts

The existing object may have other columns, another type or other constraints than the one that the revision
describes. The statement succeeds, the revision is recorded, and from then on the history and the database disagree.

An enum type of SQLAlchemy with `create_type=False`, or created with `checkfirst=True`, does the same where a type of that
name has other labels: the first row with one of the new ones is refused.

## Do this instead

Do not use IF [NOT] EXISTS in revisions that run in a transaction: an error shows immediately that the database is
not as expected. It has its place in autocommit blocks, which may have to be run again.

## Not flagged

- Statements that did something.
- As a notice only: what is there has all that the statement describes, as far as that is known.
- DROP ... IF EXISTS of what the same revision makes next.
- Schemas and extensions, which cannot differ.
- In an autocommit block, where it makes the statement repeatable, unless the index of that name has other columns or
  is not unique, or what it should drop is in a schema that it does not name.

## References

- <https://www.postgresql.org/docs/current/sql-createtable.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddColumn,
    AddExclusion,
    AddForeignKey,
    AddPrimaryKey,
    AddUnique,
    Basis,
    Concern,
    Context,
    CreateIndex,
    CreateObject,
    CreateTable,
    Direction,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropObject,
    DropTable,
    Example,
    Group,
    Labelled,
    Location,
    Name,
    Outcome,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
    listed,
    types,
)

RULE = Rule(
    id="masking-if-exists",
    summary="the statement does nothing, without an error",
    severity=Severity.NOTICE,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) if all(
            each.outcome is Outcome.OK for each in subject.passes if each.direction is Direction.UPGRADE
        ):
            for each in revision.labelled:
                yield from _other_labels(each, subject)
        case CreateIndex(name=str(name), if_not_exists=True) if _nothing(context) and (
            how := _otherwise(subject, context)
        ):
            yield concern(
                f"The index `{name}` exists already, {how}: the statement does nothing, and the revision continues as if it had succeeded.",
                about=about.other("nothing", name),
                severity=Severity.WARNING,
            )
        case DropIndex(index=name, if_exists=True) | DropTable(table=name, if_exists=True) if _nothing(
            context
        ) and (there := _elsewhere(subject, name, context)):
            yield concern(
                f"There is no `{name}` in the search path, but `{there}`: the statement does nothing. Name its schema.",
                about=about.other("nothing", str(name)),
                severity=Severity.WARNING,
            )
        case (
            CreateTable(table=name, if_not_exists=True)
            | AddColumn(table=name, if_not_exists=True)
            | CreateIndex(table=name, if_not_exists=True)
            | CreateObject(object=name, if_not_exists=True)
            | DropTable(table=name, if_exists=True)
            | DropColumn(table=name, if_exists=True)
            | DropIndex(index=name, if_exists=True)
            | DropConstraint(table=name, if_exists=True)
            | DropObject(object=name, if_exists=True)
        ) if context.statement.in_transaction:
            if isinstance(subject, CreateObject) and subject.kind in {"schema", "extension"}:
                return
            said = _nothing(context)
            if said and not _made_next(subject, context):
                differs = _differs(subject, context)
                yield concern(
                    f"""
                    The statement does nothing, and the revision continues as if it had succeeded:
                    {said.removesuffix(", skipping")}{differs}.
                    """,
                    about=about.other("nothing", str(name)),
                    severity=Severity.WARNING if differs else None,
                )


def _differs(made: Subject, context: Context) -> str:
    """What the table or column that was there is not, and what nothing makes of it."""
    match made:
        case CreateTable(table=table, columns=columns) if not made.as_query:
            known = context.now.table(table)
            added = {each.column.name for each, _ in context.later() if isinstance(each, AddColumn)}
            there = {each.name for each in known.columns} if known is not None else set()
            lacks = [f"`{c.name}`" for c in columns if c.name not in there | added] if there else []
            return f", without {listed(lacks, 5)}" if lacks else ""
        case AddColumn(table=table, column=column) if not column.serial:
            there_is, meant = context.now.column(table, column.name), types.canonical(column.type)
            if there_is is None or types.canonical(there_is.type) == meant:
                return ""
            return f", as `{types.canonical(there_is.type)}` and not as `{meant}`"
    return ""


def _other_labels(meant: Labelled, story: Story) -> Iterator[Concern]:
    """An enum type that is not created because there is one of that name, with other labels."""
    name = (meant.schema or "public", meant.type)
    before, after = story.before.enums.get(name), story.after.enums.get(name)
    missing = [each for each in meant.labels if each not in (before or ())]
    if before is None or after is None or not missing or story.after.opaque or set(meant.labels) <= set(after):
        return
    yield concern(
        f"""
        The type `{meant.type}` was there before, without {listed([f"`{each}`" for each in missing], 5)}: nothing adds
        {"it" if len(missing) == 1 else "them"}, and PostgreSQL rejects {"this label" if len(missing) == 1 else "these labels"}.
        Give the new type another name, or add what is missing.
        """,
        about=about.other("nothing", meant.type),
        severity=Severity.WARNING,
        basis=Basis.COMPARED,
        location=Location(story.revision.path, meant.line),
    )


def _made_next(dropped: Subject, context: Context) -> bool:
    """Whether the revision makes what it found missing, as one does that may run twice: then all is as it describes."""
    for operation, _ in context.later():
        match dropped, operation:
            case DropTable(table=old), CreateTable(table=new):
                made = new.matches(old)
            case DropIndex(index=old), CreateIndex(name=str(name)):
                made = name == old.name
            case DropConstraint(table=old, name=gone), (
                AddCheck(table=new, name=name)
                | AddExclusion(table=new, name=name)
                | AddForeignKey(table=new, name=name)
                | AddPrimaryKey(table=new, name=name)
                | AddUnique(table=new, name=name)
            ):
                made = new.matches(old) and name == gone
            case DropObject(kind=kind, object=old), CreateObject(kind=same, object=new):
                made = kind == same and new.matches(old)
            case _:
                made = False
        if made:
            return True
    return False


def _elsewhere(dropped: DropIndex | DropTable, name: Name, context: Context) -> Name | None:
    """The only table or index of that name, if it is in another schema than the statement looks in."""
    tables = context.now.tables.values() if name.schema is None else ()
    if isinstance(dropped, DropTable):
        found = [table.name for table in tables if table.name.name == name.name]
    else:
        found = [Name(name.name, t.name.schema) for t in tables for index in t.indexes if index.name == name.name]
    return found[0] if len(found) == 1 and found[0].schema not in {None, "public"} else None


def _otherwise(made: CreateIndex, context: Context) -> str:
    """How the index of that name differs from the one that was meant, if it is known to."""
    known = next((each for each in context.now.indexes(made.table) if each.name == made.name), None)
    if known is None or made.name in {
        each.index.name for each, _ in context.earlier if isinstance(each, DropIndex)
    }:
        return ""
    meant = tuple(column.strip('"') for column in made.columns)
    if all(known.columns) and all(re.fullmatch(r"\w+", each) for each in meant) and known.columns != meant:
        return f"on `{', '.join(known.columns)}` instead of `{', '.join(meant)}`"
    if made.unique and not known.unique:
        return "and is not unique"
    return ""


def _nothing(context: Context) -> str | None:
    """What PostgreSQL said if the statement did nothing."""
    return next((each for each in _messages(context) if each.endswith(", skipping")), None)


def _messages(context: Context) -> tuple[str, ...]:
    return context.observation.messages if context.observation else ()


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(10))")"""

EXAMPLES = [
    Example(
        "an enum type of that name with other labels",
        given="""
        op.execute("CREATE TYPE state AS ENUM ('open', 'shut')")
        """,
        upgrade="""
        state = postgresql.ENUM("draft", "sent", name="state", create_type=False)  # flagged
        state.create(op.get_bind(), checkfirst=True)
        op.create_table("letters", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("state", state))
        """,
    ),
    Example(
        "an enum type that is there with its labels",
        given="""
        op.execute("CREATE TYPE state AS ENUM ('open', 'shut')")
        """,
        upgrade="""
        state = postgresql.ENUM("open", "shut", name="state", create_type=False)
        state.create(op.get_bind(), checkfirst=True)
        op.create_table("doors", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("state", state))
        """,
    ),
    Example(
        "an index in a schema that is not named",
        given="""
        op.execute("CREATE SCHEMA app")
        op.execute("CREATE TABLE app.users (id bigint PRIMARY KEY, name text)")
        op.execute("CREATE INDEX by_name ON app.users (name)")
        """,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS by_name")  # flagged
        """,
    ),
    Example(
        "an index in a schema that is named",
        given="""
        op.execute("CREATE SCHEMA app")
        op.execute("CREATE TABLE app.users (id bigint PRIMARY KEY, name text)")
        op.execute("CREATE INDEX by_name ON app.users (name)")
        """,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS app.by_name")
        """,
    ),
    Example(
        "a table with other columns is there",
        given=USERS,
        upgrade="""
        op.execute("CREATE TABLE IF NOT EXISTS users (id bigint PRIMARY KEY, name text)")  # flagged
        """,
    ),
    Example(
        "a column of another type is there",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN IF NOT EXISTS name text")  # flagged
        """,
    ),
    Example(
        "an index of that name on another column",
        given=USERS + '\nop.create_index("by_name", "users", ["name"])',
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_name ON users (name)")
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_name ON users (id, name)")  # flagged
            op.execute("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS by_name ON users (name)")  # flagged
        """,
    ),
    Example(
        "it did something",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN IF NOT EXISTS age int")
        """,
    ),
    Example(
        "what is made right after it",
        given=USERS,
        upgrade="""
        op.execute("DROP INDEX IF EXISTS by_name")
        op.create_index("by_name", "users", ["name"])
        op.execute("DROP FUNCTION IF EXISTS next_one()")
        op.execute("CREATE FUNCTION next_one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        op.execute("DROP TABLE IF EXISTS kinds")
        op.create_table("kinds", sa.Column("id", sa.Integer(), primary_key=True))
        op.execute("ALTER TABLE users DROP CONSTRAINT IF EXISTS one_name")
        op.create_unique_constraint("one_name", "users", ["name"])
        """,
    ),
    Example(
        "something else is made after it",
        given=USERS,
        upgrade="""
        op.execute("DROP INDEX IF EXISTS by_name")  # flagged
        op.create_index("on_name", "users", ["name"])
        """,
    ),
]
