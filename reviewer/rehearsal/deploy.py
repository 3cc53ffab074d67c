"""The rehearsal: run the new revisions on a throw-away server and record what happens.

The same revisions are rehearsed twice. *Deployed*: base to head in one `upgrade`, as a deploy does it; this is
where locks are judged. *Stepwise*: each revision up, down, up; this is where reversibility is judged. A failure is
believed only after it has occurred again in a fresh process, on a fresh clone of the base state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reviewer import __version__
from reviewer.host.guardian import Guardian
from reviewer.recording import (
    Afterwards,
    Ambiguous,
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
    Scale,
    Skipped,
    Uncopied,
)
from reviewer.rehearsal import ambiguous_updates, base_state, control, other_keys, scale, uncopied_rows, unrun
from reviewer.rehearsal.base_state import BaseState
from reviewer.rehearsal.interpreter import Runner
from reviewer.rehearsal.lanes import Lanes
from reviewer.rehearsal.new_code_trial import NewTrial
from reviewer.rehearsal.obstacles import (
    Stop,
    check_touched,
    environment_failed,
    not_run,
    unreadable,
    way_out_of_nothing,
    with_way_out,
)
from reviewer.rehearsal.old_code_trial import OldTrial
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import Upgrade
from reviewer.rehearsal.reader import Run, time_is_over
from reviewer.rehearsal.round_trip import (
    asks_for_rows,
    blamed,
    locked,
    reads_rows,
    touched,
)
from reviewer.rehearsal.segments import NotReached, Segments
from reviewer.rehearsal.stepwise import Stepwise
from reviewer.rehearsal.version_table import stamped
from reviewer.rehearsal.workbench import Ended, NeedsSuperuser, Progress, Workbench
from reviewer.sql.names import Name, listed

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer
    from reviewer.rows.bounds import Bound

_ENOUGH = 20.0
_MANY_TIMES = 10
"""An upgrade of the worst rows, of which there are few, that takes both these seconds and as many times what that of
ordinary rows has taken does not end."""
_MOST_PARTS = 4
"""How many times an upgrade that fails on generated rows is tried again with part of them."""


def rehearse(
    plan: Plan,
    server: Future[RunningServer],
    guardian: Guardian,
    folder: Path,
    progress: Progress = lambda _: None,
    runner: Callable[..., Runner] | None = None,
    lanes: Lanes | None = None,
) -> Recording:
    """Run everything in `plan` and record what happens.

    `server` may still be starting: the project's interpreter starts in parallel. `runner` creates the interpreter's
    process instead of the plan's, and takes the arguments of `RunnerProcess`. Many revisions are divided among `lanes`.
    Whatever goes wrong in the project is part of the recording. Raises `ReviewerError` only if there is no server or no interpreter.
    """
    bench = Workbench(plan, server, guardian, folder, progress, runner)
    rehearsal = _Rehearsal(bench, lanes or Lanes())
    try:
        return rehearsal.run()
    finally:
        rehearsal.close()


class _Rehearsal:
    def __init__(self, bench: Workbench, lanes: Lanes) -> None:
        self._bench = bench
        self._plan = bench.plan
        self._passes: list[Pass] = []
        self._trials: list[Pass] = []
        self._base = BaseState()
        self._lanes = lanes
        self._old = OldTrial(bench)
        self._new = NewTrial(bench)
        self._control = Control()
        self._scale: Scale | None = None
        self._afterwards: list[Afterwards] = []
        self._repeatable: list[str] = []
        self._ambiguous: tuple[Ambiguous, ...] = ()
        self._uncopied: tuple[Uncopied, ...] = ()
        self._behind: list[tuple[str, Counter]] = []
        """Sequences that a revision leaves behind the rows which it inserts into an empty table."""

    def run(self) -> Recording:
        errors: tuple[str, ...] = ()
        self._bench.greet()
        try:
            self._base = base_state.prepare(self._bench, self._old.code)
            self._with_the_privileges_it_needs()
            self._passes = unrun.told(self._bench, self._passes)
            self._control = control.ask(self._bench, self._base.database)
            self._scale = scale.measure(self._bench, self._base, self._passes)
        except Stop as stop:
            errors = (str(stop),)
            self._skip_the_rest(str(stop).split("\n")[0])
        else:
            errors = tuple(self._not_done_in_time()) or tuple(self._never_upgraded())
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
        self._passes, self._trials, self._afterwards, self._behind, self._repeatable = [], [], [], [], []
        self._ambiguous, self._uncopied = (), ()
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

    def _never_upgraded(self) -> Iterator[str]:
        """Revisions of which no upgrade ran, where no failure of an earlier one says why: nothing of them has been seen."""
        left = self._never_ran()
        if left and not any(each.outcome is Outcome.FAILED for each in self._passes):
            first = next(iter(left.values()))
            yield f"Revision{'s' * (len(left) > 1)} {listed(list(left))} could not be run: {first}."

    def close(self) -> None:
        self._old.close()
        self._bench.close()

    # -- the rehearsals ---------------------------------------------------------------------------

    def _everything(self) -> None:
        """The two rehearsals, and what is tried besides."""
        self._rehearse()
        self._look_at_sequences()
        self._on_no_rows()
        self._on_worst_rows()

    def _rehearse(self) -> None:
        with Segments(self._bench, self._base, self._lanes) as segments:
            self._rehearse_in(segments)

    def _rehearse_in(self, segments: Segments) -> None:
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
            for each in self._step_by_step(segments, deployed, before, well):
                self._passes += each.passes
                self._trials += each.trials
                self._afterwards += each.afterwards
                self._repeatable += each.repeatable
        except NeedsSuperuser:
            raise  # everything is tried again
        except BaseException:
            self._conclude(base.database)
            raise
        self._conclude(base.database)

    def _step_by_step(self, segments: Segments, deployed: Ended, before: str, well: Ended | None) -> list[Stepwise]:
        """Rehearse each revision by itself. `well` is the deploy that succeeded, from the state in the database
        `before`; None if none did.
        """
        bench, base, passes = self._bench, self._base, [*self._passes]
        whole = Stepwise(bench, base, passes, self._old, self._new)
        if len(self._plan.revisions) == 1:
            whole.run_alone(well or deployed, before, well is not None)
            return [whole]
        if well is not None and before == base.database:
            with suppress(NotReached):
                return segments.run(base, passes, self._old, self._new)
        chain = whole.chain(base.database, bench.database(base.database))
        whole.run(self._plan.revisions, chain, bench.databases)
        return [whole]

    def _conclude(self, database: str) -> None:
        """Collect what the old code and the new one have shown, from the base state in `database` on."""
        self._old.finish()
        self._new.finish()
        self._old.compare(database)

    def _told_end(self, database: str) -> None:
        end = self._plan.end
        if end is None:
            return
        from reviewer.rehearsal import catalogue_snapshot

        bench = self._bench
        with bench.looking("the schema that the deploy leads to"), bench.server.connect(database) as connection:
            marked = self._base.marked
            end.snapshot = catalogue_snapshot.take(connection, bench.version_table, bench.server.roles, marked)

    @property
    def _well_on_rows(self) -> list[Pass]:
        """The passes of the deploy, if all of them met rows and succeeded; empty otherwise."""
        deployed = [each for each in self._passes if each.rehearsal is Rehearsal.DEPLOYED]
        return deployed if all(each.outcome is Outcome.OK and each.rows for each in deployed) else []

    def _on_no_rows(self) -> None:
        """If the upgrade asks for rows and succeeds, run it on the tables as a fresh install has them: with no row but
        those of the history.
        """
        origin = self._bench.origin
        fresh = origin.kind != "models" and not origin.schema
        if not (fresh and asks_for_rows(self._well_on_rows, self._base.filled)):
            return
        self._bench.progress("upgrading empty tables")
        with self._bench.looking("the upgrade of empty tables"):
            start = partial(self._base.empty, self._bench)
            run = self._bench.believed(Upgrade(to=tuple(self._plan.heads)), start, observe=False).run
            if not run.ok and run.failed_revision is not None and self._base.rows_matter(run):
                self._trials.append(replace(run.passes[-1], rehearsal=Rehearsal.DEPLOYED, rows=False))

    def _on_worst_rows(self) -> None:
        """If the upgrade reads rows and succeeds on ordinary ones, upgrade the worst rows that the schema allows.

        This comes last, because a process in which an upgrade has failed is not used again.
        """
        deployed = self._well_on_rows
        used = dict.fromkeys((*touched(deployed), *sorted(locked(deployed), key=str)))
        tables = [name for name in used if any(name.matches(filled) for filled in self._base.filled)]
        if not tables:  # their rows are those that the history makes
            start = partial(self._bench.database, self._base.database)
            self._uncopied = uncopied_rows.among(self._bench.server, deployed, start)
        if not (tables and reads_rows(deployed)):
            return
        from reviewer.rows import bounds

        self._bench.progress("upgrading the worst rows that the schema allows")
        with self._bench.looking("the worst rows that the schema allows"):
            state = self._base.database
            left = {each.id for each in self._plan.revisions}
            sent = [statement.sql for each in deployed for statement in each.statements]
            added = [bound for sql in sent for bound in bounds.of(sql)]
            while (failed := self._upgrade_worst(state, tables, added, sent)) is not None:
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
                    self._bench.skip(what, self._bench.unless_late(ended.run, "its upgrade fails on its own"))
                    return

    def _upgrade_worst(
        self, state: str, tables: Iterable[Name], added: Iterable[Bound], sent: Iterable[str]
    ) -> Run | None:
        """Upgrade a copy of `state` with the worst rows in `tables`. Returns the failure that these rows cause;
        None if there is none.
        """
        from reviewer.rows import worst

        def start() -> str:
            database = self._bench.database(state)
            with self._bench.server.connect(database) as connection:
                worst.make(connection, tables, added, sent)
            return database

        took = sum(each.seconds for each in self._passes if each.rehearsal is Rehearsal.DEPLOYED)
        limit = max(_ENOUGH, _MANY_TIMES * took)
        ended = self._bench.believed(Upgrade(to=tuple(self._plan.heads)), start, observe=False, seconds=limit)
        run = ended.run
        if run.ok:
            self._uncopied = uncopied_rows.among(self._bench.server, run.passes, start)
            ran = {each.revision for each in run.passes}
            deployed = [each for each in self._well_on_rows if each.revision in ran]
            with self._bench.looking("which of several rows an UPDATE takes"):
                self._ambiguous = ambiguous_updates.among(self._bench.server, deployed, ended.database, start)
            return None
        endless = run.failure is not None and run.failure.kind is FailureKind.TIMEOUT and not self._bench.is_late()
        if run.failed_revision is not None and (endless or self._base.rows_matter(run)):
            if other_keys.has_collided(run, self._trials):
                return run
            self._trials.append(replace(run.passes[-1], rehearsal=Rehearsal.DEPLOYED, worst=True))
            return run
        assert run.failure is not None
        why = f"the upgrade failed for a reason other than its rows: {run.failure.message.rstrip('.')}"
        self._bench.skip("the worst rows that the schema allows", self._bench.unless_late(run, why))
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
            failed = self._bench.unless_late(run, f"a revision before it failed{out}")
            reason = "the upgrade did not run it" if run.ok else failed
            run.passes.append(not_run(revision, Direction.UPGRADE, Rehearsal.DEPLOYED, reason))
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
        if not self._base.rows_matter(failed):
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
            if whole or not self._base.rows_matter(run):
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
        return (
            other_keys.constraint_of(failed.failure) if failed.passes and self._base.rows_matter(failed) else None
        )

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

    # -- the recording ----------------------------------------------------------------------------

    def _skip_the_rest(self, reason: str) -> None:
        for revision in self._plan.revisions:
            if not any(each.revision == revision.id for each in self._passes):
                self._bench.skipped.append(Skipped(f"revision {revision.id}", reason))
                self._passes.append(not_run(revision, Direction.UPGRADE, Rehearsal.DEPLOYED, reason))

    def _tell_what_never_ran(self) -> None:
        told = {each.what for each in self._bench.skipped}
        for revision, reason in self._never_ran().items():
            if f"revision {revision}" not in told:
                self._bench.skipped.append(Skipped(f"revision {revision}", reason))

    def _never_ran(self) -> dict[str, str]:
        """The revisions of which every pass was skipped, each with the first reason."""
        found: dict[str, str] = {}
        for revision in self._plan.revisions:
            passes = [each for each in self._passes if each.revision == revision.id]
            reason = next((each.reason for each in passes if each.reason), None)
            if reason and all(each.outcome is Outcome.SKIPPED for each in passes):
                found[revision.id] = reason
        return found

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
            ambiguous=self._ambiguous,
            uncopied=self._uncopied,
            failing_old=self._base.failing,
            base_origin=self._bench.origin,
        )
        return scale.told_in(made, self._scale)
