"""A release from the review of its revisions."""

from __future__ import annotations

from collections.abc import Collection

from reviewer.release import order, plan, timeline, verdict, way_back
from reviewer.release.model import Release
from reviewer.review.verdict import Report
from reviewer.stats.sizes import Production


def build(
    report: Report,
    start: str,
    end: str,
    *,
    production: Production | None = None,
    breaking: Collection[str] = (),
    notes: tuple[str, ...] = (),
) -> Release:
    """The release from `start` to `end`, both in words, of which `report` is the review of the one tree. `breaking`: the
    rules about the running code.
    """
    (tree,) = report.trees
    recording = tree.recording
    ran = timeline.timeline(recording, production, tree.durations)
    sequence = order.sequence(recording, tree.findings, breaking)
    back = way_back.way_back(recording, production, tree.durations)
    return Release(
        start=start,
        end=end,
        report=report,
        verdict=verdict.verdict(report, ran, sequence, back, breaking),
        timeline=ran,
        sequence=sequence,
        way_back=back,
        plan=plan.plan(report, recording, ran, sequence),
        notes=notes,
        code=recording.old_code.commit,
    )
