"""Watching a migration works alike on every supported major version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reviewer.recording import Direction, Outcome, Recording, Rehearsal, Statement
from reviewer.rehearsal.catalogue_snapshot import compare
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name, quoted
from tests import conformance, majors
from tests.examples import Bench, Story

AWKWARD = Name("x \\n y\nz\\", "a b\\n\n c")
"""A name with what separates and escapes names where the server's answers are read."""

GIVEN = f"""
op.execute({f"CREATE SCHEMA {quoted(AWKWARD.schema or '')}"!r})
op.execute({f"CREATE TABLE {AWKWARD.sql} (n int)"!r})
"""
GIVEN += """
op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
op.execute("CREATE DOMAIN short AS text CHECK (length(value) < 50)")
op.execute("CREATE TABLE owners (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name short, mood mood)")
op.execute(
    "CREATE TABLE pets (id serial PRIMARY KEY, owner bigint REFERENCES owners, name varchar(20) NOT NULL UNIQUE,"
    " age int CHECK (age > 0), twice int GENERATED ALWAYS AS (age * 2) STORED, seen timestamptz DEFAULT now())"
)
op.execute("CREATE INDEX ix_pets_lower ON pets (lower(name), age) WHERE age > 1")
op.execute("CREATE VIEW old_pets AS SELECT * FROM pets WHERE age > 10")
op.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM pets")
op.execute("CREATE TABLE events (id bigint, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)")
op.execute("CREATE TABLE events_old PARTITION OF events DEFAULT")
op.execute("ALTER TABLE owners ENABLE ROW LEVEL SECURITY")
op.execute("CREATE POLICY mine ON owners USING (true)")
op.execute("CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
op.execute("CREATE TRIGGER noted BEFORE UPDATE ON pets FOR EACH ROW EXECUTE FUNCTION noted()")
"""

UPGRADE = f"""
op.execute({f"ALTER TABLE {AWKWARD.sql} ALTER n TYPE bigint"!r})
"""
UPGRADE += """
op.execute("ALTER TABLE owners ADD COLUMN token uuid DEFAULT gen_random_uuid()")
op.execute("ALTER TABLE pets ALTER COLUMN owner SET NOT NULL")
op.create_index("ix_pets_owner", "pets", ["owner"])
op.execute("ALTER TABLE pets ADD CONSTRAINT known CHECK (owner IS NOT NULL) NOT VALID")
op.create_table("notes", sa.Column("id", sa.BigInteger(), primary_key=True))
op.execute("ALTER TABLE pets ADD CONSTRAINT one_each EXCLUDE (id WITH =)")
op.execute("ALTER TABLE pets RENAME CONSTRAINT one_each TO only_one")
op.execute("UPDATE pets SET age = 7 WHERE id = 3")
"""

DOWNGRADE = """
op.drop_constraint("only_one", "pets")
op.drop_table("notes")
op.drop_constraint("known", "pets")
op.drop_index("ix_pets_owner")
op.execute("ALTER TABLE pets ALTER COLUMN owner DROP NOT NULL")
op.drop_column("owners", "token")
"""


@pytest.fixture(scope="module", params=majors.ALL)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with conformance.bench(request.param) as running:
        yield running


@pytest.fixture(scope="module")
def recording(bench: Bench) -> Recording:
    return bench.record(Story(given=(GIVEN,), new=(UPGRADE,), downgrade=DOWNGRADE))


SHUTS_OUT = {
    14: ["ALTER DATABASE {} SET statement_timeout = '1ms'", "ALTER DATABASE {} SET idle_session_timeout = '1ms'"],
    17: [
        "ALTER DATABASE {} SET transaction_timeout = '1ms'",
        "CREATE FUNCTION shut() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''shut''; END'",
        "CREATE EVENT TRIGGER shut ON login EXECUTE FUNCTION shut()",
        "ALTER EVENT TRIGGER shut ENABLE ALWAYS",
    ],
}
"""By the first version that knows it: what keeps ordinary sessions from working in the database."""


@pytest.mark.server
@pytest.mark.parametrize("major", majors.ALL)
def test_sessions_of_ours_work_whatever_the_version_offers_to_shut_them_out(major: int) -> None:
    with majors.server(major) as server:
        database = server.create_database("shut")
        with server.connect(database) as connection:
            for words in (each for since, more in SHUTS_OUT.items() if since <= major for each in more):
                connection.execute(words.format(database))
        clone = server.create_database("again", template=database)

        for each in (database, clone):
            with server.connect(each) as connection, connection.transaction():
                connection.execute("SELECT pg_sleep(0.01)")
                assert connection.execute("SELECT 1").fetchone() == (1,)


