"""SARIF 2.1.0, for code scanning. https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html

Held to what GitHub asks for besides: every rule with full description and help, every result with one place,
fingerprints.
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from reviewer.recording import Location
from reviewer.report import inert, pages
from reviewer.report.digest import Shown, TreeDigest, digest, show
from reviewer.report.fingerprint import fingerprints
from reviewer.review.finding import Finding, Severity
from reviewer.review.rule import Check
from reviewer.review.verdict import Report

MOST_RESULTS = 5_000
"""GitHub shows 5,000 results of a run, and rejects 25,000."""

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}
_PROBLEMS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "recommendation"}

Node = dict[str, Any]


def render(report: Report, checks: Mapping[str, Check]) -> str:
    """`report` as a SARIF log; `checks` by rule id give the rules their documentation."""
    every = [shown for tree in report.trees for shown in _all(digest(tree))]
    every.sort(key=lambda shown: -shown.finding.severity.rank)
    results = every[:MOST_RESULTS]
    rules = sorted({shown.finding.rule for shown in results})
    index = {rule: n for n, rule in enumerate(rules)}
    driver = {
        "name": "alembic-reviewer",
        "version": report.tool,
        "semanticVersion": report.tool,
        "informationUri": pages.HOME,
        "rules": [_rule(rule, checks.get(rule), results) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report, len(every) - len(results))],
        "results": [_result(shown, print_, index, report) for shown, print_ in fingerprints(results)],
    }
    return inert.json_text(
        {
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [run],
        }
    )


def _all(tree: TreeDigest) -> list[Shown]:
    return [show(finding, tree.tree.recording) for finding in tree.tree.findings]


def _rule(rule: str, check: Check | None, results: Sequence[Shown]) -> Node:
    if check:
        severity, summary = check.RULE.severity, check.RULE.summary
        documentation, tags = (check.__doc__ or summary).strip(), ["migration", check.RULE.group.value]
    else:
        severity = next(shown.finding.severity for shown in results if shown.finding.rule == rule)
        summary = f"{inert.name(rule).replace('-', ' ')}"
        documentation, tags = f"{summary}\n\nSee `alembic-reviewer explain {inert.name(rule)}`.", ["migration"]
    first, _, rest = documentation.partition("\n\n")
    page = pages.of_rule(rule)
    return {
        "id": rule,
        **({"helpUri": page} if page else {}),
        "name": "".join(word.capitalize() for word in rule.split("-")),
        "shortDescription": {"text": _ended(summary)},
        "fullDescription": {"text": _ended(" ".join(first.split()))},
        "help": {"text": documentation, "markdown": rest or documentation},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"tags": tags, "precision": "high", "problem.severity": _PROBLEMS[severity]},
    }


def _ended(sentence: str) -> str:
    """SARIF requires sentences that begin with a capital letter and end with a full stop."""
    return sentence[:1].upper() + sentence[1:].rstrip(".") + "."


def _invocation(report: Report, left_out: int) -> Node:
    said = [_notification("error", inert.sentence(error)) for error in report.all_errors]
    said += [
        _notification("note", f"Skipped {inert.sentence(each.what)}: {inert.sentence(each.reason)}")
        for each in report.all_skipped
    ]
    if left_out:
        said.append(_notification("warning", f"{left_out:,} more findings are not in this file."))
    return {"executionSuccessful": not report.all_errors, "toolExecutionNotifications": said}


def _notification(level: str, text: str) -> Node:
    return {"level": level, "message": {"text": _ended(text)}}


def _result(shown: Shown, fingerprint: str, index: Mapping[str, int], report: Report) -> Node:
    finding = shown.finding
    result: Node = {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": _message(shown)},
        "locations": [_location(place)] if (place := finding.location or _somewhere(finding, report)) else [],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
        "properties": {
            "revision": finding.revision,
            "direction": finding.direction.value,
            "basis": finding.basis.value,
            "evidence": inert.json_value(finding.evidence),
            "remedy": list(finding.remedy),
        },
    }
    if finding.suppressed:
        comment = finding.location and replace(finding.location, line=finding.suppressed.line)
        result["suppressions"] = [
            {
                "kind": "inSource",
                "justification": inert.sentence(finding.suppressed.reason),
                **({"location": _location(comment)} if comment else {}),
            }
        ]
    return result


def _message(shown: Shown) -> str:
    """Plain text: SARIF reads `[text](n)` as a link and `{0}` as a placeholder."""
    facts = "".join(f"\n{inert.sentence(fact)}" for fact in shown.facts)
    text = inert.sentence(shown.finding.message) + facts
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")


def _location(location: Location) -> Node:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(inert.spelled(location.path)), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": max(location.line, 1)},
        }
    }


def _somewhere(finding: Finding, report: Report) -> Location | None:
    """GitHub drops a result without a place: what concerns the whole history points at a new revision."""
    revisions = [revision for tree in report.trees for revision in tree.recording.revisions]
    own = [revision for revision in revisions if revision.id == finding.revision]
    return next((Location(revision.path, revision.upgrade_line or 1) for revision in own + revisions), None)
