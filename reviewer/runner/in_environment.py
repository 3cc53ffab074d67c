"""Runs revisions in the project's own interpreter and says what each statement did.

This file is started BY PATH in the project's environment and is never imported by the reviewer.
It MUST work with nothing but the standard library and the project's own Alembic (>= 1.7) and
SQLAlchemy (>= 1.4), on Python >= 3.8. It decides nothing, judges nothing and formats nothing.

Protocol (version 1). JSON, one object a line, over the socket whose descriptor number is argv[1].
The reviewer sends one `setup`, and then commands, one at a time; a command ends in `done` or `failed`.

    setup:      protocol, config, toml, section, directory, script_location, flask, x, launcher,
                environ, original_environ, stack_file, own_lock_timeout, moved
    commands:   {"do": "upgrade", "to": [ids], ...}           as one `alembic upgrade` would
                {"do": "step", "revision": id, "direction": "upgrade" | "downgrade", ...}
                {"do": "offline", "revisions": [ids], "downgrade": bool}
                {"do": "describe"}                            run env.py, run no revision
                {"do": "probe" | "compare" | "create", ...}   see models.py
                each with: database, address {host, port, user, password}, observe, environ
    events:     hello, describe, mode, revision (begin, end), begin, statement, observed, rendered, done, failed,
                mapped, differs, fact

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
import re
import signal
import socket
import time
import traceback

PROTOCOL = 1
ASYNC_DRIVERS = ("asyncpg", "psycopg_async", "aiosqlite", "aiomysql", "asyncmy", "aioodbc", "aiosql")
# What decides where a connection goes, and how it proves who it is. Everything else (options,
# application_name, server_settings …) is the project's business and stays.
TARGET = frozenset(
    "host hostaddr port user password passfile dbname database dsn service servicefile unix_sock ssl sslmode "
    "sslcert sslkey sslpassword sslrootcert sslcrl sslcrldir sslcompression sslnegotiation sslsni sslcertmode "
    "ssl_context ssl_min_protocol_version ssl_max_protocol_version gssencmode krbsrvname gsslib gssdelegation "
    "channel_binding require_auth requirepeer target_session_attrs load_balance_hosts replication direct_tls "
    "source_address tcp_keepalive timeout connect_timeout sock".split()
)
# The same as environment variables. PGHOST and its like are ours; PGOPTIONS and PGAPPNAME are the project's.
LEADING_ELSEWHERE = frozenset(
    "PGHOSTADDR PGSERVICE PGSERVICEFILE PGSYSCONFDIR PGPASSFILE PGREQUIRESSL PGSSLMODE PGSSLNEGOTIATION PGSSLCERT "
    "PGSSLKEY PGSSLCERTMODE PGSSLROOTCERT PGSSLCRL PGSSLCRLDIR PGSSLSNI PGREQUIREPEER PGREQUIREAUTH "
    "PGCHANNELBINDING PGGSSENCMODE PGKRBSRVNAME PGGSSLIB PGGSSDELEGATION PGTARGETSESSIONATTRS "
    "PGLOADBALANCEHOSTS PGCONNECT_TIMEOUT".split()
)
# Statements that must be the first of their transaction, or that end one: no query of ours before them.
NO_QUERY_BEFORE = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:set\s+(?:session\s+characteristics|transaction|local\s+transaction)|begin|start|commit|end|rollback|abort)\b",
    re.I | re.S,
)
# Statements that may give a known relation another name or schema; what runs code may do anything.
RENAMES = re.compile(r"\b(?:rename|schema|do|call|select|execute)\b", re.I)
# Statements that are likely to make a relation: a guess that only saves a second question.
MAKES_RELATIONS = re.compile(r"\b(?:create|unique|primary|serial|bigserial|identity|using|type)\b", re.I)
FORGETS_PREPARED = re.compile(r"\b(?:discard|deallocate)\b", re.I)
READS_ROWS = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(?:update|delete|merge|with|select|insert\b.*?\bselect)\b", re.I | re.S
)

# Everything about the relations that this transaction has locked, in one round trip. Relations that the
# transaction has created itself (oid above the base's highest) are told once. Prepared, because planning it takes
# longer than running it; twice, because the names take a third of the time and are seldom news. Lines of text, because
# making JSON takes the server another third: three with the time and the timeouts, then one for each lock.
NARROW = """
PREPARE {name} (oid, oid, bool) AS SELECT concat_ws(
    E'\\n', now(), current_setting('lock_timeout'), current_setting('statement_timeout'),
    string_agg(concat_ws(
        ' ', relation, mode, coalesce(pg_relation_filenode(relation), 0), pg_stat_get_xact_numscans(relation),
        pg_stat_get_xact_tuples_returned(relation), {names}), E'\\n'))
FROM pg_locks l WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted AND relation >= 16384
    AND (relation <= $1 OR relation > $2)
