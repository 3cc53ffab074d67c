"""
A failure goes unnoticed: env.py, a revision or a DO block catches the error, `alembic upgrade` reports success, and the
database stays behind.

## Why it hurts

Deployment tools check the exit status of `alembic upgrade`. If env.py catches the error of a revision, logs it and
continues to its end, that status is 0: the pipeline is green, the new code starts, and the schema that it needs is
missing. Nobody notices, and every later release stops at the same revision. `EXCEPTION WHEN OTHERS THEN NULL` in a DO
block does the same to what the block was to make, and the revision counts as done.

## Do this instead

Let the error propagate. If env.py has to do something first, such as logging or closing a connection, do it in
`finally`, or end the handler with a bare `raise`:

```python
try:
    with context.begin_transaction():
        context.run_migrations()
except Exception:
    logger.exception("the migration failed")
    raise
```

## Not flagged

- An env.py that catches errors to retry, or to reword them, and raises the last one.
- A DO block that catches `duplicate_object` or the like, and one whose objects are there afterwards.
- A revision that catches the error of a statement and then gets there in another way. As a notice only: one that catches
  that something exists already, or is gone already.
- An env.py that ends with `sys.exit` and a status other than 0.

The reviewer does not guess this from the text. It runs a test: a step of its own that must fail goes through env.py
in a throw-away database: once with an exception, once with a statement that PostgreSQL rejects, and once with a
duplicate, which an env.py that ignores `already exists` takes for success. The test runs once, not in every review: its result is cached until a file that the error passes through changes. `--ignore
swallowed-failure` skips it.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html#the-migration-environment>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddPrimaryKey,
    AddUnique,
    Basis,
    Call,
    Change,
    Concern,
    Context,
    CreateIndex,
    Delete,
    Direction,
    DoBlock,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropObject,
    DropTable,
    Example,
    Group,
    Insert,
    LockTable,
    Merge,
    Name,
    Operation,
    Recording,
    Rule,
    Schema,
    Select,
    SetVariable,
    Severity,
    Statement,
    Story,
    Subject,
    TransactionControl,
    Unrecognized,
    Update,
    about,
    concern,
    operations_of,
    place_of,
)

RULE = Rule(
    id="swallowed-failure",
    summary="production can stay behind with a green pipeline: a failure is hidden",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
)

_WAYS = {
    "exception": "raises",
    "statement": "sends a statement that PostgreSQL rejects",
    "duplicate": "is told by PostgreSQL that something already exists",
}


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story():
            yield from _hidden(subject, context)
            yield from _caught(subject)
        case Recording(control=control) if control.swallowed:
            ways = " or ".join(_WAYS.get(way, way) for way in control.swallowed)
            yield concern(
                f"""
                env.py ends without an error when a revision fails: when one {ways}, it {control.ended}, so
                `alembic upgrade` reports success and production can stay behind with a green pipeline.
                """,
                about=about.other("control"),
                basis=Basis.OBSERVED,
                location=control.location,
                evidence={"swallowed": list(control.swallowed)},
            )


_CAUGHT = re.compile(
    r"\bBEGIN\b(?P<tried>.*?)\bEXCEPTION\s+WHEN\s+OTHERS\s+THEN\s+(?:NULL\s*;\s*)?END\b", re.IGNORECASE | re.DOTALL
)
_DEPENDS = re.compile(
    r"\b(?:BEGIN|DECLARE|EXECUTE|LOOP|CASE|RETURN|PERFORM)\b|\bIF\b(?!\s+(?:NOT\s+)?EXISTS\s+[\w\"])", re.IGNORECASE
)
"""What a block has of which a part may not have been run."""


def _hidden(story: Story, context: Context) -> Iterator[Concern]:
    """What a DO block wanted to make, ignoring every error, and what is not there after it has run."""
    after = context.recording.after(story.revision.id)
    if after is None:
        return
    for step in story.steps():
        block = step.operation
        caught = _CAUGHT.search(block.body) if isinstance(block, DoBlock) and not step.statement.error else None
        if caught is None or _DEPENDS.search(caught["tried"]):
            continue
        others = [each.statement.sql for each in story.steps() if each.statement is not step.statement]
        for wanted in operations_of(Statement(caught["tried"].strip())):
            for table, kind, name, known in _made(wanted, step.now):
                came = any(
                    d.name == name and d.kind == kind and d.change is not Change.MISSING for d in after.changes
                )
                if known or came or any(re.search(rf"\b{re.escape(name)}\b", sql) for sql in others):
                    continue
                yield concern(
                    f"""
                    The {kind} `{name}` of `{table}` is not there after this block, which ended without an error: WHEN OTHERS
                    hides why. Catch what may be there already, such as `duplicate_object`, and nothing else.
                    """,
                    about=about.other("hidden", name),
                    severity=RULE.severity.lower,
                    basis=Basis.OBSERVED,
                    location=place_of(step),
                )


def _caught(story: Story) -> Iterator[Concern]:
    """Changes of the schema that PostgreSQL rejected and that the revision went on without: in a savepoint, with the error
    caught.
    """
    if story.failed(Direction.UPGRADE) is not None:
        return
    ran = [each for each in story.upgrade if each.operations]
    for position, each in enumerate(ran):
        statement = each.statement
        if statement.error is None or statement.sqlstate is None or isinstance(each.operations[0], _NO_CHANGES):
            continue
        # another way to the same
        if any(
            _alike(other.operations[0], each.operations[0]) for other in ran[position + 1 :] if not other.undone
        ):
            continue
        there = statement.sqlstate in (_GONE if isinstance(each.operations[0], _DROPS) else _THERE)
        yield concern(
            f"""
            PostgreSQL rejects this statement ({
                statement.error
            }), and the revision catches the error: `alembic upgrade` reports success
            without the change. {"Ask the inspector whether it is needed" if there else "Let the error propagate"}.
            """,
            about=about.other("caught", statement.sql[:60]),
            severity=Severity.NOTICE if there else Severity.WARNING,
            basis=Basis.OBSERVED,
            location=statement.location,
        )


def _alike(one: Operation, other: Operation) -> bool:
    """Whether both do the same kind of thing with the same table, if there is one."""
    return type(one) is type(other) and getattr(one, "table", None) == getattr(other, "table", None)


_THERE = frozenset({"42701", "42P06", "42P07", "42710", "42723"})
"""SQLSTATEs of what exists already."""
_GONE = frozenset({"42703", "42704", "42P01", "42883", "3F000"})
_DROPS = (DropColumn, DropConstraint, DropIndex, DropObject, DropTable)
_NO_CHANGES = (
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    Call,
    DoBlock,
    TransactionControl,
    Unrecognized,
    SetVariable,
    LockTable,
)


def _made(wanted: Operation, now: Schema) -> Iterator[tuple[Name, str, str, bool]]:
    """Table, kind and name of what an operation makes, and whether there was something of that name before."""
    match wanted:
        case AddColumn(table=table, column=column) if now.table(table):
            yield table, "column", column.name, now.column(table, column.name) is not None
        case CreateIndex(table=table, name=str(name)) if now.table(table):
            yield table, "index", name, any(each.name == name for each in now.indexes(table))
        case (
            AddCheck(table=table, name=str(name))
            | AddForeignKey(table=table, name=str(name))
            | AddUnique(table=table, name=str(name))
            | AddPrimaryKey(table=table, name=str(name))
        ) if now.table(table):
            yield table, "constraint", name, any(each.name == name for each in now.constraints(table))


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "a block that ignores every error",
        given=USERS,
        upgrade="""
        op.execute("DO $$ BEGIN ALTER TABLE users ADD CONSTRAINT adult CHECK (age > 17); EXCEPTION WHEN OTHERS THEN NULL; END $$")  # flagged
        """,
    ),
    Example(
        "a block that ignores what is there already",
        given=USERS,
        upgrade="""
        op.execute("DO $$ BEGIN CREATE TYPE mood AS ENUM ('good'); EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        """,
    ),
    Example(
        "errors that did not come, and one that something is there",
        given=USERS,
        upgrade="""
        op.execute("DO $$ BEGIN ALTER TABLE users ADD COLUMN age int; EXCEPTION WHEN OTHERS THEN NULL; END $$")
        op.execute("DO $$ BEGIN ALTER TABLE users ADD COLUMN id int; EXCEPTION WHEN OTHERS THEN NULL; END $$")
        """,
        downgrade="""
        op.drop_column("users", "age")
        """,
    ),
    Example(
        "an env.py that lets errors out",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
    ),
    Example(
        "a revision that catches every error",
        given=USERS,
        upgrade="""
        try:
            with op.get_bind().begin_nested():
                op.create_index("by_id", "userz", ["id"])  # flagged
        except Exception:
            pass
        """,
    ),
    Example(
        "a revision that tries another way",
        given=USERS,
        upgrade="""
        try:
            with op.get_bind().begin_nested():
                op.execute("CREATE INDEX by_id ON users USING bloom (id)")
        except Exception:
            op.create_index("by_id", "users", ["id"])
        """,
    ),
]
