"""The documentation of a rule, and the list of all."""

from __future__ import annotations

import io
import json
import re

import pytest
from click.testing import CliRunner

import checks
from reviewer.cli import main
from reviewer.report import explain, rules
from reviewer.report.terminal import Terminal
from reviewer.review.rule import Check
from tests.report.example_check import CHECK

every_check = pytest.mark.parametrize("check", [CHECK, *checks.load()], ids=lambda check: check.RULE.id)


@every_check
def test_every_check_can_be_explained(check: Check) -> None:
    page = explain.page(check, Terminal())

    assert page.startswith(f"# {check.RULE.id}\n")
    assert "## Why it hurts\n" in page
    assert f"# reviewer: allow[{check.RULE.id}]" in page


@every_check
def test_a_terminal_gets_it_set_to_its_width(check: Check) -> None:
    page = re.sub(r"\x1b\[[0-9;]*m", "", explain.page(check, Terminal(70, "standard")))

    assert check.RULE.id in page
    assert [line for line in page.split("\n") if len(line) > 70] == []


def test_a_stream_that_is_no_terminal_gets_markdown() -> None:
    assert explain.render(CHECK, io.StringIO()) == explain.page(CHECK, Terminal())


@every_check
def test_a_program_gets_every_part_of_the_page(check: Check) -> None:
    page = explain.page(check, Terminal())

    parts = json.loads(explain.as_json(check))

    rule = check.RULE
    assert [parts[key] for key in ("id", "summary", "severity", "group")] == [
        rule.id,
        rule.summary,
        rule.severity.value,
        rule.group.value,
    ]
    for key in ("why", "instead", "not_flagged"):
        assert parts[key]
        assert parts[key] in page
    assert len(parts["references"]) == len(re.findall(r"<https?://[^>]+>", page.partition("## References")[2]))
    examples = parts["examples"]
    assert len(examples["bad"]) + len(examples["good"]) == len(check.EXAMPLES)
    assert all("# flagged" in json.dumps(each) for each in examples["bad"])
    assert "# flagged" not in json.dumps(examples["good"])


def test_explain_prints_json_where_it_is_asked_for() -> None:
    done = CliRunner().invoke(main, ["explain", "blocking-index", "--format", "json"])

    assert done.exit_code == 0
    assert json.loads(done.stdout) == json.loads(explain.as_json(checks.by_id()["blocking-index"]))


def test_the_list_has_one_line_for_each_rule() -> None:
    known = checks.load()
    lines = rules.as_text(known, Terminal()).splitlines()

    assert len([line for line in lines if re.match(r"  [a-z]", line)]) == len(known)


def test_the_list_can_be_read_by_programs() -> None:
    (rule,) = json.loads(rules.as_json([CHECK]))

    assert rule == {
        "id": "validating-foreign-key",
        "severity": "error",
        "group": "locking",
        "summary": "a foreign key reads the table while writes wait",
        "lock": "SHARE ROW EXCLUSIVE",
        "rewrites": False,
        "scans": True,
        "grows": True,
        "default": True,
        "since": "0.1.0",
    }


@pytest.mark.parametrize(
    ("name", "way_out"),
    [("bloking-index", "Did you mean `blocking-index`?"), ("foo", "`alembic-reviewer rules` lists them all.")],
    ids=["nearly one", "nothing like one"],
)
def test_a_rule_that_does_not_exist_is_refused_with_the_nearest_or_with_where_the_list_is(
    name: str, way_out: str
) -> None:
    done = CliRunner().invoke(main, ["explain", name])

    assert done.exit_code == 2
    assert done.stderr.split() == f"alembic-reviewer: There is no rule `{name}`. {way_out}".split()
