"""Checks of other packages are found by their entry points, and are like the built-in ones to everybody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reviewer.host import toml
from reviewer.review.rule import SECTIONS

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "custom_check"
RULE = "table-without-created-at"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder like site-packages, with the example as an installer leaves it there."""
    described = toml.loads((EXAMPLE / "pyproject.toml").read_bytes())["project"]
    shutil.copytree(EXAMPLE / "house_rules", tmp_path / "house_rules", ignore=shutil.ignore_patterns("__pycache__"))
    information = tmp_path / f"house_rules-{described['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n"
    )
    lines = []
    for group, entries in described["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in entries.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(installed: Path, *arguments: str) -> str:
    start = f"import sys; sys.path.insert(0, {str(installed)!r}); from alembic_reviewer import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def test_it_is_listed_and_explained(installed: Path) -> None:
    listed = json.loads(run(installed, "rules", "--format", "json"))
    page = run(installed, "explain", RULE)

    assert RULE in {rule["id"] for rule in listed}
    assert [line for line in page.splitlines() if line in SECTIONS] == list(SECTIONS)


def test_it_is_asked_in_a_review(installed: Path) -> None:
    report = json.loads(
        run(
            installed,
            *("review", "examples/docchat", "--revisions", "base:head", "--select", RULE, "--static"),
            *("--python", sys.executable, "--format", "json"),
        )
    )

    assert {finding["rule"] for finding in report["findings"]} == {RULE}
    assert all(finding["message"].endswith("has no column `created_at`.") for finding in report["findings"])


def test_its_own_examples_are_judged_as_they_say(installed: Path) -> None:
    program = (
        "import checks\n"
        "from tests import examples\n"
        "from reviewer.review.engine import review\n"
        f"check = checks.by_id()[{RULE!r}]\n"
        "with examples.bench() as bench:\n"
        "    for example in check.EXAMPLES:\n"
        "        recording = bench.record(examples.Story.of(example))\n"
        "        found = examples.places(review(recording, [check]).findings)\n"
        "        assert found == examples.flagged(example, recording), example.title\n"
        "        print(example.title)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        ["a table that does not say when", "a table that says when"],
    ), done.stderr


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("import nowhere_at_all\n", 1, "ModuleNotFoundError: No module named 'nowhere_at_all'."),
        ("RULE = 1\n", None, "AttributeError: 'int' object has no attribute 'id'."),
        ("def check(subject, context):\n    return undefined\n", 2, "NameError: name 'undefined' is not defined."),
    ],
    ids=["an import that fails", "no check", "a mistake in it"],
)
def test_one_that_fails_is_named_with_its_file_and_is_no_bug_of_the_reviewer(
    text: str, line: int | None, why: str, installed: Path
) -> None:
    file = installed / "house_rules" / "table_without_created_at.py"
    broken = f"{file.read_text()}\n\n{text}" if text.startswith("def ") else text
    file.write_text(broken)
    start = f"import sys; sys.path.insert(0, {str(installed)!r}); from alembic_reviewer import main; main()"
    more = ("--revisions", "base:head", "--static", "--python", sys.executable)

    done = subprocess.run(
        [sys.executable, "-c", start, "review", "examples/docchat", *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    where = f" at {file}:{broken.count(chr(10)) if line == 2 else line}" if line else ""
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"alembic-reviewer: The check `house_rules.table_without_created_at` fails{where}: {why}",
        "Correct it, or uninstall the package that brings it: `house_rules`.",
    ]


def test_one_that_cannot_be_loaded_is_no_traceback_of_the_imports_in_the_background(installed: Path) -> None:
    (installed / "house_rules" / "table_without_created_at.py").write_text("raise ValueError('broken')\n")
    program = f"""
import sys, threading
sys.path.insert(0, {str(installed)!r})
from reviewer.session import prepare_the_rest
prepare_the_rest()
for each in threading.enumerate():
    if each is not threading.current_thread():
        each.join()
assert "checks.renamed_column" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stderr == ""
