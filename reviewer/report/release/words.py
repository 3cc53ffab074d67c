"""What all formats of a release say in the same words."""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.recording import Location
from reviewer.release.model import Band, Cell, Hold, May, Order, Release, Step, Timeline, WayBack
from reviewer.report.digest import Timed, number, sizes, timed, witness
from reviewer.sql.names import listed

_NAMED = 8
"""Most revisions of a transaction that are named."""
_SHARED = 3
"""A reason that holds for at least so many revisions appears once for all of them."""
_LONGEST = 12
"""Most statements whose times are listed."""
_MAY = {
    May.YES: "It may run with traffic on.",
    May.WITH_CARE: "It may run with traffic on, with care.",
    May.NO: "It should not run with traffic on.",
    May.UNKNOWN: "Nobody can say whether it may run with traffic on: not everything could be rehearsed.",
    May.NOTHING: "There is nothing to deploy: the database is at the end already.",
}


def title(release: Release) -> str:
    """`Release v1 (a) to v2 (c): 2 revisions`."""
    return f"Release {release.start} to {release.end}: {number(len(release.revisions), 'revision')}"


def may(release: Release) -> str:
    """The answer, as a sentence."""
    return _MAY[release.verdict.may]


def waits(release: Release) -> tuple[tuple[str, str], ...]:
    """How long reads and writes of any table wait at most: a label and a sentence each, or one for both."""
    timeline = release.timeline
    if release.verdict.reads == release.verdict.writes:
        return (("reads and writes wait longest", _wait(release.verdict.reads, timeline) + _unseen(release)),)
    return (
        ("reads wait longest", _wait(release.verdict.reads, timeline) + _unseen(release)),
        ("writes wait longest", _wait(release.verdict.writes, timeline) + _unseen(release)),
    )


def _unseen(release: Release) -> str:
    """What may change that: revisions that did not run to their end."""
    ran = {step.revision for step in release.timeline.steps if step.statement.error is None}
    missing = [each.id for each in release.revisions if each.id not in ran and not each.is_merge]
    if release.timeline.failed and release.timeline.failed not in missing:
        missing.insert(0, release.timeline.failed)
    return f"; {listed(missing, _NAMED)} did not run to the end: the rest is not counted" if missing else ""


def _wait(hold: Hold | None, timeline: Timeline) -> str:
    if hold is None:
        return "not seen, for a lock on an existing table"
    return f"on `{hold.table}`, {hold.duration.words}; {hold.mode} {span(hold, timeline)}"


def span(hold: Hold, timeline: Timeline) -> str:
    """From which statement to where a lock is held."""
    since = place(timeline.step(hold.since))
    if hold.since == hold.until:
        return f"during {since}"
    band = next(each for each in timeline.bands if hold in each.holds)
    more = hold.until - hold.since
    return f"from {since} to the end of transaction {band.number}, {number(more, 'statement')} later"


def place(step: Step) -> str:
    """Where a statement comes from: `7e2f4b96d018:12`."""
    if step.location is not None:
        return f"{step.revision}:{step.location.line}"
    return f"the version of {step.revision}" if step.statement.origin.value == "alembic" else "env.py"


def short(location: Location) -> str:
    """A line, its path without folders: the revision is named beside it."""
    return f"{location.path.rpartition('/')[2]}:{location.line}"


def longest(release: Release) -> tuple[tuple[Timed, ...], str]:
    """What takes longest of what was measured at several sizes, the longest first, and what that rests on; nothing where
    nothing was. What does not grow is left out where something else does.
    """
    for tree in release.report.trees:
        found = timed(tree)
        if found:
            grown = tuple(each for each in found if each.grows)
            return (grown or found)[:_LONGEST], tree.durations.made_of
    return (), ""


def taken(each: Timed) -> str:
    """`works on `orders`: 21 to 45 s at 50 million rows; 0.4 to 0.9 s per million rows`."""
    tables = f"works on `{each.tables}`: " if each.tables else ""
    return f"{tables.replace(' and ', '` and `').replace(', ', '`, `')}{'; '.join(filter(None, [each.production, each.growth]))}"


def way(each: Timed) -> str:
    """`upgrade of e812941398f4`."""
    return f"{each.way} of {each.revision}"


def no_return(release: Release) -> str:
    """The point of no return, as a sentence."""
    back = release.verdict.no_return
    final = f"revision {back.revision.id}: {_why_final(back)}" if back is not None else ""
    before = release.way_back[: release.way_back.index(back)] if back is not None else release.way_back
    doubtful = [each for each in before if each.doubtful]
    if not doubtful:
        return final or "none: every revision has a way back"
    return f"unknown, because {'; '.join(_doubts(doubtful))}" + (f"; at the latest {final}" if final else "")


