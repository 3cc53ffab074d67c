"""The way back: what each revision costs to take back, and whether the old code runs afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reviewer.recording import Change, Difference, Direction, Loss, Outcome, Pass, Recording, Rehearsal, Revision
from reviewer.release.model import Cell, Duration, WayBack
from reviewer.release.timeline import NOT_MEASURED, estimate, sized
from reviewer.replay import effects
from reviewer.replay.stream import Step, understand
from reviewer.review import rollback_label
from reviewer.review.durations import Durations
from reviewer.review.finding import Growth
from reviewer.review.summary import describe
from reviewer.sql.operations import Delete, DropColumn, DropObject, DropTable, Truncate
from reviewer.stats.sizes import Production


def way_back(
    recording: Recording, production: Production | None, durations: Durations = NOT_MEASURED
) -> tuple[WayBack, ...]:
    """Each revision taken back, in the order in which they run upward, with how long that takes as `durations` say."""
    destroyed = {each.revision.id: tuple(_destroyed(each.steps())) for each in understand(recording)}
    return tuple(
        _one(revision, recording, production, durations, destroyed.get(revision.id, ()))
        for revision in recording.revisions
    )


def _one(
    revision: Revision,
    recording: Recording,
    production: Production | None,
    durations: Durations,
    destroyed: tuple[str, ...],
) -> WayBack:
    passes = [each for each in recording.passes_of(revision.id) if each.direction is Direction.DOWNGRADE]
    label = rollback_label.label(recording, revision.id)
    ran = [each for each in passes if each.outcome is Outcome.OK]
    failed = next((each for each in passes if each.outcome is Outcome.FAILED), None)
    with_rows = [each for each in ran if each.rows] or ran
    down = with_rows[0] if with_rows else None
    failure = failed.failure.message if failed is not None and failed.failure is not None else ""
    return WayBack(
        revision,
        label,
        tuple(dict.fromkeys(_lost(ran))),
        tuple(dict.fromkeys(_difference(each) for run in ran for each in run.differences)),
        _duration(revision, down, recording, production, durations) if down is not None else None,
        failure,
        rollback_label.why_untested(recording, revision.id) if label == rollback_label.UNTESTED else "",
        _old_code(down),
        revision.id in recording.one_way,
        destroyed,
    )


def _destroyed(steps: Iterable[Step]) -> Iterator[str]:
    """What is done to rows and values from before the deploy."""
    found = []
    for step in steps:
        match step.operation:
            case DropColumn(table=table, column=column):
                existed = not step.now.is_new_column(table, column)
            case DropTable(table=table) | Truncate(table=table) | Delete(table=table):
                existed = not step.now.is_new(table)
            case DropObject(kind="schema", object=schema):
                existed = any(not step.now.is_new(each) for each in step.now.tables_in(schema.name))
            case _:
                existed = False
        if existed:
            found.append(describe([step.operation]))
    yield from dict.fromkeys(found)


def _old_code(down: Pass | None) -> Cell:
    """It runs on the schema that it knows; of another one nobody has tried it."""
    return Cell.RUNS if down is not None and down.compared and not down.differences else Cell.UNKNOWN


def _duration(
    revision: Revision,
    down: Pass,
    recording: Recording,
    production: Production | None,
    durations: Durations,
) -> Duration:
    found = []
    for statement in down.statements:
        for work in effects.work(statement.observation):
            known = recording.base.table(work.table.as_name)
            if known is not None:
                found.append(Growth(known.name, known.name))
    tables = sized(found, production)
    rows = [table.rows for table in recording.base.tables if any(table.name == each.before for each in tables)]
    return Duration(
        sum(each.seconds for each in down.statements),
        tables,
        max(rows, default=0),
        estimate(durations.of_revision(revision.id, Direction.DOWNGRADE), durations),
    )


def _lost(passes: list[Pass]) -> Iterator[str]:
    for each in passes:
        if each.rehearsal is Rehearsal.STEPWISE:
            yield from (_loss(loss) for loss in each.losses)
            yield from (f"of new data {_loss(loss)}" for loss in each.new_losses)
            if each.brought:
                yield f"what was written to {', '.join(f'`{name}`' for name in each.brought)}"


def _loss(loss: Loss) -> str:
    if loss.column is None:
        return f"{loss.values:,} of {loss.of:,} rows of `{loss.table}`"
    verb = "" if loss.after is None else " (changed)"
    return f"{loss.values:,} of {loss.of:,} values of `{loss.table}.{loss.column}`{verb}"


def _difference(each: Difference) -> str:
    name = f"{each.table}.{each.name}" if each.table else each.name
    if each.change is Change.CHANGED:
        return f"{each.aspect} of {each.kind} `{name}` changed"
    return f"{each.kind} `{name}` {each.change.value}"
