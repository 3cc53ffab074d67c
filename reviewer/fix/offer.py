"""`review --fixes`: the safe fixes for what a review has found, each as a diff of its own against the files as they are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

from msgspec.structs import replace

from reviewer.errors import ReviewerError
from reviewer.fix import engine
from reviewer.fix.diff import lines_of, unified
from reviewer.fix.engine import Applied, Outcomes, key
from reviewer.fix.trial import Trials
from reviewer.judging import merging_rules
from reviewer.postgres import trouble
from reviewer.review.finding import Finding, TriedFix
from reviewer.review.merging import alike
from reviewer.session import Rehearsed

_FOLLOWS = "it follows on the fix of another finding, and `alembic-reviewer fix` writes both"

_Edit = tuple[int, int, tuple[bytes, ...]]
"""Lines from the first number up to the second one, counted from 0, become these."""


def offer(place: Rehearsed) -> Sequence[tuple[Finding, TriedFix]]:
    """What becomes of each finding that is not suppressed: its fix was rehearsed, or there is a reason why there is none.
    Takes at most about as long as a review may. Whatever goes wrong with a fix, the review stands.
    """
    config = replace(place.config, scale=False)
    trials = Trials(
        *(config, place.scope, place.interpreter, place.environ, place.server, place.guardian, place.folder),
        *(place.runner, place.production, place.progress, place),
    )
    groups = [same for same in alike(trials.first().tree.findings, merging_rules()) if not same[0].suppressed]
    try:
        with trouble.told():
            place.server.result().drop_all()
            outcomes = engine.run(trials, (), unsafe=False, until=time.monotonic() + config.timeout)
    except ReviewerError as error:
        reason = f"fixes could not be tried: {str(error).splitlines()[0].rstrip('.')}"
        return [(same[0], TriedFix(reason=reason)) for same in groups]
    return [(same[0], _tried(same, outcomes)) for same in groups]


def _tried(same: Sequence[Finding], outcomes: Outcomes) -> TriedFix:
    """What became of findings that the report tells as one: only a fix of all of them is its fix."""
    keys = {key(each) for each in same}
    for left in outcomes.left:
        if key(left.finding) in keys:
            return TriedFix(reason=left.reason, unsafe=left.unsafe)
    applied = [each for each in outcomes.applied if key(each.fix.finding) in keys]
    if not applied:
        return TriedFix(reason="the fix of another finding takes it away")
    after = _after(applied, outcomes)
    if after is None:
        return TriedFix(reason=_FOLLOWS)
    sources = outcomes.first.files.sources
    try:
        diff = unified({path: sources[path].data for path in after if path in sources}, after).decode()
    except UnicodeDecodeError:
        return TriedFix(
            reason="its file is not in UTF-8, which a diff in JSON cannot hold; `alembic-reviewer fix` can"
        )
    return TriedFix("; ".join(dict.fromkeys(each.fix.title for each in applied)), diff)


def _after(applied: Sequence[Applied], outcomes: Outcomes) -> Mapping[str, bytes] | None:
    """What the files hold with these fixes alone; None if others cannot be kept out."""
    paths = {path for each in applied for path in each.after}
    beside = [each for each in outcomes.applied if each not in applied and paths & each.after.keys()]
    if not beside:
        return {path: outcomes.last.contents[path] for path in paths}
    sources = outcomes.first.files.sources
    found: dict[str, bytes] = {}
    for path in paths:
        steps = [(each.before.get(path), each.after[path]) for each in applied if path in each.after]
        made = _with_steps(sources[path].data, steps) if path in sources else None
        if made is None:
            return None
        found[path] = made
    return found


def _with_steps(original: bytes, steps: Iterable[tuple[bytes | None, bytes]]) -> bytes | None:
    """`original` with what each step changes in a later text of the same file; None if they meet other changes."""
    edits: set[_Edit] = set()
    for before, after in steps:
        moved = None if before is None else _moved(original, before, after)
        if moved is None:
            return None
        edits.update(moved)
    ordered = sorted(edits)
    if any(second[0] < first[1] or second[:2] == first[:2] for first, second in pairwise(ordered)):
        return None
    made, last = list[bytes](), 0
    lines = lines_of(original)
    for start, end, new in ordered:
        made += (*lines[last:start], *new)
        last = end
    return b"".join((*made, *lines[last:]))


def _moved(original: bytes, before: bytes, after: bytes) -> list[_Edit] | None:
    """The edits from `before` to `after` at their places in `original`; None if one is in lines that are not the same."""
    blocks = list(SequenceMatcher(None, lines_of(original), lines_of(before), autojunk=False).get_matching_blocks())
    found = []
    for start, end, new in _edits(before, after):
        block = next((each for each in blocks if each.b <= start and end <= each.b + each.size), None)
        if block is None:
            return None
        found.append((start - block.b + block.a, end - block.b + block.a, new))
    return found


def _edits(before: bytes, after: bytes) -> Iterator[_Edit]:
    old, new = lines_of(before), lines_of(after)
    for word, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if word != "equal":
            yield start, end, tuple(new[first:last])
