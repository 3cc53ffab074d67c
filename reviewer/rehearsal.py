"""The rehearsal: run the new revisions on a throw-away server and write down what happened.

Two rehearsals of the same revisions. *Deployed*: base to head in one `upgrade`, as a deploy does it; locks are
judged there. *Stepwise*: each revision up, down, up; reversibility is judged there. A failure is believed only after
it was seen again in a fresh process, on a fresh clone of the base state.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from reviewer import __version__
from reviewer.blockade import Blockade
from reviewer.errors import ReviewerError, ServerError
from reviewer.events import Hello
from reviewer.guardian import Guardian
from reviewer.interpreter import OWN_LOCK_TIMEOUT, Answer, RunnerProcess
from reviewer.names import Name
from reviewer.old_code import OldProcess, OldSource, Trial, Unavailable, affected
from reviewer.plan import Plan
from reviewer.postgres.server import MAKE_ROOM
from reviewer.reader import Reader, Run, time_is_over
from reviewer.recording import (
    NOT_THERE,
    Broken,
    Catalogue,
    Direction,
    Environment,
    Failure,
    FailureKind,
    Lock,
    Mode,
    Models,
    Origin,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Revision,
    Server,
    Skipped,
    Statement,
    TransactionMode,
)
from reviewer.roundtrip import Departure, RoundTrip, made, reached, reads_rows, touched

if TYPE_CHECKING:
    from reviewer.plans import HeldPlans
    from reviewer.postgres import Address, RunningServer
    from reviewer.snapshot import Snapshot

Progress = Callable[[str], None]

_ABOUT_VALUES = frozenset({"22", "23"})
"""Classes of SQLSTATEs that say something about a value: it does not fit, or a constraint refuses it."""

_MOST_READ = 100
"""Before one revision the rows of no more tables than that are read; of what it touches beyond, nothing is claimed."""

_NUMBERS = itertools.count(1)
"""For names of databases: several trees share one server."""


class _Stop(Exception):
    """The rest cannot be rehearsed; the sentence says why."""

    def __init__(self, sentence: str, way_out: str = "") -> None:
        super().__init__(f"{sentence}\n{way_out}".strip())


def rehearse(
    plan: Plan,
    server: Future[RunningServer],
    guardian: Guardian,
    folder: Path,
    progress: Progress = lambda _: None,
    runner: Callable[..., RunnerProcess] = RunnerProcess,
) -> Recording:
    """Run everything in `plan` and tell what happened.

    `server` may still be starting: the project's interpreter starts beside it. `runner` makes its process, from the
    arguments of `RunnerProcess`. What goes wrong in the project is in
    the recording; raises `ReviewerError` only where there is no server or no interpreter.
    """
    rehearsal = _Rehearsal(plan, server, guardian, folder, progress, runner)
    try:
        return rehearsal.run()
    finally:
        rehearsal.close()


class _Rehearsal:
    def __init__(
        self,
        plan: Plan,
        server: Future[RunningServer],
        guardian: Guardian,
        folder: Path,
        progress: Progress,
        runner: Callable[..., RunnerProcess],
    ) -> None:
        self._runner = runner
        self._plan = plan
        self._server_to_be = server
        self._guardian = guardian
        self._folder = folder
        self._progress = progress
        self._deadline = time.monotonic() + plan.timeout
        self._process: RunnerProcess | None = None
        self._hello: Hello | None = None
        self._fresh_each = False
        self._passes: list[Pass] = []
        self._skipped: list[Skipped] = []
        self._mode = TransactionMode()
        self._driver = ""
        self._version_table = Run.version_table
        self._last = ""
        self._base = Catalogue()
        self._state: Snapshot | None = None
        self._trials: list[Pass] = []
        self._filled: tuple[Name, ...] = ()
        self._confirmed: set[tuple[str | None, str]] = set()
        self._start_process()
        self._old = Trial(plan.old, self._start_old, plan.no_old)
        self._models = Models()
        self._broke_in: dict[Broken, str] = {}

    @property
    def _server(self) -> RunningServer:
        return self._server_to_be.result()

    def run(self) -> Recording:
        errors: tuple[str, ...] = ()
        assert self._process is not None
        try:
            self._hello = self._process.hello()
        except ReviewerError:
            self._server_to_be.cancel()
            raise
        try:
            base = self._prepare_base()
            self._rehearse(base)
            self._on_worst_rows(base)
        except _Stop as stop:
            errors = (str(stop),)
            self._skip_the_rest(str(stop).split("\n")[0])
        else:
            errors = tuple(self._not_done_in_time())
        return self._recording(errors)

    def _not_done_in_time(self) -> Iterator[str]:
        late = {each.revision for each in self._passes if each.reason == time_is_over(self._plan)}
        if late:
            yield (
                f"The rehearsal was not done within {self._plan.timeout:g} seconds: {len(late)} of"
                f" {len(self._plan.revisions)} revisions were not rehearsed, or not in every direction.\n"
                "Give it more time with --timeout SECONDS, or review fewer revisions at once."
            )

    def close(self) -> None:
        self._old.close()
        if self._process is not None:
            self._process.close()
            self._process = None

    # -- base state -------------------------------------------------------------------------------

    def _prepare_base(self) -> str:
        from reviewer import catalogue, rows, snapshot
        from reviewer import schema_file as seed_file

        base = self._build_base()
        with self._server.connect(base) as connection:
            if self._plan.seed is not None:
                seed_file.apply(connection, self._plan.seed, "seed", "Make it fit the schema of the base revision.")
            if self._plan.seed_command is not None:
                self._run_seed_command(self._plan.seed_command, base)
            filled = rows.fill(connection, catalogue.read(connection), self._plan.rows, self._version_table)
            self._state = snapshot.take(connection, self._version_table)
        self._base, self._filled = filled.catalogue, filled.tables
        self._skipped += filled.skipped
        return base

    def _run_seed_command(self, command: str, database: str) -> None:
        from reviewer import seed

        self._progress("running the seed command")
        address = self._server.address
        found = seed.variables(address, database, database_url(address, database))
        environ = {**found, **self._plan.environ, **self._urls(database)}
        left = self._deadline - time.monotonic()
        seed.run(command, self._plan.setup.directory, environ, left, self._guardian)

    def _apply_base_schema(self, database: str) -> None:
        from reviewer.schema_file import apply

        assert self._plan.base_schema is not None
        with self._server.connect(database) as connection:
            apply(connection, self._plan.base_schema)

    def _build_base(self) -> str:
        base = self._before_history()
        if self._plan.from_models:
            self._make_from_models(base)
            return base
        if not self._plan.base_heads:
            return base
        self._progress("bringing the database to the base revision")
        command = {"do": "upgrade", "to": list(self._plan.base_heads)}
        run = self._run(command, base, observe=False)
        if not run.ok and not _final(run.failure):
            self._restart()
            if self._plan.stage is not None:
                self._plan.stage.database = ""  # what does not run in parts may run as a whole
            base = self._before_history()
            run = self._run(command, base, observe=False)
        if run.ok:
            self._check_touched(run, None)
            if self._plan.stage is not None:
                self._plan.stage.database = self._database(base)
            return base
        assert run.failure is not None
        failure = run.failure
        if run.failed_revision is None:
            raise _Stop(*self._environment_failed(failure))
        if self._plan.stage is not None and failure.kind is not FailureKind.TIMEOUT:
            self._plan.stage.failed = run.failed_revision
        raise _Stop(*self._not_from_empty(run))

    def _not_from_empty(self, run: Run) -> tuple[str, str]:
        assert run.failure is not None
        where = f" at {run.failure.location}" if run.failure.location else ""
        if run.failure.kind is FailureKind.TIMEOUT:
            return (
                f"The history did not reach the base revision within {self._plan.timeout:g} seconds: revision"
                f" {run.failed_revision} was running{where}.",
                "Give it more time with --timeout SECONDS, or the schema to start from with --base-schema FILE.",
            )
        reason = f"revision {run.failed_revision} failed{where}: {run.failure.message.rstrip('.')}."
        if run.failure.kind is FailureKind.RAISED:
            return (
                f"The history did not reach the base revision: {reason}",
                "If it needs what the application sets up, give that with --launcher MODULE:FUNCTION, --env NAME=VALUE"
                " or -x NAME=VALUE; if it needs tables or rows, with --base-schema FILE.",
            )
        return (
            f"The history does not run from an empty database: {reason}",
            "Give the schema that it starts from with --base-schema FILE: plain SQL, for example from pg_dump;"
            " an alembic_version table in it says where the history goes on.",
        )

    def _starts_from_something(self, run: Run) -> bool:
        """Whether a whole history fails because something is missing, before it has made a single table."""
        failure = run.failure
        return (
            not self._plan.base_heads
            and self._plan.base_schema is None
            and failure is not None
            and failure.sqlstate in NOT_THERE
            and not any(_makes_table(s) for each in run.passes for s in each.statements)
        )

    def _way_out_of_nothing(self, run: Run) -> str:
        """What helps where a history fails on a table that none of its revisions has made."""
        missing = _NO_RELATION.search(run.failure.message) if run.failure else None
        if missing is None or self._plan.base_heads or self._plan.base_schema is not None:
            return ""
        made = {lock.relation.name for p in run.passes for s in p.statements for lock in _new_tables(s)}
        if missing.group(1) in made:
            return ""
        return (
            f" on `{missing.group(1)}`, which no revision makes: if it is there before the history, give it with"
            " --base-schema FILE"
        )

    def _before_history(self) -> str:
        """A database in the state in which the project's history begins."""
        stage = self._plan.stage
        if stage is not None and stage.database:
            return self._database(stage.database)
        database = self._database()
        if self._plan.base_schema is not None:
            self._progress("applying the base schema")
            self._apply_base_schema(database)
        return database

    def _make_from_models(self, database: str) -> None:
        if not self._old.wanted:
            raise _Stop(
                f"The base state cannot be made from models: {self._plan.no_old or 'there is no base commit'}.",
                "Review with --base REF in a git repository, or give the schema with --base-schema FILE.",
            )
        self._progress("making the base state from the models of the base commit")
        try:
            self._old.create({**self._command(database), "do": "create", "stamp": list(self._plan.base_heads)})
        except Unavailable as error:
            raise _Stop(
                f"The base state cannot be made from the models of the base commit: {error}.",
                "Give the schema with --base-schema FILE.",
            ) from None

    def _environment_failed(self, failure: Failure) -> tuple[str, str]:
        where = f" at {failure.location}" if failure.location else ""
        message = failure.message.rstrip(".")
        loading = failure.location is not None and not failure.location.path.endswith("env.py")
        what = "A revision file" if loading else "env.py"
        match failure.kind:
            case FailureKind.IMPORT:
                return (
                    f"{what} could not be imported{where}: {message}.",
                    "Install what it needs in the project's interpreter, or say with --python which interpreter has it.",
                )
            case FailureKind.NO_DRIVER:
                return (f"{message}.", "Install one there, for example `pip install psycopg[binary]`.")
            case FailureKind.TIMEOUT:
                return (
                    f"env.py did not end within {self._plan.timeout:g} seconds{where}.",
                    "Give it more time with --timeout SECONDS, or see what it waits for.",
                )
            case FailureKind.EXITED:
                said = self._said_at_last()
                return (f"env.py ended the process{where}: {message}{said}.", "See what it needs to go on.")
            case _ if failure.sqlstate in NOT_THERE:
                return (
                    f"{what} failed{where}: {message}.",
                    "If it is there before Alembic runs, give it with --base-schema FILE: plain SQL, for example from"
                    " pg_dump.",
                )
            case _:
                return (
                    f"{what} failed{where}: {message}.",
                    "If it needs settings, give them with --env NAME=VALUE ({url} stands for the throw-away database),"
                    " --pass-env NAME, -x NAME=VALUE or --launcher MODULE:FUNCTION.",
                )

    def _said_at_last(self) -> str:
        """What the project has printed before it gave up; it is not used any more."""
        if self._process is None:
            return ""
        self._process.close()
        return self._process.last_words()

    def _check_touched(self, run: Run, expected: Sequence[Revision] | None) -> None:
        if run.called == 0:
            raise _Stop(
                "env.py ran to its end without running migrations.",
                "Make sure that it calls context.run_migrations() when it is not in offline mode.",
            )
        if run.connected == 0 or (expected and not any(p.statements for p in run.passes)):
            raise _Stop(
                "env.py ran the migrations without touching the throw-away database.",
                "The reviewer redirects every SQLAlchemy engine; a connection that is made without SQLAlchemy"
                " has to come from --env NAME={url}.",
            )
        if run.again:
            self._skip_once(
                "further databases", "env.py runs migrations on several databases; only the first was rehearsed"
            )

    # -- the rehearsals ---------------------------------------------------------------------------

    def _rehearse(self, base: str) -> None:
        deployed = self._database(base)
        plans = self._hold_plans(deployed)
        run = self._deployed(deployed, base)
        self._passes += run.passes
        if plans is not None:
            self._old.stale = plans.stale() if run.ok and self._last == deployed else ()
            plans.close()
        if run.ok:
            self._begin_old_code(base, self._last)
        try:
            self._step_by_step(base, deployed, run)
        finally:
            self._end_old_code(base)

    def _step_by_step(self, base: str, deployed: str, run: Run) -> None:
        revisions = self._plan.revisions
        if len(revisions) == 1:
            if run.ok:
                departure = self._departure(revisions[0], base)
                self._there_and_back(revisions[0], _Chain(self, base, deployed, [revisions[0].id]), departure)
                return
            empty = self._without_rows(run, base)
            if empty:
                before = self._empty(base)
                chain = _Chain(self, before, empty, [revisions[0].id])
                self._there_and_back(revisions[0], chain, self._departure(revisions[0], before), rows=False)
                return
            both = (Direction.DOWNGRADE, Direction.UPGRADE_AGAIN)
            self._skip(revisions[0], both, self._unless_late(run, "its upgrade failed"))
            return
        if not run.ok:
            self._without_rows(run, base)
        self._stepwise(_Chain(self, base, self._database(base), []), base)

    def _on_worst_rows(self, base: str) -> None:
        """Where the upgrade looks at rows and ordinary ones let it pass: the worst that the base state allows.

        The last thing that is done, because a process in which it has failed is not used again.
        """
        deployed = [each for each in self._passes if each.rehearsal is Rehearsal.DEPLOYED]
        tables = [name for name in touched(deployed) if any(name.matches(filled) for filled in self._filled)]
        well = all(each.outcome is Outcome.OK and each.rows for each in deployed)
        if self._is_late() or not (deployed and well and tables and reads_rows(deployed)):
            return
        from reviewer.rows import worst

        self._progress("upgrading the worst rows that the schema allows")
        with self._looking(self._plan.revisions[0]):
            database = self._database(base)
            with self._server.connect(database) as connection:
                worst.make(connection, tables)
            run = self._run({"do": "upgrade", "to": [r.id for r in self._heads()]}, database, observe=False)
            if not run.ok and run.failed_revision is not None and self.rows_matter(run):
                self._trials.append(replace(run.passes[-1], rehearsal=Rehearsal.DEPLOYED, worst=True))

    # -- the code of the base commit, and the models --------------------------------------------------

    def _begin_old_code(self, base: str, deployed: str) -> None:
        """Look at the models while the upgraded state is there, and let the old code try its statements beside."""
        if not self._old.wanted:
            return
        tables = affected(self._passes)
        if tables is None or tables:
            self._progress("trying the statements of the base commit's code")
            before, after = self._database(base), self._database(deployed)
            self._old.begin({**self._command(before), "head": after}, tables)
        else:
            self._old.reason = "the new revisions touch no table that was there before"
        answer = self._compare(deployed)
        if answer is not None:
            self._old.compared(answer, self._base)

    def _hold_plans(self, database: str) -> HeldPlans | None:
        """A session on `database` that has prepared its statements before the upgrade."""
        from reviewer.plans import HeldPlans

        if not self._old.wanted:
            return None
        with contextlib.suppress(ServerError):
            return HeldPlans(self._server.connect(database), self._base)
        return None

    def _compare(self, database: str) -> Answer | None:
        command = {**self._command(database), "do": "compare", "facts": True, "to": [r.id for r in self._heads()]}
        for again in (False, True):
            if self._process is None or self._fresh_each or again:
                self._restart()
            assert self._process is not None
            answer = self._process.run(command, self._deadline)
            if answer.ok:
                return answer
        self._restart()
        why = answer.failed.message.rstrip(".") if answer.failed else "it did not end"
        self._skip_once("comparison of models and migrations", why)
        return None

    def _end_old_code(self, base: str) -> None:
        if not self._old.wanted:
            return
        what = f"code of the base commit {self._plan.old.commit[:12] if self._plan.old else ''}"
        if self._old.failure():
            self._skip_once(what, self._old.reason)
        try:
            self._broke_in = self._which_revision(base)
            if self._old.disagrees:
                self._models = self._old.models(self._command(self._database(base)))
            else:
                self._models = self._old.models({})
        except Unavailable as error:
            self._old.reason = str(error)
            self._skip_once(what, str(error))

    def _which_revision(self, base: str) -> dict[Broken, str]:
        """After which revision each thing broke: by the only one, or by trying after each."""
        revisions, broken = self._plan.revisions, self._old.broke()
        if not broken or len(revisions) == 1:
            return dict.fromkeys(broken, revisions[0].id)
        found: dict[Broken, str] = {}
        database = self._database(base)
        for revision in revisions:
            run = self._run(
                {"do": "step", "revision": revision.id, "direction": "upgrade"}, database, observe=False
            )
            if not run.ok:
                break
            for each in self._old.still(database):
                for wanted in broken:
                    if (wanted.table, wanted.column) == (each.table, each.column) and wanted not in found:
                        found[wanted] = revision.id
            if len(found) == len(broken):
                break
        return found

    def _start_old(self, source: OldSource) -> OldProcess:
        plan = self._plan
        return OldProcess(source, plan.setup, plan.interpreter, plan.environ, self._folder, self._guardian)

    def _command(self, database: str) -> dict[str, object]:
        """What every command says: where the database is."""
        return {
            "database": database,
            "address": address_for_runner(self._server.address),
            "observe": False,
            "environ": self._urls(database),
        }

    def _deployed(self, database: str, base: str) -> Run:
        self._progress("upgrading as a deploy does")
        command = {"do": "upgrade", "to": [r.id for r in self._heads()]}
        run = self._run(command, database, Rehearsal.DEPLOYED)
        if not run.ok and not _final(run.failure):
            self._restart()
            again = self._run(command, self._database(base), Rehearsal.DEPLOYED)
            if again.ok:
                self._fresh_each = True
            run = again
            self._confirm(run)
        if run.ok:
            self._check_touched(run, self._plan.revisions)
            self._check_stamped(run, deployed=self._last)
        elif run.failed_revision is None and not run.passes:
            assert run.failure is not None
            raise _Stop(*self._environment_failed(run.failure))
        elif self._starts_from_something(run):
            self._passes += run.passes
            raise _Stop(*self._not_from_empty(run))
        missing = [r for r in self._plan.revisions if r.id not in {p.revision for p in run.passes}]
        for revision in missing:
            failed = self._unless_late(run, f"a revision before it failed{self._way_out_of_nothing(run)}")
            reason = "the upgrade did not run it" if run.ok else failed
            run.passes.append(_skipped(revision, Direction.UPGRADE, Rehearsal.DEPLOYED, reason))
        return run

    def _check_stamped(self, run: Run, deployed: str) -> None:
        """Alembic may end well although its last transaction was rolled back: the database has the last word."""
        import psycopg
        from psycopg import sql

        table = sql.Identifier(*(part for part in (run.version_schema, run.version_table) if part))
        try:
            with self._server.connect(deployed) as connection:
                rows = connection.execute(sql.SQL("SELECT version_num FROM {}").format(table)).fetchall()
        except psycopg.Error:
            rows = []
        missing = {revision.id for revision in self._heads()} - {str(row[0]) for row in rows}
        for position, each in enumerate(run.passes):
            if each.revision in missing:
                run.failed_revision = each.revision
                run.failure = Failure(
                    FailureKind.UNSTAMPED,
                    "Alembic ended without an error, but its version number is not in the database: the transaction that"
                    " wrote it was ended by the revision itself, and what came after was rolled back",
                )
                run.passes[position] = replace(each, outcome=Outcome.FAILED, failure=run.failure)

    def _without_rows(self, failed: Run, base: str) -> str:
        """When an upgrade fails on a statement and there were rows: what happens without them is told too.

        Returns the database in which it went well; empty where it did not.
        """
        if not self.rows_matter(failed):
            return ""
        self._progress("upgrading without rows")
        empty = self._empty(base)
        run = self._run({"do": "upgrade", "to": [r.id for r in self._heads()]}, empty, Rehearsal.DEPLOYED)
        self._passes += [replace(each, rows=False) for each in run.passes]
        return empty if run.ok else ""

    def _empty(self, base: str) -> str:
        """A database in the base state as the history leaves it, without rows of ours."""
        from reviewer import rows

        database = self._database(base)
        with self._server.connect(database) as connection:
            rows.take_out(connection, self._filled)
        return database

    def rows_matter(self, run: Run) -> bool:
        """Whether a failure may be due to the rows in the tables."""
        failure = run.failure
        if not self._filled or failure is None:
            return False
        return failure.kind in {FailureKind.STATEMENT, FailureKind.RAISED}

    def confirmed(self, run: Run) -> bool:
        """Whether the very same failure was already seen in a fresh process."""
        return run.failure is not None and (run.failed_revision, run.failure.message) in self._confirmed

    def _confirm(self, run: Run) -> None:
        if run.failure is not None:
            self._confirmed.add((run.failed_revision, run.failure.message))

    def _stepwise(self, chain: _Chain, base: str) -> None:
        rows = True
        for position, revision in enumerate(self._plan.revisions):
            if self._is_late():
                self._skip(revision, tuple(Direction), time_is_over(self._plan))
                continue
            self._progress(f"revision {revision.id}: up, down, up")
            departure = self._departure(revision, chain.database, chain.replayable)
            run = chain.step(revision, Direction.UPGRADE)
            self._keep(run, rows)
            if not run.ok and rows and self.rows_matter(run):
                rows = False
                chain.start_over(self._empty(base))
                departure = self._departure(revision, chain.database, chain.replayable)
                run = chain.step(revision, Direction.UPGRADE)
                self._keep(run, rows)
            if not run.ok and not run.out_of_time and self._deployed_well(revision) and chain.jump(revision):
                # it runs in one upgrade with those before it, and only by itself it does not
                self._there_and_back(revision, chain, departure, rows)
                continue
            if not run.ok:
                both = (Direction.DOWNGRADE, Direction.UPGRADE_AGAIN)
                self._skip(revision, both, self._unless_late(run, "its upgrade failed"))
                blocked = self._unless_late(run, f"revision {revision.id} before it does not upgrade")
                for later in self._plan.revisions[position + 1 :]:
                    self._skip(later, (Direction.UPGRADE, *both), blocked)
                return
            self._there_and_back(revision, chain, departure, rows)

    def _deployed_well(self, revision: Revision) -> bool:
        return any(
            each.rehearsal is Rehearsal.DEPLOYED and each.outcome is Outcome.OK
            for each in self._passes
            if each.revision == revision.id
        )

    def _there_and_back(
        self, revision: Revision, chain: _Chain, departure: Departure | None, rows: bool = True
    ) -> None:
        departure = self._concerning(revision, departure) if departure else None
        trip = RoundTrip(self._server, departure, self._version_table) if departure else None
        if trip is not None and not self._written_between(revision, chain, trip, rows):
            trip = None
        upgraded = chain.database
        down = chain.step(revision, Direction.DOWNGRADE)
        if down.ok and trip is not None and down.passes:
            with self._looking(revision):
                # after a failure it went down in another database, without the rows that were written
                there = chain.database == upgraded
                down.passes[-1] = trip.went_down(chain.database, down.passes[-1], written=there)
        self._keep(down, rows)
        if not down.ok:
            self._skip(revision, (Direction.UPGRADE_AGAIN,), self._unless_late(down, "its downgrade failed"))
            if trip is not None and trip.upgraded is not None:
                self._state = trip.upgraded
            return
        again = chain.step(revision, Direction.UPGRADE_AGAIN)
        if again.ok and trip is not None and again.passes:
            with self._looking(revision):
                again.passes[-1], self._state = trip.went_up_again(chain.database, again.passes[-1])
        elif trip is not None and trip.upgraded is not None:
            self._state = trip.upgraded
        self._keep(again, rows)

    def _departure(self, revision: Revision, database: str, replayable: bool = True) -> Departure | None:
        """The state that `revision` starts from; None where it cannot be read.

        Which tables it touches is not known yet: in one transaction with those before it, it may find the locks that
        it needs taken. So the rows of all are read that the deploy has touched so far.
        """
        from reviewer import catalogue, contents

        assert self._state is not None
        ids = [each.id for each in self._plan.revisions]
        earlier = ids[: ids.index(revision.id)]
        found: list[Departure] = []
        with self._looking(revision):
            known = self._base
            read: tuple[contents.Rows, ...] = ()
            if self._plan.has_rows:
                with self._server.connect(database) as connection:
                    known = catalogue.read(connection) if earlier else self._base
                    since = [each.name for each in known.tables if self._base.table(each.name) is None]
                    names = [
                        name
                        for each in (revision.id, *reversed(earlier))
                        for name in reached(self._deployed_of(each))
                    ]
                    wanted = tuple(dict.fromkeys((*names, *since)))[:_MOST_READ]
                    read = contents.read(connection, known, wanted)
            found.append(Departure(known, self._state, read, database, replayable))
        return found[0] if found else None

    def _concerning(self, revision: Revision, departure: Departure) -> Departure:
        """The same with the tables that the upgrade of `revision` has been seen to touch."""
        ups = [p for p in self._passes if p.revision == revision.id and p.direction is Direction.UPGRADE]
        # a table that the same deploy makes is nobody's yet
        own = made(run for each in self._plan.revisions for run in self._deployed_of(each.id))
        tables = tuple(name for name in touched(ups) if name not in own) if self._plan.has_rows else ()
        return replace(departure, tables=tables, touched=reached(ups))

    def _deployed_of(self, revision: str) -> list[Pass]:
        return [p for p in self._passes if p.revision == revision and p.rehearsal is Rehearsal.DEPLOYED]

    def _written_between(self, revision: Revision, chain: _Chain, trip: RoundTrip, rows: bool) -> bool:
        """Write as an application would after the upgrade. A downgrade that fails on what only the new schema allows
        is told, and the way back goes on without those rows. Returns whether the states could be read.
        """
        seen = False
        with self._looking(revision):
            wrote = trip.went_up(chain.database, write=rows and self._plan.has_rows)
            seen = True
            if trip.stretches and rows:
                clone = self._database(chain.database)
                held = trip.stretch(clone)
                if held:
                    self._try_downgrade(revision, clone, held, trip)
            if wrote:
                chain.wrote()
        return seen

    def _try_downgrade(self, revision: Revision, database: str, held: tuple[str, ...], trip: RoundTrip) -> None:
        command = {"do": "step", "revision": revision.id, "direction": "downgrade"}
        run = self._run(command, database, observe=False)
        failure = run.failure
        if failure is not None and (failure.sqlstate or "")[:2] in _ABOUT_VALUES and run.passes:
            self._trials.append(replace(run.passes[-1], written=held))
        elif failure is not None and not failure.deliberate:
            self._restart()
        elif run.ok:
            trip.stretched_went_down(database)

    @contextlib.contextmanager
    def _looking(self, revision: Revision) -> Iterator[None]:
        """Looking at the database ourselves: where the server does not let us, the comparison is skipped."""
        import psycopg

        try:
            yield
        except (psycopg.Error, ServerError) as error:
            self._skip_once(f"comparison of revision {revision.id}", str(error).strip().split("\n")[0])

    def _keep(self, run: Run, rows: bool) -> None:
        self._passes += [replace(each, rows=rows) for each in run.passes]

    def _heads(self) -> list[Revision]:
        parents = {p for r in self._plan.revisions for p in (*r.down_revisions, *r.depends_on)}
        return [revision for revision in self._plan.revisions if revision.id not in parents]

    # -- running commands -------------------------------------------------------------------------

    def _run(
        self,
        command: Mapping[str, object],
        database: str,
        rehearsal: Rehearsal = Rehearsal.STEPWISE,
        again: bool = False,
        observe: bool = True,
    ) -> Run:
        if self._process is None or self._fresh_each:
            self._restart()
        assert self._process is not None
        answer = self._process.run(
            {
                **command,
                "database": database,
                "address": address_for_runner(self._server.address),
                "observe": observe,
                "environ": self._urls(database),
            },
            self._deadline,
            Blockade(self._server, database),
        )
        run = Reader(self._plan, rehearsal, again, command.get("direction") == "downgrade").read(answer)
        self._explain(run)
        if answer.timed_out or answer.exit_status is not None:
            self._process.close()
            self._process = None
        self._last = database
        self._mode = run.mode or self._mode
        self._driver = run.driver or self._driver
        self._version_table = run.version_table if run.called else self._version_table
        return run

    def _explain(self, run: Run) -> None:
        """What is the server's fault is not the revision's: a full disk ends the review, a missing extension is told."""
        failure = run.failure
        if failure is None:
            return
        if failure.sqlstate == _DISK_FULL:
            raise ServerError(f"The throw-away server has no room left: {failure.message}.", MAKE_ROOM)
        missing = _NO_EXTENSION.search(failure.message)
        if missing is None:
            return
        others = self._server.extension_sources(missing.group(1) or missing.group(2))
        ways = [f"--postgres {other.source} --postgres-version {other.major}" for other in others if other.major]
        way_out = f"use {' or '.join(dict.fromkeys(ways))}" if ways else "nothing that was found here has it"
        explained = replace(
            failure,
            message=f"{failure.message} on this {self._server.source} server; {way_out}, or name a server or an image"
            " that has it with --postgres URL or --postgres-image IMAGE",
        )
        run.passes = [replace(each, failure=explained) if each.failure == failure else each for each in run.passes]
        run.failure = explained

    def _urls(self, database: str) -> dict[str, str]:
        url = database_url(self._server.address, database)
        return {name: value.replace("{url}", url) for name, value in self._plan.environ.items() if "{url}" in value}

    def _start_process(self) -> None:
        self._process = self._runner(
            self._plan.interpreter, self._plan.setup, self._plan.environ, self._folder, self._guardian
        )

    def _restart(self) -> None:
        if self._process is not None:
            self._process.close()
        self._start_process()
        assert self._process is not None
        self._process.hello()

    def _database(self, template: str | None = None) -> str:
        if template is not None:
            # PostgreSQL clones no database that somebody is connected to, as env.py's own pool may be
            self._server.terminate_connections(template)
        return self._server.create_database(
            f"review_{next(_NUMBERS)}", template=template, settings={"lock_timeout": OWN_LOCK_TIMEOUT}
        )

    # -- the recording ----------------------------------------------------------------------------

    def _skip(self, revision: Revision, directions: Iterable[Direction], reason: str) -> None:
        for direction in directions:
            self._passes.append(_skipped(revision, direction, Rehearsal.STEPWISE, reason))

    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _unless_late(self, run: Run, reason: str) -> str:
        """Why nothing follows on `run`: its failure is no reason where it is only that the time was up."""
        return time_is_over(self._plan) if run.out_of_time else reason

    def _skip_once(self, what: str, reason: str) -> None:
        entry = Skipped(what, reason)
        if entry not in self._skipped:
            self._skipped.append(entry)

    def _skip_the_rest(self, reason: str) -> None:
        for revision in self._plan.revisions:
            if not any(each.revision == revision.id for each in self._passes):
                self._skipped.append(Skipped(f"revision {revision.id}", reason))
                self._passes.append(_skipped(revision, Direction.UPGRADE, Rehearsal.DEPLOYED, reason))

    def _tell_what_never_ran(self) -> None:
        told = {each.what for each in self._skipped}
        for revision in self._plan.revisions:
            passes = [each for each in self._passes if each.revision == revision.id]
            reason = next((each.reason for each in passes if each.reason), None)
            never = passes and all(each.outcome is Outcome.SKIPPED for each in passes)
            if never and reason and f"revision {revision.id}" not in told:
                self._skipped.append(Skipped(f"revision {revision.id}", reason))

    def _recording(self, errors: tuple[str, ...]) -> Recording:
        hello = self._hello
        self._tell_what_never_ran()
        return Recording(
            tool=__version__,
            mode=Mode.OBSERVED,
            revisions=self._plan.revisions,
            passes=tuple(self._passes),
            skipped=tuple(self._skipped),
            server=Server(self._server.version, self._server.source),
            environment=Environment(hello.python, hello.alembic, hello.sqlalchemy, self._driver)
            if hello
            else Environment(),
            transactions=self._mode,
            history=self._plan.history,
            base=self._base,
            tree=self._plan.tree,
            errors=errors,
            trials=tuple(self._trials),
            old_code=self._old.result(self._broke_in),
            models=self._models,
        )


