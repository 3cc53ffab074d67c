"""Rows of the project's own, from a file of SQL or a command, through the real command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import Place, before_long, mentioning, project, revision, somewhere, told

HISTORY = ("--revisions", "a:b")
COLUMN = 'op.add_column("items", sa.Column("note", sa.Text()))'
UNDO = 'op.drop_column("items", "note")'
SEED = """
import os
import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("INSERT INTO items SELECT generate_series(101, 103)")
"""


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place
        assert place.left_behind() == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = project(tmp_path, revision("b", "a", COLUMN, UNDO))
    (folder / "seed.py").write_text(SEED)
    return folder


def rows(report: dict[str, Any]) -> int:
    return next(int(each["rows"]) for each in report["trees"][0]["tables"] if each["name"] == "items")


def seeded(*words: str) -> tuple[str, ...]:
    return (*HISTORY, "--seed-command", " ".join((sys.executable, *words)))


def test_a_command_runs_in_the_folder_of_the_project_and_writes_rows_that_stay_as_they_are(
    place: Place, folder: Path
) -> None:
    assert rows(place.report(folder, *seeded("seed.py"))) == 3


def test_a_file_and_a_command_are_both_put_in_before_our_rows(place: Place, folder: Path) -> None:
    (folder / "seed.sql").write_text("INSERT INTO items VALUES (7);")

    assert rows(place.report(folder, *seeded("seed.py"), "--seed", "seed.sql")) == 4


def test_rows_of_the_project_alone_are_followed_too(place: Place, tmp_path: Path) -> None:
    folder = project(tmp_path, revision("b", "a", 'op.execute("DELETE FROM items WHERE id = 102")'))
    (folder / "seed.py").write_text(SEED)

    report = place.report(folder, *seeded("seed.py"), "--no-rows")

    assert report["revisions"][0]["rollback"] == "loses-existing-data"
    assert "1 of 3 rows of `items`" in " ".join(each["message"] for each in report["findings"])


def test_it_finds_the_database_and_what_it_is_given_and_no_secret(place: Place, folder: Path) -> None:
    (folder / "seed.py").write_text("import os\nprint(sorted(os.environ))\nraise SystemExit(1)\n")
    secret = {"SECRET_TOKEN": "x", "GITHUB_TOKEN": "x", "DATABASE_URL": "postgresql://real.invalid/production"}

    done = place.review(folder, *seeded("seed.py"), "--env", "APP_DB={url}", env=secret)

    assert done.returncode == 3, told(done)
    for name in ("APP_DB", "DATABASE_URL", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PATH"):
        assert f"'{name}'" in done.stderr
    assert "TOKEN" not in done.stderr


def test_the_url_of_the_real_database_does_not_get_through(place: Place, folder: Path) -> None:
    (folder / "seed.py").write_text("import os\nraise SystemExit(os.environ['DATABASE_URL'])\n")

    done = place.review(folder, *seeded("seed.py"), env={"DATABASE_URL": "postgresql://real.invalid/production"})

    assert "real.invalid" not in done.stderr, told(done)
    assert "review_" in done.stderr


def test_one_that_fails_ends_the_review_with_its_last_words(place: Place, folder: Path) -> None:
    (folder / "seed.py").write_text("print('first')\nraise ValueError('no such plan')\n")

    done = place.review(folder, *seeded("seed.py"))

    assert (done.returncode, done.stdout) == (3, ""), told(done)
    assert "ended with status 1: ValueError: no such plan" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_that_hangs_is_ended_with_all_that_it_has_started(place: Place, folder: Path) -> None:
    (folder / "seed.py").write_text(
        "import subprocess, sys, time\n"
        f"sleeper = [sys.executable, '-c', 'import time; time.sleep(600)', {str(place.folder)!r}]\n"
        "subprocess.Popen(sleeper, start_new_session=True)\n"
        "print('waiting for godot', flush=True)\ntime.sleep(600)\n"
    )

    done = place.review(folder, *seeded("seed.py"), "--timeout", "20")

    assert done.returncode == 3, told(done)
    assert "did not end in time: waiting for godot" in done.stderr
    assert "--timeout" in done.stderr


def test_what_it_leaves_running_in_the_background_is_ended(place: Place, folder: Path) -> None:
    (folder / "seed.py").write_text(
        SEED + "import subprocess, sys\n"
        f"sleeper = [sys.executable, '-c', 'import time; time.sleep(600)', {str(place.folder)!r}]\n"
        "subprocess.Popen(sleeper, start_new_session=True)\n"
    )

    assert rows(place.report(folder, *seeded("seed.py"))) == 3
    assert before_long(lambda: not mentioning(str(place.folder)))


@pytest.mark.parametrize("command", ["nowhere --at-all", "'"], ids=["no such program", "an open quote"])
def test_one_that_cannot_be_started_is_named(command: str, place: Place, folder: Path) -> None:
    done = place.review(folder, *HISTORY, "--seed-command", command)

    assert (done.returncode, done.stdout) == (2, ""), told(done)
    assert f"The seed command `{command}` cannot be started" in done.stderr
    assert "--seed-command" in done.stderr


def test_a_file_that_does_not_fit_the_base_schema_says_why(place: Place, folder: Path) -> None:
    (folder / "seed.sql").write_text("INSERT INTO items VALUES (1, 'too much');")

    done = place.review(folder, *HISTORY, "--seed", "seed.sql")

    assert done.returncode == 3, told(done)
    assert "INSERT has more expressions than target columns" in done.stderr
