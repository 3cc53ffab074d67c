"""Where an earlier statement of the same deploy stands, for a message about a later one."""

from __future__ import annotations

from reviewer.recording import Statement
from reviewer.replay.effects import Held
from reviewer.review.context import Context


def since(held: Held, context: Context) -> str:
    """Where a lock was taken, behind its name: `, taken in line 11`."""
    place = line_of(held.since, context)
    return f", taken in {place}" if place else ", taken earlier"


def line_of(statement: Statement, context: Context) -> str:
    """`line 11`, and where that is in another file than the statement at hand `line 11 of c2`, the revision; empty
    where no line is known.
    """
    place = statement.location
    if place is None:
        return ""
    here = context.statement.location
    if here is not None and here.path == place.path:
        return f"line {place.line}"
    owner = next((each.id for each in context.recording.revisions if each.path == place.path), place.path)
    return f"line {place.line} of `{owner}`"
