"""Every check is held to what its own module says, on a live server. A new check never touches this file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

import checks
from reviewer.recording import Direction, Observation, Recording, Rehearsal
from reviewer.report.markdown import prose
from reviewer.review.engine import review
from reviewer.review.finding import Basis, Finding, Severity
from reviewer.review.rule import SECTIONS, Check, Example
from reviewer.sql.locks import LockMode
from tests import conformance, examples, remedied
from tests.examples import Bench, Story, together

CHECKS = checks.load()
VERSION = conformance.chosen()
EXAMPLES = [
    pytest.param(c, e, id=f"{c.RULE.id}: {e.title}", marks=together(VERSION, c)) for c in CHECKS for e in c.EXAMPLES
]
BAD = [
    pytest.param(c, e, id=f"{c.RULE.id}: {e.title}", marks=together(VERSION, c))
    for c in CHECKS
    for e in c.EXAMPLES
    if any("# flagged" in body for body in (e.upgrade, e.downgrade or "", *e.then, *e.beside))
]

every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.RULE.id)
every_example = pytest.mark.parametrize(("check", "example"), EXAMPLES)
every_bad_example = pytest.mark.parametrize(("check", "example"), BAD)


@pytest.fixture
def bench(bench_of: Callable[[int], Bench]) -> Bench:
    return bench_of(VERSION)


def record(bench: Bench, example: Example) -> Recording:
    if bench.major < example.since:
        pytest.skip(f"PostgreSQL {example.since} is the first that can run it")
    recording = bench.record(Story.of(example))
    assert recording.errors == ()
    return recording


def by(check: Check, recording: Recording) -> list[Finding]:
    return [finding for finding in review(recording, CHECKS).findings if finding.rule == check.RULE.id]


@every_example
def test_flags_the_lines_it_says_and_no_other(check: Check, example: Example, bench: Bench) -> None:
    recording = record(bench, example)

    found = [finding for finding in bench.findings(recording) if finding.rule == check.RULE.id]

    assert examples.places(found) == examples.flagged(example, recording)
    # a sentence with anything in it that GitHub could take for more than words is shown as code from end to end
    assert [f.message for f in found if re.match("`+ ", prose(f.message))] == []


@every_bad_example
def test_claims_what_the_server_does(check: Check, example: Example, bench: Bench) -> None:
    recording = record(bench, example)

    found = by(check, recording)

    rule = check.RULE
    for finding in found:
        each = observation(finding, recording)
        if each is None:
            continue
        if rule.lock is not None and each.transaction is not None:
            assert rule.lock in taken(each)
        assert each.rewritten or not rule.rewrites
        whole = each.scanned or each.rewritten or each.built or examples.row_by_row(finding, recording)
        assert whole or not rule.scans


@every_bad_example
def test_remedies_lead_to_the_same_end_while_old_code_goes_on_and_are_not_flagged_themselves(
    check: Check, example: Example, bench: Bench
) -> None:
    recording = record(bench, example)

    found = [each for each in by(check, recording) if each.remedy]

    assert [each for f in found for each in remedied.faults(bench, Story.of(example), f, recording)] == []


@every_example
def test_without_a_server_is_no_more_certain_than_text_allows(check: Check, example: Example, bench: Bench) -> None:
    recording = record(bench, example)

    found = by(check, examples.without_server(recording))

    errors = [finding for finding in found if finding.severity is Severity.ERROR]
    assert {f.basis for f in found} <= {Basis.PARSED, Basis.COMPARED}
    assert set(examples.places(errors)) <= set(examples.flagged(example, recording))


@pytest.mark.parametrize(
    "example", [pytest.param(each.values[1], id=each.id, marks=each.marks) for each in EXAMPLES]
)
def test_one_text_is_judged_as_its_commands_are(example: Example, bench: Bench) -> None:
    """Not where a statement fails: of a text that fails nothing stays, and nobody says which command it was."""
    recording = record(bench, example)
    texts = examples.in_one_text(recording)
    if texts is None:
        return

    joined = bench.record(replace(Story.of(example), new=texts))

    assert essence(review(joined, CHECKS).findings) == essence(review(recording, CHECKS).findings)


@every_check
def test_file_is_named_after_the_rule(check: Check) -> None:
    assert check.__name__ == "checks." + check.RULE.id.replace("-", "_")


@every_check
def test_shows_a_bad_and_a_good_migration(check: Check) -> None:
    bad = [e for c, e in (parameters.values for parameters in BAD) if c is check]

    if check.RULE.needs:
        assert not bad
        assert check.EXAMPLES
    else:
        assert 0 < len(bad) < len(check.EXAMPLES)


@every_check
def test_documents_every_section(check: Check) -> None:
    lines = (check.__doc__ or "").strip().splitlines()

    assert [line for line in lines if line.startswith("## ")] == list(SECTIONS)
    assert not lines[0].startswith("#")


def essence(findings: Sequence[Finding]) -> Sequence[object]:
    return sorted((f.rule, f.severity.value, f.direction.value, f.revision or "", bool(f.remedy)) for f in findings)


def observation(finding: Finding, recording: Recording) -> Observation | None:
    """What the server did at the finding's statement as it is deployed, where it ran."""
    if finding.witness is None:
        return None
    run = recording.passes[finding.witness.place.run]
    deployed = run.rehearsal is Rehearsal.DEPLOYED and run.direction is Direction.UPGRADE
    return run.statements[finding.witness.place.statement].observation if deployed else None


def taken(observation: Observation) -> set[LockMode]:
    return {lock.mode for lock in observation.locks if not lock.relation.new}
