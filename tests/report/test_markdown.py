"""The comment: nothing foreign leaves its code, it always fits, and it says the same as the report."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec.structs import replace

from reviewer.recording import BaseOrigin, Location
from reviewer.report import markdown, pages
from reviewer.report.markdown import MARKER, Place
from reviewer.review.finding import Finding
from reviewer.review.verdict import Report
from tests.report import reports

PLACE = Place(
    "https://github.com/acme/shop", "5f" * 20, "https://github.com/acme/shop/actions/runs/7", "0123456789ab", "7.1"
)
every_report = pytest.mark.parametrize("report", reports.REPORTS.values(), ids=reports.REPORTS.keys())
awkward = st.text(st.sampled_from(list("`|\\~<>@#[](){}!&;$*_-=+.:/wax019 \t\r\n\u202e\x1b'\"")), max_size=60)


def tokens(page: str) -> list[Token]:
    """Every token of the page, those inside of lines too."""
    found: list[Token] = []
    for token in MarkdownIt("commonmark").enable("table").parse(page):
        found += [token, *(token.children or [])]
    return found


def outside_code(page: str) -> str:
    """All text that is not code, and all HTML."""
    kinds = {"text", "html_inline", "html_block"}
    return "\n".join(token.content for token in tokens(page) if token.type in kinds)


def without_our_tags(text: str) -> str:
    ours = r"</?details>|<br>|&nbsp;|</?sub>|<summary>[^<>]*</summary>|<a href=\"[^\"<>]*\">|</a>"
    return re.sub(ours, "", MARKER.sub("", text, count=1))


@every_report
def test_nothing_outside_of_code_can_mean_anything(report: Report) -> None:
    page = markdown.render(report, PLACE)

    left = without_our_tags(outside_code(page))

    assert re.findall(r"[@<>\[\]*~`$]|#\d|GH-\d|://|www\.|evil", left) == []


@every_report
def test_every_link_leads_to_a_line_of_the_repository_or_to_the_page_of_a_rule_and_there_is_no_image(
    report: Report,
) -> None:
    page = tokens(markdown.render(report, PLACE))

    targets = {str(token.attrs["href"]) for token in page if token.type == "link_open"}

    assert [token for token in page if token.type == "image"] == []
    ours = (f"{PLACE.repository}/blob/{PLACE.sha}/", f"{pages.HOME}/blob/main/docs/checks/")
    assert [target for target in targets if not target.startswith(ours)] == []


@every_report
def test_the_only_html_comment_is_our_marker_on_the_first_line(report: Report) -> None:
    page = markdown.render(report, PLACE)

    assert MARKER.match(page)
    assert page.startswith(markdown.marker(PLACE).removesuffix(" -->"))
    assert page.count("<!--") == 1
    assert "<!--" not in markdown.render(report)


@every_report
def test_details_and_fences_are_closed_even_where_there_is_little_room(report: Report) -> None:
    for characters in (100_000, 20_000, 8_000, 3_000, 1_000):
        page = markdown.render(report, replace(PLACE, characters=characters))
        found = tokens(page)
        html = " ".join(token.content for token in found if token.type.startswith("html"))

        assert html.count("<details>") == html.count("</details>")
        assert found[-1].type != "fence"
        assert page.endswith("</sub>\n")


@pytest.mark.parametrize("name", ["terrible", "hostile", "typical", "vast"])
@pytest.mark.parametrize("characters", [60_000, 10_000, 2_000])
def test_it_fits(name: str, characters: int) -> None:
    report = {**reports.REPORTS, "vast": reports.VAST}[name]

    page = markdown.render(report, replace(PLACE, characters=characters))

    assert len(page) <= characters
    assert len(page.encode()) <= 65_000


def test_bytes_count_as_well_as_characters() -> None:
    findings = tuple(
        replace(
            reports.BLOCKING_INDEX,
            message=f"Building `{'索' * 200}{n}` blocks.",
            sql="索" * 300,
            location=Location("a.py", n + 1),
        )
        for n in range(120)
    )
    report = replace(reports.TYPICAL, trees=(replace(reports.TYPICAL.trees[0], findings=findings),))

    page = markdown.render(report, PLACE)

    assert len(page.encode()) <= 65_000
    assert len(page.encode()) > 40_000


def test_the_worst_findings_are_shown_where_there_is_no_room_for_all() -> None:
    page = markdown.render(reports.TERRIBLE, replace(PLACE, characters=20_000))

    assert "#### ❌ [several-heads](" in page
    assert len(re.findall(r"\n#### ❌ ", page)) == 8
    assert len(re.findall(r"\n- ❌ ", page)) == 30
    assert "\nAnd 85 errors more.\n" in page


def test_a_shortened_page_says_so() -> None:
    assert "shortened" in markdown.render(reports.TERRIBLE, replace(PLACE, characters=20_000))
    assert "shortened" not in markdown.render(reports.TYPICAL, PLACE)


def test_the_title_counts() -> None:
    title = markdown.render(reports.TYPICAL).split("\n")[0]

    assert title == (
        "### ❌ Migration review: merge blocked by 2 errors; 1 warning, 1 notice besides; "
        "3 revisions, 2 of them with findings; 1 finding suppressed; 1 skipped"
    )


def test_the_marker_can_be_read_again() -> None:
    found = markdown.MARKER.match(markdown.render(reports.CLEAN, PLACE))

    assert found is not None
    there = {"id": "0123456789ab", "run": "7.1", "sha": "5f" * 20, "tree": None, "was": None, "now": ""}
    assert found.groupdict() == there


def test_the_rollback_column_is_there_once_something_is_known() -> None:
    assert "| Rollback |" not in markdown.render(reports.TYPICAL)
    assert "| Rollback |" in markdown.render(reports.TERRIBLE)


@pytest.mark.parametrize("path", ["../../other/repo/x.py", "/etc/x.py", "a/./x.py", "a\\..\\x.py"])
def test_a_path_that_leaves_the_repository_is_not_linked(path: str) -> None:
    finding: Finding = replace(reports.DROPPED, suppressed=None, location=Location(path, 1))
    report = replace(reports.TYPICAL, trees=(replace(reports.TYPICAL.trees[0], findings=(finding,)),))

    assert f"at `{path}:1`\n" in markdown.render(report, PLACE)


@given(awkward)
def test_a_code_span_holds_whatever_it_is_given(text: str) -> None:
    found = [token.type for token in tokens(f"a {markdown.span(text)} z") if token.type != "inline"]

    assert found == ["paragraph_open", "text", "code_inline", "text", "paragraph_close"]


@given(awkward)
def test_a_code_span_in_a_table_stays_in_its_cell(text: str) -> None:
    page = f"| a | b |\n| --- | --- |\n| {markdown.span(text, in_table=True)} | z |"

    cells = [token.children or [] for token in tokens(page) if token.type == "inline"]

    assert [[child.type for child in cell] for cell in cells] == [["text"], ["text"], ["code_inline"], ["text"]]
    assert "|" not in cells[2][0].content


@given(awkward)
def test_a_fence_holds_whatever_it_is_given(text: str) -> None:
    found = tokens("\n".join([*markdown.fence(text, "sql"), "", "z"]))

    assert [token.type for token in found if token.type != "inline"] == [
        "fence",
        "paragraph_open",
        "text",
        "paragraph_close",
    ]


@given(awkward, awkward)
def test_a_sentence_shows_no_more_than_words_outside_of_code(name: str, words: str) -> None:
    page = f"x {markdown.prose(f'Adding `{name}` fails: {words}')} z"

    found = {token.type for token in tokens(page)}

    assert found <= {"paragraph_open", "inline", "text", "text_special", "code_inline", "paragraph_close"}
    assert re.findall(r"[@<>\[\]*~`$#&]|://|www\.", outside_code(page)) == []


def test_a_sentence_of_ours_reads_as_one() -> None:
    assert (
        markdown.prose("Adding `fk_a` takes SHARE ROW EXCLUSIVE; lock_timeout is 0 (none).")
        == r"Adding `fk_a` takes SHARE ROW EXCLUSIVE; lock\_timeout is 0 (none)."
    )


def test_ten_findings_are_there_to_be_read_and_the_others_folded() -> None:
    page = markdown.render(reports.TERRIBLE, replace(PLACE, characters=500_000, bytes=500_000))

    read, _, rest = page.partition("<details><summary>113 errors more</summary>")

    assert read.count("\n#### ") == 10
    assert rest.count("\n#### ") == 113


def test_a_revision_that_was_not_run_is_not_green() -> None:
    rows = [line for line in markdown.render(reports.TERRIBLE).split("\n") if "e7035fa91b6c" in line]

    assert rows == ["| ❔&nbsp;`e7035fa91b6c` | `audit log` | untested | not observed | not run |"]


def test_what_a_revision_does_stands_in_lines() -> None:
    [tree] = reports.CLEAN.trees
    report = replace(
        reports.CLEAN,
        trees=(
            replace(tree, phrases=((reports.AUDIT.id, "makes `a.b` `NUMERIC(10, 2)`, drops `c, d` and 3 more"),)),
        ),
    )

    assert "| makes `a.b` `NUMERIC(10, 2)`<br>drops `c, d` and 3 more |" in markdown.render(report)


def test_what_is_new_since_the_last_push_comes_first() -> None:
    first, later = reports.TYPICAL.findings[0], reports.TYPICAL.findings[2]
    [tree] = reports.TYPICAL.trees
    before = replace(reports.TYPICAL, trees=(replace(tree, findings=(first, replace(later, rule="gone-rule"))),))
    now = replace(reports.TYPICAL, trees=(replace(tree, findings=(first, later)),))

    body = markdown.render(before, replace(PLACE, sha="a" * 40))
    known = markdown.known_before(body, PLACE.sha)
    page = markdown.render(now, replace(PLACE, known=known))

    titles = re.findall(r"#### \S+ (new: )?\[([a-z-]+)\]", page)
    assert titles == [("new: ", later.rule), ("", first.rule)]
    assert "\nSince the last push: 1 new finding, shown first; 1 resolved.\n" in page


def test_a_second_run_on_the_same_commit_tells_the_same_as_new() -> None:
    page = markdown.render(reports.TYPICAL, replace(PLACE, known=frozenset({"0123456789.1"})))

    assert markdown.known_before(page, PLACE.sha) == frozenset({"0123456789.1"})
    assert len(markdown.known_before(page, "b" * 40) or ()) == len(reports.TYPICAL.findings)


def test_of_a_comment_that_does_not_tell_nothing_is_new() -> None:
    body = markdown.marker(PLACE)

    assert markdown.known_before(body, "b" * 40) is None
    assert markdown.known_before("hello", "b" * 40) is None
    assert "new: " not in markdown.render(reports.TYPICAL, PLACE)


def test_names_the_base_commit() -> None:
    assert f"compared with `{'ab' * 6}`" in markdown.render(reports.WITH_COMMITS, PLACE)


def test_a_comment_stays_as_it_is_when_the_next_review_starts_from_a_kept_state() -> None:
    (tree,) = reports.TYPICAL.trees
    first, second = (
        replace(reports.TYPICAL, trees=(replace(tree, recording=replace(tree.recording, base_origin=origin)),))
        for origin in (BaseOrigin("history", revisions=7, replayed=7), BaseOrigin("snapshot", revisions=7))
    )

    assert markdown.render(first, PLACE) == markdown.render(second, PLACE)
    assert "base state from a snapshot of 7 revisions" in markdown.render(second, replace(PLACE, marker_id=""))
