"""The page for a browser: nothing foreign becomes a tag, and nothing is loaded."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from reviewer.report import html, pages
from reviewer.review.verdict import Report
from tests.report import reports

every_report = pytest.mark.parametrize("report", reports.REPORTS.values(), ids=reports.REPORTS.keys())

OURS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "p",
    "b",
    "span",
    "table",
    "thead",
    "tr",
    "th",
    "td",
    "section",
    "article",
    "pre",
    "code",
    "dl",
    "dt",
    "dd",
    "details",
    "summary",
    "ul",
    "li",
    "footer",
    "header",
    "main",
    "div",
    "a",
}


class Reader(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str | None] = []
        self.links: set[str | None] = set()
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id"]
        self.links |= {value for name, value in attrs if name == "href"}

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


@every_report
def test_only_our_tags_and_attributes_are_in_it(report: Report) -> None:
    reader = Reader()

    reader.feed(html.render(report))

    assert reader.tags <= OURS
    ours = {"lang", "charset", "name", "content", "http-equiv", "class", "id", "href", "title"}
    assert reader.attributes <= ours | {"scope", "tabindex", "role", "aria-label"}
    assert reader.comments == []


@every_report
def test_every_link_leads_to_a_part_of_the_page_or_to_the_page_of_a_rule(report: Report) -> None:
    reader = Reader()

    reader.feed(html.render(report))

    parts = {f"#{each}".replace("%", "%25") for each in reader.ids}
    assert len(reader.ids) == len(set(reader.ids))
    assert [
        each for each in reader.links - parts if not str(each).startswith(f"{pages.HOME}/blob/main/docs/")
    ] == []


def test_says_when_it_was_made_and_between_which_commits() -> None:
    page = html.render(replace(reports.WITH_COMMITS, made="2026-11-29 03:20 UTC", head="5f" * 20))

    assert f"base <code>{'ab' * 6}</code>, head <code>{'5f' * 6}</code> · made 2026-11-29 03:20 UTC" in page
    assert "<title>Migration review: fail: merge blocked by 2 errors" in page


def test_what_is_folded_on_the_screen_is_open_in_print() -> None:
    page = html.render(reports.TYPICAL)

    print_style = page.partition("@media print")[2]
    assert "details::details-content { display: block; content-visibility: visible" in print_style


def test_shows_every_finding_and_every_statement() -> None:
    page = html.render(reports.TYPICAL)

    for finding in reports.TYPICAL.findings:
        assert f"<code>{finding.location}</code>" in page
    assert "CREATE ACCESS METHOD heap2" in page
    assert "<details><summary>The emitted SQL</summary>" in page


def test_a_revision_that_was_not_run_has_not_none_for_its_findings() -> None:
    rows = [
        line
        for line in html.render(reports.TERRIBLE).split("\n")
        if line.startswith("<tr><td>") and "<code>e7035fa91b6c" in line
    ]

    assert [row.rpartition("<td>")[2] for row in rows] == ["not run"]
