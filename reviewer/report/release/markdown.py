"""A release in Markdown: for a job summary, a wiki page, an issue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reviewer.release.model import Release, told_seconds
from reviewer.report import inert
from reviewer.report.alike import findings_of, groups
from reviewer.report.digest import counted, skipped
from reviewer.report.release import words

_SQL = 80
"""Characters of a statement in a table."""
_SPECIAL = str.maketrans({each: f"\\{each}" for each in r"\*_[]<>|#~&"})


def render(release: Release) -> str:
    """`release` as a page of Markdown."""
    return inert.without_commands("\n".join(_lines(release)).rstrip() + "\n")


def _lines(release: Release) -> Iterator[str]:
    yield f"# {prose(words.title(release))}"
    yield ""
    yield f"**{words.may(release)}**"
    yield ""
    yield from (f"- {prose(reason)}" for reason in release.verdict.reasons)
    if release.revisions:
        yield from (f"- {label}: {prose(sentence)}" for label, sentence in words.waits(release))
        yield f"- point of no return: {prose(words.no_return(release))}"
    yield from (f"- note: {prose(note)}" for note in release.notes)
    yield ""
    if release.revisions:
        yield from _takes_longest(release)
        yield from _timeline(release)
        yield from _order(release)
        yield from _plan(release)
        yield from _way_back(release)
        yield from _findings(release)
    yield from (f"Skipped: {prose(f'{each.what}: {each.reason}')}\n" for each in skipped(release.report))
    yield f"*{prose(' · '.join(words.footer(release)))}*"


def _takes_longest(release: Release) -> Iterator[str]:
    found, made_of = words.longest(release)
    if not found:
        return
    yield "## Takes longest"
    yield ""
    yield from table(
        ("Which way", "Statement", "Takes"),
        (
            (
                words.way(each),
                f"{f'{words.short(each.place)} ' if each.place else ''}`{inert.cut(each.what, _SQL).replace('`', '')}`",
                words.taken(each),
            )
            for each in found
        ),
    )
    yield f"{prose(made_of)}."
    yield ""


def _timeline(release: Release) -> Iterator[str]:
    yield "## Timeline"
    yield ""
    found = [(band, hold) for band in release.timeline.bands for hold in band.holds if hold.blocks]
    yield from table(
        ("Transaction", "Table", "Lock", "Waits", "Held", "For"),
        (
            (
                words.band_title(band),
                f"`{hold.table}`",
                str(hold.mode),
                hold.blocks,
                words.span(hold, release.timeline),
                hold.duration.words,
            )
            for band, hold in found
        ),
    )
    if not found:
        yield f"No lock on an existing table that others wait for; {told_seconds(release.timeline.seconds)} of the server in all."
        yield ""
    for band in release.timeline.bands:
        if band.order:
            yield f"{prose(f'Transaction {band.number} locks one after another: ' + ', then '.join(f'`{each}`' for each in band.order))}."
            yield ""


def _order(release: Release) -> Iterator[str]:
    yield "## Order"
    yield ""
    yield from table(
        (
            "Revision",
            "What it does",
            "When",
            "Old code on the new schema",
            "New code on the old schema",
            "Declared",
        ),
        (
            (
                f"`{each.revision.id}`",
                release.phrase(each.revision.id),
                each.when.value,
                each.old.value,
                each.new.value,
                words.declared(each),
            )
            for each in release.sequence.orders
        ),
    )
    shared, alone = words.reasons(release)
    yield from (f"- {prose(sentence)}" for sentence in (*release.sequence.untried, *shared))
    for each in release.sequence.orders:
        for sentence in (*alone[each.revision.id], *each.how):
            yield f"- {prose(f'`{each.revision.id}`: {sentence}')}"
    yield ""


def _plan(release: Release) -> Iterator[str]:
    if release.plan.parts:
        yield "## Plan"
        yield ""
    for title, actions in release.plan.parts:
        yield f"### {title}"
        yield ""
        for action in actions:
            where = f" ({action.location})" if action.location is not None else ""
            yield f"**{prose(action.title)}**{prose(where)} {prose(action.detail)}".rstrip()
            yield from code(action.code, action.language)


def _way_back(release: Release) -> Iterator[str]:
    yield "## Way back"
    yield ""
    yield from table(
        ("Revision", "Label", "What there is to say"),
        ((f"`{each.revision.id}`", each.label, words.back_line(each)) for each in release.way_back),
    )


def _findings(release: Release) -> Iterator[str]:
    found = groups(release.report)
    if found:
        yield f"## Findings: {counted(findings_of(found))}"
        yield ""
        for group in found:
            each = group.shown.finding
            where = f" {each.location}" if each.location is not None else ""
            more = f" Likewise: {group.likewise}." if group.likewise else ""
            told = f"`{each.rule}`{where}{group.times}: {each.message}{more}"
            yield f"- **{each.severity.value}** {prose(told)}"
        yield ""


def prose(text: str) -> str:
    """A sentence of somebody's, what is between back-ticks as code, everything else as it is."""
    parts = inert.sentence(text).split("`")
    if len(parts) % 2 == 0:
        return "".join(part.translate(_SPECIAL) for part in parts)
    return "".join(f"`{part}`" if n % 2 and part else part.translate(_SPECIAL) for n, part in enumerate(parts))


def code(text: str, language: str) -> Iterator[str]:
    """A block of code, and an empty line after it; only that without code."""
    if text:
        shown = inert.block(text)
        fence = "`" * max(3, *(len(run) + 1 for run in _runs(shown)))
        yield from ("", f"{fence}{language}", shown, fence)
    yield ""


def _runs(text: str) -> Iterator[str]:
    import re

    yield from re.findall(r"`+", text)
    yield "``"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table, and an empty line after it; nothing without rows."""
    found = list(rows)
    if not found:
        return
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in found:
        yield f"| {' | '.join(prose(each).replace('|', '&#124;') if '|' in each and '`' in each else prose(each) for each in row)} |"
    yield ""
