"""Every example and remedy of every check on a real server: on the oldest and the newest supported major version where
the rule claims something of the server, on the newest where it does not. `scripts/conformance.py` tries all on all.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import checks
from reviewer.review.rule import Check, Example
from tests import conformance, majors
from tests.conformance import PAGE, Trial
from tests.examples import Bench, Story, together

TRIALS = [
    pytest.param(
        major, check, example, id=f"{major}: {check.RULE.id}: {example.title}", marks=together(major, check)
    )
    for check in checks.load()
    for major in conformance.in_the_tests(check.RULE)
    for example in check.EXAMPLES
]
REFUSED = [
    pytest.param(major, check, id=f"{major}: {check.RULE.id}", marks=together(major, check))
    for check in checks.load()
    if check.RULE.sqlstate
    for major in conformance.in_the_tests(check.RULE)
]
BOUNDARY = majors.MAJORS.index(18)
ADVICE = [
    ("scanning-not-null", "with nothing that proves it", r"NOT NULL \w+ NOT VALID"),
    ("rewriting-generated-column", "stored", r"\bVIRTUAL\b"),
    (
        "validating-foreign-key",
        "on a partitioned table, where NOT VALID is supported from PostgreSQL 18 on",
        r"postgresql_not_valid=True",
    ),
]


@pytest.mark.conformance
@pytest.mark.parametrize(("major", "check", "example"), TRIALS)
def test_the_server_does_what_the_rule_claims(
    major: int, check: Check, example: Example, bench_of: Callable[[int], Bench]
) -> None:
    trial = conformance.try_out(bench_of(major), check, example, every_remedy=major == majors.MAJORS[-1])

    if not trial.ran:
        pytest.skip(f"PostgreSQL {example.since} is the first that can run it")
    assert trial.differences == ()
    assert not unwritten(trial), "`python3 scripts/conformance.py` writes what was seen into docs/conformance.md"


@pytest.mark.conformance
@pytest.mark.parametrize(("major", "check"), REFUSED)
def test_the_server_refuses_as_the_rule_claims(major: int, check: Check, bench_of: Callable[[int], Bench]) -> None:
    trials = [
        conformance.try_out(bench_of(major), check, example, every_remedy=major == majors.MAJORS[-1])
        for example in check.EXAMPLES
    ]

    assert conformance.missing_refusals(trials) == []


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("major", "rule", "title", "words"),
    [
        pytest.param(major, *advice, id=f"{major}: {advice[0]}", marks=together(major, checks.by_id()[advice[0]]))
        for advice in ADVICE
        for major in (majors.MAJORS[BOUNDARY - 1], majors.MAJORS[BOUNDARY])
    ],
)
def test_advises_what_is_new_only_where_it_works(
    major: int, rule: str, title: str, words: str, bench_of: Callable[[int], Bench]
) -> None:
    check = checks.by_id()[rule]
    (example,) = (example for example in check.EXAMPLES if example.title == title)
    bench = bench_of(major)

    found = [f for f in bench.findings(bench.record(Story.of(example))) if f.rule == rule]

    assert [any(re.search(words, body) for body in finding.remedy) for finding in found] == [major >= 18]


def test_the_page_has_every_rule_on_every_version() -> None:
    table = written()

    assert set(table) == {check.RULE.id for check in checks.load()}, (
        "`python3 scripts/conformance.py --rule RULE` writes the row of a new rule"
    )
    assert {len(cells) for cells in table.values()} == {len(majors.ALL)}
    assert "No differences." in PAGE.read_text(encoding="utf-8")


def written() -> dict[str, dict[int, str]]:
    """The cells of docs/conformance.md by rule and major version."""
    table = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| `([\w-]+)` \| ([^|]*) \|(.*)\|", line)
        if row:
            cells = [cell.strip() for cell in row[3].split("|")]
            newest = next(cell for cell in reversed(cells) if cell != conformance.NOT_TRIED)
            table[row[1]] = {m: newest if c == "=" else c for m, c in zip(majors.ALL, cells, strict=True)}
    return table


def unwritten(trial: Trial) -> set[str]:
    """What was seen and is not on the page."""
    return set(trial.seen if trial.bad else ()) - set(
        written().get(trial.rule, {}).get(trial.major, "").split("; ")
    )
