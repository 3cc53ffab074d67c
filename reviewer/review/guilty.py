"""The line of a downgrade that does what was found after it: a comparison of two states names no line by itself."""

from __future__ import annotations

from reviewer.recording import Direction, Location
from reviewer.replay.stream import Step, Story
from reviewer.review.causes import column_of
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AlterColumnType,
    Call,
    Comment,
    Delete,
    DoBlock,
    DropColumn,
    DropIndex,
    DropObject,
    DropTable,
    DropView,
    Merge,
    Select,
    Truncate,
    Unrecognized,
    Update,
)


def of_loss(story: Story, table: Name, column: str | None) -> Location | None:
    """Where the downgrade loses values of `column`, or rows of `table`; None if no line does: what the upgrade has
    changed is lost because nothing restores it.
    """
    best, found = 0, None
    for step in story.steps(Direction.DOWNGRADE):
        score = _loses(step, table, column)
        # the last one decides what is left
        if score and score >= best and step.statement.location is not None:
            best, found = score, step.statement.location
    return found


def _loses(step: Step, table: Name, column: str | None) -> int:
    operation = step.operation
    on = getattr(operation, "table", None)
    here = isinstance(on, Name) and (on.matches(table) or (step.now.origin(on) or on).matches(table))
    match operation:
        case Truncate() | DropTable() if here:
            return 3
        case Delete() if here:
            return 3 if step.statement.rows != 0 else 0
        case Update(columns=columns) if here and column is not None and step.statement.rows != 0:
            return 3 if column in columns else 0
        case Merge() if here:
            return 2
        case DropColumn() | AlterColumnType() if here and column is not None:
            return 3 if column_of(operation) == column else 0
        case Call() | DoBlock() | Select() | Unrecognized() if _writes(step, table):
            return 1
    return 0


def _writes(step: Step, table: Name) -> bool:
    seen = step.statement.observation
    return seen is not None and any(
        lock.relation.as_name.matches(table) and lock.mode >= LockMode.ROW_EXCLUSIVE for lock in seen.locks
    )


def of_missing(story: Story, name: Name) -> Location | None:
    """Where the downgrade drops the object `name`, which is of no table or does not name it."""
    for step in reversed(story.steps(Direction.DOWNGRADE)):
        match step.operation:
            case DropIndex(index=gone) | DropObject(object=gone) | DropView(view=gone) | DropTable(table=gone) if (
                gone.matches(name)
            ):
                return step.statement.location
    return None


def of_comment(story: Story, name: str) -> Location | None:
    """Where the downgrade comments on the object `name`: `users`, or `users.name`."""
    for step in reversed(story.steps(Direction.DOWNGRADE)):
        if isinstance(step.operation, Comment) and step.operation.object.removeprefix("public.") == name:
            return step.statement.location
    return None
