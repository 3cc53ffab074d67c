"""Runs revisions in the project's own interpreter and says what each statement did.

This file is started BY PATH in the project's environment and loads those beside it (causes.py, limits.py, drivers.py,
redirection.py, relations.py, observation.py, models.py) by path too: none of them is ever imported by the reviewer. They
MUST work with nothing but the standard library and the project's own Alembic (>= 1.7) and SQLAlchemy (>= 1.4), on Python >= 3.8. They decide nothing, judge
nothing and format nothing.

It speaks the protocol of `reviewer/rehearsal/protocol.py`, over the socket whose descriptor number is argv[1].

What is expected to go wrong (no env.py, a missing module, a migration that raises) is a `failed` event
with a kind. If the process ends without `done` or `failed`, the migration ended it.

Nothing that the project prints reaches the socket: standard output is not used for events.
"""

import sys

sys.path.pop(0)  # our own folder: nothing in it is for the project

import faulthandler
import json
import linecache
import os
import signal
import socket
import time

PROTOCOL = 2


def beside(name):
    """A module of ours, from the file beside this one; the project cannot have one of that name."""
    from importlib.util import module_from_spec, spec_from_file_location

    whole = "_alembic_reviewer_" + name
    if whole not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
        spec = spec_from_file_location(whole, path)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[whole] = module
    return sys.modules[whole]


causes, limits = beside("causes"), beside("limits")
redirection, drivers = beside("redirection"), beside("drivers")
beside("relations")
observation = beside("observation")
Expected = redirection.Expected
as_text, server_words = drivers.as_text, drivers.server_words


# -- the channel ----------------------------------------------------------------------------------


class Channel:
    """The private line to the reviewer. Its descriptor is moved out of the way of `os.closerange`."""

    def __init__(self, number):
        try:
            import fcntl
            import resource

            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            high = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, max(64, min(soft, 65536) - 16))
            os.close(number)
            number = high
        except (ImportError, OSError, ValueError):
            os.set_inheritable(number, False)
        self.socket = socket.socket(fileno=number)
        self.pid = os.getpid()
        self.rest = b""
        self.held = b""  # what goes out together with the next event
        self.encode = json.JSONEncoder(ensure_ascii=True, default=causes.text_of).encode
        self.settle = None  # called before a command's last word
        self.seal, self.number = "", 0

    def emit(self, **event):
        self.hold(**event)
        self.flush()

    def hold(self, **event):
        """Say `event` together with the next one, which is a moment away: the reviewer wakes up once for both."""
        if os.getpid() != self.pid:  # a forked child of the migration has nothing to say
            return
        if self.settle and event["event"] in ("done", "failed"):
            self.settle()
        self.held += self.line(event)

    def line(self, event):
        """The event as a line. One that is too large, too deep or no JSON at all goes as a word about it."""
        try:
            text = self.encode(event)
            if "\\ud" in text:  # perhaps half a character, as in the name of a file that is not UTF-8
                text = self.encode(whole(event))
            trouble = "it has %d bytes" % len(text) if len(text) > limits.LONGEST_EVENT else None
        except Exception as error:  # what is in it is the project's
            trouble = "it is no JSON (%s)" % causes.type_name(error)
        if trouble is not None:
            text = self.encode({"event": "lost", "what": event["event"], "reason": trouble})
        self.number += 1
        return ("%s %d %s\n" % (self.seal, self.number, text)).encode("ascii")

    def flush(self):
        data, self.held = self.held, b""
        try:
            self.socket.sendall(data)
        except OSError:
            os._exit(70)  # the reviewer is gone, or the migration has closed the channel

    def receive(self):
        while b"\n" not in self.rest:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line.decode("utf-8"))


# -- source lines ---------------------------------------------------------------------------------


class Batch(list):
    """The operations of one `op.batch_alter_table`, which are sent together when its block ends, each with its line."""

    def __init__(self, sources):
        list.__init__(self)
        self.sources = sources
        self.places = []
        self.current = None  # the line of the operation that is being sent

    def append(self, operation):
        self.places.append(self.sources.location(sys._getframe()))
        list.append(self, operation)

    def __iter__(self):
        for operation, place in zip(list.__iter__(self), self.places):
            self.current = place
            yield operation
        self.current = None


