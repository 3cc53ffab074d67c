"""Where everything is in the picture of the timeline: tables as rows, statements as columns, locks as bars.

Each statement has a column of a least width, and more the longer it took, so that the picture is in order and not to
scale: a millisecond beside a minute would not be seen. Statements in a row that change nothing for others share a
column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Struct

from reviewer.release.model import Band, Hold, Release, Step, Timeline, told_seconds
from reviewer.report import inert
from reviewer.report.release import words

ROW = 34
"""Height of a table's row."""
TOP = 44
"""Height of the band above the rows."""
_LEAST = 18
_MOST = 130
"""Widths of a column."""
_WIDTH = 860
"""The picture is at least that wide."""
_LETTER = 7.6
"""Width of a capital letter of a lock's name."""
_DETAIL = 600
"""Characters of a statement that are shown beside the picture."""


class Bar(Struct, frozen=True):
    """A lock, or work under it."""

    id: str
    kind: str
    """`reads`, `writes` or `work`."""
    x: float
    y: float
    width: float
    height: float
    label: str
    """Inside the bar, if there is room."""
    title: str
    """All of it, for who hovers, and for screen readers."""
    facts: tuple[tuple[str, str], ...]
    """What is shown beside the picture for the bar that is pointed at."""
    sql: str


class Row(Struct, frozen=True):
    """A table."""

    name: str
    y: float


class Strip(Struct, frozen=True):
    """A transaction."""

    title: str
    number: int
    what: str
    """Its revisions, as far as there is room beside the number."""
    x: float
    width: float
    transaction: bool


class Chart(Struct, frozen=True):
    """The picture."""

    width: float
    height: float
    rows: tuple[Row, ...]
    strips: tuple[Strip, ...]
    bars: tuple[Bar, ...]
    short: tuple[tuple[str, str], ...] = ()
    """The short names of locks that are in the picture, each with what it stands for."""

    @property
    def empty(self) -> bool:
        """Whether nothing is locked that others wait for."""
        return not self.bars


def chart(release: Release) -> Chart:
    """The picture of a release's timeline."""
    timeline = release.timeline
    tables = {str(table): n for n, table in enumerate(timeline.tables)}
    columns, width = _columns(timeline)
    rows = tuple(Row(inert.name(name), TOP + ROW * n) for name, n in tables.items())
    strips = tuple(_strip(band, columns) for band in timeline.bands if band.steps)
    bars = tuple(bar for band in timeline.bands for bar in _bars(band, timeline, tables, columns))
    labels = {bar.label for bar in bars}
    modes = dict.fromkeys(hold.mode.value for hold in timeline.holds)
    short = tuple((initials, mode) for mode in modes if (initials := _initials(mode)) in labels)
    return Chart(width, TOP + ROW * max(len(rows), 1) + 6, rows, strips, bars, short)


def _columns(timeline: Timeline) -> tuple[dict[int, tuple[float, float]], float]:
    """From where to where each statement goes, by its number, and the width of them all."""
    interesting = {number for hold in timeline.holds for number in (hold.since,)}
    found: dict[int, tuple[float, float]] = {}
    x = 0.0
    shared: tuple[float, float] | None = None
    for band in timeline.bands:
        shared = None
        for step in band.steps:
            if step.number in interesting or step.duration.grows_with:
                width = min(_LEAST + 24 * math.log10(1 + step.duration.measured * 1000), _MOST)
                found[step.number] = (x, x + width)
                x, shared = x + width, None
            elif shared is None:
                shared = found[step.number] = (x, x + _LEAST)
                x += _LEAST
            else:
                found[step.number] = shared
        x += 8
    width = max(x - 8, 1.0)
    stretch = max(_WIDTH / width, 1.0)
    return {number: (a * stretch, b * stretch) for number, (a, b) in found.items()}, width * stretch


def _strip(band: Band, columns: dict[int, tuple[float, float]]) -> Strip:
    x, end = columns[band.steps[0].number][0], columns[band.steps[-1].number][1]
    title, what = inert.name(words.band_title(band)), inert.name(words.band_revisions(band))
    return Strip(title, band.number, what, x, end - x, band.transaction)


def _bars(
    band: Band, timeline: Timeline, tables: dict[str, int], columns: dict[int, tuple[float, float]]
) -> Iterator[Bar]:
    for n, hold in enumerate(band.holds):
        if not hold.blocks:
            continue
        x, end = columns[hold.since][0], columns[hold.until][1]
        y = TOP + ROW * tables[str(hold.table)] + 5
        later = [other for other in band.holds[n + 1 :] if str(other.table) == str(hold.table)]
        if later:  # a stronger lock continues from there
            end = max(columns[later[0].since][0], x + 6)
        kind = "reads" if hold.blocks_reads else "writes"
        yield _bar(f"lock-{band.number}-{n}", kind, (x, y, end - x, ROW - 12), hold, timeline)
        for step in timeline.steps[hold.since - 1 : hold.until]:
            # a statement works on the table that it is about: once, under the first lock there
            about = any(hold.table.as_name.matches(each.table) for each in step.duration.grows_with)
            earlier = [o for o in band.holds[:n] if str(o.table) == str(hold.table) and o.since <= step.number]
            if about and not earlier:
                a, b = columns[step.number]
                yield _work(f"work-{step.number}-{n}", (a, y + ROW - 16, b - a, 4), step)


def _bar(id_: str, kind: str, box: tuple[float, float, float, float], hold: Hold, timeline: Timeline) -> Bar:
    step = timeline.step(hold.since)
    room = box[2] - 8
    short = hold.mode.value
    label = short if len(short) * _LETTER < room else _initials(short) if room > 14 else ""
    facts = (
        ("Lock", f"{hold.mode} on {hold.table}, so {hold.blocks} wait"),
        ("Held", words.span(hold, timeline)),
        ("For", hold.duration.words.replace("`", "")),
        ("Taken by", _where(step)),
        ("Evidence", _evidence(step)),
        ("Waiting for it", "bounded by lock_timeout" if hold.bounded else "not bounded: no lock_timeout"),
    )
    title = f"{hold.mode} on {hold.table}: {hold.blocks} wait {words.span(hold, timeline)}, {facts[2][1]}"
    return Bar(id_, kind, *box, label, inert.sentence(title), facts, _sql(step))


def _initials(mode: str) -> str:
    return "".join(word[0] for word in mode.split())


def _work(id_: str, box: tuple[float, float, float, float], step: Step) -> Bar:
    does = ", ".join(step.seen).replace("`", "") or "changes rows"
    facts = (
        ("Work", does),
        ("Takes", step.duration.words.replace("`", "")),
        ("Statement of", _where(step)),
        ("Evidence", _evidence(step)),
    )
    return Bar(id_, "work", *box, "", inert.sentence(f"{step.revision} {does}: {facts[1][1]}"), facts, _sql(step))


def _where(step: Step) -> str:
    return str(step.location) if step.location is not None else words.place(step)


def _evidence(step: Step) -> str:
    if step.documented:
        return "the manual: it ran outside a transaction and kept no lock to look at"
    return f"observed on the server, {told_seconds(step.duration.measured)} for this statement"


def _sql(step: Step) -> str:
    return inert.block(step.statement.sql.strip(), limit=_DETAIL)
