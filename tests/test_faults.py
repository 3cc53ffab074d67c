"""A part of the table of faults that `scripts/faults.py` runs: those that stand for others of their kind."""

from __future__ import annotations

import importlib
import sys

import pytest

from tests import faults

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc"),
]

TABLE = faults.table()


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.full_name) for fault in TABLE if fault.quick])
def test_a_review_survives(fault: faults.Fault) -> None:
    row = faults.tried(fault)

    if row.skipped:
        pytest.skip(row.skipped)
    assert row.survived, (row.sentence, row.problems, row.left)


def test_the_table_is_as_long_as_the_documentation_says() -> None:
    assert len({fault.full_name for fault in TABLE}) == len(TABLE)
    assert len(TABLE) >= 200


def test_every_moment_at_which_a_review_is_stopped_is_a_place_in_the_code() -> None:
    for where in faults.MOMENTS.values():
        module, _, path = where.partition(":")
        place: object = importlib.import_module(module) if path else None
        for name in path.split(".") if path else ():
            place = getattr(place, name)
        assert not path or callable(place), where


def test_a_fault_that_is_not_survived_is_told() -> None:
    """The judge itself: what ends with another status, in a traceback, or leaves a file, is not survived."""

    def leaves(bench: faults.Bench) -> faults.Ending:
        (bench.place.folder / "tmp" / "left").touch()
        bench.place.allowed.append("left")  # so that nobody waits for it to go
        (bench.folder / "alembic.ini").write_text("")
        return faults.Ending(3, "Traceback (most recent call last):")

    row = faults.tried(faults.Fault("judge", "everything wrong", leaves, (0,)))

    assert not row.survived
    assert [problem.split()[0] for problem in row.problems] == ["status", "it", "files"]