def _doubts(doubtful: list[WayBack]) -> Iterator[str]:
    """Why nobody knows: what destroys something is named with it, the rest together."""
    for each in doubtful:
        if each.destroys:
            ran = "is untested" if each.label == "untested" else "goes back on some rows only"
            yield f"{each.revision.id} {ran} and {destroys(each)}"
    rest = [each.revision.id for each in doubtful if not each.destroys]
    if rest:
        yield f"the way back over {listed(rest, _NAMED)} is untested"


def destroys(back: WayBack) -> str:
    """What its upgrade does to existing rows and values: ``drops `users.name` ``."""
    return listed(list(back.destroys), _NAMED)


def _why_final(back: WayBack) -> str:
    match back.label:
        case "irreversible":
            return "it has no way back" + (f" ({back.failure})" if back.failure else "")
        case "broken":
            return f"its downgrade fails: {back.failure}" if back.failure else "its downgrade leaves another schema"
        case _:
            return f"its downgrade does not bring back {', '.join(back.lost) or 'all that was there'}"


def bands(release: Release) -> str:
    """`2 transactions, 1 statement outside of any`."""
    found = release.timeline.bands
    inside = [each for each in found if each.transaction]
    alone = len(found) - len(inside)
    parts = [number(len(inside), "transaction")] if inside else []
    if alone:
        parts.append(f"{number(alone, 'statement')} outside of {'any' if inside else 'a transaction'}")
    return ", ".join(parts)


def band_title(band: Band) -> str:
    """`transaction 1: b, c`."""
    what = f"transaction {band.number}" if band.transaction else f"{band.number}, outside of a transaction"
    return f"{what}: {band_revisions(band)}"


def band_revisions(band: Band) -> str:
    """`b, c`."""
    return listed(list(band.revisions), _NAMED) or "env.py"


def cells(each: Order) -> str:
    """`old code on the new schema runs, new code on the old one breaks`; empty if neither was tried."""
    if {each.old, each.new} == {Cell.UNKNOWN}:
        return ""
    return f"old code on the new schema {cell(each.old)}, new code on the old one {cell(each.new)}"


def cell(found: Cell) -> str:
    """A cell in words that follow its subject."""
    return found.value


def reasons(release: Release) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Why revisions go where they go: what holds for many of them, told once with their names, and the rest for each."""
    of: dict[str, list[str]] = {}
    for each in release.sequence.orders:
        for sentence in each.why:
            of.setdefault(sentence, []).append(each.revision.id)
    shared = {sentence: ids for sentence, ids in of.items() if len(ids) >= _SHARED}
    alone = {
        each.revision.id: tuple(sentence for sentence in each.why if sentence not in shared)
        for each in release.sequence.orders
    }
    return tuple(f"{listed(ids, _NAMED)}: {sentence}" for sentence, ids in shared.items()), alone


def declared(each: Order) -> str:
    """What the author declares, and whether it agrees; empty if nothing is declared."""
    said = each.declared
    if said is None:
        return ""
    side = "before" if said.before_code else "after"
    line = f", line {said.line}" if said.line else ""
    judged = "which disagrees with what was measured" if each.disagrees else "which agrees"
    if each.when.value in {"either", "unknown"}:
        judged = "which nothing contradicts"
    return f"declared {side} the code by {said.where}{line}, {judged}"


def back_line(each: WayBack) -> str:
    """What there is to say of the way back over a revision, after its label."""
    parts = []
    if each.accepted:
        parts.append("accepted as one-way by the configuration")
    if each.lost:
        parts.append(f"loses {', '.join(each.lost)}")
    if each.failure:
        parts.append(f"fails: {each.failure}")
    if each.differences:
        parts.append(f"the schema differs afterwards: {', '.join(each.differences)}")
    if each.duration is not None:
        parts.append(f"takes {each.duration.words}")
    if each.untested:
        parts.append(f"untested, because {each.untested}")
    if each.doubtful and each.destroys:
        parts.append(f"{destroys(each)}, and nobody has seen what was there come back")
    if each.old_code is Cell.RUNS:
        parts.append("the old code runs afterwards, on the same schema as before")
    elif each.duration is not None:
        parts.append("whether the old code runs afterwards is not known")
    return "; ".join(parts)


def footer(release: Release) -> tuple[str, ...]:
    """What the report rests on."""
    report = release.report
    made = (f"alembic-reviewer {report.tool}", f"made {report.made}")
    if not release.revisions:
        return made
    tree = report.trees[0].recording
    one = len(release.timeline.bands) < 2
    mode = "all revisions in one transaction" if one else bands(release)
    if tree.transactions.per_migration:
        mode = "one transaction per migration" + ("" if one else f" ({mode})")
    code = f"old code {release.code[:12]}" if release.code else "no old code"
    return (witness(report), mode, code, *sizes(report), *made)
