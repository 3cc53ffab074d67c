"""An identity for each finding that survives moved lines, renamed files and changes of other findings."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

from reviewer.report.digest import Shown


def fingerprints(findings: Iterable[Shown]) -> Iterator[tuple[Shown, str]]:
    """Each finding with its fingerprint: the same for the same rule about the same thing in the same revision.

    Otherwise identical findings are numbered in order.
    """
    seen: Counter[str] = Counter()
    for shown in findings:
        finding = shown.finding
        about = finding.about or (" ".join((finding.sql or finding.message).split()),)
        parts = (finding.rule, shown.tree, finding.revision or "", finding.direction.value, *about)
        digest = hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]
        seen[digest] += 1
        yield shown, f"{digest}:{seen[digest]}"
