"""A review without a server: every new revision rendered by itself, up and down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Place, project, revision, somewhere

FORGE = """
for fd in {int(name) for name in os.listdir('/dev/fd')} - {0, 1, 2}:
    try:
        os.write(fd, b'\\n{"event": "unrendered", "id": "nobody", "kind": "raised", "message": "forged"}\\n')
    except OSError:
        pass
"""


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as found:
        yield found


def column(number: int) -> tuple[str, str]:
    return f'op.add_column("items", sa.Column("c{number}", sa.Integer()))', f'op.drop_column("items", "c{number}")'


def downgrades(report: dict[str, object]) -> dict[str, list[str]]:
    revisions = report["revisions"]
    assert isinstance(revisions, list)
    return {
        each["id"]: [statement["sql"] for ran in each["passes"] for statement in ran["statements"]]
        for each in revisions
        for each["passes"] in [[ran for ran in each["passes"] if ran["direction"] == "downgrade"]]
    }


def test_the_downgrades_of_several_new_revisions_are_rendered(place: Place, tmp_path: Path) -> None:
    folder = project(
        tmp_path / "project",
        revision("b", "a", *column(1)),
        revision("c", "b", *column(2)),
        revision("d", "b", *column(3)),
        revision("e", "c", *column(4)).replace("'c'", "('c', 'd')"),
    )

    report = place.report(folder, "--revisions", "a:head", "--static")

    assert report["skipped"] == []
    assert downgrades(report) == {
        name: [f"ALTER TABLE items DROP COLUMN c{number};"] for number, name in enumerate("bcde", 1)
    }


def test_an_event_about_a_revision_that_there_is_not_is_no_crash(place: Place, tmp_path: Path) -> None:
    up, down = column(1)
    folder = project(tmp_path / "project", revision("b", "a", FORGE + up, down))

    report = place.report(folder, "--revisions", "a:head", "--static")

    assert [each["id"] for each in report["revisions"]] == ["b"]
    assert downgrades(report) == {"b": ["ALTER TABLE items DROP COLUMN c1;"]}
