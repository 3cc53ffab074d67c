"""The base state: the database as it is before the new revisions run, with rows in its tables."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from reviewer.errors import ReviewerError, ServerError
from reviewer.recording import BaseOrigin, Catalogue, FailingOld, FailureKind, Table
from reviewer.rehearsal.obstacles import Stop, check_committed, check_touched, environment_failed, not_from_empty
from reviewer.rehearsal.old_code import Trial, Unavailable
from reviewer.rehearsal.protocol import Create, Upgrade
from reviewer.rehearsal.reader import Run
from reviewer.rehearsal.version_table import stamped
from reviewer.rehearsal.workbench import Ended, Workbench
from reviewer.sql.names import Name

if TYPE_CHECKING:
    from reviewer.postgres.snapshots import Snapshot
    from reviewer.rehearsal.catalogue_snapshot import Snapshot as CatalogueSnapshot
    from reviewer.rehearsal.kept_state import KeptStates


@dataclass(frozen=True)
class BaseState:
    """A database in the state before the new revisions, and what is in it."""

    database: str = ""
    catalogue: Catalogue = Catalogue()
    filled: tuple[Name, ...] = ()
    """The tables that hold rows of ours."""
    snapshot: CatalogueSnapshot | None = None
    newest: int = 0
    """The highest oid of its relations: what has a higher one came later."""
    failing: FailingOld | None = None
    """The revision that runs with the code of the base commit only, which has made this state."""

    def without(self, bench: Workbench, tables: Iterable[Name]) -> str:
        """A database in the same state without the rows of ours in `tables`."""
        from reviewer import rows

        database = bench.database(self.database)
        with bench.server.connect(database) as connection:
            rows.take_out(connection, tables)
        return database

    def empty(self, bench: Workbench) -> str:
        """A database in the same state without the rows of ours: as the history leaves it."""
        return self.without(bench, self.filled)

    def together(self, names: Iterable[Name]) -> tuple[Name, ...]:
        """The tables with rows of ours that have to go when those in `names` go: what is a part of the same table,
        and what refers to a row of theirs.
        """
        gone = {table.name for table in self.catalogue.tables if any(table.name.matches(name) for name in names)}
        while True:
            more = {
                table.name
                for table in self.catalogue.tables
                if table.name not in gone
                and (
                    any(self._is(each.referenced, gone) for each in table.constraints)
                    or self._is(table.partition_of, gone)
                    or any(self._is(part.partition_of, {table.name}) for part in self._of(gone))
                )
            }
            if not more:
                return tuple(each for each in self.filled if self._is(each, gone))
            gone |= more

    def _of(self, names: set[Name]) -> Iterable[Table]:
        return (table for table in self.catalogue.tables if table.name in names)

    @staticmethod
    def _is(name: Name | None, names: set[Name]) -> bool:
        return name is not None and any(name.matches(each) for each in names)

    def refill(self, bench: Workbench, database: str, after: str) -> bool:
        """Put rows into the tables of `database`, which is in the state after the revision `after`, that were there
        in the base state and hold none. Whether there are any; a table that had some and takes none now is told as
        skipped.
        """
        from reviewer import rows
        from reviewer.rehearsal import catalogue

        with bench.server.connect(database) as connection:
            known = catalogue.read(connection)
            filled = rows.fill(connection, known, bench.plan.rows, bench.version_table, newest=self.newest)
        already = {each.what for each in bench.skipped}
        for each in filled.skipped:
            if each.what not in already:
                bench.skip(f"{each.what} after revision {after}", each.reason)
        return bool(filled.tables)


def prepare(bench: Workbench, old: Trial) -> BaseState:
    """Run the history up to the base revision, or what stands for it, and fill the tables.

    Raises `Stop` where the history does not get there, `ReviewerError` where a file or command of the user's fails.
    """
    from reviewer import rows
    from reviewer.rehearsal import base_schema, catalogue, catalogue_snapshot

    plan = bench.plan
    base, failing = _build(bench, old)
    with bench.server.connect(base) as connection:
        if plan.seed is not None:
            base_schema.apply(connection, plan.seed, "Make it fit the schema of the base revision.")
        if plan.seed_command is not None:
            _run_seed_command(bench, plan.seed_command, base)
        filled = rows.fill(connection, catalogue.read(connection), plan.rows, bench.version_table)
        state = catalogue_snapshot.take(connection, bench.version_table, bench.server.roles)
        newest = connection.execute(
            "SELECT coalesce(pg_catalog.max(oid), 0)::bigint FROM pg_catalog.pg_class"
        ).fetchone()
    bench.skipped += filled.skipped
    return BaseState(base, filled.catalogue, filled.tables, state, newest[0] if newest else 0, failing)


def _run_seed_command(bench: Workbench, command: str, database: str) -> None:
    from reviewer.rehearsal import seed

    bench.progress("running the seed command")
    address = bench.server.address
    environ = {
        **seed.variables(address, database, address.url(database)),
        **bench.plan.environ,
        **bench.urls(database),
    }
    seed.run(command, bench.plan.setup.directory, environ, bench.seconds_left, bench.guardian, bench.folder)


def _build(bench: Workbench, old: Trial) -> tuple[str, FailingOld | None]:
    plan, began = bench.plan, time.monotonic()
    failing: FailingOld | None = None
    given = BaseOrigin(schema=plan.base_schema is not None)
    if plan.from_models or not plan.base_heads:
        base = _before_history(bench)
        if plan.from_models:
            _make_from_models(bench, old, base)
            given = replace(given, kind="models")
    else:
        base, given, failing = _replayed(bench, old, given)
    bench.origin = replace(given, seconds=time.monotonic() - began)
    return base, failing


def _replayed(bench: Workbench, old: Trial, given: BaseOrigin) -> tuple[str, BaseOrigin, FailingOld | None]:
    """The database after the history, what it came from, and how the code under review fails to run it: a kept state
    where there is one.
    """
    plan, kept = bench.plan, bench.plan.kept
    made = replace(given, revisions=plan.depth, commit=plan.base_code.commit if plan.base_code else "")
    if kept is not None and (snapshot := bench.server.snapshot) is not None:
        found = _from_snapshot(bench, old, kept, snapshot)
        if found is not None:
            left = kept.left(snapshot)
            kind = "earlier snapshot" if left else "snapshot"
            return found, replace(made, kind=kind, replayed=left), None
        bench.server.start_over()
    bench.progress("bringing the database to the base revision")
    start = partial(_before_history, bench)
    done = _run_and_kept(bench, old, start)
    if not done.database:
        done = _run(bench, old, start)
    failing = done.failing
    if done.commit and plan.installs_anew:
        failing = _failing_anew(bench)
    if plan.stage is not None:
        plan.stage.database = bench.database(done.database)
    kind = "history" if plan.depth else ""
    return done.database, replace(made, kind=kind, replayed=plan.depth, commit=done.commit), failing


def _from_snapshot(bench: Workbench, old: Trial, kept: KeptStates, snapshot: Snapshot) -> str | None:
    """The database after the history, from the snapshot that the server has started from; None where that leads nowhere."""
    if snapshot.about["versions"] != kept.versions(bench):
        return None  # another interpreter answers to the same command
    try:
        database = bench.adopted()
    except ServerError:
        snapshot.discard()
        return None
    bench.version_table = str(snapshot.about["version_table"])
    if not kept.is_exact(snapshot):
        bench.progress("bringing the database from a kept state to the base revision")
        try:
            done = _run_and_kept(bench, old, partial(bench.database, database))
        except Stop:
            return None  # what does not run in parts may run as a whole
        if not done.database or done.failing:
            return None
        database = done.database
    bench.enter(database)
    if bench.plan.stage is not None:
        bench.plan.stage.database = bench.database(database)
    return database


@dataclass(frozen=True)
class _Done:
    """The history has been run."""

    database: str
    """Empty where the server was lost while it was being kept."""
    commit: str = ""
    """The commit whose code it was run with; empty for the working tree's."""
    failing: FailingOld | None = None
    """How the working tree's fails to run it."""


