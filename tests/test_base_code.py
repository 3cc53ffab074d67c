"""The base state is built with the base commit's code, because that is what production has run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.branch import Branch
from tests.command import revision
from tests.repository import write

pytestmark = [pytest.mark.server, pytest.mark.processes]

TABLE = 'op.create_table("items", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))'
IMPORTS = "from shop import tables\n" + TABLE + "\nop.execute(f\"COMMENT ON TABLE items IS '{tables.COMMENT}'\")"
SHOP = {"shop/__init__.py": "", "shop/tables.py": 'COMMENT = "things"\n'}
NEW = 'op.add_column("items", sa.Column("size", sa.Integer))'


def test_a_branch_that_breaks_an_old_revision_is_told_so_and_its_new_ones_are_reviewed(tmp_path: Path) -> None:
    branch = Branch(tmp_path, IMPORTS, "", SHOP).adds(NEW)
    write(tmp_path, {"shop/tables.py": "REMARK = 'things'\n"})

    found = branch.review("--no-old-code")

    (finding,) = [each for each in found.report.findings if each.rule == "broken-old-revision"]
    assert finding.severity.value == "error"
    assert (
        "The revision `a`, which is deployed already, does not run with the code of this branch" in finding.message
    )
    assert "has no attribute 'COMMENT'" in finding.message
    assert finding.location is not None
    assert (finding.location.path, finding.location.line) == ("migrations/versions/a.py", 14)
    assert [each.outcome.value for each in found.recording.passes_of("b")][:1] == ["ok"]
    assert found.recording.errors == ()
    assert found.recording.base_origin.commit


def test_an_edited_old_revision_is_run_as_it_was(tmp_path: Path) -> None:
    branch = Branch(tmp_path, TABLE, "").adds(NEW)
    write(tmp_path, {"migrations/versions/a.py": revision("a", None, TABLE.replace("sa.Text", "sa.String(7)"))})

    found = branch.review("--no-old-code")

    (items,) = [table for table in found.recording.base.tables if table.name.name == "items"]
    assert [str(column.type) for column in items.columns] == ["integer", "text"]
    assert found.rules() == ["edited-revision"]


def test_a_branch_with_nothing_but_new_revisions_needs_no_other_code(tmp_path: Path) -> None:
    found = Branch(tmp_path, TABLE, "").adds(NEW).review("--no-old-code")

    assert found.recording.base_origin.commit == ""
    assert found.recording.base_origin.kind == "history"


def test_where_the_base_commit_cannot_be_run_the_working_tree_is_and_that_is_said(tmp_path: Path) -> None:
    env = "open('settings.json')\n"
    branch = Branch(
        tmp_path,
        TABLE,
        "",
        {
            "models.py": "import sqlalchemy as sa\nfrom sqlalchemy import orm\n"
            + env
            + "Base = orm.declarative_base()\n"
        },
    )
    branch.adds(NEW).with_models("")
    write(tmp_path, {"settings.json": "{}"})

    found = branch.review("--no-old-code")

    assert found.recording.base_origin.commit == ""
    assert "the history with the code of the base commit" in found.skipped
    assert "settings.json" in found.skipped
    assert [each.outcome.value for each in found.recording.passes_of("b")][:1] == ["ok"]


def test_a_branch_that_mends_an_old_revision_is_reviewed(tmp_path: Path) -> None:
    broken = TABLE + '\nraise RuntimeError("not here")'
    branch = Branch(tmp_path, broken, "").adds(NEW)
    write(tmp_path, {"migrations/versions/a.py": revision("a", None, TABLE)})

    found = branch.review("--no-old-code")

    assert found.recording.errors == ()
    assert "broken-old-revision" not in found.rules()
    assert "not here" in found.skipped
