"""Rows of ours that one revision cannot take, or will not: what is told of it, and what is still seen of the others."""

from __future__ import annotations

import pytest

import checks
from reviewer.recording import Direction, Outcome, Recording, Rehearsal
from reviewer.review.engine import review
from reviewer.review.finding import Severity
from reviewer.review.rollback_label import label
from tests.examples import Bench, Story

CHECKS = checks.load()
GIVEN = """op.execute("CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL)")
op.execute("CREATE TABLE posts (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, title text)")
op.execute("CREATE TABLE jobs (id bigserial PRIMARY KEY, name text NOT NULL)")"""

BREAKS = "op.execute('UPDATE users SET name = (SELECT g::text FROM generate_series(1, 2) g)')"
BACK = "op.execute('SELECT 1')"
LOSES = (
    'op.execute("UPDATE jobs SET name = upper(name)")',
    'op.drop_column("jobs", "name")\nop.add_column("jobs", sa.Column("name", sa.Text(), nullable=False))',
)
COLUMN = ('op.add_column("users", sa.Column("age", sa.Integer()))', 'op.drop_column("users", "age")')


def rules(recording: Recording, revision: str) -> dict[str, Severity]:
    return {each.rule: each.severity for each in review(recording, CHECKS).findings if each.revision == revision}


def rows_of(
    recording: Recording, rehearsal: Rehearsal, direction: Direction = Direction.UPGRADE
) -> dict[str, bool]:
    """Of each revision that went well: whether there were rows in what it has to do with."""
    return {
        each.revision: each.rows
        for each in recording.passes
        if each.rehearsal is rehearsal and each.direction is direction and each.outcome is Outcome.OK
    }


def test_what_breaks_one_revision_leaves_the_later_ones_with_rows(bench: Bench) -> None:
    ups, downs = zip((BREAKS, BACK), LOSES, COLUMN, strict=True)

    recording = bench.record(Story((GIVEN,), ups, downgrades=downs))

    assert rows_of(recording, Rehearsal.STEPWISE) == {"new1": False, "new2": True, "new3": True}
    # one transaction with the first, whose tables have to be empty for it
    assert rows_of(recording, Rehearsal.DEPLOYED) == {"new1": False, "new2": True, "new3": False}
    assert rules(recording, "new1")["failing-upgrade"] is Severity.WARNING
    assert rules(recording, "new2")["failing-downgrade"] is Severity.ERROR
    assert [label(recording, each) for each in ("new1", "new2", "new3")] == ["untested", "broken", "loses-new-data"]


def test_each_of_several_that_break_on_rows_is_told(bench: Bench) -> None:
    other = BREAKS.replace("users", "jobs")

    recording = bench.record(Story((GIVEN,), (BREAKS, other, COLUMN[0]), downgrades=(BACK, BACK, COLUMN[1])))

    assert [label(recording, f"new{n}") for n in (1, 2, 3)] == ["untested", "untested", "loses-new-data"]
    assert rules(recording, "new1")["failing-upgrade"] is Severity.WARNING
    assert rules(recording, "new2")["failing-upgrade"] is Severity.WARNING
    assert rows_of(recording, Rehearsal.STEPWISE, Direction.DOWNGRADE)["new3"]


def test_the_state_before_is_reached_however_many_revisions_led_there(bench: Bench) -> None:
    # the database is remembered now and then: what has been done before that counts too
    many = [
        (f'op.create_index("ix{n}", "jobs", ["name"])', f'op.drop_index("ix{n}", table_name="jobs")')
        for n in range(8)
    ]
    ups, downs = zip(*many, (BREAKS, BACK), COLUMN, strict=True)

    recording = bench.record(Story((GIVEN,), ups, downgrades=downs))

    assert [label(recording, f"new{n}") for n in range(1, 11)] == [*["lossless"] * 8, "untested", "loses-new-data"]


