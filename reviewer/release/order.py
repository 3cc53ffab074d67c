"""When each revision is to run: before the new code, after it, either, or in parts.

Four cells decide: the old and the new code, each on the schema of the other side. Where the old code could not be tried,
what the rules say of it counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from reviewer.recording import UNTOUCHED, Broken, Direction, NewCode, OldCode, Recording, Revision
from reviewer.release.model import Cell, Order, Sequence, Stage, When
from reviewer.review.finding import Finding, Severity
from reviewer.sql.names import Name, listed

_NAMED = 5
_NO_VALUE = "23502"
"""The SQLSTATE of a NULL where the schema asks for a value."""
_OLD, _NEW = "the old code", "the new code"


def sequence(recording: Recording, findings: Iterable[Finding], breaking: Collection[str]) -> Sequence:
    """When each revision is to run, and what follows for the deploy. `breaking`: the rules about the running code."""
    told = [each for each in findings if each.suppressed is None and each.direction is Direction.UPGRADE]
    orders = tuple(_order(revision, recording, told, breaking) for revision in recording.revisions)
    return replace(_staged(orders), untried=_untried(recording))


def in_short(recording: Recording, findings: Iterable[Finding], breaking: Collection[str]) -> str:
    """The order as a phrase; empty if every revision may run on either side of the code, or if one of the two codes
    was not tried.
    """
    found = sequence(recording, findings, breaking)
    if found.untried or all(each.when in {When.EITHER, When.UNKNOWN} for each in found.orders):
        return ""
    if found.conflict:
        return found.conflict.rstrip(".")
    steps = [
        "the code" if stage.what == "code" else listed([f"`{each}`" for each in stage.revisions], _NAMED)
        for stage in found.stages
    ]
    return ", then ".join(steps)


def _order(
    revision: Revision, recording: Recording, findings: Iterable[Finding], breaking: Collection[str]
) -> Order:
    own = [each for each in findings if each.revision == revision.id]
    by_rules = [each for each in own if each.rule in breaking and each.severity is not Severity.NOTICE]
    old, why_old = _old(revision, recording, by_rules)
    new, why_new = _new(revision, recording)
    when = _when(old, new)
    why = (*why_old, *why_new, *_what_follows(when, old, new))
    if when is not When.SPLIT:
        return Order(revision, when, old, new, why)
    # what others say of a statement is for a deploy of its own, and would do harm in this one
    remedies = sorted((each.remedy for each in own if each.rule in breaking and len(each.remedy) > 1), key=len)
    return Order(revision, when, old, new, why, _parts(revision, recording), remedies[-1] if remedies else ())


def _when(old: Cell, new: Cell) -> When:
    """Where a cell is not known: the side on which all that can break was seen to run, if there is one."""
    match old, new:
        case Cell.RUNS, Cell.RUNS:
            return When.EITHER
        case Cell.RUNS, _:
            return When.BEFORE
        case _, Cell.RUNS:
            return When.AFTER
        case Cell.BREAKS, Cell.BREAKS:
            return When.SPLIT
        case _:
            return When.UNKNOWN


def _what_follows(when: When, old: Cell, new: Cell) -> tuple[str, ...]:
    if when is When.UNKNOWN and old is Cell.BREAKS:
        return ("not before the code; whether it may run after it, nobody has seen",)
    if when is When.UNKNOWN and new is Cell.BREAKS:
        return ("not after the code; whether it may run before it, nobody has seen",)
    return ()


def _untried(recording: Recording) -> tuple[str, ...]:
    """Why one of the two was not tried at all."""
    found = []
    old, new = recording.old_code, recording.new_code
    if old.mapped is None and old.reason != UNTOUCHED:
        found.append(f"{_OLD} was not tried on the new schema: {old.reason or 'the recording does not say why'}")
    if new.mapped is None and new.reason != UNTOUCHED:
        found.append(
            f"{_NEW} was not tried on the old schema: {new.reason or 'the upgrade did not come to its end'}"
        )
    return tuple(found)


def _old(revision: Revision, recording: Recording, by_rules: list[Finding]) -> tuple[Cell, tuple[str, ...]]:
    if recording.old_code.mapped is None and by_rules:
        return Cell.BREAKS, tuple(dict.fromkeys(each.message.rstrip(".") for each in by_rules[:_NAMED]))
    return _tried(
        recording,
        revision,
        recording.old_code,
        f"{_OLD} on the new schema",
        f"{_OLD} breaks in one of the revisions",
    )


def _new(revision: Revision, recording: Recording) -> tuple[Cell, tuple[str, ...]]:
    return _tried(
        recording,
        revision,
        recording.new_code,
        f"{_NEW} on the old schema",
        f"{_NEW} waits for one of the revisions",
    )


def _tried(
    recording: Recording, revision: Revision, found: OldCode | NewCode, here: str, somewhere: str
) -> tuple[Cell, tuple[str, ...]]:
    """What the trial of one side's code says of the revision; `here` and `somewhere` begin the reason why it breaks."""
    if found.mapped is None:
        return Cell.RUNS if found.reason == UNTOUCHED else Cell.UNKNOWN, ()
    allowed = found.allowed if isinstance(found, OldCode) else ()
    every = (*found.broken, *allowed)
    if broken := [each for each in every if each.revision == revision.id]:
        return Cell.BREAKS, (f"{here}: {_told(broken, allowed)}",)
    if lost := [each for each in every if each.revision is None]:
        return Cell.UNKNOWN, (f"{somewhere}: {_told(lost, allowed)}",)
    for each in found.mapped:
        if each.untried and not each.tried and _touches(recording, revision, each.table):
            return Cell.UNKNOWN, (
                f"{here}: nothing could be tried on `{each.table}` ({each.model}): {each.untried}",
            )
    return Cell.RUNS, ()