"""
NAMES = """CASE WHEN l.relation > $2 OR $3 THEN
    (SELECT json_build_array(n.nspname, c.relname, c.relkind::text, i.indrelid::bigint)
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.oid = l.relation) END"""
# The same about every relation there is, with scans counted over the session: before a transaction's first
# statement, and around a statement that runs in no transaction.
WIDE = """
SELECT json_build_array(
    now()::text, current_setting('lock_timeout'), current_setting('statement_timeout'),
    coalesce((SELECT json_agg(json_build_array(
        c.oid::bigint, NULL, n.nspname, c.relname, c.relkind::text,
        pg_relation_filenode(c.oid)::bigint, pg_stat_get_xact_numscans(c.oid), pg_stat_get_xact_tuples_returned(c.oid),
        i.indrelid::bigint, pg_stat_get_numscans(c.oid), pg_stat_get_tuples_returned(c.oid)))
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_index i ON i.indexrelid = c.oid
     WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'i', 'I', 'm', 'v', 'S', 'f')), '[]'::json)
)::text
"""
SEQSCAN_OFF = "SET enable_seqscan = off"
NOTHING = frozenset()
PAST_SQLALCHEMY = "(statements that were sent through the driver's own cursor, past SQLAlchemy)"
KINDS = {
    "r": "table",
    "p": "partitioned table",
    "i": "index",
    "I": "partitioned index",
    "m": "materialized view",
    "v": "view",
    "S": "sequence",
    "f": "foreign table",
}


class Expected(Exception):
    """Something that can go wrong in a project: a kind and a sentence."""

    def __init__(self, kind, message):
        Exception.__init__(self, message)
        self.kind = kind


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
        self.encode = json.JSONEncoder(ensure_ascii=True, default=str).encode
        self.settle = None  # called before a command's last word

    def emit(self, **event):
        self.hold(**event)
        self.flush()

    def hold(self, **event):
        """Say `event` together with the next one, which is a moment away: the reviewer wakes up once for both."""
        if os.getpid() != self.pid:  # a forked child of the migration has nothing to say
            return
        if self.settle and event["event"] in ("done", "failed"):
            self.settle()
        self.held += self.encode(event).encode("ascii") + b"\n"

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


# -- where the project's connections go -----------------------------------------------------------


class Redirection:
    """Sends every connection of every engine to the throw-away server, whatever env.py says."""

    def __init__(self):
        self.address = None
        self.database = None
        self.connected = 0
        self.offline = False
        self.engines = []

    def install(self):
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from sqlalchemy.engine.url import URL

        event.listen(Engine, "do_connect", self.connect)
        event.listen(Engine, "engine_connect", self.remember)
        original = URL._instantiate_plugins
        redirection = self

        def instantiate_plugins(url, kwargs):
            return original(redirection.url(url, kwargs), kwargs)

        URL._instantiate_plugins = instantiate_plugins
        Drivers(self.arguments).install()

    def url(self, url, kwargs):
        """The URL that an engine is made from: PostgreSQL's, with a driver that is installed."""
        for name in ("creator", "async_creator", "pool"):
            kwargs.pop(name, None)
        is_async = bool(kwargs.get("_is_async")) or url.drivername.partition("+")[2] in ASYNC_DRIVERS
        if url.get_backend_name() != "postgresql":
            keep = ("echo", "future", "execution_options", "_is_async", "_coerce_config", "poolclass")
            for name in [name for name in kwargs if name not in keep]:
                del kwargs[name]
            if "Static" in getattr(kwargs.get("poolclass"), "__name__", ""):
                del kwargs["poolclass"]
            return url.set(drivername="postgresql+" + self.driver(is_async), query={})
        if not importable(url):
            return url.set(drivername="postgresql+" + self.driver(is_async))
        return url

    def driver(self, is_async):
        for driver, module in (
            [("asyncpg", "asyncpg"), ("psycopg", "psycopg")]
            if is_async
            else [("psycopg2", "psycopg2"), ("psycopg", "psycopg"), ("pg8000", "pg8000")]
        ):
            if installed(module) and (driver != "psycopg" or sqlalchemy_version() >= (2, 0)):
                return driver
        wanted = "asyncpg or psycopg" if is_async else "psycopg, psycopg2 or pg8000"
        raise Expected("no-driver", "The project's interpreter has no PostgreSQL driver (%s)" % wanted)

    def connect(self, dialect, record, cargs, cparams):
        return dialect.connect(**self.arguments(dialect.driver, cparams))

    def arguments(self, driver, given):
        """What a driver is to connect with instead of `given`, which it keeps but for where it leads."""
        if self.offline:
            raise Expected("offline", "a connection to a database is wanted, and offline there is none")
        wanted = {name: value for name, value in given.items() if name not in TARGET}
        host, port = self.address["host"], self.address["port"]
        wanted["user"] = self.address["user"]
        if self.address.get("password"):
            wanted["password"] = self.address["password"]
        if driver == "pg8000" and host.startswith("/"):
            wanted["unix_sock"] = "%s/.s.PGSQL.%s" % (host, port)
        else:
            wanted["host"], wanted["port"] = host, port
        libpq = driver.startswith("psycopg")
        if libpq:
            wanted["hostaddr"] = ""
        if self.address.get("sslmode") and driver != "pg8000":
            wanted["sslmode" if libpq else "ssl"] = self.address["sslmode"]
        wanted["dbname" if libpq else "database"] = self.database
        for name in LEADING_ELSEWHERE.intersection(os.environ):  # env.py may have set it
            del os.environ[name]
        self.connected += 1
        return wanted

    def remember(self, connection, *_):
        if not any(engine is connection.engine for engine in self.engines):
            self.engines.append(connection.engine)

    def move(self, address, database):
        """Point every later connection at another database; pooled connections are let go."""
        self.address, self.database, self.connected = address, database, 0
        for engine in self.engines:
            try:
                engine.dispose(close=False)
            except TypeError:  # SQLAlchemy < 1.4.33
                engine.pool = engine.pool.recreate()
        os.environ.update(
            PGHOST=address["host"], PGPORT=str(address["port"]), PGUSER=address["user"], PGDATABASE=database
        )
        if address.get("password"):
            os.environ["PGPASSWORD"] = address["password"]


