"""Strings made from regular expressions match them."""

from __future__ import annotations

import re

import pytest

from reviewer.rows.pattern import Unreadable, samples

PATTERNS = [
    r"^[A-Z]{3}-\d{4}$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
    r"^(new|old)_\w+$",
    r"^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$",
    r"^\+?[1-9]\d{1,14}$",
    r"^[a-z0-9]+(-[a-z0-9]+)*$",
    r"^.{3,5}$",
    r"a|b|c",
    r"^v\d+\.\d+(\.\d+)?$",
    r"^[]x-]+$",
    "",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_sample_matches(pattern: str) -> None:
    assert [s for s in samples(pattern, 50) if not re.search(pattern, s)] == []


def test_samples_differ_where_the_pattern_lets_them() -> None:
    assert len(set(samples(r"^[A-Z]{3}-\d{4}$", 200))) == 200


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a", "a)", "[a", r"\1", "\\"])
def test_what_is_not_followed_is_said(pattern: str) -> None:
    with pytest.raises(Unreadable):
        samples(pattern, 1)
