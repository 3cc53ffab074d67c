"""What is said first: whether it may run with traffic on, who waits longest, and the point of no return."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reviewer.recording import Direction
from reviewer.release.model import Hold, May, Order, Sequence, Timeline, Verdict, WayBack, When
from reviewer.review.finding import Severity
from reviewer.review.verdict import Report
from reviewer.sql.names import listed

_REASONS = 5


def verdict(
    report: Report,
    timeline: Timeline,
    sequence: Sequence,
    way_back: tuple[WayBack, ...],
    breaking: Collection[str] = (),
) -> Verdict:
    """The verdict on a release of which these are the parts. `breaking`: the rules about the running code, which is
    gone when a revision runs that must come after the new one.
    """
    if not any(tree.recording.revisions for tree in report.trees):
        return Verdict(May.NOTHING)
    may, reasons = _may(report, timeline, sequence, breaking)
    return Verdict(
        may,
        reasons,
        _longest(hold for hold in timeline.holds if hold.blocks_reads),
        _longest(hold for hold in timeline.holds if hold.blocks_writes),
        next((each for each in way_back if each.final), None),
    )


def _longest(holds: Iterable[Hold]) -> Hold | None:
    return max(holds, key=lambda hold: hold.duration.rank, default=None)


def _may(
    report: Report, timeline: Timeline, sequence: Sequence, breaking: Collection[str]
) -> tuple[May, tuple[str, ...]]:
    told = sorted(report.findings, key=lambda each: -each.severity.rank)
    back = [each for each in told if each.direction is Direction.DOWNGRADE and each.severity is not Severity.NOTICE]
    after = [each.revision.id for each in sequence.orders if each.when is When.AFTER] if sequence.stages else []
    gone = [each for each in told if each.rule in breaking and each.revision in after]
    told = [each for each in told if each.direction is Direction.UPGRADE and each not in gone]
    errors = [each for each in told if each.severity is Severity.ERROR]
    warnings = [each for each in told if each.severity is Severity.WARNING]
    reasons = [" ".join(error.split("\n")) for error in report.all_errors]
    fails = bool(timeline.failed) and not timeline.doubtful
    if fails:
        reasons.append(f"the upgrade of `{timeline.failed}` fails in the rehearsal")
    reasons += [each.message for each in (errors or warnings)[:_REASONS]]
    left = len(errors or warnings) - _REASONS
    if left > 0:
        reasons.append(f"and {left} more {'errors' if errors else 'warnings'}")
    if gone:
        late = listed(list(dict.fromkeys(each.revision or "" for each in gone)))
        reasons.append(f"only in the order below: the old code does not survive {late}")
    if timeline.failed and not fails:
        reasons.append(
            f"the upgrade of `{timeline.failed}` fails on generated rows: check whether yours are similar"
        )
    if back and not errors:
        reasons.append(f"the way back has {len(back)} {'finding' if len(back) == 1 else 'findings'}")
    disagreeing = [each.revision.id for each in sequence.orders if each.disagrees]
    if sequence.conflict:
        reasons.append(sequence.conflict)
    if disagreeing:
        reasons.append(f"the order that is declared is not the one that was measured: {listed(disagreeing)}")
    if errors or fails or any(each.when is When.SPLIT for each in sequence.orders):
        return May.NO, tuple(dict.fromkeys(reasons))
    if report.all_errors:
        return May.UNKNOWN, tuple(dict.fromkeys(reasons))
    care = (
        warnings
        or back
        or timeline.failed
        or sequence.conflict
        or disagreeing
        or any(_at_its_side(each) for each in sequence.orders)
    )
    return (May.WITH_CARE if care else May.YES), tuple(dict.fromkeys(reasons))


def _at_its_side(each: Order) -> bool:
    """Whether it must run on one side of the code and its author says nothing: the person who deploys has to know."""
    return each.when is When.AFTER
