"""No migration reaches a real database: whatever a project connects with, a listener where its URL points hears nothing.

Each project makes a connection in every way that its driver offers, writes down which database it has reached, and
then runs its migrations. A way that is not redirected would be answered by nobody, and would be heard.
"""

from __future__ import annotations

import importlib.util
import json
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Place, project, revision, somewhere, told


class Listener:
    """Stands where the real database would be, hangs up on everybody, and knows who came."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._came: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=self._answer, daemon=True).start()

    def heard(self) -> int:
        """How many have come so far: all those before our own call."""
        with socket.create_connection(("127.0.0.1", self.port)) as own:
            return len(list(iter(self._came.get, own.getsockname()[1])))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _answer(self) -> None:
        while True:
            try:
                connection, address = self._socket.accept()
            except OSError:
                return
            connection.close()
            self._came.put(address[1])


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


START = """
import asyncio, json, os, sys
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import context
from sqlalchemy import create_engine, engine_from_config, event, pool
from sqlalchemy.engine import URL, Engine, make_url

config = context.config
INI = config.get_main_option("sqlalchemy.url")
PORT = int(os.environ["REAL_PORT"])
DRIVER = make_url(INI).drivername
PLAIN = INI.replace("+" + DRIVER.partition("+")[2], "")
OWN = {"host": "127.0.0.1", "port": PORT, "user": "app", "password": "secret", NAME: "app"}
ASK = "SELECT current_database()"


@contextmanager
def own_connections(own):
    def connect(dialect, record, cargs, cparams):
        return dialect.connect(**own)

    event.listen(Engine, "do_connect", connect, insert=True)
    yield
    event.remove(Engine, "do_connect", connect)
"""

SYNC = """
def ask(engine):
    with engine.connect() as connection:
        return connection.scalar(sa.text(ASK))

def migrate():
    with create_engine(INI).connect() as connection:
        run(connection)
"""

ASYNC = """
from sqlalchemy.ext.asyncio import create_async_engine as create_engine, async_engine_from_config as engine_from_config

def ask(engine):
    async def asking():
        async with engine.connect() as connection:
            return await connection.scalar(sa.text(ASK))
    return asyncio.run(asking())

def migrate():
    async def migrating():
        async with create_engine(INI).connect() as connection:
            await connection.run_sync(run)
    asyncio.run(migrating())
"""

ENGINES = """
def fetched(rows):
    return rows[0][0]

reached = {}
reached["ini"] = ask(engine_from_config({"sqlalchemy.url": INI}, poolclass=pool.NullPool))
reached["environment"] = ask(create_engine(os.environ["DATABASE_URL"]))
reached["code"] = ask(create_engine(URL.create(DRIVER, "app", "secret", "127.0.0.1", PORT, "app")))
reached["connect_args"] = ask(create_engine(DRIVER + "://", connect_args=dict(OWN)))
reached["query"] = ask(create_engine(f"{DRIVER}://app:secret@/app?host=127.0.0.1&port={PORT}"))
with own_connections(OWN):
    reached["do_connect"] = ask(create_engine(INI))
engine = create_engine(INI)
event.listen(getattr(engine, "sync_engine", engine), "do_connect", lambda d, r, a, p: p.update(OWN))
reached["do_connect, changed"] = ask(engine)
"""

END = """
def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

migrate()
Path(os.environ["REACHED"]).write_text(json.dumps(reached))
"""

LIBPQ = """
os.environ["PGSERVICEFILE"] = os.environ["SERVICES"]
os.environ["PGHOSTADDR"], os.environ["PGSSLMODE"] = "127.0.0.1", "require"
reached["sslmode"] = ask(create_engine(INI + "?sslmode=require"))
reached["service in the URL"] = ask(create_engine(DRIVER + "://?service=real"))
os.environ["PGSERVICE"], os.environ["PGSERVICEFILE"] = "real", os.environ["SERVICES"]
reached["service in the environment"] = ask(create_engine(DRIVER + "://"))
"""

PSYCOPG = """
import psycopg

def of_async(making):
    async def asking():
        async with await making as connection:
            return fetched(await (await connection.execute(ASK)).fetchall())
    return asyncio.run(asking())

for way, connection in {
    "driver, URL": psycopg.connect(PLAIN),
    "driver, words": psycopg.connect(f"host=127.0.0.1 port={PORT} dbname=app user=app sslmode=require"),
    "driver, service": psycopg.connect("service=real"),
    "driver, arguments": psycopg.Connection.connect(**OWN),
    "driver, mixed": psycopg.connect(PLAIN, hostaddr="127.0.0.1", autocommit=True),
}.items():
    reached[way] = fetched(connection.execute(ASK).fetchall())
from psycopg import generators, pq
from psycopg.pq import PGconn

def fetched_below(connection):
    while connection.status not in (pq.ConnStatus.OK, pq.ConnStatus.BAD):
        connection.connect_poll()
    result = connection.exec_(ASK.encode())
    return result.get_value(0, 0).decode() if result.status == pq.ExecStatus.TUPLES_OK else result.error_message