class _Chain:
    """One database that follows the stepwise rehearsal, and how to get its state back when a step has failed."""

    # A clone costs about as much as three or four revisions: remember where we are that often.
    _EVERY = 8

    def __init__(self, rehearsal: _Rehearsal, checkpoint: str, database: str, done: list[str]) -> None:
        self._rehearsal = rehearsal
        self._base = checkpoint
        self._checkpoint = checkpoint
        self._database = database
        self._since = done
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
        """Whether a replay from the checkpoint would bring back every row that is there now."""
        return self._replayable

    def step(self, revision: Revision, direction: Direction) -> Run:
        self._settle()
        if direction is Direction.UPGRADE and len(self._since) >= self._EVERY:
            self._remember()
        run = self._run(revision.id, direction)
        fresh = False
        doubtful = self._failed_on_written(run) or not _final(run.failure)
        if not run.ok and doubtful and not self._rehearsal.confirmed(run):
            failed = run
            self._restore(revision, direction)
            run = self._run(revision.id, direction)
            if run.ok and self._failed_on_written(failed):
                trial = replace(failed.passes[-1], written=("rows written after the upgrade",))
                self._rehearsal._trials.append(trial)
            elif run.ok:
                self._rehearsal._fresh_each = True
            self._rehearsal._confirm(run)
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
        return (failure.sqlstate or "")[:2] in _ABOUT_VALUES

    def jump(self, revision: Revision) -> bool:
        """Go to the state after `revision` in one upgrade from the base state; whether that worked."""
        self._settle()
        database = self._rehearsal._database(self._base)
        command = {"do": "upgrade", "to": [revision.id]}
        if not self._rehearsal._run(command, database, observe=False).ok:
            return False
        self._checkpoint, self._since = self._rehearsal._database(database), []
        self._database, self._replayable = database, True
        return True

    def start_over(self, checkpoint: str) -> None:
        """Go on from another base, up to where this one is."""
        self._settle()
        done, self._since = self._since, []
        self._base = self._checkpoint = checkpoint
        self._database, self._replayable = self._rehearsal._database(checkpoint), True
        self._replay([*self._done_before(done)])

    def _done_before(self, since: list[str]) -> list[str]:
        """Every revision up to the last of `since`, those before the checkpoint included."""
        ids = [revision.id for revision in self._rehearsal._plan.revisions]
        last = max((ids.index(each) for each in since), default=-1)
        return ids[: last + 1]

    def _run(self, revision: str, direction: Direction) -> Run:
        way = "downgrade" if direction is Direction.DOWNGRADE else "upgrade"
        command = {"do": "step", "revision": revision, "direction": way}
        run = self._rehearsal._run(
            command, self._database, Rehearsal.STEPWISE, again=direction is Direction.UPGRADE_AGAIN
        )
        if run.out_of_time and not run.passes:
            run.passes.append(
                Pass(
                    revision,
                    direction,
                    Rehearsal.STEPWISE,
                    Outcome.SKIPPED,
                    reason=time_is_over(self._rehearsal._plan),
                )
            )
        if not run.ok and not run.passes:  # it failed before the revision's own code began
            run.failed_revision = revision
            run.passes.append(Pass(revision, direction, Rehearsal.STEPWISE, Outcome.FAILED, failure=run.failure))
        return run

    def _remember(self) -> None:
        self._rehearsal._server.terminate_connections(self._database)
        self._checkpoint = self._rehearsal._database(self._database)
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
            self._rehearsal._restart()
        self._database, self._replayable = self._rehearsal._database(self._checkpoint), True
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


