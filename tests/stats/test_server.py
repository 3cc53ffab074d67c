"""Production as a server tells it: to a role that may only read the catalogue, and without touching anything."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from reviewer import cli
from reviewer.errors import ServerError, UsageError
from reviewer.postgres import RunningServer
from reviewer.recording import Catalogue
from reviewer.rehearsal import catalogue
from reviewer.sql.names import Name
from reviewer.stats import drift, file, views
from reviewer.stats import server as production
from tests import majors
from tests.postgres.test_own_server import becomes_true

SHOP = """
CREATE TABLE users (id bigint PRIMARY KEY, name text);
INSERT INTO users SELECT n, 'somebody' FROM generate_series(1, 50) n;
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint REFERENCES users, note text DEFAULT 'nothing');
CREATE INDEX ix_note ON orders (note);
INSERT INTO orders SELECT n, 1 + n % 50, 'a note' FROM generate_series(1, 20000) n;
CREATE TABLE events (id bigint, day date) PARTITION BY RANGE (day);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2030-01-01') PARTITION BY RANGE (id);
CREATE TABLE events_new_few PARTITION OF events_new FOR VALUES FROM (0) TO (1000);
INSERT INTO events SELECT n, '2010-01-01' FROM generate_series(1, 3000) n;
INSERT INTO events SELECT n, '2025-01-01' FROM generate_series(1, 500) n;
CREATE TABLE texts (body text);
ALTER TABLE texts ALTER body SET STORAGE EXTERNAL;
INSERT INTO texts SELECT repeat('long', 5000) FROM generate_series(1, 10);
CREATE MATERIALIZED VIEW names AS SELECT DISTINCT name FROM users;
CREATE SCHEMA app;
CREATE TABLE app.plans (id int);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('a1b2');
ANALYZE;
CREATE TABLE fresh (id int);
"""


@dataclass(frozen=True)
class Shop:
    """A server with the database of an application, and a role that may do nothing there but connect."""

    server: RunningServer
    database: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, role: str = "superuser", database: str | None = None) -> str:
        address = self.server.address
        return f"postgresql://{role}:hush@/{database or self.database}?host={address.host}&port={address.port}"

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url(), autocommit=True)

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def another(self) -> str:
        """An empty database."""
        return self.server.create_database(f"other{next(self.numbers)}")


@pytest.fixture(scope="module", params=[majors.MAJORS[0], majors.MAJORS[-1], majors.NEXT])
def server(request: pytest.FixtureRequest) -> Iterator[Shop]:
    with majors.server(request.param) as running:
        shop = Shop(running, running.create_database("shop"))
        shop.execute(SHOP)
        shop.execute(f"CREATE ROLE reader LOGIN; REVOKE ALL ON DATABASE {shop.database} FROM PUBLIC")
        shop.execute(
            f"GRANT CONNECT ON DATABASE {shop.database} TO reader; REVOKE ALL ON SCHEMA public FROM PUBLIC"
        )
        yield shop


def told(stats: views.Stats, name: str) -> views.Table:
    wanted = Name.told(name)
    return next(each for each in stats.tables if (each.name, each.schema) == (wanted.name, wanted.schema))


def test_a_role_that_may_only_connect_sees_every_size(server: Shop) -> None:
    stats = production.read(server.url("reader"), "0.1.0")

    rows = {str(Name(each.name, each.schema)): each.rows for each in stats.tables}
    assert rows == {
        "users": 50,
        "orders": 20_000,
        "events": 3_500,
        "events_old": 3_000,
        "events_new": 500,
        "events_new_few": 500,
        "texts": 10,
        "names": 1,
        "app.plans": 0,
        "alembic_version": 1,
        "fresh": 0,
    }
    orders, events, texts = (told(stats, name) for name in ("orders", "events", "texts"))
    assert orders.heap_bytes > 500_000
    assert orders.index_bytes == sum(each.bytes for each in orders.indexes) > 400_000
    assert {(each.name, each.valid, each.unique, each.primary) for each in orders.indexes} == {
        ("orders_pkey", True, True, True),
        ("ix_note", True, False, False),
    }
    assert events.partitions == ("events_new", "events_old")
    assert events.heap_bytes == told(stats, "events_old").heap_bytes + told(stats, "events_new_few").heap_bytes
    assert texts.toast_bytes > 200_000 > texts.heap_bytes
    assert orders.analyzed is not None
    assert stats.database == server.database
    assert stats.postgres == server.server.version
    assert stats.started < stats.made
    assert not stats.standby


def test_a_table_that_has_grown_since_it_was_analyzed_is_as_large_as_its_pages_say(server: Shop) -> None:
    server.execute("INSERT INTO fresh SELECT n FROM generate_series(1, 1000) n; ANALYZE fresh")
    server.execute("INSERT INTO fresh SELECT n FROM generate_series(1, 9000) n")

    rows = told(production.read(server.url("reader"), "0.1.0"), "fresh").rows

    server.execute("TRUNCATE fresh")
    assert rows is not None
    assert 8_000 <= rows <= 12_000


def test_changes_and_scans_are_counted_and_an_invalid_index_is_told(server: Shop) -> None:
    database = server.another()
    with psycopg.connect(server.url(database=database), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2); DELETE FROM t")
        connection.execute("CREATE INDEX broken ON t (id)")
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass")

    def counted() -> bool:
        (table,) = production.read(server.url(database=database), "0.1.0").tables
        return (table.inserted, table.deleted) == (2, 2)

    becomes_true(counted)
    (table,) = production.read(server.url(database=database), "0.1.0").tables
    assert [each.name for each in table.indexes if not each.valid] == ["broken"]


def test_settings_of_roles_and_of_the_database_are_told_and_secrets_are_not(server: Shop) -> None:
    server.execute(f"ALTER DATABASE {server.database} SET lock_timeout = '3s'")
    server.execute("CREATE ROLE deployer; ALTER ROLE deployer SET statement_timeout = '10min'")
    server.execute("ALTER ROLE deployer SET app.token = 'hush'")

    stats = production.read(server.url("reader"), "0.1.0")

    server.execute(f"ALTER DATABASE {server.database} RESET lock_timeout; DROP ROLE deployer")
    found = {(each.role, each.database, each.name, each.value) for each in stats.overrides}
    assert (None, True, "lock_timeout", "3s") in found
    assert ("deployer", False, "statement_timeout", "10min") in found
    settings = {each.name: (each.value, each.unit) for each in stats.settings}
    assert settings["lock_timeout"] == ("3000", "ms")
    assert settings["statement_timeout"] == ("0", "ms")  # and not ours
    assert "hush" not in file.dumps(stats)


def test_everything_is_read_in_one_read_only_transaction_that_waits_for_nothing_long(server: Shop) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(connection: psycopg.Connection[Any]) -> Catalogue:
        for name in ("transaction_read_only", "transaction_isolation", "lock_timeout", "statement_timeout"):
            seen.extend(connection.execute("SELECT current_setting(%s)", [name]).fetchall())
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE written ()")
        raise ServerError("seen enough")

    with pytest.raises(ServerError, match="seen enough"):
        production.read(server.url(), "0.1.0", schema=look)

    assert [value for (value,) in seen] == ["on", "repeatable read", "2s", "1min"]


def test_the_oldest_open_transaction_is_told_or_that_it_is_hidden(server: Shop) -> None:
    with server.connect() as other, other.transaction():
        other.execute("SELECT count(*) FROM users")
        seen = production.read(server.url(), "0.1.0")
        hidden = production.read(server.url("reader"), "0.1.0")

    assert seen.oldest_transaction is not None
    assert seen.oldest_transaction.state == "idle in transaction"
    assert hidden.oldest_transaction is None
    assert any("transactions" in each and "pg_read_all_stats" in each for each in hidden.unknown)


def test_a_table_that_somebody_has_locked_is_not_waited_for(server: Shop) -> None:
    with server.connect() as other, other.transaction():
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        stats = production.read(server.url("reader"), "0.1.0")

    assert told(stats, "orders").rows == 20_000
    assert any("orders, locked by another session" in each for each in stats.unknown)


def test_the_schema_is_told_on_request_with_the_revision_if_the_role_may_see_it(server: Shop) -> None:
    mine = production.read(server.url(), "0.1.0", schema=catalogue.read)
    readers = production.read(server.url("reader"), "0.1.0", schema=catalogue.read)

    assert mine.heads == ("a1b2",)
    assert readers.heads is None
    assert any("may not read alembic_version" in each for each in readers.unknown)
    assert mine.catalogue is not None
    assert readers.catalogue is not None
    assert mine.catalogue != readers.catalogue  # one that may not use a schema sees its name in every definition
    assert list(drift.compare(mine.catalogue, readers.catalogue)) == []
    orders = mine.catalogue.table(Name("orders"))
    assert orders is not None
    assert [each.name for each in orders.columns] == ["id", "user_id", "note"]
    assert production.read(server.url("reader"), "0.1.0").catalogue is None


def test_a_database_without_tables_is_a_wrong_usage(server: Shop) -> None:
    with pytest.raises(UsageError, match="has no tables"):
        production.read(server.url(database=server.another()), "0.1.0")


def test_queries_need_the_extension(server: Shop) -> None:
    with pytest.raises(UsageError, match="which this database does not have"):
        production.read(server.url(), "0.1.0", queries=True)


def test_queries_need_the_extension_to_be_loaded(server: Shop) -> None:
    database = server.another()
    with psycopg.connect(server.url(database=database), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (); CREATE EXTENSION pg_stat_statements")

    with pytest.raises(UsageError, match="shared_preload_libraries"):
        production.read(server.url(database=database), "0.1.0", queries=True)


STATEMENTS = """
CREATE TABLE t ();
CREATE SCHEMA "Stats";
CREATE EXTENSION pg_stat_statements SCHEMA "Stats";
ALTER EXTENSION pg_stat_statements DROP VIEW "Stats".pg_stat_statements;
ALTER EXTENSION pg_stat_statements DROP FUNCTION "Stats".pg_stat_statements(boolean);
DROP VIEW "Stats".pg_stat_statements;
DROP FUNCTION "Stats".pg_stat_statements(boolean);
CREATE FUNCTION "Stats".pg_stat_statements(showtext boolean)
RETURNS TABLE (query text, calls bigint, total_exec_time double precision, rows bigint, dbid oid) LANGUAGE sql AS $$
    SELECT x.query, 2::bigint, x.time::double precision, 3::bigint, d.oid FROM pg_database d, (VALUES
        ('SELECT name FROM users WHERE id = $1 /* trace 4711 */', 5),
        ('SELECT name FROM users WHERE id = $1', 1),
        ('UPDATE users SET name = ''hush'' WHERE id = 4711', 9),
        ('ALTER ROLE app PASSWORD ''hush''', 90),
        ('<insufficient privilege>', 80)) x (query, time) WHERE d.datname = current_database()
