"""What migrations of published projects were once judged wrongly for, each as small as it can be."""

from __future__ import annotations

import pytest

from reviewer.review.finding import Finding, Severity
from reviewer.review.rollback_label import label
from tests import examples
from tests.examples import Bench, Story

CHILDREN = """op.execute("CREATE TABLE assets (id int PRIMARY KEY, name text)")
op.execute("CREATE TABLE watchers (id int PRIMARY KEY, asset_id int REFERENCES assets ON DELETE CASCADE)")"""
CHANGES_WHAT_REFERS = {
    "is dropped": ('op.drop_table("watchers")', 'op.execute("CREATE TABLE watchers (id int)")'),
    "has another name": (
        'op.rename_table("watchers", "observers")',
        'op.rename_table("observers", "watchers")',
    ),
    "lost the column": (
        'op.drop_column("watchers", "asset_id")',
        'op.add_column("watchers", sa.Column("asset_id", sa.Integer()))',
    ),
    "has the column under another name": (
        'op.alter_column("watchers", "asset_id", new_column_name="of_asset")',
        'op.alter_column("watchers", "of_asset", new_column_name="asset_id")',
    ),
}


def found(bench: Bench, story: Story, rule: str) -> list[Finding]:
    return [each for each in bench.findings(bench.record(story)) if each.rule == rule]


@pytest.mark.parametrize(("upgrade", "downgrade"), CHANGES_WHAT_REFERS.values(), ids=CHANGES_WHAT_REFERS)
def test_rows_can_be_deleted_though_the_table_that_refers_to_them_has_changed(
    upgrade: str, downgrade: str, bench: Bench
) -> None:
    touched = 'op.execute("CREATE TABLE others (asset_id int REFERENCES assets)")'
    undone = 'op.drop_table("others")'

    story = Story((CHILDREN,), (f"{upgrade}\n{touched}",), downgrade=f"{undone}\n{downgrade}")

    refused = found(bench, story, "refused-after-upgrade")
    assert [each.message for each in refused if "DELETE" in each.message] == []


def test_a_trigger_that_refuses_rows_that_follow_is_told(bench: Bench) -> None:
    refuses = """op.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$")
op.execute("CREATE TRIGGER no BEFORE DELETE ON watchers FOR EACH ROW EXECUTE FUNCTION no()")
op.execute("COMMENT ON TABLE assets IS 'kept'")"""

    refused = found(bench, Story((CHILDREN,), (refuses,)), "refused-after-upgrade")

    assert any("DELETE" in each.message for each in refused)


