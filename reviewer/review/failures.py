"""The description of a failed pass: its message, location and conditions."""

from __future__ import annotations

import re

from reviewer.recording import Direction, Failure, FailureKind, Location, Moment, Outcome, Pass, Rehearsal, Revision
from reviewer.replay.stream import Story
from reviewer.review import about as subjects
from reviewer.review.context import Context
from reviewer.sql.operations import (
    AddCheck,
    AddForeignKey,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    AlterColumnType,
    CreateIndex,
    Delete,
    Insert,
    Operation,
    SetNotNull,
    Update,
    ValidateConstraint,
)

_NOT_THE_REVISIONS = frozenset(
    {
        FailureKind.NO_DRIVER,
        FailureKind.UNTOUCHED,
        FailureKind.OFFLINE,
        FailureKind.REVIEWER,
        FailureKind.UNREADABLE,
    }
)

_NOT_NULL_VIOLATION = "23502"
_UNIQUE_VIOLATION = "23505"
_NOT_IN_THE_SCHEMA = "42"
"""Class of the SQLSTATEs that no value causes: no such table, column, function, type or operator, and the like."""
_ALREADY_THERE = frozenset({"42701", "42P07", "42710"})
"""Something exists already, whatever the rows are: without them, Alembic has run branches in another order."""
_COLUMN = re.compile(r'column "([^"]+)"')
_DYNAMIC = re.compile(r"\bexecute\b(?!\s+(?:function|procedure)\b)", re.IGNORECASE)
"""What a statement has that makes others, as in a DO block."""


def is_the_revisions(failed: Pass) -> bool:
    """Whether the pass failed once the revision was being run: in its own code, in what that called, or in what
    Alembic and env.py do for it afterwards. Where env.py did not get that far, the ledger tells it.
    """
    failure = failed.failure
    return failure is not None and failure.moment is not Moment.BEFORE and failure.kind not in _NOT_THE_REVISIONS


def about(failed: Pass) -> tuple[str, ...]:
    """What a finding that tells of the failure is about; the ledger looks for it."""
    return subjects.failure(failed.revision, failed.direction)


def told_before(context: Context, failed: Pass) -> bool:
    """Whether one fault of env.py made an earlier pass fail in the same way, so that it has been reported already."""
    cause = failed.failure.cause if failed.failure else None
    if cause is None:
        return False
    for each in context.recording.passes:
        if each is failed:
            return False
        if each.failure is not None and each.failure.cause == cause and is_the_revisions(each):
            return True
    return False


def gravest(story: Story, direction: Direction) -> Pass | None:
    """The failed pass of the revision in `direction` that is reported: one that fails in production too, else the
    first.
    """
    failed = [
        each
        for each in story.passes
        if each.direction is direction and each.outcome is Outcome.FAILED and is_the_revisions(each)
    ]
    return next((each for each in failed if certain(story, each)), failed[0] if failed else None)


def on_purpose(failed: Pass) -> bool:
    """Whether the revision's own code raised on a line of its own."""
    return failed.failure is not None and failed.failure.deliberate


def words(failed: Pass) -> str:
    """Why it failed, as the middle of a sentence."""
    failure = failed.failure
    if failure is None:
        return "the reason is unknown"
    message = failure.message.strip().rstrip(".")
    return _said(failure, message) + _circumstances(failure)


def _said(failure: Failure, message: str) -> str:
    match failure.kind:
        case FailureKind.STATEMENT:
            worded = failure.worded.strip().rstrip(".")
            return f"PostgreSQL says {message}" + (f", which is re-raised as {worded}" if worded else "")
        case FailureKind.RAISED if failure.location is None and failure.outside is None:
            return message
        case FailureKind.RAISED:
            return f"its own code raises {message}"
        case FailureKind.IMPORT if failure.outside is None:
            return f"its own code fails to import: {message}"
        case FailureKind.ENVIRONMENT | FailureKind.IMPORT:
            return f"env.py or what it calls raises {message}"
        case FailureKind.TIMEOUT:
            return message or "it did not finish in time"
        case FailureKind.LOCK:
            return message or "it waits for a lock that it holds itself on another connection"
        case _:
            return message


def _circumstances(failure: Failure) -> str:
    after = ", after its own code has finished" if failure.moment is Moment.AFTER else ""
    place = f" ({failure.outside})" if failure.outside else ""
    return f"{after}{place}"


def where(story: Story, failed: Pass) -> str:
    """Under which conditions it failed, where other passes tell; empty where it fails always or nothing is known."""
    others = [
        each
        for each in story.passes
        if each.direction is failed.direction and each.outcome is Outcome.OK and each is not failed
    ]
    there = failed.failure is not None and failed.failure.sqlstate in _ALREADY_THERE
    if failed.rows and not there and any(not each.rows for each in others):
        return " if its tables contain rows, but not on empty ones"
    if failed.direction is Direction.UPGRADE and failed.rehearsal is Rehearsal.DEPLOYED and others:
        return " in one `alembic upgrade` with the revisions before it, but not on its own"
    return ""