def _touches(recording: Recording, revision: Revision, table: Name) -> bool:
    return any(
        table.matches(lock.relation.as_name)
        for run in recording.passes_of(revision.id)
        for statement in run.statements
        if statement.observation is not None
        for lock in statement.observation.locks
    )


def _told(broken: list[Broken], allowed: Collection[Broken]) -> str:
    """`SELECT of users fails (column users.handle does not exist)` for each, a few in full. `allowed`: those that only the
    models say that the code may send.
    """
    parts = []
    for each in broken[:_NAMED]:
        verbs = listed([word.upper() for word in each.statements])
        least = " with the required columns only, which its models allow," if each in allowed else ""
        fails = "fail" if len(each.statements) > 1 else "fails"
        parts.append(f"{verbs} of `{each.table}` ({each.model}){least} {fails}: {each.error.rstrip('.')}")
    more = len(broken) - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def _parts(revision: Revision, recording: Recording) -> tuple[str, ...]:
    """The parts of a revision that neither side of the deploy stands."""
    needed = _things(each for each in recording.new_code.broken if each.revision == revision.id)
    old = [each for each in recording.old_code.broken if each.revision == revision.id]
    allowed = [each for each in recording.old_code.allowed if each.revision == revision.id]
    parts = [f"before the code, a revision with what {_NEW} needs" + (f": {needed}" if needed else "")]
    if kept := _things(each for each in old if each.sqlstate != _NO_VALUE):
        parts.append(f"until then keep what {_OLD} uses, {kept}, and let the code or a trigger write to both")
    if unwritten := _things(each for each in (*old, *allowed) if each.sqlstate == _NO_VALUE and each.column):
        parts.append(f"until then let {unwritten} be NULL, which {_OLD} may leave out")
    return (*parts, f"after the code, a revision with the rest: what {_OLD} does not survive")


def _things(broken: Iterable[Broken]) -> str:
    names = [f"`{each.table}.{each.column}`" if each.column else f"`{each.table}`" for each in broken]
    return listed(list(dict.fromkeys(names)), _NAMED)


def _staged(orders: tuple[Order, ...]) -> Sequence:
    """The earliest moment for the code: after the last revision that it needs, before the first that must wait."""
    split = [each.revision.id for each in orders if each.when is When.SPLIT]
    if split:
        one = len(split) == 1
        return Sequence(
            orders,
            conflict=f"{listed(split)} {'runs' if one else 'run'} neither before the code nor after it without harm:"
            f" split {'it' if one else 'them'}, or stop the application while {'it runs' if one else 'they run'}.",
        )
    unknown = [each.revision.id for each in orders if each.when is When.UNKNOWN]
    if unknown:
        return Sequence(orders, conflict=f"the order of {listed(unknown, _NAMED)} is not known.")
    position = max((n for n, each in enumerate(orders, 1) if each.when is When.BEFORE), default=0)
    early = [each for each in orders[:position] if each.when is When.AFTER]
    if early:
        last = orders[position - 1].revision.id
        return Sequence(
            orders,
            conflict=f"{listed([each.revision.id for each in early])} must run after the code, and {last}, which follows,"
            " before it: deploy them in two releases, or change the order of the revisions.",
        )
    # what may run on either side goes with what follows it, or first where nothing must wait
    if not any(each.when is When.AFTER for each in orders):
        position = len(orders)
    before, after = orders[:position], orders[position:]
    stages = []
    if before:
        stages.append(_migration(before))
    stages.append(Stage("code"))
    if after:
        stages.append(_migration(after))
    return Sequence(orders, tuple(stages))


def _migration(orders: tuple[Order, ...]) -> Stage:
    revisions = [each.revision for each in orders]
    parents = {parent for each in revisions for parent in (*each.down_revisions, *each.depends_on)}
    heads = tuple(each.id for each in revisions if each.id not in parents)
    return Stage("migrate", heads, tuple(each.id for each in revisions))