reached["driver, pq"] = fetched_below(pq.PGconn.connect(PLAIN.encode()))
reached["driver, pq, words"] = fetched_below(PGconn.connect(f"host=127.0.0.1 port={PORT} dbname=app".encode()))
reached["driver, pq, started"] = fetched_below(pq.PGconn.connect_start(PLAIN.encode()))
reached["driver, pq, of the implementation"] = fetched_below(sys.modules[f"psycopg_{pq.__impl__}.pq"].PGconn.connect(
    PLAIN.encode())) if pq.__impl__ != "python" else "review_"
assert pq.PGconn.ping(PLAIN.encode()) == pq.Ping.OK
reached["driver, generator"] = fetched_below(psycopg.waiting.wait_conn(generators.connect(PLAIN)))
reached["driver, async"] = of_async(psycopg.AsyncConnection.connect(PLAIN))
reached["driver, async arguments"] = of_async(psycopg.AsyncConnection.connect(conninfo="", **OWN))
"""

PSYCOPG_CREATOR = """
import psycopg
reached["creator"] = ask(create_engine(DRIVER + "://", creator=lambda: psycopg.connect(PLAIN)))
"""

PSYCOPG_ASYNC_CREATOR = """
import psycopg
async def creator(**_):
    return await psycopg.AsyncConnection.connect(PLAIN)
reached["creator"] = ask(create_engine(DRIVER + "://", async_creator=creator))
reached["creator in connect_args"] = ask(create_engine(DRIVER + "://", connect_args={"async_creator_fn": creator}))
"""

PSYCOPG2 = """
import psycopg2, psycopg2.pool

def fetched_from(connection):
    with connection.cursor() as cursor:
        cursor.execute(ASK)
        return fetched(cursor.fetchall())

reached["creator"] = ask(create_engine(DRIVER + "://", creator=lambda: psycopg2.connect(PLAIN)))
reached["driver, URL"] = fetched_from(psycopg2.connect(PLAIN))
reached["driver, words"] = fetched_from(psycopg2.connect(f"host=127.0.0.1 port={PORT} dbname=app user=app"))
reached["driver, service"] = fetched_from(psycopg2.connect("service=real"))
reached["driver, arguments"] = fetched_from(psycopg2.connect(**OWN))
reached["driver, pool"] = fetched_from(psycopg2.pool.SimpleConnectionPool(1, 2, PLAIN).getconn())
import psycopg2._psycopg, psycopg2.extensions, psycopg2.extras

class Own(psycopg2.extensions.connection):
    pass

made = psycopg2.connect(PLAIN)
assert isinstance(made, psycopg2.extensions.connection) and not isinstance(made, Own)
reached["driver, class"] = fetched_from(psycopg2.extensions.connection(PLAIN))
reached["driver, own class"] = fetched_from(Own(PLAIN))
reached["driver, factory"] = fetched_from(psycopg2.connect(PLAIN, connection_factory=Own))
reached["driver, function"] = fetched_from(psycopg2._connect(PLAIN))
reached["driver, function of the module"] = fetched_from(psycopg2._psycopg._connect(PLAIN, connection_factory=Own))
with psycopg2.extras.DictConnection(PLAIN) as made:
    reached["driver, extras"] = fetched_from(made)
"""

ASYNCPG = """
import asyncpg

async def creator(*_, **__):
    return await asyncpg.connect(PLAIN)

async def connected(making):
    connection = await making
    try:
        return await connection.fetchval(ASK)
    finally:
        await connection.close()

async def pooled():
    async with asyncpg.create_pool(PLAIN, min_size=1, max_size=1) as pool:
        return await pool.fetchval(ASK)

os.environ["PGSSLMODE"] = "require"
os.environ["PGSERVICE"], os.environ["PGSERVICEFILE"] = "real", os.environ["SERVICES"]
reached["creator"] = ask(create_engine(DRIVER + "://", async_creator=creator))
reached["creator in connect_args"] = ask(create_engine(DRIVER + "://", connect_args={"async_creator_fn": creator}))
reached["sslmode"] = ask(create_engine(INI + "?ssl=require"))
reached["driver, URL"] = asyncio.run(connected(asyncpg.connect(PLAIN + "?sslmode=require&application_name=me")))
reached["driver, arguments"] = asyncio.run(connected(asyncpg.connect(**OWN)))
reached["driver, pool"] = asyncio.run(pooled())
import asyncpg.connect_utils

async def below(**own):
    loop = asyncio.get_running_loop()
    more = {"loop": loop, "connection_class": asyncpg.Connection, "record_class": asyncpg.Record}
    import inspect
    signature = inspect.signature(asyncpg.connect)
    given = {name: each.default for name, each in signature.parameters.items() if name != "timeout"}
    return await asyncpg.connect_utils._connect(**{**given, **more, **own})

