"""Findings that differ in nothing but names, such as those of a loop: read as one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from reviewer.report.digest import Shown, digest, number
from reviewer.review.finding import Finding
from reviewer.review.verdict import Report
from reviewer.sql.names import listed

_NAME = re.compile(r"`[^`]*`")
_LISTED = 8
"""Most findings whose names are listed."""


class Group(Struct, frozen=True):
    """Findings of one rule at one line: the first stands for the others."""

    shown: Shown
    others: tuple[Shown, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All of them."""
        return (self.shown.finding, *(each.finding for each in self.others))

    @property
    def times(self) -> str:
        """` (4 times)`, to follow the title; empty for a finding that stands alone."""
        return f" ({len(self.findings)} times)" if self.others else ""

    @property
    def likewise(self) -> str:
        """What the others name in place of what the first one names, as the end of a sentence; empty without others."""
        labels = [self._label(each) for each in self.others]
        named = list(dict.fromkeys(each for each in labels if each))
        same = labels.count("")
        more = [f"{number(same, 'statement')} more"] if same else []
        return listed([*named, *more], _LISTED)

    def _label(self, other: Shown) -> str:
        """`` `ix_2` (`t2`) ``."""
        here, there = (_NAME.findall(each.finding.message) for each in (self.shown, other))
        first, *rest = dict.fromkeys(b for a, b in zip(here, there, strict=True) if a != b) or [""]
        return f"{first} ({', '.join(rest)})" if rest else first


def findings_of(found: Iterable[Group]) -> Iterator[Finding]:
    """The findings of all groups, one by one: they are what is counted."""
    return (finding for group in found for finding in group.findings)


def groups(report: Report) -> list[Group]:
    """All active findings of a report, in the order in which they are shown."""
    return [each for tree in report.trees for each in together(digest(tree).all_findings)]


def together(findings: Iterable[Shown]) -> Iterator[Group]:
    """The findings in their order, each with those after it that say the same at the same line."""
    found: dict[object, list[Shown]] = {}
    for number_, shown in enumerate(findings):
        found.setdefault(_saying(shown.finding) or number_, []).append(shown)
    return (Group(first, tuple(others)) for first, *others in found.values())


def _saying(finding: Finding) -> object:
    """What must be equal; None for a finding without a line, which stands alone."""
    if finding.location is None:
        return None
    way_out = (len(finding.remedy), bool(finding.fix and finding.fix.diff))
    words = _NAME.sub("``", finding.message)
    place = str(finding.location)
    return finding.rule, finding.severity, finding.direction, finding.revision, place, words, way_out
