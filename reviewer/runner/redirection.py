"""Redirects every connection of the project to the throw-away server.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8. It decides nothing and judges nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


ASYNC_DRIVERS = ("asyncpg", "psycopg_async", "aiosqlite", "aiomysql", "asyncmy", "aioodbc", "aiosql")
# The parameters that decide where a connection goes and how it authenticates. Everything else (options,
# application_name, server_settings …) is left as the project sets it.
TARGET = frozenset(
    "host hostaddr port user password passfile dbname database dsn service servicefile unix_sock ssl sslmode "
    "sslcert sslkey sslpassword sslrootcert sslcrl sslcrldir sslcompression sslnegotiation sslsni sslcertmode "
    "ssl_context ssl_min_protocol_version ssl_max_protocol_version gssencmode krbsrvname gsslib gssdelegation "
    "channel_binding require_auth requirepeer target_session_attrs load_balance_hosts replication direct_tls "
    "source_address tcp_keepalive timeout connect_timeout sock".split()
)
# The same as environment variables. The runner sets PGHOST and similar ones; PGOPTIONS and PGAPPNAME are the
# project's.
LEADING_ELSEWHERE = frozenset(
    "PGHOSTADDR PGSERVICE PGSERVICEFILE PGSYSCONFDIR PGPASSFILE PGREQUIRESSL PGSSLMODE PGSSLNEGOTIATION PGSSLCERT "
    "PGSSLKEY PGSSLCERTMODE PGSSLROOTCERT PGSSLCRL PGSSLCRLDIR PGSSLSNI PGREQUIREPEER PGREQUIREAUTH "
    "PGCHANNELBINDING PGGSSENCMODE PGKRBSRVNAME PGGSSLIB PGGSSDELEGATION PGTARGETSESSIONATTRS "
    "PGLOADBALANCEHOSTS PGCONNECT_TIMEOUT".split()
)


class Expected(Exception):
    """Something that can go wrong in a project: a kind and a message; `deliberate` if the project intends it."""

    def __init__(self, kind: str, message: Any, deliberate: bool = False) -> None:
        Exception.__init__(self, message)
        self.kind = kind
        self.deliberate = deliberate


class Redirection:
    """Redirects every connection of every engine to the throw-away server, whatever env.py configures."""

    def __init__(self) -> None:
        self.address: dict[str, Any] = {}  # empty until a command sets it
        self.database = ""
        self.connected = 0
        self.offline = False
        self.engines: Any = weakref.WeakSet()  # those that may keep connections: env.py makes one for each command

    def install(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from sqlalchemy.engine.url import URL

        event.listen(Engine, "do_connect", self.connect)
        event.listen(Engine, "engine_connect", self.remember)
        made: Any = URL
        original = made._instantiate_plugins
        redirection = self

        def instantiate_plugins(url: Any, kwargs: Any) -> Any:
            return original(redirection.url(url, kwargs), kwargs)

        made._instantiate_plugins = instantiate_plugins
        Drivers(self.arguments, self.leads_here).install()

    def url(self, url: Any, kwargs: Any) -> Any:
        """Return the URL for an engine: one for PostgreSQL, with a driver that is installed."""
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

    def driver(self, is_async: bool) -> str:
        for driver, module in (
            [("asyncpg", "asyncpg"), ("psycopg", "psycopg")]
            if is_async
            else [("psycopg2", "psycopg2"), ("psycopg", "psycopg"), ("pg8000", "pg8000")]
        ):
            if installed(module) and (driver != "psycopg" or sqlalchemy_version() >= (2, 0)):
                return driver
        wanted = "asyncpg or psycopg" if is_async else "psycopg, psycopg2 or pg8000"
        raise Expected("no-driver", f"The project's interpreter has no PostgreSQL driver ({wanted})")

    def connect(self, dialect: Any, record: Any, cargs: Any, cparams: Any) -> Any:
        return dialect.connect(**self.arguments(dialect.driver, cparams))

    def arguments(self, driver: str, given: Any) -> dict[str, Any]:
        """Return the arguments to connect with: `given`, except for those that decide where the connection goes."""
        if self.offline:
            raise Expected("offline", "it needs a database connection, but there is none in offline mode")
        wanted = {name: value for name, value in given.items() if name not in TARGET}
        host, port = self.address["host"], self.address["port"]
        wanted["user"] = self.address["user"]
        if self.address.get("password"):
            wanted["password"] = self.address["password"]
        if driver == "pg8000" and host.startswith("/"):
            wanted["unix_sock"] = f"{host}/.s.PGSQL.{port}"
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

    def leads_here(self, given: Any) -> bool:
        """Return whether `given` are arguments that `arguments` has returned."""
        if not self.address or given.get("hostaddr"):
            return False
        place = given.get("unix_sock") or given.get("host"), str(given.get("port") or self.address["port"])
        host, port = self.address["host"], str(self.address["port"])
        database = given.get("dbname") or given.get("database")
        return place in ((host, port), (f"{host}/.s.PGSQL.{port}", port)) and database == self.database

    def remember(self, connection: Any, *_: Any) -> None:
        from sqlalchemy.pool import NullPool

        if not isinstance(connection.engine.pool, NullPool):
            self.engines.add(connection.engine)

    def move(self, address: dict[str, Any], database: str) -> None:
        """Direct all later connections to another database. Pooled connections are released."""
        self.address, self.database, self.connected = address, database, 0
        for engine in list(self.engines):
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
    """Redirects connections that do not use SQLAlchemy but a driver's own functions.

    Each driver is patched when it is imported, before other code can take a reference to its `connect`. Functions
    that a driver's version does not have are skipped: SQLAlchemy's connections are redirected in any case.

    The functions that `connect` itself calls are patched too, for code that calls them directly. SECURITY.md lists
    what remains.
    """

    def __init__(self, arguments: Callable[[str, Any], dict[str, Any]], leads_here: Callable[[Any], bool]) -> None:
        self.arguments = arguments
        self.leads_here = leads_here
        self.known = {
            "psycopg": self.psycopg,
            "psycopg2": self.psycopg2,
            "asyncpg.connection": self.asyncpg,
            "pg8000.core": self.pg8000,
        }

    def install(self) -> None:
        sys.meta_path.insert(0, self)
        for name, change in self.known.items():
            if name in sys.modules:
                change(sys.modules[name])

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        change = self.known.get(name)
        if change is None:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec: Any = next(
            (spec for spec in (finder.find_spec(name, path, target) for finder in others) if spec), None
        )
        if spec is None or not hasattr(spec.loader, "exec_module"):
            return spec
        original = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            original(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec

    def psycopg(self, module: Any) -> None:
        from psycopg.conninfo import conninfo_to_dict

        for kind in (module.Connection, module.AsyncConnection):
            # one stays a coroutine function, the other a plain one
            kind.connect = classmethod(
                self.redirected(kind.connect.__func__, "psycopg", "conninfo", conninfo_to_dict)
            )
        module.connect = module.Connection.connect
        from psycopg import generators, pq
        from psycopg.conninfo import make_conninfo

        def led(conninfo: Any) -> Any:
            return self.led("psycopg", conninfo, conninfo_to_dict, make_conninfo)

        original: Any = pq.PGconn
        start = generators.connect

        class PGconn(original):  # type: ignore[misc]  # of the project's psycopg
            connect = classmethod(lambda cls, conninfo: original.connect(led(conninfo)))
            connect_start = classmethod(lambda cls, conninfo: original.connect_start(led(conninfo)))
            ping = classmethod(lambda cls, conninfo: original.ping(led(conninfo)))

        generators.connect = lambda conninfo, *args, **kwargs: start(led(conninfo), *args, **kwargs)
        for place in ("psycopg.pq", "psycopg.pq.pq_ctypes", "psycopg_binary.pq", "psycopg_c.pq"):
            if getattr(sys.modules.get(place), "PGconn", None) is original:
                vars(sys.modules[place])["PGconn"] = PGconn

    def psycopg2(self, module: Any) -> None:
        from psycopg2 import _psycopg, extensions
        from psycopg2.extensions import make_dsn, parse_dsn

        module.connect = self.redirected(module.connect, "psycopg2", "dsn", parse_dsn)

        def led(dsn: Any) -> Any:
            return self.led("psycopg2", dsn, parse_dsn, make_dsn)

        original: Any = extensions.connection
        start = _psycopg._connect

        class Kind(type):
            def __instancecheck__(cls, other: Any) -> bool:  # so are connections that psycopg2 creates itself
                return isinstance(other, original) if cls is connection else type.__instancecheck__(cls, other)

        class connection(original, metaclass=Kind):  # type: ignore[misc]  # noqa: N801 - as psycopg2 calls it
            def __init__(self, dsn: Any, *args: Any, **kwargs: Any) -> None:
                original.__init__(self, led(dsn), *args, **kwargs)

        def _connect(dsn: Any, *args: Any, **kwargs: Any) -> Any:
            return start(led(dsn), *args, **kwargs)

        for place in (module, _psycopg):
            place._connect = _connect
        for place in (extensions, _psycopg):
            place.connection = connection

    def asyncpg(self, module: Any) -> None:
        from urllib.parse import parse_qsl, urlsplit

        def settings(dsn: Any) -> dict[str, Any]:  # any other parameter of a URL is a setting of the session
            said = dict(parse_qsl(urlsplit(dsn).query))
            return {"server_settings": {name: value for name, value in said.items() if name not in TARGET}}

        module.connect = self.redirected(module.connect, "asyncpg", "dsn", settings)
        utils = module.connect_utils
        utils._connect = self.redirected(utils._connect, "asyncpg", "dsn", settings, inner=True)

    def pg8000(self, module: Any) -> None:
        for name in ("CoreConnection", "Connection"):
            kind = getattr(module, name, None)
            if kind is not None:
                kind.__init__ = self.redirected(kind.__init__, "pg8000")

    def led(self, driver: str, text: Any, parse: Any, write: Any) -> Any:
        """Return the connection string `text`, or one that leads to the throw-away server instead."""
        plain = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
        try:
            given = parse(plain or "")
        except Exception:  # as in `redirected`
            given = {}
        if self.leads_here(given):
            return text
        ours = write("", **self.arguments(driver, given))
        return ours.encode() if isinstance(text, bytes) else ours

    def redirected(
        self, original: Any, driver: str, text: str | None = None, parse: Any = None, inner: bool = False
    ) -> Callable[..., Any]:
        """Wrap `original` to change its arguments.

        `text` names the parameter that may hold all of them, which `parse` reads. An `inner` function is called by
        other redirected ones, and leaves alone the arguments that they have changed.
        """
        import functools
        import inspect

        signature = inspect.signature(original)
        rest = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]

        @functools.wraps(original)
        def connect(*args: Any, **kwargs: Any) -> Any:
            given = dict(signature.bind_partial(*args, **kwargs).arguments)
            bound = [given.pop(name) for name in ("cls", "self") if name in given]
            for name in rest:
                given.update(given.pop(name, {}))
            if inner and self.leads_here(given):
                return original(*bound, **given)
            written: dict[str, Any] = {}
            # the driver would have rejected what cannot be parsed; the rest of the text is not needed to redirect
            # it
            with contextlib.suppress(Exception):
                written = parse(given.pop(text)) if text and given.get(text) else {}
            wanted = self.arguments(driver, dict(written, **given))
            if inner:  # has no defaults for arguments that are left out
                wanted = {**dict.fromkeys(given), str(text): None, **wanted}
            return original(*bound, **wanted)

        return connect


def importable(url: Any) -> bool:
    try:
        dialect = url.get_dialect()
        (getattr(dialect, "import_dbapi", None) or dialect.dbapi)()
    except ImportError:
        return False
    except Exception:  # an error of the project: create_engine reports it
        return True
    return True


def installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def sqlalchemy_version() -> tuple[int, ...]:
    import sqlalchemy

    return tuple(int(part) for part in re.findall(r"\d+", sqlalchemy.__version__)[:2])