def only_with_rows(story: Story, failed: Pass) -> bool:
    """Whether it fails on rows that the reviewer made up, and passes on the same tables without them."""
    return failed.rows and any(
        each.outcome is Outcome.OK and not each.rows and each.direction is failed.direction for each in story.passes
    )


def certain(story: Story, failed: Pass) -> bool:
    """Whether it fails in production too. Rows that are made up prove it only where any row would do: a NOT NULL
    that is violated by a column that nothing has filled, or something that is called for each row and does not fit the
    schema. Other values may be such as the application never writes.
    """
    if not only_with_rows(story, failed):
        return True
    failure = failed.failure
    if failure is None or failure.kind is not FailureKind.STATEMENT or failure.sqlstate is None:
        return False
    if failure.sqlstate == _NOT_NULL_VIOLATION:
        return not _was_filled(story, failed)
    return failure.sqlstate.startswith(_NOT_IN_THE_SCHEMA) and not _made_of_values(story, failed)


def _was_filled(story: Story, failed: Pass) -> bool:
    """Whether the revision has an UPDATE that fills the column: which rows that leaves out, their values decide."""
    named = _COLUMN.search(failed.failure.message) if failed.failure is not None else None
    return named is not None and any(
        isinstance(operation, Update) and named[1] in operation.columns
        for operation, _ in story.operations(failed.direction)
    )


def _made_of_values(story: Story, failed: Pass) -> bool:
    """Whether values may have become a part of the statement that does not fit the schema, as where a table is
    named by what is in a row: not where it has run on empty tables as it is, and makes no statement itself; nor
    where its values are handed to it.
    """
    sql = failed.failure.sql if failed.failure else None
    if sql is None or _DYNAMIC.search(sql):
        return True
    mine = next((statement for statement in failed.statements if statement.sql == sql and statement.error), None)
    if mine is not None and mine.parameters:
        return False
    ran = (each for each in story.passes if not each.rows and each.direction is failed.direction)
    return not any(statement.sql == sql and not statement.error for each in ran for statement in each.statements)


def operation(story: Story, failed: Pass) -> Operation | None:
    """The operation that failed, as it was read from the same statement of the rehearsal; of a text with several
    one that can fail in that way.
    """
    failure = failed.failure
    sql = failure.sql if failure else None
    sent = [step.operation for step in story.steps(failed.direction) if step.understood.sent.sql == sql]
    kinds = _REFUSED_BY.get(failure.sqlstate or "", ()) if failure else ()
    able = (each for each in sent if isinstance(each, kinds) and not getattr(each, "not_valid", False))
    return next(able, sent[0] if sent else None)


_REFUSED_BY: dict[str, tuple[type, ...]] = {
    _NOT_NULL_VIOLATION: (SetNotNull, AddNotNull, AddPrimaryKey, Insert, Update),
    _UNIQUE_VIOLATION: (AddUnique, AddPrimaryKey, CreateIndex, Insert, Update),
    "23503": (AddForeignKey, ValidateConstraint, Insert, Update, Delete),
    "23514": (AddCheck, ValidateConstraint, Insert, Update),
    "22001": (AlterColumnType, Insert, Update),
    "22003": (AlterColumnType, Insert, Update),
    "22P02": (AlterColumnType, Insert, Update),
}
"""By SQLSTATE: what PostgreSQL refuses with it because of rows."""


def collides(story: Story, failed: Pass) -> bool:
    """Whether a row that the revision inserts has the key of one that the table had before the deploy."""
    refused = failed.failure is not None and failed.failure.sqlstate == _UNIQUE_VIOLATION
    found = operation(story, failed) if refused else None
    if not isinstance(found, Insert):
        return False
    steps = (step for step in story.steps(failed.direction) if step.operation is found)
    return not any(step.now.is_new(found.table) for step in steps)


def place(revision: Revision, failed: Pass) -> Location:
    """The line that failed, else the function."""
    if failed.failure is not None and failed.failure.location is not None:
        return failed.failure.location
    line = revision.downgrade_line if failed.direction is Direction.DOWNGRADE else revision.upgrade_line
    return Location(revision.path, line or 1)


def evidence(failed: Pass) -> dict[str, object]:
    """The failure, for machines."""
    failure = failed.failure
    if failure is None:
        return {}
    found = {"kind": failure.kind.value, "sqlstate": failure.sqlstate, "sql": failure.sql, **dict(failure.added)}
    return {key: value for key, value in found.items() if value}
