"""What a loop does to many tables is read as one finding, and none of them gets lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from reviewer.recording import Location
from reviewer.report import alike, html, markdown, text, workflow_commands
from reviewer.report.digest import digest
from reviewer.report.fingerprint import fingerprints
from reviewer.report.markdown import Place
from reviewer.review.finding import Finding, Severity, TriedFix
from reviewer.review.verdict import Report
from tests.report import reports

INDEX = reports.BLOCKING_INDEX


def building(index: str, table: str, **more: object) -> Finding:
    message = f"Building index `{index}` on `{table}` reads every row, so writes of `{table}` wait."
    return replace(INDEX, **{"message": message, "about": ("index", index), **more})


def report(*findings: Finding) -> Report:
    return replace(reports.TYPICAL, trees=(replace(reports.TYPICAL.trees[0], findings=findings),))


LOOP = report(building("ix_1", "a"), building("ix_2", "b"), building("ix_3", "c"))


def likewise(*findings: Finding) -> Sequence[str]:
    return [each.likewise for each in alike.groups(report(*findings))]


def test_the_others_are_named_by_what_differs() -> None:
    (group,) = alike.groups(LOOP)

    assert group.shown.finding.message.startswith("Building index `ix_1`")
    assert group.times == " (3 times)"
    assert group.likewise == "`ix_2` (`b`) and `ix_3` (`c`)"
    assert len(group.findings) == 3


def test_what_differs_in_nothing_is_counted() -> None:
    assert likewise(building("ix", "a"), building("ix", "a"), building("ix", "a")) == ["2 statements more"]


def test_of_very_many_the_first_are_named() -> None:
    (named,) = likewise(*(building(f"ix_{n}", f"t{n}") for n in range(30)))

    assert named.startswith("`ix_1` (`t1`), `ix_2` (`t2`), ")
    assert named.endswith(" and 21 more")


def test_a_single_finding_is_shown_as_it_was() -> None:
    (group,) = alike.groups(report(building("ix", "a")))

    assert (group.times, group.likewise, group.others) == ("", "", ())


@pytest.mark.parametrize(
    "other",
    [
        {"location": Location(INDEX.location.path if INDEX.location else "", 99)},
        {"severity": Severity.WARNING},
        {"message": "Building index `ix_2` on `b` reads 5 rows."},
        {"rule": "another-rule"},
        {"remedy": ()},
        {"fix": TriedFix("build it later", "--- a")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_in_more_than_names_is_shown_apart(other: dict[str, object]) -> None:
    assert likewise(building("ix_1", "a"), building("ix_2", "b", **other)) == ["", ""]


def test_findings_without_a_line_are_shown_apart() -> None:
    assert likewise(building("ix_1", "a", location=None), building("ix_2", "b", location=None)) == ["", ""]


def test_they_keep_their_order() -> None:
    apart = building("ix_9", "z", rule="another-rule")
    found = alike.groups(report(building("ix_1", "a"), apart, building("ix_2", "b")))

    assert [each.shown.finding.rule for each in found] == [INDEX.rule, "another-rule"]


@pytest.mark.parametrize(
    "page",
    [text.render(LOOP), html.render(LOOP), markdown.render(LOOP), workflow_commands.render(LOOP)],
    ids=["text", "html", "markdown", "annotations"],
)
def test_each_report_for_people_says_it_once(page: str) -> None:
    assert page.count("blocking-index") - page.count("checks/blocking-index") == 1
    assert page.count("(3 times)") == 1
    assert page.lower().count("likewise: ") == 1
    assert "ix_2" in page
    assert "ix_3" in page


def test_the_counts_are_those_of_all_findings() -> None:
    assert text.render(LOOP).startswith("fail: merge blocked by 3 errors")
    assert "| 3 errors |" in markdown.render(LOOP)


def test_what_is_new_since_the_last_push_is_shown_apart_from_what_is_known() -> None:
    (first, *_) = fingerprints(shown for tree in LOOP.trees for shown in digest(tree).all_findings)
    known = frozenset({f"{first[1][:10]}.{first[1].partition(':')[2]}"})

    page = markdown.render(LOOP, Place(known=known))

    assert "Since the last push: 2 new findings, shown first; 0 resolved." in page
    assert "Likewise: `ix_3` (`c`)." in page
    assert page.index("`ix_2`") < page.index("`ix_1`")
