"""How a time grows with rows: a fit over few sizes, and what it says of other sizes. Always a range, never a number.

Pure arithmetic on measurements: the smallest size was measured twice, which tells how much two runs differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

_LEAST_NOISE = 0.15
"""Two runs may differ by so much, even if the two that were made do not."""
_MOST_NOISE = 0.6
_CLOCK = 0.002
"""Seconds that a round trip to the server may take more or less."""
_SHORT = 0.02
"""What takes less seconds at the largest size has hardly begun to grow."""
_FURTHEST = 0.5
"""The slope between two sizes is at least that part of the one over all of them, and at most as many times it."""
_BENT = 1.4
"""The exponent from which on the growth is worse than linear: sorting stays below it, comparing all with all does not."""
_DECADE_LOW, _DECADE_HIGH = 0.85, 1.35
"""By how much the range widens with every tenfold size beyond what was measured: caches end, sorts go to disk."""


class Kind(Enum):
    """How a time grows with the rows of the tables."""

    FLAT = "flat"
    """It does not."""
    LINEAR = "linear"
    WORSE = "worse than linear"
    UNMEASURED = "could not be measured"


@dataclass(frozen=True)
class Range:
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


@dataclass(frozen=True)
class Point:
    """One measurement."""

    rows: int
    seconds: float


@dataclass(frozen=True)
class Fit:
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
        if self.kind is Kind.FLAT:
            times = [each.seconds for each in self.points]
            return Range(min(times), max(max(times), _CLOCK))
        if rows <= last.rows:
            known = self._between(rows)
            spread = 1 + max(_LEAST_NOISE, noise(self.points))
            return Range(known / spread, known * spread)
        decades = math.log10(rows / last.rows)
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


def noise(points: Sequence[Point]) -> float:
    """By which part two runs of the same size differ; 0 where none was repeated."""
    found = 0.0
    for rows in {each.rows for each in points}:
        times = [each.seconds for each in points if each.rows == rows]
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


def fit(points: Sequence[Point], works: bool = True) -> Fit:
    """What `points` say; at least two. `works`: whether the statement was seen to do something with rows."""
    known = tuple(sorted(points, key=lambda each: each.rows))
    means = _means(known)
    first, last = means[0], means[-1]
    apart = last.rows - first.rows
    if not last.rows:
        return Fit(Kind.UNMEASURED, known, Range(0, 0), reason="its tables were empty")
    if apart <= 0:
        return Fit(Kind.UNMEASURED, known, Range(0, last.seconds / max(last.rows, 1)), reason="only one size ran")
    of_runs = noise(known)
    unsure = max(_CLOCK, of_runs * first.seconds)
    growth = last.seconds - first.seconds
    most = (max(growth, 0.0) + 2 * unsure) / apart
    if growth <= max(2 * unsure, _LEAST_NOISE * first.seconds):
        if not works:
            return Fit(Kind.FLAT, known, Range(0, most))
        short = last.seconds < _SHORT
        reason = (
            f"it took {1000 * last.seconds:.0f} ms at {last.rows:,} rows, too short to see it grow"
            if short
            else "the sizes differ by no more than two runs of the same size do"
        )
        return Fit(Kind.UNMEASURED, known, Range(0, most), reason=reason)
    error = max(_LEAST_NOISE, of_runs / 2)
    whole = growth / apart
    if len(means) < 3:
        return Fit(
            Kind.UNMEASURED,
            known,
            Range(whole * (1 - 2 * error), whole * (1 + 2 * error)),
            reason="only two sizes ran, which a curve and a line fit alike",
        )
    # whatever else the machine does makes a run slower, never faster: between the quick runs and the slow ones is the truth
    found = [slope for each in (means, _means(known, min), _means(known, max)) for slope in _slopes(each)]
    early, late = _between_sizes(means)[-2:]
    slope = Range(
        max(min(found), whole * _FURTHEST) * (1 - error),
        min(max(found), whole / _FURTHEST) * (1 + _LEAST_NOISE),
    )
    middles = [(before.rows + after.rows) / 2 for before, after in pairwise(means)]
    # only a bend that no noise explains is one, and what the smallest sizes took may be noise alone
    surely = late * (1 - error) / max(early * (1 + error), 1e-12)
    sure = means[1].seconds - first.seconds > 2 * unsure and surely > 1
    exponent = 1 + (math.log(surely) / math.log(middles[-1] / middles[-2]) if sure else 0.0)
    if exponent > _BENT:
        bend = 1 + math.log(late / max(early, 1e-12)) / math.log(middles[-1] / middles[-2])
        return Fit(Kind.WORSE, known, Range(late * (1 - error), late * (1 + error)), exponent=bend)
    return Fit(Kind.LINEAR, known, slope)


def _between_sizes(means: Sequence[Point]) -> list[float]:
    """Seconds per row from each size to the next."""
    return [
        max(after.seconds - before.seconds, 0.0) / (after.rows - before.rows) for before, after in pairwise(means)
    ]


def _slopes(means: Sequence[Point]) -> tuple[float, float]:
    """Seconds per row from the smallest size to the largest, and to the largest from the one before."""
    first, last = means[0], means[-1]
    return (last.seconds - first.seconds) / (last.rows - first.rows), _between_sizes(means)[-1]
