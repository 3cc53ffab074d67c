"""The comparison with other tools: its labels are what was measured, and its rules are the same for everybody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import peers, tools
from tests import cases

PRACTICE = json.loads(peers.PRACTICE.read_text(encoding="utf-8"))
PAGE = peers.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", PRACTICE, ids=lambda case: case["id"])
def test_a_label_is_what_was_measured(case: dict[str, object]) -> None:
    measured = case["measured"]
    assert isinstance(measured, dict)
    assert bool(measured["hazards"]) is (case["verdict"] == "unsafe")


def test_at_least_half_of_the_cases_are_safe_and_no_two_have_one_name() -> None:
    found = [*cases.load(), *cases.load(peers.PRACTICE)]

    assert 2 * sum(each.safe for each in found) >= len(found)
    assert len({each.id for each in found}) == len(found)


def test_the_page_has_every_case_and_every_tool_at_its_version() -> None:
    for tool in (peers.OURS, peers.STATIC, *peers.PEERS):
        assert f"| {tool.name} |" in PAGE or f"{tool.name} is not compared: " in PAGE
    for case in (*cases.load(), *cases.load(peers.PRACTICE)):
        assert f"| {case.id} {case.title} | {case.verdict} |" in PAGE


def test_every_tool_is_installed_at_one_version() -> None:
    for tool in peers.PEERS:
        version = tool.name.split(",")[0].split(" ")[1]
        assert any(each.endswith(version) for command in tool.install for each in command), tool.name


@pytest.mark.processes
def test_a_tool_that_cannot_be_installed_is_told_in_a_sentence(tmp_path: Path) -> None:
    tool = peers.Tool("nobody 1.0", "SQL", [[sys.executable, "-c", "raise SystemExit('no such package')"]])

    with pytest.raises(subprocess.CalledProcessError) as refusal:
        peers._installed(tool, tmp_path)

    assert tools.reason(refusal.value) == "it cannot be installed here (no such package)"


def test_habits_count_for_nobody_and_no_answer_is_never_right() -> None:
    safe, unsafe = (next(each for each in cases.load() if each.safe is wanted) for wanted in (True, False))

    assert peers._right(safe, peers._said(peers.OURS, {"endless-lock-wait"}))
    assert not peers._right(safe, peers._said(peers.OURS, {"endless-lock-wait"}), habits=True)
    assert not peers._right(unsafe, peers._said(peers.OURS, {"endless-lock-wait"}))
    assert peers._right(unsafe, peers._said(peers.OURS, {"blocking-index", "endless-lock-wait"}))
    for case in (safe, unsafe):
        assert not peers._right(case, peers._said(peers.OURS, {"blocking-index"}, "it could not read it"))


def test_linters_do_not_get_the_statements_of_alembic_itself() -> None:
    sql = "BEGIN;\n\n-- Running upgrade a -> b\n\nDROP TABLE t;\n\nUPDATE alembic_version SET version_num='b'\n WHERE x;\n\nCOMMIT;\n"

    assert peers._without_bookkeeping(sql) == "BEGIN;\n\n-- Running upgrade a -> b\n\nDROP TABLE t;\n\nCOMMIT;\n"
