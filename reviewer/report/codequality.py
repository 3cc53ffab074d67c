"""GitLab's code quality report: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format."""

from __future__ import annotations

import hashlib

from reviewer.recording import Location
from reviewer.report import inert
from reviewer.report.digest import digest
from reviewer.report.fingerprint import fingerprints
from reviewer.review.finding import Severity
from reviewer.review.verdict import Report

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.NOTICE: "info"}


def render(report: Report) -> str:
    """The active findings of `report`, as GitLab shows them on a merge request, after what was not reviewed."""
    revisions = [revision for tree in report.trees for revision in tree.recording.revisions]
    fallback = next(
        (Location(revision.path, revision.upgrade_line or 1) for revision in revisions), Location(".", 1)
    )
    shown = [each for tree in report.trees for each in digest(tree).all_findings]
    incomplete = [
        {
            "description": inert.sentence(f"The review is not complete: {error}"),
            "check_name": "incomplete-review",
            "fingerprint": hashlib.sha256(error.encode("utf-8", "backslashreplace")).hexdigest()[:16],
            "severity": "blocker",
            "location": {"path": fallback.path, "lines": {"begin": fallback.line or 1}},
        }
        for error in dict.fromkeys(report.all_errors)
    ]
    return inert.json_text(
        incomplete
        + [
            {
                "description": inert.sentence(each.finding.message),
                "check_name": each.finding.rule,
                "fingerprint": fingerprint,
                "severity": _SEVERITIES[each.finding.severity],
                "location": {
                    "path": place.path,
                    "lines": {"begin": max(place.line, 1)},
                },
            }
            for each, fingerprint in fingerprints(shown)
            for place in [each.finding.location or fallback]
        ]
    )
