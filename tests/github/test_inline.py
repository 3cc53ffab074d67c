"""Review comments: on changed lines only, nothing twice, suggestions only where they fit exactly."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reviewer.github import inline
from reviewer.github.api import Api, ChangedFile
from reviewer.report import json as report_json
from reviewer.report.digest import digest
from reviewer.review.finding import TriedFix
from reviewer.review.verdict import Report
from tests.github.fake import FakeGitHub, Fault, patch
from tests.report import reports

KEY, BODY = reports.KEY.path, reports.BODY.path
NUMBER, SHA, ID = 7, "a" * 40, "0123456789ab"


def post(api: Api, report: Report = reports.TYPICAL) -> inline.Posted:
    return inline.post(api, NUMBER, SHA, report, ID, lambda _: None)


@pytest.fixture(autouse=True)
def files(github: FakeGitHub) -> None:
    github.files = [
        {"filename": KEY, "status": "added", "patch": patch(40)},
        {"filename": BODY, "status": "added", "patch": patch(30)},
    ]


def test_one_review_holds_all_comments(github: FakeGitHub, api: Api) -> None:
    posted = post(api)

    [review] = github.reviews
    assert (review["event"], review["commit_id"]) == ("COMMENT", SHA)
    assert [(each["path"], each["line"]) for each in review["comments"]] == [
        (KEY, 18),
        (KEY, 25),
        (BODY, 19),
        (BODY, 15),
    ]
    assert posted.new == 4


def test_nothing_is_said_twice(github: FakeGitHub, api: Api) -> None:
    post(api)
    posted = post(api)

    assert len(github.reviews) == 1
    assert (posted.new, posted.kept) == (0, 4)


def test_lines_that_the_pull_request_does_not_change_are_left_alone(github: FakeGitHub, api: Api) -> None:
    github.files = [
        {"filename": KEY, "status": "modified", "patch": "@@ -16,3 +16,4 @@\n line\n line\n+line\n line"}
    ]

    posted = post(api)

    assert [(each["path"], each["line"]) for each in github.reviews[0]["comments"]] == [(KEY, 18)]
    assert (posted.new, posted.elsewhere) == (1, 3)


def test_a_file_without_a_diff_is_left_alone(github: FakeGitHub, api: Api) -> None:
    github.files = [{"filename": KEY, "status": "added"}]

    assert post(api).new == 0
    assert github.reviews == []


def test_one_line_that_github_refuses_does_not_lose_the_others(github: FakeGitHub, api: Api) -> None:
    # a push between the two requests makes the diff another one
    def pushed() -> None:
        github.files[0]["patch"] = patch(20)

    github.faults.append(Fault("POST", "reviews", harmless=True, then=pushed))

    posted = post(api)

    assert [each["line"] for review in github.reviews for each in review["comments"]] == [18, 19, 15]
    assert (posted.new, posted.elsewhere) == (3, 1)


def test_what_is_settled_is_folded_unless_somebody_has_answered(github: FakeGitHub, api: Api) -> None:
    post(api)
    github.threads[0]["replies"] = 1

    posted = post(api, reports.CLEAN)

    assert posted.folded == 3
    assert [each["why"] for each in github.threads] == ["", "RESOLVED", "RESOLVED", "RESOLVED"]


def test_comments_of_others_and_of_other_ids_are_left_alone(github: FakeGitHub, api: Api) -> None:
    ours = f"<!-- alembic-reviewer finding v1 id={ID} fingerprint=x:1 -->"
    github.remark(ours, "mallory")
    github.remark(ours.replace(ID, "ffffffffffff"))

    assert post(api, reports.CLEAN).folded == 0


def test_a_token_that_may_not_write_is_said(github: FakeGitHub, api: Api) -> None:
    github.may_write = False

    assert "not accessible" in post(api).why


def test_a_review_that_may_have_been_written_is_not_written_again(github: FakeGitHub, api: Api) -> None:
    github.faults.append(Fault("POST", "reviews", status=502, after=True))

    assert "502" in post(api).why
    assert len(github.reviews) == 1
    assert post(api).kept == 4


def looped(*tables: str) -> Report:
    """An index on each of the tables, all built by one line."""
    found = tuple(
        replace(
            reports.BLOCKING_INDEX, message=f"Building `ix` on `{each}` reads every row.", about=("index", each)
        )
        for each in tables
    )
    return replace(reports.TYPICAL, trees=(replace(reports.TYPICAL.trees[0], findings=found),))


def test_a_loop_gets_one_comment_that_names_all(github: FakeGitHub, api: Api) -> None:
    posted = post(api, looped("a", "b", "c"))

    [review] = github.reviews
    [comment] = review["comments"]
    assert review["body"] == "Migration review: 3 errors on the lines below."
    assert "(3 times)" in comment["body"]
    assert "Likewise: `b` and `c`." in comment["body"]
    assert (posted.new, post(api, looped("a", "b", "c")).kept) == (1, 1)


def test_a_loop_whose_first_table_is_settled_gets_another_comment(github: FakeGitHub, api: Api) -> None:
    post(api, looped("a", "b", "c"))
    posted = post(api, looped("b", "c"))

    assert (posted.new, posted.folded) == (1, 1)
    assert "Likewise: `c`." in github.reviews[1]["comments"][0]["body"]


# -- suggestions -----------------------------------------------------------------------------------

SOURCE = "\n" * 23 + "def upgrade():\n    op.create_index('ix', 'orders', ['customer_id'])\n"
"""The statement of the blocking index stands on line 25."""

BLOCKING = next(
    each for each in digest(reports.TYPICAL.trees[0]).all_findings if each.finding.rule == "blocking-index"
)


def test_a_remedy_takes_the_place_of_its_statement_with_its_indentation() -> None:
    found = inline.suggestion(BLOCKING, reports.TYPICAL, SOURCE)

    assert found is not None
    assert (found.first, found.last) == (25, 25)
    assert found.text.startswith("    with op.get_context().autocommit_block():\n        op.create_index(")


def test_a_statement_over_several_lines_is_replaced_whole() -> None:
    source = "\n" * 22 + "def upgrade():\n    op.create_index(\n        'ix', 'orders', ['customer_id']\n    )\n"

    found = inline.suggestion(BLOCKING, reports.TYPICAL, source)

    assert found is not None
    assert (found.first, found.last) == (24, 26)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(None, id="the file is not to be had"),
        pytest.param("def upgrade(:", id="the file is not Python"),
        pytest.param("\n" * 23 + "def upgrade():\n    for t in x: op.create_index(t)\n", id="in a loop"),
        pytest.param("\n" * 23 + "def upgrade():\n    a(); op.create_index('ix')\n", id="two statements on a line"),
        pytest.param("\n" * 23 + "def upgrade():\n    op.create_index('ix')  # why\n", id="with a comment"),
        pytest.param(
            "\n" * 22 + "def upgrade():\n    with x:\n        op.create_index('ix')\n", id="inside a with"
        ),
        pytest.param("\n" * 23 + "def helper():\n    op.create_index('ix')\n", id="in another function"),
    ],
)
def test_nothing_is_suggested_where_it_would_not_fit_exactly(source: str | None) -> None:
    assert inline.suggestion(BLOCKING, reports.TYPICAL, source) is None


def test_a_remedy_in_several_deploys_is_no_suggestion() -> None:
    key = next(each for each in digest(reports.TYPICAL.trees[0]).all_findings if len(each.finding.remedy) > 1)

    assert (
        inline.suggestion(key, reports.TYPICAL, "\n" * 16 + "def upgrade():\n    op.create_foreign_key('x')\n")
        is None
    )


# -- suggestions that were rehearsed --------------------------------------------------------------

FIXED = TriedFix(
    "build it CONCURRENTLY",
    f"diff --git a/{KEY} b/{KEY}\n--- a/{KEY}\n+++ b/{KEY}\n"
    "@@ -24,3 +24,4 @@\n line 23\n-line 24\n+    with op.get_context().autocommit_block():\n+        op.x()\n"
    " line 25\n@@ -28,2 +29,2 @@\n line 27\n-line 28\n+    op.y()\n",
)
REFUSED = TriedFix(reason="it adds a revision", unsafe=True)


def tried(**fixes: TriedFix) -> Report:
    """The typical report, with what became of the fixes of some rules (`_` for `-`), read from its JSON."""
    (tree,) = reports.TYPICAL.trees
    found = tuple(replace(each, fix=fixes.get(each.rule.replace("-", "_"))) for each in tree.findings)
    return report_json.load(report_json.render(replace(reports.TYPICAL, trees=(replace(tree, findings=found),))))


def suggested(github: FakeGitHub) -> dict[tuple[int, int], str]:
    """The suggestions of the last review by their first and last line."""
    return {
        (each.get("start_line", each["line"]), each["line"]): each["body"]
        .partition("```suggestion\n")[2]
        .partition("\n```")[0]
        for each in github.reviews[-1]["comments"]
        if "```suggestion" in each["body"]
    }


def test_a_rehearsed_fix_is_suggested_as_a_whole_and_once(github: FakeGitHub, api: Api) -> None:
    report = tried(blocking_index=FIXED)

    inline.post(api, NUMBER, SHA, report, ID, lambda _: SOURCE)
    again = inline.post(api, NUMBER, SHA, report, ID, lambda _: SOURCE)

    text = "    with op.get_context().autocommit_block():\n        op.x()\nline 25\nline 26\nline 27\n    op.y()"
    assert suggested(github) == {(25, 29): text}
    assert (len(github.reviews), again.new) == (1, 0)


def test_of_two_fixes_of_the_same_lines_one_is_suggested_and_the_other_one_told(
    github: FakeGitHub, api: Api
) -> None:
    inline.post(api, NUMBER, SHA, tried(blocking_index=FIXED, validating_foreign_key=FIXED), ID, lambda _: SOURCE)

    bodies = [each["body"] for each in github.reviews[0]["comments"]]
    assert ["```suggestion" in each for each in bodies].count(True) == 1
    assert ["changes the same lines as another one" in each for each in bodies].count(True) == 1


def test_where_a_fix_was_tried_in_vain_the_remedy_is_no_suggestion(github: FakeGitHub, api: Api) -> None:
    inline.post(api, NUMBER, SHA, tried(blocking_index=REFUSED), ID, lambda _: SOURCE)

    assert suggested(github) == {}
    assert "Write this instead" in github.reviews[0]["comments"][1]["body"]


def test_a_report_of_another_job_suggests_nothing(github: FakeGitHub, api: Api) -> None:
    post(api, tried(blocking_index=FIXED))

    assert suggested(github) == {}


def test_added_lines_are_counted_in_the_new_file() -> None:
    text = "@@ -1,3 +1,4 @@ def f():\n a\n-b\n+c\n+d\n e\n@@ -10 +11,2 @@\n+x\n y\n\\ No newline at end of file"

    assert inline.added_lines([ChangedFile("f", "modified", text)]) == {"f": frozenset({2, 3, 11})}
