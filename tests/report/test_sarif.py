"""SARIF and GitLab's code quality: what their readers ask for."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from reviewer.report import codequality, sarif
from reviewer.review.verdict import Report
from tests.report import reports
from tests.report.example_check import CHECK

every_report = pytest.mark.parametrize("report", reports.REPORTS.values(), ids=reports.REPORTS.keys())
CHECKS = {CHECK.RULE.id: CHECK}


def run(report: Report) -> dict[str, Any]:
    """The one run of the log."""
    (found,) = json.loads(sarif.render(report, CHECKS))["runs"]
    return dict(found)


@every_report
def test_every_rule_has_all_that_github_asks_for(report: Report) -> None:
    for rule in run(report)["tool"]["driver"]["rules"]:
        assert rule["shortDescription"]["text"].endswith(".")
        assert rule["fullDescription"]["text"].endswith(".")
        assert rule["help"]["text"]
        assert rule["help"]["markdown"]
        assert rule["properties"]["problem.severity"] in {"error", "warning", "recommendation"}


@every_report
def test_every_result_has_its_rule_a_relative_place_and_a_fingerprint(report: Report) -> None:
    found = run(report)
    rules = [rule["id"] for rule in found["tool"]["driver"]["rules"]]

    for result in found["results"]:
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", uri)
        assert not uri.startswith("/")
        assert location["physicalLocation"]["region"]["startLine"] >= 1
        assert re.fullmatch(r"[0-9a-f]{16}:\d+", result["partialFingerprints"]["primaryLocationLineHash"])


def test_the_documentation_of_a_rule_is_the_one_of_its_check() -> None:
    rule = next(r for r in run(reports.TYPICAL)["tool"]["driver"]["rules"] if r["id"] == CHECK.RULE.id)

    assert rule["fullDescription"]["text"] == (
        "A foreign key is checked against every row while writes to both tables wait."
    )
    assert rule["help"]["markdown"].startswith("## Why it hurts\n")


def test_a_suppressed_finding_is_there_with_its_reason() -> None:
    (suppressed,) = [result for result in run(reports.TYPICAL)["results"] if "suppressions" in result]

    assert suppressed["ruleId"] == "dropped-column"
    assert suppressed["suppressions"][0]["kind"] == "inSource"
    assert suppressed["suppressions"][0]["justification"] == "unmapped since release 41, exported to the archive"


def test_what_could_not_be_reviewed_is_a_run_without_success() -> None:
    (invocation,) = run(reports.ERROR)["invocations"]

    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["level"] == "error"


def _moved(report: Report) -> Report:
    tree = report.trees[0]
    findings = tuple(
        replace(f, location=replace(f.location, line=f.location.line + 7) if f.location else None)
        for f in reversed(tree.findings)
    )
    return replace(report, trees=(replace(tree, findings=findings),))


def test_fingerprints_survive_moved_lines_and_another_order() -> None:
    def prints(report: Report) -> dict[str, str]:
        return {r["ruleId"]: r["partialFingerprints"]["primaryLocationLineHash"] for r in run(report)["results"]}

    assert prints(_moved(reports.TYPICAL)) == prints(reports.TYPICAL)


def test_findings_that_are_alike_are_told_apart() -> None:
    tree = replace(reports.TYPICAL.trees[0], findings=(reports.BLOCKING_INDEX, reports.BLOCKING_INDEX))

    found = run(replace(reports.TYPICAL, trees=(tree,)))["results"]

    assert len({result["partialFingerprints"]["primaryLocationLineHash"] for result in found}) == 2


def test_a_message_holds_no_link_and_no_placeholder() -> None:
    message = run(reports.HOSTILE)["results"][0]["message"]["text"]

    assert not re.search(r"(?<!\\)\[", message)
    assert not re.search(r"(?<!\\)\]", message)


@every_report
def test_gitlab_gets_each_finding_with_a_fingerprint_of_its_own(report: Report) -> None:
    found = json.loads(codequality.render(report))

    assert len(found) == len(report.findings) + len(report.all_errors)
    assert len({each["fingerprint"] for each in found}) == len(found)
    for each in found:
        assert set(each) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert each["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert each["location"]["lines"]["begin"] >= 1
