"""Runs env.py, prepared as the project's own command would prepare it.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8.
"""

from __future__ import annotations

import functools
import os
import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reviewer.runner import causes
    from reviewer.runner.redirection import Expected
    from reviewer.runner.sources import Sources
else:  # loaded earlier by path, so the project cannot have modules with these names
    causes = sys.modules["_alembic_reviewer_causes"]
    Expected = sys.modules["_alembic_reviewer_redirection"].Expected


class EnvPy:
    """The project's env.py and its configuration."""

    def __init__(self, setup: dict[str, Any], sources: Sources, old_revisions: OldRevisions) -> None:
        self.setup = setup
        self.sources = sources
        self.old_revisions = old_revisions
        self.flask_context: Any = None
        self.worker_thread = False
        self.parser: Any = None
        self.asked = ["upgrade", "head"]
        """The arguments that a user would have typed after `alembic`. Some env.py files read them."""

    def run(self, fn: Callable[[Any, Any, Any], list[Any]], **options: Any) -> Any:
        """Run env.py. `fn` returns its migrations. Returns the ScriptDirectory."""
        from alembic.runtime.environment import EnvironmentContext
        from alembic.script import ScriptDirectory

        config = self.config()
        script = ScriptDirectory.from_config(config)
        self.old_revisions.lend(script)
        env = os.path.join(str(script.dir), "env.py")
        if not os.path.exists(env):
            raise Expected("environment", f"There is no env.py in {script.dir}")
        self.sources.learn(script, env, final=False)
        given = {"starting_rev": None, "destination_rev": self.asked[-1], **options}  # as `alembic upgrade` does
        with EnvironmentContext(config, script, fn=lambda rev, context: fn(rev, context, script), **given):
            self.run_env(script)
        return script

    def config(self) -> Any:
        """Create Alembic's Config as its command line does."""
        import inspect

        from alembic.config import CommandLine, Config

        setup = self.setup
        arguments = []
        if setup.get("config"):
            arguments += ["-c", setup["config"]]
        if setup.get("section"):
            arguments += ["-n", setup["section"]]
        for pair in setup.get("x") or ():
            arguments += ["-x", pair]
        arguments += self.asked
        sys.argv = ["alembic", *arguments]
        if self.parser is None:  # it takes longer to make than some revisions take to run
            self.parser = CommandLine(prog="alembic").parser
        options = self.parser.parse_args(arguments)
        if setup.get("flask"):
            return self.flask_config()
        given: dict[str, Any] = {
            "file_": setup.get("config"),
            "ini_section": setup.get("section") or "alembic",
            "cmd_opts": options,
        }
        if setup.get("toml"):
            if "toml_file" not in inspect.signature(Config.__init__).parameters:
                raise Expected(
                    "environment", "This Alembic does not read pyproject.toml; Alembic 1.16 and later do"
                )
            given["toml_file"] = setup["toml"]
        config = Config(**given)
        if setup.get(
            "script_location"
        ):  # as Flask-Migrate does, whose command has the project's folder on sys.path
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            config.set_main_option("script_location", setup["script_location"].replace("%", "%%"))
        if setup.get("launcher"):
            self.launch(config)
        return config

    def flask_config(self) -> Any:
        """Get the Config for Flask-Migrate, which the application object creates inside its own context."""
        sys.path.insert(0, os.getcwd())
        try:
            from flask.cli import ScriptInfo
        except ImportError:
            raise Expected("import", "env.py uses Flask's current_app, and Flask is not installed") from None
        if self.flask_context is None:
            try:
                # Flask's own command reads FLASK_APP; in newer versions the option that reads it does
                app = ScriptInfo(app_import_path=os.environ.get("FLASK_APP") or None).load_app()
            except Exception as error:
                if isinstance(error, ImportError):
                    raise
                said = causes.told(error)
                if causes.type_name(error) == "NoAppException":
                    said = said.partition(": ")[2]
                kind = "import" if "ImportError was raised" in said else "environment"
                raise Expected(kind, f"Flask's application could not be made: {said}") from error
            self.flask_context = app.app_context()
            self.flask_context.push()
        from flask import current_app, g

        if not hasattr(g, "x_arg"):
            g.x_arg = []  # what `flask db` sets, and Flask-Migrate 4.0 reads
        if "migrate" not in current_app.extensions:
            raise Expected(
                "environment",
                "Flask's application has no Flask-Migrate. Where a command of your own adds it, let FLASK_APP name a"
                " function that makes the application and calls Migrate(app, db)",
            )
        migrate = current_app.extensions["migrate"].migrate
        config = migrate.get_config(self.setup["script_location"], x_arg=list(self.setup.get("x") or ()) or None)
        if self.setup.get("launcher"):
            self.launch(config)
        return config

    def launch(self, config: Any) -> None:
        import importlib

        module, _, function = self.setup["launcher"].partition(":")
        sys.path.insert(0, os.getcwd())
        try:
            launcher = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise Expected(
                "environment",
                "the launcher {} cannot be used: {}".format(self.setup["launcher"], causes.told(error)),
            ) from None
        try:
            launcher(config)
        except Expected:
            raise
        except (Exception, SystemExit) as error:
            raise Expected(
                "environment", "the launcher {} failed: {}".format(self.setup["launcher"], causes.told(error))
            ) from error

    def run_env(self, script: Any) -> None:
        """Run env.py. If it asks for a worker thread of an AnyIO event loop, as some applications do, run it in
        one.
        """
        if not self.worker_thread:
            try:
                script.run_env()
                return
            except RuntimeError as error:
                if "AnyIO worker thread" not in (causes.text_of(error) or ""):
                    raise
                self.worker_thread = True
        import anyio.to_thread

        async def inside() -> None:
            await anyio.to_thread.run_sync(script.run_env)

        anyio.run(inside)