class Drivers:
    """Sends what is connected without SQLAlchemy, with a driver's own functions, to the same place.

    Each driver is changed when it is imported, before anybody can have taken its `connect` out of it. What a driver
    does not have in this version is left alone: SQLAlchemy's connections are redirected all the same.
    """

    def __init__(self, arguments):
        self.arguments = arguments
        self.known = {
            "psycopg": self.psycopg,
            "psycopg2": self.psycopg2,
            "asyncpg.connection": self.asyncpg,
            "pg8000.core": self.pg8000,
        }

    def install(self):
        sys.meta_path.insert(0, self)
        for name, change in self.known.items():
            if name in sys.modules:
                change(sys.modules[name])

    def find_spec(self, name, path=None, target=None):
        change = self.known.get(name)
        if change is None:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next((spec for spec in (finder.find_spec(name, path, target) for finder in others) if spec), None)
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return spec
        original = spec.loader.exec_module

        def exec_module(module):
            original(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec

    def psycopg(self, module):
        from psycopg.conninfo import conninfo_to_dict

        for kind in (module.Connection, module.AsyncConnection):
            # one stays a coroutine function, and the other none
            kind.connect = classmethod(
                self.redirected(kind.connect.__func__, "psycopg", "conninfo", conninfo_to_dict)
            )
        module.connect = module.Connection.connect

    def psycopg2(self, module):
        from psycopg2.extensions import parse_dsn

        module.connect = self.redirected(module.connect, "psycopg2", "dsn", parse_dsn)

    def asyncpg(self, module):
        from urllib.parse import parse_qsl, urlsplit

        def settings(dsn):  # what else a URL says is a setting of the session
            said = dict(parse_qsl(urlsplit(dsn).query))
            return {"server_settings": {name: value for name, value in said.items() if name not in TARGET}}

        module.connect = self.redirected(module.connect, "asyncpg", "dsn", settings)

    def pg8000(self, module):
        for name in ("CoreConnection", "Connection"):
            kind = getattr(module, name, None)
            if kind is not None:
                kind.__init__ = self.redirected(kind.__init__, "pg8000")

    def redirected(self, original, driver, text=None, parse=None):
        """`original` with other arguments. `text` names the parameter that may hold them all, `parse` reads it."""
        import functools
        import inspect

        signature = inspect.signature(original)
        rest = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]

        @functools.wraps(original)
        def connect(*args, **kwargs):
            given = dict(signature.bind_partial(*args, **kwargs).arguments)
            bound = [given.pop(name) for name in ("cls", "self") if name in given]
            for name in rest:
                given.update(given.pop(name, {}))
            written = {}
            try:
                written = parse(given.pop(text)) if given.get(text) else {}
            except Exception:  # the driver would have refused it; what else it says is not needed to go elsewhere
                pass
            return original(*bound, **self.arguments(driver, dict(written, **given)))

        return connect


def importable(url):
    try:
        dialect = url.get_dialect()
        (getattr(dialect, "import_dbapi", None) or dialect.dbapi)()
    except ImportError:
        return False
    except Exception:  # the project's own trouble: let create_engine tell it
        return True
    return True


def installed(module):
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def sqlalchemy_version():
    import sqlalchemy

    return tuple(int(part) for part in re.findall(r"\d+", sqlalchemy.__version__)[:2])


# -- watching -------------------------------------------------------------------------------------


