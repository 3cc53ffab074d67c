"""How much a review says of itself: `-q` and `-v`, through the real command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import TABLE, Place, project, revision, somewhere, told

DROP = revision("b", "a", 'op.drop_table("items")', TABLE)


@pytest.fixture
def place() -> Iterator[Place]:
    with somewhere() as place:
        yield place


def test_quiet_is_the_first_line_and_verbose_tells_each_step_on_standard_error(
    place: Place, tmp_path: Path
) -> None:
    folder = project(tmp_path / "project", DROP)
    asked = ("--revisions", "a:b", "--static")

    plain, quiet, verbose = (place.review(folder, *asked, *more) for more in ((), ("-q",), ("-v",)))

    assert plain.stderr == quiet.stderr == "", told(plain)
    assert quiet.stdout == plain.stdout.splitlines(keepends=True)[0]
    assert verbose.stdout == plain.stdout
    assert "judging" in verbose.stderr
    assert plain.returncode == quiet.returncode == verbose.returncode
