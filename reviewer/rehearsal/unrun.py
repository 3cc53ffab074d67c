"""The statements after the one that failed: they cannot run, so they are read as Alembic renders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from reviewer.recording import Direction, FailureKind, Moment, Origin, Outcome, Pass, Statement, furthest
from reviewer.rehearsal.protocol import Offline
from reviewer.rehearsal.workbench import Workbench

_PATIENCE = 30.0
"""Seconds that rendering may take. An env.py that needs its database gets none."""


def told(bench: Workbench, passes: Sequence[Pass]) -> list[Pass]:
    """Return `passes`, with the statements that never ran added to those that are judged and failed.

    If a revision cannot be rendered, that is reported as skipped, with the reason.
    """
    found = list(passes)
    for direction in (Direction.UPGRADE, Direction.DOWNGRADE):
        cut = {each.id: short for each in bench.plan.revisions if (short := _cut_short(each.id, direction, passes))}
        if cut and not bench.is_late():
            read = _read(bench, direction, cut)
            found = [read[each.revision] if cut.get(each.revision) is each else each for each in found]
    return found


def _read(bench: Workbench, direction: Direction, cut: Mapping[str, Pass]) -> dict[str, Pass]:
    """Return the passes of `direction` that were `cut` short, by revision, with the rendered rest of their
    statements.
    """
    from reviewer.rehearsal.static import read_rendered

    down = direction is Direction.DOWNGRADE
    command = Offline(revisions=tuple(reversed(list(cut)) if down else cut), downgrade=down)
    answer = bench.ask(command, _PATIENCE)
    if not answer.ok and not (answer.failed and answer.failed.kind == FailureKind.OFFLINE.value):
        bench.restart()
        answer = bench.ask(command, _PATIENCE)
    rendered, why = read_rendered(answer, direction, bench.plan)
    read = dict(cut)
    for id_, failed in cut.items():
        found = rendered.get(id_)
        if found is not None and found.outcome is Outcome.OK:
            read[id_] = replace(failed, unrun=after(failed.statements, found.statements))
        else:
            reason = ((found.reason if found else None) or why).rstrip(".")
            if failed.failure is not None and failed.failure.message.rstrip(".") in reason:
                reason = "the same error ends that"
            bench.skip(
                f"what comes after the failure in {'the downgrade of ' if down else ''}revision {id_}",
                f"it cannot be rendered as SQL to be read: {reason}",
            )
    return read


def _cut_short(revision: str, direction: Direction, passes: Sequence[Pass]) -> Pass | None:
    """Return the judged pass if it failed before its own code ended. A downgrade that refuses has no statements
    after that.
    """
    judged = furthest([each for each in passes if each.revision == revision], direction)
    if judged is None or judged.failure is None or judged.failure.moment is not Moment.DURING:
        return None
    refuses = direction is Direction.DOWNGRADE and judged.failure.deliberate
    return None if refuses else judged


def after(ran: Sequence[Statement], rendered: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return those of `rendered` that come after the statements that `ran`, the last of which failed.

    They are matched by line, and by text if one line sends several. A query that is not rendered, such as whether a
    type exists, is ignored.
    """
    position = 0
    for each in ran:
        if each.origin is not Origin.REVISION:
            continue
        left = range(position, len(rendered))
        same_line = [n for n in left if rendered[n].location == each.location]
        same_text = [n for n in same_line if _text(rendered[n]) == _text(each)]
        asks = _text(each).lower().startswith("select")
        found = next(iter(same_text or ([] if asks else same_line)), None)
        if found is not None:
            position = found + 1
    return tuple(rendered[position:])


def _text(statement: Statement) -> str:
    return " ".join(statement.sql.split())
