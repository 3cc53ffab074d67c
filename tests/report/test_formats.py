"""What holds for every format."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from itertools import product

import pytest
from msgspec.structs import replace

import checks
from reviewer import report as formats
from reviewer.recording import Location, Skipped
from reviewer.report import json as report_json
from reviewer.review.finding import Severity
from reviewer.review.verdict import Report
from tests.report import reports

every_format = pytest.mark.parametrize("form", formats.FORMATS)
every_report = pytest.mark.parametrize("report", reports.REPORTS.values(), ids=reports.REPORTS.keys())


@every_format
@every_report
def test_the_same_report_gives_the_same_text(form: str, report: Report) -> None:
    assert formats.render(form, report, checks.by_id) == formats.render(form, report, checks.by_id)


@every_format
@every_report
def test_can_be_made_from_the_json_report(form: str, report: Report) -> None:
    read = report_json.load(report_json.render(report))

    assert formats.render(form, read, checks.by_id) == formats.render(form, report, checks.by_id)


@every_format
@every_report
def test_gives_a_job_no_command_but_annotations(form: str, report: Report) -> None:
    page = formats.render(form, report, checks.by_id)
    commands = [line for line in page.splitlines() if line.lstrip().startswith("::")]

    assert "##[" not in page
    assert [line for line in commands if not line.startswith(("::error ", "::warning ", "::notice "))] == []
    assert form == "annotations" or commands == []


@every_format
@every_report
def test_shows_nothing_invisible(form: str, report: Report) -> None:
    page = formats.render(form, report, checks.by_id)

    assert [
        line for line in page.split("\n") if not line.replace("\N{VARIATION SELECTOR-16}", "").isprintable()
    ] == []


@every_format
def test_ten_megabytes_of_sql_stay_readable(form: str) -> None:
    page = formats.render(form, reports.VAST, checks.by_id)

    assert form == "json" or len(page) < 100_000


@every_format
def test_can_be_written_where_the_encoding_knows_no_more_than_ascii(form: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    stream.write(formats.render(form, reports.HOSTILE, checks.by_id, stream))


@pytest.mark.processes
def test_a_format_is_loaded_when_it_is_used() -> None:
    code = (
        "import sys, reviewer.report; print(*[name for name in sys.modules if name.startswith('reviewer.report.')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "\n"


def test_every_finding_and_every_error_is_in_every_format() -> None:
    tree = reports.TYPICAL.trees[0]
    findings = tuple(
        replace(
            finding,
            rule=f"rule-{n}",
            about=(str(n),),
            severity=severity,
            location=Location("a.py", n),
            suppressed=None,
        )
        for n, (finding, severity) in enumerate(product(tree.findings * 4, Severity))
    )
    errors = tuple(f"A review needs part {n} of it." for n in range(12))
    skipped = tuple(Skipped(f"pass {n} of it", f"that reason {n} of it") for n in range(12))
    recording = replace(tree.recording, errors=errors, skipped=skipped)
    report = replace(reports.TYPICAL, trees=(replace(tree, findings=findings, recording=recording),))

    pages = {form: formats.render(form, report, checks.by_id).replace("%0A", "\n") for form in formats.FORMATS}

    assert len(findings) == 60
    for form, page in pages.items():
        assert [f.rule for f in findings if not re.search(rf"\b{f.rule}\b", page)] == [], form
        assert [error for error in errors if error.rstrip(".") not in page] == [], form
    for form, page in pages.items():
        if form not in {"annotations", "codequality"}:  # they are about lines of files
            assert [s.reason for s in skipped if s.reason not in page] == [], form
