"""The small projects say what tests need to know of them, and say it of lines that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reviewer.host import toml
from reviewer.recording import Direction, FailureKind

PROJECTS = sorted(path.parent for path in (Path(__file__).parent / "projects").glob("*/project.toml"))

KINDS = {kind.value for kind in FailureKind}
OUTCOMES = {"ok", "skipped", "ProjectError", *KINDS}
DIRECTIONS = {direction.value for direction in Direction}

every_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)


def described(project: Path) -> dict[str, Any]:
    return toml.loads((project / "project.toml").read_bytes())


def places(project: Path) -> list[str]:
    expect = described(project)["expect"]
    return [each.rsplit(" @ ", 1)[1] for each in expect.get("statements", [])] + [
        each
        for each in [expect.get("at")]
        if each not in {None, "None"}  # a failure may be of no line
    ]


@every_project
def test_says_what_it_shows_and_what_is_new(project: Path) -> None:
    told = described(project)

    assert told["title"]
    assert told["habit"] == "bad" or told["habit"] in range(1, 19)
    assert ":" in told["revisions"]
    assert told["new"]


@every_project
def test_expects_an_outcome_that_there_is(project: Path) -> None:
    expect = described(project)["expect"]

    assert expect["outcome"] in OUTCOMES
    assert expect.get("direction", "upgrade") in DIRECTIONS
    assert (expect.get("kind") in KINDS) == (expect["outcome"] == "skipped")


@every_project
def test_names_lines_that_exist(project: Path) -> None:
    for place in places(project):
        path, line = place.rsplit(":", 1)

        assert (project / path).read_text().splitlines()[int(line) - 1].strip(), place


def test_there_is_a_project_for_each_habit() -> None:
    habits = {described(project)["habit"] for project in PROJECTS}

    assert habits == {"bad", *range(1, 19)}
