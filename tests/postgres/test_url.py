"""A server of the user's: nothing but our scratch databases is touched, and they are gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from reviewer.errors import ReviewerError, ServerError, UsageError
from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer, ServerRequest, start
from tests.postgres.conftest import ROOT
from tests.postgres.test_own_server import becomes_true


@dataclass(frozen=True)
class Users:
    """A server that belongs to the user, and what is on it."""

    server: RunningServer

    def url(self, role: str = "postgres", database: str = "postgres") -> str:
        address = self.server.address
        return f"postgresql://{role}@/{database}?host={address.host}&port={address.port}"

    def execute(self, statement: bytes) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def databases(self) -> set[str]:
        return {name for (name,) in self.execute(b"SELECT datname FROM pg_database")}


@pytest.fixture(scope="module")
def users() -> Iterator[Users]:
    with Guardian() as guardian, start(ServerRequest(), guardian) as server:
        server.make_superuser(server.create_database("precious"), True)
        yield Users(server)


@pytest.fixture
def url(users: Users) -> str:
    return users.url()


def refused(request: ServerRequest, guardian: Guardian) -> ReviewerError:
    with pytest.raises(ReviewerError) as caught, start(request, guardian):
        pass
    return caught.value


def test_scratch_databases_come_and_go_and_others_stay(users: Users, url: str, guardian: Guardian) -> None:
    before = users.databases()

    with start(ServerRequest(url), guardian) as server:
        base = server.create_database("base", settings={"lock_timeout": "3s"})
        with server.connect(base) as connection:
            connection.execute("CREATE TABLE t ()")
        clone = server.create_database("clone", base)
        with server.connect(clone) as connection:
            found = connection.execute("SELECT to_regclass('t') IS NOT NULL, current_database()").fetchone()
        meanwhile = users.databases()

    assert found == (True, clone)
    assert meanwhile == before | {base, clone}
    assert base.startswith("alembic_reviewer_")
    assert base.endswith("_base")
    assert users.databases() == before


def test_two_reviews_on_one_server_have_names_of_their_own(url: str, guardian: Guardian) -> None:
    with start(ServerRequest(url), guardian) as one, start(ServerRequest(url), guardian) as other:
        assert one.create_database("base") != other.create_database("base")


def test_a_long_name_stays_one_that_postgresql_keeps(users: Users, url: str, guardian: Guardian) -> None:
    with start(ServerRequest(url), guardian) as server:
        name = server.create_database("n" * 100)

        assert name in users.databases()


def test_refuses_to_touch_any_other_database(users: Users, url: str, guardian: Guardian) -> None:
    with start(ServerRequest(url), guardian) as server:
        for attempt in (
            server.drop_database,
            server.connect,
            server.terminate_connections,
            lambda name: server.create_database("x", name),
        ):
            with pytest.raises(ValueError, match="'precious' is not a scratch database"):
                attempt("precious")

    assert "precious" in users.databases()


def test_databases_are_dropped_after_an_exception(users: Users, url: str, guardian: Guardian) -> None:
    before = users.databases()

    with pytest.raises(ZeroDivisionError), start(ServerRequest(url), guardian) as server:
        len(server.create_database("base")) / 0

    assert users.databases() == before


def test_databases_are_dropped_when_the_reviewer_is_killed(users: Users, url: str) -> None:
    before = users.databases()
    code = f"""
