"""The deploy as it ran: transactions, the locks that they take, and how long each is held."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import Direction, Origin, Outcome, Pass, Recording, Relation, Statement, furthest
from reviewer.release.model import Band, Duration, Estimate, Hold, Step, Timeline
from reviewer.replay.effects import on_tables
from reviewer.replay.effects import work as work_of
from reviewer.replay.stream import Story, Understood, understand
from reviewer.review import failures, sizes
from reviewer.review.context import Context
from reviewer.review.durations import Duration as Measured
from reviewer.review.durations import Durations
from reviewer.review.finding import Growth
from reviewer.review.fit import Kind, Range
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name, listed
from reviewer.stats.sizes import Production

NOT_MEASURED = Durations()
_NAMED = 5


class _Sent(Struct, frozen=True):
    """One statement as it was sent, with the commands that it holds."""

    revision: str
    statement: Statement
    key: Hashable
    """Of its transaction; None outside of any."""
    commands: tuple[Understood, ...]
    growth: tuple[Growth, ...]
    with_rows: bool
    """Whether the tables had rows when it ran."""


def timeline(recording: Recording, production: Production | None, durations: Durations = NOT_MEASURED) -> Timeline:
    """The upgrades that were judged, in their order, each statement with what `durations` say of it."""
    stories = understand(recording)
    sent = [each for story in stories for each in _sent(story, recording, stories, production)]
    rows = {each.name: each.rows for each in recording.base.tables}
    steps: list[tuple[_Sent, Step]] = []
    blocks: set[Measured] = set()
    start = 0.0
    for number, each in enumerate(sent, 1):
        known = durations.of_statement(
            each.revision, Direction.UPGRADE, each.statement.location, each.statement.sql
        )
        step = _step(each, number, start, rows, durations, known, told=known in blocks)
        if known is not None and (known.block or known.count > 1):
            blocks.add(known)
        steps.append((each, step))
        start += each.statement.seconds
    bands: list[Band] = []
    # what is outside of a transaction commits by itself: each such statement is a band of its own
    for _, group in groupby(steps, key=lambda pair: pair[0].key if pair[0].key is not None else pair[1].number):
        bands.append(_band(len(bands) + 1, list(group)))
    for story in stories:
        failed = story.failed(Direction.UPGRADE)
        if failed is not None:
            return Timeline(tuple(bands), story.revision.id, doubtful=not failures.certain(story, failed))
    return Timeline(tuple(bands))


def judged(recording: Recording, revision: str) -> Pass | None:
    """The upgrade of a reported revision."""
    return furthest(recording.passes_of(revision), Direction.UPGRADE)


def _sent(
    story: Story, recording: Recording, stories: tuple[Story, ...], production: Production | None
) -> Iterator[_Sent]:
    run = judged(recording, story.revision.id)
    if run is None or run.outcome is Outcome.SKIPPED:
        return
    commands: dict[int, list[Understood]] = {}
    for each in story.upgrade:
        if each.place is not None:
            commands.setdefault(each.place.statement, []).append(each)
    begin = Context(recording, story=story, revision=story.revision, stories=stories, before=stories[0].before)
    known: Hashable = None
    for index, statement in enumerate(run.statements):
        found = tuple(commands.get(index, ()))
        seen = statement.observation
        if not statement.in_transaction:
            key: Hashable = None
        elif seen is not None and seen.transaction is not None:
            key = known = (run.rehearsal, seen.transaction)
        else:
            key = known or (run.rehearsal, story.revision.id)
        growth = dict.fromkeys(table for each in found for table in _growth(each, begin))
        yield _Sent(story.revision.id, statement, key, found, sized(growth, production), run.rows)


def _growth(each: Understood, begin: Context) -> tuple[Growth, ...]:
    if each.statement.error is not None:
        return ()
    return sizes.growth(each, replace(begin, understood=each, now=each.schemas[0]))


def sized(found: Iterable[Growth], production: Production | None) -> tuple[Growth, ...]:
    """The tables with their sizes, each once, the largest first."""
    known: dict[tuple[str, str], Growth] = {}
    for each in found:
        size = production.size(each.before) if production is not None else None
        grown = replace(each, rows=size.rows, bytes=size.bytes) if size is not None else each
        known.setdefault((each.before.schema or "public", each.before.name), grown)
    return tuple(sorted(known.values(), key=lambda each: -(each.bytes or 0)))


def _step(
    each: _Sent,
    number: int,
    start: float,
    rows: Mapping[Name, int],
    durations: Durations,
    known: Measured | None,
    told: bool,
) -> Step:
    """`told`: whether `known` is of several statements, of which an earlier one has the time of all already."""
    statement = each.statement
    seen = tuple(dict.fromkeys(work.phrase for work in work_of(statement.observation)))
    measured = known is not None and known.fit.kind in {Kind.LINEAR, Kind.WORSE}
    per_million = known.fit.per_million.high if known is not None and measured else 0.0
    found = _grown(known, durations)
    if told:
        nothing = Estimate(0.0, 0.0, found[0].basis) if found[0] is not None else None
        found, per_million = (nothing, "counted with the first statement of that line"), 0.0
    there = _rows(each.growth, rows) if each.with_rows else 0
    unknown = not told and known is not None and known.fit.kind is not Kind.FLAT and not known.fit.bounded
    duration = Duration(statement.seconds, each.growth, there, *found, per_million, unknown)
    documented = statement.observation is None or statement.observation.transaction is None
    return Step(number, each.revision, statement, start, duration, seen, documented and bool(each.commands))


def _grown(known: Measured | None, durations: Durations) -> tuple[Estimate | None, str]:
    if known is None:
        return None, ""
    if known.fit.kind is Kind.FLAT:
        # it was seen to work through a table: how few rows that is said of belongs to it
        return estimate(
            known.production, durations
        ), f"not seen to take longer up to {known.fit.largest.rows:,} rows"
    if not known.fit.bounded:
        return None, f"by how much was not measured: {known.fit.reason}"
    return estimate(known.production, durations), known.phrase


def estimate(there: Range | None, durations: Durations) -> Estimate | None:
    """The estimate that `durations` give for production; None if they give none."""
    return Estimate(there.low, there.high, durations.made_of) if there is not None else None


def _rows(growth: Iterable[Growth], rows: Mapping[Name, int]) -> int:
    return max((count for each in growth for name, count in rows.items() if each.before.matches(name)), default=0)


def _band(number: int, steps: Sequence[tuple[_Sent, Step]]) -> Band:
    only = tuple(step for _, step in steps)
    taken: dict[Relation, LockMode] = {}
    holds = []
    for position, (each, step) in enumerate(steps):
        for relation, mode in _locks(each).items():
            before = _matching(taken, relation)
            if before is not None and taken[before] >= mode:
                continue
            taken[before or relation] = mode
            if not relation.hindered_by(mode):
                continue
            seen = each.statement.observation
            bounded = seen is not None and bool(seen.lock_timeout)
            under = only[position:]
            holds.append(Hold(relation, mode, step.number, only[-1].number, step.start, together(under), bounded))
    return Band(number, steps[0][0].key is not None, only, tuple(holds))


def _matching(taken: dict[Relation, LockMode], relation: Relation) -> Relation | None:
    return next((each for each in taken if each.as_name.matches(relation.as_name)), None)


def _locks(each: _Sent) -> dict[Relation, LockMode]:
    """The strongest lock on each existing table, observed or as documented."""
    if each.statement.error is not None and each.statement.origin is not Origin.REVISION:
        return {}
    return on_tables(lock for command in each.commands for lock in command.locks)


def together(steps: Sequence[Step]) -> Duration:
    """How long `steps` take one after another."""
    growth = sized((each for step in steps for each in step.duration.grows_with), None)
    rows = max((step.duration.rows for step in steps), default=0)
    return Duration(
        sum(step.duration.measured for step in steps),
        growth,
        rows,
        _sum(step.duration for step in steps),
        _growing(steps),
        sum(step.duration.per_million for step in steps),
    )


def _growing(steps: Sequence[Step]) -> str:
    """How it grows under a lock: that of the statement that grows most, and what was not measured; of what one line
    sends, how that line grows.
    """
    growing = [step for step in steps if step.duration.grows_with]
    if len({(step.revision, step.location) for step in growing}) == 1:
        return growing[0].duration.growth
    longest = max(steps, key=lambda step: step.duration.per_million)
    unknown = list(dict.fromkeys(step.revision for step in growing if step.duration.unknown))
    missing = f"by how much it grows in {listed([f'`{each}`' for each in unknown], _NAMED)} was not measured"
    if not longest.duration.per_million:
        return missing if unknown else ""
    most = f"revision `{longest.revision}` grows most: {longest.duration.growth}"
    return f"{most}; {missing}" if unknown else most


def _sum(durations: Iterable[Duration]) -> Estimate | None:
    """The estimate of all together; None if one of those that grow has none."""
    least = most = 0.0
    basis = ""
    for each in durations:
        if each.estimate is not None:
            least, most, basis = least + each.estimate.least, most + each.estimate.most, each.estimate.basis
        elif each.grows_with:
            return None
        else:
            least, most = least + each.measured, most + each.measured
    return Estimate(least, most, basis) if basis else None
