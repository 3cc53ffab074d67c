"""The SQL of a deploy as a file: as it was emitted, in order, with the transactions around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reviewer.recording import Origin, Statement
from reviewer.release.model import Band, Release, Step

_HEAD = """\
-- The SQL of the release from {start} to {end}, as it was emitted in the rehearsal, in order.
-- A revision that looks at rows, or changes them in Python, sends other statements where other rows are: read those parts,
-- do not run them. What Alembic looks up for itself is left out."""


def script(release: Release) -> str:
    """All statements of the deploy, each after a comment with revision, file and line."""
    head = _HEAD.format(start=_comment(release.start), end=_comment(release.end))
    return "\n".join([head, *(line for band in release.timeline.bands for line in _band(band)), ""])


def _band(band: Band) -> Iterator[str]:
    yield ""
    if band.transaction:
        yield "BEGIN;"
    else:
        yield "-- outside of a transaction"
    last = ""
    for step, times in _repeated(step for step in band.steps if not _looks_up(step.statement)):
        place = _place(step)
        if place != last:
            yield f"-- {place}"
            last = place
        if times > 1:
            yield f"-- sent {times:,} times"
        yield from _statement(step.statement)
    if band.transaction:
        failed = any(step.statement.error is not None for step in band.steps)
        yield "ROLLBACK; -- it failed in the rehearsal" if failed else "COMMIT;"


def _repeated(steps: Iterable[Step]) -> Iterator[tuple[Step, int]]:
    """Statements in order; the same text from the same line, several times in a row with other values, once."""
    waiting: Step | None = None
    times = 0
    for step in steps:
        same = (
            waiting is not None
            and step.statement.parameters
            and (waiting.location, waiting.statement.sql) == (step.location, step.statement.sql)
        )
        if same:
            times += 1
            continue
        if waiting is not None:
            yield waiting, times
        waiting, times = step, 1
    if waiting is not None:
        yield waiting, times


def _looks_up(statement: Statement) -> bool:
    return statement.origin is Origin.ALEMBIC and statement.sql.lstrip()[:6].upper() == "SELECT"


def _place(step: Step) -> str:
    where = str(step.location) if step.location is not None else f"{step.statement.origin.value}'s own"
    return f"revision {_comment(step.revision)}, {_comment(where)}"


def _statement(statement: Statement) -> Iterator[str]:
    text = statement.sql.strip("\n").rstrip()
    if statement.error is not None:
        yield f"-- fails: {_comment(statement.error)}"
    if statement.left_out:
        yield f"-- {statement.left_out:,} characters more are not shown"
    if statement.parameters:
        yield f"-- with bound values: {_comment(', '.join(statement.parameters))}"
    if statement.parameters or statement.left_out or statement.error is not None:
        # it does not run as it stands here
        yield from (f"-- {line}" for line in text.splitlines())
        return
    if text.endswith(";"):
        yield text
    else:
        yield f"{text}\n;" if "--" in text.rpartition("\n")[2] else f"{text};"


def _comment(text: str) -> str:
    """`text` on one line, so that it cannot end the comment."""
    return "".join(each if each.isprintable() else " " for each in text)