class Watched:
    """What is known of one connection."""

    def __init__(self, number):
        self.number = number
        self.messages = []
        self.relations = {}  # oid -> (schema, name, kind, filenode, scans, tuples, table)
        self.totals = {}  # oid -> (scans, tuples) of the whole session
        self.locks = {}  # oid -> set of modes held
        self.base = None  # highest oid when the command began
        self.last = None
        self.stale = True
        self.transaction = None
        self.seqscan_off = False
        self.started = 0.0
        self.listening = False
        self.prepared = {}  # whether with names -> the name under which this session knows NARROW
        self.renames = False  # whether the statement may give known relations other names
        self.makes = False  # whether the statement is likely to make relations
        self.settles = False  # whether whoever uses the connection next waits for our question first
        # While the server works on our question: the number of the statement that it is about, what was said in it,
        # and whether the question asks for names.
        self.pending = None
        self.then = None  # what is to be run when that question has been answered


class Watcher:
    """Looks at the server after each statement, from inside the migration's own connection."""

    def __init__(self, channel, redirection, sources):
        self.channel = channel
        self.redirection = redirection
        self.sources = sources
        self.observe = False
        self.own_lock_timeout = None
        self.busy = False
        self.connections = {}
        self.base = None
        self.count = 0
        self.prepared = 0
        channel.settle = self.settle_all

    def install(self):
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "before_cursor_execute", self.before)
        event.listen(Engine, "after_cursor_execute", self.after)
        event.listen(Engine, "handle_error", self.error)
        for name in ("commit", "rollback", "begin"):
            event.listen(Engine, name, self.boundary)

    def begin(self, observe):
        self.observe, self.connections, self.base, self.busy = observe, {}, None, False

    def watched(self, connection, settled=True):
        """The driver's connection and what is known of it, by default with no question of ours under way."""
        raw = driver_connection(connection)
        found = self.connections.get(id(raw))
        if found is None or found[0] is not raw:
            found = self.connections[id(raw)] = (raw, Watched(len(self.connections) + 1))
        elif settled:
            self.collect(*found)
        return found

    def boundary(self, connection):
        if not self.busy and self.observe:
            try:
                self.watched(connection)[1].stale = True
            except Exception:  # a connection that is already invalid
                return

    def before(self, connection, cursor, statement, parameters, context, executemany):
        if self.busy:
            return
        raw, watched = self.watched(connection, settled=False)
        if self.observe:
            if not watched.listening:
                listen(raw, watched.messages)
                watched.settles = self.settle_first(raw)
                watched.listening = True
            watched.renames = RENAMES.search(statement) is not None
            watched.makes = MAKES_RELATIONS.search(statement) is not None
            if NO_QUERY_BEFORE.match(statement):
                watched.stale = True
            elif watched.stale:
                self.collect(raw, watched)
                self.look_around(connection, raw, watched)
            if READS_ROWS.match(statement) and not watched.seqscan_off:
                # the tables of a rehearsal are small: without this every change by key would be a scan
                watched.seqscan_off = True
                if watched.pending is None:
                    self.quietly(connection, raw, SEQSCAN_OFF)
                else:
                    watched.then = SEQSCAN_OFF
            drain(raw, watched.messages)
            del watched.messages[:]
        path, line, origin = self.sources.location(sys._getframe())
        self.count += 1
        # what waits for our question to be answered says both
        say = self.channel.emit if watched.pending is None else self.channel.hold
        say(
            event="begin",
            n=self.count,
            sql=as_text(statement),
            path=path,
            line=line,
            origin=origin,
            parameters=[] if executemany else describe_parameters(parameters),
            connection=watched.number,
        )
        watched.started = time.perf_counter()

    def after(self, connection, cursor, statement, parameters, context, executemany):
        if self.busy:
            return
        raw, watched = self.watched(connection)
        seconds = time.perf_counter() - watched.started
        rows = getattr(cursor, "rowcount", None)
        event = dict(
            event="statement", n=self.count, seconds=seconds, in_transaction=in_transaction(raw, connection)
        )
        if isinstance(rows, int) and rows >= 0:
            event["rows"] = rows
        if self.observe:
            if FORGETS_PREPARED.search(statement):
                watched.prepared = {}
            if not self.look_meanwhile(connection, raw, watched, event["in_transaction"]):
                event["observation"] = self.look(connection, raw, watched, event["in_transaction"])
        self.channel.emit(**event)

    def settle_first(self, raw):
        """Have every use of a psycopg connection, by whomever, wait for our question; whether that can be done."""
        if not hasattr(raw, "pgconn") or not hasattr(raw, "wait"):
            return False
        original = raw.wait  # what executes, commits, rolls back and copies goes through it
        if getattr(original, "settles", False):
            return True
        if "Async" in type(raw).__name__:
            return False

        def wait(*args, **kwargs):
            found = self.connections.get(id(raw))
            if found is not None and found[0] is raw:
                self.collect(*found)
            return original(*args, **kwargs)

        wait.settles = True
        raw.wait = wait
        return True

    def look_meanwhile(self, connection, raw, watched, inside):
        """Let the server look while Python goes on, where that can be done: it halves the price of looking."""
        if not (inside and watched.settles and not watched.stale and raw.pgconn.transaction_status == 2):
            return False
        names = watched.renames or watched.makes
        sql = self.narrow(connection, raw, watched, names)
        first = "RESET enable_seqscan; " if watched.seqscan_off else ""
        watched.seqscan_off = False
        raw.pgconn.send_query((first + sql).encode("ascii"))
        raw.pgconn.flush()
        watched.pending = self.count, watched.messages[:], names
        return True

    def collect(self, raw, watched):
        """Tell what the server has answered meanwhile, if it was asked."""
        if watched.pending is None:
            return
        (n, messages, named), watched.pending = watched.pending, None
        result = None
        while True:
            following = raw.pgconn.get_result()
            if following is None:
                break
            if result is None or result.status in (1, 2):
                result = following
        answer = answer_of(value_of(raw, result))
        if not named and self.tells_of_strangers(watched, answer):
            answer = answer_of(self.quietly(None, raw, self.narrow(None, raw, watched, True)))
        self.channel.emit(
            event="observed", n=n, observation=self.compared(None, raw, watched, True, answer, messages)
        )
        if watched.then is not None:
            then, watched.then = watched.then, None
            self.quietly(None, raw, then)

    def settle_all(self):
        for raw, watched in list(self.connections.values()):
            try:
                self.collect(raw, watched)
            except Exception:  # the connection is gone, and what it would have told
                continue

    def rest(self, connection, function):
        """What a revision did past SQLAlchemy after its last statement, through the driver's own cursor, if anything."""
        if not self.observe or connection is None or connection.closed or connection.invalidated:
            return
        raw, watched = self.watched(connection)
        if watched.stale or not in_transaction(raw, connection):
            return
        observation = self.look(connection, raw, watched, True)
        if not any(observation[name] for name in ("locks", "rewritten", "scanned", "built")):
            return
        self.count += 1
        self.channel.emit(
            event="begin",
            n=self.count,
            sql=PAST_SQLALCHEMY,
            path=os.path.realpath(function.__code__.co_filename),
            line=function.__code__.co_firstlineno,
            origin="revision",
            parameters=[],
            connection=watched.number,
        )
        self.channel.emit(
            event="statement", n=self.count, seconds=0.0, in_transaction=True, observation=observation
        )

    def error(self, context):
        if self.busy or context.statement is None:
            return
        raw, watched = None, None
        if context.connection is not None:
            try:
                raw, watched = self.watched(context.connection)
                watched.stale = True
                watched.seqscan_off = False
            except Exception:  # the connection is gone: nothing more to know about it
                watched = None
        message, sqlstate = server_words(context.original_exception)
        self.channel.emit(
            event="statement",
            n=self.count,
            seconds=time.perf_counter() - watched.started if watched else 0.0,
            in_transaction=in_transaction(raw, context.connection) if raw is not None else True,
            error=message,
            sqlstate=sqlstate,
        )

    def quietly(self, connection, raw, sql, first=""):
        """The one value that `sql` brings, if any, past SQLAlchemy and as much of the driver as can be left out.

        `first` is run before it, in the same round trip where the driver can do that.
        """
        self.busy = True
        try:
            if getattr(getattr(raw, "pgconn", None), "transaction_status", None) == 2:  # psycopg, in a transaction
                return with_libpq(raw, first + sql)
            if type(raw).__module__.startswith("psycopg2"):
                with raw.cursor(cursor_factory=sys.modules["psycopg2.extensions"].cursor) as cursor:
                    cursor.execute(first + sql)
                    return cursor.fetchone()[0] if cursor.description else None
            if first:
                connection.exec_driver_sql(first)
            result = connection.exec_driver_sql(sql)
            return result.scalar() if result.returns_rows else None
        finally:
            self.busy = False

    def ask(self, connection, raw, sql, first=""):
        return json.loads(self.quietly(connection, raw, sql, first))

    def narrow(self, connection, raw, watched, names):
        if names not in watched.prepared:
            self.prepared += 1
            name = "alembic_reviewer_%d" % self.prepared
            self.quietly(connection, raw, NARROW.format(name=name, names=NAMES if names else "NULL"))
            watched.prepared[names] = name
        return "EXECUTE %s (%d, %d, %s)" % (watched.prepared[names], self.base, watched.last, watched.renames)

    def tells_of_strangers(self, watched, answer):
        return any(row[0] > watched.last and row[0] not in watched.relations for row in answer[3])

    def look_around(self, connection, raw, watched):
        """The state of every relation: what a transaction's first statement is compared with."""
        now, lock_timeout, statement_timeout, rows = self.ask(connection, raw, WIDE)
        if self.base is None:
            self.base = max([row[0] for row in rows], default=16383)
        watched.relations = {row[0]: tuple(row[2:9]) for row in rows}
        watched.totals = {row[0]: (row[9] + row[6], row[10] + row[7]) for row in rows}
        watched.last = max([row[0] for row in rows], default=16383)
        watched.locks = {}
        watched.stale = False

    def look(self, connection, raw, watched, inside):
        if self.base is None:
            self.base = max(watched.relations, default=16383)
        first = "RESET enable_seqscan; " if watched.seqscan_off else ""
        watched.seqscan_off = False
        if inside and not watched.stale:
            answer = answer_of(self.quietly(connection, raw, self.narrow(connection, raw, watched, True), first))
        else:
            answer = self.ask(connection, raw, WIDE, first)
        drain(raw, watched.messages)
        return self.compared(connection, raw, watched, inside, answer, watched.messages)

    def compared(self, connection, raw, watched, inside, answer, messages):
        """What has changed since the last look."""
        now, lock_timeout, statement_timeout, rows = answer
        observation = {
            "lock_timeout": 0 if lock_timeout == self.own_lock_timeout else milliseconds(lock_timeout),
            "statement_timeout": milliseconds(statement_timeout),
            "transaction": now if inside else None,
            "messages": [m for m in messages if "pg_toast_" not in m and "deduplication" not in m][:200],
            "locks": [],
            "rewritten": [],
            "scanned": [],
            "built": [],
        }
        said = "\n".join(messages)
        files = None
        maybe_rewritten = []
        for row in rows:
            oid, modes = row[:2]
            known = watched.relations.get(oid)
            if len(row) == 6:
                names, filenode, scans, tuples = row[2:]
                if filenode is None and known is not None:  # dropped, or a relation without a file
                    filenode = known[3]
                if known is not None and (names is None or names == [known[0], known[1], known[2], known[6]]):
                    if known[3:6] == (filenode, scans, tuples) and watched.locks.get(oid, NOTHING).issuperset(
                        modes
                    ):
                        continue  # nothing has happened to it
                    names = [known[0], known[1], known[2], known[6]]
                if names is None:  # it came and went within this statement
                    watched.last = max(watched.last, oid)
                    continue
                schema, name, kind, table = names
            else:
                schema, name, kind, filenode, scans, tuples, table = row[2:9]
            new = oid > self.base
            if kind == "t" or schema.startswith("pg_toast"):
                watched.last = max(watched.last, oid)
                continue
            if len(row) > 9:  # outside a transaction: totals of the session, which are never reset
                totals = (row[9] + row[6], row[10] + row[7])
                before_scans, before_tuples = watched.totals.get(oid, totals)
                more_scans, more_tuples = totals[0] - before_scans, totals[1] - before_tuples
            else:
                before_scans, before_tuples = (known[4], known[5]) if known else (0, 0)
                more_scans, more_tuples = scans - before_scans, tuples - before_tuples
                if more_scans < 0:  # counted anew since the statistics were sent off
                    more_scans, more_tuples = scans, tuples
            relation = self.relation(watched, oid, known, schema, name, kind, table)
            held = watched.locks.setdefault(oid, set())
            for mode in modes or ():
                if mode not in held:
                    held.add(mode)
                    observation["locks"].append([relation, mode])
            if kind in "rm" and not new and more_scans > 0:
                observation["scanned"].append([relation, more_tuples])
            if known is None and kind == "i":
                if files is None:
                    files = {known[3] for known in watched.relations.values()}
                if filenode not in files:  # ALTER COLUMN TYPE may make an index anew around the file of the old one
                    observation["built"].append(relation)
            elif known is not None and known[3] != filenode and filenode is not None:
                if kind == "i":
                    observation["built"].append(relation)
                elif kind in "rm" and not new:
                    if 'rewriting table "%s"' % name in said:
                        observation["rewritten"].append(relation)
                    else:
                        maybe_rewritten.append((oid, relation))
            watched.relations[oid] = (schema, name, kind, filenode, scans, tuples, table)
            watched.last = max(watched.last, oid)
        if len(rows) and len(rows[0]) > 9:
            watched.totals = {row[0]: (row[9] + row[6], row[10] + row[7]) for row in rows}
        if maybe_rewritten:  # TRUNCATE makes a new, empty file too: that is no rewrite
            sizes = self.ask(
                connection,
                raw,
                "SELECT json_object_agg(oid::text, pg_relation_size(oid))::text FROM pg_class WHERE oid IN (%s)"
                % ", ".join(str(oid) for oid, _ in maybe_rewritten),
            )
            observation["rewritten"] += [relation for oid, relation in maybe_rewritten if sizes.get(str(oid))]
        if not inside:
            watched.stale, watched.locks = True, {}
        return observation

    def relation(self, watched, oid, known, schema, name, kind, table):
        if known:  # under the name that it had when the statement began
            schema, name = known[0], known[1]
        described = {"schema": schema, "name": name, "kind": KINDS.get(kind, "other"), "new": oid > self.base}
        if table is not None and table in watched.relations:
            described["table"] = watched.relations[table][1]
            described["table_new"] = table > self.base
        elif table is not None:
            described["table_new"] = table > self.base
            described["table"] = ""
        return described