$$
"""


def test_queries_are_told_without_constants_comments_and_commands(server: Shop) -> None:
    database = server.another()
    with psycopg.connect(server.url(database=database), autocommit=True) as connection:
        connection.execute(STATEMENTS.encode())

    stats = production.read(server.url(database=database), "0.1.0", queries=True)

    assert stats.queries == (
        views.Query(text="UPDATE users SET name = ? WHERE id = ?", calls=2, milliseconds=9.0, rows=3),
        views.Query(text="SELECT name FROM users WHERE id = $1", calls=4, milliseconds=6.0, rows=6),
    )
    assert any(each.startswith("1 statements of other roles are hidden") for each in stats.unknown)


def test_an_older_server_is_refused_in_one_sentence() -> None:
    for number, version in ((130_004, "13"), (90_624, "9.6")):
        with pytest.raises(ServerError) as caught:
            production._refuse_other_versions(number)

        assert caught.value.sentence == f"The server is PostgreSQL {version}; versions 14 to 19 are supported."


# -- the command ----------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["stats", *arguments])


def test_the_command_writes_a_file_that_a_review_reads(server: Shop, tmp_path: Path) -> None:
    place = tmp_path / "stats.json"

    done = run(server.url("reader"), "-o", str(place), "--schema")

    assert done.exit_code == 0
    assert f"{place}: 11 tables of database" in done.output
    assert "the largest is orders: 20,000 rows" in done.output
    found = file.load(place)
    size = found.size(Name("orders"))
    assert size is not None
    assert size.rows == 20_000
    assert "hush" not in done.output + place.read_text()
    assert server.server.address.host not in place.read_text()


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("mysql://u:hush@h/d", 2, "is not a postgresql:// URL"),
        ("host=h user=u password=hush", 2, "is not a postgresql:// URL"),
        ("host=h user=u password='hu hush'", 2, "is not a postgresql:// URL"),
        ("postgresql://u:hu%zzhush@h/d", 2, "its password has a character that must be escaped"),
        ("postgresql://u:hu/hush@h/d", 2, "its password has a character that must be escaped"),
        ("postgresql://u:hush?x=1@h/d", 2, "its port is no number"),
        ("postgresql://u:hush'x hush@h/d", 2, "must be escaped"),
        ("postgresql://u:hush@127.0.0.1:9/d", 3, "The server cannot be reached"),
        ("postgresql://u:hush@h/d?nonsense=1", 2, "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(
    url: str, status: int, said: str, tmp_path: Path
) -> None:
    done = run(url, "-o", str(tmp_path / "stats.json"))

    assert done.exit_code == status
    assert said in done.output
    assert "hush" not in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "stats.json").exists()


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for place, why in ((tmp_path, "it is a folder"), (tmp_path / "no" / "x.json", "there is no folder")):
        done = run("postgresql://h/d", "-o", str(place))

        assert done.exit_code == 2
        assert why in done.output


def test_a_database_that_the_role_may_not_connect_to_is_an_error(server: Shop) -> None:
    other = server.another()
    server.execute(f"REVOKE CONNECT ON DATABASE {other} FROM PUBLIC")

    done = run(server.url("reader", other), "-o", "-")

    assert done.exit_code == 3
    assert "permission denied for database" in done.output


def test_a_catalogue_that_the_role_may_not_read_is_an_error(server: Shop) -> None:
    database = server.another()
    with psycopg.connect(server.url(database=database), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (); REVOKE SELECT ON pg_catalog.pg_class FROM PUBLIC")

    done = run(server.url("reader", database), "-o", "-")

    assert done.exit_code == 3
    assert "The role may not read the catalogue: permission denied for table pg_class" in done.output
