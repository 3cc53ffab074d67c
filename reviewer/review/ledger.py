"""The ledger: every pass that was planned ran, or is explained by a finding, or is skipped with its reason.

Whatever is neither makes the verdict `error`. A pure function of a recording and its findings, so it holds for a
live review as for a saved recording, and for every way in which a rehearsal can go wrong that nobody has thought
of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import CANNOT_BE_BELIEVED, GIVE_SETTINGS
from reviewer.recording import (
    Direction,
    Failure,
    FailureKind,
    Location,
    Mode,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Revision,
    Skipped,
)
from reviewer.review import failures
from reviewer.review.finding import Finding
from reviewer.review.verdict import TreeReport
from reviewer.sql.names import listed

Asked = Callable[[str, str], bool]
"""Whether a rule, by its id, is asked about the file of that path."""

_NAMED = 3
"""So many passes are named one by one."""

_AGAIN = "Run the review again; if the problem persists, save a recording with --save-recording, which shows what happened."


class Planned(Struct, frozen=True):
    """A pass that a recording must contain."""

    revision: Revision
    direction: Direction
    rehearsal: Rehearsal

    def fits(self, ran: Pass) -> bool:
        """Whether `ran` is that pass."""
        key = (ran.revision, ran.direction, ran.rehearsal)
        return key == (self.revision.id, self.direction, self.rehearsal)

    def __str__(self) -> str:
        alone = " by itself" if self.rehearsal is Rehearsal.STEPWISE and self.direction is Direction.UPGRADE else ""
        return f"{_NAMES[self.direction]} of revision {self.revision.id}{alone}"


_NAMES = {
    Direction.UPGRADE: "upgrade",
    Direction.DOWNGRADE: "downgrade",
    Direction.UPGRADE_AGAIN: "second upgrade",
}


def planned(recording: Recording) -> Iterator[Planned]:
    """What has to be run of the new revisions, in the way that the recording was made."""
    for revision in recording.revisions:
        yield Planned(revision, Direction.UPGRADE, Rehearsal.DEPLOYED)
        if recording.mode is Mode.STATIC:
            yield Planned(revision, Direction.DOWNGRADE, Rehearsal.DEPLOYED)
            continue
        if len(recording.revisions) > 1:  # the deploy of one revision is its step too
            yield Planned(revision, Direction.UPGRADE, Rehearsal.STEPWISE)
        yield Planned(revision, Direction.DOWNGRADE, Rehearsal.STEPWISE)
        yield Planned(revision, Direction.UPGRADE_AGAIN, Rehearsal.STEPWISE)


def settled(
    report: TreeReport, asked: Asked, reporters: Mapping[Direction, str], dropped: Sequence[Finding] = ()
) -> TreeReport:
    """`report` with what no finding explains: as an error, or as skipped where the user does not ask for it.

    The findings of `report` are all that are reported, including suppressed ones: the person who suppresses one has
    read it. `dropped` are those that the configuration leaves out for single files; `reporters` are the rules that
    report failed passes.
    """
    recording = report.recording
    told = _subjects(report.findings)
    hidden = {about: each.rule for each in dropped for about in (each.about, *each.stands_for)}
    by_id = {revision.id: revision for revision in recording.revisions}
    skipped: list[Skipped] = []
    faults: dict[tuple[str, Location | None], list[Pass]] = {}
    for ran in recording.passes:
        if ran.outcome is not Outcome.FAILED or _accepted(ran, recording) or _explained(ran, told, recording):
            continue
        rule = hidden.get(failures.about(ran)) or reporters[ran.direction]
        revision = by_id.get(ran.revision)
        path = revision.path if revision else ""
        if failures.is_the_revisions(ran) and (failures.about(ran) in hidden or not asked(rule, path)):
            reason = f"it fails, and {rule}, which would report it, is not selected: {failures.words(ran)}"
            skipped.append(Skipped(f"{_NAMES[ran.direction]} of revision {ran.revision}", reason))
            continue
        faults.setdefault(_fault(ran), []).append(ran)
    errors = (*map(_told, faults.values()), *_lost(recording))
    return replace(
        report,
        recording=replace(
            recording,
            errors=tuple(dict.fromkeys((*recording.errors, *errors))),
            skipped=tuple(dict.fromkeys((*recording.skipped, *skipped))),
        ),
    )


def _subjects(findings: Iterable[Finding]) -> frozenset[tuple[str, ...]]:
    """What `findings` are about, and what those were that they replace."""
    return frozenset(about for each in findings for about in (each.about, *each.stands_for))


def _accepted(failed: Pass, recording: Recording) -> bool:
    """Whether the failure is what was wanted: a way back that is refused on purpose, or that nobody goes, which the
    label `irreversible` says; or what could not be rendered and is reported as such.
    """
    refused = failed.direction is Direction.DOWNGRADE and failures.on_purpose(failed)
    return refused or (failed.direction is not Direction.UPGRADE and failed.revision in recording.one_way)


def _explained(failed: Pass, told: Collection[tuple[str, ...]], recording: Recording) -> bool:
    failure = failed.failure
    message = _message(failure)
    if message and any(message in error for error in recording.errors):  # the review ended there, and says why
        return True
    if failure is not None and failure.kind is FailureKind.UNREADABLE:
        return any(error.startswith(CANNOT_BE_BELIEVED) for error in recording.errors)
    if failure is None or not failures.is_the_revisions(failed):
        return False
    if failures.about(failed) in told:
        return True
    alike = (each for each in recording.passes if each.failure is not None and each.failure.cause == failure.cause)
    return failure.cause is not None and any(failures.about(each) in told for each in alike)


def _message(failure: Failure | None) -> str:
    return failure.message.strip().rstrip(".") if failure else ""


def _fault(failed: Pass) -> tuple[str, Location | None]:
    failure = failed.failure
    return (failure.message, failure.seen_at) if failure else ("", None)


def _told(failed: Sequence[Pass]) -> str:
    """One fault, and every pass that ended with it."""
    first = failed[0]
    names = listed(list(dict.fromkeys(f"the {_NAMES[p.direction]} of {p.revision}" for p in failed)), _NAMED)
    failure = first.failure
    if failure is None:
        return f"Not reviewed: {names} failed for an unknown reason.\n{_AGAIN}"
    message = _message(failure)
    where = f" at {failure.seen_at}" if failure.seen_at else ""
    if failures.is_the_revisions(first):
        return f"{names[0].upper()}{names[1:]} failed{where}, which no finding explains: {message}.\n{_AGAIN}"
    if failure.kind in {FailureKind.UNREADABLE, FailureKind.REVIEWER}:
        return f"Not reviewed: {names} could not be observed to the end: {message}.\n{_AGAIN}"
    who = "env.py failed" if failure.outside or failure.location is None else "A file that it loads failed"
    return f"{who}{where}, so {names} could not be run: {message}.\n{GIVE_SETTINGS}"


def _lost(recording: Recording) -> Iterator[str]:
    """What was planned and is not there at all, or was left out without a word."""
    if recording.errors:  # they say where the review ended; what would have followed is not there
        return
    whole = {each.what for each in recording.skipped}
    missing: list[str] = []
    silent: list[str] = []
    for each in planned(recording):
        ran = [found for found in recording.passes if each.fits(found)]
        if any(found.outcome is not Outcome.SKIPPED for found in ran) or (
            ran and all(found.reason for found in ran)
        ):
            continue
        if f"revision {each.revision.id}" in whole:
            continue
        (silent if ran else missing).append(str(each))
    for names, what in (
        (missing, "planned, but without a result"),
        (silent, "skipped without a reason"),
    ):
        if names:
            yield f"Not reviewed: {listed([f'the {name}' for name in names], _NAMED)}: {what}.\n{_AGAIN}"
