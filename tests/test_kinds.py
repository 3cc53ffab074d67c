"""The suite knows what each test needs, and keeps every core busy to the end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import kinds


def test_a_server_is_processes_too() -> None:
    assert kinds.needs({"bench", "tmp_path"}) == ("server", "processes")
    assert kinds.needs({"place"}) == ("processes",)
    assert kinds.needs({"tmp_path", "monkeypatch"}) == ()


def test_what_waits_for_processes_runs_first_and_small_groups_of_pure_tests_last() -> None:
    tests = [
        ("names", True),
        ("rule", False),
        ("parser", True),
        ("one review", False),
        ("parser", True),
        ("rule", False),
    ]

    assert [tests[n][0] for n in kinds.ordered(tests)] == [
        "rule",
        "rule",
        "one review",
        "parser",
        "parser",
        "names",
    ]


def test_a_group_with_one_test_that_needs_processes_is_no_pure_group() -> None:
    assert kinds.ordered([("pure", True), ("mixed", True), ("mixed", False)]) == [1, 2, 0]


def test_a_test_without_a_marker_starts_no_process() -> None:
    with pytest.raises(RuntimeError, match=r"pytest\.mark\.processes"):
        subprocess.run([sys.executable, "-c", ""], check=False)


def test_the_suite_is_in_that_order(request: pytest.FixtureRequest) -> None:
    groups = [
        (each.get_closest_marker("xdist_group").args[0], each.get_closest_marker("processes") is None)  # type: ignore[union-attr]
        for each in request.session.items
    ]

    assert kinds.ordered(groups) == list(range(len(groups)))
