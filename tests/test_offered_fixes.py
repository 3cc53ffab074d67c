"""`review --fixes`: each finding with the diff of its own fix, rehearsed on the server of the review."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reviewer.config import Config, load
from reviewer.errors import UsageError
from reviewer.fix.offer import offer
from reviewer.project.discovery import ConfigFile
from reviewer.report import json as report_json
from reviewer.review.finding import Finding, TriedFix
from reviewer.session import review_project
from tests.command import INI, files_in, project, revision

QUICK = "op.execute(\"SET LOCAL lock_timeout = '5s'\")\n"
GIVEN = revision("a", None, 'op.execute("CREATE TABLE items (id int); CREATE TABLE notes (id int)")')
THREE_INDEXES = revision(
    "b",
    "a",
    QUICK + 'op.create_index("ix_1", "items", ["id"])\n'
    'op.create_index("ix_2", "notes", ["id"])\n'
    'op.create_index("ix_3", "items", [sa.text("(id + 1)")])',
    'op.drop_index("ix_3", "items")\nop.drop_index("ix_2", "notes")\nop.drop_index("ix_1", "items")',
)
BESIDE = revision(
    "c",
    "b",
    QUICK + 'op.add_column("items", sa.Column("x", sa.Integer()))\nop.create_index("ix_4", "items", ["x"])',
    'op.drop_index("ix_4", "items")\nop.drop_column("items", "x")',
)


@pytest.mark.usefixtures("lent")
def test_each_finding_has_the_fix_that_was_rehearsed_or_the_reason_why_there_is_none(tmp_path: Path) -> None:
    folder = project(tmp_path / "one", THREE_INDEXES, BESIDE)
    second = project(tmp_path / "one/second", THREE_INDEXES)
    (second / "alembic.ini").write_text(INI.format(url="postgresql+psycopg://"))
    for each in (folder, second):
        (each / "migrations/versions/a.py").write_text(GIVEN)
    before = files_in(folder)
    trees = (ConfigFile(folder / "alembic.ini", "first"), ConfigFile(second / "alembic.ini", "second"))
    config = Config(
        path=folder,
        revisions="a:head",
        configs=trees,
        rows=5,
        fixes=True,
        python=sys.executable,
        old_code=False,
        select=("blocking-index",),
    )

    report = report_json.load(report_json.render(review_project(config, os.environ, fixer=offer)))

    assert not report.all_errors
    assert files_in(folder) == before
    found = {
        (tree.recording.tree, each.revision, "notes" in each.message): each
        for tree in report.trees
        for each in tree.findings
    }
    for tree in ("first", "second"):
        items, notes = _fix(found[tree, "b", False]), _fix(found[tree, "b", True])
        assert (items.title.count("CONCURRENTLY"), _indexes(items.diff)) == (2, {"ix_1", "ix_3"})
        assert (notes.title.count("CONCURRENTLY"), _indexes(notes.diff)) == (1, {"ix_2"})
        for fix in (items, notes):
            check = ["git", "apply", "--check"]
            applied = subprocess.run(check, cwd=folder, input=fix.diff, text=True, capture_output=True, check=False)
            assert applied.returncode == 0, applied.stderr
    beside = _fix(found["first", "c", False])
    assert (beside.diff, beside.unsafe) == ("", True)
    assert "adds a revision" in beside.reason


def _indexes(diff: str) -> set[str]:
    """The indexes in lines that are removed."""
    return set(re.findall(r"(?m)^-.*_index\(\"(\w+)", diff))


def _fix(finding: Finding) -> TriedFix:
    assert finding.fix is not None
    return finding.fix


@pytest.mark.parametrize("beside", [{"static": True}, {"recording": Path("x.json")}, {"each": True}])
def test_fixes_are_refused_where_nothing_can_be_rehearsed(tmp_path: Path, beside: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--fixes rehearses"):
        load({"path": tmp_path, "fixes": True, **beside}, None)
