"""What a loop sends, as one entry with a count."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from reviewer.release.model import Duration, Step
from reviewer.release.timeline import together

_VALUE = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")
"""What differs from one round of a loop to the next."""


class Repeated(Struct, frozen=True):
    """Statements of one line that differ in nothing but values."""

    steps: tuple[Step, ...]
    duration: Duration
    """Of all of them."""

    @property
    def first(self) -> Step:
        """The one that stands for the others."""
        return self.steps[0]

    @property
    def times(self) -> str:
        """` (100 times)`, to follow the statement; empty for one that was sent once."""
        return f" ({len(self.steps):,} times)" if len(self.steps) > 1 else ""


def folded(steps: Iterable[Step]) -> tuple[Repeated, ...]:
    """`steps` in the order in which each is sent first."""
    found: dict[object, list[Step]] = {}
    for each in steps:
        key: object = each.number
        if each.location is not None:
            key = (each.revision, each.location, _VALUE.sub("?", each.statement.sql), each.seen)
        found.setdefault(key, []).append(each)
    return tuple(Repeated(tuple(same), _duration(same)) for same in found.values())


def _duration(same: list[Step]) -> Duration:
    return same[0].duration if len(same) == 1 else together(same)