_DISK_FULL = "53100"

_NO_RELATION = re.compile(r'(?:relation|table) "(?:[^".]+\.)?([^"]+)" does not exist')

_NO_EXTENSION = re.compile(r'extension "([^"]+)" is not available|/extension/([^/"]+)\.control')


def address_for_runner(address: Address) -> dict[str, object]:
    """How the runner reaches the server."""
    return {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password,
        "sslmode": None if address.is_socket else address.sslmode,
    }


def database_url(address: Address, database: str) -> str:
    """The URL of a scratch database, for env.py files that want one."""
    password = f":{quote(address.password, safe='')}" if address.password else ""
    place = "" if address.is_socket else f"{address.host}:{address.port}"
    query = f"?host={quote(address.host)}&port={address.port}" if address.is_socket else ""
    return f"postgresql://{quote(address.user, safe='')}{password}@{place}/{database}{query}"


def _skipped(revision: Revision, direction: Direction, rehearsal: Rehearsal, reason: str) -> Pass:
    return Pass(revision.id, direction, rehearsal, Outcome.SKIPPED, reason=reason)


def _final(failure: Failure | None) -> bool:
    """Whether a failure need not be seen again: its time is up, or the revision says it on purpose."""
    return failure is not None and (failure.kind is FailureKind.TIMEOUT or failure.deliberate)


def _refused_at_once(run: Run) -> bool:
    """Whether a revision says on purpose that there is no way back before it has done anything."""
    nothing_done = not any(each.statements for each in run.passes)
    return run.failure is not None and run.failure.deliberate and nothing_done


def _makes_table(statement: Statement) -> bool:
    return statement.origin is Origin.REVISION and any(_new_tables(statement))


def _new_tables(statement: Statement) -> Iterator[Lock]:
    for lock in statement.observation.locks if statement.observation else ():
        if lock.relation.new and lock.relation.is_table:
            yield lock
