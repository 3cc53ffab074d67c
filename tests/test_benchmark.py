"""The comparison with other tools: its labels are what was measured, and its rules are the same for everybody."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import flame, measuring, peers, published, speed, tools
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


# -- speed ------------------------------------------------------------------------------------------

LETTERS = [letter for row in speed.BENCHMARKS.values() for letter in row.letters.split()]


def _figure(value: float) -> measuring.Figure:
    return measuring.Figure("something", value, " s", 1.5, "two runs", "a2")


def test_every_target_in_the_documentation_is_measured_by_one_benchmark() -> None:
    targets = re.findall(
        r"^\| (\w+) \| ", flame.PAGE.read_text(encoding="utf-8").partition("## Targets")[2], re.MULTILINE
    )

    assert sorted(LETTERS) == sorted(targets)
    assert len({*LETTERS}) == len(LETTERS)


def test_the_help_of_speed_names_every_benchmark_and_every_target(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed._arguments(["--help"])

    said = capsys.readouterr().out
    for name, row in speed.BENCHMARKS.items():
        assert re.search(rf"^ +{name} +{row.letters}", said, re.MULTILINE), name


def test_a_target_stands_for_its_benchmark_which_runs_once() -> None:
    assert speed.wanted(["b", "history", "a2", "a"]) == ["history", "four"]
    assert speed.wanted([]) == [*speed.BENCHMARKS]


def test_a_figure_over_its_target_is_missed_and_makes_the_status_1() -> None:
    met, missed = _figure(1.5), _figure(1.51)

    assert str(met).startswith("ok     a2 something: 1.50 s (at most 1.5 s)")
    assert str(missed).startswith("MISSED a2 something: 1.51 s (at most 1.5 s)")
    assert (speed.status([met]), speed.status([met, missed])) == (0, 1)
    assert speed.summary([met, missed]) == "1 of 2 targets are met"


def test_what_is_left_out_is_told_and_what_does_not_work_makes_the_status_1() -> None:
    left_out, broken = measuring.LeftOut("a3", "needs a file"), measuring.LeftOut("d", "it ended", broken=True)

    assert speed.status([_figure(1), left_out]) == 0
    assert speed.status([_figure(1), broken]) == 1
    assert speed.summary([_figure(1), left_out, broken]) == "1 of 1 targets are met; left out: a3; broken: d"


def test_a_ratio_is_the_median_over_the_pairs_and_not_that_of_the_medians() -> None:
    assert measuring.ratio([1, 10, 100], [1, 100, 10]) == 1


@pytest.mark.parametrize(
    "text", ["[{", "{}", '[{"name": "x"}]', '[{"name": "x", "path": "y", "python": "z", "more": 1}]']
)
def test_a_file_that_does_not_describe_projects_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    file = tmp_path / "projects.json"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(SystemExit, match=r"projects\.json does not describe projects"):
        published.load(file)


def test_without_published_projects_their_target_is_left_out(tmp_path: Path) -> None:
    arguments = speed._arguments(["a3"])

    assert [str(each) for each in published.pull_requests(tmp_path, arguments)] == [
        "left out a3: needs --projects FILE"
    ]


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_is_that_of_the_process_and_not_of_what_it_starts() -> None:
    large = "b = bytearray(300 * 2**20); b[::4096] = b'x' * len(b[::4096])"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {large!r}])"
    slow = "; import time; time.sleep(0.1)"

    assert measuring.peak_megabytes([sys.executable, "-c", large + slow]) > 250
    assert measuring.peak_megabytes([sys.executable, "-c", nested]) < 100


def test_a_benchmark_whose_command_fails_is_told_with_the_last_thing_that_it_said() -> None:
    failed = measuring.Failed(
        ["alembic", "upgrade"], 1, "Traceback\nValueError: no\n\n(Background on this error at: x)\n"
    )

    assert failed.last == "ValueError: no"


RAW = """\
process 7:"python alembic-reviewer review";thread (7);main (x/reviewer/cli.py:1);_find (<frozen importlib._bootstrap>:1) 10
process 7:"python alembic-reviewer review";thread (7): MainThread;run (x/reviewer/session.py:2);judged (x/reviewer/session.py:3) 70
process 7:"python alembic-reviewer review";thread (7): MainThread;run (x/reviewer/session.py:2);select (selectors.py:3) 20
process 7:"python alembic-reviewer review";thread (9): Thread-1;worker (threading.py:2);wait (threading.py:3) 99
process 7:"python alembic-reviewer review";process 8:"python runner/in_environment.py 6";thread (8): MainThread;<module> (env.py:3);Connection.execute (base.py:3) 5
"""


def test_the_time_of_the_reviewer_is_told_by_what_its_main_thread_does() -> None:
    told = [*flame.table([*flame.read(RAW)], 2.0)]

    assert "| loading our own code | 0.20 | 10% |" in told
    assert "| judging | 1.40 | 70% |" in told
    assert "| together | 2.00 | |" in told
    assert "| statements | 0.10 |" in told


def test_the_picture_stands_alone_and_leaves_out_what_only_waits() -> None:
    picture = flame.drawn([*flame.read(RAW)], 2.0)

    words = [
        "".join(each.itertext())
        for each in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert any(each.startswith("alembic-reviewer MainThread: 2.0") for each in words), words
    assert any(each.startswith("the project's interpreter") for each in words)
    assert not any("Thread-1" in each for each in words)
    assert "<script" not in picture
    assert not re.search(r"(?:href|src|url)", picture)
