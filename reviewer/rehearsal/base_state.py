"""The base state: the database as it is before the new revisions run, with rows in its tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reviewer.recording import Catalogue, FailingOld, FailureKind, Table
from reviewer.rehearsal.obstacles import Stop, check_committed, check_touched, environment_failed, not_from_empty
from reviewer.rehearsal.old_code import Trial, Unavailable
from reviewer.rehearsal.protocol import Create, Upgrade
from reviewer.rehearsal.reader import Run
from reviewer.rehearsal.version_table import stamped
from reviewer.rehearsal.workbench import Workbench
from reviewer.sql.names import Name

if TYPE_CHECKING:
    from reviewer.rehearsal.catalogue_snapshot import Snapshot


@dataclass(frozen=True)
class BaseState:
    """A database in the state before the new revisions, and what is in it."""

    database: str = ""
    catalogue: Catalogue = Catalogue()
    filled: tuple[Name, ...] = ()
    """The tables that hold rows of ours."""
    snapshot: Snapshot | None = None
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
    plan, stage = bench.plan, bench.plan.stage
    if plan.from_models or not plan.base_heads:
        base = _before_history(bench)
        if plan.from_models:
            _make_from_models(bench, old, base)
        return base, None
    bench.progress("bringing the database to the base revision")
    starts = itertools.count()

    def start() -> str:
        if next(starts) and stage is not None:
            stage.database = ""  # what does not run in parts may run as a whole
        return _before_history(bench)

    ended = bench.believed(Upgrade(to=tuple(plan.base_heads)), start, observe=False)
    run, base = ended.run, ended.database
    if run.ok:
        check_touched(bench, run, None)
        check_committed(bench, run, base)
        if stage is not None:
            stage.database = bench.database(base)
        return base, None
    assert run.failure is not None
    if run.failed_revision is None or run.failure.of_environment:
        raise environment_failed(bench, run.failure)
    made = _with_old_code(bench, old, start, run)
    if made is not None:
        return made, FailingOld(run.failed_revision, run.failure)
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
