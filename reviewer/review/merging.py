"""One cause, one finding: what one rule says of one table in one revision, or of one file, is said once, with all
that it covers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from reviewer.review.finding import Finding
from reviewer.sql.names import listed

_MOST_LINES = 8


def merged(
    findings: Iterable[Finding], rules: Collection[str], of_files: Collection[str] = ()
) -> tuple[Finding, ...]:
    """The findings of `rules`, one for each revision, direction, severity and table: the first, which tells how many more
    there are and in which lines. Those of the rules `of_files` become one for each file. Suppressed ones, and those of
    other rules, stay as they are.
    """
    return tuple(_one(same) for same in alike(findings, rules, of_files))


def alike(
    findings: Iterable[Finding], rules: Collection[str], of_files: Collection[str] = ()
) -> Iterable[list[Finding]]:
    """The findings that become one, together; each of the others by itself."""
    found: dict[tuple[object, ...], list[Finding]] = {}
    for number, each in enumerate(findings):
        key: tuple[object, ...] = (number,)
        if each.suppressed is None and each.location is not None:
            same = (each.rule, each.severity, each.revision, each.direction)
            if each.rule in of_files:
                key = (*same, each.location.path)
            elif each.rule in rules and each.table is not None:
                key = (*same, each.table)
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
    on = f" on `{first.table}`" if first.table is not None else ""
    return replace(
        first,
        message=f"{first.message} The same holds for {len(more)} more of the kind{on}, in {place}.",
        evidence={**first.evidence, "covers": covers},
        stands_for=(*first.stands_for, *(about for each in more for about in (each.about, *each.stands_for))),
    )
