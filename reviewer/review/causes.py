"""Which operation of a revision caused what was observed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from reviewer.recording import Direction, Location
from reviewer.replay.stream import Step, Story
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name, listed
from reviewer.sql.operations import Call, DoBlock, Operation, RenameTable, Select, SetSchema, Unrecognized


def cause_of(
    story: Story,
    subject: Name,
    *,
    column: str | None = None,
    named: str | None = None,
    wanted: Callable[[Operation], bool] = lambda _: True,
    named_only: bool = False,
    direction: Direction = Direction.UPGRADE,
) -> Step | None:
    """The last operation in `direction` that has most to do with `subject`: with its `column`, or with what is
    `named`, a constraint for example. If none names it, the last statement that was seen to lock it, preferably one
    that nobody can read; `named_only`: not even that.
    """
    best, found = 0, None
    steps = story.steps(direction)
    for step, called in zip(steps, _names(steps, subject), strict=True):
        score = _closeness(step, subject, called, column, named) if wanted(step.operation) else 0
        if score and score >= best:
            best, found = score, step
    return found if found is not None or named_only else next(_unreadable(story, subject), None)


def verbs(actions: Collection[str]) -> str:
    """`SELECT, INSERT and UPDATE`: statements in the order in which people name them."""
    return listed([word.upper() for word in ("select", "insert", "update", "delete") if word in actions])


def place_of(step: Step | None) -> Location | None:
    """The line of an operation."""
    return step.statement.location if step is not None else None


def _names(steps: Sequence[Step], subject: Name) -> list[Name]:
    """What `subject` was called when each of the steps ran: a rebuilt table gets its name at the end."""
    found, name = [], subject
    for step in reversed(steps):
        match step.operation:
            case RenameTable(table=old, new_name=new) if Name(new, old.schema).matches(name):
                name = old
            case SetSchema(object=old, new_schema=new) if Name(old.name, new).matches(name):
                name = old
        found.append(name)
    return found[::-1]


def _closeness(step: Step, subject: Name, called: Name, column: str | None, named: str | None) -> int:
    operation = step.operation
    attributes = [getattr(operation, each, None) for each in ("table", "object", "view", "type", "domain")]
    names = [each for each in attributes if isinstance(each, Name)]
    known = {each for name in names for each in (name, step.now.origin(name) or name)}
    if not any(each.matches(subject) or each.matches(called) for each in known):
        index = getattr(operation, "index", None)
        owner = step.now.index_table(index) if isinstance(index, Name) else None
        if owner is None or not owner.name.matches(subject):
            return 0
    if named is not None and getattr(operation, "name", None) == named:
        return 4
    mentioned = column_of(operation)
    if column is not None and mentioned is not None:
        before = step.now.column_origin(subject, mentioned)
        if column in {mentioned, before[1] if before else None}:
            return 3
    return 2 if mentioned is None else 1


def column_of(operation: Operation) -> str | None:
    """The column that an operation is about, by its name or its definition."""
    column = getattr(operation, "column", None)
    return column if isinstance(column, str) else getattr(column, "name", None)


def _unreadable(story: Story, subject: Name) -> Iterator[Step]:
    seen = [step for step in reversed(story.steps()) if _locks(step, subject)]
    yield from (step for step in seen if isinstance(step.operation, _OPAQUE))
    yield from seen


_OPAQUE = DoBlock | Call | Select | Unrecognized


def _locks(step: Step, subject: Name) -> bool:
    found = step.statement.observation
    return found is not None and any(
        lock.relation.as_name.matches(subject) and lock.mode > LockMode.ROW_SHARE for lock in found.locks
    )
