"""Review of each revision as a separate release: rehearsed alone, from the state before it, with rows in every
table that exists by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from reviewer.host.guardian import Guardian
from reviewer.recording import Direction, History, Outcome, Pass, Recording, Rehearsal, Revision, Skipped
from reviewer.rehearsal import base_state
from reviewer.rehearsal.deploy import rehearse
from reviewer.rehearsal.interpreter import Answer, Runner, RunnerProcess
from reviewer.rehearsal.lanes import Lanes, Processes, divided, side_by_side
from reviewer.rehearsal.obstacles import Stop
from reviewer.rehearsal.old_code_trial import OldTrial
from reviewer.rehearsal.plan import Plan, Stage
from reviewer.rehearsal.workbench import Workbench

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer
    from reviewer.rehearsal.protocol import AnyCommand, Hello


def rehearse_each(
    plan: Plan,
    server: Future[RunningServer],
    guardian: Guardian,
    folder: Path,
    progress: Callable[[str], None] = lambda _: None,
    lanes: Lanes | None = None,
) -> tuple[Recording, ...]:
    """Rehearse each revision of `plan` separately. Returns one recording for each, parents first.

    If the state before a revision cannot be reached, that revision and all later ones are reported as skipped. With
    several lanes, each rehearses some of the revisions, one after the other, on a server of its own.
    """
    lanes, processes = lanes or Lanes(), Processes()
    plan = processes.of(plan)
    # the running code is followed through all of the revisions: what one breaks is broken for the next ones too
    spans = len(plan.revisions) // _FEWEST if plan.old is None else 1
    first, *further = divided(len(plan.revisions), lanes.of(spans))

    def beside(span: range) -> _Rehearsed:
        mine = plan.of_another_lane()
        with lanes.further(mine.kept, folder / f"lane{span.start}") as (another, place):
            stage = Stage()
            with suppress(Stop):  # the first lane has met, and tells, the same
                _reach(_part(mine, 0, stage), another, guardian, place, partial(_about, progress, first_of(span)))
            return _one_after_the_other(mine, span, stage, another, guardian, place, progress)

    def first_of(span: range) -> Revision:
        return plan.revisions[span.start]

    rehearsed = side_by_side(
        [
            partial(_one_after_the_other, plan, first, Stage(), server, guardian, folder, progress),
            *(partial(beside, span) for span in further),
        ],
        processes.stop,
    )
    found: list[Recording] = []
    for each in rehearsed:
        found += each.recordings
        if each.failed is not None:
            position = len(found) - 1
            found[-1:] = _not_reached(plan, position, found[-1], each.failed)
            break
    return tuple(found)


_FEWEST = 3
"""Fewer revisions than this are not worth a server, on which the history has to run first."""


class _Rehearsed(Struct, frozen=True):
    recordings: tuple[Recording, ...]
    failed: str | None = None
    """The revision at which the history failed before it reached the state of the last recording; empty if that is
    not known, None if nothing failed."""


def _reach(
    plan: Plan,
    server: Future[RunningServer],
    guardian: Guardian,
    folder: Path,
    progress: Callable[[str], None],
) -> None:
    bench = Workbench(plan, server, guardian, folder, progress)
    old = OldTrial(bench)
    try:
        bench.greet()
        base_state.reach(bench, old.code)
    finally:
        old.close()
        bench.close()
    assert plan.stage is not None
    server.result().drop_all(keep={plan.stage.database})


def _one_after_the_other(
    plan: Plan,
    span: range,
    stage: Stage,
    server: Future[RunningServer],
    guardian: Guardian,
    folder: Path,
    progress: Callable[[str], None],
) -> _Rehearsed:
    found: list[Recording] = []
    process = _Shared(plan.runner)
    try:
        for position in span:
            revision = plan.revisions[position]
            say = partial(_about, progress, revision)
            made = rehearse(_part(plan, position, stage), server, guardian, folder, say, process.starter())
            found.append(made)
            if made.errors:
                return _Rehearsed(tuple(found), stage.failed)
            server.result().drop_all(keep={stage.database, stage.old.before})
    finally:
        stage.old.close()
        process.close()
    return _Rehearsed(tuple(found))


def _about(progress: Callable[[str], None], revision: Revision, text: str) -> None:
    progress(f"{revision.id}: {text}")


def _part(plan: Plan, position: int, stage: Stage) -> Plan:
    revision = plan.revisions[position]
    history = plan.history if position == 0 else History()
    imports = tuple(each for each in plan.history.imports if each.revision == revision.id)
    return replace(
        plan,
        revisions=(revision,),
        base_heads=_heads(plan.base_heads, plan.revisions[:position]),
        history=replace(history, imports=imports),
        tree=f"{plan.tree}@{revision.id}",
        stage=stage,
        kept=plan.kept if position == 0 else None,
        depth=plan.depth if position == 0 else 0,
        control=plan.control if revision is plan.revisions[-1] else None,  # the last thing that the process does
    )


def _heads(base: Iterable[str], done: Iterable[Revision]) -> tuple[str, ...]:
    """Return the heads of the database after `done` have run on top of `base`."""
    known = list(done)
    parents = {parent for each in known for parent in (*each.down_revisions, *each.depends_on)}
    return tuple(each for each in (*base, *(revision.id for revision in known)) if each not in parents)


def _not_reached(plan: Plan, position: int, failed: Recording, at: str) -> Iterable[Recording]:
    """Yield the failed recording of the revision at `position`, and skipped ones for all revisions after it."""
    first, *rest = plan.revisions[position:]
    if at in {each.id for each in plan.revisions[:position]}:
        reason = f"the state to start from cannot be reached, because revision {at} fails"
        # the failing revision is new and has its own review: the fix is to correct it, not to choose another state
        # to start from
        error = f"The state before revision {first.id} cannot be reached, because revision {at} fails, which is also new and has its own review."
        yield replace(
            failed,
            passes=tuple(replace(each, reason=reason) for each in failed.passes),
            skipped=(Skipped(f"revision {first.id}", reason),),
            errors=(f"{error}\nFix {at}, and review again.",),
        )
    else:
        reason = f"the state to start from cannot be reached: {failed.errors[0].splitlines()[0]}"
        yield failed
    for revision in rest:
        skipped = Pass(revision.id, Direction.UPGRADE, Rehearsal.DEPLOYED, Outcome.SKIPPED, reason=reason)
        yield replace(
            failed,
            revisions=(revision,),
            passes=(skipped,),
            skipped=(Skipped(f"revision {revision.id}", reason),),
            history=History(),
            tree=f"{plan.tree}@{revision.id}",
            errors=(),
            trials=(),
        )


class _Shared:
    """One process of the project's interpreter for all rehearsals, for as long as nothing goes wrong in it."""

    def __init__(self, runner: Callable[..., RunnerProcess]) -> None:
        self._runner = runner
        self._process: _Kept | None = None

    def starter(self) -> Callable[..., Runner]:
        """Return the function with which a rehearsal starts its processes. Its first process may be a shared one;
        later ones are fresh.
        """
        served = False

        def start(*arguments: Any) -> _Kept:
            nonlocal served
            if self._process is None or served or self._process.spoilt:
                self.close()
                self._process = _Kept(self._runner(*arguments))
            served = True
            return self._process

        return start

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.process.close()


class _Kept:
    """A process that outlives the rehearsal that uses it."""

    def __init__(self, process: RunnerProcess) -> None:
        self.process = process
        self.began = process.began
        self.spoilt = False
        self._hello: Hello | None = None

    def hello(self) -> Hello:
        """Return the runner's first event, which it sends only once."""
        self._hello = self._hello or self.process.hello()
        return self._hello

    def run(self, command: AnyCommand, deadline: float, quiet: Callable[[], str | None] | None = None) -> Answer:
        """Run a command as `RunnerProcess.run` does."""
        answer = self.process.run(command, deadline, quiet)
        self.spoilt = self.spoilt or not answer.ok
        return answer

    def last_words(self) -> str:
        """Return what the process printed before it gave up, and end it."""
        self.spoilt = True
        self.process.close()
        return self.process.last_words()

    def close(self) -> None:
        """Do nothing: the next rehearsal may use the process."""
