"""Schemas and migrations that stand in the way of rows: named, skipped or handled, and nobody is accused wrongly."""

from __future__ import annotations

import pytest

import checks
from reviewer.recording import Outcome, Skipped
from reviewer.review.engine import review
from reviewer.review.rollback_label import label
from tests.examples import Bench, Story

CHECKS = checks.load()
NOT_WORKING = {check.RULE.id for check in CHECKS if check.RULE.group.value == "not-working"}

COLUMN = 'op.add_column("t", sa.Column("note", sa.Text()))'
UNDO = 'op.drop_column("t", "note")'
NEVER = """op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$")
"""
CIRCLE = """op.execute("CREATE TABLE t (id int PRIMARY KEY, u int NOT NULL)")
op.execute("CREATE TABLE u (id int PRIMARY KEY, t int NOT NULL REFERENCES t)")
op.execute("ALTER TABLE t ADD FOREIGN KEY (u) REFERENCES u")"""

ODD: dict[str, tuple[str, list[Skipped]]] = {
    "a CHECK that nothing satisfies": (
        'op.execute("CREATE TABLE t (a int NOT NULL, CHECK (a > 5 AND a < 3))")',
        [Skipped("rows of table t", 'new row for relation "t" violates check constraint "t_a_check"')],
    ),
    "a trigger that always raises": (
        f'{NEVER}op.execute("CREATE TABLE t (a int)")\n'
        'op.execute("CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()")',
        [Skipped("rows of table t", "never")],
    ),
    "a trigger that always raises on updates": (
        f'{NEVER}op.execute("CREATE TABLE t (a int)")\n'
        'op.execute("CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()")',
        [],
    ),
    "a domain of a domain": (
        'op.execute("CREATE DOMAIN low AS int CHECK (VALUE > 50)")\n'
        'op.execute("CREATE DOMAIN narrow AS low CHECK (VALUE < 90)")\n'
        'op.execute("CREATE TABLE t (a narrow NOT NULL)")',
        [],
    ),
    "a circle of foreign keys that cannot be deferred": (CIRCLE, []),
    "a view without a table": (
        'op.execute("CREATE VIEW v AS SELECT 1 AS one")\nop.execute("CREATE TABLE t (a int)")',
        [],
    ),
    "a view over a table that takes no row": (
        'op.execute("CREATE TABLE t (a int NOT NULL, CHECK (a <> a))")\n'
        'op.execute("CREATE MATERIALIZED VIEW v AS SELECT a FROM t")',
        [Skipped("rows of table t", 'new row for relation "t" violates check constraint "t_a_check"')],
    ),
    "a table with 1,500 columns": (
        'op.execute("CREATE TABLE t (" + ", ".join(f"c{n} int" for n in range(1500)) + ")")',
        [],
    ),
}


@pytest.mark.parametrize(("given", "skipped"), ODD.values(), ids=ODD.keys())
def test_a_harmless_revision_on_an_odd_schema_is_harmless(given: str, skipped: list[Skipped], bench: Bench) -> None:
    recording = bench.record(Story((given,), (COLUMN,), downgrade=UNDO))

    found = [each.message for each in review(recording, CHECKS).findings if each.rule in NOT_WORKING]

    assert list(recording.skipped) == skipped
    assert {each.outcome for each in recording.passes} == {Outcome.OK}
    assert (label(recording, "new1"), found) == ("loses-new-data", [])


def test_a_type_of_an_extension_that_is_absent_is_named(bench: Bench) -> None:
    upgrade = 'op.execute("ALTER TABLE t ADD COLUMN shape unheard_of")'
    recording = bench.record(Story(('op.execute("CREATE TABLE t (a int)")',), (upgrade,), downgrade=UNDO))

    (found,) = [each for each in review(recording, CHECKS).findings if each.rule in NOT_WORKING]

    assert (found.rule, label(recording, "new1")) == ("failing-upgrade", "untested")
    assert 'type "unheard_of" does not exist' in found.message


@pytest.mark.parametrize(
    "upgrade",
    ['op.execute("DELETE FROM t")', 'op.execute("TRUNCATE t CASCADE")', 'op.execute("DROP TABLE t CASCADE")'],
    ids=["DELETE", "TRUNCATE", "DROP TABLE"],
)
def test_a_migration_that_deletes_our_rows_is_told_as_one_that_deletes_rows(upgrade: str, bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE t (a int PRIMARY KEY)")\nop.execute("CREATE TABLE u (t int NOT NULL REFERENCES t)")'
    if "DELETE" in upgrade:
        given = 'op.execute("CREATE TABLE t (a int PRIMARY KEY)")'
    back = 'op.execute("CREATE TABLE t (a int PRIMARY KEY)")' if "DROP" in upgrade else "op.get_bind()"
    recording = bench.record(Story((given,), (upgrade,), downgrade=back))

    rules = {each.rule for each in review(recording, CHECKS).findings}

    assert label(recording, "new1") == "loses-existing-data"
    assert rules & {"lossy-round-trip", "unfiltered-change", "truncated-table", "dropped-table"}
    assert not rules & {"failing-upgrade", "failing-downgrade", "fails-on-legal-rows"}


def test_rows_that_the_migration_moves_away_are_not_missed_where_they_come_back(bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")'
    upgrade = 'op.execute("CREATE TABLE moved AS SELECT * FROM t")\nop.execute("DELETE FROM t")'
    downgrade = 'op.execute("INSERT INTO t SELECT * FROM moved")\nop.drop_table("moved")'
    recording = bench.record(Story((given,), (upgrade,), downgrade=downgrade))

    lossy = [each.message for each in review(recording, CHECKS).findings if each.rule == "lossy-round-trip"]

    # what is written to both tables in between stands in its own way
    assert (label(recording, "new1"), lossy) == ("data-dependent", [])
