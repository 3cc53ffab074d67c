"""The stepwise rehearsal: each revision up, down and up again, in the state that the ones before it lead to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reviewer.recording import Afterwards, Direction, Outcome, Pass, Rehearsal, Revision
from reviewer.rehearsal import rerun
from reviewer.rehearsal.base_state import BaseState
from reviewer.rehearsal.new_code_trial import NewTrial
from reviewer.rehearsal.obstacles import not_run
from reviewer.rehearsal.old_code import affected
from reviewer.rehearsal.old_code_trial import OldTrial
from reviewer.rehearsal.protocol import Step
from reviewer.rehearsal.reader import Run, time_is_over
from reviewer.rehearsal.round_trip import Departure, RoundTrip, changed, made, reached, relabelled, touched
from reviewer.rehearsal.steps import Chain, Lost
from reviewer.rehearsal.workbench import Ended, Workbench
from reviewer.sql.names import Name

if TYPE_CHECKING:
    from reviewer.rehearsal.catalogue_snapshot import Snapshot

_MOST_READ = 100
"""The most tables whose rows are read before one revision. Nothing is claimed about the rows of further tables."""


class Stepwise:
    """Rehearses revisions by themselves and collects what happens. `deployed` are the passes of the deploy, which tell
    what each of them uses.
    """

    def __init__(
        self, bench: Workbench, base: BaseState, deployed: Sequence[Pass], old: OldTrial, new: NewTrial
    ) -> None:
        self._bench = bench
        self._plan = bench.plan
        self._base = base
        self._deployed: dict[str, list[Pass]] = {}
        for each in deployed:
            self._deployed.setdefault(each.revision, []).append(each)
        self._old = old
        self._new = new
        self._state: Snapshot | None = base.snapshot
        """The state before the next revision."""
        self.passes: list[Pass] = []
        self.trials: list[Pass] = []
        self.afterwards: list[Afterwards] = []
        self.repeatable: list[str] = []
        """Revisions whose upgrade runs again on what it has left behind."""

    def run(self, revisions: Sequence[Revision], chain: Chain, keep: Iterable[str]) -> None:
        """Rehearse `revisions`, one after the other, from the state in `chain`. The databases in `keep` are kept."""
        left, needed = list(revisions), frozenset(keep)
        try:
            while left and self._one_step(left, chain):
                left.pop(0)
                self._bench.drop_all_but(needed | chain.databases | self._old.databases)
        except Lost as lost:
            for revision in left:
                self._skip_the_rest(revision, self._stepwise_of(revision.id), str(lost))

    def run_alone(self, deployed: Ended, before: str, well: bool) -> None:
        """Rehearse the way back of the only revision, whose upgrade was the deploy, from the state in the database
        `before`.
        """
        (revision,) = self._plan.revisions
        if not well:
            both = (Direction.DOWNGRADE, Direction.UPGRADE_AGAIN)
            self._skip(revision, both, self._bench.unless_late(deployed.run, "its upgrade failed"))
            return
        try:
            departure = self._departure(revision, before)
            chain = self.chain(before, deployed.database, revision.id, rows=before == self._base.database)
            self._there_and_back(revision, chain, departure)
        except Lost as lost:
            self._skip_the_rest(revision, self._passes_of(revision.id), str(lost))

    def chain(self, checkpoint: str, database: str, *done: str, rows: bool = True) -> Chain:
        """Return a chain that continues in `database`, to which the revisions `done` lead from `checkpoint`."""
        return Chain(self._bench, checkpoint, database, [*done], self.trials, rows)

    def _skip_the_rest(self, revision: Revision, known: Iterable[Pass], reason: str) -> None:
        ran = {each.direction for each in known}
        self._skip(revision, [way for way in Direction if way not in ran], reason)

    def _one_step(self, left: Sequence[Revision], chain: Chain) -> bool:
        """Rehearse the first revision in `left`. Returns whether the next one can follow."""
        revision, *later = left
        if self._bench.is_late():
            self._skip(revision, tuple(Direction), time_is_over(self._plan))
            return True
        self._bench.progress(f"revision {revision.id}: up, down, up")
        departure = self._departure(revision, chain.database, chain.replayable)
        run = chain.step(revision, Direction.UPGRADE)
        self._keep(run, chain.rows)
        if not run.ok and chain.rows and self._base.rows_matter(run):
            chain.start_over(self._base.empty(self._bench))
            departure = self._departure(revision, chain.database, chain.replayable)
            run = chain.step(revision, Direction.UPGRADE)
            self._keep(run, chain.rows)
        # otherwise it may run in one upgrade with the revisions before it, and fail only when it runs by itself
        if not run.ok and (run.out_of_time or not (self._deployed_well(revision) and chain.jump(revision))):
            both = (Direction.DOWNGRADE, Direction.UPGRADE_AGAIN)
            self._skip(revision, both, self._bench.unless_late(run, "its upgrade failed"))
            blocked = self._bench.unless_late(run, f"the upgrade of {revision.id} before it fails")
            for each in later:
                self._skip(each, (Direction.UPGRADE, *both), blocked)
            return False
        self._try_old_code(revision, chain)
        self._try_new_code(revision, chain)
        self._there_and_back(revision, chain, departure)
        if later and not chain.rows:
            # a failure in this revision does not have to keep the others from meeting rows
            with self._bench.looking(f"rows after revision {revision.id}"):
                chain.refill(partial(self._base.refill, self._bench, after=revision.id))
        return True

    def _there_and_back(self, revision: Revision, chain: Chain, departure: Departure | None) -> None:
        rows = chain.rows
        self._try_again(revision, chain.database)
        departure = self._concerning(revision, departure) if departure else None
        trip = self._trip(revision, departure) if departure else None
        doubt = None
        if trip is not None:
            seen, doubt = self._written_between(revision, chain, trip, rows)
            trip = trip if seen else None
        upgraded = chain.database
        down = chain.step(revision, Direction.DOWNGRADE)
        if down.ok and doubt:
            self._bench.skip(
                f"downgrade of revision {revision.id} with what only the upgraded schema allows", doubt
            )
        # after a failure, the downgrade ran in another database, without the rows that were written
        self._back(revision, chain, down, trip, rows, written=upgraded)
        if down.guarded and rows and self._base.filled:
            self._past_the_guard(revision, chain.done, departure)

    def _back(
        self, revision: Revision, chain: Chain, down: Run, trip: RoundTrip | None, rows: bool, written: str = ""
    ) -> None:
        """Record what the downgrade left behind, and run the second upgrade.

        `written` is the database that holds rows written after the first upgrade.
        """
        if down.ok and trip is not None and down.passes:
            with self._bench.looking(f"comparison of revision {revision.id}"):
                there = chain.database == written
                down.passes[-1] = trip.went_down(chain.database, down.passes[-1], written=there)
        self._keep(down, rows)
        if not down.ok:
            self._skip(revision, (Direction.UPGRADE_AGAIN,), self._bench.unless_late(down, "its downgrade failed"))
            if trip is not None and trip.upgraded is not None:
                self._state = trip.upgraded
            return
        again = chain.step(revision, Direction.UPGRADE_AGAIN)
        if again.ok and trip is not None and again.passes:
            with self._bench.looking(f"comparison of revision {revision.id}"):
                again.passes[-1], self._state = trip.went_up_again(chain.database, again.passes[-1])
        elif trip is not None and trip.upgraded is not None:
            self._state = trip.upgraded
        self._keep(again, rows)

    def _past_the_guard(self, revision: Revision, done: Sequence[str], departure: Departure | None) -> None:
        """Try a downgrade that refuses under a condition on a state without rows: the condition may be about
        generated rows.
        """
        empty = self._base.empty(self._bench)
        earlier = [each for each in done if each != revision.id]
        chain = self.chain(empty, empty, *earlier, rows=False)
        what = f"downgrade of revision {revision.id} without rows"
        if not chain.jump(revision):
            self._bench.skip(what, "its upgrade fails without rows")
            return
        trip = self._trip(revision, replace(departure, rows=(), tables=(), replayable=False)) if departure else None
        if trip is not None:
            with self._bench.looking(f"comparison of revision {revision.id}"):
                trip.went_up(revision.id, chain.database, write=False)
            trip = trip if trip.upgraded is not None else None
        down = chain.step(revision, Direction.DOWNGRADE)
        if down.ok:
            self._back(revision, chain, down, trip, rows=False)

    def _written_between(
        self, revision: Revision, chain: Chain, trip: RoundTrip, rows: bool
    ) -> tuple[bool, str | None]:
        """Write rows as an application would after the upgrade.

        If the downgrade fails on values that only the new schema allows, the failure is recorded, and the downgrade
        is rehearsed without those rows. Returns whether the states could be read, and why nothing is known about
        such values, if so.
        """
        seen, doubt = False, None
        with self._bench.looking(f"comparison of revision {revision.id}"):
            wrote = trip.went_up(revision.id, chain.database, write=rows and self._plan.has_rows)
            seen = True
            if trip.afterwards is not None:
                self.afterwards.append(trip.afterwards)
            if trip.doubt is not None:
                self._bench.skip(f"ordinary statements after revision {revision.id}", trip.doubt)
            if trip.stretches and rows:
                doubt = self._on_stretched(revision, chain.database, trip)
            if wrote:
                chain.wrote()
        return seen, doubt

    def _on_stretched(self, revision: Revision, upgraded: str, trip: RoundTrip) -> str | None:
        """Try the downgrade on values that only the upgraded schema allows. Returns why there is no result; None if
        there is one.
        """
        first = self._bench.database(upgraded)
        held = trip.stretch(first)
        if not held:
            return None
        ready = [first]

        def start() -> str:
            if ready:
                return ready.pop()
            database = self._bench.database(upgraded)
            trip.stretch(database)
            return database

        command = Step(revision=revision.id, direction="downgrade")
        ended = self._bench.believed(command, start, observe=False, first=True)
        run = ended.run
        if run.ok:
            trip.stretched_went_down(ended.database)
        elif (run.about_values or run.guarded) and run.passes:
            self.trials.append(replace(run.passes[-1], written=held))
        elif run.failure is not None and not run.failure.deliberate:
            self._bench.restart()
            return self._bench.unless_late(run, run.failure.message.rstrip("."))
        return None

    def _departure(self, revision: Revision, database: str, replayable: bool = True) -> Departure | None:
        """Read the state that `revision` starts from; None if it cannot be read.

        The tables that it uses are not known yet: if it shares a transaction with the revisions before it, the
        locks that it needs may already be held. So the rows of all tables that the deploy has used so far are read.
        """
        from reviewer.rehearsal import catalogue, row_comparison, trials

        assert self._state is not None
        ids = [each.id for each in self._plan.revisions]
        earlier = ids[: ids.index(revision.id)]
        found: list[Departure] = []
        with self._bench.looking(f"comparison of revision {revision.id}"):
            known = self._base.catalogue
            read: tuple[row_comparison.Rows, ...] = ()
            worked: trials.Before | None = None
            with self._bench.server.look(database) as connection:
                known = catalogue.read(connection) if earlier else self._base.catalogue
                with self._bench.looking(f"ordinary statements before revision {revision.id}"):
                    seen = [p for each in (revision.id, *earlier) for p in self._deployed_of(each)]
                    schema = None if earlier else self._base.schema
                    worked = trials.before(connection, known, trials.concerned(seen, known), schema)
                if self._plan.has_rows:
                    since = [each.name for each in known.tables if self._base.catalogue.table(each.name) is None]
                    names = [
                        name
                        for each in (revision.id, *reversed(earlier))
                        for name in (
                            *reached(self._deployed_of(each)),
                            *relabelled(self._deployed_of(each), known),
                        )
                    ]
                    wanted = tuple(dict.fromkeys((*names, *since)))[:_MOST_READ]
                    read = row_comparison.read(connection, known, wanted)
            found.append(Departure(known, self._state, read, database, replayable, worked=worked))
        return found[0] if found else None

    def _concerning(self, revision: Revision, departure: Departure) -> Departure:
        """Return `departure` with the tables that the upgrade of `revision` was observed to use."""
        ups = [each for each in self._passes_of(revision.id) if each.direction is Direction.UPGRADE]
        # no application uses a table yet that the same deploy creates
        new = made(run for each in self._plan.revisions for run in self._deployed_of(each.id))
        own = {name for name in new if self._base.catalogue.table(name) is None}
        used = tuple(dict.fromkeys((*touched(ups), *relabelled(ups, departure.catalogue))))
        tables = tuple(name for name in used if name not in own) if self._plan.has_rows else ()
        return replace(
            departure,
            tables=tables,
            touched=tuple(dict.fromkeys((*reached(ups), *used))),
            changed=tuple(changed(ups)),
        )

    def _try_again(self, revision: Revision, upgraded: str) -> None:
        """Run its upgrade on what it has left behind, where it may have been written for that."""
        if rerun.may_differ(self._plan.root, revision, self._deployed_of(revision.id)):
            with self._bench.looking(f"another upgrade of revision {revision.id}"):
                if rerun.runs_again(self._bench, revision, upgraded):
                    self.repeatable.append(revision.id)

    def _try_old_code(self, revision: Revision, chain: Chain) -> None:
        """Let the old code try the state after the upgrade of `revision`."""
        ups = [each for each in self._stepwise_of(revision.id) if each.direction is Direction.UPGRADE]
        well = [each for each in ups if each.outcome is Outcome.OK]
        self._old.stepped(revision.id, chain.start, chain.database, well, self._base.catalogue)

    def _try_new_code(self, revision: Revision, chain: Chain) -> None:
        """Let the new code try the state after the upgrade of `revision`."""
        self._new.look(revision.id, chain.database, self._touched_alone(revision))

    def _touched_alone(self, revision: Revision) -> frozenset[Name] | None:
        """What `revision` has touched when it ran by itself; None if that is not known. In the deploy it may have
        found the locks that it needs taken.
        """
        ups = [each for each in self._stepwise_of(revision.id) if each.direction is Direction.UPGRADE]
        # what is renamed is seen under its new name, and missed under the old one
        renames = any("rename" in each.sql.lower() for run in ups for each in run.statements)
        return None if renames or not any(run.outcome is Outcome.OK for run in ups) else affected(ups, new=True)

    def _trip(self, revision: Revision, departure: Departure) -> RoundTrip:
        position = self._plan.revisions.index(revision)
        return RoundTrip(self._bench.server, departure, self._bench.version_table, position, self._base.marked)

    def _deployed_of(self, revision: str) -> Sequence[Pass]:
        return self._deployed.get(revision, ())

    def _stepwise_of(self, revision: str) -> list[Pass]:
        return [each for each in self.passes if each.revision == revision]

    def _passes_of(self, revision: str) -> list[Pass]:
        return [*self._deployed_of(revision), *self._stepwise_of(revision)]

    def _deployed_well(self, revision: Revision) -> bool:
        return any(each.outcome is Outcome.OK for each in self._deployed_of(revision.id))

    def _keep(self, run: Run, rows: bool) -> None:
        self.passes += [replace(each, rows=rows) for each in run.passes]

    def _skip(self, revision: Revision, directions: Iterable[Direction], reason: str) -> None:
        for direction in directions:
            self.passes.append(not_run(revision, direction, Rehearsal.STEPWISE, reason))