def test_a_table_of_the_same_deploy_gets_no_rows_of_ours(bench: Bench) -> None:
    made = 'op.create_table("tags", sa.Column("id", sa.Integer(), primary_key=True))\n' + BREAKS
    column = 'op.add_column("tags", sa.Column("name", sa.Text(), nullable=False))'
    downs = ('op.drop_table("tags")', 'op.drop_column("tags", "name")')

    recording = bench.record(Story((GIVEN,), (made, column), downgrades=downs))

    assert "failing-upgrade" not in rules(recording, "new2")
    assert [each.outcome for each in recording.passes_of("new2") if each.rehearsal is Rehearsal.STEPWISE] == [
        Outcome.OK
    ] * 3


GUARD = """if op.get_bind().execute(sa.text("SELECT count(*) FROM {0}")).scalar():
    raise RuntimeError("there are rows")
"""


def test_a_downgrade_that_refuses_because_of_rows_depends_on_them(bench: Bench) -> None:
    recording = bench.record(Story((GIVEN,), COLUMN[:1], downgrade=GUARD.format("posts") + COLUMN[1]))

    downs = [(p.outcome, p.rows) for p in recording.passes if p.direction is Direction.DOWNGRADE]
    assert downs == [(Outcome.FAILED, True), (Outcome.OK, False)]
    assert label(recording, "new1") == "data-dependent"
    assert "failing-downgrade" not in rules(recording, "new1")


def test_what_is_behind_a_guard_is_rehearsed(bench: Bench) -> None:
    wrong = GUARD.format("users") + 'op.get_bind().execute(sa.text("SELECT 1"))'

    recording = bench.record(Story((GIVEN,), COLUMN[:1], downgrade=wrong))

    assert label(recording, "new1") == "broken"
    assert "incomplete-downgrade" in rules(recording, "new1")


def test_a_downgrade_that_refuses_whatever_there_is_stays_irreversible(bench: Bench) -> None:
    below = 'if True:\n    raise RuntimeError("no way")'

    recording = bench.record(Story((GIVEN,), COLUMN[:1], downgrade=below))

    assert label(recording, "new1") == "irreversible"
    assert [p.outcome for p in recording.passes if p.direction is Direction.DOWNGRADE] == [Outcome.FAILED]


TRIGGER = """op.execute('''CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN NEW.renamed = now(); RETURN NEW; END$$''')
op.execute("CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()")
op.execute("UPDATE users SET name = name || '!'")"""
LOOP = """for row in op.get_bind().execute(sa.text("SELECT id FROM users")).fetchall():
    op.get_bind().execute(sa.text("UPDATE users SET nmae = 'x' WHERE id = :id"), {"id": row.id})"""
BLOCK = """op.execute('''DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM users LOOP
    UPDATE users SET nmae = 'x' WHERE id = r.id; END LOOP; END $$''')"""
NAMED_BY_ROWS = """op.execute('''DO $$ DECLARE r record; BEGIN FOR r IN SELECT name FROM users LOOP
    EXECUTE format('ALTER TABLE %I ADD COLUMN seen boolean', r.name); END LOOP; END $$''')"""
BUILT_OF_ROWS = """for row in op.get_bind().execute(sa.text("SELECT name FROM users")).fetchall():
    op.execute(f'ALTER TABLE "{row.name}" ADD COLUMN seen boolean')"""


@pytest.mark.parametrize(
    ("upgrade", "severity"),
    [
        (TRIGGER, Severity.ERROR),
        (LOOP, Severity.ERROR),
        (BLOCK, Severity.ERROR),
        (NAMED_BY_ROWS, Severity.WARNING),
        (BUILT_OF_ROWS, Severity.WARNING),
    ],
    ids=["a trigger", "a loop", "a block", "a block that names tables by rows", "a loop that names tables by rows"],
)
def test_what_does_not_fit_the_schema_fails_on_any_rows(upgrade: str, severity: Severity, bench: Bench) -> None:
    recording = bench.record(Story((GIVEN,), (upgrade,)))

    assert rules(recording, "new1")["failing-upgrade"] is severity