def driver_connection(connection):
    fairy = connection.connection
    for name in ("driver_connection", "dbapi_connection", "connection"):
        raw = getattr(fairy, name, None)
        if raw is not None:
            return raw
    return fairy


def with_libpq(raw, sql):
    """Past the cursor of psycopg, which takes longer than the query."""
    return value_of(raw, raw.pgconn.exec_(sql.encode("ascii")))


def answer_of(text):
    """What NARROW tells, in the form of what WIDE tells: one row for each relation."""
    now, lock_timeout, statement_timeout, *lines = text.split("\n")
    rows = {}
    for line in lines:
        oid, mode, filenode, scans, tuples, *names = line.split(" ", 5)
        if oid in rows:
            rows[oid][1].append(mode)
        else:
            rows[oid] = (
                int(oid),
                [mode],
                json.loads(names[0]) if names else None,
                int(filenode) or None,
                int(scans),
                int(tuples),
            )
    return now, lock_timeout, statement_timeout, list(rows.values())


def value_of(raw, result):
    if result is None or result.status not in (1, 2):  # neither COMMAND_OK nor TUPLES_OK
        raise RuntimeError((result.error_message if result else b"").decode("utf-8", "replace"))
    value = result.get_value(0, 0) if result.status == 2 else None
    return None if value is None else value.decode(raw.info.encoding)


