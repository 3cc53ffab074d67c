"""What hurt people and was told in public is told by a review, at the line that is to blame, and nothing else is."""

from __future__ import annotations

import pytest

from tests import cases
from tests.situations import SITUATIONS, Situation, wrong

pytestmark = pytest.mark.server


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.slug)
def test_a_situation_is_told_as_a_careful_reviewer_does(situation: Situation, case_bench: cases.Bench) -> None:
    assert list(wrong(situation, case_bench)) == []


def test_each_situation_is_another_one() -> None:
    assert len(SITUATIONS) >= 25
    assert len({each.source for each in SITUATIONS}) == len(SITUATIONS)
