"""What the configuration file says of single revisions and tables changes what is found."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import warm

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
EMPTY_DOWNGRADE, ENUM_LEFT_BEHIND = "d7410fe5b9a8", "f10d47b3c8e6"


def reviewed(folder: Path, settings: str) -> dict[str, Any]:
    """The report of examples/authors with more lines in its configuration file."""
    project = folder / "authors"
    shutil.copytree(ROOT / "examples" / "authors", project)
    with (project / "alembic-reviewer.toml").open("a") as file:
        file.write(f"\n{settings}\n")
    arguments = ["review", ".", "--python", sys.executable, "--format", "json"]
    done = warm.run(arguments, project, warm.environment())
    assert done.returncode in {0, 1}, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def ways_back(report: dict[str, Any], revision: str) -> list[str]:
    """Rules that speak about the way back over a revision."""
    return [f["rule"] for f in report["findings"] if f["revision"] == revision and f["direction"] != "upgrade"]


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        ('one-way-revisions = ["d7410fe5b9a8"]', {EMPTY_DOWNGRADE}),
        ('floor-revision = "f10d47b3c8e6"', {ENUM_LEFT_BEHIND, "2a6f9c1de583"}),
    ],
)
def test_nothing_is_said_of_a_way_back_that_nobody_goes(settings: str, accepted: set[str], tmp_path: Path) -> None:
    report = reviewed(tmp_path, settings)

    labels = {each["id"]: each["rollback"] for each in report["revisions"]}
    assert {each for each, label in labels.items() if label == "irreversible"} == accepted
    for revision in (EMPTY_DOWNGRADE, ENUM_LEFT_BEHIND):
        assert bool(ways_back(report, revision)) == (revision not in accepted)


def test_a_warning_about_a_lock_on_a_hot_table_is_an_error(tmp_path: Path) -> None:
    report = reviewed(tmp_path, 'hot-tables = ["authors"]')

    waits = {f["severity"] for f in report["findings"] if f["rule"] == "endless-lock-wait"}
    assert waits == {"error"}


def test_a_hot_table_that_nobody_has_is_reported(tmp_path: Path) -> None:
    report = reviewed(tmp_path, 'hot-tables = ["public.authors", "autors", "app.authors"]')

    named = [each["what"] for each in report["skipped"] if each["what"].startswith("hot table")]
    assert named == ["hot table autors", "hot table app.authors"]