def listen(raw, messages):
    """Collect what the server says, with whatever the driver offers for it."""
    if hasattr(raw, "add_notice_handler"):  # psycopg
        # psycopg would drop every prepared statement of the session, ours too, after a DROP
        raw.prepare_threshold = None
        raw.add_notice_handler(lambda said: messages.extend(lines(said.message_primary, said.message_detail)))
    elif hasattr(raw, "add_log_listener"):  # asyncpg
        raw.add_log_listener(lambda _, said: messages.extend(lines(said.message, getattr(said, "detail", None))))


def lines(message, detail):
    """The detail of a cascade names what went with it, one object a line."""
    if detail and "cascades to" in detail:
        return [message or ""] + detail.split("\n")
    return [message or ""]


def drain(raw, messages):
    notices = getattr(raw, "notices", None)
    if notices is None or hasattr(raw, "add_notice_handler"):
        return
    for notice in list(notices):
        if isinstance(notice, dict):  # pg8000
            messages.append((notice.get(b"M") or b"").decode("utf-8", "replace"))
        else:  # psycopg2: "DEBUG:  rewriting table ..."
            messages.append(re.sub(r"^[A-Z0-9]+:\s+", "", str(notice)).strip())
    try:
        notices.clear()
    except AttributeError:
        del notices[:]


