"""A review is red where plain Alembic is; `scripts/agreement.py` tries the whole table of faults and places."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import agreement
from tests.agreement import Bench, Cell, cells, few


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with agreement.bench() as running:
        yield running


@pytest.mark.parametrize("cell", few(cells()), ids=str)
def test_a_review_is_red_exactly_where_plain_alembic_fails(bench: Bench, cell: Cell) -> None:
    outcome = bench.outcome(cell)

    assert outcome.plain, outcome
    assert outcome.agrees, outcome


def test_a_review_is_green_where_plain_alembic_succeeds(bench: Bench) -> None:
    outcome = bench.outcome(Cell("Exception", "nowhere", "b2"))

    assert not outcome.plain
    assert not outcome.red, outcome
