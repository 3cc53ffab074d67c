"""What a test needs, told from the fixtures that it uses, and the order that keeps every core busy to the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

SERVER = frozenset(
    {
        "bench",
        "bench_of",
        "case_bench",
        "connection",
        "fixing_bench",
        "make",
        "names",
        "rehearsal_bench",
        "server",
        "users",
    }
)
"""Fixtures that start a PostgreSQL, or that need one."""
PROCESSES = frozenset({"branch", "either", "environment", "guardian", "lent", "place", "prism", "repository"})
"""Fixtures that start other processes."""


def needs(fixtures: Collection[str]) -> tuple[str, ...]:
    """The markers of a test that uses these fixtures, its own and those of its fixtures."""
    found = {"server": SERVER, "processes": SERVER | PROCESSES}
    return tuple(marker for marker, names in found.items() if not names.isdisjoint(fixtures))


def ordered(tests: Sequence[tuple[str, bool]]) -> list[int]:
    """The positions of the tests in the order in which they are to run; of each, its group and whether it is pure.

    First what waits for processes, one group after the other: the workers take one group at a time, and the longest
    are among these. Then what is pure, from the largest group to the smallest, so that no worker has a long one left
    when the others are done.
    """
    sizes = Counter(group for group, _ in tests)
    first: dict[str, int] = {}
    pure: dict[str, bool] = {}
    for position, (group, alone) in enumerate(tests):
        first.setdefault(group, position)
        pure[group] = pure.get(group, True) and alone

    def key(position: int) -> tuple[bool, int, int, int]:
        group = tests[position][0]
        return pure[group], -sizes[group] if pure[group] else 0, first[group], position

    return sorted(range(len(tests)), key=key)
