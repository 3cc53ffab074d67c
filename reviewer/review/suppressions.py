"""Comments that accept a finding: `# reviewer: allow[rule-id] reason`, and `allow-file[rule-id]` for a whole file.

Read with `tokenize`, so text inside strings is never one. A comment speaks for the logical line that it stands in,
behind or directly above: a call over several lines is one logical line.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import nearest_rule
from reviewer.recording import Direction, Location
from reviewer.review.finding import Basis, Finding, Severity, Suppressed

UNKNOWN = "unknown-suppression"
UNUSED = "unused-suppression"

_MEANT = re.compile(
    r"#\s*reviewer\s*:\s*(?:(?:allow|ignore|disable|skip|suppress|noqa)\b|[\w-]+\s*\[)", re.IGNORECASE
)
"""A comment that tries to be a suppression; `# reviewer: Ada` is not one."""
_RIGHT = re.compile(r"#\s*reviewer:\s*(allow|allow-file)\[([^\]]*)\](.*)", re.DOTALL)
_TOOL = r"#\s*(?:noqa|nosec|type|pragma|pylint|pyright|mypy|ruff|fmt|isort)\b[^#]*"
"""A comment for another tool, which may stand before ours or after it."""
_BEFORE = re.compile(rf"\A(?:{_TOOL})+(?=#)", re.IGNORECASE)
_AFTER = re.compile(f"(?:{_TOOL})+$", re.IGNORECASE)
_FORM = "# reviewer: allow[rule-id] reason"


class Suppression(Struct, frozen=True):
    """One suppression comment."""

    path: str
    line: int
    rules: tuple[str, ...]
    reason: str
    whole_file: bool = False
    first_line: int = 0
    """First line that it speaks for; 0: it stands above nothing."""
    last_line: int = 0
    problem: str | None = None
    """What is wrong with the way it is written; it suppresses nothing then."""

    def covers(self, line: int) -> bool:
        """Whether it speaks for `line`."""
        return self.whole_file or self.first_line <= line <= self.last_line


def read(source: str | bytes, path: str) -> tuple[Suppression, ...]:
    """The suppression comments of one revision file; of a file with a syntax error those before the error."""
    raw = source.encode() if isinstance(source, str) else source
    if b"reviewer" not in raw.lower():
        return ()
    layout = _Layout.of(raw)
    comments = ((line, _BEFORE.sub("", text)) for line, text in sorted(layout.comments.items()))
    found = (_parsed(text, path, line) for line, text in comments if _MEANT.match(text))
    return tuple(_placed(each, layout) for each in found)


def apply(
    findings: Sequence[Finding],
    suppressions: Mapping[str, Sequence[Suppression]],
    known_rules: Collection[str],
    *,
    asked_rules: Collection[str] | None = None,
    revisions: Mapping[str, str] | None = None,
    not_wholly_seen: Collection[str] = (),
) -> tuple[Finding, ...]:
    """`findings` with those marked that a comment accepts, and one more for each comment that is wrong or unused.

    `suppressions` by path, as findings spell paths. Of `known_rules`, `asked_rules` are those that were asked in
    this review (default: all): a comment for another rule is not called unused. `revisions` names the revision of
    each path. Where not everything of a file was seen, in `not_wholly_seen`, no comment is called unused.
    """
    asked = known_rules if asked_rules is None else asked_rules
    used: set[tuple[Suppression, str]] = set()
    marked = tuple(_marked(finding, suppressions, used) for finding in findings)
    everything = [each for path in sorted(suppressions) for each in suppressions[path]]
    complaints = [
        complaint
        for each in everything
        for complaint in (
            *_mistakes(each, known_rules),
            *(() if each.path in not_wholly_seen else _idle(each, used, known_rules, asked)),
        )
    ]
    names = revisions or {}
    return (
        *marked,
        *(replace(each, revision=names.get(each.location.path)) for each in complaints if each.location),
    )


class _Layout(Struct, frozen=True):
    """Where the comments and the logical lines of a file are."""

    comments: Mapping[int, str]
    alone: frozenset[int]
    """Lines that hold nothing but a comment."""
    logical: tuple[tuple[int, int], ...]
    """First and last line of each logical line."""

    @classmethod
    def of(cls, raw: bytes) -> _Layout:
        comments: dict[int, str] = {}
        alone: set[int] = set()
        logical: list[tuple[int, int]] = []
        start = end = 0
        for token in _tokens(raw):
            line = token.start[0]
            if token.type == tokenize.COMMENT:
                comments[line] = token.string
                if not token.line[: token.start[1]].strip():
                    alone.add(line)
            elif token.type == tokenize.NEWLINE:
                logical.append((start or line, max(end, line)))
                start = end = 0
            elif token.type not in _BETWEEN:
                start, end = start or line, token.end[0]
        if start:
            logical.append((start, end))
        return cls(comments, frozenset(alone), tuple(logical))

    def around(self, line: int) -> tuple[int, int] | None:
        """The logical line that `line` is part of, or that begins right below the comments from `line` on."""
        inside = next((each for each in self.logical if each[0] <= line <= each[1]), None)
        if inside:
            return inside
        below = line
        while below in self.alone:
            below += 1
        return next((each for each in self.logical if each[0] == below), None)


_BETWEEN = frozenset({tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER})


def _tokens(raw: bytes) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.tokenize(io.BytesIO(raw).readline)
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError):
        # The file itself is broken, which is said where the history is read.
        return


def _parsed(text: str, path: str, line: int) -> Suppression:
    match = _RIGHT.match(text)
    if match is None:
        return Suppression(path, line, (), "", problem=f"This comment does not have the form `{_FORM}`.")
    kind, listed, rest = match.groups()
    rules = tuple(rule.strip() for rule in listed.split(","))
    reason = _AFTER.sub("", rest).strip().lstrip(":-— ").strip()
    problem = None
    if not all(rules):
        problem = f"This suppression names no rule; write `{_FORM}`."
    elif not reason:
        problem = f"This suppression of `{', '.join(rules)}` gives no reason; add why it is safe after the bracket."
    return Suppression(path, line, rules, reason, kind == "allow-file", problem=problem)


def _placed(each: Suppression, layout: _Layout) -> Suppression:
    lines = None if each.whole_file else layout.around(each.line)
    return replace(each, first_line=lines[0], last_line=lines[1]) if lines else each


def _marked(
    finding: Finding, suppressions: Mapping[str, Sequence[Suppression]], used: set[tuple[Suppression, str]]
) -> Finding:
    if finding.location is None:
        return finding
    line = finding.location.line
    matching = [
        each
        for each in suppressions.get(finding.location.path, ())
        if each.problem is None and finding.rule in each.rules and each.covers(line)
    ]
    used.update((each, finding.rule) for each in matching)
    replaced = finding.evidence.get("replaces")
    if isinstance(replaced, list):  # what they allow was said, by another rule that has proof
        near = [each for each in suppressions.get(finding.location.path, ()) if each.covers(line)]
        used.update((each, rule) for each in near for rule in each.rules if rule in replaced)
    if not matching or finding.suppressed:
        return finding
    nearest = min(matching, key=lambda each: (each.whole_file, abs(each.line - line)))
    return replace(finding, suppressed=Suppressed(nearest.reason, nearest.line))


def _mistakes(each: Suppression, known_rules: Collection[str]) -> Iterator[Finding]:
    if each.problem:
        yield _complaint(UNKNOWN, each, each.problem)
    for rule in each.rules:
        if rule and rule not in known_rules:
            yield _complaint(
                UNKNOWN, each, f"There is no rule `{rule}` to allow. {nearest_rule(rule, known_rules)}", rule
            )


def _idle(
    each: Suppression, used: Iterable[tuple[Suppression, str]], known_rules: Collection[str], asked: Collection[str]
) -> Iterator[Finding]:
    if each.problem:
        return
    for rule in dict.fromkeys(each.rules):
        if rule in known_rules and rule in asked and (each, rule) not in used:
            where = "in this file" if each.whole_file else "on its line or the line below"
            message = f"This suppression of `{rule}` matches no finding {where}; remove it."
            if not each.whole_file and not each.first_line:
                message = f"This suppression of `{rule}` is not above a statement; put it directly above one, or at its end."
            yield _complaint(UNUSED, each, message, rule)


def _complaint(rule: str, each: Suppression, message: str, named: str | None = None) -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        message=message,
        revision=None,
        location=Location(each.path, each.line),
        direction=Direction.UPGRADE,
        basis=Basis.PARSED,
        evidence={"rule": named} if named else {},
    )
