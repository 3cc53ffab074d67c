"""Executes the reviewer's commands, one method for each.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from reviewer.runner import (
        causes,
        drivers,
        env_py,
        failures,
        limits,
        observation,
        pauses,
        redirection,
        rendering,
        sources,
        timing,
    )
    from reviewer.runner.channel import Channel
else:  # loaded earlier by path, so the project cannot have modules with these names
    causes = sys.modules["_alembic_reviewer_causes"]
    limits = sys.modules["_alembic_reviewer_limits"]
    drivers = sys.modules["_alembic_reviewer_drivers"]
    redirection = sys.modules["_alembic_reviewer_redirection"]
    observation = sys.modules["_alembic_reviewer_observation"]
    pauses = sys.modules["_alembic_reviewer_pauses"]
    sources = sys.modules["_alembic_reviewer_sources"]
    env_py = sys.modules["_alembic_reviewer_env_py"]
    failures = sys.modules["_alembic_reviewer_failures"]
    rendering = sys.modules["_alembic_reviewer_rendering"]
    timing = sys.modules["_alembic_reviewer_timing"]


Expected = redirection.Expected


class Runner:
    """What the commands share: the channel, the redirection of connections, and the watcher."""

    def __init__(self, channel: Channel, setup: dict[str, Any], beside: Callable[[str], ModuleType]) -> None:
        self.channel = channel
        self.setup = setup
        self.beside = beside
        self.sources = sources.Sources()
        self.old_revisions = env_py.OldRevisions()
        self.env_py = env_py.EnvPy(setup, self.sources, self.old_revisions)
        self.redirection = redirection.Redirection()
        self.watcher = observation.Watcher(channel, self.redirection, self.sources)
        self.watcher.own_lock_timeout = setup.get("own_lock_timeout")
        self.pauses = pauses.Pauses(channel, self.sources, lambda: self.watcher.count)
        self.dependencies: Any = None

    def install(self) -> None:
        if self.setup.get("depends"):
            self.dependencies = self.beside("dependencies").Dependencies()
            self.dependencies.install()
        if self.setup.get("moved"):
            self.beside("models").Moved(*self.setup["moved"]).install()
        self.redirection.install()
        self.watcher.install()
        self.pauses.install()
        self.sources.follow_batches()
        env_py.tolerate_missing_logging_sections()
        env_py.remember_code()
        self.old_revisions.install()

    def run(self, command: dict[str, Any]) -> None:
        for name, value in (command.get("environ") or {}).items():
            os.environ[name] = value
        if command.get("address"):
            self.redirection.move(command["address"], command["database"])
        self.redirection.offline = command["do"] == "offline"
        self.env_py.asked = as_typed(command)
        self.watcher.begin(bool(command.get("observe")), bool(command.get("timed")), bool(command.get("silent")))
        self.pauses.told = 0
        hold_streams()
        self.old_revisions.begin(known_to_run(command), command.get("settled") or ())
        getattr(self, command["do"])(command)

    def upgrade(self, command: dict[str, Any]) -> None:
        target = tuple(command["to"])

        def steps(script: Any, rev: Any) -> list[Any]:
            found: list[Any] = script._upgrade_revs(target, rev) if target else []
            renewed = [self.old_revisions.renew(each.revision) for each in found]
            return (
                script._upgrade_revs(target, rev) if any(renewed) else found
            )  # they hold functions of the modules

        self.online(steps, bool(command.get("depends")))

    def offline(self, command: dict[str, Any]) -> None:
        """Render revisions as SQL, each by itself, so that one that cannot be rendered does not hide the others."""
        rendering.offline(self, command)

    def step(self, command: dict[str, Any]) -> None:
        from alembic.runtime.migration import MigrationStep

        make = (
            MigrationStep.upgrade_from_script
            if command["direction"] == "upgrade"
            else MigrationStep.downgrade_from_script
        )
        wanted = [command["revision"], *command.get("then", ())]

        def steps(script: Any, rev: Any) -> list[Any]:
            revisions = [script.get_revision(each) for each in wanted]
            if not all(hasattr(each.module, command["direction"]) for each in revisions):
                failures.absent(command["direction"])
            return [make(script.revision_map, each) for each in revisions]

        self.online(steps)

    def online(self, plan: Callable[[Any, Any], Any], depends: bool = False) -> None:
        calls = []

        def fn(rev: Any, context: Any, script: Any) -> list[Any]:
            self.sources.learn(script, self.sources.env)  # env.py may have set version_locations
            self.channel.emit(
                event="mode",
                per_migration=bool(context.opts.get("transaction_per_migration")),
                transactional_ddl=bool(context.impl.transactional_ddl),
                dialect=context.dialect.name,
                driver=context.dialect.driver,
                version_table=context.version_table,
                version_table_schema=context.version_table_schema,
                models=names_models(context),
            )
            calls.append(1)
            if len(calls) > 1:
                self.channel.emit(event="again", count=len(calls))
            return [self.wrapped(step, context) for step in plan(script, rev)]

        self.env_py.run(fn)
        if depends and self.dependencies is not None:
            told = self.dependencies.told()
            if told is not None:
                self.channel.hold(**told)
        self.channel.emit(event="done", calls=len(calls), connected=self.redirection.connected)

    def wrapped(self, step: Any, context: Any = None, swallow: bool = False) -> Any:
        original = step.migration_fn
        name = step.revision.revision
        direction = "upgrade" if step.is_upgrade else "downgrade"

        def migrate(*args: Any, **kwargs: Any) -> None:
            self.channel.emit(event="revision", phase="begin", id=name, direction=direction)
            if self.watcher.timed:
                self.watcher.timing = timing.Timing()
            started = time.perf_counter()
            try:
                try:
                    original(*args, **kwargs)
                except TypeError as error:
                    if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                        raise
                    # the call itself failed: the arguments that env.py passes to run_migrations() do not fit
                    words = f"it cannot be called as env.py calls it ({causes.told(error)})"
                    raise Expected("raised", words) from error
                if context is not None and hasattr(original, "__code__"):
                    self.watcher.rest(context.connection, original)
            except BaseException as error:
                if not swallow or isinstance(error, (KeyboardInterrupt, GeneratorExit)):
                    raise
                self.failed(failures.without_database(error), event="unrendered", id=name)
            if self.watcher.timing is not None:
                taken = self.watcher.timing.told()
                self.channel.emit(event="timed", id=name, direction=direction, taken=taken)
                self.watcher.timing = None
            self.channel.emit(
                event="revision", phase="end", id=name, direction=direction, seconds=time.perf_counter() - started
            )

        step.migration_fn = migrate
        return step

    def describe(self, command: dict[str, Any]) -> None:
        """Run env.py without running a revision, to find where the revisions are and whether env.py works."""
        found, calls = {}, []

        def fn(rev: Any, context: Any, script: Any) -> list[Any]:
            self.sources.learn(script, self.sources.env)
            found["folders"] = [folder.rstrip(os.sep) for folder in self.sources.folders]
            calls.append(1)
            return []

        script = self.env_py.run(fn)
        found.setdefault("folders", [folder.rstrip(os.sep) for folder in self.sources.folders])
        self.channel.emit(event="describe", directory=os.path.realpath(str(script.dir)), **found)
        self.channel.emit(event="done", calls=len(calls), connected=self.redirection.connected)

    def control(self, command: dict[str, Any]) -> None:
        """Run a step that must fail, to see what env.py does then."""
        from alembic.runtime.migration import StampStep

        way, failed = command["way"], []

        def fail(connection: Any) -> None:
            if way == "exception":
                failing(None)
                raise Unfit(NOTHING_WRONG)
            try:
                connection.exec_driver_sql(DUPLICATE if way == "duplicate" else REFUSED)
            except BaseException as error:
                failing(error)
                raise

        def failing(error: BaseException | None) -> None:
            if error is not None and causes.refused(causes.reason(error, self.sources.is_ours)) is None:
                return  # it fails for another reason, which shows nothing
            failed.append(1)
            line, files = self.sources.way_out(sys._getframe(1), Runner.control.__code__)
            place = {"path": drivers.as_text(self.sources.env), "line": line} if line else {}
            self.channel.emit(
                event="control",
                phase="failing",
                way=way,
                depends=[drivers.as_text(each) for each in files],
                **place,
            )

        def fn(rev: Any, context: Any, script: Any) -> list[Any]:
            step = StampStep((), ("alembic_reviewer",), True, True, script.revision_map)
            step.migration_fn = lambda *args, **kwargs: fail(context.connection)
            return [step]

        ended = {}
        try:
            self.env_py.run(fn)
        except SystemExit as error:
            code = causes.attribute(error, "code")
            status = 0 if code is None else code & 0xFF if isinstance(code, int) else 1
            ended = {"error": failures.exit_of(error), "status": status}
        except BaseException as error:
            ended = {"error": drivers.as_text(causes.told(error), limits.LONGEST_MESSAGE)}
        self.channel.emit(event="control", phase="ended", way=way, **ended)
        self.channel.emit(event="done", calls=len(failed), connected=self.redirection.connected)

    def probe(self, command: dict[str, Any]) -> None:
        """Try the statements of the models on the state before and on the state after."""
        models = self.beside("models")
        databases = {"before": command["database"], "after": command["head"]}
        wanted = command.get("tables")

        def look(context: Any) -> None:
            def engine_for(which: str) -> Any:
                self.redirection.move(command["address"], databases[which])
                return context.connection.engine

            models.probe(
                context, engine_for, drivers.server_words, wanted and set(map(tuple, wanted)), self.channel.emit
            )

        self.inside(look)

    def compare(self, command: dict[str, Any]) -> None:
        """Compare the models with the database, and report facts about the models."""
        models = self.beside("models")

        def look(context: Any) -> None:
            for event in models.differences(context):
                self.channel.emit(**event)
            for event in models.facts(context) if command.get("facts") else ():
                self.channel.emit(**event)

        self.inside(look)

    def inside(self, look: Callable[[Any], None]) -> None:
        """Run env.py and call `look` where its migrations would run, unwatched."""
        looked: list[int] = []

        def fn(rev: Any, context: Any, script: Any) -> list[Any]:
            if not looked:  # only for the first of several databases
                looked.append(1)
                self.watcher.busy = True
                try:
                    look(context)
                finally:
                    self.watcher.busy = False
            return []

        self.env_py.run(fn)
        self.channel.emit(event="done", calls=len(looked), connected=self.redirection.connected)

    def create(self, command: dict[str, Any]) -> None:
        """Create the tables of the models, and stamp the database as migrated."""
        models = self.beside("models")

        def fn(rev: Any, context: Any, script: Any) -> list[Any]:
            for metadata in models.metadatas(context):
                metadata.create_all(context.connection)
            steps: list[Any] = script._stamp_revs(tuple(command["stamp"]), rev)
            return steps

        self.env_py.run(fn)
        self.channel.emit(event="done", calls=1, connected=self.redirection.connected)

    def failed(self, error: BaseException, event: str = "failed", **more: Any) -> None:
        try:
            found = failures.why(error, self.sources)
        except BaseException as trouble:  # an exception is an object of the project, and may be anything
            names = causes.type_name(error), causes.type_name(trouble)
            found = {"kind": "raised", "message": "{}, of which no more can be told ({})".format(*names)}
        self.channel.emit(event=event, **found, **more)


def hold_streams() -> None:
    """Reopen standard streams that an earlier command of the project has closed. Otherwise the next connection
    would get such a descriptor, and lose it when the project closes it again.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # uses the lowest free number


