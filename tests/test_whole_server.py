"""What a migration does to the whole server, beyond its own database: nothing of it leaks from one rehearsal into
the next, a downgrade has to undo it, and nothing that it sets stands in our own way.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import checks
from reviewer.errors import ServerError
from reviewer.recording import Outcome, Recording
from tests import examples
from tests.examples import Bench, Story

NOT_WORKING = {check.RULE.id for check in checks.load() if check.RULE.group.value == "not-working"}
TABLE = 'op.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")'
NOTE = 'op.add_column("t", sa.Column("note", sa.Text()))'
NO_NOTE = 'op.drop_column("t", "note")'


def sql(*statements: str) -> str:
    """A body that executes `statements` in their order."""
    return "\n".join(f"op.execute({statement!r})" for statement in statements)


def alone(*statements: str) -> str:
    """A body that executes `statements` outside of a transaction."""
    inside = "\n".join(f"    op.execute({statement!r})" for statement in statements)
    return f"with op.get_context().autocommit_block():\n{inside}"


def of_database(change: str) -> str:
    """A body that changes the database in which it runs, whatever its name is."""
    return (
        'name = op.get_bind().exec_driver_sql("SELECT current_database()").scalar()\n'
        f"op.execute(f'ALTER DATABASE \"{{name}}\" ' + {change!r})"
    )


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with examples.bench() as running:
        yield running


def broken(bench: Bench, recording: Recording) -> list[str]:
    """What a review says does not work."""
    return [each.message for each in bench.findings(recording) if each.rule in NOT_WORKING]


def failed(recording: Recording) -> list[object]:
    return [each.failure or each.reason for each in recording.passes if each.outcome is not Outcome.OK]


LEAVES_NOTHING = {
    "a role": (
        TABLE,
        sql(
            "CREATE ROLE app_reader",
            "GRANT SELECT ON t TO app_reader",
            "ALTER ROLE app_reader SET work_mem = '8MB'",
        ),
        sql("REVOKE SELECT ON t FROM app_reader", "DROP ROLE app_reader"),
    ),
    "a membership and attributes of a role of the history": (
        f"{TABLE}\n{sql('CREATE ROLE app_staff', 'CREATE ROLE app_boss PASSWORD NULL')}",
        sql("GRANT app_staff TO app_boss WITH ADMIN OPTION", "ALTER ROLE app_boss LOGIN CONNECTION LIMIT 3"),
        sql("REVOKE app_staff FROM app_boss", "ALTER ROLE app_boss NOLOGIN CONNECTION LIMIT -1"),
    ),
    "a role of the history that owns things in every clone is dropped": (
        f"{TABLE}\n{sql('CREATE ROLE app_old', 'ALTER TABLE t OWNER TO app_old', 'COMMENT ON ROLE app_old IS $$old$$')}",
        sql("REASSIGN OWNED BY app_old TO CURRENT_USER", "DROP OWNED BY app_old", "DROP ROLE app_old"),
        sql("CREATE ROLE app_old", "ALTER TABLE t OWNER TO app_old", "COMMENT ON ROLE app_old IS 'old'"),
    ),
    "a role of the history gets another name": (
        f"{TABLE}\n{sql('CREATE ROLE app_one', 'GRANT INSERT ON t TO app_one')}",
        sql("ALTER ROLE app_one RENAME TO app_two"),
        sql("ALTER ROLE app_two RENAME TO app_one"),
    ),
    "a setting of the server": (
        TABLE,
        alone("ALTER SYSTEM SET work_mem = '5MB'", "SELECT pg_reload_conf()"),
        alone("ALTER SYSTEM RESET work_mem", "SELECT pg_reload_conf()"),
    ),
    "a database": (TABLE, alone("CREATE DATABASE app_archive"), alone("DROP DATABASE app_archive")),
    "a tablespace": (
        TABLE,
        f"{sql('SET allow_in_place_tablespaces = on')}\n{alone('CREATE TABLESPACE app_fast LOCATION $$$$')}",
        alone("DROP TABLESPACE app_fast"),
    ),
    "settings of the database": (
        TABLE,
        of_database("SET statement_timeout = '77s'"),
        of_database("RESET statement_timeout"),
    ),
}


@pytest.mark.parametrize("first", [True, False], ids=["first of two", "second of two"])
@pytest.mark.parametrize(("given", "upgrade", "downgrade"), LEAVES_NOTHING.values(), ids=LEAVES_NOTHING.keys())
def test_what_a_revision_does_to_the_server_is_not_there_for_the_next_rehearsal(
    given: str, upgrade: str, downgrade: str, first: bool, bench: Bench
) -> None:
    up, down = (upgrade, NOTE), (downgrade, NO_NOTE)
    recording = bench.record(Story((given,), up if first else up[::-1], downgrades=down if first else down[::-1]))

    assert (broken(bench, recording), failed(recording)) == ([], [])


@pytest.mark.parametrize(
    ("given", "upgrade", "downgrade", "told"),
    [
        (
            "", "CREATE ROLE app_left", "SELECT 1",
            ['After the downgrade of `new1`, role `app_left` is left behind: add `op.execute("DROP ROLE app_left")`; the'
             ' next upgrade then fails: PostgreSQL says role "app_left" already exists.'],
        ),
        (
            "CREATE ROLE app_gone", "DROP ROLE app_gone", "SELECT 1",
            ["After the downgrade of `new1`, role `app_gone` is missing; the next upgrade then fails: PostgreSQL says role"
             ' "app_gone" does not exist.'],
        ),
        (
            "CREATE ROLE app_a; CREATE ROLE app_b", "GRANT app_a TO app_b", "SELECT 1",
            ["After the downgrade of `new1`, role `app_b` still has membership `app_a`, which it did not have before."],
        ),
        (
            "CREATE ROLE app_c", "ALTER ROLE app_c SET work_mem = '8MB'", "SELECT 1",
            ["After the downgrade of `new1`, role `app_c` still has settings `work_mem=8MB`, which it did not have before."],
        ),
        (
            "CREATE ROLE app_d", "ALTER ROLE app_d CREATEDB", "SELECT 1",
            ["After the downgrade of `new1`, role `app_d` still has CREATEDB, which it did not have before."],
        ),
    ],
    ids=["role", "dropped role", "membership", "setting", "attribute"],
)  # fmt: skip
def test_what_a_downgrade_leaves_on_the_server_is_told(
    given: str, upgrade: str, downgrade: str, told: list[str], bench: Bench
) -> None:
    recording = bench.record(
        Story((f"{TABLE}\n{sql(given) if given else ''}",), (sql(upgrade),), downgrade=sql(downgrade))
    )

    assert broken(bench, recording) == told


def test_what_a_downgrade_leaves_of_the_databases_settings_is_told(bench: Bench) -> None:
    upgrade = of_database("SET statement_timeout = '77s'")
    recording = bench.record(Story((TABLE,), (upgrade,), downgrade="pass\nop.get_bind()"))

    assert broken(bench, recording) == [
        "After the downgrade of `new1`, database setting `statement_timeout` is left behind."
    ]


def test_a_clone_has_the_search_path_that_the_history_has_set_for_the_database(bench: Bench) -> None:
    given = sql("CREATE SCHEMA app", "CREATE TABLE app.t (id int PRIMARY KEY)")
    later = of_database("SET search_path = app, public")
    recording = bench.record(Story((TABLE, f"{given}\n{later}"), (NOTE, 'op.alter_column("t", "note", nullable=False)'),
                                   downgrades=(NO_NOTE, 'op.alter_column("t", "note", nullable=True)')))  # fmt: skip

    touched = {
        lock.relation.schema
        for each in recording.passes
        for statement in each.statements
        if statement.observation and "ALTER TABLE t" in statement.sql
        for lock in statement.observation.locks
    }
    assert touched == {"app"}


@pytest.mark.parametrize("who", ["database", "role"])
def test_a_lock_timeout_that_the_project_has_set_is_recognised_as_the_projects(who: str, bench: Bench) -> None:
    limited = (
        of_database("SET lock_timeout = '4s'")
        if who == "database"
        else sql("ALTER ROLE postgres SET lock_timeout = '4s'")
    )
    without = bench.record(Story((TABLE,), (NOTE,), downgrade=NO_NOTE))
    recording = bench.record(Story((f"{TABLE}\n{limited}",), (NOTE,), downgrade=NO_NOTE))

    assert "endless-lock-wait" in {each.rule for each in bench.findings(without)}
    assert "endless-lock-wait" not in {each.rule for each in bench.findings(recording)}


def test_a_time_zone_of_the_database_decides_whether_a_table_is_rewritten(bench: Bench) -> None:
    given = (
        sql("CREATE TABLE t (id int PRIMARY KEY, at timestamp)")
        + "\n"
        + of_database("SET timezone = 'Europe/Berlin'")
    )
    upgrade = sql("ALTER TABLE t ALTER at TYPE timestamptz")
    recording = bench.record(Story((given,), (upgrade,), downgrade=sql("ALTER TABLE t ALTER at TYPE timestamp")))

    (found,) = [each for each in bench.findings(recording) if each.rule == "rewriting-type-change"]
    assert found.severity.value == "error"


STUMBLING_BLOCKS = {
    "a time limit for the role and for the database": sql(
        "ALTER ROLE ALL SET statement_timeout = '60s'",
        "ALTER ROLE postgres SET statement_timeout = '50s'",
        "ALTER ROLE postgres SET default_transaction_isolation = 'serializable'",
        "ALTER ROLE postgres SET client_encoding = 'LATIN1'",
        "ALTER ROLE postgres SET search_path = public, pg_catalog",
    ),
    "other forms of dates and numbers": sql(
        "ALTER ROLE postgres SET datestyle = 'German, DMY'", "ALTER ROLE postgres SET intervalstyle = 'sql_standard'",
        "ALTER ROLE postgres SET bytea_output = 'escape'", "ALTER ROLE postgres SET extra_float_digits = -15",
        "ALTER ROLE ALL SET quote_all_identifiers = on",
    ),
    "objects named like PostgreSQL's own, found before them": sql(
        "CREATE TABLE pg_locks (pid int)", "CREATE VIEW pg_class AS SELECT 1 AS oid", "CREATE TABLE pg_namespace (a int)",
        *(
            f"CREATE FUNCTION {name} LANGUAGE plpgsql AS $$ BEGIN RAISE 'taken'; END $$"
            for name in (
                "pg_backend_pid() RETURNS int", "now() RETURNS timestamptz", "current_setting(text) RETURNS text",
                "concat_ws(text, VARIADIC text[]) RETURNS text", "json_build_array(VARIADIC text[]) RETURNS json",
                "format_type(oid, int) RETURNS text", "md5(text) RETURNS text", "generate_series(int, int) RETURNS SETOF int",
                "jsonb_agg(text) RETURNS jsonb", "count(int) RETURNS bigint", "quote_ident(name) RETURNS text",
            )
        ),
        "CREATE FUNCTION public.same(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'taken'; END $$",
    ) + "\n" + of_database("SET search_path = public, pg_catalog"),
    "rows that only an owner sees": sql(
        "CREATE ROLE app_user", "ALTER TABLE t OWNER TO app_user", "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE t FORCE ROW LEVEL SECURITY",
    ) + "\n" + of_database("CONNECTION LIMIT 0"),
    "an event trigger that refuses views": sql(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$",
        "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE VIEW', 'CREATE FUNCTION')"
        " EXECUTE FUNCTION refuse()",
    ),
}  # fmt: skip


@pytest.mark.parametrize("obstacle", STUMBLING_BLOCKS.values(), ids=STUMBLING_BLOCKS.keys())
def test_what_the_history_has_set_up_stands_in_nobodys_way(obstacle: str, bench: Bench) -> None:
    recording = bench.record(Story((TABLE, obstacle), (NOTE,), downgrade=NO_NOTE))

    assert (failed(recording), broken(bench, recording), recording.errors) == ([], [], ())
    skipped = [each for each in recording.skipped if not each.what.startswith("rows of table")]
    assert [each for each in skipped if not each.what.endswith("as an ordinary owner of the database")] == []
    assert next(table.rows for table in recording.base.tables if table.name.name == "t") == 5


@pytest.mark.parametrize(
    ("upgrade", "reason"),
    [
        ("ALTER ROLE postgres NOLOGIN", 'role "postgres" is not permitted to log in'),
        ("ALTER ROLE postgres SET default_transaction_read_only = on", "in a read-only transaction"),
    ],
)
def test_what_shuts_the_migrations_out_is_told_of_them_and_leaves_us_in(
    upgrade: str, reason: str, bench: Bench
) -> None:
    recording = bench.record(Story((TABLE,), (f"{NOTE}\n{sql(upgrade)}",), downgrade=NO_NOTE))

    first, second, *_ = recording.passes
    assert first.outcome is Outcome.OK
    assert second.failure is not None
    assert reason in second.failure.message
    assert [each for each in recording.skipped if not each.what.startswith("what comes after the failure")] == []


def test_a_question_of_ours_that_is_refused_is_nobody_elses_failure(bench: Bench) -> None:
    refuse = sql(
        "SELECT pg_read_file('PG_VERSION')",  # only a superuser may, so what follows runs as one
        "CREATE ROLE app_nobody",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_relation_filenode(regclass) FROM PUBLIC",
        "GRANT ALL ON TABLE t TO app_nobody",
    )
    upgrade = sql("SET ROLE app_nobody", "UPDATE t SET name = 'x'", "RESET ROLE")

    with pytest.raises(ServerError, match="The reviewer's own query failed, which is not the project's fault"):
        bench.record(Story((f"{TABLE}\n{refuse}",), (upgrade,), downgrade=sql("SELECT 1")))