class Sources:
    """Knows which files are revision files, and finds the line of one that caused something."""

    def __init__(self):
        self.folders = ()
        self.env = None
        self.cache = {}
        self.flush = None  # the code that sends the operations of a batch

    def follow_batches(self):
        from alembic.operations.batch import BatchOperationsImpl

        original, sources = BatchOperationsImpl.__init__, self

        def begin(batch, *args, **kwargs):
            original(batch, *args, **kwargs)
            batch.batch = Batch(sources)

        BatchOperationsImpl.__init__ = begin
        self.flush = BatchOperationsImpl.flush.__code__

    def asked_for_by(self, frame):
        """The place of the operation that a batch is sending, if that is what `frame` is about."""
        if frame.f_code is not self.flush:
            return None
        place = getattr(frame.f_locals["self"].batch, "current", None)
        return place if place and place[2] == "revision" else None

    def is_ours(self, filename):
        """Whether a file is one of the project's migrations, or its env.py."""
        revision, real = self.is_revision(filename)
        return revision or real == self.env

    def learn(self, script, env, final=True):
        """`final`: env.py has had its say. Before, Alembic's own property must not be asked: it remembers."""
        locations = getattr(script, "_version_locations", None) if final else None
        locations = locations or getattr(script, "version_locations", None)
        if not isinstance(locations, (list, tuple)) or not locations:
            locations = [os.path.join(str(script.dir), "versions")]
        self.folders = tuple(
            os.path.realpath(os.path.abspath(str(folder))) + os.sep for folder in locations if folder
        )
        self.env = os.path.realpath(os.path.abspath(env))
        self.cache = {}

    def is_revision(self, filename):
        known = self.cache.get(filename)
        if known is None:
            real = os.path.realpath(os.path.abspath(filename))
            known = self.cache[filename] = (real.startswith(self.folders) if self.folders else False, real)
        return known

    def location(self, frame):
        """(path, line, origin) of the innermost frame that is in a revision file, else env.py's own, else Alembic's."""
        env_line, through_alembic = None, False
        while frame is not None:
            filename = frame.f_code.co_filename
            revision, real = self.is_revision(filename)
            if revision:
                return real, frame.f_lineno, "revision"
            in_batch = self.asked_for_by(frame)
            if in_batch:
                return in_batch
            if real == self.env and env_line is None and not through_alembic:
                env_line = frame.f_lineno
            if frame.f_code.co_name == "run_migrations" and "alembic" in filename:
                through_alembic = True
            frame = frame.f_back
        if env_line is not None:
            return None, None, "environment"
        return None, None, "alembic" if through_alembic else "environment"

    def caused_by(self, error):
        """(path, line) of the innermost frame in a revision file, also where what it called raised the error."""
        found, tb = None, causes.traceback_of(error)
        while tb is not None:
            revision, real = self.is_revision(tb.tb_frame.f_code.co_filename)
            found = (real, tb.tb_lineno) if revision else self.asked_for_by(tb.tb_frame) or found
            tb = tb.tb_next
        return found[:2] if found else (None, None)

    def way_out(self, frame):
        """The line of env.py that `frame` was reached from, and the files that an error goes through on its way out."""
        line, files = None, {}
        while frame is not None:
            _, real = self.is_revision(frame.f_code.co_filename)
            if real == self.env:
                line = line or frame.f_lineno
            elif os.sep + "site-packages" + os.sep not in real and os.path.isfile(real):
                files[real] = True
            if frame.f_code is Runner.control.__code__:
                break
            frame = frame.f_back
        return line, [name for name in list(files)[:100] if not name.startswith(OUTSIDE)]

    def of_traceback(self, error):
        """(path, line) of the innermost frame in a revision file, and whether the error was raised right there."""
        found, innermost = None, None
        tb = causes.traceback_of(error)
        while tb is not None:
            filename = tb.tb_frame.f_code.co_filename
            revision, real = self.is_revision(filename)
            if revision or real == self.env:
                found = (real, tb.tb_lineno)
            found = (self.asked_for_by(tb.tb_frame) or found or ())[:2] or None
            innermost = (real, tb.tb_lineno)
            tb = tb.tb_next
        there = found is not None and found == innermost
        # it may have put a pipe in the place of its file, and who opens that waits for ever
        readable = there and os.path.isfile(found[0])
        return found, readable and linecache.getline(found[0], found[1]).strip().startswith("raise")