def test_rows_that_come_back_with_other_values_are_told_also_where_all_were_deleted(bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE limits (id int PRIMARY KEY, slots text)")'
    up = 'op.execute("CREATE TABLE kept AS SELECT id FROM limits")\nop.execute("DELETE FROM limits")'
    down = """op.execute("INSERT INTO limits SELECT id, '[]' FROM kept")\nop.drop_table("kept")"""

    story = Story((given,), (up,), downgrade=down)

    (changed,) = found(bench, story, "lossy-round-trip")
    assert "of `limits.slots` in the rehearsal are changed" in changed.message
    (deleted,) = found(bench, story, "unfiltered-change")
    assert deleted.message == "DELETE without WHERE destroys all rows of `limits`."


def test_an_update_that_fills_only_what_the_revision_adds_can_lose_nothing_that_was_there(bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE runs (id int PRIMARY KEY, state int)")'
    add = 'op.add_column("runs", sa.Column("kind", sa.Text()))\n'
    drop = 'op.drop_column("runs", "kind")'
    other = "op.execute(\"UPDATE runs SET kind = 'x' WHERE state > state + 1\")"
    also = other.replace("SET kind = 'x'", "SET kind = 'x', state = 0")

    labels = [
        label(bench.record(Story((given,), (f"{add}{update}",), downgrade=drop)), "new1")
        for update in (other, also)
    ]

    assert labels == ["loses-new-data", "untested"]


@pytest.mark.parametrize(
    ("nullable", "severity"), [(False, Severity.NOTICE), (True, Severity.WARNING)], ids=["never", "may be"]
)
def test_a_downgrade_that_makes_null_of_new_values_is_a_notice_where_the_upgraded_schema_has_none(
    nullable: bool, severity: Severity, bench: Bench
) -> None:
    given = 'op.execute("CREATE TABLE alerts (id int PRIMARY KEY, pause int NOT NULL)")'
    up = f"""op.execute("ALTER TABLE alerts ALTER pause TYPE text USING pause::text{", ALTER pause DROP NOT NULL" if nullable else ""}")"""
    down = """op.execute("UPDATE alerts SET pause = CASE WHEN pause ~ '^[0-9]{1,5}$' THEN pause END")
op.execute("ALTER TABLE alerts ALTER pause SET NOT NULL, ALTER pause TYPE int USING pause::int")"""

    told = found(bench, Story((given,), (up,), downgrade=down), "failing-downgrade")

    assert [each.severity for each in told] == [severity]


def test_of_a_column_the_line_that_decides_what_differs_is_named(bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE teams (id uuid NOT NULL, name text PRIMARY KEY)")'
    down = """op.add_column("teams", sa.Column("key", sa.String(36)))  # flagged
op.execute("UPDATE teams SET key = name")
op.alter_column("teams", "key", existing_type=sa.String(36), nullable=False)
op.alter_column("teams", "key", new_column_name="id")"""
    story = Story((given,), ('op.drop_column("teams", "id")',), downgrade=down)

    told = found(bench, story, "incomplete-downgrade")

    recording = bench.record(story)
    first = recording.revisions[0].downgrade_line or 0
    assert [line - first for _, line in examples.places(told)] == [1]
    assert "`teams.id`" in told[0].message


EVENTS = """op.execute("CREATE TABLE events (id int NOT NULL, at date NOT NULL) PARTITION BY RANGE (at)")
op.execute("CREATE TABLE events_24 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")"""
LATER = (
    """op.execute("CREATE TABLE events_25 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2035-01-01')")"""
)


@pytest.mark.parametrize(
    ("given", "refused"), [(f"{EVENTS}\n{LATER}", False), (EVENTS, True)], ids=["one of two", "the only one"]
)
def test_rows_of_a_partition_that_is_detached_can_go_to_another_that_is_there(
    given: str, refused: bool, bench: Bench
) -> None:
    up = 'op.execute("ALTER TABLE events DETACH PARTITION events_24")'

    told = found(bench, Story((given,), (up,)), "refused-after-upgrade")

    assert bool(told) is refused
    assert not any("running code does not write" in each.message for each in told)


def test_what_follows_a_failure_that_was_caught_is_told_with_the_way_out(bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE jobs (id int PRIMARY KEY)")'
    caught = """try:
    op.execute("DROP INDEX nope")
except sa.exc.ProgrammingError:
    pass
op.add_column("jobs", sa.Column("b", sa.Text()))"""
    savepoint = caught.replace("    op.execute", "    with op.get_bind().begin_nested():\n        op.execute")

    told = {each.rule: each.message for each in bench.findings(bench.record(Story((given,), (caught,))))}
    fine = {each.rule for each in bench.findings(bench.record(Story((given,), (savepoint,))))}

    assert "current transaction is aborted" in told["failing-upgrade"]
    assert "begin_nested()" in told["failing-upgrade"]
    assert "half-applied-revision" not in told
    assert not {"failing-upgrade", "half-applied-revision"} & fine


def test_a_schema_that_a_downgrade_drops_takes_the_tables_that_were_there_along(bench: Bench) -> None:
    given = 'op.execute("CREATE SCHEMA audit")\nop.execute("CREATE TABLE audit.log (id int PRIMARY KEY)")'
    story = Story(
        (given,),
        ('op.execute("CREATE SCHEMA IF NOT EXISTS audit")',),
        downgrade='op.execute("DROP SCHEMA IF EXISTS audit CASCADE")',
    )

    (missing,) = found(bench, story, "incomplete-downgrade")

    assert "schema `audit` is missing, and with it `audit.log`" in missing.message
    assert label(bench.record(story), "new1") == "loses-existing-data"


def test_a_wait_for_a_lock_of_its_own_is_told_without_our_queries(bench: Bench) -> None:
    given = 'op.execute("CREATE TABLE items (id int PRIMARY KEY)")'
    both = """op.add_column("items", sa.Column("b", sa.Text()))
with sa.create_engine(op.get_bind().engine.url).begin() as second:
    second.execute(sa.text("DELETE FROM items"))"""

    (failed,) = found(bench, Story((given,), (both,)), "failing-upgrade")

    assert "`DELETE FROM items` on one connection waits for a lock that another" in failed.message
    assert "alembic_reviewer" not in failed.message


def test_postgresql_accepts_set_null_on_not_null_and_refuses_each_delete_then(bench: Bench) -> None:
    """What `impossible-set-null` says of the server."""
    refuses = """op.execute("CREATE TABLE users (id int PRIMARY KEY)")
op.execute("CREATE TABLE notes (user_id int NOT NULL REFERENCES users ON DELETE SET NULL)")
op.execute("INSERT INTO users VALUES (1)")
op.execute("INSERT INTO notes VALUES (1)")
op.execute("DELETE FROM users")"""

    failures = [each.failure for each in bench.record(Story(("",), (refuses,))).passes if each.failure is not None]

    assert {failure.sqlstate for failure in failures} == {"23502"}


def test_a_column_that_comes_back_with_another_type_and_name_is_told_beside_what_its_line_would_cut_off(
    bench: Bench,
) -> None:
    given = 'op.execute("CREATE TABLE teams (team_id uuid)")'
    up = """op.alter_column("teams", "team_id", type_=sa.String(50))
op.alter_column("teams", "team_id", new_column_name="team_name")"""
    down = 'op.alter_column("teams", "team_name", new_column_name="team_id", type_=sa.String(36))'

    (other,) = found(bench, Story((given,), (up,), downgrade=down), "incomplete-downgrade")

    assert "the type of column `teams.team_id` is `character varying(36)` and was `uuid`" in other.message


REFUSES = """op.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$")
op.execute("CREATE TRIGGER no BEFORE INSERT ON runs FOR EACH ROW EXECUTE FUNCTION no()")"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ('op.alter_column("runs", "attempt", new_column_name="tries")', []),
        ('op.drop_column("runs", "attempt")', []),
        (REFUSES, ["INSERT"]),
    ],
)
def test_a_column_that_the_same_deploy_has_added_is_missed_by_no_running_code(
    change: str, told: list[str], bench: Bench
) -> None:
    given = 'op.execute("CREATE TABLE runs (id int PRIMARY KEY, name text)")'
    adds = 'op.add_column("runs", sa.Column("attempt", sa.Integer()))'

    refused = found(bench, Story((given,), (adds, change)), "refused-after-upgrade")

    assert [each.message.split()[0] for each in refused] == told


MEMBERS = """op.execute("CREATE TABLE members (id int PRIMARY KEY, subject text, grants json)")
op.execute("CREATE TABLE keys (member_id int, key text)")"""
ADD_ZONE = 'op.add_column("members", sa.Column("zone", sa.Text()))'
FETCH = """for id, value in op.get_bind().execute(sa.text("SELECT id, {} FROM members")).fetchall():
    op.get_bind().execute(sa.text("INSERT INTO keys VALUES (:id, :key)"), {{"id": id, "key": str(value)}})
"""


def test_a_column_whose_values_the_revision_takes_elsewhere_is_moved_and_not_renamed(bench: Bench) -> None:
    up = f'{ADD_ZONE}\n{FETCH.format("subject")}op.drop_column("members", "subject")'
    down = 'op.add_column("members", sa.Column("subject", sa.Text()))\nop.drop_column("members", "zone")'

    story = Story((MEMBERS,), (up,), downgrade=down)

    assert found(bench, story, "rename-as-drop") == []
    (dropped,) = found(bench, story, "dropped-column")
    assert dropped.message.startswith("Dropping `members.subject` breaks the running code")


@pytest.mark.parametrize("fetched", ["zone", "length(subject)"], ids=["another column", "how long they are"])
def test_a_column_whose_values_the_revision_does_not_take_is_lost(fetched: str, bench: Bench) -> None:
    up = f'{ADD_ZONE}\n{FETCH.format(fetched)}op.drop_column("members", "subject")'
    down = 'op.add_column("members", sa.Column("subject", sa.Text()))\nop.drop_column("members", "zone")'

    (lost,) = found(bench, Story((MEMBERS,), (up,), downgrade=down), "rename-as-drop")

    assert "destroys every value of `subject`" in lost.message


@pytest.mark.parametrize("type_", ["state", "public.state", '"public"."state"'])
@pytest.mark.parametrize("many", ["", "[]"], ids=["one", "array"])
def test_a_downgrade_that_makes_an_enum_again_fails_on_the_new_label_and_destroys_nothing(
    type_: str, many: str, bench: Bench
) -> None:
    labels = ", ".join(f"'l{number}'" for number in range(25))
    given = f"""op.execute("CREATE TYPE state AS ENUM ({labels})")
op.execute("CREATE TABLE jobs (id int PRIMARY KEY, state state{many})")"""
    up = """with op.get_context().autocommit_block():
    op.execute("ALTER TYPE public.state ADD VALUE IF NOT EXISTS 'lost'")"""
    down = "\n".join(
        f"op.execute({sql!r})"
        for sql in (
            f"ALTER TYPE {type_} RENAME TO state_old",
            f"CREATE TYPE {type_} AS ENUM ({labels})",
            f"ALTER TABLE jobs ALTER state TYPE {type_}{many} USING state::text{many}::{type_}{many}",
            "DROP TYPE state_old",
        )
    )
    story = Story((given,), (up,), downgrade=down)

    assert found(bench, story, "destructive-downgrade") == []
    (fails,) = found(bench, story, "failing-downgrade")
    assert fails.severity is Severity.NOTICE
    assert "once the tables hold `lost` in `jobs.state`" in fails.message
    assert 'invalid input value for enum state: "lost"' in fails.message
    assert label(bench.record(story), "new1") == "data-dependent"


def test_rows_that_a_cursor_of_the_server_fetches_later_are_read_by_its_own_statement(bench: Bench) -> None:
    up = """op.add_column("members", sa.Column("note", sa.Text()))
fetched = op.get_bind().execute(sa.text("SELECT id, grants FROM members").execution_options(yield_per=1000))
for row in fetched:
    pass"""
    story = Story((MEMBERS,), (up,), downgrade='op.drop_column("members", "note")')

    assert found(bench, story, "unrecognized-statement") == []
    (reading,) = found(bench, story, "work-under-lock")
    assert reading.message.startswith("Reading every row of `members`")
    (added,) = found(bench, story, "endless-lock-wait")
    assert added.location is not None
    assert reading.location is not None
    assert reading.location.line == added.location.line + 1


def test_a_column_that_the_application_has_made_already_is_told_with_who_may_have_made_it(bench: Bench) -> None:
    given = MEMBERS + '\nop.execute("ALTER TABLE members ADD zone text")'

    (failed,) = found(bench, Story((given,), (ADD_ZONE,)), "failing-upgrade")

    assert 'column "zone" of relation "members" already exists' in failed.message
    assert "`create_all()` of the application did" in failed.message
