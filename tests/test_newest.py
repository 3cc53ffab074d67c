"""A major version that was not verified, and how version numbers are read."""

from __future__ import annotations

import pytest

from reviewer.recording import Mode, Recording, Server
from reviewer.report.digest import witness
from reviewer.review.verdict import Report, TreeReport
from reviewer.sql.versions import NEWEST, OLDEST, VERIFIED, major_of
from tests import majors


@pytest.mark.parametrize(
    ("version", "major"),
    [("16.14", 16), ("19rc1", 19), ("19devel", 19), ("PostgreSQL 18.4 on x86_64", 18), ("9.6.24", 9)],
)
def test_the_major_version(version: str, major: int) -> None:
    assert major_of(version) == major


@pytest.mark.parametrize("version", [VERIFIED, VERIFIED + 1])
def test_a_report_says_where_the_claims_of_the_rules_were_not_verified(version: int) -> None:
    recording = Recording("1", Mode.OBSERVED, (), server=Server(f"{version}.0", "local"))

    words = witness(Report("1", (TreeReport(recording),), None))

    beyond = f"; what the rules say was verified on {OLDEST} to {VERIFIED}" if version > VERIFIED else ""
    assert words == f"PostgreSQL {version}.0 (local), observed{beyond}"


def test_the_conformance_page_has_what_was_verified() -> None:
    assert (majors.ALL[0], majors.ALL[-1], majors.NEXT) == (OLDEST, VERIFIED, NEWEST)
