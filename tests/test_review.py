"""What the review makes of many findings; the checks themselves are tested from their own examples."""

from __future__ import annotations

import checks
from reviewer.recording import Direction
from reviewer.review.engine import review
from reviewer.review.rule import Example
from tests.examples import Bench, Story


def test_a_line_that_runs_many_times_is_told_once_and_how_often_it_was_so(bench: Bench) -> None:
    loop = Example(
        "rows one by one, under a lock",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, age integer)")
        op.execute("CREATE TABLE states (id bigint)")
        """,
        upgrade="""
        op.execute("ALTER TABLE states ADD COLUMN age integer")
        for age in range(12):
            op.execute(f"SELECT count(*) FROM users WHERE age = {age}")
        """,
    )

    findings = [
        finding
        for finding in review(bench.record(Story.of(loop)), checks.load()).findings
        if finding.rule == "work-under-lock"
    ]

    assert len(findings) == 1
    assert findings[0].evidence["times"] == 12


def test_a_statement_about_what_is_not_there_has_failed_and_nothing_else(bench: Bench) -> None:
    missing = Example(
        "drops what nobody has made",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
        """,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.drop_table("people")
        """,
    )

    findings = review(bench.record(Story.of(missing)), checks.load()).findings

    assert {finding.rule for finding in findings if "people" in finding.message} == {"failing-upgrade"}


def test_a_downgrade_destroys_nothing_that_is_not_there(bench: Bench) -> None:
    wrong = Example(
        "drops the column of another table",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
        op.execute("CREATE TABLE jobs (id bigint PRIMARY KEY)")
        """,
        upgrade="""
        op.add_column("jobs", sa.Column("beat", sa.Integer()))
        """,
        downgrade="""
        op.drop_column("users", "beat")
        """,
    )

    findings = review(bench.record(Story.of(wrong)), checks.load()).findings

    assert [finding.rule for finding in findings if finding.direction is Direction.DOWNGRADE] == [
        "failing-downgrade"
    ]
