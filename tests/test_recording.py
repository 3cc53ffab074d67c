"""A recording is the same again after a round trip, and gives the same report where there is no PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reviewer.recording import Direction, Outcome, Pass, Recording, Rehearsal, Statement, dumps, furthest, loads
from tests.command import Place, project, revision, somewhere, told

pytestmark = pytest.mark.processes

ROW = 'op.execute("INSERT INTO items VALUES (1)")'

# JSON is text in Unicode: lone surrogates cannot be in it, and the runner lets none through.
text = st.text(st.characters(codec="utf-8"), max_size=20)
# Before any strategy is made of a type: what hypothesis has resolved once it keeps. JSON has no NaN either.
for kind, strategy in {str: text, float: st.floats(0, 1e9), int: st.integers(-(2**53), 2**53)}.items():
    st.register_type_strategy(kind, strategy)
recordings = st.lists(
    st.builds(Recording, tool=text, tree=text, errors=st.lists(text, max_size=2).map(tuple)), max_size=2
)
any_recordings = st.lists(st.from_type(Recording), max_size=1)


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place


@given(recordings)
def test_round_trip_of_any_text(made: list[Recording]) -> None:
    assert loads(dumps(made)) == tuple(made)


@given(st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_round_trip_of_anything(data: st.DataObject) -> None:
    made = data.draw(any_recordings)

    assert loads(dumps(made)) == tuple(made)


def without_mode(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "mode"}


def test_a_saved_recording_gives_the_same_report_without_postgresql(place: Place, tmp_path: Path) -> None:
    bodies = 'op.add_column("items", sa.Column("note", sa.Text()))\nop.create_index("ix", "items", ["note"])'
    folder = project(
        tmp_path / "project",
        revision("b", "a", bodies, 'op.drop_column("items", "note")'),
        revision("c", "b", 'op.execute("SELECT wrong")'),
    )
    made = place.review(folder, "--revisions", "a:c", "--format", "json", "--save-recording", "kept.json")
    text_made = place.review(folder, "--revisions", "a:c")
    text_again = place.review(folder, "--recording", "kept.json")

    again = place.review(
        folder,
        "--recording",
        "kept.json",
        "--postgres",
        "postgresql://nobody@127.0.0.1:1/nowhere",
        "--format",
        "json",
        env={"PATH": "/nowhere", "PG_CONFIG": "/nowhere"},
    )

    assert made.returncode == again.returncode == 1, told(made) + told(again)
    assert without_mode(json.loads(again.stdout)) == without_mode(json.loads(made.stdout))
    assert json.loads(again.stdout)["mode"] == "replayed"
    # all but the last line, which says whether a server saw it or it was replayed
    assert text_again.stdout.splitlines()[:-1] == text_made.stdout.splitlines()[:-1]
    assert "wrong" in text_made.stdout


def test_a_lock_that_an_earlier_revision_holds_already_is_told_of_the_later_one_too(
    place: Place, tmp_path: Path
) -> None:
    folder = project(
        tmp_path / "project",
        revision(
            "b",
            "a",
            'op.create_index("ix", "items", ["id"])\nop.create_table("new", sa.Column("id", sa.Integer()))',
        ),
        revision("c", "b", 'op.create_index("ix2", "items", ["id"])'),
        revision("d", "c", 'op.create_index("ix3", "new", ["id"])'),
    )

    page = place.review(folder, "--revisions", "a:d").stdout

    assert page.count("  strongest lock: SHARE on items, blocks writes\n") == 2
    assert "SHARE on new" not in page


def test_the_lock_of_a_statement_outside_a_transaction_is_told_too(place: Place, tmp_path: Path) -> None:
    concurrently = """with op.get_context().autocommit_block():
    op.create_index("ix2", "items", ["id"], postgresql_concurrently=True)"""
    folder = project(
        tmp_path / "project",
        revision("b", "a", 'op.create_index("ix", "items", ["id"])'),
        revision("c", "b", concurrently),
    )

    page = place.review(folder, "--revisions", "a:c").stdout

    assert "c  creates index `ix2` on `items`\n  strongest lock: SHARE UPDATE EXCLUSIVE on items\n" in page


ODD = {
    "ten megabytes": ('op.execute("SELECT \'" + "x" * 10_000_000 + "\'")', "ok"),
    "a NUL byte": ("op.get_bind().exec_driver_sql(\"SELECT 'a\\0b'\")", "failed"),
    "a lone surrogate": ("op.get_bind().exec_driver_sql(\"SELECT '\\ud800'\")", "failed"),
    "a thousand statements": ('op.execute("; ".join(f"CREATE TABLE t{n} (id int)" for n in range(1000)))', "ok"),
    "COPY FROM STDIN": (
        'with op.get_bind().connection.cursor() as cursor, cursor.copy("COPY items FROM STDIN") as copy:\n'
        '    copy.write("7000\\n")',
        "ok",
    ),
    "a DO block": ('op.execute("DO $$ BEGIN ALTER TABLE items ADD COLUMN d int; END $$")', "ok"),
    "a function with DDL inside": (
        'op.execute("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS'
        ' $$ BEGIN ALTER TABLE items ADD COLUMN e int; END $$")\nop.execute("SELECT f()")',
        "ok",
    ),
    "no statement at all": ('op.execute("")', None),
    "only a comment": ('op.execute("-- nothing")', None),
    "a percent sign": ("op.execute(\"SELECT '100%'\")", "ok"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_statements_are_shown_as_what_they_are(name: str, place: Place, tmp_path: Path) -> None:
    body, outcome = ODD[name]
    folder = project(tmp_path / "project", revision("b", "a", body))

    done = place.review(folder, "--revisions", "a:b", "--format", "json", "--save-recording", "kept.json")

    assert done.returncode in {0, 1}, told(done)
    assert "Traceback" not in done.stderr
    upgrade = json.loads(done.stdout)["revisions"][0]["passes"][0]
    assert outcome in {None, upgrade["outcome"]}, upgrade
    kept = loads((folder / "kept.json").read_bytes())
    assert loads(dumps(kept)) == kept


@pytest.mark.parametrize(
    ("name", "lock"), [("a DO block", "ACCESS EXCLUSIVE"), ("a function with DDL inside", "ACCESS EXCLUSIVE")]
)
def test_what_is_hidden_from_text_is_observed(name: str, lock: str, place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path / "project", revision("b", "a", ODD[name][0]))

    report = place.report(folder, "--revisions", "a:b")

    statements = report["revisions"][0]["passes"][0]["statements"]
    assert lock in {each["mode"] for s in statements for each in s["locks"] if each["relation"].endswith("items")}


def test_a_failure_with_rows_is_told_rather_than_one_without() -> None:
    long = (Statement("SELECT 1"),) * 3
    made_up = Pass("a", Direction.UPGRADE, Rehearsal.DEPLOYED, Outcome.FAILED, rows=True, statements=long[:1])
    empty = replace(made_up, rows=False, statements=long)

    assert furthest([empty, made_up], Direction.UPGRADE) is made_up
    assert furthest([empty, replace(made_up, outcome=Outcome.SKIPPED)], Direction.UPGRADE) is empty
    assert furthest([replace(empty, outcome=Outcome.OK), made_up], Direction.UPGRADE) != made_up
    assert furthest([empty, made_up], Direction.DOWNGRADE) is None


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_a_percent_sign_is_shown_once_as_the_server_gets_it(driver: str, place: Place, tmp_path: Path) -> None:
    body = "op.execute(\"ALTER TABLE items ADD CHECK (id % 2 >= 0 AND id::text NOT LIKE '%x%')\")"
    folder = project(
        tmp_path / "project", revision("b", "a", body), url=f"postgresql+{driver}://nobody@nowhere.invalid/x"
    )

    report = place.report(folder, "--revisions", "a:b")

    (finding,) = (each for each in report["findings"] if each["rule"] == "validating-check")
    assert finding["sql"] == "ALTER TABLE items ADD CHECK (id % 2 >= 0 AND id::text NOT LIKE '%x%')"
    assert "%%" not in json.dumps(finding["remedy"])
