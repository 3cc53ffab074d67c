"""How a time grows with rows: a fit over few sizes, and what it says of other sizes. Always a range, never a number.

Pure arithmetic on measurements. A time is a fixed part and one that grows: in proportion to the rows, or as sorting them
does, which at few sizes look the same, so the truth is between what both say of a larger size. How far the runs are from
such a line is how far the next run may be from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise

from msgspec import Struct

_LEAST_NOISE = 0.15
"""Two runs may differ by so much, even if the two that were made do not."""
_MOST_NOISE = 0.6
_CLOCK = 0.002
"""Seconds that a round trip to the server may take more or less."""
_FEW = 100
"""Rows of which nothing can be concluded for a million."""
_SHORT = 0.02
"""What takes less seconds at the largest size has hardly begun to grow."""
_STEADY = 0.12
"""By which part runs differ from a line on the quietest machine."""
_SHARED = 0.45
"""By which part what runs is slower where others have the processors nearly all the time."""
_SURE = 1.2
"""How many times that the next run may be away from it."""
_BENT = 1.4
"""The exponent from which on the growth is worse than linear: sorting stays below it, comparing all with all does not."""
_UNCERTAIN = 0.7
"""By which part a slope may be another before it is none."""
_DECADE_LOW, _DECADE_HIGH = 0.9, 1.15
"""By how much the range widens with every tenfold size beyond what was measured: caches end, sorts go to disk."""


WIDEST = 4
"""How many times its lower end the upper end of a range may be for somebody to plan with it."""
NOT_CLOSER = "could not be measured well enough to say it closer"
_AT_ONCE = 0.1
"""Seconds of which nobody wants to know more."""


class Kind(Enum):
    """How a time grows with the rows of the tables."""

    FLAT = "flat"
    """It does not."""
    LINEAR = "linear"
    WORSE = "worse than linear"
    UNMEASURED = "could not be measured"


class Range(Struct, frozen=True):
    """From one number to another, both ends possible."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Range:
        """Both ends, multiplied."""
        return Range(self.low * factor, self.high * factor)

    @property
    def middle(self) -> float:
        """As many times above the one end as below the other."""
        return math.sqrt(self.low * self.high)

    @property
    def vague(self) -> bool:
        """Whether these are seconds with which nobody can plan: the measurements do not say it closer, so neither do we."""
        return self.high > max(WIDEST * self.low, _AT_ONCE)


class Point(Struct, frozen=True):
    """One measurement."""

    rows: int
    seconds: float
    waited: float = 0.0
    """Seconds besides for which others had the processors."""


class Fit(Struct, frozen=True):
    """What measurements at several sizes say."""

    kind: Kind
    points: tuple[Point, ...]
    """Smallest first."""
    slope: Range
    """Seconds per row: of a flat or an unmeasured one from 0 to the most that the noise leaves room for."""
    exponent: float = 1.0
    reason: str = ""
    """Why it could not be measured."""

    @property
    def per_million(self) -> Range:
        """Seconds per million rows."""
        return self.slope.times(1_000_000)

    @property
    def bounded(self) -> bool:
        """Whether anything at all is known of larger sizes."""
        return self.kind is Kind.FLAT or self.slope.high > 0

    @property
    def largest(self) -> Point:
        """What was measured at the largest size."""
        return self.points[-1]

    def at(self, rows: float) -> Range:
        """Seconds at so many rows."""
        last = self.largest
        spread = 1 + max(_LEAST_NOISE, noise(self.points))
        if self.kind is Kind.FLAT:
            times = [each.seconds for each in self.points]
            return Range(min(times) / spread, max(max(times) * spread, _CLOCK))
        if rows <= last.rows:
            return _around(self._between(rows), math.log(spread), _quieter(self.points))
        decades = math.log10(rows / last.rows)
        if self.kind is Kind.LINEAR:
            there = [each.at(rows, _quieter(self.points)) for each in _lines(_quick(self.points))]
            low = min(each.low for each in there) * _DECADE_LOW**decades
            return Range(low, max(each.high for each in there) * _DECADE_HIGH**decades)
        low = (last.seconds + self.slope.low * (rows - last.rows)) * _DECADE_LOW**decades
        high = (last.seconds + self.slope.high * (rows - last.rows)) * _DECADE_HIGH**decades
        if self.kind is Kind.WORSE:
            high = max(high, last.seconds * (rows / last.rows) ** (self.exponent + 0.1))
        if self.kind is Kind.UNMEASURED:
            low = min(min(each.seconds for each in self.points), low)
        return Range(low, high)

    def _between(self, rows: float) -> float:
        """Straight from one measurement to the next."""
        means = _means(self.points)
        before = Point(0, max(means[0].seconds - self.slope.low * means[0].rows, 0.0))
        for point in means:
            if rows <= point.rows:
                part = (rows - before.rows) / max(point.rows - before.rows, 1)
                return max(before.seconds + (point.seconds - before.seconds) * part, _CLOCK / 10)
            before = point
        return means[-1].seconds


