"""How long each statement of the deploy takes, from the runs at several sizes; with sizes in production, how long there.

The one place where a time of this machine becomes one of production. What it is made of is in the result: the sizes
that were measured, the rows there, the factor between the machines.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import UsageError
from reviewer.recording import Direction, Location, Origin, Recording, Scale, ScaledRun, Sized, Taken
from reviewer.review.finding import Finding
from reviewer.review.fit import NOT_CLOSER, Fit, Kind, Point, Range, fit
from reviewer.sql.names import VERSION_TABLE, Name, listed
from reviewer.stats.sizes import Production, told_rows

_LISTED = 3
_COMPARABLE = 0.1
"""Seconds: what takes less says nothing of how much faster another machine is."""
_KNOWN = 0.05
"""Seconds: what takes less and does not grow is not worth a line."""


class Duration(Struct, frozen=True):
    """How long one statement takes, or a block of code that sends several from one line."""

    revision: str
    direction: Direction
    location: Location | None
    sql: str
    count: int
    """How many statements it was at the largest size."""
    block: bool
    tables: tuple[Name, ...]
    """Those that it was seen to work through."""
    fit: Fit
    rows: int | None = None
    """Rows of the counted tables in production; None if that is unknown."""
    production: Range | None = None
    """Seconds there."""
    counted: tuple[Name, ...] = ()
    """The tables whose rows are counted: of those that it works through the ones that were filled. Where there are none,
    all that were filled, of which one is as good as another.
    """
    together: bool = True
    """Whether the rows of those tables are counted together, or each is one that it may work through."""

    @property
    def grows(self) -> bool:
        """Whether it takes longer with more rows, as far as is known."""
        return self.fit.kind is not Kind.FLAT

    @property
    def phrase(self) -> str:
        """`0.4 to 0.6 s per million rows`, or why that is unknown."""
        per = self.fit.per_million
        match self.fit.kind:
            case Kind.FLAT:
                return f"does not grow ({told_seconds(self.fit.largest.seconds)})"
            case Kind.UNMEASURED if not self.fit.bounded:
                return f"not measured: {self.fit.reason}"
            case Kind.UNMEASURED:
                return f"growth could not be measured: {self.fit.reason}; at most {told_seconds(per.high)} per million rows"
            case Kind.WORSE:
                return f"worse than linear, from {told(per)} per million rows on"
            case _:
                return f"{told(per)} per million rows" + (f", {NOT_CLOSER}" if per.vague else "")

    @property
    def sentence(self) -> str:
        """What it says beside a finding."""
        if not self.fit.bounded:
            return f"How it grows was not measured: {self.fit.reason}."
        last = self.fit.largest
        seen = f"Measured up to {told_rows(last.rows)}: {self.phrase}."
        if self.production is None or self.rows is None:
            return seen
        return f"{seen} With {told_rows(self.rows)} in production {told(self.production)}{self.doubt}."

    @property
    def doubt(self) -> str:
        """What to say after its range in production if that is too wide: nothing where its growth says the same."""
        said = self.fit.kind is Kind.UNMEASURED or self.fit.per_million.vague
        return f", {NOT_CLOSER}" if self.production is not None and self.production.vague and not said else ""


class Durations(Struct, frozen=True):
    """Those of one tree."""

    all: tuple[Duration, ...] = ()
    """In the order in which they ran."""
    sizes: tuple[int, ...] = ()
    """Rows of the tables in the runs, smallest first."""
    factor: float = 1.0
    """How many times slower production is than the machine that measured."""
    calibrated: str = ""
    """The revisions whose time in production says so; empty: nobody has said."""
    unused: tuple[tuple[str, str], ...] = ()
    """Revisions whose time in production says nothing, each with the reason."""

    @property
    def worth_telling(self) -> tuple[Duration, ...]:
        """Those that grow or take time, the longest first."""
        worth = [each for each in self.all if each.grows or each.fit.largest.seconds >= _KNOWN]
        return tuple(sorted(worth, key=lambda each: -_weight(each)))

    def of_statement(
        self, revision: str, direction: Direction, location: Location | None, sql: str
    ) -> Duration | None:
        """That of a statement, or of the block that sent it; None if it was not measured."""
        return next(
            (
                each
                for each in self.all
                if (each.revision, each.direction, each.location) == (revision, direction, location)
                and (each.block or _same(each.sql, sql))
            ),
            None,
        )

    def of_revision(self, revision: str, direction: Direction) -> Range | None:
        """Seconds of all its statements in production; None if a size is unknown, or nothing was measured."""
        found = [each for each in self.all if (each.revision, each.direction) == (revision, direction)]
        if not found or any(each.production is None for each in found):
            return None
        total = Range(0.0, 0.0)
        for each in found:
            assert each.production is not None
            total += each.production
        return total

    @property
    def made_of(self) -> str:
        """What the times rest on, as a phrase."""
        sizes = listed([f"{each:,}" for each in self.sizes])
        machine = (
            f"in production {self.factor:.2g} times as long as here, as {self.calibrated} took there"
            if self.calibrated
            else "as if production were as fast as this machine (--calibrate)"
        )
        return f"measured at {sizes} rows, {machine}"


def _weight(each: Duration) -> float:
    return each.production.high if each.production is not None else each.fit.largest.seconds


def durations(
    recording: Recording, production: Production | None = None, calibrate: Sequence[tuple[str, float]] = ()
) -> Durations:
    """What was measured of the revisions of `recording`, in the order in which they ran. `calibrate`: beginnings of the
    ids of revisions, of any tree, each with the seconds that it took in production.
    """
    scale = recording.scale
    if scale is None or not scale.runs:
        return Durations()
    found = tuple(_sized(each, production) for each in _measured(scale, recording, production))
    made = Durations(found, tuple(sorted({each.rows for each in scale.runs})))
    factors: list[tuple[str, float]] = []
    unused: list[tuple[str, str]] = []
    for name, seconds in calibrate:
        for revision in (each.id for each in recording.revisions if each.id.startswith(name)):
            total = made.of_revision(revision, Direction.UPGRADE)
            if total is None:
                unused.append((revision, _why_unknown(made, revision)))
            elif total.vague:
                unused.append((revision, f"it takes {told(total)} as measured here, which {NOT_CLOSER}"))
            elif total.middle < _COMPARABLE:
                unused.append((revision, f"it takes {told(total)} as measured here, too little to compare"))
            else:
                factors.append((revision, seconds / total.middle))
    if not factors:
        return replace(made, unused=tuple(unused))
    factor = math.prod(each for _, each in factors) ** (1 / len(factors))
    return replace(
        made,
        factor=factor,
        calibrated=listed(list(dict(factors))),
        unused=tuple(unused),
        all=tuple(replace(e, production=e.production.times(factor) if e.production else None) for e in found),
    )


def refuse_unknown(calibrate: Iterable[tuple[str, float]], revisions: Collection[str]) -> None:
    """Raise `UsageError` if a name to calibrate by is the beginning of none of the new `revisions`, or of several."""
    for name, _ in calibrate if revisions else ():
        meant = [each for each in revisions if each.startswith(name)]
        if len(meant) != 1:
            what = f"{listed(meant, _LISTED)} begin with that" if meant else "no new revision begins with that"
            raise UsageError(f"--calibrate {name}: {what}.", f"Name one of {listed(list(revisions), _LISTED)}.")


def _why_unknown(found: Durations, revision: str) -> str:
    """Why there is no time in production for the upgrade of `revision`."""
    there = [each for each in found.all if (each.revision, each.direction) == (revision, Direction.UPGRADE)]
    if not there:
        return "none of its statements was measured"
    missing = next(each for each in there if each.production is None)
    if not missing.fit.bounded:
        return f"its growth was not measured: {missing.fit.reason}"
    return f"the size of {listed([str(name) for name in missing.counted], _LISTED)} in production is not known (--stats)"


def _measured(scale: Scale, recording: Recording, production: Production | None) -> Iterable[Duration]:
    keys = dict.fromkeys(
        _key(each) for run in scale.runs for each in run.taken if each.origin is not Origin.ALEMBIC
    )
    blocks = {key[:3] for key in keys if key[3] is None}
    base = [each.name for each in recording.base.tables if each.name.name != VERSION_TABLE]
    for key in dict.fromkeys(key if key[:3] not in blocks else (*key[:3], None) for key in keys):
        of_runs = [(run, _of(run, key)) for run in scale.runs]
        there = [(run, taken) for run, taken in of_runs if taken]
        points = [(run, _point(run, taken)) for run, taken in there]
        if not points:
            continue
        first, last = there[-1][1][0], there[-1][1]
        works = any(each.works for each in last)
        tables = tuple(
            dict.fromkeys(n for each in last for n in each.tables if any(n.matches(known) for known in base))
        )
        filled = _filled(there[-1][0], last)
        found = fit([point for _, point in points], works and (bool(tables) or first.block))
        ran = [run for run, _ in there]
        lacking = [each for each in filled if _lacks_rows(each, ran, production)]
        if works and not filled:  # it may work on any of them
            lacking = [each for each in ran[-1].tables if not each.rows]
        if lacking:
            # what the others cost says nothing of what these do
            found = Fit(Kind.UNMEASURED, found.points, Range(0, 0), reason=_why_lacking(lacking))
        yield Duration(
            first.revision,
            first.direction,
            first.location,
            first.sql,
            sum(each.count for each in last),
            first.block,
            tables,
            found,
            counted=tuple(each.table for each in filled or there[-1][0].tables),
            together=bool(filled),
        )


def _lacks_rows(table: Sized, runs: Sequence[ScaledRun], production: Production | None) -> bool:
    """Whether a table was empty, or had as many rows in every run, so that nothing tells what more of them cost. One that
    has no more in production costs no more there.
    """
    sizes = {each.rows for run in runs for each in run.tables if each.table == table.table and each.rows}
    if len(sizes) > 1 or len({run.rows for run in runs}) < 2:
        return not sizes
    there = production.size(table.table) if production is not None else None
    return not sizes or there is None or there.rows is None or there.rows > max(sizes)


def _why_lacking(lacking: Sequence[Sized]) -> str:
    """`orders and items were empty, as revision c fails on rows of orders`, as a phrase."""
    empty = [each for each in lacking if not each.rows]
    shown = empty or lacking
    names = listed([str(each.table) for each in shown], _LISTED)
    had = "empty" if empty else f"of {told_rows(shown[0].rows)} in every run"
    why = next((f", as {each.why.rstrip('.')}" for each in shown if each.why), "")
    return f"{names} {'was' if len(shown) == 1 else 'were'} {had}{why}"


def _point(run: ScaledRun, taken: Sequence[Taken]) -> Point:
    return Point(_rows(run, taken), sum(each.whole for each in taken), sum(each.waited for each in taken))


def _key(taken: Taken) -> tuple[str, Direction, Location | None, str | None]:
    return (taken.revision, taken.direction, taken.location, None if taken.block else taken.sql)


def _of(run: ScaledRun, key: tuple[str, Direction, Location | None, str | None]) -> list[Taken]:
    return [
        each
        for each in run.taken
        if each.origin is not Origin.ALEMBIC
        and (_key(each) == key or (key[3] is None and _key(each)[:3] == key[:3]))
    ]


def _rows(run: ScaledRun, taken: Sequence[Taken]) -> int:
    """Rows of the tables that it works on, all together; of one that works on none of them the size of the run."""
    filled = _filled(run, taken)
    return sum(each.rows for each in filled) if filled else run.rows


def _filled(run: ScaledRun, taken: Sequence[Taken]) -> list[Sized]:
    """Those of the tables that it works on that the run filled."""
    names = [name for each in taken for name in each.tables]
    return [each for each in run.tables if any(each.table.matches(name) for name in names)]


def _sized(each: Duration, production: Production | None) -> Duration:
    """The same with the time that it takes in production."""
    if production is None:
        return each
    if not each.grows:
        return replace(each, production=each.fit.at(0))
    if not each.fit.bounded:
        return each
    sizes = [production.size(name) for name in each.counted]
    rows = [size.rows for size in sizes if size is not None and size.rows is not None]
    if not rows or len(rows) < len(sizes):
        return each
    if not each.together:
        return replace(
            each, rows=max(rows), production=Range(each.fit.at(min(rows)).low, each.fit.at(max(rows)).high)
        )
    # which of several tables costs how much is unknown: at least what all rows cost on average, at most what they would
    # if every table were as large as the largest
    low, high = each.fit.at(sum(rows)), each.fit.at(max(rows) * len(rows))
    return replace(each, rows=sum(rows), production=Range(low.low, high.high))


# -- beside a finding -----------------------------------------------------------------------------


def told_beside(findings: Iterable[Finding], found: Durations) -> tuple[Finding, ...]:
    """The findings that grow with a table, each with how long its statement takes."""
    return tuple(_told_beside(each, found) for each in findings)


def _told_beside(finding: Finding, found: Durations) -> Finding:
    if not finding.grows_with or finding.location is None:
        return finding
    here = [
        each
        for each in found.all
        if (each.revision, each.direction, each.location) == (finding.revision, finding.direction, finding.location)
        and each.grows
        and (finding.sql is None or each.block or _same(each.sql, finding.sql))
    ]
    if not here:
        return finding
    longest = max(here, key=_weight)
    return replace(finding, takes=longest.sentence.rstrip("."))


def _same(one: str, other: str) -> bool:
    return " ".join(one.split())[:1_000] == " ".join(other.split())[:1_000]


# -- words ----------------------------------------------------------------------------------------


def told(span: Range) -> str:
    """`0.42 to 0.61 s`, `5 to 7 min`."""
    low, high = told_seconds(span.low), told_seconds(span.high)
    if low == high:
        return low
    number, unit = low.rsplit(" ", 1)
    return f"{number} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def told_seconds(seconds: float) -> str:
    """`12 ms`, `3.4 s`, `5 min`, `2.1 h`: two digits."""
    for least, factor, unit in ((5_400.0, 3_600.0, "h"), (90.0, 60.0, "min"), (0.95, 1.0, "s")):
        if seconds >= least:
            number = seconds / factor
            return f"{number:.0f} {unit}" if number >= 10 else f"{number:.1f}".removesuffix(".0") + f" {unit}"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 1 else "under 1 ms"