reached["driver, below"] = asyncio.run(connected(below(dsn=PLAIN)))
reached["driver, below, arguments"] = asyncio.run(connected(below(**OWN)))
"""

PG8000 = """
import ssl
import pg8000, pg8000.dbapi, pg8000.native

def fetched_from(connection):
    cursor = connection.cursor()
    cursor.execute(ASK)
    return fetched(cursor.fetchall())

reached["creator"] = ask(create_engine(DRIVER + "://", creator=lambda: pg8000.connect(**OWN)))
reached["sslmode"] = ask(create_engine(INI, connect_args={"ssl_context": ssl.create_default_context()}))
reached["driver"] = fetched_from(pg8000.connect("app", "127.0.0.1", port=PORT, password="secret"))
reached["driver, dbapi"] = fetched_from(pg8000.dbapi.connect(**OWN))
reached["driver, native"] = fetched(pg8000.native.Connection("app", host="127.0.0.1", port=PORT).run(ASK))
"""

# Each has a URL's driver, how psycopg and its like call a database, and what its env.py does.
PROJECTS = {
    "psycopg": ("dbname", [SYNC, ENGINES, PSYCOPG_CREATOR, LIBPQ, PSYCOPG]),
    "psycopg_async": ("dbname", [ASYNC, ENGINES, PSYCOPG_ASYNC_CREATOR, LIBPQ, PSYCOPG]),
    "psycopg2": ("dbname", [SYNC, ENGINES, LIBPQ, PSYCOPG2]),
    "asyncpg": ("database", [ASYNC, ENGINES, ASYNCPG]),
    "pg8000": ("database", [SYNC, ENGINES.replace('reached["query"]', "#"), PG8000]),
}
WAYS = {"ini", "environment", "code", "connect_args", "do_connect", "do_connect, changed", "creator", "sslmode"}

MIGRATION = {
    "psycopg": 'import psycopg\npsycopg.connect(PLAIN, autocommit=True).execute("SELECT 1")',
    "psycopg2": 'import psycopg2\npsycopg2.connect(PLAIN).cursor().execute("SELECT 1")',
    "asyncpg": "import asyncio, asyncpg\n"
    "async def ask():\n    connection = await asyncpg.connect(PLAIN)\n    await connection.close()\n"
    "import threading\nother = threading.Thread(target=lambda: asyncio.run(ask()))\nother.start()\nother.join()",
    "pg8000": 'import pg8000\npg8000.connect("app", "127.0.0.1", port=int(os.environ["REAL_PORT"])).run("SELECT 1")',
}


@pytest.mark.parametrize("driver", PROJECTS)
def test_no_way_to_connect_reaches_where_it_points(
    driver: str, place: Place, listener: Listener, tmp_path: Path
) -> None:
    module = driver.partition("_")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"the interpreter has no {module}")
    name, parts = PROJECTS[driver]
    url = f"postgresql+{driver}://app:secret@127.0.0.1:{listener.port}/app"
    services = tmp_path / "services"
    services.write_text(f"[real]\nhost=127.0.0.1\nport={listener.port}\nuser=app\ndbname=app\nsslmode=require\n")
    own = f'PLAIN = "postgresql://app:secret@127.0.0.1:{listener.port}/app"\n{MIGRATION[module]}'
    env = "\n".join([START.replace("NAME:", f'"{name}":'), *parts, END])
    folder = project(tmp_path / "project", revision("b", "a", own), url=url, env=env)
    variables = {
        "REAL_PORT": str(listener.port),
        "DATABASE_URL": url,
        "SERVICES": str(services),
        "REACHED": str(tmp_path / "reached.json"),
    }

    done = place.review(
        folder,
        "--revisions",
        "a:b",
        "--no-rows",
        *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")),
    )

    assert done.returncode == 0, told(done)
    reached = json.loads((tmp_path / "reached.json").read_text())
    assert {way for way, database in reached.items() if not database.startswith("review_")} == set()
    assert set(reached) >= WAYS
    assert listener.heard() == 0


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_rendering_offline_connects_to_nothing(
    driver: str, place: Place, listener: Listener, tmp_path: Path
) -> None:
    if importlib.util.find_spec(driver) is None:
        pytest.skip(f"the interpreter has no {driver}")
    url = f"postgresql+psycopg://app:secret@127.0.0.1:{listener.port}/app"
    own = f'PLAIN = "postgresql://app:secret@127.0.0.1:{listener.port}/app"\n{MIGRATION[driver]}'
    folder = project(tmp_path / "project", revision("b", "a", own), url=url)

    done = place.review(
        folder, "--revisions", "a:b", "--static", "--format", "json", "--env", f"REAL_PORT={listener.port}"
    )

    reasons = [each["reason"] for each in json.loads(done.stdout)["skipped"]]
    assert any("it needs a database connection" in reason for reason in reasons), told(done)
    assert listener.heard() == 0


def test_a_listener_hears_who_comes(listener: Listener) -> None:
    with socket.create_connection(("127.0.0.1", listener.port)):
        assert listener.heard() == 1
