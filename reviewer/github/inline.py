"""Findings as review comments on the lines that the pull request adds, with suggestions where one fits exactly."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reviewer.github.api import Api, ApiError, ChangedFile, Invalid, Thread, Unsure
from reviewer.recording import Direction
from reviewer.report import inert
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
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(?P<start>\d+)(?:,\d+)? @@")
_ICONS = {Severity.ERROR: "❌", Severity.WARNING: "⚠️", Severity.NOTICE: "ℹ️"}  # noqa: RUF001  (an emoji)
_LONGEST_REMEDY = 4_000


@dataclass(frozen=True)
class Posted:
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


@dataclass(frozen=True)
class _Remark:
    fingerprint: str
    path: str
    first: int
    last: int
    body: str
    shown: Shown

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
    return {each.filename: frozenset(_added(each.patch)) for each in files if each.patch}


def suggestion(shown: Shown, report: Report, source: str | None) -> tuple[int, int, str] | None:
    """First and last line and the replacement, if the remedy replaces exactly one statement.

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
            return first, last, textwrap.indent(finding.remedy[0], indent)
    return None


def _posted(api: Api, number: int, sha: str, report: Report, marker_id: str, source: Source) -> Posted:
    threads = {
        found["print"]: thread
        for thread in api.threads(number)
        if thread.ours and (found := _MARKER.match(thread.body)) and found["id"] == marker_id
    }
    every = list(fingerprints(shown for tree in report.trees for shown in digest(tree).all_findings))
    every.sort(key=lambda each: -each[0].finding.severity.rank)
    folded = _fold(api, threads, {fingerprint for _, fingerprint in every})
    unsaid = [(shown, fingerprint) for shown, fingerprint in every if fingerprint not in threads]
    if not unsaid:
        return Posted(kept=len(every), folded=folded)
    added = added_lines(api.files(number))
    remarks = list(_remarks(unsaid, added, report, marker_id, source))[:MOST]
    sent = _send(api, number, sha, remarks) if remarks else 0
    return Posted(sent, len(every) - len(unsaid), folded, len(unsaid) - sent)


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
    body = f"Migration review: {counted(each.shown.finding for each in remarks)} on the lines below."
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
    findings: Iterable[tuple[Shown, str]],
    added: Mapping[str, frozenset[int]],
    report: Report,
    marker_id: str,
    source: Source,
) -> Iterator[_Remark]:
    replaced: set[tuple[str, int]] = set()
    for shown, fingerprint in findings:
        place = shown.finding.location
        if place is None or place.line not in added.get(place.path, frozenset()):
            continue
        found = suggestion(shown, report, source(place.path))
        if found and (
            any((place.path, line) in replaced for line in range(found[0], found[1] + 1))
            or not added[place.path].issuperset(range(found[0], found[1] + 1))
        ):
            found = None
        first, last = found[:2] if found else (place.line, place.line)
        if found:
            replaced |= {(place.path, line) for line in range(first, last + 1)}
        body = "\n".join(_body(shown, fingerprint, marker_id, found[2] if found else None))
        yield _Remark(fingerprint, place.path, first, last, inert.without_commands(body), shown)


def _body(shown: Shown, fingerprint: str, marker_id: str, replacement: str | None) -> Iterator[str]:
    finding = shown.finding
    yield f"<!-- alembic-reviewer finding v1 id={marker_id} fingerprint={fingerprint} -->"
    yield f"{_ICONS[finding.severity]} **{prose(finding.rule)}**"
    yield from ("", prose(finding.message), "")
    if finding.severity is not Severity.NOTICE:
        yield from (f"- {prose(fact)}" for fact in shown.facts)
    if replacement is not None:
        yield from ("", *fence(replacement, "suggestion"))
        return
    for step, body in enumerate(finding.remedy, 1):
        several = f", deploy {step} of {len(finding.remedy)}" if len(finding.remedy) > 1 else ""
        yield from ("", f"Write this instead{several}:", "", *fence(inert.cut(body, _LONGEST_REMEDY), "python"))


def _added(patch: str) -> Iterator[int]:
    line = 0
    for each in patch.split("\n"):
        if hunk := _HUNK.match(each):
            line = int(hunk["start"])
        elif each.startswith("+"):
            yield line
            line += 1
        elif not each.startswith(("-", "\\")):
            line += 1


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