class Unfit(RuntimeError):
    """Raised by the step of a control."""


NOTHING_WRONG = "the reviewer asks what env.py does where a revision fails; nothing is wrong with a revision"
REFUSED = 'SELECT * FROM "the reviewer asks what env.py does where a revision fails"'
DUPLICATE = (
    "DO $$ BEGIN RAISE unique_violation USING MESSAGE = 'duplicate key value violates unique constraint"
    ' "the reviewer asks what env.py does where a revision fails": the key already exists\'; END $$'
)


def names_models(context: Any) -> bool:
    """Return whether env.py has given any target_metadata."""
    target = context.opts.get("target_metadata")
    return bool(target) if isinstance(target, (list, tuple)) else target is not None


def known_to_run(command: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the revisions that a command runs; none for an upgrade, which renews those that it finds. None if nobody
    knows.
    """
    if command["do"] == "offline":
        return None
    return (command["revision"], *command.get("then", ())) if command["do"] == "step" else ()


def as_typed(command: dict[str, Any]) -> list[str]:
    """Return the arguments with which `alembic` would do about the same."""
    if command.get("direction") == "downgrade":
        return ["downgrade", [command["revision"], *command.get("then", ())][-1] + "-1"]
    targets = command.get("to") or command.get("revisions", ())[-1:] or [command.get("revision", "head")]
    return ["upgrade", targets[0] if len(targets) == 1 else "heads"]
