"""One cause, one finding: what one rule says of one table in one revision is said once, with all that it covers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from reviewer.review.finding import Finding
from reviewer.sql.names import listed

_MOST_LINES = 8


def merged(findings: Iterable[Finding], rules: Collection[str]) -> tuple[Finding, ...]:
    """The findings of `rules`, one for each revision, direction, severity and table: the first, which tells how many more
    there are and in which lines. Suppressed ones, and those of other rules, stay as they are.
    """
    return tuple(_one(same) for same in alike(findings, rules))


def alike(findings: Iterable[Finding], rules: Collection[str]) -> Iterable[list[Finding]]:
    """The findings that become one, together; each of the others by itself."""
    found: dict[tuple[object, ...], list[Finding]] = {}
    for number, each in enumerate(findings):
        alone = each.suppressed is not None or each.table is None or each.location is None or each.rule not in rules
        key = (number,) if alone else (each.rule, each.severity, each.revision, each.direction, each.table)
        found.setdefault(key, []).append(each)
    return found.values()


def _one(same: list[Finding]) -> Finding:
    first, more = same[0], same[1:]
    if not more:
        return first
    lines = sorted({each.location.line for each in more if each.location is not None})
    here = first.location.line if first.location is not None else 0
    elsewhere = [line for line in lines if line != here]
    place = (
        f"line{'s' if len(elsewhere) > 1 else ''} {listed([str(n) for n in elsewhere], _MOST_LINES)}"
        if elsewhere
        else "the same line"
    )
    covers = [{"line": each.location.line if each.location else 0, "message": each.message} for each in more]
    return replace(
        first,
        message=f"{first.message} The same holds for {len(more)} more of the kind on `{first.table}`, in {place}.",
        evidence={**first.evidence, "covers": covers},
        stands_for=(*first.stands_for, *(about for each in more for about in (each.about, *each.stands_for))),
    )
