"""Rows that a revision inserts under a key that a generated row has: told once, and rehearsed on rows with other keys."""

from __future__ import annotations

import pytest

from reviewer.recording import Outcome, Recording
from reviewer.review import rollback_label
from tests.examples import Bench, Story

ROLES = "CREATE TABLE roles (id {type} PRIMARY KEY, name text NOT NULL UNIQUE);"
SEEDS = "op.execute(\"INSERT INTO roles VALUES (1, 'admin'), (2, 'user')\")"
OWN = 'op.execute("DELETE FROM roles WHERE id IN (1, 2)")'
ALL = 'op.execute("DELETE FROM roles")'
ORDERS = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, total int); CREATE TABLE archived (LIKE orders INCLUDING ALL);"
)
ARCHIVES = 'op.execute("WITH moved AS (DELETE FROM orders RETURNING *) INSERT INTO archived SELECT * FROM moved")'


def given(sql: str) -> tuple[str, ...]:
    return (f'op.execute("""{sql}""")',)


def all_met_rows(recording: Recording) -> bool:
    return all(each.outcome is Outcome.OK and each.rows for each in recording.passes)


ADVANCES = SEEDS + "\nop.execute(\"SELECT setval('roles_id_seq', (SELECT max(id) FROM roles))\")"


@pytest.mark.parametrize(
    ("upgrades", "behind"), [((SEEDS,), True), ((ADVANCES,), False)], ids=["as it is", "advanced"]
)
def test_the_sequence_of_a_table_that_was_empty_is_seen(
    upgrades: tuple[str, ...], behind: bool, bench: Bench
) -> None:
    recording = bench.record(Story(given(ROLES.format(type="serial")), upgrades, downgrade=OWN))

    found = [each for each in bench.findings(recording) if each.rule == "sequence-behind-rows"]
    assert [(each.evidence["next"], each.evidence["highest"]) for each in found] == ([(1, 2)] if behind else [])


@pytest.mark.parametrize("kind", ["bigint", "smallint", "serial", "bigint GENERATED ALWAYS AS IDENTITY"])
def test_seeds_are_rehearsed_beside_rows_with_other_keys(kind: str, bench: Bench) -> None:
    overriding = SEEDS.replace("roles VALUES", "roles OVERRIDING SYSTEM VALUE VALUES")
    recording = bench.record(Story(given(ROLES.format(type=kind)), (overriding,), downgrade=OWN))

    assert all_met_rows(recording)
    assert [each.revision for each in recording.trials if each.collided] == ["new1"]
    found = [each for each in bench.findings(recording) if each.rule == "failing-upgrade"]
    assert [(each.severity.name, "the key of an existing one" in each.message) for each in found] == [
        ("NOTICE", True)
    ]
    assert rollback_label.label(recording, "new1") == "loses-new-data"


def test_a_downgrade_that_takes_more_than_the_seeds_loses_rows(bench: Bench) -> None:
    recording = bench.record(Story(given(ROLES.format(type="int")), (SEEDS,), downgrade=ALL))

    assert "lossy-round-trip" in {each.rule for each in bench.findings(recording)}
    assert rollback_label.label(recording, "new1") == "loses-existing-data"


def test_rows_that_refer_to_those_with_other_keys_come_along(bench: Bench) -> None:
    tables = (
        ROLES.format(type="int") + "CREATE TABLE users (id int PRIMARY KEY, role int NOT NULL REFERENCES roles);"
    )
    recording = bench.record(Story(given(tables), (SEEDS,), downgrade=OWN))

    assert all_met_rows(recording)
    assert {str(each.name): each.rows > 0 for each in recording.base.tables}["users"]


def test_each_of_several_revisions_that_seed_is_told(bench: Bench) -> None:
    tables = ROLES.format(type="int") + "CREATE TABLE plans (id int PRIMARY KEY);"
    plans = 'op.execute("INSERT INTO plans VALUES (1)")'
    back = (OWN, 'op.execute("DELETE FROM plans WHERE id = 1")')
    recording = bench.record(Story(given(tables), (SEEDS, plans), downgrades=back))

    assert all_met_rows(recording)
    found = [each for each in bench.findings(recording) if each.rule == "failing-upgrade"]
    assert [(each.revision, each.severity.name) for each in found] == [("new1", "NOTICE"), ("new2", "NOTICE")]


def test_rows_that_move_into_another_table_are_no_failure(bench: Bench) -> None:
    recording = bench.record(Story(given(ORDERS), (ARCHIVES,), downgrade="pass"))

    assert all_met_rows(recording)
    assert not {"fails-on-legal-rows"} & {each.rule for each in bench.findings(recording)}


def test_a_key_that_no_other_row_would_spare_still_fails(bench: Bench) -> None:
    doubles = 'op.execute("INSERT INTO orders SELECT * FROM orders")'
    recording = bench.record(Story(given(ORDERS), (doubles,), downgrade="pass"))

    assert not [each for each in recording.trials if each.collided]
    assert next(each.outcome for each in recording.passes if each.rows) is Outcome.FAILED


CODE = {
    "DO": 'op.execute("DO $$ BEGIN UPDATE orders SET total = 1 WHERE id = -1; END $$")',
    "CALL": 'op.execute("CALL nothing()")',
    "CALL that commits": 'with op.get_context().autocommit_block():\n    op.execute("CALL nothing()")',
}


@pytest.mark.parametrize("upgrade", CODE.values(), ids=CODE.keys())
def test_code_that_changes_none_of_the_rows_proves_nothing_of_the_way_back(upgrade: str, bench: Bench) -> None:
    nothing = (
        "CREATE PROCEDURE nothing() LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE orders SET total = 1 WHERE total = -5 AND id = -1; END $$;"
    )
    recording = bench.record(Story(given(ORDERS + nothing), (upgrade,), downgrade="pass"))

    assert rollback_label.label(recording, "new1") == "untested"
    assert rollback_label.why_untested(recording, "new1").startswith("none of the rows was one that its ")