class _Line(Struct, frozen=True):
    """`fixed + slope * shape(rows)` seconds, through points each of which counts by what it differs in proportion."""

    fixed: float
    slope: float
    shape: Callable[[float], float]
    spread: float
    """By which part runs differ from it."""
    unsure: float
    """By which part the slope may be another."""

    @classmethod
    def through(cls, points: Sequence[Point], shape: Callable[[float], float]) -> _Line:
        """The line through points of two sizes or more."""
        known = [(shape(each.rows), max(each.seconds, _CLOCK / 10)) for each in points]
        ones = sum(1 / t**2 for _, t in known)
        xs, xxs = (sum(x**n / t**2 for x, t in known) for n in (1, 2))
        ts, xts = sum(1 / t for _, t in known), sum(x / t for x, t in known)
        across = ones * xxs - xs**2
        slope = (ones * xts - xs * ts) / across
        fixed, free, precise = (ts - slope * xs) / ones, len(known) - 2, ones / across
        if fixed < 0:  # nothing takes less than no time
            fixed, slope, free, precise = 0.0, xts / xxs, len(known) - 1, 1 / xxs
        slope = max(slope, 1e-15)
        away = [math.log(t / (fixed + slope * x)) for x, t in known]
        middle = math.exp(sum(away) / len(away))
        spread = max(math.sqrt(sum(each**2 for each in away) / max(free, 1)), _STEADY)
        return cls(fixed * middle, slope * middle, shape, spread, spread * math.sqrt(precise) / slope)

    def at(self, rows: float, quieter: float) -> Range:
        """Seconds of the next run at so many rows. `quieter`: as in `_around`."""
        spread = math.hypot(self.spread, self.unsure)
        return _around(self.fixed + self.slope * self.shape(rows), spread, quieter)


def _around(seconds: float, spread: float, quieter: float = 0.0) -> Range:
    """`spread`: by which part it may be more or less; `quieter`: by which part less besides, where nothing else runs."""
    wide = _SURE * spread
    return Range(seconds / math.exp(math.hypot(wide, quieter)), seconds * math.exp(wide))


def _quieter(points: Sequence[Point]) -> float:
    """By which part the times would be less on a machine that does nothing else, as a logarithm. What is left after the
    time for which others had the processor is still longer than that: they empty its caches, and use the other half of
    its core.
    """
    waited, whole = sum(each.waited for each in points), sum(each.waited + each.seconds for each in points)
    return -math.log(1 - _SHARED * waited / whole) if whole else 0.0


def _quick(points: Sequence[Point]) -> list[Point]:
    """The quicker half of each size, two at least: whatever else the machine does makes a run slower, never faster."""
    found = []
    for rows in sorted({each.rows for each in points}):
        there = sorted((each for each in points if each.rows == rows), key=lambda each: each.seconds)
        found += there[: max(2, math.ceil(len(there) / 2))]
    return found


def _lines(points: Sequence[Point]) -> tuple[_Line, ...]:
    """The ways in which it may grow that few sizes do not tell apart."""
    return _Line.through(points, float), _Line.through(points, lambda rows: rows * math.log(max(rows, 2)))


def noise(points: Sequence[Point]) -> float:
    """By which part the quickest two runs of the same size differ; 0 where none was repeated."""
    found = 0.0
    for rows in {each.rows for each in points}:
        times = sorted(each.seconds for each in points if each.rows == rows)[:2]
        if len(times) > 1 and max(times) > _CLOCK:
            found = max(found, (max(times) - min(times)) / max(min(times), _CLOCK))
    return min(found, _MOST_NOISE)


