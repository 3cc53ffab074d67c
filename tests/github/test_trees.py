"""Several trees in one use of the action: each has a comment of its own."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from reviewer.github import publication
from reviewer.github.api import Api
from reviewer.github.comment import Status
from reviewer.github.event import Event
from reviewer.github.publication import Published, Target, Wish
from reviewer.report import markdown
from reviewer.report.markdown import MARKER, Place
from reviewer.review.verdict import Report, TreeReport
from tests.github.fake import FakeGitHub, Fault
from tests.github.projects import ENV, FIRST, HARMLESS, PYTHON, SAFE, UNSAFE, PullRequest
from tests.github.runner import Job
from tests.report import reports
from tests.repository import git, write

pytestmark = pytest.mark.processes

NUMBER, SHA, ID = 7, "a" * 40, "0123456789ab"
SHOP, BILLING = "shop/migrations/versions/bbb222_new.py", "billing/migrations/versions/ccc333_new.py"
WISH = Wish(ID)
CONFIG = "shop=shop/alembic.ini\nbilling=billing/alembic.ini"


def trees_of(github: FakeGitHub) -> list[str | None]:
    """The tree that each comment says that it is about."""
    markers = [MARKER.match(body) for body in github.bodies]
    return [marker["tree"] for marker in markers if marker]


# -- the action's steps ----------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path, environment: Path, github: FakeGitHub) -> Callable[[dict[str, str]], Job]:
    """A job for a pull request that adds `files` to a repository with two trees."""

    def start(files: dict[str, str]) -> Job:
        pull_request = PullRequest(tmp_path / "workspace", "shop").start()
        git(pull_request.folder, "checkout", "-q", "main")
        second = {
            "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
            "migrations/env.py": ENV,
            "migrations/versions/aaa111_people.py": FIRST,
        }
        write(pull_request.folder / "billing", second)
        git(pull_request.folder, "add", "-A")
        git(pull_request.folder, "commit", "-q", "-m", "a second tree")
        git(pull_request.folder, "checkout", "-q", "-B", "feature")
        return run_of(PullRequest(pull_request.folder).add(files))

    def run_of(pull_request: PullRequest) -> Job:
        github.head = pull_request.head
        return Job(tmp_path, environment, event=pull_request.event(), variables={"GITHUB_API_URL": github.url})

    return start


def pushed(job: Job, files: Mapping[str, str | None], run: str) -> None:
    """The next run of the job, after a push that changes `files`; None: deletes one."""
    pull_request = PullRequest(job.workspace)
    git(job.workspace, "checkout", "-q", "feature")
    for path in (path for path, text in files.items() if text is None):
        git(job.workspace, "rm", "-q", "-f", path)
    pull_request.add({path: text for path, text in files.items() if text is not None})
    job.payload.write_text(json.dumps(pull_request.event()))
    job.variables = {**job.variables, "GITHUB_RUN_ID": run}


def titles(github: FakeGitHub) -> list[str]:
    return [body.split("\n")[1] for body in github.bodies]


def test_each_tree_has_a_comment_that_goes_its_own_way(
    start: Callable[[dict[str, str]], Job], github: FakeGitHub
) -> None:
    job = start({SHOP: UNSAFE, BILLING: HARMLESS})

    first = job.use(python=PYTHON, config=CONFIG)

    assert (first["verdict"], first["comment-status"]) == ("fail", "created"), job.stdout
    assert titles(github) == [
        "### ❌ Migration review of `shop`: merge blocked by 1 error; 1 revision",
        "### ✅ Migration review of `billing`: nothing found in 1 revision",
    ]
    assert trees_of(github) == ["shop", "billing"]
    assert len(first["comment-url"].split("\n")) == 2
    billing = github.bodies[1]

    pushed(job, {SHOP: SAFE}, "1001")
    github.requests.clear()
    second = job.use(python=PYTHON, config=CONFIG)

    assert (second["verdict"], second["comment-status"]) == ("pass", "updated"), job.stdout
    assert titles(github)[0] == "### ✅ Migration review of `shop`: nothing found in 1 revision"
    assert [each.partition("/comments")[0] for each in github.asked()] == [
        "Comments",
        "PATCH /repos/octo-org/blog/issues",
        "PATCH /repos/octo-org/blog/issues",
    ], "its links point to another commit, so the second one is written too"
    assert without_commits(github.bodies[1]) == without_commits(billing)

    github.requests.clear()
    third = job.use(python=PYTHON, config=CONFIG)

    assert third["comment-status"] == "unchanged"
    assert github.asked() == ["Comments"]

    pushed(job, {BILLING: None}, "1002")
    fourth = job.use(python=PYTHON, config=CONFIG)

    assert (fourth["verdict"], fourth["comment-status"]) == ("pass", "updated")
    assert titles(github) == [
        "### ✅ Migration review of `shop`: nothing found in 1 revision",
        "### ✅ Migration review of `billing`: no new revision, nothing to review",
    ]


def without_commits(body: str) -> str:
    return re.sub(r" +-->", " -->", re.sub(r"[0-9a-f]{40}|(?:run|was|now)=\S*|/runs/\d+", "", body))


def test_a_tree_without_a_new_revision_gets_no_comment(
    start: Callable[[dict[str, str]], Job], github: FakeGitHub
) -> None:
    job = start({SHOP: UNSAFE})

    job.use(python=PYTHON, config=CONFIG)

    assert titles(github) == ["### ❌ Migration review of `shop`: merge blocked by 1 error; 1 revision"]
    assert "comment skipped for billing: there is nothing to say" in job.stdout


def test_a_pull_request_that_touches_no_tree_gets_no_comment(
    start: Callable[[dict[str, str]], Job], github: FakeGitHub
) -> None:
    job = start({"README.md": "words\n"})

    outputs = job.use(python="/nonexistent/python", config=CONFIG)

    assert (job.failed, outputs["verdict"], outputs["comment-status"]) == (False, "skipped", "skipped")
    assert github.comments == {}


def test_a_tree_that_cannot_be_reviewed_spoils_no_other_ones_comment(
    start: Callable[[dict[str, str]], Job], github: FakeGitHub
) -> None:
    job = start({SHOP: HARMLESS, BILLING: HARMLESS, "billing/migrations/env.py": "import nosuchmodule\n"})

    outputs = job.use(python=PYTHON, config=CONFIG)

    assert (job.failed, outputs["verdict"]) == (True, "error")
    assert titles(github)[0] == "### ✅ Migration review of `shop`: nothing found in 1 revision"
    assert titles(github)[1].startswith(
        "### 🚫 Migration review of `billing`: merge blocked: the review is not complete"
    )
    assert "nosuchmodule" not in github.bodies[0]
    assert "nosuchmodule" in github.bodies[1]


# -- reports made by hand --------------------------------------------------------------------------


def report(**trees: Report) -> Report:
    """One report of several trees, each as the report of a project with one."""
    found: list[TreeReport] = []
    for name, each in trees.items():
        found += [replace(tree, recording=replace(tree.recording, tree=name)) for tree in each.trees]
    return replace(reports.CLEAN, trees=tuple(found))


def publish(api: Api, what: Report, run: str = "100.1", wish: Wish = WISH) -> Published:
    event = Event(repository="octo-org/blog", run=run)
    return publication.publish(api, what, event, Target(NUMBER, SHA), wish)[0]


def statuses(published: Published) -> dict[str, str]:
    return {tree: each.status.value for tree, each in published.outcomes.items()}


def test_trees_are_published_with_few_requests(github: FakeGitHub, api: Api) -> None:
    publish(api, report(a=reports.TYPICAL, b=reports.CLEAN, c=reports.NOTHING_NEW))
    assert github.asked() == [
        "Comments",
        "POST /repos/octo-org/blog/issues/7/comments",
        "POST /repos/octo-org/blog/issues/7/comments",
        "Comments",
    ]

    github.requests.clear()
    again = publish(api, report(a=reports.CLEAN, b=reports.CLEAN, c=reports.NOTHING_NEW), "101.1")

    assert statuses(again) == {"a": "updated", "b": "unchanged", "c": "skipped"}
    assert github.asked() == ["Comments", "PATCH /repos/octo-org/blog/issues/comments/3000000001"]
    assert again.status is Status.UPDATED


def test_on_an_older_server_too_trees_are_told_apart(either: FakeGitHub, connect: Callable[..., Api]) -> None:
    both = report(a=reports.TYPICAL, b=reports.TYPICAL)
    publish(connect(either), both)

    again = publish(connect(either), both, "101.1")

    assert statuses(again) == {"a": "unchanged", "b": "unchanged"}
    assert len(either.bodies) == 2


def test_a_project_with_one_tree_keeps_the_marker_that_names_none(github: FakeGitHub, api: Api) -> None:
    publish(api, reports.TYPICAL)
    publish(api, report(shop=reports.CLEAN), "101.1")

    [body] = github.bodies
    assert body.startswith(
        f"<!-- alembic-reviewer v1 id={ID} run=101.1 sha={SHA} now= -->\n### ✅ Migration review: "
    )


def test_the_comment_that_trees_had_in_common_is_folded(github: FakeGitHub, api: Api) -> None:
    common = markdown.render(reports.TYPICAL, Place(marker_id=ID, run="99.1", sha=SHA))
    other = markdown.render(reports.TYPICAL, Place(marker_id="f" * 12, run="99.1", sha=SHA))
    github.write(common)
    github.write(other)
    foreign = github.write(common, "mallory")

    publish(api, report(a=reports.TYPICAL, b=reports.CLEAN))

    assert [each["why"] for each in github.comments.values()] == ["OUTDATED", "", "", "", ""]
    assert not github.comments[foreign]["hidden"]


def test_the_comment_of_a_tree_that_is_gone_is_folded(github: FakeGitHub, api: Api) -> None:
    publish(api, report(a=reports.TYPICAL, b=reports.TYPICAL, c=reports.TYPICAL))

    publish(api, report(a=reports.TYPICAL, b=reports.TYPICAL), "101.1")

    assert [each["why"] for each in github.comments.values()] == ["", "", "OUTDATED"]


def test_an_older_run_folds_nothing_of_a_newer_one(github: FakeGitHub, api: Api) -> None:
    publish(api, report(a=reports.TYPICAL, b=reports.TYPICAL, c=reports.TYPICAL), "101.1")

    publish(api, report(a=reports.CLEAN, b=reports.CLEAN), "100.1")

    assert len(github.bodies) == 3


def test_a_review_that_could_not_begin_says_so_under_no_tree_and_leaves_the_others(
    github: FakeGitHub, api: Api
) -> None:
    publish(api, report(a=reports.TYPICAL, b=reports.TYPICAL))
    broken = Report("1", (), reports.CLEAN.fail_on, errors=("There is no file billing/alembic.ini.",))

    publish(api, broken, "101.1")
    assert trees_of(github) == ["a", "b", None]

    publish(api, report(a=reports.TYPICAL, b=reports.CLEAN), "102.1")
    assert trees_of(github) == ["a", "b"]


def test_what_is_wrong_with_the_whole_review_is_in_every_comment(github: FakeGitHub, api: Api) -> None:
    publish(api, replace(report(a=reports.TYPICAL, b=reports.CLEAN), errors=("It was undone.",)))

    assert ["It was undone." in body for body in github.bodies] == [True, True]


def test_two_runs_at_once_leave_one_comment_for_each_tree(github: FakeGitHub, api: Api) -> None:
    newer = report(a=reports.CLEAN, b=reports.CLEAN)

    def other_run() -> None:
        for name, part in newer.by_tree().items():
            github.write(markdown.render(part, Place(marker_id=ID, run="101.1", sha=SHA, tree=name)))

    github.faults.append(Fault("POST", "issues/7/comments", then=other_run, harmless=True))

    publish(api, report(a=reports.TYPICAL, b=reports.TYPICAL), "100.1")

    assert sorted(map(str, trees_of(github))) == ["a", "b"]
    assert all("run=101.1" in body for body in github.bodies)


def test_a_token_that_may_not_write_is_tried_once(github: FakeGitHub, api: Api) -> None:
    github.may_write = False

    published = publish(api, report(a=reports.TYPICAL, b=reports.TYPICAL, c=reports.TYPICAL))

    assert github.asked() == ["Comments", "POST /repos/octo-org/blog/issues/7/comments"]
    [said] = published.missing
    assert said.startswith(
        "There is no comment for a, b, c: GitHub refused: Resource not accessible by integration"
    )


def test_a_comment_that_fails_takes_no_other_one_with_it(github: FakeGitHub, api: Api) -> None:
    github.faults.append(Fault("POST", "issues/7/comments", 422, "no"))

    published = publish(api, report(a=reports.TYPICAL, b=reports.TYPICAL))

    assert statuses(published) == {"a": "failed", "b": "created"}
    assert published.status is Status.FAILED
    assert len(published.missing) == len(published.there) == 1


def test_more_trees_than_anybody_reads_share_one_comment(github: FakeGitHub, api: Api) -> None:
    many = {f"t{n}": reports.TYPICAL for n in range(publication.MOST_COMMENTS + 1)}

    publish(api, report(**many))

    [body] = github.bodies
    assert trees_of(github) == [None]
    assert "**Tree `t10`**" in body


ODD = [
    "a-b",
    "ab",
    "a--b",
    "a b",
    "a/b",
    "-->",
    "<!--",
    "`",
    "a\nb",
    "@octocat",
    "ä",
    "\udc80",
    "x" * 500,
    "x" * 501,
]


def test_odd_names_of_trees_are_told_apart_and_stay_code(github: FakeGitHub, api: Api) -> None:
    for number, pair in enumerate(itertools.pairwise(ODD)):
        publish(api, report(**dict.fromkeys(pair, reports.TYPICAL)), wish=Wish(f"{number}"))

    for body in github.bodies:
        first, title, *_ = body.split("\n")
        assert MARKER.fullmatch(first), first
        assert first.index("-->") == len(first) - 3
        assert re.match(r"### ❌ Migration review of (`+) ?.*?\1: merge blocked by 2 errors", title), title
    keys = {(found["id"], found["tree"]) for body in github.bodies if (found := MARKER.match(body))}
    assert len(keys) == len(github.bodies) == 2 * (len(ODD) - 1)


def test_a_dry_run_has_every_comment() -> None:
    parts = publication.parts(report(a=reports.TYPICAL, b=reports.CLEAN))

    bodies = [publication.body_of(part, Event(), None, WISH, tree) for tree, part in parts.items()]

    assert [body.count("<!-- alembic-reviewer v1") for body in bodies] == [1, 1]


def test_what_is_new_since_the_last_push_is_told_first(github: FakeGitHub, api: Api) -> None:
    [tree] = reports.TYPICAL.trees
    first, *_, last = (each for each in tree.findings if each.suppressed is None)
    before, now = (
        replace(reports.TYPICAL, trees=(replace(tree, findings=found),)) for found in ((first,), (first, last))
    )
    event = Event(repository="octo-org/blog", run="100.1", server_url="https://github.com")
    for what, sha in ((before, "a" * 40), (now, "b" * 40), (now, "b" * 40)):
        publication.publish(api, what, event, Target(NUMBER, sha), WISH)

        [body] = github.bodies

    assert "Since the last push: 1 new finding, shown first; 0 resolved." in body
    assert body.index(last.message.split("`")[0]) < body.index(first.message.split("`")[0])
