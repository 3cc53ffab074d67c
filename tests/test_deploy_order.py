"""A review of a branch says which revisions go out before its code and which after."""

from __future__ import annotations

from pathlib import Path

import pytest

import checks
from reviewer.report import render
from tests.branch import Branch

pytestmark = pytest.mark.processes

GIVEN = """op.create_table("users", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(80)),
    sa.Column("fax", sa.String(80)))"""
MODELS = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(80))
    {column} = sa.Column(sa.String(80))
"""
ADDS = ('op.add_column("users", sa.Column("phone", sa.String(80)))', 'op.drop_column("users", "phone")')
DROPS = ('op.drop_column("users", "fax")', 'op.add_column("users", sa.Column("fax", sa.String(80)))')


def test_what_the_new_code_needs_goes_first_and_what_the_old_code_uses_goes_last_in_every_format(
    tmp_path: Path,
) -> None:
    branch = Branch(tmp_path, GIVEN, MODELS.format(column="fax"))
    branch.adds(*ADDS).adds(*DROPS).with_models(MODELS.format(column="phone"))

    report = branch.review().report

    assert report.trees[0].order == "`b`, then the code, then `c`"
    shown = {form: render(form, report, checks.by_id) for form in ("text", "markdown", "html", "json")}
    assert "deploy order: `b`, then the code, then `c`" in shown["text"]
    assert "Deploy order: `b`, then the code, then `c`." in shown["markdown"]
    assert "Deploy order: <code>b</code>, then the code, then <code>c</code>." in shown["html"]
    assert '"deploy_order": "`b`, then the code, then `c`"' in shown["json"]


def test_there_is_no_order_where_the_branch_changes_no_code(tmp_path: Path) -> None:
    assert Branch(tmp_path, GIVEN, MODELS.format(column="fax")).adds(*ADDS).review().report.trees[0].order == ""


def test_the_order_is_known_where_a_revision_runs_only_together_with_the_one_before_it(tmp_path: Path) -> None:
    branch = Branch(tmp_path, GIVEN, MODELS.format(column="fax"))
    branch.adds("op.execute(\"SET app.ready = 'yes'\")", "pass")
    branch.adds(
        """op.execute("SELECT CAST(current_setting('app.ready') AS boolean)")
op.add_column("users", sa.Column("phone", sa.String(80)))""",
        ADDS[1],
    )
    branch.adds(*DROPS).with_models(MODELS.format(column="phone"))

    report = branch.review().report

    assert report.trees[0].order == "`b` and `c`, then the code, then `d`"
    assert not [each for each in report.trees[0].recording.skipped if "new code" in each.what]