def remember_code() -> None:
    """Compile each revision file only once: Alembic loads every file again for every command."""
    from importlib.machinery import SourceFileLoader

    changed: Any = SourceFileLoader
    original = changed.source_to_code
    known: dict[Any, Any] = {}

    def source_to_code(loader: Any, data: Any, path: Any, **options: Any) -> Any:
        key = (path, bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else None)
        if key[1] is None:
            return original(loader, data, path, **options)
        if key not in known:
            known[key] = original(loader, data, path, **options)
        return known[key]

    changed.source_to_code = source_to_code


def tolerate_missing_logging_sections() -> None:
    """Accept an alembic.ini without logging sections: what env.py logs is not read anyway."""
    import logging.config

    original = logging.config.fileConfig

    def file_config(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except (KeyError, RuntimeError):  # RuntimeError: Python 3.12 and later
            return None

    logging.config.fileConfig = file_config


class OldRevisions:
    """The revisions that do not run, loaded once: Alembic loads every file again for every command.

    A revision that runs is loaded afresh, as a command of its own would load it: what an earlier run has left in its
    module must not help it, and connections that its module holds have been closed.
    """

    def __init__(self) -> None:
        self.running: tuple[str, ...] | None = None
        """The revisions that the current command is known to run; None if nobody knows."""
        self.fresh: dict[str, Any] = {}
        """The modules that the current command has loaded, by their files."""
        self.known: dict[str, tuple[tuple[int, int], Any]] = {}
        self.last: tuple[Any, list[Any]] = (None, [])
        """What the folders and files of revisions looked like when Alembic read them, and what it made of them."""
        self.settled: dict[tuple[int, ...], list[Any]] = {}
        """What the revisions declare that need not be loaded unless they run, by what their files look like."""

    def begin(self, running: tuple[str, ...] | None, settled: Any = ()) -> None:
        """Begin a command that is known to run these revisions. `settled` need not be loaded otherwise."""
        self.running = running
        self.fresh.clear()
        self.settled.update((tuple(stamp), declared) for stamp, *declared in settled)

    def install(self) -> None:
        """Take the place of Alembic's loader of files."""
        from alembic import util

        changed: Any = util
        original = changed.load_python_file

        def load(folder: Any, name: Any) -> Any:
            path = os.path.join(str(folder), str(name))
            try:
                found = os.stat(path)
            except OSError:
                return original(folder, name)
            written = (found.st_mtime_ns, found.st_size)
            declared = self.declared(found)
            if declared is not None:
                return Settled(path, declared, lambda: original(folder, name))
            before, module = self.known.get(path, (None, None))
            if before != written or not self.is_idle(module):
                module = original(folder, name)
                self.fresh[path] = module
                if isinstance(getattr(module, "revision", None), str) and os.path.basename(path) != "env.py":
                    self.known[path] = written, module
            return module

        changed.load_python_file = load

    def read(self, script: Any) -> list[Any]:
        """Return the revisions of `script`, as Alembic reads them. Of those that are settled it does not even see the
        files: to resolve and take apart a thousand paths takes longer than all else that it does with them.
        """
        from alembic import util
        from alembic.script.base import Script

        changed: Any = Script
        before = changed.__dict__.get("_list_py_dir")
        if before is None:
            return list(script._load_revisions())
        found: dict[str, Any] = {}

        def rest(cls: Any, asking: Any, path: Any) -> Any:
            listed = before.__func__(cls, asking, path)
            return [each for each in listed if not taken(str(path), str(each))] if asking is script else listed

        def taken(folder: str, name: str) -> bool:
            path = os.path.join(folder, name)
            try:
                if self.declared(os.lstat(path)) is None:
                    return False
            except OSError:
                return False
            if os.path.isabs(name):  # before Alembic 1.10 it is none, and the path is not resolved
                path = os.path.join(folders(os.path.dirname(path)), os.path.basename(path))
            found[path] = util.load_python_file(*os.path.split(path))
            return True

        folders = functools.lru_cache(None)(os.path.realpath)
        changed._list_py_dir = classmethod(rest)
        try:
            read = list(script._load_revisions())
        finally:
            changed._list_py_dir = before
        return read + [Script(module, module.revision, path) for path, module in found.items()]

    def lend(self, script: Any) -> None:
        """Let `script` have what Alembic has made of the revisions for an earlier command, while they are the same."""

        def revisions() -> Any:
            seen, made = self.last
            if self.running is None or seen is None or seen != look(script, made):
                made = self.read(script)
                self.last = look(script, made), made
                return iter(made)
            return map(self.afresh, made)

        script.revision_map = type(script.revision_map)(revisions)

    def afresh(self, revision: Any) -> Any:
        """Return `revision`, with a new module if it is known to run."""
        if revision.revision in (self.running or ()):
            self.renew(revision)
        return revision

    def renew(self, revision: Any) -> bool:
        """Give `revision` the module of the current command, which env.py may have loaded already; return whether it had
        another one.
        """
        from alembic import util

        path = str(revision.path)
        module = self.fresh.get(path)
        if module is None:
            self.known.pop(path, None)
            self.running = (*(self.running or ()), revision.revision)  # an upgrade finds them itself
            module = util.load_python_file(*os.path.split(path))
        had, revision.module = revision.module, module
        return had is not module

    def declared(self, found: os.stat_result) -> list[Any] | None:
        """Return what the revision in a file that looks like that declares, if it need not be loaded now."""
        declared = self.settled.get((found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size))
        if declared is None or self.running is None or declared[0] in self.running:
            return None
        return declared

    def is_idle(self, module: Any) -> bool:
        """Whether the current command is known not to run the revision in `module`."""
        return self.running is not None and getattr(module, "revision", None) not in self.running


class Settled(ModuleType):
    """The module of a revision that is only loaded when somebody asks for more than its place in the history."""

    def __init__(self, path: str, declared: list[Any], load: Callable[[], Any]) -> None:
        ModuleType.__init__(self, os.path.basename(path)[: -len(".py")])
        self.__file__ = path
        down_revisions, self.depends_on, self.branch_labels = (tuple(each) or None for each in declared[1:])
        self.revision = declared[0]
        self.down_revision = down_revisions[0] if down_revisions and len(down_revisions) == 1 else down_revisions
        self._load = load
        self._loaded: Any = None

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return self.whole().__doc__

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole(), name)

    def whole(self) -> Any:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded


def look(script: Any, revisions: list[Any]) -> Any:
    """Return how the folders and files of the revisions look: what changes where one is added, removed or written. None
    if that cannot be seen.
    """
    if getattr(script, "recursive_version_locations", False) or script.sourceless:
        return None
    files = [str(each.path) for each in revisions]
    folders = sorted({str(each) for each in script._version_locations} | {os.path.dirname(each) for each in files})
    try:
        found = [os.stat(each) for each in (*folders, *files)]
    except OSError:
        return None
    return folders, files, [(each.st_mtime_ns, each.st_size, each.st_ino) for each in found]