def in_transaction(raw, connection):
    """Whether the server is inside a transaction block, as it told the driver with its last answer."""
    info = getattr(raw, "info", None)
    status = getattr(info, "transaction_status", None)  # psycopg, psycopg2
    if status is not None:
        return int(status) != 0
    if hasattr(raw, "is_in_transaction"):  # asyncpg
        return bool(raw.is_in_transaction())
    status = getattr(raw, "_transaction_status", None)  # pg8000
    if status is not None:
        return status not in (b"I", ord("I"))
    return bool(connection.in_transaction())


def milliseconds(setting):
    if setting == "0":
        return 0
    match = re.match(r"(\d+)\s*(us|ms|s|min|h|d)?$", setting or "")
    if not match:
        return 0
    factor = {"us": 0.001, "ms": 1, "s": 1000, "min": 60000, "h": 3600000, "d": 86400000, None: 1}
    return int(int(match.group(1)) * factor[match.group(2)])


def server_words(error):
    """PostgreSQL's own message and SQLSTATE, from whatever exception the driver raised."""
    diagnostic = getattr(error, "diag", None)
    if diagnostic is not None and getattr(diagnostic, "message_primary", None):
        return diagnostic.message_primary, getattr(diagnostic, "sqlstate", None)
    seen = error
    while seen is not None:
        if getattr(seen, "sqlstate", None) and getattr(seen, "message", None):  # asyncpg
            return seen.message, seen.sqlstate
        if seen.args and isinstance(seen.args[0], dict) and "M" in seen.args[0]:  # pg8000
            return seen.args[0]["M"], seen.args[0].get("C")
        seen = seen.__cause__
    text = str(error).strip() or type(error).__name__
    return text.split("\n")[0], getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def as_text(statement):
    text = statement if isinstance(statement, str) else str(statement)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def describe_parameters(parameters):
    """Bound values in the order they stand: numbers, booleans and dates as they are, the rest only described."""
    import datetime
    import decimal

    values = list(parameters.values()) if isinstance(parameters, dict) else list(parameters or ())
    described = []
    for value in values[:20]:
        if isinstance(value, (bool, int, float, type(None), datetime.date, datetime.timedelta, decimal.Decimal)):
            described.append(str(value)[:40])
        elif isinstance(value, (str, bytes, list, tuple, dict)):
            described.append("<%s of length %d>" % (type(value).__name__, len(value)))
        else:
            described.append("<%s>" % type(value).__name__)
    return described