import sys
from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, start
with Guardian() as guardian, start(ServerRequest({url!r}), guardian) as server:
    name = server.create_database("one")
    connection = server.connect(name)
    print(name, flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() in users.databases()

        process.send_signal(signal.SIGKILL)

    assert becomes_true(lambda: users.databases() == before)


def test_an_ordinary_role_is_enough(users: Users, guardian: Guardian) -> None:
    users.execute(b"CREATE ROLE maker LOGIN CREATEDB")

    with start(ServerRequest(users.url("maker")), guardian) as server:
        name = server.create_database("one", settings={"statement_timeout": "8s"})
        other = server.create_database("two", name)
        with psycopg.connect(users.url("maker", other)) as connection:
            found = connection.execute(
                "SELECT current_user::text, current_setting('statement_timeout'), current_setting('client_min_messages')"
            ).fetchone()
        assert (server.address.user, other != name) == ("maker", True)

    assert found == ("maker", "8s", "debug1")


def test_a_role_that_may_not_create_databases_is_refused(users: Users, guardian: Guardian) -> None:
    users.execute(b"CREATE ROLE reader LOGIN")

    error = refused(ServerRequest(users.url("reader")), guardian)

    assert error.sentence == "The role reader is not allowed to create databases on the server of --postgres."
    assert "ALTER ROLE reader CREATEDB" in error.way_out


def test_the_drivers_name_of_sqlalchemy_is_understood(url: str, users: Users, guardian: Guardian) -> None:
    with start(ServerRequest(url.replace("postgresql:", "postgresql+asyncpg:")), guardian) as server:
        assert (server.version, server.source) == (users.server.version, "url")
        assert server.why == f"PostgreSQL {server.version} at {server.address.host}: its URL was given"


def test_a_server_that_does_not_answer_is_an_error_without_the_password(guardian: Guardian) -> None:
    error = refused(ServerRequest("postgresql://u:hush@127.0.0.1:9/d"), guardian)

    assert isinstance(error, ServerError)
    assert error.sentence.startswith("The server of --postgres cannot be reached: ")
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hush@h/d",
        "postgresql://u:hush@h/d?nonsense=1",
        "postgresql://u:hu@hush@[h/d",
        "postgresql://u@[h/d?password=hush",
    ],
)
def test_what_is_no_url_of_postgresql_is_a_wrong_usage(url: str, guardian: Guardian) -> None:
    error = refused(ServerRequest(url), guardian)

    assert isinstance(error, UsageError)
    assert "hush" not in str(error)


def test_a_version_that_the_server_is_not_is_a_wrong_usage(url: str, users: Users, guardian: Guardian) -> None:
    other = 14 if users.server.major != 14 else 15

    error = refused(ServerRequest(url, version=other), guardian)

    assert error.sentence == (
        f"The server of --postgres is PostgreSQL {users.server.major}, and --postgres-version asks for {other}."
    )


def test_a_server_that_broke_leaves_the_rest_to_the_guardian(url: str, users: Users) -> None:
    before = users.databases()

    with Guardian() as guardian, start(ServerRequest(url), guardian) as server:
        name = server.create_database("one")
        # What a firewall or a restart does to a connection that stays idle for long.
        users.execute(
            b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres' AND state = 'idle'"
            b" AND query LIKE '%alembic_reviewer_%'"
        )
        with pytest.raises(ServerError, match="stopped responding"):
            server.drop_database(name)

    assert users.databases() == before


def roles(users: Users) -> set[str]:
    """The roles on the server that somebody has made."""
    return {name for (name,) in users.execute(b"SELECT rolname FROM pg_roles WHERE oid >= 16384")}


def test_roles_of_the_migrations_go_with_the_database_and_those_of_others_stay(
    users: Users, url: str, guardian: Guardian
) -> None:
    before = roles(users)
    with start(ServerRequest(url), guardian) as server:
        one = server.create_database("one")
        server.enter(one)
        with psycopg.connect(users.url(database=one), autocommit=True) as connection:
            connection.execute("CREATE ROLE app_made; CREATE TABLE t (); ALTER TABLE t OWNER TO app_made")
        users.execute(b"CREATE ROLE stranger")
        server.heard(["CREATE ROLE app_made"])
        clone, fresh = server.create_database("clone", one), server.create_database("fresh")

        told = server.enter(fresh)
        aside = roles(users) - before
        users.execute(b"CREATE ROLE app_made")  # as a migration in the other database does
        server.heard(["CREATE ROLE app_made"])
        told += server.enter(clone)
        with psycopg.connect(users.url(database=clone)) as connection:
            owner = connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 't'").fetchone()

    assert (told, owner) == ((), ("app_made",))
    assert "app_made" not in aside
    assert roles(users) == before | {"stranger"}
    users.execute(b"DROP ROLE stranger")


def test_a_role_of_the_migrations_is_dropped_when_the_reviewer_is_killed(users: Users, url: str) -> None:
    before = roles(users)
    code = f"""
import sys
from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, start
with Guardian() as guardian, start(ServerRequest({url!r}), guardian) as server:
    server.enter(server.create_database("one"))
    with server.connect(server.create_database("two")) as connection:
        connection.execute("CREATE ROLE app_lost")
        connection.execute("CREATE TABLE t (); ALTER TABLE t OWNER TO app_lost")
    server.heard(["CREATE ROLE app_lost"])
    server.enter(server.create_database("three"))
    print("made", flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "made"
        assert roles(users) != before

        process.send_signal(signal.SIGKILL)

    assert becomes_true(lambda: roles(users) == before)
