"""No input makes a reader of ours raise: the seeds, and some mutations of them; `scripts/fuzz.py` goes on for hours."""

from __future__ import annotations

import random

import pytest

from tests.fuzz import READERS, mutated, seeds

MUTATIONS = {"report": 40}
"""Fewer of what takes longer than the others."""


@pytest.mark.parametrize("reader", READERS)
def test_reads_every_seed_and_what_becomes_of_it(reader: str) -> None:
    every = list(seeds(reader))
    chance = random.Random(reader)

    for data in every:
        READERS[reader](data)
    for _ in range(MUTATIONS.get(reader, 300)):
        READERS[reader](mutated(chance.choice(every), every, chance))
