"""The page for a browser: nothing foreign becomes a tag, and nothing is loaded."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from reviewer.report import html
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
}


class Reader(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


@every_report
def test_only_our_tags_and_attributes_are_in_it(report: Report) -> None:
    reader = Reader()

    reader.feed(html.render(report))

    assert reader.tags <= OURS
    assert reader.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class"}
    assert reader.comments == []


def test_shows_every_finding_and_every_statement() -> None:
    page = html.render(reports.TYPICAL)

    for finding in reports.TYPICAL.findings:
        assert f"<code>{finding.location}</code>" in page
    assert "CREATE ACCESS METHOD heap2" in page
    assert "<details><summary>The emitted SQL</summary>" in page


def test_a_revision_that_was_not_run_has_not_none_for_its_findings() -> None:
    rows = [
        line for line in html.render(reports.TERRIBLE).split("\n") if line.startswith("<tr><td><code>e7035fa91b6c")
    ]

    assert [row.rpartition("<td>")[2] for row in rows] == ["not run"]
