"""
Dropping the column also drops a key, unique constraint or index over several columns that no statement names.

## Why it hurts

PostgreSQL drops every constraint and index that a dropped column is part of, without CASCADE and without a message.
A `UNIQUE (a, b)` is dropped with `b`: duplicates of `a` are possible from then on, and the downgrade that adds
the column again does not restore it. The same goes for a multi-column index: queries that used its other columns
become slow. And for an index that uses the column only in its WHERE, in an expression or in INCLUDE.

A copy that replaces the table, made with `LIKE … INCLUDING ALL`, has none of its foreign keys and triggers; one made
with `AS SELECT` has no constraint at all.

## Do this instead

Drop the constraint or index in a separate statement before the column, and create what must be enforced from now
on.

## Not flagged

- Constraints and indexes on the dropped column alone, except the primary key.
- Constraints and indexes that the same revision drops by name, or creates again.
- Constraints that the definition of a copy leaves out by listing others, as that of `batch_alter_table()` does.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-DROP-COLUMN>
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from reviewer.check import (
    AddCheck,
    AddForeignKey,
    AddPrimaryKey,
    AddUnique,
    Basis,
    Change,
    Concern,
    Context,
    CreateIndex,
    CreateTable,
    Difference,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropObject,
    DropTable,
    Example,
    Group,
    Insert,
    LockMode,
    Name,
    RenameTable,
    Rule,
    Severity,
    Step,
    Story,
    Subject,
    about,
    concern,
    listed,
    place_of,
)

RULE = Rule(
    id="silently-dropped-constraint",
    summary="a constraint or index is dropped that no statement names",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropColumn(table=table, column=column) if not context.is_new_column(table, column):
            gone = _gone(table, column, context)
            if gone:
                yield concern(
                    f"Dropping `{table}.{column}` also drops {' and '.join(gone.values())}, which no statement names.",
                    about=about.constraint(table, *gone),
                    evidence={"dropped": list(gone)},
                )
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            for step in subject.steps() if after is not None else ():
                match step.operation:
                    case DropTable(table=table) if (copy := _copy(table, step, subject)) is not None:
                        yield from _not_taken_over(table, copy, step, subject, after.changes if after else ())


def _copy(table: Name, dropped: Step, story: Story) -> CreateTable | None:
    """What creates the table that takes the dropped one's name and into which its rows were copied before."""
    steps = list(story.steps())
    place = steps.index(dropped)
    renames = [each.operation for each in steps[place:] if isinstance(each.operation, RenameTable)]
    new = next((r.table for r in renames if Name(r.new_name, r.table.schema).matches(table)), None)
    for each in steps[:place]:
        match each.operation:
            case CreateTable(table=made) if new is not None and made.matches(new):
                filled = each.operation.as_query or any(
                    isinstance(s.operation, Insert) and any(source.matches(table) for source in s.operation.sources)
                    for s in steps[:place]
                )
                return each.operation if filled else None
    return None


def _not_taken_over(
    table: Name, copy: CreateTable, dropped: Step, story: Story, changes: Iterable[Difference]
) -> Iterator[Concern]:
    """What the dropped table had, and the one that replaces it has not. Constraints that its definition lists are as
    they are meant to be.
    """
    mine = [each for each in changes if each.table is not None and Name.told(each.table).matches(table)]
    made = {each.after for each in mine if each.change is Change.LEFT_BEHIND}
    columns = {each.name for each in mine if each.kind == "column" and each.change is Change.MISSING}
    named = {name for step in story.steps() for name in _dropped_by_name(step)}
    kinds = {"trigger", "constraint"} if copy.like or copy.as_query else {"trigger"}
    gone = {
        each.name: f"the {_kind(each)} `{each.name}`"
        for each in mine
        if each.kind in kinds
        and each.change is Change.MISSING
        and each.name not in named
        and each.after not in made
        if not columns & {*re.findall(r"\w+", each.after or "")}
    }
    if gone:
        yield concern(
            f"""
            The copy that replaces `{table}` does not take over {listed(list(gone.values()))}, and no statement makes
            {"it" if len(gone) == 1 else "them"} again.
            """,
            about=about.constraint(table, *gone),
            basis=Basis.COMPARED,
            location=place_of(dropped),
            evidence={"dropped": list(gone)},
        )


def _kind(lost: Difference) -> str:
    words = ("FOREIGN KEY", "PRIMARY KEY", "UNIQUE", "CHECK")
    said = next((each.lower() for each in words if (lost.after or "").startswith(each)), "")
    if lost.kind == "trigger" or said.endswith("key"):
        return said or lost.kind
    return f"{said} constraint".strip()


def _dropped_by_name(step: Step) -> Iterator[str]:
    match step.operation:
        case DropConstraint(name=name):
            yield name
        case DropObject(kind="trigger", object=name):
            yield name.name


def _gone(table: Name, column: str, context: Context) -> dict[str, str]:
    known = context.now.table(table)
    if known is None:
        return {}
    found = {
        each.name: f"the {each.kind}{'' if each.kind.endswith('key') else ' constraint'} `{each.name}` over `{', '.join(each.columns)}`"
        for each in known.constraints
        if column in each.columns
        and (len(each.columns) > 1 or each.kind == "primary key")
        and each.kind != "not null"
    }
    for index in known.indexes:
        uses = {*index.columns, *index.reads} - {""}
        if column in uses and len(uses) > 1 and index.constraint is None:
            over = f"over `{', '.join(index.columns)}`" if not index.reads else f"(`{index.definition}`)"
            found[index.name] = f"the index `{index.name}` {over}"
    for operation, _ in (*context.earlier, *context.later()):
        match operation:
            case (
                DropConstraint(name=name)
                | AddUnique(name=str() as name)
                | AddForeignKey(name=str() as name)
                | AddCheck(name=str() as name)
                | AddPrimaryKey(name=str() as name)
                | CreateIndex(name=str() as name)
            ):
                found.pop(name, None)
            case DropIndex(index=index_name):
                found.pop(index_name.name, None)
    return found


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, a int, b int, CONSTRAINT a_b UNIQUE (a, b))")'

EXAMPLES = [
    Example(
        "a unique constraint over two columns",
        given=USERS,
        upgrade="""
        op.drop_column("users", "b")  # flagged
        """,
    ),
    Example(
        "dropped by name before",
        given=USERS,
        upgrade="""
        op.drop_constraint("a_b", "users", type_="unique")
        op.drop_column("users", "b")
        """,
    ),
    Example(
        "a column that only the WHERE of an index uses",
        given=USERS
        + """
op.drop_constraint("a_b", "users", type_="unique")
op.execute("CREATE UNIQUE INDEX live ON users (a) WHERE b IS NULL")
""",
        upgrade="""
        op.drop_column("users", "b")  # flagged
        """,
    ),
    Example(
        "a column that an index over an expression of two uses",
        given=USERS
        + """
op.drop_constraint("a_b", "users", type_="unique")
op.execute("CREATE INDEX total ON users ((a + b))")
""",
        upgrade="""
        op.drop_column("users", "b")  # flagged
        """,
    ),
    Example(
        "an index whose WHERE uses the column that it is on",
        given=USERS
        + """
op.drop_constraint("a_b", "users", type_="unique")
op.execute("CREATE INDEX given ON users (b) WHERE b IS NOT NULL")
""",
        upgrade="""
        op.drop_column("users", "b")
        """,
    ),
]
