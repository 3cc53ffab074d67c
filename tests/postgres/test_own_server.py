"""Servers from binaries: started, used, stopped, killed, and gone without a trace."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from reviewer.errors import ServerError
from reviewer.host.guardian import Guardian, end_processes_on, processes_on
from reviewer.postgres import RunningServer, ServerRequest, candidates, start
from reviewer.postgres import server as running
from tests.postgres.conftest import HOLDER, ROOT, as_root, environment_of, held_server, interpreter_for

pytestmark = pytest.mark.processes

HERE = {found.source for found in candidates(ServerRequest()) if found.supported and not found.problem}
both = pytest.mark.parametrize(
    "source",
    [
        pytest.param(name, marks=pytest.mark.skipif(name not in HERE, reason=f"no {name} binaries on this machine"))
        for name in ("local", "embedded")
    ],
)


def becomes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


@both
def test_runs_on_a_private_socket_and_leaves_nothing_behind(source: str, guardian: Guardian) -> None:
    with start(ServerRequest(source), guardian) as server:
        folder = Path(server.address.host)
        with server.connect(server.create_database("one")) as connection:
            row = connection.execute(
                "SELECT current_setting('listen_addresses'), inet_server_addr(), current_setting('server_encoding'),"
                " split_part(current_setting('server_version'), ' ', 1)"
            ).fetchone()
        mode = stat.S_IMODE(folder.stat().st_mode)

    assert row == ("", None, "UTF8", server.version)
    assert mode == 0o700
    assert not folder.exists()
    assert processes_on(str(folder)) == []


@both
def test_clones_keep_the_rows_and_the_settings(source: str, guardian: Guardian) -> None:
    with start(ServerRequest(source), guardian) as server:
        base = server.create_database("base", settings={"lock_timeout": "7s"})
        with psycopg.connect(server.address.url(base)) as connection:
            connection.execute("CREATE TABLE t AS SELECT generate_series(1, 3) AS n")
        clone = server.create_database("clone", base, {"statement_timeout": "9s"})
        with psycopg.connect(server.address.url(clone)) as connection:
            row = connection.execute(
                "SELECT (SELECT sum(n) FROM t), current_setting('lock_timeout'), current_setting('statement_timeout'),"
                " current_setting('client_min_messages'), current_setting('lc_messages'), current_setting('TimeZone')"
            ).fetchone()

    assert row == (6, "7s", "9s", "debug1", "C", "UTC")


def test_a_role_comes_back_as_the_same_one_whatever_became_of_it(guardian: Guardian) -> None:
    asked = (
        "SELECT r.oid, r.rolname, r.rolcanlogin, shobj_description(r.oid, 'pg_authid'), t.tableowner"
        " FROM pg_roles r, pg_tables t WHERE r.rolname = 'app' AND t.tablename = 't'"
    )
    with start(ServerRequest(), guardian) as server:
        base = server.create_database("base")
        server.make_superuser(base, True)
        with psycopg.connect(server.address.url(base), autocommit=True) as connection:
            connection.execute("CREATE ROLE app LOGIN; COMMENT ON ROLE app IS 'ours'")
            connection.execute("CREATE TABLE t (); ALTER TABLE t OWNER TO app")
            before = connection.execute(asked).fetchall()
        clone = server.create_database("clone", base)
        server.enter(clone)
        with psycopg.connect(server.address.url(clone), autocommit=True) as connection:
            # it owns a table in the other database too, of which the one who drops it knows nothing
            connection.execute("DROP OWNED BY app; DROP ROLE app; CREATE ROLE other; CREATE ROLE app")
            changed = connection.execute("SELECT oid FROM pg_roles WHERE rolname IN ('app', 'other')").fetchall()
        told = server.enter(base)
        with psycopg.connect(server.address.url(base), autocommit=True) as connection:
            after = connection.execute(asked).fetchall()
            with pytest.raises(psycopg.errors.DependentObjectsStillExist):
                connection.execute("DROP ROLE app")
        told += server.enter(clone)
        with psycopg.connect(server.address.url(clone)) as connection:
            again = connection.execute("SELECT oid FROM pg_roles WHERE rolname IN ('app', 'other')").fetchall()

    assert (len(before), after, told) == (1, before, ())
    assert sorted(again) == sorted(changed)


def test_two_clones_are_made_at_once_where_that_pays(guardian: Guardian, monkeypatch: pytest.MonkeyPatch) -> None:
    beside: list[str] = []
    original = RunningServer._execute_beside

    def execute(self: RunningServer, statement: psycopg.sql.Composed) -> None:
        beside.append(statement.as_string())
        original(self, statement)

    monkeypatch.setattr(RunningServer, "_execute_beside", execute)
    with start(ServerRequest(), guardian) as server:
        one, other = server.create_database("one"), server.create_database("other")
        for name in (one, other):
            with psycopg.connect(server.address.url(name)) as connection:
                connection.execute(f"CREATE TABLE of_{name} ()")
        quickly = server.clone_both(("first", one), ("second", other))
        assert beside == []
        monkeypatch.setattr(running, "_PAYS_TO_CLONE_AT_ONCE", 0.0)
        at_once = server.clone_both(("third", one), ("fourth", other))
        assert len(beside) == 1
        found = []
        for name in (*quickly, *at_once):
            server.enter(name)
            with psycopg.connect(server.address.url(name)) as connection:
                found += connection.execute("SELECT relname FROM pg_class WHERE relname ~ '^of_'").fetchall()
        assert found == [("of_one",), ("of_other",)] * 2
        with pytest.raises(ServerError, match="already exists"):
            server.clone_both(("fifth", one), ("fourth", other))
        assert server.databases == (one, other, *quickly, *at_once, "fifth")


def test_what_the_owner_of_the_databases_owns_needs_no_restoring(guardian: Guardian) -> None:
    restored: list[str] = []

    def enter(name: str) -> None:
        assert server.enter(name, lambda: restored.append(name)) == ()

    owners = "SELECT tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    with start(ServerRequest(), guardian) as server:
        base = server.create_database("base")
        enter(base)
        with psycopg.connect(server.address.url(base)) as connection:
            connection.execute("CREATE TABLE t (id serial)")
        clone = server.create_database("clone", base)
        enter(clone)
        enter(base)
        assert restored == []
        server.make_superuser(clone, True)
        restored.clear()
        with psycopg.connect(server.address.url(clone), autocommit=True) as connection:
            connection.execute(
                "CREATE ROLE app; CREATE TABLE u (); ALTER TABLE u OWNER TO app; GRANT SELECT ON t TO app"
            )
        enter(base)
        with psycopg.connect(server.address.url(base), autocommit=True) as connection:
            assert connection.execute(owners).fetchall() == [("postgres",)]
            connection.execute("DROP TABLE t")
        enter(clone)
        assert restored == [base, clone]
        with psycopg.connect(server.address.url(clone), autocommit=True) as connection:
            assert connection.execute(owners).fetchall() == [("postgres",), ("app",)]
            with pytest.raises(psycopg.errors.DependentObjectsStillExist):
                connection.execute("DROP ROLE app")
            connection.execute("DROP OWNED BY app; DROP ROLE app; DROP TABLE t")
            left = connection.execute(
                "SELECT count(*) FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()"
            ).fetchone()
            assert left == (0,)


def test_a_clone_has_the_limits_owner_privileges_and_comment_of_its_template(guardian: Guardian) -> None:
    asked = (
        "SELECT pg_get_userbyid(datdba), datacl::text, datconnlimit, shobj_description(oid, 'pg_database'),"
        " (SELECT array_agg(setconfig::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)"
        " FROM pg_database d WHERE datname = current_database()"
    )
    with start(ServerRequest(), guardian) as server:
        found = []
        for name, template in (("base", None), ("clone", "base"), ("clone of it", "clone")):
            database = server.create_database(name, template)
            server.make_superuser(database, True)
            with psycopg.connect(server.address.url(database.replace(" ", "%20")), autocommit=True) as connection:
                if template is None:
                    connection.execute(
                        "CREATE ROLE app; ALTER DATABASE base OWNER TO app; REVOKE TEMP ON DATABASE base FROM PUBLIC;"
                        " ALTER DATABASE base CONNECTION LIMIT 7; COMMENT ON DATABASE base IS 'ours';"
                        ' ALTER DATABASE base SET search_path = app, "Odd, name";'
                        " ALTER ROLE app IN DATABASE base SET work_mem = '9MB'"
                    )
                found += connection.execute(asked).fetchall()

    assert found[0][:1] + found[0][2:4] == ("app", 7, "ours")
    assert found == [found[0]] * 3


def test_the_users_variables_for_postgresql_are_not_heard(
    guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGOPTIONS": "-c statement_timeout=1 -c search_path=nowhere",
        "PGSERVICE": "nobody_knows",
        "PGHOSTADDR": "192.0.2.1",
        "PGTZ": "Asia/Tokyo",
        "PGDATESTYLE": "German",
        "PGCLIENTENCODING": "LATIN1",
        "PGUSER": "nobody",
        "PGSSLMODE": "verify-full",
        "PGAPPNAME": "theirs",
    }.items():
        monkeypatch.setenv(name, value)
    with (
        start(ServerRequest(), guardian) as server,
        server.connect(server.create_database("one")) as connection,
    ):
        found = connection.execute(
            "SELECT current_setting('statement_timeout'), current_setting('search_path'), current_setting('TimeZone'),"
            " current_setting('DateStyle'), current_setting('client_encoding'), current_setting('application_name')"
        ).fetchone()

    assert found == ("0", "postgres, public", "UTC", "ISO, MDY", "UTF8", "")
    assert os.environ["PGSERVICE"] == "nobody_knows"


def test_drops_a_database_that_is_in_use(guardian: Guardian) -> None:
    with start(ServerRequest(), guardian) as server:
        name = server.create_database("used")
        connection = server.connect(name)
        server.drop_database(name)

        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        with pytest.raises(ValueError, match="not a scratch database"):
            server.connect(name)
        assert server.create_database("used") == name
        connection.close()


def test_ends_sessions_so_that_a_database_can_be_cloned(guardian: Guardian) -> None:
    with start(ServerRequest(), guardian) as server:
        base = server.create_database("base")
        connection = server.connect(base)
        with pytest.raises(ServerError, match="The database base cannot be cloned: a session on it is still open"):
            server.create_database("clone", base)

        server.terminate_connections(base)

        assert server.create_database("clone", base) == "clone"
        connection.close()


def test_looks_at_one_database_share_a_session_that_begins_like_a_new_one(guardian: Guardian) -> None:
    with start(ServerRequest(), guardian) as server:
        name = server.create_database("looked_at")
        with server.look(name) as connection:
            first = _state(connection)
            connection.execute("SET lock_timeout = '1s'; SET search_path = nowhere; CREATE TEMP TABLE mine ()")
            connection.execute("SELECT pg_advisory_lock(1)")
        with server.look(name) as connection:
            second = _state(connection)
        clone = server.create_database("clone", name)
        with server.look(clone) as connection:
            of_the_clone = _state(connection)

    assert second == first
    assert of_the_clone[1:] == first[1:]
    assert of_the_clone[0] != first[0]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER DATABASE looked_at SET search_path = elsewhere",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = 'looked_at'",
    ],
)
def test_a_look_after_what_new_sessions_begin_with_has_changed_has_a_new_one(
    change: str, guardian: Guardian
) -> None:
    with start(ServerRequest(), guardian) as server:
        name = server.create_database("looked_at")
        with server.look(name) as connection:
            before = _state(connection)
        with server.as_superuser(name), psycopg.connect(server.address.url(name)) as revision:
            revision.execute(change.encode())
        with server.look(name) as connection:
            after = _state(connection)
        with server.connect(name) as connection:
            fresh = _state(connection)

    assert after[0] != before[0]
    assert after[1:] == fresh[1:]


def test_a_look_that_fails_leaves_no_session(guardian: Guardian) -> None:
    with start(ServerRequest(), guardian) as server:
        name = server.create_database("looked_at")
        with pytest.raises(ZeroDivisionError), server.look(name) as connection:
            raise ZeroDivisionError
        with server.look(name) as other:
            other.execute("BEGIN")

        assert connection.closed
        assert other.closed


def _state(connection: psycopg.Connection[tuple[object, ...]]) -> tuple[object, ...]:
    row = connection.execute(
        "SELECT pg_backend_pid(), current_setting('search_path'), current_setting('lock_timeout'), current_user,"
        " session_user, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), to_regclass('pg_temp.mine')::text"
    ).fetchone()
    assert row is not None
    return row


def test_hundreds_of_tables_fit_into_one_transaction(guardian: Guardian) -> None:
    with (
        start(ServerRequest(), guardian) as server,
        server.connect(server.create_database("big")) as connection,
        connection.transaction(),
    ):
        for number in range(600):
            connection.execute(f"CREATE TABLE t{number} (id serial PRIMARY KEY, a text UNIQUE)".encode())
        found = connection.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+$'").fetchone()

    assert found == (600,)


def test_two_servers_at_once_do_not_meet(guardian: Guardian) -> None:
    names: list[list[tuple[str, ...]]] = []
    both_run = threading.Barrier(2, timeout=60)

    def run(number: int) -> None:
        with start(ServerRequest(), guardian) as server:
            name = server.create_database(f"only_{number}")
            both_run.wait()
            with server.connect(name) as connection:
                names.append(
                    connection.execute("SELECT datname FROM pg_database WHERE datname ~ '^only'").fetchall()
                )
            both_run.wait()

    threads = [threading.Thread(target=run, args=[number]) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(names) == [[("only_1",)], [("only_2",)]]


@both
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_nothing_stays_when_the_reviewer_is_killed(source: str, how: signal.Signals) -> None:
    with held_server(source) as held:
        assert held.folder.exists()
        assert processes_on(str(held.folder))

        held.process.send_signal(how)

        assert becomes_true(lambda: not held.folder.exists())
        assert processes_on(str(held.folder)) == []


def test_nothing_stays_when_the_reviewer_is_killed_while_the_server_starts(tmp_path: Path) -> None:
    for delay in (0.05, 0.1, 0.15, 0.2, 0.3):
        # An empty cache, so that all the ways through the start are hit: initdb, packing, starting.
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(tmp_path),
            "ALEMBIC_REVIEWER_CACHE": str(tmp_path / str(delay)),
        }
        with subprocess.Popen(
            [sys.executable, str(HOLDER), "auto"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=environment,
        ) as process:
            time.sleep(delay)
            process.kill()

    def left() -> list[Path]:
        return [*tmp_path.glob("alembic-reviewer-*"), *tmp_path.rglob(".building-*")]

    assert becomes_true(lambda: not left())
    assert processes_on(str(tmp_path)) == []


def test_the_server_sees_nothing_of_the_environment() -> None:
    with held_server("auto", A_SECRET="hush") as held:
        (postmaster, *_) = processes_on(str(held.folder))
        environment = Path(f"/proc/{postmaster}/environ").read_bytes()
        session = os.getsid(postmaster)
        held.release()

    assert b"hush" not in environment
    assert session == postmaster


def test_is_not_misled_by_the_users_own_libpq_variables() -> None:
    with held_server("auto", PGHOSTADDR="192.0.2.1", PGOPTIONS="-c search_path=x", PGSSLMODE="require") as held:
        assert held.release() == ""


@as_root
@both
def test_root_runs_the_server_as_somebody_else(source: str) -> None:
    with held_server(source) as held:
        assert held.owner != 0
        assert held.release() == ""


@as_root
@both
def test_an_ordinary_user_runs_it_as_himself(source: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    with held_server(source, user="nobody", ALEMBIC_REVIEWER_CACHE=str(cache)) as held:
        assert held.owner == pwd.getpwnam("nobody").pw_uid
        assert held.release() == ""

    assert not held.folder.exists()


@as_root
def test_an_account_without_a_name_is_told_what_it_needs(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    done = subprocess.run(
        [interpreter_for("nobody"), str(HOLDER), "local" if "local" in HERE else "embedded"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        user=54321,
        group=54321,
        extra_groups=[],
        env=environment_of("nobody") | {"ALEMBIC_REVIEWER_CACHE": str(tmp_path / "cache")},
        cwd="/",
        check=False,
    )

    assert "could not look up effective user" in done.stderr
    assert "give it one in /etc/passwd" in done.stderr


@as_root
def test_root_can_use_binaries_that_only_root_can_reach(
    tmp_path: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    (embedded, *_) = (found for found in candidates(ServerRequest()) if found.source == "embedded")
    if embedded.folder is None:
        pytest.skip("no embedded binaries on this machine")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    package = embedded.folder.parents[1]
    for part in (package, package.with_name(package.name + ".libs")):
        subprocess.run(["cp", "-r", str(part), str(private)], check=True)
    config = private / package.name / embedded.folder.parent.name / "bin" / "pg_config"
    monkeypatch.setenv("PG_CONFIG", str(config))

    with start(ServerRequest("local"), guardian) as server:
        version = server.version

    assert version == embedded.version


def test_uses_a_short_folder_when_tmpdir_is_long(
    tmp_path: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", None)

    with start(ServerRequest(), guardian) as server:
        socket_path = f"{server.address.host}/.s.PGSQL.{server.address.port}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(socket_path)

    assert len(socket_path) <= 103


def test_removes_what_a_dead_run_left_and_nothing_else(guardian: Guardian) -> None:
    with held_server("auto") as living, held_server("auto") as dead:
        (dead_guardian,) = children(dead.process.pid, "guardian.py")
        os.kill(dead_guardian, signal.SIGKILL)
        os.kill(dead.process.pid, signal.SIGKILL)
        dead.process.wait()
        stranger = dead.folder.with_name("alembic-reviewer-of-somebody")
        stranger.mkdir()

        with start(ServerRequest(), guardian):
            left = (dead.folder.exists(), bool(processes_on(str(dead.folder))))
            kept = (living.folder.exists(), bool(processes_on(str(living.folder))), stranger.exists())
        stranger.rmdir()
        living.release()

    assert left == (False, False)
    assert kept == (True, True, True)


def test_says_why_a_server_that_broke_does_not_answer(guardian: Guardian) -> None:
    with start(ServerRequest(), guardian) as server:
        name = server.create_database("one")
        end_processes_on(server.address.host)

        with pytest.raises(ServerError, match=r"The PostgreSQL server stopped responding: .+"):
            server.connect(name)
        with pytest.raises(ServerError, match=r"The PostgreSQL server stopped responding: .+"):
            server.create_database("two")


def children(parent: int, program: str) -> list[int]:
    listing = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return [int(pid) for pid, its_parent, args in rows if int(its_parent) == parent and program in args]
