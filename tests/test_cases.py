"""Every labelled case gets the verdict that a careful reviewer gave it, with what PostgreSQL did before their eyes."""

from __future__ import annotations

import pytest

from tests import cases


@pytest.fixture(name="bench")
def bench_of_cases(case_bench: cases.Bench) -> cases.Bench:
    return case_bench


@pytest.mark.parametrize("case", cases.load(), ids=lambda case: f"{case.id}: {case.title}")
def test_has_the_verdict_of_a_careful_reviewer(case: cases.Case, bench: cases.Bench) -> None:
    report = bench.review(case)

    said = [f"{f.severity.value} {f.rule}: {f.message}" for f in cases.loud(report.findings)]
    assert report.all_errors == ()
    assert case.judge(report.findings), f"{case.verdict}, and the review says: {said}"


@pytest.mark.parametrize("case", cases.load(), ids=lambda case: f"{case.id}: {case.title}")
def test_without_a_server_has_it_too_where_the_text_tells(case: cases.Case, bench: cases.Bench) -> None:
    report = bench.review(case, static=True)

    said = [f"{f.severity.value} {f.rule}: {f.message}" for f in cases.loud(report.findings)]
    if report.all_errors:  # told as what could not be reviewed, and nothing is made up instead
        assert all("can be rendered as SQL" in error for error in report.all_errors)
        assert said == []
    else:
        assert case.judge(report.findings), f"{case.verdict}, and the review says: {said}"
