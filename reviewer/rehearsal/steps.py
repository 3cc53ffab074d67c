"""One database that follows the stepwise rehearsal, and how to get its state back when a step has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from reviewer.recording import Direction, Outcome, Pass, Rehearsal, Revision
from reviewer.rehearsal.protocol import Step, Upgrade
from reviewer.rehearsal.reader import Run, time_is_over
from reviewer.rehearsal.workbench import Workbench

_Step = tuple[str, Direction]


class Lost(Exception):
    """The state that the rehearsal has come to cannot be reached a second time; the words say why."""


class Chain:
    """The database of the stepwise rehearsal, from `checkpoint` with the revisions `done` on.

    A failure that comes only of rows that were written in between is added to `trials`. Whatever needs a state
    again that a failure has taken away raises `Lost` where the way there does not lead to it any more.
    """

    # A clone costs about as much as three or four revisions: remember where we are that often.
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
        """Every revision between the base state and this one."""
        self._since = done[:]
        """Those of them that the checkpoint does not have."""
        self._trials = trials
        self.rows = rows
        """Whether the tables may hold rows of ours."""
        self._base_rows = rows
        self._written = False
        self._replayable = True
        self._owed: tuple[Revision, Direction, bool] | None = None

    @property
    def database(self) -> str:
        """The one that follows the rehearsal now."""
        self._settle()
        return self._database

    @property
    def databases(self) -> frozenset[str]:
        """Those that it goes back to, or goes on in."""
        return frozenset({self._base, self._checkpoint, self._database})

    def wrote(self) -> None:
        """Rows were written that a replay from the checkpoint would not bring back: a failure need not be real."""
        self._written = True
        self._replayable = False

    @property
    def replayable(self) -> bool:
        """Whether the checkpoint has every row that is there now. What a revision puts in, as random keys or the
        time, another run of it need not bring back.
        """
        return self._replayable and not self._since

    def step(self, revision: Revision, direction: Direction) -> Run:
        """Run `revision` in `direction`; a failure that may not be the revision's own is tried again elsewhere."""
        self._settle()
        if direction is Direction.UPGRADE and len(self._since) >= self._EVERY:
            self._remember()
        run = self._run(revision.id, direction)
        restart = True
        if not run.ok and (not self._bench.believes(run) or self._failed_on_written(run)):
            again = self._again(run, revision, direction)
            run, restart = (run, True) if again is None else (again, False)
        if not run.ok and not (direction is Direction.DOWNGRADE and _refused_at_once(run)):
            # only when something follows: the state after the last failure is nobody's business
            self._owed = (revision, direction, restart)
        elif run.ok and direction is Direction.UPGRADE:
            self._came_to(revision.id)
        return run

    def _again(self, failed: Run, revision: Revision, direction: Direction) -> Run | None:
        """Run the step that has failed in a fresh process, without the rows that were written after the upgrade.
        None where nobody can look a second time: what was seen stands.
        """
        on_written = self._failed_on_written(failed)
        if on_written and not self._bench.believes(failed) and _left_nothing(failed):
            # the rows are still there: whether it is them is seen in the same database
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
        """Whether it may have failed on rows that were written after an upgrade: told as such, and no doubt about
        env.py.
        """
        if not self._written or run.failure is None or not run.passes:
            return False
        return run.about_values or run.guarded

    def jump(self, revision: Revision) -> bool:
        """Go to the state after `revision` in one upgrade from the base state; whether that worked."""
        done = [*self._done, revision.id]
        ended = self._bench.believed(self._upgrade(done), self._from(self._base), observe=False)
        if not ended.run.ok:
            return False
        self._done, self._owed, self.rows = done, None, self._base_rows
        self._go_on(ended.database)
        return True

    def start_over(self, checkpoint: str) -> None:
        """Go on from another base, one without rows of ours, up to where this one is."""
        self._owed, self.rows, self._base_rows = None, False, False
        self._base = self._checkpoint = checkpoint
        self._since = self._done[:]
        self._bring_back([(each, Direction.UPGRADE) for each in self._done])

    def refill(self, fill: Callable[[str], bool]) -> None:
        """Go on from a copy of this state into which `fill` has put rows; where it could put none, from this state."""
        database = self._bench.database(self.database)
        if fill(database):
            self._go_on(database)
            self.rows = True

    @property
    def done(self) -> tuple[str, ...]:
        """The revisions between the base state and this one."""
        return tuple(self._done)

    def _go_on(self, database: str) -> None:
        """`database` is where the revisions that are done lead to."""
        self._checkpoint, self._since = self._bench.database(database), []
        self._database, self._replayable, self._written = database, True, False

    def _came_to(self, revision: str) -> None:
        self._done.append(revision)
        self._since.append(revision)

    def _upgrade(self, revisions: Sequence[str]) -> Upgrade:
        """The command that runs all of `revisions` in one upgrade."""
        wanted = [each for each in self._bench.plan.revisions if each.id in revisions]
        parents = {parent for each in wanted for parent in (*each.down_revisions, *each.depends_on)}
        return Upgrade(to=tuple(each.id for each in wanted if each.id not in parents))

    def _from(self, template: str) -> Callable[[], str]:
        return lambda: self._bench.database(template)

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

    def _remember(self) -> None:
        self._checkpoint = self._bench.database(self._database)
        self._since, self._replayable = [], True

    def _settle(self) -> None:
        """Bring back the state that the last failure took away: the one before an upgrade, else the one after it."""
        if self._owed is None:
            return
        (revision, direction, restart), self._owed = self._owed, None
        if restart:
            self._bench.restart()
        self._restore(revision, Direction.UPGRADE if direction is Direction.UPGRADE else Direction.DOWNGRADE)

    def _restore(self, revision: Revision, direction: Direction) -> None:
        """Another database, in the state just before `revision` goes in `direction`."""
        steps = [(each, Direction.UPGRADE) for each in self._since]
        if direction is Direction.UPGRADE_AGAIN:
            steps.append((revision.id, Direction.DOWNGRADE))
        self._bring_back(steps)

    def _bring_back(self, steps: Sequence[_Step]) -> None:
        """Run `steps` from the checkpoint on: one after the other, then each in a process of its own, then all
        upgrades in one. Raises `Lost` where none of it leads there.
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
        """How a step failed; None where all of them went well."""
        self._database, self._replayable, self._written = self._bench.database(self._checkpoint), True, False
        for revision, direction in steps:
            run = self._run(revision, direction, observe=False)
            if not run.ok:
                return run
        return None

    def _in_one(self, steps: Sequence[_Step]) -> bool:
        """The same with all upgrades in one, as a deploy runs them; whether that worked."""
        ups = [revision for revision, direction in steps if direction is Direction.UPGRADE]
        rest = steps[len(ups) :]
        if len(ups) < 2:
            return False
        ended = self._bench.believed(self._upgrade(ups), self._from(self._checkpoint), observe=False)
        if not ended.run.ok:
            return False
        self._database = ended.database
        return all(self._run(revision, direction, observe=False).ok for revision, direction in rest)


def _left_nothing(run: Run) -> bool:
    """Whether all that a failed run has done was one transaction, which is undone."""
    statements = [statement for each in run.passes for statement in each.statements]
    seen = {statement.observation.transaction for statement in statements if statement.observation is not None}
    return len(seen) < 2 and None not in seen and all(statement.in_transaction for statement in statements)


def _refused_at_once(run: Run) -> bool:
    """Whether a revision says on purpose that there is no way back before it has done anything."""
    nothing_done = not any(each.statements for each in run.passes)
    return run.failure is not None and run.failure.deliberate and nothing_done