def _run_and_kept(bench: Workbench, old: Trial, begin: Callable[[], str]) -> _Done:
    """As `_run`, and what came of it is kept where that pays."""
    kept = bench.plan.kept
    if kept is None:
        return _run(bench, old, begin)
    return _run(bench, old, begin, lambda at, ended: kept.keep(at, ended.database, ended.run))


def _run(
    bench: Workbench,
    old: Trial,
    begin: Callable[[], str],
    keep: Callable[[Workbench, Ended], bool] = lambda *_: True,
) -> _Done:
    """Run the history in the database that `begin` makes. Raises `Stop` where it does not come to its end."""
    source = bench.plan.base_code
    why = ""
    if source is not None:
        try:
            with bench.beside(source) as other:
                ended, _ = _upgraded(other, None, begin)
            return _Done(ended.database if keep(other, ended) else "", source.commit)
        except Stop as stop:
            if bench.is_late():
                raise
            why = stop.sentence
        except ServerError:
            raise
        except ReviewerError as error:
            why = error.sentence
    ended, failing = _upgraded(bench, old, begin)
    if source is not None:
        # it is the state that this code makes, and perhaps not the one that production is in
        bench.skip(f"the history with the code of the base commit {source.commit[:12]}", why.rstrip("."))
    if failing is not None:
        return _Done(ended.database, bench.plan.old.commit if bench.plan.old else "", failing)
    return _Done(ended.database if keep(bench, ended) else "")


