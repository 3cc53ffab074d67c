"""Every pass that was planned ran, is explained by a finding, or is skipped with its reason; else the verdict is
`error`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import checks
from reviewer.config import Config, PathSettings
from reviewer.judging import comments_in, judged
from reviewer.recording import (
    Direction,
    Failure,
    FailureKind,
    Location,
    Mode,
    Moment,
    Outcome,
    Pass,
    Recording,
    Revision,
    Skipped,
    dumps,
    loads,
)
from reviewer.report import json as report_json
from reviewer.review.finding import Severity
from reviewer.review.ledger import Planned, planned
from reviewer.review.verdict import Report, Verdict

ENV = Location("m/env.py", 8)
REPORTERS = {check.RULE.reports_failed: check.RULE.id for check in checks.load() if check.RULE.reports_failed}
BOOM = "RuntimeError: boom"


def revisions(number: int) -> tuple[Revision, ...]:
    ids = "abc"[:number]
    return tuple(
        Revision(each, (ids[n - 1],) if n else ("base",), f"m/versions/{each}.py", upgrade_line=5, downgrade_line=9)
        for n, each in enumerate(ids)
    )


def recording(number: int = 1, mode: Mode = Mode.OBSERVED) -> Recording:
    """One in which everything went well."""
    found = Recording("0", mode, revisions(number))
    return replace(found, passes=tuple(ran(each) for each in planned(found)))


def ran(each: Planned, outcome: Outcome = Outcome.OK, failure: Failure | None = None, reason: str = "") -> Pass:
    return Pass(each.revision.id, each.direction, each.rehearsal, outcome, failure=failure, reason=reason or None)


def with_failure(found: Recording, failure: Failure | None, *directions: Direction) -> Recording:
    return replace(
        found,
        passes=tuple(
            replace(each, outcome=Outcome.FAILED, failure=failure) if each.direction in directions else each
            for each in found.passes
        ),
    )


def report(found: Recording, config: Config | None = None) -> Report:
    return judged(config or Config(path=Path("/nowhere")), [found], {})


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("number", [1, 3])
def test_where_every_pass_ran_nothing_is_said(number: int, mode: Mode) -> None:
    found = report(recording(number, mode))

    assert found.all_errors == ()
    assert found.verdict is Verdict.PASS


@pytest.mark.parametrize("direction", Direction)
def test_a_pass_that_is_not_there_is_an_error_that_names_it(direction: Direction) -> None:
    whole = recording(2)
    lost = next(each for each in whole.passes if each.direction is direction and each.revision == "b")

    found = report(replace(whole, passes=tuple(each for each in whole.passes if each is not lost)))

    assert found.verdict is Verdict.ERROR
    assert "of revision b" in found.all_errors[0]
    assert "without a result" in found.all_errors[0]


def test_a_pass_that_is_skipped_without_a_reason_is_an_error() -> None:
    whole = recording()
    *passes, again = whole.passes

    silent = report(replace(whole, passes=(*passes, replace(again, outcome=Outcome.SKIPPED))))
    told = report(replace(whole, passes=(*passes, replace(again, outcome=Outcome.SKIPPED, reason="it is late"))))

    assert "the second upgrade of revision a: skipped without a reason" in silent.all_errors[0]
    assert told.all_errors == ()


def test_a_revision_that_is_skipped_as_a_whole_needs_no_passes() -> None:
    found = replace(recording(), passes=(), skipped=(Skipped("revision a", "the state before it is not reached"),))

    assert report(found).all_errors == ()


def test_what_env_py_raises_before_a_revision_is_an_error_at_its_line_and_told_once() -> None:
    failure = Failure(FailureKind.ENVIRONMENT, BOOM, moment=Moment.BEFORE, outside=ENV)

    found = report(with_failure(recording(2), failure, Direction.DOWNGRADE))

    assert found.verdict is Verdict.ERROR
    assert found.findings == ()
    assert [error.split("\n")[0] for error in found.all_errors] == [
        "env.py failed at m/env.py:8, so the downgrade of a and the downgrade of b could not be run:"
        " RuntimeError: boom."
    ]


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("kind", [FailureKind.ENVIRONMENT, FailureKind.IMPORT, FailureKind.EXITED])
def test_what_env_py_raises_after_the_revisions_is_one_finding_at_the_function(
    kind: FailureKind, direction: Direction
) -> None:
    failure = Failure(kind, BOOM, moment=Moment.AFTER, outside=ENV)

    found = report(with_failure(recording(2), failure, direction))

    assert found.all_errors == ()
    assert [(each.rule, each.location) for each in found.findings] == [
        (REPORTERS[direction], Location("m/versions/a.py", 9 if direction is Direction.DOWNGRADE else 5))
    ]
    assert "m/env.py:8" in found.findings[0].message
    assert BOOM in found.findings[0].message


def test_revisions_that_fail_in_the_same_words_by_their_own_doing_are_told_each() -> None:
    failure = Failure(FailureKind.STATEMENT, "no", sqlstate="23503", moment=Moment.AFTER, outside=ENV)

    found = report(with_failure(recording(2), failure, Direction.DOWNGRADE))

    assert [(each.rule, each.revision) for each in found.findings] == [
        ("failing-downgrade", "a"),
        ("failing-downgrade", "b"),
    ]


def test_what_a_listener_raises_in_a_statement_is_told_at_the_line_that_sent_it() -> None:
    line = Location("m/versions/a.py", 7)
    failure = Failure(FailureKind.ENVIRONMENT, BOOM, line, outside=ENV)

    found = report(with_failure(recording(), failure, Direction.UPGRADE))

    assert [(each.rule, each.location) for each in found.findings] == [("failing-upgrade", line)]


@pytest.mark.parametrize("direction", Direction)
def test_what_could_not_be_read_of_a_pass_is_an_error_and_no_fault_of_the_revision(direction: Direction) -> None:
    found = report(with_failure(recording(), Failure(FailureKind.UNREADABLE, "half a line came"), direction))

    assert found.verdict is Verdict.ERROR
    assert found.findings == ()
    assert "half a line came" in found.all_errors[0]


def test_a_failure_that_is_nobodys_is_an_error() -> None:
    found = report(with_failure(recording(), None, Direction.DOWNGRADE))

    assert found.verdict is Verdict.ERROR
    assert "the downgrade of a failed for an unknown reason" in found.all_errors[0]


@pytest.mark.parametrize(
    "config",
    [
        Config(path=Path("/nowhere"), ignore=("failing-downgrade",)),
        Config(path=Path("/nowhere"), select=("blocking-index",)),
        Config(path=Path("/nowhere"), paths=(PathSettings("m/versions/*", ignore=("failing-downgrade",)),)),
    ],
)
def test_who_does_not_ask_for_the_rule_reads_of_the_failure_among_what_was_skipped(config: Config) -> None:
    failure = Failure(FailureKind.RAISED, BOOM, Location("m/versions/a.py", 10))

    found = report(with_failure(recording(), failure, Direction.DOWNGRADE), config)

    assert found.verdict is Verdict.PASS
    assert [each.what for each in found.all_skipped] == ["downgrade of revision a"]
    assert "failing-downgrade" in found.all_skipped[0].reason
    assert BOOM in found.all_skipped[0].reason


def test_one_rule_reports_the_failed_passes_of_each_direction() -> None:
    reporting = [check.RULE.reports_failed for check in checks.load() if check.RULE.reports_failed]

    assert sorted(reporting, key=str) == sorted(Direction, key=str)


def test_no_rule_is_asked_whether_env_py_works() -> None:
    failure = Failure(FailureKind.ENVIRONMENT, BOOM, moment=Moment.BEFORE, outside=ENV)
    config = Config(path=Path("/nowhere"), ignore=tuple(REPORTERS.values()))

    found = report(with_failure(recording(), failure, Direction.DOWNGRADE), config)

    assert found.verdict is Verdict.ERROR


def test_a_suppressed_finding_explains(tmp_path: Path) -> None:
    file = tmp_path / "m" / "versions" / "a.py"
    file.parent.mkdir(parents=True)
    lines = ["pass"] * 8 + ["def downgrade():  # reviewer: allow[failing-downgrade] nobody goes back"]
    file.write_text("\n".join(lines))
    failure = Failure(FailureKind.EXITED, "it ended the process with status 3")
    failed = with_failure(recording(), failure, Direction.DOWNGRADE)

    found = judged(Config(path=tmp_path), [failed], {"": comments_in(tmp_path, failed)})

    assert [each.rule for each in found.suppressed] == ["failing-downgrade"]
    assert found.all_errors == ()
    assert found.verdict is Verdict.PASS


def test_a_way_back_that_is_refused_or_that_nobody_goes_needs_no_finding() -> None:
    refusal = Failure(
        FailureKind.RAISED, "NotImplementedError: no", Location("m/versions/a.py", 10), deliberate=True
    )
    broken = replace(refusal, deliberate=False)

    refused = report(with_failure(recording(), refusal, Direction.DOWNGRADE))
    one_way = report(replace(with_failure(recording(), broken, Direction.DOWNGRADE), one_way=("a",)))
    again = report(with_failure(recording(), refusal, Direction.UPGRADE_AGAIN))

    assert refused.verdict is one_way.verdict is Verdict.PASS
    assert [each.rule for each in again.findings] == ["failing-second-upgrade"]


@pytest.mark.parametrize("moment", Moment)
def test_what_is_known_of_a_failure_survives_a_recording_and_a_json_report(moment: Moment) -> None:
    failure = Failure(FailureKind.ENVIRONMENT, BOOM, Location("m/versions/a.py", 7), moment=moment, outside=ENV)
    failed = with_failure(recording(), failure, Direction.UPGRADE)

    (again,) = loads(dumps([failed]))
    told = report_json.load(report_json.render(report(failed)))

    assert again == failed
    assert told.trees[0].recording.passes[0].failure == failure


failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    st.sampled_from([BOOM, "KeyError: 'x'", "relation does not exist"]),
    st.sampled_from([None, Location("m/versions/a.py", 6)]),
    deliberate=st.booleans(),
    moment=st.sampled_from(Moment),
    outside=st.sampled_from([None, ENV, Location("m/env.py", 20)]),
)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    found = Recording("0", draw(st.sampled_from(Mode)), revisions(draw(st.integers(1, 3))))
    passes = []
    for each in planned(found):
        for rows in draw(st.sampled_from([(True,), (True,), (True, False), ()])):
            outcome = draw(st.sampled_from([Outcome.OK, Outcome.OK, *Outcome]))
            failure = draw(st.none() | failures) if outcome is Outcome.FAILED else None
            reason = draw(st.sampled_from(["", "its upgrade failed"])) if outcome is Outcome.SKIPPED else ""
            passes.append(replace(ran(each, outcome, failure, reason), rows=rows))
    return replace(found, passes=tuple(passes), one_way=draw(st.sampled_from([(), ("a",)])))


configs = st.builds(
    Config,
    path=st.just(Path("/nowhere")),
    ignore=st.lists(st.sampled_from(sorted(REPORTERS.values())), unique=True).map(tuple),
    fail_on=st.sampled_from([None, Severity.ERROR]),
)


@settings(max_examples=150, deadline=None)
@given(recordings(), configs)
def test_no_recording_with_an_unexplained_pass_is_green(found: Recording, config: Config) -> None:
    said = report(found, config)
    if said.verdict not in {Verdict.PASS, Verdict.WARN}:
        return
    words = [each.message for each in said.findings] + [each.reason for each in said.all_skipped]
    for wanted in planned(found):
        there = [each for each in found.passes if wanted.fits(each)]
        assert there
        for each in there:
            back = each.direction is not Direction.UPGRADE
            refused = each.direction is Direction.DOWNGRADE and each.failure is not None and each.failure.deliberate
            if each.outcome is Outcome.SKIPPED:
                assert each.reason or any(other.outcome is not Outcome.SKIPPED for other in there)
            elif each.outcome is Outcome.FAILED and not refused and not (back and each.revision in found.one_way):
                assert each.failure is not None
                told = any(each.failure.message in text for text in words)
                named = any(f.revision == each.revision and f.rule in REPORTERS.values() for f in said.findings)
                assert told or named