# -- source lines ---------------------------------------------------------------------------------


class Sources:
    """Knows which files are revision files, and finds the line of one that caused something."""

    def __init__(self):
        self.folders = ()
        self.env = None
        self.cache = {}

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
            if real == self.env and env_line is None and not through_alembic:
                env_line = frame.f_lineno
            if frame.f_code.co_name == "run_migrations" and "alembic" in filename:
                through_alembic = True
            frame = frame.f_back
        if env_line is not None:
            return None, None, "environment"
        return None, None, "alembic" if through_alembic else "environment"

    def of_traceback(self, error):
        """(path, line) of the innermost frame in a revision file, and whether the error was raised right there."""
        found, innermost = None, None
        tb = error.__traceback__
        while tb is not None:
            filename = tb.tb_frame.f_code.co_filename
            revision, real = self.is_revision(filename)
            if revision or real == self.env:
                found = (real, tb.tb_lineno)
            innermost = (real, tb.tb_lineno)
            tb = tb.tb_next
        there = found is not None and found == innermost
        return found, there and linecache.getline(found[0], found[1]).strip().startswith("raise")


# -- Alembic --------------------------------------------------------------------------------------


class Runner:
    def __init__(self, channel, setup):
        self.channel = channel
        self.setup = setup
        self.sources = Sources()
        self.redirection = Redirection()
        self.watcher = Watcher(channel, self.redirection, self.sources)
        self.watcher.own_lock_timeout = setup.get("own_lock_timeout")
        self.flask_context = None
        self.worker_thread = False

    def install(self):
        if self.setup.get("moved"):
            beside("models").Moved(*self.setup["moved"]).install()
        self.redirection.install()
        self.watcher.install()
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
        arguments += ["upgrade", "head"]
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
            app = ScriptInfo().load_app()
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
                "environment", "the launcher %s is not to be had: %s" % (self.setup["launcher"], error)
            ) from None
        launcher(config)

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
                if "AnyIO worker thread" not in str(error):
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
        self.watcher.begin(bool(command.get("observe")))
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
                raise Expected("raised", "the revision has no %s()" % command["direction"])
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
                original(*args, **kwargs)
                if context is not None and hasattr(original, "__code__"):
                    self.watcher.rest(context.connection, original)
            except BaseException as error:
                if not swallow or isinstance(error, (KeyboardInterrupt, GeneratorExit)):
                    raise
                self.failed(error, event="unrendered", id=name)
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
            word = text.strip().rstrip(";").strip().upper()
            if word in ("BEGIN", "COMMIT"):
                state["inside"] = word == "BEGIN"
                return
            path, line, origin = self.sources.location(sys._getframe())
            self.channel.emit(
                event="rendered", sql=as_text(text), path=path, line=line, origin=origin, inside=state["inside"]
            )

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
            return [
                self.wrapped(make(script.revision_map, script.get_revision(each)), swallow=True)
                for each in command["revisions"]
            ]

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
        found = {}

        def fn(rev, context, script):
            self.sources.learn(script, self.sources.env)
            found["folders"] = [folder.rstrip(os.sep) for folder in self.sources.folders]
            return []

        script = self.environment(fn)
        found.setdefault("folders", [folder.rstrip(os.sep) for folder in self.sources.folders])
        self.channel.emit(event="describe", directory=os.path.realpath(str(script.dir)), **found)
        self.channel.emit(event="done", calls=1, connected=self.redirection.connected)

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
        place, deliberate = self.sources.of_traceback(error)
        kind, message, sqlstate = "raised", None, None
        original = getattr(error, "orig", None)
        cause = error
        while cause is not None and not isinstance(cause, Expected):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            kind, message = cause.kind, str(cause)
        elif original is not None:
            kind = "statement"
            message, sqlstate = server_words(original)
        elif isinstance(error, (ModuleNotFoundError, ImportError)):
            kind, message = "import", str(error)
        elif isinstance(error, SystemExit):
            kind, message = "exited", "sys.exit(%r) was called" % (error.code,)
        if message is None:
            text = str(error).strip().split("\n")[0]
            message = "%s: %s" % (type(error).__name__, text) if text else type(error).__name__
        if isinstance(error, NotImplementedError):
            deliberate = True
        in_revision = place is not None and place[0] != self.sources.env
        if kind == "raised" and cause is None and not in_revision:
            kind = "environment"
        self.channel.emit(
            event=event,
            kind=kind,
            message=as_text(message),
            path=place[0] if place else None,
            line=place[1] if place else None,
            in_revision=in_revision,
            sqlstate=sqlstate,
            deliberate=bool(deliberate and kind == "raised"),
            traceback=as_text("".join(traceback.format_exception(type(error), error, error.__traceback__))[-4000:]),
            **more,
        )


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
        channel.emit(event="failed", kind="import", message=str(error), path=None, line=None, fatal=True)
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
