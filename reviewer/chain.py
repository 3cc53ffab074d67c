"""One database that follows the stepwise rehearsal, and how to get its state back when a step has failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reviewer.reader import Run, time_is_over
from reviewer.recording import Direction, Outcome, Pass, Rehearsal, Revision
from reviewer.workbench import Workbench


class Chain:
    """The database of the stepwise rehearsal, from `checkpoint` with the revisions `done` on.

    A failure that comes only of rows that were written in between is added to `trials`.
    """

    # A clone costs about as much as three or four revisions: remember where we are that often.
    _EVERY = 8

    def __init__(
        self, bench: Workbench, checkpoint: str, database: str, done: list[str], trials: list[Pass]
    ) -> None:
        self._bench = bench
        self._base = checkpoint
        self._checkpoint = checkpoint
        self._database = database
        self._since = done
        self._trials = trials
        self._written = False
        self._replayable = True
        self._owed: tuple[Revision, Direction | None, bool] | None = None

    @property
    def database(self) -> str:
        """The one that follows the rehearsal now."""
        self._settle()
        return self._database

    def wrote(self) -> None:
        """Rows were written that a replay from the checkpoint would not bring back: a failure need not be real."""
        self._written = True
        self._replayable = False

    @property
    def replayable(self) -> bool:
        """Whether the checkpoint has every row that is there now. What a revision puts in, as random keys or the time,
        another run of it need not bring back.
        """
        return self._replayable and not self._since

    def step(self, revision: Revision, direction: Direction) -> Run:
        """Run `revision` in `direction`; a failure that may not be the revision's own is tried again elsewhere."""
        self._settle()
        if direction is Direction.UPGRADE and len(self._since) >= self._EVERY:
            self._remember()
        run = self._run(revision.id, direction)
        fresh = False
        doubtful = self._failed_on_written(run) or not run.final
        if not run.ok and doubtful and not self._bench.confirmed(run):
            failed = run
            self._restore(revision, direction)
            run = self._run(revision.id, direction)
            if run.ok and self._failed_on_written(failed):
                trial = replace(failed.passes[-1], written=("rows written after the upgrade",))
                self._trials.append(trial)
            elif run.ok:
                self._bench.fresh_each = True
            self._bench.confirm(run)
            fresh = True
        if not run.ok and not (direction is Direction.DOWNGRADE and _refused_at_once(run)):
            # only when something follows: the state after the last failure is nobody's business
            self._owed = (revision, Direction.UPGRADE if direction is Direction.UPGRADE else None, not fresh)
        elif run.ok and direction is Direction.UPGRADE:
            self._since.append(revision.id)
        return run

    def _failed_on_written(self, run: Run) -> bool:
        """Whether it may have failed on rows that were written after an upgrade: told as such, and no doubt about env.py."""
        failure = run.failure
        if not self._written or failure is None or not run.passes:
            return False
        if failure.deliberate:  # a downgrade that is not to be is refused whatever the rows are
            return run.passes[-1].direction is not Direction.DOWNGRADE
        return run.about_values

    def jump(self, revision: Revision) -> bool:
        """Go to the state after `revision` in one upgrade from the base state; whether that worked."""
        self._settle()
        database = self._bench.database(self._base)
        command = {"do": "upgrade", "to": [revision.id]}
        if not self._bench.run(command, database, observe=False).ok:
            return False
        self._checkpoint, self._since = self._bench.database(database), []
        self._database, self._replayable = database, True
        return True

    def start_over(self, checkpoint: str) -> None:
        """Go on from another base, up to where this one is."""
        self._settle()
        done, self._since = self._since, []
        self._base = self._checkpoint = checkpoint
        self._database, self._replayable = self._bench.database(checkpoint), True
        self._replay([*self._done_before(done)])

    def _done_before(self, since: list[str]) -> list[str]:
        """Every revision up to the last of `since`, those before the checkpoint included."""
        ids = [revision.id for revision in self._bench.plan.revisions]
        last = max((ids.index(each) for each in since), default=-1)
        return ids[: last + 1]

    def _run(self, revision: str, direction: Direction) -> Run:
        way = "downgrade" if direction is Direction.DOWNGRADE else "upgrade"
        command = {"do": "step", "revision": revision, "direction": way}
        run = self._bench.run(
            command, self._database, Rehearsal.STEPWISE, again=direction is Direction.UPGRADE_AGAIN
        )
        if run.out_of_time and not run.passes:
            run.passes.append(
                Pass(
                    revision,
                    direction,
                    Rehearsal.STEPWISE,
                    Outcome.SKIPPED,
                    reason=time_is_over(self._bench.plan),
                )
            )
        if not run.ok and not run.passes:  # it failed before the revision's own code began
            run.failed_revision = revision
            run.passes.append(Pass(revision, direction, Rehearsal.STEPWISE, Outcome.FAILED, failure=run.failure))
        return run

    def _remember(self) -> None:
        self._checkpoint = self._bench.database(self._database)
        self._since, self._replayable = [], True

    def _settle(self) -> None:
        """Bring back the state that the last failure took away."""
        if self._owed is not None:
            owed, self._owed = self._owed, None
            self._restore(*owed)

    def _restore(self, revision: Revision, direction: Direction | None, restart: bool = True) -> None:
        """A fresh process and a fresh clone, in the state just before `revision` goes in `direction`.
        None: the state after its upgrade.
        """
        if restart:
            self._bench.restart()
        self._database, self._replayable = self._bench.database(self._checkpoint), True
        self._replay([each for each in self._since if each != revision.id])
        if direction is not Direction.UPGRADE:
            self._run(revision.id, Direction.UPGRADE)
        if direction is Direction.UPGRADE_AGAIN:
            self._run(revision.id, Direction.DOWNGRADE)

    def _replay(self, revisions: Iterable[str]) -> None:
        for each in revisions:
            self._run(each, Direction.UPGRADE)
            if each not in self._since:
                self._since.append(each)


def _refused_at_once(run: Run) -> bool:
    """Whether a revision says on purpose that there is no way back before it has done anything."""
    nothing_done = not any(each.statements for each in run.passes)
    return run.failure is not None and run.failure.deliberate and nothing_done
