"""Divides the stepwise rehearsal of many revisions into segments, which run side by side where cores are free.

Every segment but the first starts from the state that one upgrade through all revisions before it leads to. How they are
divided depends on the number of revisions only, so the recording is the same on any number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import ReviewerError
from reviewer.recording import Pass
from reviewer.rehearsal import base_state
from reviewer.rehearsal.base_state import BaseState
from reviewer.rehearsal.lanes import Lanes, Processes, divided, side_by_side
from reviewer.rehearsal.new_code_trial import NewTrial
from reviewer.rehearsal.obstacles import Stop
from reviewer.rehearsal.old_code_trial import OldTrial
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.stepwise import Stepwise
from reviewer.rehearsal.workbench import Workbench

if TYPE_CHECKING:
    from reviewer.rehearsal.catalogue_snapshot import Snapshot

_SHORTEST = 10
"""Revisions. A shorter segment is not worth a server of its own."""
_MOST = 4
_LONGEST_WAIT = 3.0
"""Seconds. If the base state takes longer, it is not made a second time for another lane."""


class NotReached(Exception):
    """The state before a segment cannot be reached in one upgrade."""


class _Start(Struct, frozen=True):
    database: str
    state: Snapshot | None


class _Lane(Struct, frozen=True):
    """Where segments are rehearsed, and those that were."""

    bench: Workbench
    base: BaseState
    old: OldTrial
    new: NewTrial
    done: list[Stepwise] = []


class Segments:
    """The stepwise rehearsal of the revisions of `bench`, which all ran in a deploy that met rows. `deployed` are its
    passes.
    """

    def __init__(
        self, bench: Workbench, base: BaseState, deployed: Sequence[Pass], old: OldTrial, new: NewTrial
    ) -> None:
        self._bench, self._base, self._deployed, self._old, self._new = bench, base, deployed, old, new
        number = len(bench.plan.revisions)
        self._spans = divided(number, max(1, min(_MOST, number // _SHORTEST)))

    def run(self, lanes: Lanes) -> list[Stepwise]:
        """Rehearse all segments. Raises `NotReached` if one of them cannot start."""
        if len(self._spans) == 1:
            raise NotReached
        number = lanes.of(len(self._spans)) if self._can_be_made_again else 1
        first, *further = ([self._spans[n] for n in group] for group in divided(len(self._spans), number))
        processes = Processes()
        plan = processes.of(self._bench.plan)
        here = _Lane(self._bench, self._base, self._old, self._new)
        tasks: list[Callable[[], _Lane | None]] = [partial(self._one_after_the_other, here, first)]
        tasks += (partial(self._beside, plan, lanes, spans) for spans in further)
        mine, *others = side_by_side(tasks, processes.stop)
        assert mine is not None
        found = mine.done
        for spans, lane in zip(further, others, strict=True):
            if lane is None:
                found += self._one_after_the_other(here, spans).done
                continue
            found += lane.done
            self._bench.take_in(lane.bench)
            self._old.take_in(lane.old)
            self._new.take_in(lane.new)
        return found

    @property
    def _can_be_made_again(self) -> bool:
        bench = self._bench
        own = bench.plan.seed_command is None and not bench.plan.from_models and self._base.failing is None
        return own and bench.origin.seconds < _LONGEST_WAIT

    def _one_after_the_other(self, lane: _Lane, spans: Sequence[range]) -> _Lane:
        """Rehearse `spans`. Returns the lane with what came of it."""
        bench, base = lane.bench, lane.base
        revisions = bench.plan.revisions
        starts = self._starts(bench, base, spans)
        kept = frozenset(bench.databases)
        found = []
        for span, start in zip(spans, starts, strict=True):
            work = Stepwise(bench, replace(base, snapshot=start.state), self._deployed, lane.old, lane.new)
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
                    state = catalogue_snapshot.take(connection, bench.version_table, bench.server.roles)
            except psycopg.Error as error:
                raise NotReached from error
            found.append(_Start(ended.database, state))
        return found if spans[0].start == 0 else found[1:]

    def _beside(self, plan: Plan, lanes: Lanes, spans: Sequence[range]) -> _Lane | None:
        """Rehearse `spans` on another server. Returns None if the same base state cannot be made there."""
        kept = plan.kept.reading() if plan.kept is not None else None
        place = self._bench.folder / f"segment{spans[0].start}"
        with suppress(ReviewerError, Stop), lanes.further(kept, place) as (server, folder):
            bench = self._bench.twin(replace(plan, kept=kept, end=None), server, folder)
            old = self._old.twin(bench)
            try:
                return self._on(bench, old, spans)
            finally:
                old.close()
                bench.close()
        return None

    def _on(self, bench: Workbench, old: OldTrial, spans: Sequence[range]) -> _Lane | None:
        bench.greet()
        base = base_state.prepare(bench, old.code)
        if (base.catalogue, base.filled) != (self._base.catalogue, self._base.filled):
            return None
        if self._bench.can_elevate and not self._bench.as_owner:
            base = base.for_superuser(bench)
        bench.as_owner = self._bench.as_owner
        new = self._new.twin(bench, base.database, self._deployed)
        lane = self._one_after_the_other(_Lane(bench, base, old, new), spans)
        old.code.finish()
        return lane
