"""The database that follows the stepwise rehearsal, and how its state is restored after a failed step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from reviewer.recording import Direction, Origin, Outcome, Pass, Rehearsal, Revision
from reviewer.rehearsal.protocol import Step
from reviewer.rehearsal.reader import Run, time_is_over
from reviewer.rehearsal.workbench import Workbench

_Step = tuple[str, Direction]


class Lost(Exception):
    """The state that the rehearsal had reached cannot be reached again; the message says why."""


class Chain:
    """The database of the stepwise rehearsal, starting at `checkpoint` with the revisions `done`.

    A failure that is caused only by rows written in between is added to `trials`. Whatever needs a state that a
    failure has destroyed raises `Lost` if that state cannot be restored.
    """

    # A clone costs about as much as three or four revisions: save a checkpoint after this many.
    _EVERY = 8

    def __init__(
        self,
        bench: Workbench,
        checkpoint: str,
        database: str,
        done: list[str],
        trials: list[Pass],
        rows: bool = True,
    ) -> None:
        self._bench = bench
        self._base = checkpoint
        self._checkpoint = checkpoint
        self._database = database
        self._done = done[:]
        """Every revision between the base state and the current state."""
        self._since = done[:]
        """Those that the checkpoint does not contain."""
        self._trials = trials
        self.rows = rows
        """Whether the tables may hold generated rows."""
        self._base_rows = rows
        self._written = False
        """Whether rows were written after an upgrade, as `wrote` says."""
        self._stays = False
        """Whether a downgrade did nothing, so that they may be where they would not be otherwise."""
        self._replayable = True
        self._owed: tuple[Revision, Direction, bool] | None = None

    @property
    def database(self) -> str:
        """The database that follows the rehearsal now."""
        self._settle()
        return self._database

    @property
    def start(self) -> str:
        """The database that it has started from."""
        return self._base

    @property
    def databases(self) -> frozenset[str]:
        """The databases to which it may return, and the current one."""
        return frozenset({self._base, self._checkpoint, self._database})

    def wrote(self) -> None:
        """Note that rows were written that a replay from the checkpoint would not restore, so a failure may be
        caused by them.
        """
        self._written = True
        self._replayable = False

    @property
    def replayable(self) -> bool:
        """Whether the checkpoint has every row that exists now. Rows that a revision inserts, with random keys or
        the current time for example, may differ when it runs again.
        """
        return self._replayable and not self._since

    def step(self, revision: Revision, direction: Direction) -> Run:
        """Run `revision` in `direction`. A failure that may not be the revision's own is tried again elsewhere."""
        self._settle()
        if direction is Direction.UPGRADE and len(self._since) >= self._EVERY and self._without_written(revision):
            self.continue_from(self._bench.database(self._database))
        run = self._run(revision.id, direction)
        if direction is Direction.DOWNGRADE:
            self._stays |= not any(
                told.origin is Origin.REVISION for each in run.passes for told in each.statements
            )
        restart = True
        if not run.ok and (not self._bench.believes(run) or self._failed_on_written(run)):
            again = self._again(run, revision, direction)
            run, restart = (run, True) if again is None else (again, False)
        if not run.ok and not (direction is Direction.DOWNGRADE and _refused_at_once(run)):
            # restored only if another step follows: the state after the last failure is not needed
            self._owed = (revision, direction, restart)
        elif run.ok and direction is Direction.UPGRADE:
            self._came_to(revision.id)
        return run

    def _without_written(self, revision: Revision) -> bool:
        """Get rid of rows that were written after an upgrade which nothing has taken back, perhaps into a table that is
        empty in any deploy: a failure on them has to be tried again without them. Returns whether that worked.
        """
        if not (self._written and self._stays):
            return True
        before = self._database, self._replayable, self._written
        try:
            self._restore(revision, Direction.UPGRADE)
        except Lost:
            self._database, self._replayable, self._written = before
            return False
        return True

    def _again(self, failed: Run, revision: Revision, direction: Direction) -> Run | None:
        """Run a failed step again in a fresh process, without the rows that were written after the upgrade.

        None if the state cannot be restored; the failure then stands as observed.
        """
        on_written = self._failed_on_written(failed)
        if on_written and not self._bench.believes(failed) and _left_nothing(failed):
            # the rows still exist, so the same database shows whether they are the cause
            self._bench.restart()
            run = self._run(revision.id, direction)
            if run.ok:
                self._bench.fresh_each = True
                return run
            failed, on_written = run, self._failed_on_written(run)
        try:
            self._restore(revision, direction)
        except Lost:
            return None
        self._bench.restart()
        run = self._run(revision.id, direction)
        if run.ok and on_written:
            self._trials.append(replace(failed.passes[-1], written=("rows written after the upgrade",)))
        elif run.ok:
            self._bench.fresh_each = True
        return run

    def _failed_on_written(self, run: Run) -> bool:
        """Return whether it may have failed on rows that were written after an upgrade. Such a failure is reported
        as one on those rows, and casts no doubt on env.py.
        """
        if not self._written or run.failure is None or not run.passes:
            return False
        return run.about_values or run.guarded

    def jump(self, revision: Revision) -> bool:
        """Go to the state after `revision` in one upgrade from the base state. Returns whether that worked."""
        done = [*self._done, revision.id]
        ended = self._bench.upgraded(done, self._base)
        if not ended.run.ok:
            return False
        self._done, self._owed, self.rows = done, None, self._base_rows
        self._go_on(ended.database)
        return True

    def start_over(self, checkpoint: str) -> None:
        """Continue from another base, one without generated rows, and replay the revisions that are done."""
        self._owed, self.rows, self._base_rows = None, False, False
        self._base = self._checkpoint = checkpoint
        self._since = self._done[:]
        self._bring_back([(each, Direction.UPGRADE) for each in self._done])

    def refill(self, fill: Callable[[str], bool]) -> None:
        """Continue from a copy of this state into which `fill` has inserted rows; from this state if it could
        insert none.
        """
        database = self._bench.database(self.database)
        if fill(database):
            self._go_on(database)
            self.rows = True

    @property
    def done(self) -> tuple[str, ...]:
        """The revisions between the base state and the current state."""
        return tuple(self._done)

    def _go_on(self, database: str) -> None:
        """Continue in `database`, which is in the state after all revisions that are done."""
        self._checkpoint, self._since = self._bench.database(database), []
        self._database, self._replayable, self._written = database, True, False
        self._stays = False

    def _came_to(self, revision: str) -> None:
        self._done.append(revision)
        self._since.append(revision)

    def _run(self, revision: str, direction: Direction, observe: bool = True) -> Run:
        down = direction is Direction.DOWNGRADE
        command = Step(revision=revision, direction="downgrade" if down else "upgrade")
        again = direction is Direction.UPGRADE_AGAIN
        run = self._bench.run(command, self._database, Rehearsal.STEPWISE, again=again, observe=observe)
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

    def continue_from(self, checkpoint: str) -> None:
        """Return to `checkpoint`, which has the same state, when the present state has to be restored."""
        self._checkpoint, self._since, self._replayable = checkpoint, [], True

    def _settle(self) -> None:
        """Restore the state that the last failure destroyed: the one before the revision if its first upgrade failed,
        otherwise the one after that upgrade.
        """
        if self._owed is None:
            return
        (revision, direction, restart), self._owed = self._owed, None
        if restart:
            self._bench.restart()
        self._restore(revision, Direction.UPGRADE if direction is Direction.UPGRADE else Direction.DOWNGRADE)

    def _restore(self, revision: Revision, direction: Direction) -> None:
        """Create another database in the state just before `revision` runs in `direction`."""
        steps = [(each, Direction.UPGRADE) for each in self._since]
        if direction is Direction.UPGRADE_AGAIN:
            steps.append((revision.id, Direction.DOWNGRADE))
        self._bring_back(steps)

    def _bring_back(self, steps: Sequence[_Step]) -> None:
        """Run `steps` from the checkpoint: one after the other, then each in its own process, then all upgrades in
        one.

        Raises `Lost` if none of these succeeds.
        """
        failed = self._replay(steps)
        if failed is None:
            return
        before, self._bench.fresh_each = self._bench.fresh_each, True
        if not failed.out_of_time:
            self._bench.restart()
            failed = self._replay(steps)
            if failed is None:
                return
        self._bench.fresh_each = before
        if not failed.out_of_time and self._in_one(steps):
            return
        if failed.out_of_time:
            raise Lost(time_is_over(self._bench.plan))
        message = failed.failure.message.rstrip(".") if failed.failure else "it did not end"
        raise Lost(f"revision {failed.failed_revision} fails when it is run again to restore that state: {message}")

    def _replay(self, steps: Iterable[_Step]) -> Run | None:
        """Run `steps` from the checkpoint. Returns the failed run; None if all succeeded."""
        self._database, self._replayable, self._written = self._bench.database(self._checkpoint), True, False
        self._stays = False
        for revision, direction in steps:
            run = self._run(revision, direction, observe=False)
            if not run.ok:
                return run
        return None

    def _in_one(self, steps: Sequence[_Step]) -> bool:
        """Run the same steps with all upgrades in one, as a deploy runs them. Returns whether that worked."""
        ups = [revision for revision, direction in steps if direction is Direction.UPGRADE]
        rest = steps[len(ups) :]
        if len(ups) < 2:
            return False
        ended = self._bench.upgraded(ups, self._checkpoint)
        if not ended.run.ok:
            return False
        self._database = ended.database
        return all(self._run(revision, direction, observe=False).ok for revision, direction in rest)


def _left_nothing(run: Run) -> bool:
    """Return whether everything that a failed run did was in one transaction, which was rolled back."""
    statements = [statement for each in run.passes for statement in each.statements]
    seen = {statement.observation.transaction for statement in statements if statement.observation is not None}
    return len(seen) < 2 and None not in seen and all(statement.in_transaction for statement in statements)


def _refused_at_once(run: Run) -> bool:
    """Return whether a revision refuses to be reverted, on purpose and before it has executed any statement."""
    nothing_done = not any(each.statements for each in run.passes)
    return run.failure is not None and run.failure.deliberate and nothing_done