def statement(recording: Recording, words: str) -> Statement:
    (deployed,) = (p for p in recording.passes if p.rehearsal is Rehearsal.DEPLOYED)
    (found,) = (s for s in deployed.statements if words in s.sql)
    return found


def test_everything_is_rehearsed(recording: Recording, bench: Bench) -> None:
    assert recording.errors == ()
    assert recording.skipped == ()
    assert recording.server is not None
    assert recording.server.major == bench.major
    assert [(p.direction, p.outcome) for p in recording.passes] == [
        (Direction.UPGRADE, Outcome.OK),
        (Direction.DOWNGRADE, Outcome.OK),
        (Direction.UPGRADE_AGAIN, Outcome.OK),
    ]


def test_the_base_state_is_read(recording: Recording) -> None:
    pets = recording.base.table(Name("pets"))
    events = recording.base.table(Name("events"))
    owners = recording.base.table(Name("owners"))

    assert pets is not None
    assert [column.name for column in pets.columns] == ["id", "owner", "name", "age", "twice", "seen"]
    assert {"check", "foreign key", "primary key", "unique"} <= {c.kind for c in pets.constraints}
    assert {index.name for index in pets.indexes} >= {"ix_pets_lower", "pets_pkey"}
    assert pets.rows > 0
    assert events is not None
    assert events.kind == "partitioned table"
    assert owners is not None
    assert owners.policies == ("mine",)
    assert [enum.labels for enum in recording.base.enums] == [("good", "bad")]


def test_a_rewrite_is_seen_and_said(recording: Recording) -> None:
    seen = statement(recording, "ADD COLUMN token").observation

    assert seen is not None
    assert [str(each) for each in seen.rewritten] == ["owners"]
    assert seen.says('rewriting table "owners"')
    assert (LockMode.ACCESS_EXCLUSIVE, "owners") in {(lock.mode, str(lock.relation)) for lock in seen.locks}


def test_a_scan_is_seen_and_said(recording: Recording) -> None:
    seen = statement(recording, "SET NOT NULL").observation

    assert seen is not None
    assert [(str(scan.relation), scan.rows > 0) for scan in seen.scanned] == [("pets", True)]
    assert seen.says('verifying table "pets"')
    assert seen.rewritten == ()


def test_an_index_build_is_seen_and_said(recording: Recording) -> None:
    seen = statement(recording, "CREATE INDEX ix_pets_owner").observation

    assert seen is not None
    assert [(each.name, each.table) for each in seen.built] == [("ix_pets_owner", "pets")]
    assert seen.says('building index "ix_pets_owner" on table "pets"')
    assert {lock.mode for lock in seen.locks if str(lock.relation) == "pets"} == {LockMode.SHARE}


def test_an_index_is_named_that_no_word_of_the_statement_announces(recording: Recording) -> None:
    seen = statement(recording, "EXCLUDE").observation

    assert seen is not None
    assert [(each.name, each.table) for each in seen.built] == [("one_each", "pets")]


def test_a_change_by_key_is_no_scan(recording: Recording) -> None:
    seen = statement(recording, "UPDATE pets").observation

    assert seen is not None
    assert (seen.rewritten, seen.scanned, seen.built) == ((), (), ())


def test_what_is_instant_is_seen_as_instant(recording: Recording) -> None:
    seen = statement(recording, "NOT VALID").observation

    assert seen is not None
    assert (seen.rewritten, seen.scanned, seen.built) == ((), (), ())


def test_a_name_is_read_as_it_is(recording: Recording) -> None:
    seen = statement(recording, "ALTER n TYPE bigint").observation

    assert seen is not None
    assert [Name(each.name, each.schema) for each in seen.rewritten] == [AWKWARD]


def test_a_new_table_is_told_from_existing_ones(recording: Recording) -> None:
    seen = statement(recording, "CREATE TABLE notes").observation

    assert seen is not None
    assert {lock.relation.new for lock in seen.locks if lock.relation.is_table} == {True}


def test_a_virtual_column_is_told_from_a_stored_one(bench: Bench) -> None:
    if bench.major < 18:
        pytest.skip("PostgreSQL 18 is the first with virtual columns")
    table = 'op.execute("CREATE TABLE sums (a int, b int GENERATED ALWAYS AS (a * 2) {})")'
    stored, virtual = (
        bench.deployed(Story(given=("",), new=(table.format(kind),))).schema for kind in ("STORED", "VIRTUAL")
    )

    assert stored is not None
    assert virtual is not None
    assert [(each.name, each.aspect) for each in compare(stored, virtual)] == [("b", "generated")]