# -- Alembic --------------------------------------------------------------------------------------


class Runner:
    def __init__(self, channel, setup):
        self.channel = channel
        self.setup = setup
        self.sources = Sources()
        self.redirection = redirection.Redirection()
        self.watcher = observation.Watcher(channel, self.redirection, self.sources)
        self.watcher.own_lock_timeout = setup.get("own_lock_timeout")
        self.flask_context = None
        self.worker_thread = False
        self.asked = [
            "upgrade",
            "head",
        ]  # what somebody would have typed behind `alembic`: some env.py files read it

    def install(self):
        if self.setup.get("moved"):
            beside("models").Moved(*self.setup["moved"]).install()
        self.redirection.install()
        self.watcher.install()
        self.sources.follow_batches()
        tolerate_missing_logging_sections()
        remember_code()

    def config(self):
        """Alembic's own Config, made as its command line makes it."""
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
        sys.argv = ["alembic"] + arguments
        options = CommandLine(prog="alembic").parser.parse_args(arguments)
        if setup.get("flask"):
            return self.flask_config()
        given = {
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
        ):  # as Flask-Migrate does, whose command has the project's folder on the path
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            config.set_main_option("script_location", setup["script_location"].replace("%", "%%"))
        if setup.get("launcher"):
            self.launch(config)
        return config

    def flask_config(self):
        """Flask-Migrate: the application object makes the Config, inside its own context."""
        sys.path.insert(0, os.getcwd())
        try:
            from flask.cli import ScriptInfo
        except ImportError:
            raise Expected("import", "env.py uses Flask's current_app, and Flask is not installed") from None
        if self.flask_context is None:
            try:
                # Flask's own command reads FLASK_APP, and newer ones leave it to the option that reads it
                app = ScriptInfo(app_import_path=os.environ.get("FLASK_APP") or None).load_app()
            except Exception as error:
                if isinstance(error, ImportError):
                    raise
                said = causes.told(error)
                if causes.type_name(error) == "NoAppException":
                    said = said.partition(": ")[2]
                kind = "import" if "ImportError was raised" in said else "environment"
                raise Expected(kind, "Flask's application could not be made: %s" % said) from error
            self.flask_context = app.app_context()
            self.flask_context.push()
        from flask import current_app

        migrate = current_app.extensions["migrate"].migrate
        return migrate.get_config(self.setup["script_location"], x_arg=list(self.setup.get("x") or ()) or None)

    def launch(self, config):
        import importlib

        module, _, function = self.setup["launcher"].partition(":")
        sys.path.insert(0, os.getcwd())
        try:
            launcher = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise Expected(
                "environment", "the launcher %s cannot be used: %s" % (self.setup["launcher"], causes.told(error))
            ) from None
        try:
            launcher(config)
        except Expected:
            raise
        except (Exception, SystemExit) as error:
            raise Expected(
                "environment", "the launcher %s failed: %s" % (self.setup["launcher"], causes.told(error))
            ) from error

    def environment(self, fn, **options):
        from alembic.runtime.environment import EnvironmentContext
        from alembic.script import ScriptDirectory

        config = self.config()
        script = ScriptDirectory.from_config(config)
        env = os.path.join(str(script.dir), "env.py")
        if not os.path.exists(env):
            raise Expected("environment", "There is no env.py in %s" % script.dir)
        self.sources.learn(script, env, final=False)
        with EnvironmentContext(config, script, fn=lambda rev, context: fn(rev, context, script), **options):
            self.run_env(script)
        return script

    def run_env(self, script):
        """Run env.py; in a worker thread of an AnyIO event loop where it asks for one, as some applications do."""
        if not self.worker_thread:
            try:
                return script.run_env()
            except RuntimeError as error:
                if "AnyIO worker thread" not in (causes.text_of(error) or ""):
                    raise
                self.worker_thread = True
        import anyio.to_thread

        async def inside():
            await anyio.to_thread.run_sync(script.run_env)

        anyio.run(inside)

    def run(self, command):
        for name, value in (command.get("environ") or {}).items():
            os.environ[name] = value
        if command.get("address"):
            self.redirection.move(command["address"], command["database"])
        self.redirection.offline = command["do"] in ("offline",)
        self.asked = as_typed(command)
        self.watcher.begin(bool(command.get("observe")))
        hold_streams()
        getattr(self, command["do"])(command)

    def upgrade(self, command):
        target = tuple(command["to"])
        self.online(lambda script, rev: script._upgrade_revs(target, rev) if target else [])

    def step(self, command):
        from alembic.runtime.migration import MigrationStep

        make = (
            MigrationStep.upgrade_from_script
            if command["direction"] == "upgrade"
            else MigrationStep.downgrade_from_script
        )
        wanted = command["revision"]

        def steps(script, rev):
            revision = script.get_revision(wanted)
            if not hasattr(revision.module, command["direction"]):
                absent(command["direction"])
            return [make(script.revision_map, revision)]

        self.online(steps)

    def online(self, plan):
        calls = []

        def fn(rev, context, script):
            self.sources.learn(script, self.sources.env)  # env.py may have set version_locations
            self.channel.emit(
                event="mode",
                per_migration=bool(context._transaction_per_migration),
                transactional_ddl=bool(context.impl.transactional_ddl),
                dialect=context.dialect.name,
                driver=context.dialect.driver,
                version_table=context.version_table,
                version_table_schema=context.version_table_schema,
            )
            calls.append(1)
            if len(calls) > 1:
                self.channel.emit(event="again", count=len(calls))
            return [self.wrapped(step, context) for step in plan(script, rev)]

        self.environment(fn)
        self.channel.emit(event="done", calls=len(calls), connected=self.redirection.connected)

    def wrapped(self, step, context=None, swallow=False):
        original = step.migration_fn
        name = step.revision.revision
        direction = "upgrade" if step.is_upgrade else "downgrade"

        def migrate(*args, **kwargs):
            self.channel.emit(event="revision", phase="begin", id=name, direction=direction)
            started = time.perf_counter()
            try:
                try:
                    original(*args, **kwargs)
                except TypeError as error:
                    if error.__traceback__.tb_next is not None:
                        raise
                    # the call itself: what env.py hands to run_migrations() does not fit
                    words = "it cannot be called as env.py calls it (%s)" % causes.told(error)
                    raise Expected("raised", words) from error
                if context is not None and hasattr(original, "__code__"):
                    self.watcher.rest(context.connection, original)
            except BaseException as error:
                if not swallow or isinstance(error, (KeyboardInterrupt, GeneratorExit)):
                    raise
                self.failed(without_database(error), event="unrendered", id=name)
            self.channel.emit(
                event="revision", phase="end", id=name, direction=direction, seconds=time.perf_counter() - started
            )

        step.migration_fn = migrate
        return step

    def offline(self, command):
        """Render revisions as SQL; each by itself, so that one that cannot be rendered hides no other."""
        from alembic.ddl.impl import DefaultImpl
        from alembic.runtime.environment import EnvironmentContext
        from alembic.runtime.migration import HeadMaintainer, MigrationStep

        state = {"inside": False}
        calls = []

        def static_output(impl, text):
            if sys._getframe(1).f_code.co_name in ("emit_begin", "emit_commit"):  # Alembic's own
                state["inside"] = sys._getframe(1).f_code.co_name == "emit_begin"
                return
            path, line, origin = self.sources.location(sys._getframe())
            sql, left_out = self.watcher.allowance.cut(text)
            rendered = dict(sql=as_text(sql), path=path, line=line, origin=origin, inside=state["inside"])
            self.channel.emit(event="rendered", left_out=left_out, **rendered)

        def configure(context, *args, **kwargs):
            if kwargs.get("connection") is None:
                kwargs["url"] = "postgresql://"
                kwargs["dialect_name"] = "postgresql"
                kwargs.pop("dialect_opts", None)
            return original_configure(context, *args, **kwargs)

        def fn(rev, context, script):
            self.sources.learn(script, self.sources.env)
            calls.append(1)
            self.channel.emit(
                event="mode",
                per_migration=bool(context._transaction_per_migration),
                transactional_ddl=bool(context.impl.transactional_ddl),
                dialect=context.dialect.name,
                driver="",
            )
            make = (
                MigrationStep.downgrade_from_script
                if command.get("downgrade")
                else MigrationStep.upgrade_from_script
            )
            way = "downgrade" if command.get("downgrade") else "upgrade"
            revisions = [script.get_revision(each) for each in command["revisions"]]
            for revision in revisions:
                if not hasattr(revision.module, way):
                    setattr(revision.module, way, lambda: absent(way))
            return [self.wrapped(make(script.revision_map, each), swallow=True) for each in revisions]

        def stay(*_):
            """There is no database that could be at a revision, so none is left and none is come to."""

        original_output, original_configure = DefaultImpl.static_output, EnvironmentContext.configure
        original_update = HeadMaintainer.update_to_step
        DefaultImpl.static_output, EnvironmentContext.configure = static_output, configure
        HeadMaintainer.update_to_step = stay
        try:
            self.environment(fn, as_sql=True, starting_rev=None, destination_rev="head")
        finally:
            DefaultImpl.static_output, EnvironmentContext.configure = original_output, original_configure
            HeadMaintainer.update_to_step = original_update
        self.channel.emit(event="done", calls=len(calls), connected=0)

    def describe(self, command):
        """Run env.py without running a revision: where the revisions are, and that it works at all."""
        found, calls = {}, []

        def fn(rev, context, script):
            self.sources.learn(script, self.sources.env)
            found["folders"] = [folder.rstrip(os.sep) for folder in self.sources.folders]
            calls.append(1)
            return []

        script = self.environment(fn)
        found.setdefault("folders", [folder.rstrip(os.sep) for folder in self.sources.folders])
        self.channel.emit(event="describe", directory=os.path.realpath(str(script.dir)), **found)
        self.channel.emit(event="done", calls=len(calls), connected=self.redirection.connected)

    def control(self, command):
        """Run a step of ours that must fail, to see what env.py makes of that."""
        from alembic.runtime.migration import StampStep

        way, failed = command["way"], []

        def fail(connection):
            if way == "exception":
                failing(None)
                raise Unfit(NOTHING_WRONG)
            try:
                connection.exec_driver_sql(REFUSED)
            except BaseException as error:
                failing(error)
                raise

        def failing(error):
            if error is not None and causes.refused(error) is None:
                return  # it fails for another reason, and tells nothing
            failed.append(1)
            line, files = self.sources.way_out(sys._getframe(1))
            place = {"path": as_text(self.sources.env), "line": line} if line else {}
            self.channel.emit(
                event="control", phase="failing", way=way, depends=[as_text(each) for each in files], **place
            )

        def fn(rev, context, script):
            step = StampStep((), ("alembic_reviewer",), True, True, script.revision_map)
            step.migration_fn = lambda *args, **kwargs: fail(context.connection)
            return [step]

        ended = {}
        try:
            self.environment(fn)
        except SystemExit as error:
            code = causes.attribute(error, "code")
            status = 0 if code is None else code & 0xFF if isinstance(code, int) else 1
            ended = {"error": self.exit_of(error), "status": status}
        except BaseException as error:
            ended = {"error": as_text(causes.told(error), limits.LONGEST_MESSAGE)}
        self.channel.emit(event="control", phase="ended", way=way, **ended)
        self.channel.emit(event="done", calls=len(failed), connected=self.redirection.connected)

    def probe(self, command):
        """Try the statements of the models on the state before and on the state after."""
        models = beside("models")
        databases = {"before": command["database"], "after": command["head"]}
        wanted = command.get("tables")

        def look(context):
            def engine_for(which):
                self.redirection.move(command["address"], databases[which])
                return context.connection.engine

            models.probe(context, engine_for, server_words, wanted and set(map(tuple, wanted)), self.channel.emit)

        self.inside(look)

    def compare(self, command):
        """Compare the models with the database, and tell what they say of themselves."""
        models = beside("models")

        def look(context):
            for event in models.differences(context):
                self.channel.emit(**event)
            for event in models.facts(context) if command.get("facts") else ():
                self.channel.emit(**event)

        self.inside(look)

    def inside(self, look):
        """Run env.py and `look` where its migrations would run, unwatched."""
        looked = []

        def fn(rev, context, script):
            if not looked:  # of several databases the first
                looked.append(1)
                self.watcher.busy = True
                try:
                    look(context)
                finally:
                    self.watcher.busy = False
            return []

        self.environment(fn)
        self.channel.emit(event="done", calls=len(looked), connected=self.redirection.connected)

    def create(self, command):
        """Make the tables of the models, and stamp the database as having been migrated."""
        models = beside("models")

        def fn(rev, context, script):
            for metadata in models.metadatas(context):
                metadata.create_all(context.connection)
            return script._stamp_revs(tuple(command["stamp"]), rev)

        self.environment(fn)
        self.channel.emit(event="done", calls=1, connected=self.redirection.connected)

    def failed(self, error, event="failed", **more):
        try:
            found = self.why(error)
        except BaseException as trouble:  # an exception is the project's object, and may be anything
            names = causes.type_name(error), causes.type_name(trouble)
            found = {"kind": "raised", "message": "%s, of which no more can be told (%s)" % names}
        self.channel.emit(event=event, **found, **more)

    def why(self, error):
        """What went wrong, in the words of the protocol."""
        raised, error = error, causes.without_groups(error)
        behind = list(causes.all_behind(error))
        reason = causes.reason(error, self.sources.is_ours)
        place, deliberate = self.sources.of_traceback(error)
        for other in (raised, reason):  # what is in a group need not have been raised itself
            if place is None and other is not error:
                place, deliberate = self.sources.of_traceback(other)[0], False
        refused = causes.refused(reason)
        ours = next((each for each in behind if isinstance(each, Expected)), None)
        said_in_revision = False
        kind, sqlstate, worded, statement = "raised", None, "", None
        if ours is not None:
            kind, message, deliberate = ours.kind, str(ours), ours.deliberate
            if kind == "raised" and place is not None and place[0] == self.sources.env:
                place = None  # raised by us, and about the whole revision
            said_in_revision = kind == "raised"
        elif refused is not None:
            kind = "statement"
            message, sqlstate = server_words(refused)
            statement = next(filter(None, map(drivers.statement_of, behind)), None)
            if causes.refused(error) is None:
                worded = self.exit_of(error) if isinstance(error, SystemExit) else causes.told(error)
        elif isinstance(reason, ImportError):
            kind, message = "import", causes.on_one_line(causes.text_of(reason) or "") or causes.type_name(reason)
            if reason is not error:
                message = "%s (%s)" % (message, causes.told(error))
        elif isinstance(error, SystemExit):
            kind, message = "exited", self.exit_of(error)
            sys.stdout.flush()  # what it has printed may say why
        else:
            message = self.words(error)
            handled = causes.being_handled(error)
            if handled is not None:
                message += " (while this was handled: %s)" % server_words(causes.refused(handled))[0]
        if isinstance(error, NotImplementedError) and not raised_by_a_library(error):
            deliberate = True
        in_revision = place is not None and place[0] != self.sources.env
        caused = self.sources.caused_by(error)
        if kind == "raised" and not said_in_revision and not in_revision:
            kind = "environment"
        return dict(
            kind=kind,
            message=as_text(message, limits.LONGEST_MESSAGE),
            path=as_text(place[0]) if place else None,
            line=place[1] if place else None,
            in_revision=in_revision,
            caused_path=caused[0],
            caused_line=caused[1],
            sqlstate=sqlstate,
            deliberate=bool(deliberate and kind == "raised"),
            worded=as_text(worded, limits.LONGEST_MESSAGE),
            statement=statement,
        )

    def words(self, error):
        """What an exception says, and what it says that it was raised from."""
        original = causes.attribute(error, "orig")
        if isinstance(original, BaseException):  # SQLAlchemy's for what went wrong before anything was sent
            return causes.told(original)
        *_, last = causes.said_causes(error)
        return causes.told(error) if last is error else "%s, caused by %s" % (causes.told(error), causes.told(last))

    def exit_of(self, error):
        code = causes.attribute(error, "code")
        known = code is None or isinstance(code, (int, str))
        return "sys.exit(%s) was called" % (repr(code)[:200] if known else causes.type_name(code))


