"""What a ROLLBACK takes back, from a real server: locks, files, tables, and what is held against the revision."""

from __future__ import annotations

import pytest

import checks
from reviewer.recording import Direction, Pass, Recording, Rehearsal
from reviewer.report.digest import digest
from reviewer.review.engine import review
from tests.examples import Bench, Story

CHECKS = checks.load()
GIVEN = """op.execute("CREATE TABLE users (id bigserial PRIMARY KEY, name text)")
op.execute("CREATE TABLE jobs (id bigserial PRIMARY KEY, name text)")"""


def deployed(recording: Recording, revision: str = "new1") -> Pass:
    (found,) = (p for p in recording.passes_of(revision) if p.rehearsal is Rehearsal.DEPLOYED)
    return found


def locks(recording: Recording, revision: str = "new1") -> list[tuple[str, list[str]]]:
    """The first word of each statement with the tables that it locked anew."""
    return [
        (s.sql.split()[0], sorted({k.relation.name for k in s.observation.locks if k.relation.is_table}))
        for s in deployed(recording, revision).statements
        if s.observation is not None and s.location is not None
    ]


def rules(recording: Recording) -> set[str]:
    return {found.rule for found in review(recording, CHECKS).findings if found.rule != "endless-lock-wait"}


def test_what_is_locked_again_after_it_was_given_back_is_seen(bench: Bench) -> None:
    upgrade = """op.execute("SAVEPOINT one")
op.execute("ALTER TABLE users ALTER id TYPE numeric")
op.execute("ROLLBACK TO one")
op.execute("SELECT count(*) FROM jobs")
op.execute("ALTER TABLE users ADD COLUMN age int")
op.execute("UPDATE jobs SET name = 'x' WHERE id = 1")"""

    recording = bench.record(Story((GIVEN,), (upgrade,)))

    assert locks(recording) == [
        ("SAVEPOINT", []),
        ("ALTER", ["users"]),
        ("ROLLBACK", []),
        ("SELECT", ["jobs"]),
        ("ALTER", ["users"]),
        ("UPDATE", ["jobs"]),
    ]
    rewritten = [
        bool(s.observation and s.observation.rewritten) for s in deployed(recording).statements if s.location
    ]
    assert rewritten == [False, True, False, False, False, False]


@pytest.mark.parametrize(
    "fails", ["", ', sa.text("SELECT nothing")'], ids=["rolled back", "rolled back on an error"]
)
def test_a_savepoint_of_sqlalchemy_takes_no_lock(fails: str, bench: Bench) -> None:
    upgrade = f"""op.execute("ALTER TABLE users ADD COLUMN age int")
connection = op.get_bind()
for statement in (sa.text("ALTER TABLE jobs ADD COLUMN age int"){fails},):
    with connection.begin_nested() as nested:
        try:
            connection.execute(statement)
        except sa.exc.ProgrammingError:
            pass
        nested.rollback()
op.execute("UPDATE jobs SET name = upper(name)")"""

    recording = bench.record(Story((GIVEN,), (upgrade,)))

    taken = {word for word, tables in locks(recording) if tables}
    assert taken == {"ALTER", "UPDATE"}
    tree = digest(review(recording, CHECKS))
    held = {
        str(h.relation)
        for shown in tree.all_findings
        for h in shown.held
        if shown.finding.rule == "work-under-lock"
    }
    assert held == {"users"}


def test_nested_savepoints_are_given_back_and_released_as_the_server_does(bench: Bench) -> None:
    upgrade = """op.execute("SAVEPOINT a")
op.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
op.execute("SAVEPOINT b")
op.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
op.execute("{0}")
op.execute("UPDATE users SET name = upper(name)")"""

    held = {}
    for last in ("ROLLBACK TO SAVEPOINT b", "RELEASE b", "ROLLBACK TO a", "ROLLBACK WORK TO SAVEPOINT a"):
        found = review(bench.record(Story((GIVEN,), (upgrade.format(last),))), CHECKS).findings
        evidence = [each.evidence["held"] for each in found if each.rule == "work-under-lock"]
        held[last] = sorted(evidence[0]) if evidence and isinstance(evidence[0], dict) else []

    assert held == {
        "ROLLBACK TO SAVEPOINT b": ["users"],
        "RELEASE b": ["jobs", "users"],
        "ROLLBACK TO a": [],
        "ROLLBACK WORK TO SAVEPOINT a": [],
    }


def test_what_was_taken_back_is_neither_lost_nor_half_applied(bench: Bench) -> None:
    upgrade = """connection = op.get_bind()
with connection.begin_nested() as nested:
    op.drop_column("users", "name")
    op.rename_table("jobs", "work")
    op.create_table("made", sa.Column("id", sa.Integer()))
    nested.rollback()
with op.get_context().autocommit_block():
    op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON users (name)")"""

    recording = bench.record(Story((GIVEN,), (upgrade,)))

    assert not rules(recording) & {
        "dropped-column",
        "renamed-table",
        "half-applied-revision",
        "missing-primary-key",
    }
    assert "dropped-column" in rules(bench.record(Story((GIVEN,), (upgrade.replace("nested.rollback()", "pass"),))))


def test_a_table_that_was_taken_back_is_no_new_one(bench: Bench) -> None:
    upgrade = """op.execute("SAVEPOINT s")
op.execute("ALTER TABLE jobs RENAME TO old")
op.execute("CREATE TABLE jobs (id int)")
op.execute("ROLLBACK TO SAVEPOINT s")
op.execute("ALTER TABLE jobs DROP COLUMN name")"""

    assert "dropped-column" in rules(bench.record(Story((GIVEN,), (upgrade,))))


def test_the_sequence_of_a_new_table_may_be_renamed(bench: Bench) -> None:
    upgrade = """op.create_table("fresh", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()))
op.execute("INSERT INTO fresh SELECT id, name FROM users")
op.drop_table("users")
op.rename_table("fresh", "users")
op.execute("ALTER SEQUENCE fresh_id_seq RENAME TO users_id_seq")"""
    old = 'op.execute("ALTER SEQUENCE jobs_id_seq RENAME TO counter")'

    assert "renamed-object" not in rules(bench.record(Story((GIVEN,), (upgrade,))))
    assert "renamed-object" in rules(bench.record(Story((GIVEN,), (old,))))


def test_a_plain_rollback_takes_back_what_came_before_it(bench: Bench) -> None:
    upgrade = """op.drop_column("users", "name")
op.execute("ROLLBACK")"""

    found = rules(bench.record(Story((GIVEN,), (upgrade,), per_migration=True)))

    assert "transaction-control" in found
    assert "dropped-column" not in found


def test_a_downgrade_may_take_back_a_part_too(bench: Bench) -> None:
    downgrade = """op.execute("SAVEPOINT s")
op.execute("DROP TABLE jobs")
op.execute("ROLLBACK TO s")
op.drop_column("users", "age")"""
    upgrade = 'op.add_column("users", sa.Column("age", sa.Integer()))'

    recording = bench.record(Story((GIVEN,), (upgrade,), downgrade=downgrade))

    found = [each for each in review(recording, CHECKS).findings if each.direction is Direction.DOWNGRADE]
    assert [each.rule for each in found] == []
