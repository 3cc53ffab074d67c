"""Which findings can be fixed: candidates are made, put together, rehearsed, and kept only if nothing is worse."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from msgspec import Struct, field

from reviewer.errors import ReviewerError
from reviewer.fix import fixers
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found
from reviewer.fix.refused import Refused
from reviewer.fix.revisions import chained
from reviewer.fix.source import Hunk
from reviewer.fix.trial import Contents, State, Trials, differences
from reviewer.judging import quiet_rules, waiting_rules
from reviewer.project.naming import Naming
from reviewer.recording import Direction, Outcome
from reviewer.review.finding import Finding

Key = tuple[object, ...]

_MOST_TRIALS = 60
_MOST_TRIES = 3
"""How often one fix is tried."""


class Applied(Struct, frozen=True):
    """A fix that was rehearsed and kept, and the files that it changed."""

    fix: Fix
    before: Contents
    """What those files held before; a new one is not in it."""
    after: Contents


class Left(Struct, frozen=True):
    """A finding that stays, and why."""

    finding: Finding
    reason: str
    """Without the full stop."""
    unsafe: bool = False
    """Whether --unsafe would try."""


class Outcomes(Struct, frozen=True):
    """What became of the findings of one tree."""

    trials: Trials
    first: State
    last: State
    applied: tuple[Applied, ...]
    left: tuple[Left, ...]


class _Work(Struct):
    trials: Trials
    rules: Collection[str]
    unsafe: bool
    state: State
    now: datetime
    applied: list[Applied] = field(default_factory=list)
    failed: dict[Key, str] = field(default_factory=dict)
    """Why a fix was not kept, by its finding."""
    tried: dict[Key, list[int]] = field(default_factory=dict)
    """How many fixes were kept each time it was tried alone: what it failed on another one may have fixed since."""
    alone: set[Key] = field(default_factory=set)
    """What is tried by itself."""


def run(trials: Trials, rules: Collection[str], *, unsafe: bool, until: float | None = None) -> Outcomes:
    """Fix what can be fixed in one tree, `rules` only if there are any. No trial begins after `until`, in seconds of
    the monotonic clock.
    """
    first = trials.first()
    work = _Work(trials, rules, unsafe, first, datetime.now())
    if first.tree.recording.revisions and not first.tree.recording.errors:
        for _ in range(_MOST_TRIALS):
            group = _next(work)
            if not group or (until is not None and time.monotonic() >= until):
                break
            _try(work, group)
    return Outcomes(trials, first, work.state, tuple(work.applied), tuple(_left(work)))


def wanted(finding: Finding, rules: Collection[str]) -> bool:
    """Whether somebody asks for this finding to be fixed."""
    return finding.suppressed is None and (not rules or finding.rule in rules)


def _candidates(work: _Work) -> Iterator[tuple[Finding, Fix | str]]:
    """Every finding that is asked for, with its fix or with the reason why there is none."""
    state = work.state
    known = fixers.by_rule()
    for finding in state.tree.findings:
        if not wanted(finding, work.rules):
            continue
        fixer = known.get(finding.rule)
        if fixer is None:
            yield finding, "the rule has no fix"
            continue
        try:
            fix = fixer.fix(Found(finding, state.tree, state.stories, state.files))
            _refuse_foreign_schema(state, fix)
            if fix.revisions:
                compose(state, [fix], work.trials, work.now)
        except Refused as refused:
            yield finding, str(refused)
        else:
            yield finding, fix


def _refuse_foreign_schema(state: State, fix: Fix) -> None:
    """Raises `Refused` where a fix names a schema that its revision does not name itself: it computes it, and the next
    run may have another one.
    """
    written = [line for hunks in fix.hunks.values() for hunk in hunks for line in hunk.lines]
    written += [text for each in fix.revisions for text in (each.upgrade, each.downgrade)]
    new = "\n".join(written)
    old = "\n".join(state.files.sources[path].text for path in fix.hunks)
    for schema in state.schemas:
        word = rf"\b{re.escape(schema)}\b"
        if re.search(word, new) and not re.search(word, old):
            raise Refused(f"it is in the schema `{schema}`, which the revision does not name itself")


def _next(work: _Work) -> list[Fix]:
    """The fixes that are tried together in the next trial."""
    group: list[Fix] = []
    later: list[Fix] = []
    for finding, fix in _candidates(work):
        if isinstance(fix, str) or (fix.unsafe and not work.unsafe):
            continue
        last = work.tried.get(key(finding), [])
        if len(last) >= _MOST_TRIES or len(work.applied) in last:
            continue
        if fix.first and key(finding) not in work.alone:
            return [fix]
        if key(finding) in work.alone:
            later.append(fix)
        elif not any(fix.collides(other) for other in group):
            group.append(fix)
    return group or later[:1]


def _try(work: _Work, group: Sequence[Fix]) -> None:
    names = ", ".join(dict.fromkeys(fix.rule for fix in group))
    work.trials.progress(f"rehearsing {len(group)} fix{'es' if len(group) > 1 else ''}: {names}")
    before = work.state
    try:
        made = compose(before, group, work.trials, work.now)
        after = work.trials.of(made.contents, made.ids, made.origins)
        faults = list(_faults(before, after, group))
    except (Refused, ReviewerError) as error:
        faults = [(None, str(error).split("\n")[0].rstrip("."))]
    if not faults:
        work.applied += [_applied(before, fix, work) for fix in group]
        work.state = after
        work.alone.clear()
        return
    if len(group) == 1:
        work.failed.setdefault(key(group[0].finding), faults[0][1])
        work.tried.setdefault(key(group[0].finding), []).append(len(work.applied))
        work.alone.add(key(group[0].finding))
        return
    blamed = [fix for fix, _ in faults if fix is not None]
    if not blamed or len(blamed) >= len(group):
        blamed = [*group[len(group) // 2 :]] if not blamed else [*group]
    work.alone |= {key(fix.finding) for fix in blamed}


def _applied(before: State, fix: Fix, work: _Work) -> Applied:
    contents = compose(before, [fix], work.trials, work.now).contents
    changed = {path: data for path, data in contents.items() if before.contents.get(path) != data}
    sources = before.files.sources
    return Applied(fix, {path: sources[path].data for path in changed if path in sources}, changed)


class _Made(Struct, frozen=True):
    contents: dict[str, bytes]
    """What the files hold."""
    ids: frozenset[str]
    """The revisions that are then under review."""
    origins: dict[str, str]
    """The revision that each new one came from."""


def compose(state: State, fixes: Sequence[Fix], trials: Trials, now: datetime) -> _Made:
    """The project with `fixes` made.

    Raises:
        Refused: they cannot be put together.
    """
    files = state.files
    hunks: dict[str, set[Hunk]] = {}
    for fix in fixes:
        for path, found in fix.hunks.items():
            hunks.setdefault(path, set()).update(found)
    new = list(dict.fromkeys(revision for fix in fixes for revision in fix.revisions))
    placed, following = chained(new, files.graph, state.new, files.sources, Naming.of(trials.scope.tree), now)
    for path, more in following.items():
        hunks.setdefault(path, set()).update(more)
    contents = dict(state.contents)
    for path, every in hunks.items():
        contents[path] = files.sources[path].with_hunks(every)
    contents |= {each.path: each.data for each in placed}
    origins = {**state.origins, **{each.id: state.origins.get(each.after, each.after) for each in placed}}
    return _Made(contents, state.new | {each.id for each in placed}, origins)


def key(finding: Finding) -> Key:
    """What a finding is about, wherever its line is now."""
    return (finding.rule, *finding.about) if finding.about else (finding.rule, finding.table)


def _key(finding: Finding, state: State) -> Key:
    """The same, of a revision that is new as of the one that it came from."""
    return tuple(state.origins.get(str(part), part) for part in key(finding))


def _counted(state: State) -> Counter[Key]:
    return Counter(_key(each, state) for each in state.tree.findings if each.suppressed is None)


def _faults(before: State, after: State, group: Sequence[Fix]) -> Iterator[tuple[Fix | None, str]]:
    """What is not as it should be with the fixes of `group`, and whose fault that is where it is known."""
    recording = after.tree.recording
    for error in recording.errors:
        yield None, f"with this fix the revisions cannot be reviewed: {error.splitlines()[0].rstrip('.')}"
    was, now = _counted(before), _counted(after)
    for fix in group:
        this = _key(fix.finding, before)
        if now[this] >= was[this]:
            yield fix, "the review still finds it afterwards"
    yield from _failures(before, after, group)
    moved = _moved(before, after) - {fix.finding.rule for fix in group}
    unseen = before.new - {revision for revision, way in _ran(before) if way is Direction.UPGRADE}
    for finding in after.tree.findings:
        this = _key(finding, after)
        if unseen and after.origins.get(where := _revision_of(finding, after), where) in unseen:
            continue  # its upgrade failed before, so nobody could see what else it does
        if now[this] <= was[this] or finding.rule in moved:
            continue
        if finding.suppressed is None and not _covered(finding, after, group):
            yield _blamed(finding, group), f"the review then finds {finding.rule}: {finding.message.rstrip('.')}"
    if before.end is None:
        return
    if after.end is None:
        yield None, "the upgrade fails with this fix"
        return
    for each in differences(before.end, after.end):
        if not any(fix.other_end(each) for fix in group):
            on = f" of {each.table}" if each.table else ""
            yield (
                None,
                f"the schema ends up different: {each.kind} {each.name}{on} is {each.change.value} {each.aspect}".rstrip(),
            )


def _moved(before: State, after: State) -> frozenset[str]:
    """The rules about waiting that find no more than before. With another place to commit, what a transaction holds
    hinders another statement, or is held on another table.
    """
    was, now = (
        Counter((f.rule, f.severity) for f in s.tree.findings if f.suppressed is None) for s in (before, after)
    )
    more = {rule for rule, severity in now if now[rule, severity] > was[rule, severity]}
    return waiting_rules() - more


def _revision_of(finding: Finding, state: State) -> str:
    """The revision that a finding is about, or that has the line of one that is about the whole deploy."""
    if finding.revision is not None or finding.location is None:
        return finding.revision or ""
    path = finding.location.path
    return next((each.id for each in state.scope.graph.revisions.values() if each.path == path), "")


def _covered(finding: Finding, after: State, group: Sequence[Fix]) -> bool:
    """Whether it was true before, and a finding that is fixed said more of the same."""
    quiet = quiet_rules()
    for fix in group:
        if finding.rule in fix.leaves:
            return True
        here = after.origins.get(finding.revision or "", finding.revision) == fix.finding.revision
        if here and finding.rule in quiet and finding.severity.rank <= fix.finding.severity.rank:
            return True
    return False


def _ran(state: State) -> frozenset[tuple[str, Direction]]:
    """The revisions that ran well in a direction, with rows or without."""
    return frozenset((p.revision, p.direction) for p in state.tree.recording.passes if p.outcome is Outcome.OK)


def _failures(before: State, after: State, group: Sequence[Fix]) -> Iterator[tuple[Fix | None, str]]:
    """The revisions that ran in a direction before, or are new, and that do not run in it."""
    ran, runs = _ran(before), _ran(after)
    told: set[tuple[str, Direction]] = set()
    for each in after.tree.recording.passes:
        what = (each.revision, each.direction)
        if what in runs or what in told or (each.revision in before.new and what not in ran):
            continue
        told.add(what)
        why = each.failure.message if each.failure is not None else each.reason or ""
        words = f"the {each.direction.value} of {each.revision} fails with this fix: {why.rstrip('.')}"
        known = [fix for fix in group if fix.finding.revision == each.revision]
        yield known[0] if len(known) == 1 else None, words


def _blamed(finding: Finding, group: Sequence[Fix]) -> Fix | None:
    known = [fix for fix in group if fix.finding.revision == finding.revision]
    return known[0] if len(known) == 1 else None


def _left(work: _Work) -> Iterator[Left]:
    """What is still found, with the reason."""
    for finding, fix in _candidates(work):
        if isinstance(fix, str):
            yield Left(finding, fix)
        elif key(finding) in work.failed:
            yield Left(finding, f"{fix.title}: {work.failed[key(finding)]}")
        elif fix.unsafe and not work.unsafe:
            yield Left(finding, f"{fix.title}: {fix.unsafe.rstrip('.')}", unsafe=True)
        else:
            yield Left(finding, f"{fix.title}: there was no time left to rehearse it")
