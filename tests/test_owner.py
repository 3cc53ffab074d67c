"""The role of the migrations: an ordinary owner of the database, and a superuser where they need one, which is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, start
from reviewer.recording import Outcome, Recording
from tests import examples
from tests.examples import Bench, Story
from tests.old_statements import Watcher

TABLE = 'op.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")'
NOTE = 'op.add_column("t", sa.Column("note", sa.Text()))'
NO_NOTE = 'op.drop_column("t", "note")'
HISTORY = "the history as an ordinary owner of the database"
NEW = "the new revisions as an ordinary owner of the database"


def sql(*statements: str) -> str:
    """A body that executes `statements` in their order."""
    return "\n".join(f"op.execute({statement!r})" for statement in statements)


def guarded(policy: str) -> str:
    """A body that creates a table whose owner sees what `policy` shows."""
    return sql(
        "CREATE TABLE documents (id int PRIMARY KEY, tenant text NOT NULL, kind text)",
        "ALTER TABLE documents ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE documents FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY by_tenant ON documents USING ({policy})",
    )


UNSET = guarded("tenant = current_setting('app.tenant')")
EMPTY = guarded("tenant = current_setting('app.tenant', true)")
BACKFILL = sql("UPDATE documents SET kind = 'note' WHERE kind IS NULL")


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with examples.bench() as running:
        yield running


def said(bench: Bench, recording: Recording) -> list[tuple[str, str, int]]:
    """The rules of errors and warnings, the severity and the line of each, without those about waiting."""
    found = [each for each in bench.findings(recording) if each.rule != "endless-lock-wait"]
    first = recording.revisions[0].upgrade_line or 0
    return sorted(
        (each.rule, each.severity.value, each.location.line - first if each.location else 0)
        for each in found
        if each.severity.value != "notice"
    )


def privileged(recording: Recording) -> list[str]:
    return [each.what for each in recording.skipped if each.what.endswith("as an ordinary owner of the database")]


@pytest.mark.parametrize(
    ("given", "upgrade", "told"),
    [
        (EMPTY, BACKFILL, [("hidden-rows", "warning", 1)]),
        (UNSET, BACKFILL, [("failing-upgrade", "error", 1)]),
        (EMPTY, sql("INSERT INTO documents VALUES (-1, 'a', 'b')"), [("failing-upgrade", "error", 1)]),
        (guarded("true"), BACKFILL, []),
        (EMPTY, sql("SET LOCAL app.tenant = 'Tenant 1'") + "\n" + BACKFILL, []),
    ],
    ids=[
        "it sees no row",
        "nobody sets the setting",
        "it may not write the row",
        "it sees every row",
        "it sets it",
    ],
)
def test_row_security_meets_a_backfill_as_it_meets_the_owner_in_production(
    given: str, upgrade: str, told: list[tuple[str, str, int]], bench: Bench
) -> None:
    recording = bench.record(Story((given,), (upgrade,), downgrade="pass"))

    assert (said(bench, recording), privileged(recording)) == (told, [])


def test_what_fails_on_row_security_says_the_way_out(bench: Bench) -> None:
    recording = bench.record(Story((UNSET,), (BACKFILL,), downgrade="pass"))

    (found,) = [each for each in bench.findings(recording) if each.rule == "failing-upgrade"]
    assert "set what the policy reads with SET LOCAL" in found.message


NEEDS_A_SUPERUSER = {
    "untrusted extension": (sql("CREATE EXTENSION pageinspect"), sql("DROP EXTENSION pageinspect")),
    "event trigger": (
        sql(
            "CREATE FUNCTION audit() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$",
            "CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION audit()",
        ),
        sql("DROP EVENT TRIGGER audit", "DROP FUNCTION audit()"),
    ),
    "file": (sql("COPY t FROM '/dev/null'"), sql("SELECT 1")),
    "downgrade alone": (sql("SELECT 1"), sql("COPY t FROM '/dev/null'")),
}


@pytest.mark.parametrize(("upgrade", "downgrade"), NEEDS_A_SUPERUSER.values(), ids=NEEDS_A_SUPERUSER.keys())
def test_a_new_revision_that_needs_a_superuser_is_no_failure_and_said_once(
    upgrade: str, downgrade: str, bench: Bench
) -> None:
    recording = bench.record(Story((TABLE,), (NOTE, upgrade), downgrades=(NO_NOTE, downgrade)))

    assert {each.outcome for each in recording.passes} == {Outcome.OK}
    assert privileged(recording) == [NEW]


def test_a_history_that_needs_a_superuser_is_said_and_the_new_revisions_run_as_an_owner(bench: Bench) -> None:
    given = f"{TABLE}\n{NEEDS_A_SUPERUSER['event trigger'][0]}\n{UNSET}"
    recording = bench.record(Story((given,), (BACKFILL,), downgrade="pass"))

    assert privileged(recording) == [HISTORY]
    assert ("failing-upgrade", "error", 1) in said(bench, recording)


def test_the_owner_can_act_as_roles_of_the_history(bench: Bench) -> None:
    given = f"{TABLE}\n{sql('CREATE ROLE app_staff', 'GRANT CREATE ON SCHEMA public TO app_staff')}"
    upgrade = sql("ALTER TABLE t OWNER TO app_staff", "COMMENT ON ROLE app_staff IS 'staff'")
    downgrade = sql("ALTER TABLE t OWNER TO CURRENT_USER", "COMMENT ON ROLE app_staff IS NULL")
    recording = bench.record(Story((given,), (upgrade,), downgrade=downgrade))

    assert privileged(recording) == []
    assert {each.outcome for each in recording.passes} == {Outcome.OK}


def test_what_a_superuser_is_refused_too_is_a_failure_and_needs_no_superuser(bench: Bench) -> None:
    upgrade = sql("DO $$ BEGIN RAISE 'not for you' USING ERRCODE = '42501'; END $$")
    recording = bench.record(Story((TABLE,), (upgrade,), downgrade="pass"))

    assert ("failing-upgrade", "error", 1) in said(bench, recording)
    assert privileged(recording) == []


def test_a_superuser_of_production_is_a_superuser_here(bench: Bench) -> None:
    given = f"{NEEDS_A_SUPERUSER['event trigger'][0]}\n{UNSET}"
    recording = bench.record(replace(Story((given,), (BACKFILL,), downgrade="pass"), superuser=True))

    assert privileged(recording) == []
    assert {each.outcome for each in recording.passes} == {Outcome.OK}


@pytest.mark.server
@pytest.mark.processes
@pytest.mark.parametrize(("role", "exempt"), [("superuser", True), ("maker", False)])
def test_on_a_server_of_the_users_row_security_applies_as_it_does_to_its_role(
    role: str, exempt: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("before", "deployed", "stepped"):  # looks as only a superuser can
        monkeypatch.setattr(Watcher, name, lambda *_: None)
    with Guardian() as guardian, start(ServerRequest(), guardian) as own:
        with own.connect(own.create_database("users")) as connection:
            connection.execute("CREATE ROLE maker LOGIN CREATEDB")
        url = f"postgresql://{role}@/postgres?host={own.address.host}&port={own.address.port}"
        with start(ServerRequest(url), guardian) as server:
            bench = Bench(server, guardian, tmp_path)
            recordings = [bench.record(Story((given,), (BACKFILL,), downgrade="pass")) for given in (EMPTY, UNSET)]
            bench.close()

    found = [[s.what for s in each.skipped if s.what.startswith("row security")] for each in recordings]
    assert found == [["row security of `documents` as an owner meets it"] if exempt else []] * 2
    assert [(each.rows, each.seen) for each in recordings[0].hidden] == ([] if exempt else [(5, 0)])
    assert (recordings[1].passes[0].outcome is Outcome.OK) == exempt
