"""The rehearsal: run the new revisions on a throw-away server and record what happens.

The same revisions are rehearsed twice. *Deployed*: base to head in one `upgrade`, as a deploy does it; this is
where locks are judged. *Stepwise*: each revision up, down, up; this is where reversibility is judged. A failure is
believed only after it has occurred again in a fresh process, on a fresh clone of the base state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reviewer import __version__
from reviewer.host.guardian import Guardian
from reviewer.recording import (
    Afterwards,
    Control,
    Counter,
    Direction,
    Failure,
    FailureKind,
    Mode,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Revision,
    Scale,
    Skipped,
)
from reviewer.rehearsal import base_state, control, other_keys, rerun, scale, unrun
from reviewer.rehearsal.base_state import BaseState
from reviewer.rehearsal.interpreter import RunnerProcess
from reviewer.rehearsal.new_code_trial import NewTrial
from reviewer.rehearsal.obstacles import (
    Stop,
    check_touched,
    environment_failed,
    unreadable,
    way_out_of_nothing,
    with_way_out,
)
from reviewer.rehearsal.old_code import affected
from reviewer.rehearsal.old_code_trial import OldTrial
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import Step, Upgrade
from reviewer.rehearsal.reader import Run, time_is_over
from reviewer.rehearsal.round_trip import (
    Departure,
    RoundTrip,
    blamed,
    changed,
    locked,
    made,
    reached,
    reads_rows,
    touched,
)
from reviewer.rehearsal.steps import Chain, Lost
from reviewer.rehearsal.version_table import stamped
from reviewer.rehearsal.workbench import Ended, NeedsSuperuser, Progress, Workbench
from reviewer.sql.names import Name

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer
    from reviewer.rehearsal.catalogue_snapshot import Snapshot
    from reviewer.rows.bounds import Bound

_MOST_READ = 100
"""The most tables whose rows are read before one revision. Nothing is claimed about the rows of further tables."""
_MOST_PARTS = 4
"""How many times an upgrade that fails on generated rows is tried again with part of them."""


def rehearse(
    plan: Plan,
    server: Future[RunningServer],
    guardian: Guardian,
    folder: Path,
    progress: Progress = lambda _: None,
    runner: Callable[..., RunnerProcess] | None = None,
) -> Recording:
    """Run everything in `plan` and record what happens.

    `server` may still be starting: the project's interpreter starts in parallel. `runner` creates the interpreter's
    process instead of the plan's, and takes the arguments of `RunnerProcess`. Whatever goes wrong in the project is
    part of the recording. Raises `ReviewerError` only if there is no server or no interpreter.
    """
    bench = Workbench(plan, server, guardian, folder, progress, runner)
    rehearsal = _Rehearsal(bench)
    try:
        return rehearsal.run()
    finally:
        rehearsal.close()


class _Rehearsal:
    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._plan = bench.plan
        self._passes: list[Pass] = []
        self._trials: list[Pass] = []
        self._base = BaseState()
        self._state: Snapshot | None = None
        """The state before the next revision."""
        self._old = OldTrial(bench)
        self._new = NewTrial(bench)
        self._control = Control()
        self._scale: Scale | None = None
        self._afterwards: list[Afterwards] = []
        self._repeatable: list[str] = []
        self._behind: list[tuple[str, Counter]] = []
        """Sequences that a revision leaves behind the rows which it inserts into an empty table."""

    def run(self) -> Recording:
        errors: tuple[str, ...] = ()
        self._bench.greet()
        try:
            self._base = base_state.prepare(self._bench, self._old.code)
            self._state = self._base.snapshot
            self._with_the_privileges_it_needs()
            self._passes = unrun.told(self._bench, self._passes)
            self._control = control.ask(self._bench, self._base.database)
            self._scale = scale.measure(self._bench, self._base, self._passes)
        except Stop as stop:
            errors = (str(stop),)
            self._skip_the_rest(str(stop).split("\n")[0])
        else:
            errors = tuple(self._not_done_in_time())
        strange = [*self._bench.unreadable, *self._old.code.unreadable]
        errors = tuple(error for error in errors if not any(each in error for each in strange))
        return self._recording(errors + unreadable(strange, self._passes))

    def _with_the_privileges_it_needs(self) -> None:
        """Rehearse as an ordinary owner of the database, and where that is not enough again, as a superuser."""
        bench = self._bench
        told = len(bench.skipped)
        bench.as_owner = bench.can_elevate
        try:
            self._everything()
            return
        except NeedsSuperuser as need:
            refused, why = need.run.failure, str(need)
        finally:
            bench.as_owner = False
        bench.progress("starting again as a superuser")
        self._old.close()
        del bench.skipped[told:]
        bench.finish_beside = lambda: None
        bench.restart()
        self._base = self._base.for_superuser(bench)
        self._state = self._base.snapshot
        self._passes, self._trials, self._afterwards, self._behind, self._repeatable = [], [], [], [], []
        self._old, self._new = OldTrial(bench), NewTrial(bench)
        self._everything()
        again = [each.failure.message for each in self._passes if each.failure is not None]
        if refused is not None and refused.message not in again:  # otherwise nobody is allowed to
            what = "the new revisions as an ordinary owner of the database"
            bench.skip(what, f"{why}; so row security is not observed as an owner meets it")

    def _not_done_in_time(self) -> Iterator[str]:
        late = {each.revision for each in self._passes if each.reason == time_is_over(self._plan)}
        if late:
            yield (
                f"The rehearsal was not done within {self._plan.allowed}: {len(late)} of"
                f" {len(self._plan.revisions)} revisions were not rehearsed, or not in every direction.\n"
                "Give it more time with --timeout SECONDS, or review fewer revisions at once."
            )

    def close(self) -> None:
        self._old.close()
        self._bench.close()

    # -- the rehearsals ---------------------------------------------------------------------------

    def _everything(self) -> None:
        """The two rehearsals, and what is tried besides."""
        self._rehearse()
        self._look_at_sequences()
        self._on_worst_rows()

    def _rehearse(self) -> None:
        deployed = self._deployed()
        if (elsewhere := self._on_other_keys(deployed.run)) is not None:
            deployed = elsewhere
        self._passes += deployed.run.passes
        base = self._base
        self._old.starts_from(base.database)
        before, well = base.database, deployed if deployed.run.ok else None
        if well is None and (found := self._without_rows(deployed.run)) is not None:
            before, well = found
        if well is not None:
            self._told_end(well.database)
        self._old.release_plans(upgraded=well is not None)
        if well is not None:
            self._old.begin(before, well.database, base.catalogue, self._passes)
            self._new.begin(before, well.database, self._passes)
        try:
            self._step_by_step(deployed, before, well)
        except NeedsSuperuser:
            raise  # everything is tried again
        except BaseException:
            self._conclude(base.database)
            raise
        self._conclude(base.database)

    def _conclude(self, database: str) -> None:
        """Collect what the old code and the new one have shown, from the base state in `database` on."""
        self._old.finish()
        self._new.finish()
        self._old.compare(database)

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

    def _told_end(self, database: str) -> None:
        end = self._plan.end
        if end is None:
            return
        from reviewer.rehearsal import catalogue_snapshot

        bench = self._bench
        with bench.looking("the schema that the deploy leads to"), bench.server.connect(database) as connection:
            end.snapshot = catalogue_snapshot.take(connection, bench.version_table, bench.server.roles)

    def _step_by_step(self, deployed: Ended, before: str, well: Ended | None) -> None:
        """Rehearse each revision by itself. `well` is the deploy that succeeded, from the state in the database
        `before`; None if none did.
        """
        left, base = list(self._plan.revisions), self._base.database
        try:
            if len(left) > 1:
                chain = self._chain(base, self._bench.database(base))
                needed = {*self._bench.databases}
                while left and self._one_step(left, chain):
                    left.pop(0)
                    self._bench.drop_all_but(needed | chain.databases | self._old.databases)
            elif well is not None:
                rows = before == base
                departure = self._departure(left[0], before)
                chain = self._chain(before, well.database, left[0].id, rows=rows)
                self._there_and_back(left[0], chain, departure)
            else:
                both = (Direction.DOWNGRADE, Direction.UPGRADE_AGAIN)
                self._skip(left[0], both, self._unless_late(deployed.run, "its upgrade failed"))
        except Lost as lost:
            for revision in left:
                ran = {each.direction for each in self._passes if each.revision == revision.id}
                stepwise = {each.direction for each in self._stepwise_of(revision.id)}
                known = ran if len(self._plan.revisions) == 1 else stepwise
                self._skip(revision, [way for way in Direction if way not in known], str(lost))

    def _chain(self, checkpoint: str, database: str, *done: str, rows: bool = True) -> Chain:
        return Chain(self._bench, checkpoint, database, [*done], self._trials, rows)

    def _on_worst_rows(self) -> None:
        """If the upgrade reads rows and succeeds on ordinary ones, upgrade the worst rows that the schema allows.

        This comes last, because a process in which an upgrade has failed is not used again.
        """
        deployed = [each for each in self._passes if each.rehearsal is Rehearsal.DEPLOYED]
        tables = [name for name in touched(deployed) if any(name.matches(filled) for filled in self._base.filled)]
        well = all(each.outcome is Outcome.OK and each.rows for each in deployed)
        if not (deployed and well and tables and reads_rows(deployed)):
            return
        from reviewer.rows import bounds

        self._bench.progress("upgrading the worst rows that the schema allows")
        with self._bench.looking("the worst rows that the schema allows"):
            state = self._base.database
            left = {each.id for each in self._plan.revisions}
            sent = (statement.sql for each in deployed for statement in each.statements)
            added = [bound for sql in sent for bound in bounds.of(sql)]
            while (failed := self._upgrade_worst(state, tables, added)) is not None:
                left -= {each.revision for each in failed.passes}
                if not left:
                    return
                # Users who deploy the later revisions have fixed the rows for this one by then, so the later ones
                # meet the worst rows that its schema allows.
                command = Upgrade(to=(failed.failed_revision,) if failed.failed_revision else ())
                ended = self._bench.believed(command, partial(self._bench.database, state), observe=False)
                state = ended.database
                if not ended.run.ok:
                    what = f"the worst rows for the revisions after {failed.failed_revision}"
                    self._bench.skip(what, self._unless_late(ended.run, "its upgrade fails on its own"))
                    return

    def _upgrade_worst(self, state: str, tables: Iterable[Name], added: Iterable[Bound]) -> Run | None:
        """Upgrade a copy of `state` with the worst rows in `tables`. Returns the failure that these rows cause;
        None if there is none.
        """
        from reviewer.rows import worst

        def start() -> str:
            database = self._bench.database(state)
            with self._bench.server.connect(database) as connection:
                worst.make(connection, tables, added)
            return database

        run = self._bench.believed(Upgrade(to=tuple(self._plan.heads)), start, observe=False).run
        if run.ok:
            return None
        if run.failed_revision is not None and self._rows_matter(run):
            if other_keys.has_collided(run, self._trials):
                return run
            self._trials.append(replace(run.passes[-1], rehearsal=Rehearsal.DEPLOYED, worst=True))
            return run
        assert run.failure is not None
        why = f"the upgrade failed for a reason other than its rows: {run.failure.message.rstrip('.')}"
        self._bench.skip("the worst rows that the schema allows", self._unless_late(run, why))
        return None

    def _deployed(self) -> Ended:
        self._bench.progress("upgrading as a deploy does")

        ended = self._upgrade_all(partial(self._bench.database, self._base.database))
        run = ended.run
        if run.ok:
            check_touched(self._bench, run, self._plan.revisions)
            self._check_stamped(ended)
        elif run.failed_revision is None and not run.passes:
            assert run.failure is not None
            raise environment_failed(self._bench, run.failure)
        self._say_what_is_exempt(run)
        out = way_out_of_nothing(self._bench, run)
        missing = [r for r in self._plan.revisions if r.id not in {p.revision for p in run.passes}]
        for revision in missing:
            failed = self._unless_late(run, f"a revision before it failed{out}")
            reason = "the upgrade did not run it" if run.ok else failed
            run.passes.append(_skipped(revision, Direction.UPGRADE, Rehearsal.DEPLOYED, reason))
        if out and run.failure is not None:
            told = with_way_out(run.failure)
            run.passes = [replace(p, failure=told) if p.failure == run.failure else p for p in run.passes]
            run.failure = told
        return ended

    def _say_what_is_exempt(self, run: Run) -> None:
        used = locked(run.passes)
        for each in self._base.exempt:
            if any(each.matches(name) for name in used):
                self._bench.skip(
                    f"row security of `{each}` as an owner meets it",
                    "the role of --postgres is a superuser or has BYPASSRLS; an ordinary role that may create"
                    " databases is subject to it",
                )

    def _upgrade_all(self, start: Callable[[], str]) -> Ended:
        def watched() -> str:
            database = start()
            self._old.hold_plans(database, self._base.catalogue)
            return database

        return self._bench.believed(Upgrade(to=tuple(self._plan.heads)), watched, Rehearsal.DEPLOYED)

    def _check_stamped(self, ended: Ended) -> None:
        """Check that the version numbers are in the database: Alembic can end without an error although its last
        transaction was rolled back.
        """
        run = ended.run
        missing = set(self._plan.heads) - stamped(self._bench.server, ended.database, run)
        for position, each in enumerate(run.passes):
            if each.revision in missing:
                run.failed_revision = each.revision
                run.failure = Failure(
                    FailureKind.UNSTAMPED,
                    "Alembic ended without an error, but its version number is not in the database: the transaction that"
                    " wrote it was rolled back, because the revision itself ended Alembic's or because env.py does not"
                    " commit it",
                )
                run.passes[position] = replace(each, outcome=Outcome.FAILED, failure=run.failure)

    def _without_rows(self, failed: Run) -> tuple[str, Ended] | None:
        """If an upgrade failed on a statement and there were rows, record what happens without them as well.

        First without the rows of the tables that the failing revision uses, so that the other revisions still meet
        rows; if that does not help, without any rows. Returns the successful upgrade and the database that it
        started from; None if none succeeded.
        """
        if not self._rows_matter(failed):
            return None
        self._bench.progress("upgrading without rows")
        filled = self._base.filled
        out: tuple[Name, ...] = ()
        for last in (*[False] * _MOST_PARTS, True):
            more = self._base.together((*out, *blamed(failed.passes, filled)))
            out = filled if last or len(more) == len(out) else more
            before = self._base.without(self._bench, out)
            ended = self._upgrade_all(partial(self._bench.database, before))
            run, whole = ended.run, len(out) == len(filled)
            if run.ok or whole or run.failed_revision != failed.failed_revision:
                self._keep_deployed(run, out, whole)
            if run.ok:
                return before, ended
            if whole or not self._rows_matter(run):
                return None
            failed = run
        return None

    def _on_other_keys(self, failed: Run) -> Ended | None:
        """If an upgrade failed because a row that it inserts has the key of a generated one, continue with generated
        rows that have other keys. Nobody knows which keys the rows of production have, and everything else should be
        observed with rows. Returns the upgrade on these; None if it fails on such a key again, or if it failed for
        another reason.
        """
        before, trials, tried = self._base, [*self._trials], set[str]()
        with self._bench.looking("generated rows with other keys"):
            while (constraint := self._collision(failed)) is not None and constraint not in tried:
                tried.add(constraint)
                elsewhere = self._base.apart(self._bench, constraint)
                if elsewhere is None:
                    break
                self._trials += (replace(p, collided=True) for p in failed.passes if p.outcome is Outcome.FAILED)
                self._base = elsewhere
                ended = self._deployed()
                if self._collision(ended.run) is None:
                    return ended
                failed = ended.run
        self._base, self._trials[:] = before, trials
        return None

    def _collision(self, failed: Run) -> str | None:
        return other_keys.constraint_of(failed.failure) if failed.passes and self._rows_matter(failed) else None

    def _look_at_sequences(self) -> None:
        """See whether the upgrade leaves the sequences of the tables behind into which it inserts taken keys."""
        for each in [each for each in self._trials if each.collided]:
            constraint = other_keys.constraint_of(each.failure)
            assert constraint is not None
            with self._bench.looking(f"sequences after revision {each.revision}"):
                behind = other_keys.behind_if_empty(self._bench, self._base, constraint)
                self._behind += ((each.revision, counter) for counter in behind)

    def _keep_deployed(self, run: Run, out: Sequence[Name], whole: bool) -> None:
        """Keep the passes of an upgrade that met no rows in the tables `out`. `whole` means that these are all
        filled tables.
        """
        known = {each.revision for each in self._passes if each.outcome is Outcome.OK and each.rows}
        for each in run.passes:
            met = each.outcome is Outcome.FAILED or not any(
                name.matches(other) for name in locked([each]) for other in out
            )
            rows = met and not whole
            if not (rows and each.revision in known):
                self._passes.append(replace(each, rows=rows))

    def _rows_matter(self, run: Run) -> bool:
        """Return whether a failure may be caused by the rows in the tables."""
        failure = run.failure
        if not self._base.filled or failure is None:
            return False
        return failure.kind in {FailureKind.STATEMENT, FailureKind.RAISED}

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
        if not run.ok and chain.rows and self._rows_matter(run):
            chain.start_over(self._base.empty(self._bench))
            departure = self._departure(revision, chain.database, chain.replayable)
            run = chain.step(revision, Direction.UPGRADE)
            self._keep(run, chain.rows)
        # otherwise it may run in one upgrade with the revisions before it, and fail only when it runs by itself
        if not run.ok and (run.out_of_time or not (self._deployed_well(revision) and chain.jump(revision))):
            both = (Direction.DOWNGRADE, Direction.UPGRADE_AGAIN)
            self._skip(revision, both, self._unless_late(run, "its upgrade failed"))
            blocked = self._unless_late(run, f"the upgrade of {revision.id} before it fails")
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

    def _try_old_code(self, revision: Revision, chain: Chain) -> None:
        """Let the old code try the state after the upgrade of `revision`."""
        ups = [each for each in self._stepwise_of(revision.id) if each.direction is Direction.UPGRADE]
        well = [each for each in ups if each.outcome is Outcome.OK]
        self._old.stepped(revision.id, chain.start, chain.database, well, self._base.catalogue)

    def _stepwise_of(self, revision: str) -> list[Pass]:
        return [p for p in self._passes if p.revision == revision and p.rehearsal is Rehearsal.STEPWISE]

    def _deployed_well(self, revision: Revision) -> bool:
        return any(
            each.rehearsal is Rehearsal.DEPLOYED and each.outcome is Outcome.OK
            for each in self._passes
            if each.revision == revision.id
        )

    def _try_again(self, revision: Revision, upgraded: str) -> None:
        """Run its upgrade on what it has left behind, where it may have been written for that."""
        if rerun.may_differ(self._plan.root, revision, self._deployed_of(revision.id)):
            with self._bench.looking(f"another upgrade of revision {revision.id}"):
                if rerun.runs_again(self._bench, revision, upgraded):
                    self._repeatable.append(revision.id)

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

    def _trip(self, revision: Revision, departure: Departure) -> RoundTrip:
        position = self._plan.revisions.index(revision)
        return RoundTrip(self._bench.server, departure, self._bench.version_table, position)

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
            self._skip(revision, (Direction.UPGRADE_AGAIN,), self._unless_late(down, "its downgrade failed"))
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
        chain = self._chain(empty, empty, *earlier, rows=False)
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
                        for name in reached(self._deployed_of(each))
                    ]
                    wanted = tuple(dict.fromkeys((*names, *since)))[:_MOST_READ]
                    read = row_comparison.read(connection, known, wanted)
            found.append(Departure(known, self._state, read, database, replayable, worked=worked))
        return found[0] if found else None

    def _concerning(self, revision: Revision, departure: Departure) -> Departure:
        """Return `departure` with the tables that the upgrade of `revision` was observed to use."""
        ups = [p for p in self._passes if p.revision == revision.id and p.direction is Direction.UPGRADE]
        # no application uses a table yet that the same deploy creates
        new = made(run for each in self._plan.revisions for run in self._deployed_of(each.id))
        own = {name for name in new if self._base.catalogue.table(name) is None}
        tables = tuple(name for name in touched(ups) if name not in own) if self._plan.has_rows else ()
        return replace(departure, tables=tables, touched=reached(ups), changed=tuple(changed(ups)))

    def _deployed_of(self, revision: str) -> list[Pass]:
        return [p for p in self._passes if p.revision == revision and p.rehearsal is Rehearsal.DEPLOYED]

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
                self._afterwards.append(trip.afterwards)
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
            self._trials.append(replace(run.passes[-1], written=held))
        elif run.failure is not None and not run.failure.deliberate:
            self._bench.restart()
            return self._unless_late(run, run.failure.message.rstrip("."))
        return None

    def _keep(self, run: Run, rows: bool) -> None:
        self._passes += [replace(each, rows=rows) for each in run.passes]

    # -- the recording ----------------------------------------------------------------------------

    def _skip(self, revision: Revision, directions: Iterable[Direction], reason: str) -> None:
        for direction in directions:
            self._passes.append(_skipped(revision, direction, Rehearsal.STEPWISE, reason))

    def _unless_late(self, run: Run, reason: str) -> str:
        """Return why nothing follows on `run`: `reason`, or that the time was up if that is why it failed."""
        return time_is_over(self._plan) if run.out_of_time else reason

    def _skip_the_rest(self, reason: str) -> None:
        for revision in self._plan.revisions:
            if not any(each.revision == revision.id for each in self._passes):
                self._bench.skipped.append(Skipped(f"revision {revision.id}", reason))
                self._passes.append(_skipped(revision, Direction.UPGRADE, Rehearsal.DEPLOYED, reason))

    def _tell_what_never_ran(self) -> None:
        told = {each.what for each in self._bench.skipped}
        for revision in self._plan.revisions:
            passes = [each for each in self._passes if each.revision == revision.id]
            reason = next((each.reason for each in passes if each.reason), None)
            never = passes and all(each.outcome is Outcome.SKIPPED for each in passes)
            if never and reason and f"revision {revision.id}" not in told:
                self._bench.skipped.append(Skipped(f"revision {revision.id}", reason))

    def _recording(self, errors: tuple[str, ...]) -> Recording:
        self._tell_what_never_ran()
        server, environment = self._bench.described
        old_code, models = self._old.result(self._passes)
        made = Recording(
            tool=__version__,
            mode=Mode.OBSERVED,
            revisions=self._plan.revisions,
            passes=tuple(self._passes),
            skipped=(*self._bench.skipped, *self._bench.privileged),
            server=server,
            environment=environment,
            transactions=self._bench.mode,
            history=self._plan.history,
            base=self._base.catalogue,
            tree=self._plan.tree,
            errors=errors,
            trials=tuple(self._trials),
            old_code=old_code,
            new_code=self._new.result(),
            models=models,
            control=self._control,
            afterwards=other_keys.with_counters(self._afterwards, self._behind),
            repeatable=tuple(self._repeatable),
            hidden=self._base.hidden,
            failing_old=self._base.failing,
            base_origin=self._bench.origin,
        )
        return scale.told_in(made, self._scale)


def _skipped(revision: Revision, direction: Direction, rehearsal: Rehearsal, reason: str) -> Pass:
    return Pass(revision.id, direction, rehearsal, Outcome.SKIPPED, reason=reason)