def _failing_anew(bench: Workbench) -> FailingOld | None:
    """How the history fails with the code under review, if it does: the base commit's has run it."""
    bench.progress("running the history with the code under review")
    command = Upgrade(to=tuple(bench.plan.base_heads))
    run = bench.believed(command, partial(_before_history, bench), observe=False).run
    if run.ok or run.failed_revision is None or run.failure is None or run.out_of_time:
        return None
    bench.restart()
    return FailingOld(run.failed_revision, run.failure)


def _upgraded(bench: Workbench, old: Trial | None, begin: Callable[[], str]) -> tuple[Ended, FailingOld | None]:
    """The history in the database that `begin` makes, and how it failed where only the `old` code has run it. Raises
    `Stop` where it does not come to its end.
    """
    plan, stage = bench.plan, bench.plan.stage
    starts = itertools.count()

    def start() -> str:
        if next(starts) and stage is not None:
            stage.database = ""  # what does not run in parts may run as a whole
        return begin()

    command = Upgrade(to=tuple(plan.base_heads), depends=plan.kept is not None)
    ended = bench.believed(command, start, observe=False)
    run = ended.run
    if run.ok:
        check_touched(bench, run, None)
        check_committed(bench, run, ended.database)
        return ended, None
    assert run.failure is not None
    if run.failed_revision is None or run.failure.of_environment:
        raise environment_failed(bench, run.failure)
    made = _with_old_code(bench, old, start, run) if old is not None else None
    if made is not None:
        return Ended(run, made), FailingOld(run.failed_revision, run.failure)
    if stage is not None and run.failure.kind is not FailureKind.TIMEOUT:
        stage.failed = run.failed_revision
    raise not_from_empty(bench, run)


def _with_old_code(bench: Workbench, old: Trial, start: Callable[[], str], failed: Run) -> str | None:
    """The base state as the code of the base commit makes it, where that of the branch fails on the way there: models
    that the branch changes and an old revision imports, for example. None where it fails as well.
    """
    assert failed.failure is not None
    if not old.wanted or failed.failure.kind not in {FailureKind.STATEMENT, FailureKind.RAISED, FailureKind.IMPORT}:
        return None
    bench.progress("bringing the database to the base revision with the code of the base commit")
    database = start()
    bench.enter(database)
    try:
        old.upgrade(bench.at(database, Upgrade(to=tuple(bench.plan.base_heads))))
    except Unavailable:
        return None
    bench.restart()
    return database if stamped(bench.server, database, failed) else None


def _before_history(bench: Workbench) -> str:
    """A database in the state in which the project's history begins."""
    from reviewer.rehearsal.base_schema import apply

    plan = bench.plan
    if plan.stage is not None and plan.stage.database:
        return bench.database(plan.stage.database)
    database = bench.database()
    bench.enter(database)
    if plan.base_schema is not None:
        bench.progress("applying the base schema")
        with bench.server.connect(database) as connection:
            apply(connection, plan.base_schema)
    return database


def _make_from_models(bench: Workbench, old: Trial, database: str) -> None:
    plan = bench.plan
    if not old.wanted:
        raise Stop(
            f"The base state cannot be built from models: {plan.no_old or 'there is no base commit'}.",
            "Review with --base REF in a git repository, or provide the schema with --base-schema FILE.",
        )
    bench.progress("building the base state from the models of the base commit")
    try:
        old.create(bench.at(database, Create(stamp=tuple(plan.base_heads))))
    except Unavailable as error:
        raise Stop(
            f"The base state cannot be built from the models of the base commit: {error}.",
            "Give the schema with --base-schema FILE.",
        ) from None
