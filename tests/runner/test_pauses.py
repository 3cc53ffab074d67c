"""How long revisions sleep is seen, in which line, and after which statement."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reviewer.recording import Statement
from tests.command import revision
from tests.runner.conftest import Project


def statements(project: Project) -> tuple[Statement, ...]:
    return project.run(do="upgrade", to=["b"]).passes[-1].statements


@pytest.mark.parametrize(
    ("top", "sleeps"),
    [("import time", "time.sleep(0.2)"), ("from time import sleep", "sleep(0.2)"), ("import time", "pause()")],
)
def test_a_pause_belongs_to_the_statement_before_it(make: Callable[..., Project], top: str, sleeps: str) -> None:
    top += "\n\ndef pause():\n    time.sleep(0.2)\n" if "pause" in sleeps else ""
    body = f'op.execute("SELECT 1")\n{sleeps}\nop.execute("SELECT 2")'
    found = {each.sql: each.slept for each in statements(make(revision("b", "a", body, top=top)))}

    (slept,) = found["SELECT 1"]
    assert 0.2 <= slept.seconds < 5
    assert slept.location.line > 0
    assert found["SELECT 2"] == ()


def test_of_a_loop_that_sleeps_all_the_time_a_part_is_told(make: Callable[..., Project]) -> None:
    body = 'op.execute("SELECT 1")\nfor _ in range(1000):\n    time.sleep(0)'
    found = {each.sql: each.slept for each in statements(make(revision("b", "a", body, top="import time")))}

    assert len(found["SELECT 1"]) == 100


def test_what_sleeps_outside_of_a_revision_is_not_told(make: Callable[..., Project]) -> None:
    project = make(revision("b", "a", 'op.execute("SELECT 1")'))
    env = project.folder / "migrations" / "env.py"
    env.write_text("import time\ntime.sleep(0.01)\n" + env.read_text())

    assert [each for each in statements(project) if each.slept] == []