def raised_by_a_library(error):
    """Whether Alembic or SQLAlchemy says that it cannot do something, which is not the revision's word."""
    tb, name = causes.traceback_of(error), ""
    while tb is not None:
        name, tb = tb.tb_frame.f_globals.get("__name__") or "", tb.tb_next
    return str(name).partition(".")[0] in ("alembic", "sqlalchemy")


def whole(value):
    """The same with what is no character in any text escaped."""
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [whole(each) for each in value]
    return as_text(value) if isinstance(value, str) else value


def hold_streams():
    """What an earlier command of the project has closed is opened again: else the next connection would take its number,
    and be closed where the project closes that once more.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free


class Unfit(RuntimeError):
    """What the step of a control raises."""


NOTHING_WRONG = "the reviewer asks what env.py does where a revision fails; nothing is wrong with a revision"
REFUSED = 'SELECT * FROM "the reviewer asks what env.py does where a revision fails"'
# Python's own files, and ours: they change with the version, which is known by its number
OUTSIDE = tuple(
    {os.path.dirname(os.path.realpath(__file__)) + os.sep, os.path.dirname(os.path.realpath(os.__file__)) + os.sep}
)


def absent(way):
    # nobody forgets downgrade(), since `alembic revision` writes one: there is to be no way back
    raise Expected("raised", "the revision has no %s()" % way, deliberate=way == "downgrade")


def without_database(error):
    """In plain words, where the answer was wanted of a database that is not there: Alembic gives None, or a mock."""
    text = causes.text_of(error) or ""
    if isinstance(error, (AttributeError, TypeError)) and "NoneType" in text or "MockConnection" in text:
        plain = Expected("raised", "it reads the database, and offline there is none (%s)" % causes.told(error))
        return plain.with_traceback(error.__traceback__)
    return error


def as_typed(command):
    """The arguments with which `alembic` would do about the same."""
    if command.get("direction") == "downgrade":
        return ["downgrade", command["revision"] + "-1"]
    targets = command.get("to") or command.get("revisions", ())[-1:] or [command.get("revision", "head")]
    return ["upgrade", targets[0] if len(targets) == 1 else "heads"]


def remember_code():
    """Alembic loads every revision file anew for every command: compile each only once."""
    from importlib.machinery import SourceFileLoader

    original = SourceFileLoader.source_to_code
    known = {}

    def source_to_code(loader, data, path, **options):
        key = (path, bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else None)
        if key[1] is None:
            return original(loader, data, path, **options)
        if key not in known:
            known[key] = original(loader, data, path, **options)
        return known[key]

    SourceFileLoader.source_to_code = source_to_code


def tolerate_missing_logging_sections():
    """An alembic.ini without logging sections is no reason not to review: what env.py logs is not read anyway."""
    import logging.config

    original = logging.config.fileConfig

    def file_config(*args, **kwargs):
        try:
            return original(*args, **kwargs)
        except (KeyError, RuntimeError):  # RuntimeError: Python 3.12 and later
            return None

    logging.config.fileConfig = file_config


def versions():
    found = {"python": "%d.%d.%d" % sys.version_info[:3], "executable": sys.executable, "drivers": {}}
    try:
        from importlib.metadata import PackageNotFoundError, version
    except ImportError:
        return found
    for package, key in (
        ("alembic", None),
        ("sqlalchemy", None),
        ("psycopg", "psycopg"),
        ("psycopg2", "psycopg2"),
        ("psycopg2-binary", "psycopg2"),
        ("asyncpg", "asyncpg"),
        ("pg8000", "pg8000"),
    ):
        try:
            number = version(package)
        except PackageNotFoundError:
            continue
        if key:
            found["drivers"][key] = number
        else:
            found[package] = number
    return found


def main():
    channel = Channel(int(sys.argv[1]))
    setup = channel.receive()
    if setup is None:
        return
    channel.seal = setup.pop("seal")
    channel.emit(event="hello", protocol=PROTOCOL, pid=os.getpid(), **versions())
    # what the project prints goes where the reviewer said when it started us; nothing is read from a terminal
    sys.dont_write_bytecode = True
    if setup.get("stack_file"):
        stack = open(setup["stack_file"], "w")
        if hasattr(signal, "SIGUSR1"):
            faulthandler.register(signal.SIGUSR1, file=stack, all_threads=True)
    os.chdir(setup["directory"])
    runner = Runner(channel, setup)
    try:
        import alembic  # noqa: F401  (whether it is there is what we want to know)
        import sqlalchemy  # noqa: F401

        runner.install()
    except ImportError as error:
        channel.emit(event="failed", kind="import", message=causes.told(error), path=None, line=None, fatal=True)
        return
    channel.emit(event="ready")
    while True:
        command = channel.receive()
        if command is None or command["do"] == "quit":
            break
        try:
            runner.run(command)
        except BaseException as error:
            runner.failed(error)
    sys.stdout.flush()
    os._exit(0)  # threads and event loops that the project has left running do not keep us


if __name__ == "__main__":
    main()