def _mean(times: Sequence[float]) -> float:
    return sum(times) / len(times)


def _means(points: Sequence[Point], of: Callable[[Sequence[float]], float] = _mean) -> list[Point]:
    """One point for each size."""
    sizes = sorted({each.rows for each in points})
    groups = [[each.seconds for each in points if each.rows == size] for size in sizes]
    return [Point(size, of(group)) for size, group in zip(sizes, groups, strict=True)]


def _not_seen_to_grow(points: tuple[Point, ...], most: float, works: bool) -> Fit:
    """`most`: seconds per row that the noise leaves room for."""
    if not works:
        return Fit(Kind.FLAT, points, Range(0, most))
    last = max(each.seconds for each in points if each.rows == points[-1].rows)
    short = last < _SHORT
    reason = (
        f"it took {1000 * last:.0f} ms at {points[-1].rows:,} rows, too short to see it grow"
        if short
        else "the sizes differ by no more than two runs of the same size do"
    )
    return Fit(Kind.UNMEASURED, points, Range(0, most), reason=reason)


def fit(points: Sequence[Point], works: bool = True) -> Fit:
    """What `points` say; at least two. `works`: whether the statement was seen to do something with rows."""
    known = tuple(sorted(points, key=lambda each: each.rows))
    means = _means(_quick(known))
    first, last = means[0], means[-1]
    apart = last.rows - first.rows
    if not last.rows:
        return Fit(Kind.UNMEASURED, known, Range(0, 0), reason="its tables were empty")
    if last.rows < _FEW:
        return Fit(Kind.UNMEASURED, known, Range(0, 0), reason=f"its tables had no more than {last.rows:,} rows")
    if apart <= 0:
        reason = f"its tables had {last.rows:,} rows in every run"
        return Fit(Kind.UNMEASURED, known, Range(0, last.seconds / last.rows), reason=reason)
    of_runs = noise(known)
    unsure = max(_CLOCK, of_runs * first.seconds)
    growth = last.seconds - first.seconds
    most = (max(growth, 0.0) + 2 * unsure) / apart
    slowest = max(each.seconds for each in _quick(known) if each.rows == first.rows)
    quickest = min(each.seconds for each in known if each.rows == last.rows)
    if quickest <= max(slowest + 2 * _CLOCK, slowest * (1 + _LEAST_NOISE)):
        return _not_seen_to_grow(known, most, works)
    once = sum(each.rows == last.rows for each in known) == 1
    # of one run nobody knows by how much the next one differs
    error = max(_LEAST_NOISE, of_runs / 2, _MOST_NOISE / 2 if once else 0.0)
    whole = growth / apart
    if len(means) < 3:
        return Fit(
            Kind.UNMEASURED,
            known,
            Range(whole * (1 - 2 * error), whole * (1 + 2 * error)),
            reason="only two sizes ran, which a curve and a line fit alike",
        )
    line = _Line.through(_quick(known), float)
    early, late = _between_sizes(means)[-2:]
    middles = [(before.rows + after.rows) / 2 for before, after in pairwise(means)]
    # only a bend that no noise explains is one, and what the smallest sizes took may be noise alone
    surely = late * (1 - error) / max(early * (1 + error), 1e-12)
    sure = means[1].seconds - first.seconds > 2 * unsure and surely > 1
    exponent = 1 + (math.log(surely) / math.log(middles[-1] / middles[-2]) if sure else 0.0)
    if exponent > _BENT:
        bend = 1 + math.log(late / max(early, 1e-12)) / math.log(middles[-1] / middles[-2])
        return Fit(Kind.WORSE, known, Range(late * (1 - error), late * (1 + error)), exponent=bend)
    if line.unsure > _UNCERTAIN:
        return _not_seen_to_grow(known, most, works)
    return Fit(Kind.LINEAR, known, _around(line.slope, line.unsure + _STEADY / 2, _quieter(known)))


def _between_sizes(means: Sequence[Point]) -> list[float]:
    """Seconds per row from each size to the next."""
    return [
        max(after.seconds - before.seconds, 0.0) / (after.rows - before.rows) for before, after in pairwise(means)
    ]
