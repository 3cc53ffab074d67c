"""What GitHub offers as a suggestion: lines of the pull request's diff, and what to write in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from reviewer.report import inert
from reviewer.report.markdown import fence

MOST_LINES = 80
"""Lines of a suggestion; a longer one is not read on a pull request."""

MOST_CHARACTERS = 10_000

_HUNK = re.compile(r"@@ -(?P<old>\d+)(?:,(?P<olds>\d+))? \+(?P<new>\d+)(?:,\d+)? @@")


class Part(Struct, frozen=True):
    """Lines that follow on each other in a diff, as they are in the new file: a comment stays within one part."""

    first: int
    """Number of the first line."""
    lines: tuple[str, ...]
    added: frozenset[int]
    """Numbers of those that the pull request adds; the others are around them."""

    @property
    def range(self) -> range:
        """Their numbers."""
        return range(self.first, self.first + len(self.lines))


class Suggestion(Struct, frozen=True):
    """Lines `first` to `last`, `last` included, and the text that replaces them."""

    first: int
    last: int
    text: str

    @property
    def range(self) -> range:
        """The numbers of the lines."""
        return range(self.first, self.last + 1)


def parts(patch: str) -> tuple[Part, ...]:
    """The parts of one file's diff, as GitHub's API gives it."""
    return tuple(
        Part(
            each.new,
            tuple(text for sign, text in each.lines if sign in "+ "),
            frozenset(
                number
                for number, sign in enumerate((s for s, _ in each.lines if s in "+ "), each.new)
                if sign == "+"
            ),
        )
        for each in _hunks(patch)
    )


def of_fix(diff: str, path: str, held: Sequence[Part]) -> Suggestion | None:
    """The fix as one suggestion, so that it is accepted as a whole; None unless it changes only lines of one part of the
    file `path`, and those are what the fix was made for.
    """
    head = [line.removesuffix("\t") for line in diff.split("\n", 4)[:3]]
    if diff.count("\ndiff --git ") or head[1:] != [f"--- a/{path}", f"+++ b/{path}"]:
        return None  # several files, another one, or a new one
    hunks = list(_hunks(diff))
    edits = [edit for hunk in hunks for edit in _edits(hunk)]
    if not edits or any(hunk.cut for hunk in hunks):
        return None
    first, last = edits[0][0], edits[-1][1]  # from the first line up to the last one
    part = next((each for each in held if each.first <= first and last <= each.range.stop), None)
    if part is None or any(not _same(hunk, part) for hunk in hunks):
        return None
    if first == last or not any(new for *_, new in edits):
        first, last = (first - 1, last) if first - 1 in part.range else (first, last + 1)
    lines = list(part.lines[first - part.first : last - part.first])
    for start, end, new in reversed(edits):
        lines[start - first : end - first] = new
    text = "\n".join(lines)
    if not lines or max(len(lines), last - first) > MOST_LINES or len(text) > MOST_CHARACTERS:
        return None
    return Suggestion(first, last - 1, text)


def fenced(text: str) -> list[str] | None:
    """`text` as a block that is accepted exactly as it is; None if something in it would have to be escaped."""
    if not text.replace("\n", "").replace("\t", "").isprintable() or inert.without_commands(text) != text:
        return None
    lines = fence(text.replace("\t", ""), "suggestion")
    if lines[1:-1] != text.replace("\t", "").split("\n"):
        return None
    return [lines[0], *text.split("\n"), lines[-1]]


class _Hunk(Struct, frozen=True):
    old: int
    new: int
    lines: tuple[tuple[str, str], ...]
    """Each with its sign."""
    cut: bool
    """Whether a line that changes has no end: the last one of a file without a final line break."""


def _hunks(diff: str) -> Iterator[_Hunk]:
    head, lines, cut = None, list[tuple[str, str]](), False
    for each in diff.split("\n"):
        if found := _HUNK.match(each):
            if head is not None:
                yield _Hunk(*head, tuple(lines), cut)
            # a hunk without old lines names the line before it
            head, lines, cut = (int(found["old"]) + (found["olds"] == "0"), int(found["new"])), [], False
        elif head is None or not each:
            continue
        elif each[0] in "+- ":
            lines.append((each[0], each[1:]))
        elif each.startswith("\\"):
            cut = cut or (bool(lines) and lines[-1][0] != " ")
    if head is not None:
        yield _Hunk(*head, tuple(lines), cut)


def _edits(hunk: _Hunk) -> Iterator[tuple[int, int, list[str]]]:
    """Which old lines become which new ones: from a line up to another one."""
    number, start, gone, new = hunk.old, hunk.old, 0, list[str]()
    for sign, text in (*hunk.lines, (" ", "")):
        if sign == " ":
            if gone or new:
                yield start, start + gone, new
            number += 1 + gone
            start, gone, new = number, 0, []
        elif sign == "-":
            gone += 1
        else:
            new.append(text)


def _same(hunk: _Hunk, part: Part) -> bool:
    """Whether the old lines of the fix are those of the pull request, as far as it shows them."""
    old = [text for sign, text in hunk.lines if sign != "+"]
    there: Mapping[int, str] = dict(zip(part.range, part.lines, strict=True))
    return all(there.get(number, text) == text for number, text in enumerate(old, hunk.old))
