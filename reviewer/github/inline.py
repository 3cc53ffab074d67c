"""Findings as review comments on the lines that the pull request adds, with suggestions where one fits exactly."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from reviewer.github.api import Api, ApiError, ChangedFile, Invalid, Thread, Unsure
from reviewer.github.suggestion import Part, Suggestion, fenced, of_fix, parts
from reviewer.recording import Direction
from reviewer.report import inert
from reviewer.report.alike import Group, findings_of, together
from reviewer.report.digest import Shown, counted, digest
from reviewer.report.fingerprint import fingerprints
from reviewer.report.markdown import fence, prose
from reviewer.review.finding import Severity
from reviewer.review.verdict import Report

if TYPE_CHECKING:
    from github.PullRequest import ReviewComment

MOST = 20
"""Review comments per run; GitHub treats a request with many more as abuse."""

Source = Callable[[str], str | None]
"""The text of a file at the head commit by its path, None if it cannot be read."""

_MARKER = re.compile(r"\A<!-- alembic-reviewer finding v1 id=(?P<id>[0-9a-f]+) fingerprint=(?P<print>\S+) -->")
_ICONS = {Severity.ERROR: "❌", Severity.WARNING: "⚠️", Severity.NOTICE: "ℹ️"}  # noqa: RUF001  (an emoji)
_LONGEST_REMEDY = 4_000


class Posted(Struct, frozen=True):
    """What happened to the review comments."""

    new: int = 0
    kept: int = 0
    """Existed already."""
    folded: int = 0
    """Resolved by now, with no replies."""
    elsewhere: int = 0
    """Findings on lines that the pull request does not change, or beyond the limit."""
    why: str = ""
    """One sentence if nothing could be posted."""


class _Remark(Struct, frozen=True):
    fingerprint: str
    path: str
    first: int
    last: int
    body: str
    group: Group

    @property
    def payload(self) -> ReviewComment:
        """As GitHub wants it; `start_line` must be before `line`."""
        place: ReviewComment = {"path": self.path, "line": self.last, "side": "RIGHT", "body": self.body}
        if self.first < self.last:
            place["start_line"], place["start_side"] = self.first, "RIGHT"
        return place


def post(api: Api, number: int, sha: str, report: Report, marker_id: str, source: Source) -> Posted:
    """Comment on changed lines in one review: no duplicates, outdated ones minimized. Never raises for GitHub's
    responses.
    """
    try:
        return _posted(api, number, sha, report, marker_id, source)
    except ApiError as error:
        return Posted(why=str(error))


def added_lines(files: Iterable[ChangedFile]) -> dict[str, frozenset[int]]:
    """For each file the lines that the pull request adds, numbered as in the new file."""
    return {path: frozenset[int]().union(*(part.added for part in held)) for path, held in _held(files).items()}


def _held(files: Iterable[ChangedFile]) -> dict[str, tuple[Part, ...]]:
    """For each file the parts of its diff."""
    return {each.filename: parts(each.patch) for each in files if each.patch}


def suggestion(shown: Shown, report: Report, source: str | None) -> Suggestion | None:
    """The remedy, if it replaces exactly one statement.

    That is: one deploy, valid Python, and a statement in `upgrade()`, not nested, that sent one SQL statement to
    the server.
    """
    finding = shown.finding
    if source is None or finding.location is None or len(finding.remedy) != 1 or not shown.statement:
        return None
    if finding.direction is not Direction.UPGRADE or len(finding.remedy[0]) > _LONGEST_REMEDY:
        return None
    try:
        tree = ast.parse(source)
        ast.parse(finding.remedy[0])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    upgrades = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "upgrade"]
    for node in (node for upgrade in upgrades for node in upgrade.body):
        first, last = node.lineno, node.end_lineno or node.lineno
        if not (isinstance(node, ast.Expr) and first <= finding.location.line <= last):
            continue
        lines = source.splitlines()[first - 1 : last]
        whole = "\n".join(lines).strip() == (ast.get_source_segment(source, node) or "").strip()
        if whole and _statements_of(report, finding.location.path, first, last) == 1:
            indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
            return Suggestion(first, last, textwrap.indent(finding.remedy[0], indent))
    return None


def _posted(api: Api, number: int, sha: str, report: Report, marker_id: str, source: Source) -> Posted:
    threads = {
        found["print"]: thread
        for thread in api.threads(number)
        if thread.ours and (found := _MARKER.match(thread.body)) and found["id"] == marker_id
    }
    every = list(fingerprints(shown for tree in report.trees for shown in digest(tree).all_findings))
    folded = _fold(api, threads, {fingerprint for _, fingerprint in every})
    of = {id(shown): fingerprint for shown, fingerprint in every}
    told = [(group, of[id(group.shown)]) for group in together(shown for shown, _ in every)]
    told.sort(key=lambda each: -each[0].shown.finding.severity.rank)
    unsaid = [(group, fingerprint) for group, fingerprint in told if fingerprint not in threads]
    if not unsaid:
        return Posted(kept=len(told), folded=folded)
    held = _held(api.files(number))
    remarks = list(_remarks(unsaid, held, report, marker_id, source))[:MOST]
    sent = _send(api, number, sha, remarks) if remarks else 0
    return Posted(sent, len(told) - len(unsaid), folded, len(unsaid) - sent)


def _fold(api: Api, threads: Mapping[str, Thread], current: set[str]) -> int:
    settled = [
        thread
        for fingerprint, thread in threads.items()
        if fingerprint not in current and not thread.hidden and not thread.replied
    ]
    for thread in settled:
        api.minimize(thread.node_id, "RESOLVED")
    return len(settled)


def _send(api: Api, number: int, sha: str, remarks: Sequence[_Remark]) -> int:
    found = counted(findings_of(each.group for each in remarks))
    body = f"Migration review: {found} on the lines below."
    try:
        api.review(number, sha, body, [each.payload for each in remarks])
    except Unsure:
        # it may exist now: the next run will find out, and a duplicate finding is worse than a late one
        raise
    except Invalid:
        # GitHub rejects the whole review because of one line, and does not say which
        if len(remarks) == 1:
            return 0
        middle = len(remarks) // 2
        return _send(api, number, sha, remarks[:middle]) + _send(api, number, sha, remarks[middle:])
    return len(remarks)


def _remarks(
    findings: Iterable[tuple[Group, str]],
    held: Mapping[str, tuple[Part, ...]],
    report: Report,
    marker_id: str,
    source: Source,
) -> Iterator[_Remark]:
    replaced: set[tuple[str, int]] = set()
    for group, fingerprint in findings:
        shown, place = group.shown, group.shown.finding.location
        parts_of_file = held.get(place.path, ()) if place is not None else ()
        if place is None or not any(place.line in part.added for part in parts_of_file):
            continue
        found = _suggested(shown, report, source(place.path), parts_of_file)
        taken = found is not None and any((place.path, line) in replaced for line in found.range)
        if found is not None and not taken:
            replaced |= {(place.path, line) for line in found.range}
        first, last = (found.first, found.last) if found is not None and not taken else (place.line, place.line)
        lines = _body(group, fingerprint, marker_id, None if taken else found, taken=taken)
        yield _Remark(fingerprint, place.path, first, last, "\n".join(lines), group)


def _suggested(shown: Shown, report: Report, source: str | None, held: Sequence[Part]) -> Suggestion | None:
    """The fix that was rehearsed. Where none was tried, the remedy if it fits exactly; without a source nothing: the
    report may come from a job that ran somebody's code.
    """
    fix, place = shown.finding.fix, shown.finding.location
    if source is None or place is None:
        return None
    if fix is not None:
        found = of_fix(fix.diff, place.path, held)
    else:
        found = suggestion(shown, report, source)
        if found is not None and not any(part.added.issuperset(found.range) for part in held):
            return None
    return found if found is not None and fenced(found.text) is not None else None


def _body(
    group: Group, fingerprint: str, marker_id: str, found: Suggestion | None, *, taken: bool
) -> Iterator[str]:
    """The comment; nothing in a suggestion is changed, as it is accepted as it is."""
    yield from (inert.without_commands(line) for line in _words(group, fingerprint, marker_id))
    if found is not None:
        yield from ("", *(fenced(found.text) or ()))
        return
    if taken:
        yield from ("", "A suggestion for it changes the same lines as another one of this review.")
    remedies = group.shown.finding.remedy
    for step, body in enumerate(remedies, 1):
        several = f", deploy {step} of {len(remedies)}" if len(remedies) > 1 else ""
        yield from ("", f"Write this instead{several}:", "")
        yield inert.without_commands("\n".join(fence(inert.cut(body, _LONGEST_REMEDY), "python")))


def _words(group: Group, fingerprint: str, marker_id: str) -> Iterator[str]:
    finding = group.shown.finding
    yield f"<!-- alembic-reviewer finding v1 id={marker_id} fingerprint={fingerprint} -->"
    yield f"{_ICONS[finding.severity]} **{prose(finding.rule)}**{group.times}"
    yield from ("", prose(finding.message), "")
    if group.likewise:
        yield from (f"Likewise: {prose(group.likewise)}.", "")
    if finding.severity is not Severity.NOTICE:
        yield from (f"- {prose(fact)}" for fact in group.shown.facts)


def _statements_of(report: Report, path: str, first: int, last: int) -> int:
    """How many different statements the lines sent to the server in an upgrade."""
    return len(
        {
            statement.sql
            for tree in report.trees
            for each in tree.recording.passes
            if each.direction is Direction.UPGRADE
            for statement in each.statements
            if statement.location and statement.location.path == path and first <= statement.location.line <= last
        }
    )


__all__ = ["MOST", "Posted", "Source", "added_lines", "post", "suggestion"]
