"""A release for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from reviewer.release.loops import folded
from reviewer.release.model import Action, Band, Hold, May, Release, Step, told_seconds
from reviewer.report import inert
from reviewer.report.alike import findings_of, groups
from reviewer.report.digest import counted, number, skipped
from reviewer.report.release import words
from reviewer.report.terminal import Terminal

_STYLE = {May.YES: "bold green", May.NOTHING: "bold green", May.WITH_CARE: "bold yellow"}
_BAR = 24
"""Columns of the longest bar."""
_STEPS = 12
"""Most statements of a transaction that are listed."""


def render(release: Release, terminal: Terminal = Terminal()) -> str:  # noqa: B008  (frozen)
    """`release` as text for `terminal`."""
    lines: list[Text] = []
    for indent, text in _lines(release):
        lines += terminal.wrapped(text, indent, hanging=2)
    return inert.without_commands(terminal.printed(lines))


def render_first(release: Release, terminal: Terminal = Terminal()) -> str:  # noqa: B008  (frozen)
    """What it comes to, in a line."""
    line = Text.assemble(
        (f"{inert.sentence(words.title(release))}. ", "bold"),
        (words.may(release), _STYLE.get(release.verdict.may, "bold red")),
    )
    return inert.without_commands(terminal.printed(terminal.wrapped(line, 0, hanging=2)))


def _lines(release: Release) -> Iterator[tuple[int, Text]]:
    yield 0, Text(inert.sentence(words.title(release)), style="bold")
    yield 0, Text(words.may(release), style=_STYLE.get(release.verdict.may, "bold red"))
    for reason in release.verdict.reasons:
        yield 2, _prose(f"- {reason}")
    if release.revisions:
        for label, sentence in (*words.waits(release), ("point of no return", words.no_return(release))):
            yield 2, Text.assemble((f"{label}: ", "dim"), _prose(sentence))
    for note in release.notes:
        yield 2, _prose(f"note: {note}")
    if not release.revisions:
        yield from _last(release)
        return
    yield from _takes_longest(release)
    yield from _heading("Timeline")
    for band in release.timeline.bands:
        yield from _band(band, release)
    yield from _heading("Order")
    shared, alone = words.reasons(release)
    for sentence in (*release.sequence.untried, *shared):
        yield 2, _prose(sentence)
    for each in release.sequence.orders:
        line = Text.assemble((inert.name(each.revision.id), "bold"), "  ", (each.when.value, "bold"), "  ")
        line.append_text(_prose(release.phrase(each.revision.id)))
        yield 2, line
        for sentence in (
            *filter(None, [words.cells(each)]),
            *alone[each.revision.id],
            *each.how,
            *filter(None, [words.declared(each)]),
        ):
            yield 4, _prose(sentence)
    for title, actions in release.plan.parts:
        yield from _heading(title)
        yield from _actions(actions)
    yield from _heading("Way back")
    for back in release.way_back:
        yield 2, Text.assemble((inert.name(back.revision.id), "bold"), "  ", (back.label, "bold"))
        if told := words.back_line(back):
            yield 4, _prose(told)
    yield from _findings(release)
    yield from _last(release)


def _heading(title: str) -> Iterator[tuple[int, Text]]:
    yield 0, Text("")
    yield 0, Text(title, style="bold")


def _takes_longest(release: Release) -> Iterator[tuple[int, Text]]:
    found, made_of = words.longest(release)
    if not found:
        return
    yield from _heading("Takes longest")
    for each in found:
        where = f"  {words.short(each.place)}" if each.place is not None else ""
        yield 2, Text.assemble((inert.name(words.way(each)), "bold"), (inert.name(where), "dim"))
        yield 4, Text("".join(inert.excerpt(each.what, lines=1, columns=90).lines))
        yield 4, _prose(words.taken(each))
    yield 2, Text(inert.name(made_of), style="dim")


def _band(band: Band, release: Release) -> Iterator[tuple[int, Text]]:
    yield 2, Text.assemble((inert.name(words.band_title(band)), "bold"), f"  {told_seconds(band.seconds)}")
    shown = folded(step for step in band.steps if _matters(step, band))
    for each in shown[:_STEPS]:
        step = each.first
        sql = inert.excerpt(step.statement.sql, lines=1, columns=70).lines
        yield 4, Text.assemble((words.place(step).ljust(24), "dim"), " ", "".join(sql), each.times)
        if step.seen or step.duration.grows_with:
            yield 6, _prose("; ".join([*step.seen, each.duration.words]))
    if left := sum(len(each.steps) for each in shown[_STEPS:]):
        yield 4, Text(f"and {number(left, 'more statement')}", style="dim")
    for hold in band.holds:
        if hold.blocks:
            yield 4, _hold(hold, band, release)
    if band.order:
        yield 4, _prose(f"locks one after another: {', then '.join(f'`{each}`' for each in band.order)}")


def _matters(step: Step, band: Band) -> bool:
    return bool(step.seen or step.duration.grows_with or any(hold.since == step.number for hold in band.holds))


def _hold(hold: Hold, band: Band, release: Release) -> Text:
    """The lock as a bar over the transaction: where it begins, and that it lasts to the end."""
    longest = band.seconds or 1.0
    before = round(_BAR * (hold.start - band.start) / longest)
    bar = " " * min(before, _BAR - 1) + "#" * max(_BAR - before, 1)
    does = f"{hold.blocks} of `{hold.table}` wait: {hold.mode} {words.span(hold, release.timeline)}"
    return Text.assemble((f"[{bar}] ", "red" if hold.blocks_reads else "yellow"), _prose(does))


def _actions(actions: Iterable[Action]) -> Iterator[tuple[int, Text]]:
    for each in actions:
        where = f"  {words.short(each.location)}" if each.location is not None else ""
        yield 2, _prose(f"{each.title}{where}")
        if each.detail:
            yield 4, _prose(each.detail)
        for line in inert.block(each.code).split("\n") if each.code else ():
            yield 6, Text(line)


def _findings(release: Release) -> Iterator[tuple[int, Text]]:
    every = groups(release.report)
    if not every:
        return
    yield from _heading(f"Findings: {counted(findings_of(every))}")
    for group in every:
        finding = group.shown.finding
        where = f" {words.short(finding.location)}" if finding.location is not None else ""
        yield 2, _prose(f"{finding.severity.value} {finding.rule}{where}{group.times}: {finding.message}")
        if group.likewise:
            yield 4, _prose(f"likewise: {group.likewise}")


def _last(release: Release) -> Iterator[tuple[int, Text]]:
    yield 0, Text("")
    for each in skipped(release.report):
        yield 0, _prose(f"skipped: {each.what}: {each.reason}")
    yield 0, Text(inert.name("; ".join(words.footer(release))), style="dim")


def _prose(text: str) -> Text:
    return Text(inert.sentence(text).replace("`", ""))
