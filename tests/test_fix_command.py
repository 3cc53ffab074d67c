"""`alembic-reviewer fix` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, warm
from tests.command import Place, files_in, project, revision, somewhere
from tests.repository import Repository, git

pytestmark = pytest.mark.processes

QUICK = "op.execute(\"SET LOCAL lock_timeout = '5s'\")\n"
INDEX = revision(
    "b",
    "a",
    QUICK + 'op.create_index("ix", "items", [sa.text("(id + 1)")])',
    'op.drop_index("ix", "items")',
)


@pytest.fixture(name="place", scope="module")
def a_place() -> Iterator[Place]:
    with somewhere() as found:
        yield found


def fix(place: Place, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    span = [] if "--base" in arguments else ["--revisions", "a:head"]
    return warm.run(["fix", "--python", sys.executable, *span, *arguments], path, place.environ)


def test_a_diff_is_printed_and_applies_and_is_written(place: Place, tmp_path: Path) -> None:
    folder = Repository.at(tmp_path / "x").folder
    project(folder)
    Repository(folder).commit()
    project(folder, INDEX)
    before = files_in(folder)

    printed = fix(place, folder, "--base", "main")

    assert printed.returncode == 0, command.told(printed)
    assert "1 finding can be fixed" in printed.stderr
    assert files_in(folder) == before
    (folder / "x.diff").write_text(printed.stdout)
    git(folder, "apply", "x.diff")
    applied = (folder / "migrations/versions/r1.py").read_text()
    assert "postgresql_concurrently=True" in applied
    (folder / "migrations/versions/r1.py").write_text(INDEX)

    written = fix(place, folder, "--write", "--format", "json")

    assert written.returncode == 0, command.told(written)
    assert (folder / "migrations/versions/r1.py").read_text() == applied
    found = json.loads(written.stdout)
    (one,) = found["fixes"]
    assert (found["schema"], found["written"], found["left"]) == (1, True, [])
    assert (one["rule"], one["safe"], one["path"], one["line"]) == (
        "blocking-index",
        True,
        "migrations/versions/r1.py",
        13,
    )
    assert one["diff"] == found["diff"] == printed.stdout

    again = fix(place, folder, "--write")

    assert (again.returncode, again.stdout) == (0, ""), command.told(again)
    assert "Nothing to fix." in again.stderr
    assert place.clean()


def test_what_is_left_is_told_with_its_reason_and_fails(place: Place, tmp_path: Path) -> None:
    listed = QUICK + '[op.create_index(name, "items", ["id"]) for name in ("ix",)]'
    folder = project(tmp_path, revision("b", "a", listed, 'op.drop_index("ix", "items")'))

    done = fix(place, folder)

    assert (done.returncode, done.stdout) == (1, ""), command.told(done)
    assert "error blocking-index: the call at line 13 is part of a larger expression" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--rule", "blocking-indexes"],
            "There is no fix for the rule `blocking-indexes`.\nDid you mean `blocking-index`?",
        ),
        (["--static"], "No such option"),
    ],
)
def test_wrong_usage_is_told(place: Place, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = fix(place, project(tmp_path, INDEX), *arguments)

    assert done.returncode == 2
    assert words in done.stderr


def test_nothing_new_is_nothing_to_fix(place: Place, tmp_path: Path) -> None:
    done = fix(place, project(tmp_path))

    assert (done.returncode, done.stdout) == (0, ""), command.told(done)
