"""Divides the stepwise rehearsal of many revisions into segments, which run side by side where cores are free.

Every segment but the first starts from the state that one upgrade through all revisions before it leads to. How they are
divided depends on the number of revisions only, so the recording is the same on any number of cores.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import ReviewerError
from reviewer.recording import Pass
from reviewer.rehearsal import base_state
from reviewer.rehearsal.base_state import BaseState
from reviewer.rehearsal.lanes import Lanes, Processes, divided
from reviewer.rehearsal.new_code_trial import NewTrial
from reviewer.rehearsal.obstacles import Stop
from reviewer.rehearsal.old_code import Running, Trial
from reviewer.rehearsal.old_code_trial import OldTrial
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.stepwise import Stepwise
from reviewer.rehearsal.workbench import Workbench

if TYPE_CHECKING:
    from reviewer.rehearsal.catalogue_snapshot import Snapshot

_PARTS = ((80, 4), (20, 2))
"""From how many revisions on there are how many segments: shorter ones are not worth a server of their own, nor the
upgrade to the state that they start from.
"""
_LONGEST_WAIT = 3.0
"""Seconds. If the base state takes longer, it is not made a second time for another lane."""
_NUMBERS = itertools.count(1)


class NotReached(Exception):
    """The state before a segment cannot be reached in one upgrade."""


class _Start(Struct, frozen=True):
    database: str
    state: Snapshot | None


class _Told(Struct, frozen=True):
    """What is known once the deploy has run."""

    deployed: Sequence[Pass]
    old: OldTrial
    new: NewTrial


class _Lane(Struct, frozen=True):
    """Where segments are rehearsed, and those that were."""

    bench: Workbench
    base: BaseState
    old: OldTrial
    new: NewTrial
    done: list[Stepwise] = []


class Segments:
    """The stepwise rehearsal of the revisions of `bench`, in lanes. Within this context, all but the first prepare the
    same base state, each on a server of its own, while the deploy is rehearsed.
    """

    def __init__(self, bench: Workbench, base: BaseState, lanes: Lanes) -> None:
        self._bench, self._base, self._lanes = bench, base, lanes
        number = len(bench.plan.revisions)
        self._spans = divided(number, next((parts for least, parts in _PARTS if number >= least), 1))
        at_once = lanes.of(len(self._spans)) if self._can_be_made_again else 1
        self._first, *self._further = (
            [self._spans[n] for n in group] for group in divided(len(self._spans), at_once)
        )
        self._processes = Processes()
        self._told: Future[_Told] = Future()
        self._pool = ThreadPoolExecutor(at_once)
        self._lanes_beside: list[Future[_Lane | None]] = []

    def __enter__(self) -> Segments:
        plan = self._processes.of(self._bench.plan)
        self._lanes_beside = [self._pool.submit(self._beside, plan, spans) for spans in self._further]
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._told.cancel() or error is not None:
            self._processes.stop()
        self._pool.shutdown(wait=True)

    def run(self, base: BaseState, deployed: Sequence[Pass], old: OldTrial, new: NewTrial) -> list[Stepwise]:
        """Rehearse all segments from `base`. `deployed` are the passes of the deploy, in which all of the revisions ran and
        met rows. Raises `NotReached` if a segment cannot start.
        """
        if len(self._spans) == 1:
            raise NotReached
        here = _Lane(self._bench, base, old, new)
        if base is not self._base:  # nobody else has its rows
            return self._one_after_the_other(here, deployed, self._spans).done
        self._told.set_result(_Told(deployed, old, new))
        try:
            return self._run(here, deployed)
        except BaseException:
            self._processes.stop()
            raise

    def _run(self, here: _Lane, deployed: Sequence[Pass]) -> list[Stepwise]:
        found = self._one_after_the_other(here, deployed, self._first).done
        for spans, beside in zip(self._further, self._lanes_beside, strict=True):
            lane = beside.result()
            if lane is None:
                found += self._one_after_the_other(here, deployed, spans).done
                continue
            found += lane.done
            here.bench.take_in(lane.bench)
            here.old.take_in(lane.old)
            here.new.take_in(lane.new)
        return found

    @property
    def _can_be_made_again(self) -> bool:
        bench = self._bench
        own = bench.plan.seed_command is None and not bench.plan.from_models and self._base.failing is None
        return own and bench.origin.seconds < _LONGEST_WAIT

    def _one_after_the_other(self, lane: _Lane, deployed: Sequence[Pass], spans: Sequence[range]) -> _Lane:
        """Rehearse `spans`. Returns the lane with what came of it."""
        bench, base = lane.bench, lane.base
        revisions = bench.plan.revisions
        starts = self._starts(bench, base, spans)
        kept = frozenset(bench.databases)
        found = []
        for span, start in zip(spans, starts, strict=True):
            work = Stepwise(bench, replace(base, snapshot=start.state), deployed, lane.old, lane.new)
            done = [each.id for each in revisions[: span.start]]
            chain = work.chain(base.database, bench.database(start.database), *done)
            chain.continue_from(start.database)
            work.run(revisions[span.start : span.stop], chain, kept)
            found.append(work)
        return replace(lane, done=found)

    def _starts(self, bench: Workbench, base: BaseState, spans: Sequence[range]) -> list[_Start]:
        """Return the state before each of `spans`."""
        import psycopg

        from reviewer.rehearsal import catalogue_snapshot

        found = [_Start(base.database, base.snapshot)]
        for span in spans:
            if span.start == 0:
                continue
            bench.progress(f"upgrading to the state before revision {bench.plan.revisions[span.start].id}")
            ended = bench.upgraded([each.id for each in bench.plan.revisions[: span.start]], found[-1].database)
            if not ended.run.ok:
                raise NotReached
            try:
                with bench.server.connect(ended.database) as connection:
                    state = catalogue_snapshot.take(
                        connection, bench.version_table, bench.server.roles, base.marked
                    )
            except psycopg.Error as error:
                raise NotReached from error
            found.append(_Start(ended.database, state))
        return found if spans[0].start == 0 else found[1:]

    def _beside(self, plan: Plan, spans: Sequence[range]) -> _Lane | None:
        """Rehearse `spans` on another server. Returns None if the same base state cannot be made there, or if the deploy
        did not run.
        """
        mine = replace(plan.of_another_lane(), end=None)
        place = self._bench.folder / f"segment{next(_NUMBERS)}"
        with (
            suppress(ReviewerError, Stop, CancelledError),
            self._lanes.further(mine.kept, place) as (server, folder),
        ):
            bench = self._bench.twin(mine, server, folder)
            try:
                return self._on(bench, spans)
            finally:
                bench.close()
        return None

    def _on(self, bench: Workbench, spans: Sequence[range]) -> _Lane | None:
        bench.greet()
        base = base_state.prepare(bench, Trial(None, bench.old_process, "", Running()))
        if (base.catalogue, base.filled) != (self._base.catalogue, self._base.filled):
            return None
        if self._bench.can_elevate and not self._bench.as_owner:
            base = base.for_superuser(bench)
        bench.as_owner = self._bench.as_owner
        told = self._told.result()
        old = told.old.twin(bench)
        try:
            new = told.new.twin(bench, base.database, told.deployed)
            lane = self._one_after_the_other(_Lane(bench, base, old, new), told.deployed, spans)
            old.code.finish()
        finally:
            old.close()
        return lane
