"""Growth: the new revisions, up and down, at three sizes of the tables that they work on.

Each run starts from a clone of one database whose tables are filled further and further. Every size runs twice, which
tells how much two runs of the same differ. First runs at few rows tell what a row costs, and so which sizes the budget
allows.

Where a revision fails on the rows, it and those after it run without them, and those before it with them: a stage each.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import ServerError
from reviewer.recording import (
    Direction,
    Failure,
    FailureKind,
    Location,
    Origin,
    Outcome,
    Pass,
    Recording,
    Scale,
    ScaledRun,
    Sized,
    Skipped,
    Statement,
    Taken,
)
from reviewer.rehearsal.base_state import BaseState
from reviewer.rehearsal.fewer_rows import Without, in_the_way
from reviewer.rehearsal.plan import ScalePlan
from reviewer.rehearsal.protocol import Step, Upgrade
from reviewer.rehearsal.round_trip import touched
from reviewer.rehearsal.workbench import Workbench
from reviewer.replay.effects import work
from reviewer.replay.stream import operations
from reviewer.rows.bulk import Bulk
from reviewer.sql.names import Name
from reviewer.sql.operations import CreateIndex, Delete, Insert, Merge, RefreshMaterializedView, Select, Update

if TYPE_CHECKING:
    import psycopg

_FACTORS = (1, 3, 9)
"""The sizes, as multiples of the smallest."""
_PILOT = 3_000
"""Rows of the first runs at most, which tell what a row costs."""
_LEAST = 1.6
"""The least that the largest size may be of the smallest, where the time does not suffice for more."""
_TIMES, _MOST_TIMES, _MOST_BEFORE = 2, 6, 3
"""How often each size runs, until the quickest two agree: the largest, of which most is concluded, and those before it."""
_AGREE, _TOO_SHORT = 0.08, 0.01
"""By which part they may differ, or by so many seconds."""
_SLOWER = 1.4
"""By how much a row may cost more in a large table than in the first run."""
_SPARE = 1.1
"""By how much a run may take longer than the one before says."""
_RESERVE = 0.08
"""The part of the budget that is left for cleaning up."""


def measure(bench: Workbench, base: BaseState, passes: Sequence[Pass]) -> Scale | None:
    """Run the new revisions at several sizes of the tables that `passes` were seen to work on; None if the plan does
    not ask for it. Whatever goes wrong is in the result: nothing of it is the project's fault.
    """
    plan = bench.plan.scale
    if plan is None:
        return None
    clock = _Clock(min(plan.seconds, bench.seconds_left), time.monotonic())
    if not any(each.outcome is Outcome.OK and each.direction is Direction.UPGRADE for each in passes):
        return Scale(plan.seconds, 0.0, reason="no upgrade went well")
    bench.progress("running the revisions at several sizes of their tables")
    import psycopg

    try:
        found = _Measuring(bench, base, passes, plan, clock).run()
    except (psycopg.Error, ServerError) as error:
        found = Scale(plan.seconds, 0.0, reason=str(error).strip().split("\n")[0].rstrip("."))
    return replace(found, seconds=clock.passed)


class _Clock(Struct, frozen=True):
    budget: float
    began: float
    kept: float = _RESERVE
    """The part of the budget that is not for running."""

    @property
    def passed(self) -> float:
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        return self.budget * (1 - self.kept) - self.passed

    def share(self, parts: int) -> _Clock:
        """The clock of the next of so many stages that share the time that is left."""
        return _Clock(max(self.left, 0.0) / parts, time.monotonic(), 0.0)


class _Stage(Struct, frozen=True):
    """New revisions that run on the same rows."""

    revisions: tuple[str, ...]
    without: tuple[Without, ...] = ()


class _Pilot(Struct, frozen=True):
    """A run at few rows, which tells what a row costs."""

    rows: int
    filling: float
    """Seconds to fill the tables up to there."""
    running: float
    """Seconds to clone them, and to run the revisions."""
    run: ScaledRun

    @property
    def works(self) -> float:
        """Seconds that the revisions took."""
        return sum(each.passed for each in self.run.taken)


def _per_row(first: _Pilot, second: _Pilot) -> float:
    """Seconds that a row costs when the revisions run: at least a tenth of the whole, as the difference may be noise."""
    return max(second.works - first.works, second.works / 10, 0.0) / (second.rows - first.rows)


class _Measuring:
    def __init__(
        self, bench: Workbench, base: BaseState, passes: Sequence[Pass], plan: ScalePlan, clock: _Clock
    ) -> None:
        self._bench = bench
        self._base = base
        self._plan = plan
        self._clock = clock
        self._seen = _Seen(passes)
        self._passes = passes
        self._go_down = {
            run.revision for run in passes if run.direction is Direction.DOWNGRADE and run.outcome is Outcome.OK
        }
        self._done: list[ScaledRun] = []
        """The runs of the stages before this one."""
        self._stage = _Stage(tuple(each.id for each in bench.plan.revisions))
        self._runs: list[ScaledRun] = []
        self._reason = ""
        self._failed: tuple[str, Failure] | None = None
        """The revision whose upgrade failed in the last run, if rows may be why."""
        self._without: list[Without] = []
        self._tried: set[Without] = set()
        self._why: dict[Without, str] = {}
        self._failing: dict[Without, str] = {}
        """The revision that fails on what is done without."""

    def run(self) -> Scale:
        bench = self._bench
        before = set(bench.databases)
        bench.restart()
        try:
            self._measure()
        finally:
            bench.drop_all_but(before)
        return Scale(self._plan.seconds, 0.0, (*self._done, *self._runs), self._filling, self._reason)

    _filling = 0.0
    """Rows per second."""
    _worked: frozenset[Name] = frozenset()
    """The tables that the revisions work on."""
    _took = 0.0
    """Seconds of the last run, with the clone."""

    def _measure(self) -> None:
        bench = self._bench
        tables = self._tables()
        if not tables:
            self._reason = "the revisions work on no table that was there before"
            return
        self._worked = frozenset(tables)
        state, bulk, first, stages = self._first_runs(tables)
        for each in self._without:
            bench.skip(f"{each.phrase} at scale", self._why[each])
        whole, last = self._clock, self._stage
        for left, stage in zip(range(len(stages), 0, -1), stages, strict=True):
            self._stage, self._without, self._clock = stage, list(stage.without), whole.share(left + 1)
            self._one_stage(tables, *self._begun(tables))
            self._done, self._runs = [*self._done, *self._runs], []
        self._stage, self._without, self._clock = last, list(last.without), whole
        self._one_stage(tables, state, bulk, first)

    def _first_runs(self, tables: Sequence[Name]) -> tuple[str, Bulk, _Pilot, list[_Stage]]:
        """The first run of the last stage, with the database that it starts from, and the stages before it."""
        bench, stages = self._bench, list[_Stage]()
        state, bulk, first = self._begun(tables)
        # what fails on rows ends the run there, and what comes after it would not be measured
        while self._failed is not None and self._clock.left > 0 and self._do_without(*self._failed):
            before = self._before(self._failed[0])
            if before.revisions:
                stages.append(before)
            rest = tuple(each for each in self._stage.revisions if each not in before.revisions)
            self._stage = replace(self._stage, revisions=rest)
            bench.drop_all_but({*bench.databases} - {state})
            state, bulk, first = self._begun(tables)
            self._stage = replace(self._stage, without=tuple(self._without))
        return state, bulk, first, stages

    def _begun(self, tables: Sequence[Name]) -> tuple[str, Bulk, _Pilot]:
        state, bulk = self._started(tables)
        return state, bulk, self._pilot(state, tables, bulk, self._pilots[0])

    def _before(self, revision: str) -> _Stage:
        """Those of this stage before `revision`, if one of them works on what cannot stay for it; empty if none does."""
        ids = self._stage.revisions
        earlier = ids[: ids.index(revision)] if revision in ids else ()
        gone = {table for each in self._without if each not in self._stage.without for table in each.tables}
        worked = [name for each in earlier for name in self._seen.of(each)]
        if not any(table.matches(name) for table in gone for name in worked):
            earlier = ()
        return _Stage(earlier, self._stage.without)

    def _one_stage(self, tables: Sequence[Name], state: str, bulk: Bulk, first: _Pilot) -> None:
        bench, clock = self._bench, self._clock
        few, more = self._pilots
        pilots = [first]
        if self._costs(first.works / few) * more > clock.left:
            # its rows cost much, or the statements that have nothing to do with rows do: a little more of them tells
            pilots.append(self._pilot(state, tables, bulk, 2 * few))
        if len(pilots) == 1 or self._costs(_per_row(*pilots)) * more <= clock.left:
            pilots.append(self._pilot(state, tables, bulk, more))
        smallest = self._smallest(pilots[-2], pilots[-1])
        if smallest <= pilots[-1].rows:
            self._runs.append(pilots[-1].run)
        if not pilots[-1].run.failed_upgrade:
            self._grow(state, tables, bulk, [smallest * factor for factor in _FACTORS])
        elif not self._reason:
            self._reason = f"at {pilots[-1].rows:,} rows {pilots[-1].run.failure}"
        self._runs = [*self._small_runs(pilots), *self._runs]
        for name, why in bulk.refused.items():
            had = bulk.rows_of(name)
            bench.skip(f"a size of table {name} beyond {had:,} rows", why)
        bench.drop_all_but({*bench.databases} - {state})

    def _small_runs(self, pilots: Iterable[_Pilot]) -> Iterable[ScaledRun]:
        """The first runs, where too few sizes came after them."""
        sizes = {each.rows for each in self._runs}
        if len(sizes) >= len(_FACTORS):
            return []
        return [each.run for each in pilots if each.rows not in sizes and not each.run.failed_upgrade]

    def _grow(self, state: str, tables: Sequence[Name], bulk: Bulk, sizes: Sequence[int]) -> None:
        """Run at each of `sizes`, and again where the time allows it: how much two runs of one size differ is how much is
        known, and three sizes tell more than two that ran twice.
        """
        bench = self._bench
        spent_rows, spent = 0, 0.0
        for position, planned in enumerate(sizes):
            rows = self._affordable(planned, bulk)
            if rows is None:
                return
            if not self._runs or rows > self._runs[-1].rows:
                with bench.server.connect(state) as connection:
                    began = time.monotonic()
                    spent_rows += self._fill(bulk.on(connection), rows)
                    self._told_views(connection)
                    spent += time.monotonic() - began
                self._filling = spent_rows / spent if spent else 0.0
            while self._is_worth_a_run(rows, sizes[position + 1 :], bulk):
                began = time.monotonic()
                run = self._once(state, tables, bulk, rows)
                self._took = time.monotonic() - began
                self._runs.append(run)
                if run.failure:
                    self._reason = f"at {rows:,} rows {run.failure}"
                    if run.failed_upgrade:
                        return

    def _is_worth_a_run(self, rows: int, following: Sequence[int], bulk: Bulk) -> bool:
        """Whether to run at this size once more, and have time for the sizes after it."""
        times = sorted(sum(taken.whole for taken in each.taken) for each in self._runs if each.rows == rows)
        if not times:
            return True
        agree = len(times) >= _TIMES and times[1] - times[0] <= max(times[0] * _AGREE, _TOO_SHORT)
        if agree or len(times) >= (_MOST_BEFORE if following else _MOST_TIMES):
            return False
        # to run a second time comes after running at all sizes, a third time after all have run twice
        more = sum(self._expected(each, bulk) for each in following) * min(len(times), _TIMES) * _SLOWER
        return self._clock.left >= self._took + more

    # -- which tables, and how large --------------------------------------------------------------

    def _tables(self) -> list[Name]:
        """The tables of the base state that the revisions were seen to work on."""
        worked = [name for taken in self._seen.tables.values() for name in taken]
        names = (*worked, *touched(self._passes))
        known = [each.name for each in self._base.catalogue.tables if each.kind in {"table", "partitioned table"}]
        return list(dict.fromkeys(there for each in names for there in known if there.matches(each)))

    def _started(self, tables: Sequence[Name]) -> tuple[str, Bulk]:
        """A database to fill, without what is in the way."""
        state = self._bench.database(self._base.database)
        with self._bench.server.connect(state) as connection:
            self._without = [each for each in self._without if each.apply(connection)]
            self._like_a_large_one(connection)
            filled = [each for each in tables if each not in self._cleared]
            return state, Bulk(connection, filled, parents=True)

    @property
    def _cleared(self) -> set[Name]:
        return {table for each in self._without if not each.types for table in each.tables}

    def _why_not_more(self, name: Name, rows: int, bulk: Bulk) -> str:
        """Why `name` has no more than so many rows, as a clause; empty where nothing keeps it from having more."""
        emptied = [each for each in self._without if not each.types]
        if not rows and emptied:  # what refers to a table without rows has none either
            return f"revision {self._failing[emptied[0]]} fails on {emptied[0].phrase}"
        return bulk.refused.get(name, "")

    def _do_without(self, revision: str, failure: Failure) -> bool:
        """Do without what `revision` fails on; False if there is nothing left to try."""
        for each in in_the_way(revision, failure, self._passes, self._base.catalogue):
            if each in self._tried:
                continue
            self._tried.add(each)
            self._without.append(each)
            self._failing[each] = revision
            message = failure.message.strip().split("\n")[0].rstrip(".")
            self._why[each] = (
                f"revision {revision} fails on them, and runs without, as do those after it: {message}"
            )
            return True
        return False

    def _pilot(self, state: str, tables: Sequence[Name], bulk: Bulk, rows: int) -> _Pilot:
        began = time.monotonic()
        with self._bench.server.connect(state) as connection:
            self._fill(bulk.on(connection), rows)
            self._told_views(connection)
        filled = time.monotonic()
        run = self._once(state, tables, bulk, rows)
        self._took = time.monotonic() - filled
        return _Pilot(rows, filled - began, self._took, run)

    @property
    def _pilots(self) -> tuple[int, int]:
        second = min(_PILOT, self._plan.rows // _FACTORS[-1])
        return max(second // 6, 1), max(second, 2)

    def _smallest(self, first: _Pilot, second: _Pilot) -> int:
        """How many rows the budget allows for the smallest size."""
        largest, apart = _FACTORS[-1], second.rows - first.rows
        filling = max(second.filling - first.filling, second.filling / 10, 0.0) / apart * _SLOWER
        running = _per_row(first, second) * _SLOWER
        fixed = max(second.running - second.works, 0.0)
        # what is filled is filled once, what is run is run at every size, and as often as each is repeated
        cost = filling * largest + self._costs(running)
        left = self._clock.left - fixed * len(_FACTORS) * _TIMES - first.filling * len(_FACTORS)
        affordable = int(left / cost) if cost > 0 else self._plan.rows
        wanted = self._plan.rows // largest
        there = self._most_in_production([each.table for each in first.run.tables])
        if there:
            wanted = min(wanted, there // largest)
        return max(min(affordable, wanted), second.rows)

    @staticmethod
    def _costs(per_row: float) -> float:
        """Seconds that all runs take for each row of the smallest size."""
        return per_row * sum(_FACTORS) * _TIMES

    def _most_in_production(self, tables: Iterable[Name]) -> int:
        found = [self._plan.sizes.get((each.schema or "public", each.name), 0) for each in tables]
        return max(found, default=0)

    def _affordable(self, rows: int, bulk: Bulk) -> int | None:
        """As many rows as the time that is left allows: fewer where the sizes before took longer than was expected."""
        if not self._runs:
            return rows
        before = self._runs[-1]
        if rows <= before.rows:
            return rows
        # a run that the time cuts off tells nothing: rather fewer rows than that
        expected = self._expected(rows, bulk) * _SPARE
        if expected <= self._clock.left:
            return rows
        smaller = int(before.rows + (rows - before.rows) * max(self._clock.left, 0.0) / expected)
        if smaller < before.rows * _LEAST:
            self._reason = (
                f"the time did not suffice for more than {before.rows:,} rows (--scale-seconds gives it more)"
            )
            return None
        return smaller

    def _expected(self, rows: int, bulk: Bulk) -> float:
        """Seconds that a run at so many rows takes, with filling the tables up to there."""
        before = self._runs[-1]
        works = sum(each.passed for each in before.taken)
        missing = sum(
            max(self._share(name, rows) - there, 0) for name, there in bulk.rows.items() if name not in bulk.refused
        )
        more = missing / self._filling if self._filling else 0.0
        return max(self._took - works, 0.0) + works * rows / max(before.rows, 1) + more

    def _fill(self, bulk: Bulk, rows: int) -> int:
        added = bulk.fill({name: self._share(name, rows) for name in bulk.rows}, max(self._clock.left, 1.0))
        bulk.settle()
        return added

    def _share(self, name: Name, rows: int) -> int:
        """How many rows a table gets where those that the revisions work on get `rows`: as many as one of these, and of one
        that they only refer to as small a part as it is in production.
        """
        if name in self._worked:
            return rows
        largest, there = self._most_in_production(self._worked), self._most_in_production([name])
        return max(rows * there // largest, 1) if there and there < largest else rows

    def _told_views(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """Make the materialized views what their tables say."""
        views = [each.name for each in self._base.catalogue.tables if each.kind == "materialized view"]
        for view in views:
            with self._bench.looking(f"the rows of materialized view {view} at scale"):
                connection.execute(f"REFRESH MATERIALIZED VIEW {view.sql}".encode())

    def _like_a_large_one(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """Have the server work in parallel on small tables as it does on large ones, in this database and its clones: else
        a large table would not take what the small ones say.
        """
        with self._bench.looking("parallel work at scale"):
            row = connection.execute("SELECT pg_catalog.quote_ident(pg_catalog.current_database())").fetchone()
            for name in ("min_parallel_table_scan_size", "min_parallel_index_scan_size"):
                connection.execute(f"ALTER DATABASE {row[0] if row else ''} SET {name} = 0".encode())

    # -- one run ----------------------------------------------------------------------------------

    def _commands(self) -> Iterator[Upgrade | Step]:
        """Up to the end of the stage, and down to its beginning."""
        plan, last = self._bench.plan, self._stage.revisions[-1]
        ids = [each.id for each in plan.revisions]
        run = plan.revisions[: ids.index(last) + 1]
        below = {parent for each in run for parent in (*each.down_revisions, *each.depends_on)}
        whole = len(run) == len(ids)
        yield Upgrade(to=tuple(plan.heads) if whole else tuple(each.id for each in run if each.id not in below))
        # one that fails keeps those before it from going down too
        downs = list(takewhile(self._go_down.__contains__, reversed(self._stage.revisions)))
        if downs:
            yield Step(revision=downs[0], direction="downgrade", then=tuple(downs[1:]))

    def _once(self, state: str, tables: Sequence[Name], bulk: Bulk, rows: int) -> ScaledRun:
        """The revisions up and down on the rows of `state`, in a clone of it."""
        bench = self._bench
        database = bench.database(state)
        sized = tuple(
            Sized(name, count, self._why_not_more(name, count, bulk))
            for name in tables
            if (count := bulk.rows_of(name)) is not None
        )
        left_out = [name for name in tables if name in self._cleared and bulk.rows_of(name) is None]
        sized += tuple(Sized(name, 0, self._why_not_more(name, 0, bulk)) for name in left_out)
        taken: list[Taken] = []
        failure, self._failed = "", None
        commands = list(self._commands())
        for command in commands:
            run = bench.time(command, database, max(self._clock.left, 1.0))
            taken += (each for each in run.taken if each.revision in self._stage.revisions)
            if run.failure is not None:
                late = run.failure.kind is FailureKind.TIMEOUT
                what = f"revision {run.failed_revision}" if run.failed_revision else "env.py"
                why = (
                    "the time was up (--scale-seconds gives it more)"
                    if late
                    else f"{what} failed: {run.failure.message.rstrip('.')}"
                )
                failure = why.split("\n")[0]
                if command is commands[0] and run.failed_revision is not None and not late:
                    self._failed = run.failed_revision, run.failure
                bench.restart()
                break
        bench.drop_all_but({*bench.databases} - {database})
        went_up = not failure or command is not commands[0]
        return ScaledRun(rows, sized, tuple(self._seen.told(each) for each in taken), failure, not went_up)


class _Seen:
    """What the rehearsals have seen the lines of the revisions do."""

    def __init__(self, passes: Iterable[Pass]) -> None:
        self.tables: dict[tuple[object, ...], dict[Name, None]] = {}
        self._works: set[tuple[object, ...]] = set()
        self._changed: set[tuple[object, ...]] = set()
        for run in passes:
            way = Direction.DOWNGRADE if run.direction is Direction.DOWNGRADE else Direction.UPGRADE
            for statement in run.statements:
                if statement.origin is Origin.ALEMBIC:
                    continue
                for key in _keys(run.revision, way, statement.location, statement.sql):
                    found = self.tables.setdefault(key, {})
                    # the text of a statement may leave out the schema that the server tells
                    found.update((Name(each.name, each.schema or "public"), None) for each in _worked_on(statement))
                    if _works(statement):
                        self._works.add(key)

    def of(self, revision: str) -> Iterator[Name]:
        """The tables that `revision` works on."""
        for key, names in self.tables.items():
            if key[0] == revision:
                yield from names

    def told(self, taken: Taken) -> Taken:
        """The same with the tables that it works on."""
        if taken.origin is Origin.ALEMBIC:
            return taken
        exact, line = _keys(taken.revision, taken.direction, taken.location, taken.sql)
        key = exact if exact in self.tables and not taken.block else line
        return replace(taken, tables=tuple(self.tables.get(key, ())), works=key in self._works)


def _keys(revision: str, way: Direction, location: Location | None, sql: str) -> tuple[tuple[object, ...], ...]:
    """What a statement is found again by: with its text, and without."""
    return (revision, way, location, " ".join(sql.split())[:1_000]), (revision, way, location)


def _worked_on(statement: Statement) -> Iterable[Name]:
    """The existing tables that it works through, as it was seen to or as its text says: a scan is seen, what an index
    finds is not.
    """
    for each in work(statement.observation):
        yield each.table.as_name
    for operation in operations(statement):
        match operation:
            case Update() | Delete() | Merge():
                yield operation.table
                yield from operation.sources
            case CreateIndex():
                yield operation.table
            case Insert():
                yield from operation.sources
            case Select():
                yield from operation.tables


def _works(statement: Statement) -> bool:
    """Whether it was seen to take time with rows, in tables that the deploy makes too."""
    seen = statement.observation
    if seen is not None and (seen.rewritten or seen.scanned or seen.built):
        return True
    working = (Update, Delete, Merge, CreateIndex, RefreshMaterializedView)
    return any(
        isinstance(each, working) or (isinstance(each, Insert) and each.sources) for each in operations(statement)
    )


def told_in(made: Recording, found: Scale | None) -> Recording:
    """The recording with what was measured, and with what was not as skipped."""
    if found is None:
        return made
    skipped = made.skipped
    if found.reason:
        skipped = (*skipped, Skipped("the rehearsal at scale" if not found.runs else "a larger size", found.reason))
    return replace(made, scale=found, skipped=skipped)
