"""Upgrade notes in Markdown, as a published application has them in its changelog."""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.release.loops import folded
from reviewer.release.model import Duration, Release
from reviewer.report.digest import number
from reviewer.report.release import words
from reviewer.report.release.markdown import code, prose, table
from reviewer.sql.names import listed

_LISTED = 12
"""Most statements that are listed."""


def render(release: Release) -> str:
    """What users of the application have to know before they upgrade their database."""
    return "\n".join(_lines(release)).rstrip() + "\n"


def _lines(release: Release) -> Iterator[str]:
    yield f"## Database upgrade from {prose(release.start)} to {prose(release.end)}"
    yield ""
    if not release.revisions:
        yield "The database does not change."
        return
    yield from table(
        ("Revision", "What changes", "Takes"),
        ((each.id, release.phrase(each.id), _takes(each.id, release)) for each in release.revisions),
    )
    slow = folded(step for step in release.timeline.steps if step.duration.grows_with)
    if slow:
        yield "### What takes as long as a table is large"
        yield ""
        for each in slow[:_LISTED]:
            does = ", ".join(each.first.seen) or "changes rows"
            yield f"- {prose(f'{each.first.revision} {does}{each.times}: {_as_long(each.duration)}')}"
        if left := sum(len(each.steps) for each in slow[_LISTED:]):
            yield f"- and {number(left, 'more statement')}"
        yield ""
    if release.plan.check:
        yield "### Check before"
        yield ""
        for action in release.plan.check:
            yield prose(f"{action.title}. {action.detail}")
            yield from code(action.code, action.language)
    if release.plan.beforehand:
        yield "### Can be run before, while the application runs"
        yield ""
        for action in release.plan.beforehand:
            yield prose(f"{action.title}. {action.detail}")
            yield from code(action.code, action.language)
    yield "### Going back"
    yield ""
    yield prose(f"Point of no return: {words.no_return(release)}.")
    yield ""


def _as_long(duration: Duration) -> str:
    """How long it takes those who upgrade: per million rows, or in production where its sizes are known."""
    if duration.estimate is not None or not duration.growth:
        return duration.words
    tables = listed([f"`{each.before}`" for each in duration.grows_with])
    return f"grows with {tables}; {duration.growth}"


def _takes(revision: str, release: Release) -> str:
    steps = [step for step in release.timeline.steps if step.revision == revision]
    grows = any(step.duration.grows_with for step in steps)
    return "as long as its tables are large, see below" if grows else "a moment"
