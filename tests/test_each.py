"""Every revision as a release of its own, and the table of the ways back, through the real command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Place, project, revision, somewhere, told, untimed

HISTORY = ("--revisions", "base:head", "--each")
COLUMN = 'op.add_column("items", sa.Column("note", sa.Text()))'
UNDO = 'op.drop_column("items", "note")'
UPPER = 'op.execute("UPDATE items SET note = upper(note)")'
MOOD = 'op.create_table("{}", sa.Column("id", sa.Integer, primary_key=True), sa.Column("m", sa.Enum("a", "b", name="mood")))'


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place
        assert place.left_behind() == []


def test_each_revision_starts_from_the_state_before_it_with_rows_in_all_that_is_there(
    place: Place, tmp_path: Path
) -> None:
    folder = project(tmp_path, revision("b", "a", COLUMN, UNDO), revision("c", "b", UPPER))

    apart = place.report(folder, *HISTORY, "--rows", "7")
    together = place.report(folder, *HISTORY[:-1], "--rows", "7")

    rows = [[(t["name"], t["rows"]) for t in tree["tables"] if t["name"] == "items"] for tree in apart["trees"]]
    assert rows == [[], [("items", 7)], [("items", 7)]]
    assert [each["rollback"] for each in apart["revisions"]] == [
        "loses-new-data",
        "loses-new-data",
        "loses-existing-data",
    ]
    # in one deploy the table is made by the first of them, and nobody has written to it yet
    assert [each["rollback"] for each in together["revisions"]][-1] == "lossless"


def test_the_table_has_one_line_for_each_revision_and_the_totals(place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path, revision("b", "a", COLUMN, UNDO), revision("c", "b", UPPER))

    done = place.review(folder, *HISTORY, "--rows", "7", "--format", "rollback")

    lines = done.stdout.splitlines()
    assert done.stderr == "", told(done)
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["a", "loses-new-data"],
        ["b", "loses-new-data"],
        ["c", "loses-existing-data"],
    ]
    assert "1 of 1 table, 7 rows" in lines[2]
    assert "new data in items.note" in lines[2]
    assert "values of items.note changed" in lines[3]
    assert lines[5].startswith("findings: 3 warnings")
    assert lines[6:8] == [
        "3 revisions: 2 loses-new-data, 1 loses-existing-data",
        "rows: 1 of 1 table filled, 100.0 %",
    ]


def test_a_state_that_is_reached_only_in_one_upgrade_is_reached_in_one(place: Place, tmp_path: Path) -> None:
    # within one run SQLAlchemy knows that it has made the type already
    folder = project(
        tmp_path,
        revision("b", "a", MOOD.format("one"), "pass"),
        revision("c", "b", MOOD.format("two"), "pass"),
        revision("d", "c", COLUMN, UNDO),
    )

    report = place.report(folder, *HISTORY)

    upgrades = [each["passes"][0]["outcome"] for each in report["revisions"]]
    assert upgrades == ["ok", "ok", "failed", "ok"]
    assert report["revisions"][-1]["rollback"] == "loses-new-data"


def test_what_follows_a_revision_that_never_runs_is_skipped_with_the_reason(place: Place, tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        revision("b", "a", 'op.execute("SELECT nothing")'),
        revision("c", "b", COLUMN, UNDO),
        revision("d", "c", "pass"),
    )

    done = place.review(folder, *HISTORY, "--format", "rollback")

    lines = done.stdout.splitlines()
    assert done.returncode == 1, told(done)
    assert 'upgrade fails: column "nothing" does not exist' in lines[2]
    assert "upgrade skipped" in lines[4]
    assert any("cannot be reached" in line and "because revision b fails" in line for line in lines[5:])
    assert lines[6] == (
        "could not review: The state before revision c cannot be reached, because revision b fails, which is also new and"
        " has its own review. Fix b, and review again."
    )
    assert "--base-schema" not in done.stdout


def test_a_new_revision_that_fails_keeps_its_own_finding_and_is_no_fault_of_the_history(
    place: Place, tmp_path: Path
) -> None:
    folder = project(
        tmp_path,
        revision("b", "a", 'op.execute("SELECT nothing")'),
        revision("c", "b", COLUMN, UNDO),
        revision("d", "c", "pass"),
    )

    report = place.report(folder, "--revisions", "a:head", "--each")

    assert [(each["revision"], each["rule"]) for each in report["findings"]] == [("b", "failing-upgrade")]
    assert len(report["errors"]) == 1
    assert "because revision b fails" in report["errors"][0]
    assert "--base-schema" not in json.dumps(report)


def test_a_history_that_fails_before_the_new_revisions_still_asks_for_a_schema(
    place: Place, tmp_path: Path
) -> None:
    folder = project(tmp_path, revision("b", "a", 'op.execute("SELECT nothing")'), revision("c", "b", COLUMN, UNDO))

    done = place.review(folder, "--revisions", "b:head", "--each")

    assert done.returncode == 3, told(done)
    assert "--base-schema FILE" in done.stdout


@pytest.mark.parametrize("other", [["--static"], ["--base-from", "models"]], ids=lambda other: other[0])
def test_options_that_leave_nothing_to_do_are_refused(other: list[str], place: Place, tmp_path: Path) -> None:
    done = place.review(project(tmp_path, revision("b", "a", COLUMN, UNDO)), *HISTORY, *other)

    assert (done.returncode, done.stdout) == (2, ""), told(done)
    assert "--each" in done.stderr


@pytest.mark.parametrize("failing", ["", "d", "e"], ids=lambda failing: f"{failing or 'none'} fails")
def test_the_report_is_the_same_however_many_are_rehearsed_at_once(
    failing: str, place: Place, tmp_path: Path
) -> None:
    """Two lanes: d is the last revision of the first, and e the first of the second."""
    names = "bcdefg"
    folder = project(
        tmp_path,
        *(
            revision(
                name,
                before,
                'op.execute("SELECT nothing")' if name == failing else COLUMN.replace("note", name),
                UNDO.replace("note", name),
            )
            for before, name in zip("a" + names, names, strict=False)
        ),
    )

    one, two = (
        place.report(folder, "--revisions", "a:head", "--each", "--jobs", jobs, "--rows", "5") for jobs in "12"
    )

    assert [each["id"] for each in one["revisions"]] == [*names]
    assert untimed(two) == untimed(one)


def test_an_env_py_that_ends_the_process_is_reported_with_its_last_words(place: Place, tmp_path: Path) -> None:
    env = 'import sys\nprint("SECRET_KEY is not set\\nMake one with:\\n\\n  $ openssl rand -base64 32")\nsys.exit(1)\n'
    folder = project(tmp_path, revision("b", "a", COLUMN, UNDO), env=env)

    done = place.review(folder, *HISTORY)

    assert done.returncode == 3, told(done)
    said = "SECRET_KEY is not set / Make one with: / $ openssl rand -base64 32. If it needs settings, give them with --env"
    assert f"env.py:3: sys.exit(1) was called: {said}" in done.stdout
    assert done.stderr == "", told(done)
