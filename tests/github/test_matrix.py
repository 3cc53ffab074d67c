"""Every event that can start a run, through the whole action: what is run, compared, said, and failed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.github.fake import FakeGitHub
from tests.github.projects import HARMLESS, PYTHON, UNSAFE, PullRequest
from tests.github.runner import Job
from tests.repository import git

NEW = "migrations/versions/bbb222_new.py"
REPOSITORY = {"full_name": "octo-org/blog", "default_branch": "main"}

Start = Callable[..., Job]


@pytest.fixture
def start(tmp_path: Path, environment: Path, github: FakeGitHub) -> Start:
    """A job that `event` starts, for a branch that adds `files`."""

    def start(event: str, files: dict[str, str], payload: Callable[[PullRequest], dict[str, Any]]) -> Job:
        pull_request = PullRequest(tmp_path / "workspace").start().add(files)
        github.head = pull_request.head
        variables = {"GITHUB_API_URL": github.url, "GITHUB_SHA": pull_request.head}
        found = {"repository": REPOSITORY, **payload(pull_request)}
        return Job(tmp_path, environment, event, found, variables)

    return start


def of_pull_request(action: str) -> Callable[[PullRequest], dict[str, Any]]:
    return lambda pull_request: pull_request.event(action)


def pushed(pull_request: PullRequest) -> dict[str, Any]:
    return {"before": pull_request.base, "after": pull_request.head, "deleted": False}


def nothing(_: PullRequest) -> dict[str, Any]:
    return {}


# -- pull_request ----------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["opened", "synchronize", "reopened", "ready_for_review", "edited"])
def test_a_pull_request_is_reviewed_whatever_happens_to_it(start: Start, action: str) -> None:
    job = start("pull_request", {NEW: UNSAFE}, of_pull_request(action))

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"], outputs["comment-status"]) == (True, "fail", "created"), job.stdout
    assert job.steps["review"].annotations


def test_a_pull_request_that_takes_its_revision_back_turns_green(start: Start, github: FakeGitHub) -> None:
    job = start("pull_request", {NEW: UNSAFE}, of_pull_request("opened"))
    job.use(python=PYTHON)
    git(job.workspace, "checkout", "-q", "feature")
    git(job.workspace, "rm", "-q", NEW)
    job.payload.write_text(json.dumps(PullRequest(job.workspace).add({"app.py": ""}).event()))

    outputs = job.use(python="/nonexistent/python")

    assert (job.failed, outputs["verdict"], outputs["comment-status"]) == (False, "skipped", "updated"), job.stdout
    [body] = github.bodies
    assert body.split("\n")[1] == "### ✅ Migration review: no new revision, nothing to review"
    assert job.summary == "### ✅ Migration review: no new revision, nothing to review\n"


def test_a_closed_pull_request_keeps_its_comment(start: Start, github: FakeGitHub) -> None:
    job = start("pull_request", {NEW: UNSAFE}, of_pull_request("opened"))
    job.use(python=PYTHON, report_directory="reports", comment="auto")
    before = dict(github.comments)
    job.payload.write_text(json.dumps(PullRequest(job.workspace).event("closed")))
    github.requests.clear()

    reviewed = job.use(python=PYTHON)
    published = job.use(mode="comment", report_directory="reports")

    assert (reviewed["verdict"], published["comment-status"]) == ("skipped", "skipped")
    assert not job.failed
    assert github.requests == []
    assert github.comments == before


# -- merge queue and push --------------------------------------------------------------------------


def test_a_merge_queue_catches_two_pull_requests_that_each_add_a_head(start: Start, github: FakeGitHub) -> None:
    job = start("merge_group", {NEW: HARMLESS}, nothing)
    git(job.workspace, "checkout", "-q", "main")
    other = HARMLESS.replace("bbb222", "ccc333").replace("notes", "words")
    (job.workspace / "migrations/versions/ccc333_other.py").write_text(other)
    git(job.workspace, "add", "-A")
    git(job.workspace, "commit", "-q", "-m", "another pull request")
    base = git(job.workspace, "rev-parse", "HEAD")
    git(job.workspace, "merge", "-q", "--no-edit", "feature")
    head = git(job.workspace, "rev-parse", "HEAD")
    job.payload.write_text(json.dumps({"merge_group": {"base_sha": base, "head_sha": head}}))

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"], outputs["comment-status"]) == (True, "fail", "skipped"), job.stdout
    assert any("head" in each.properties["title"] for each in job.steps["review"].annotations), job.stdout
    assert "bbb222" in job.summary
    assert github.requests == []


def test_a_push_is_reviewed_and_comments_where_a_pull_request_is_named(start: Start, github: FakeGitHub) -> None:
    job = start("push", {NEW: UNSAFE}, pushed)

    alone = job.use(python=PYTHON)

    assert (job.failed, alone["verdict"], alone["comment-status"]) == (True, "fail", "skipped"), job.stdout
    assert job.steps["review"].annotations
    assert "blocking-index" in job.summary
    assert github.requests == []

    named = job.use(python=PYTHON, pull_request="7")

    assert named["comment-status"] == "created"
    assert f"/blob/{github.head}/{NEW}#L10" in github.bodies[0]


def test_a_push_that_deletes_its_branch_is_nothing_to_review(start: Start, github: FakeGitHub) -> None:
    def deleted(pull_request: PullRequest) -> dict[str, Any]:
        return {"before": pull_request.base, "after": "0" * 40, "deleted": True}

    job = start("push", {NEW: UNSAFE}, deleted)

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"], outputs["findings"]) == (False, "skipped", "0")
    assert "the branch was deleted" in job.stdout
    assert github.requests == []


# -- by hand, by the clock, by another workflow ----------------------------------------------------


@pytest.mark.parametrize("event", ["workflow_dispatch", "schedule", "workflow_call", "release"])
def test_other_runs_are_compared_with_the_default_branch(start: Start, github: FakeGitHub, event: str) -> None:
    job = start(event, {NEW: UNSAFE}, nothing)

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"], outputs["comment-status"]) == (True, "fail", "skipped"), job.stdout
    assert github.requests == []


def test_a_run_by_hand_takes_a_base_and_a_pull_request(start: Start) -> None:
    job = start("workflow_dispatch", {NEW: UNSAFE}, nothing)
    git(job.workspace, "tag", "v1", "HEAD")

    assert job.use(python=PYTHON, base_ref="v1")["verdict"] == "skipped"
    assert job.use(python=PYTHON, base_ref="main", pull_request="7")["comment-status"] == "created"


def test_a_called_workflow_has_the_event_of_its_caller(start: Start) -> None:
    # GitHub gives a called workflow the name and the payload of what started the caller
    job = start("pull_request", {NEW: UNSAFE}, of_pull_request("opened"))
    job.variables = {**job.variables, "GITHUB_WORKFLOW_REF": "octo-org/shared/.github/workflows/review.yml@main"}

    assert job.use(python=PYTHON)["comment-status"] == "created"


# -- events that strangers start -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        pytest.param("pull_request_target", of_pull_request("opened"), id="pull_request_target"),
        pytest.param("pull_request_review", of_pull_request("submitted"), id="pull_request_review"),
        pytest.param(
            "issue_comment",
            lambda _: {"action": "created", "issue": {"number": 7, "pull_request": {"url": "x"}}},
            id="issue_comment",
        ),
    ],
)
def test_where_strangers_start_runs_a_report_is_published_and_nothing_run(
    start: Start, event: str, payload: Callable[[PullRequest], dict[str, Any]]
) -> None:
    job = start("pull_request", {NEW: UNSAFE}, of_pull_request("opened"))
    job.use(python=PYTHON, report_directory="reports", comment="never")
    job.event_name = event
    job.payload.write_text(json.dumps({"repository": REPOSITORY, **payload(PullRequest(job.workspace))}))

    refused = job.use(python=PYTHON)
    assert (job.failed, refused["verdict"]) == (True, "error")

    outputs = job.use(mode="comment", report_directory="reports")

    assert list(job.steps) == ["publish"]
    assert (job.failed, outputs["comment-status"]) == (False, "created"), job.stdout


def test_a_finished_run_of_a_closed_pull_request_is_left_alone(start: Start, github: FakeGitHub) -> None:
    job = start("pull_request", {NEW: UNSAFE}, of_pull_request("opened"))
    job.use(python=PYTHON, report_directory="reports", comment="never")
    github.state = "closed"
    run = {
        "head_sha": github.head,
        "head_branch": "feature",
        "event": "pull_request",
        "head_repository": {"owner": {"login": "octo-org"}},
    }
    job.event_name = "workflow_run"
    job.payload.write_text(json.dumps({"repository": REPOSITORY, "workflow_run": run}))

    outputs = job.use(mode="comment", report_directory="reports")

    assert (job.failed, outputs["comment-status"]) == (False, "skipped")
    assert github.comments == {}


# -- what other actions get wrong ------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [True, False], ids=["a read-only token", "no pull request"])
def test_findings_that_cannot_be_review_comments_are_annotations(
    start: Start, github: FakeGitHub, read_only: bool
) -> None:
    # reviewdog's fallback loops over a list that nothing is ever put into
    github.may_write = not read_only
    job = start(
        "pull_request" if read_only else "push", {NEW: UNSAFE}, of_pull_request("opened") if read_only else pushed
    )

    job.use(python=PYTHON, annotations="review")

    assert job.steps["review"].annotations == []
    found = [each for each in job.steps["publish"].annotations if each.name == "error"]
    assert [(each.properties["file"], each.properties["line"]) for each in found] == [(NEW, "10")]


@pytest.mark.cold
def test_files_of_the_project_with_our_names_mean_nothing(start: Start) -> None:
    # an action that read package.json of the checkout let it choose the tool's version
    evil = 'raise SystemExit("EVIL RAN")\n'
    ours = {
        "action/environment.sh": 'echo "EVIL RAN"; exit 1\n',
        "requirements.lock": "evil==1\n",
        "pyproject.toml": "[project]\nname = 'evil'\n",
        "reviewer/__init__.py": evil,
        "checks/__init__.py": evil,
        "sitecustomize.py": evil,
        "github.py": evil,
    }
    job = start("pull_request", {NEW: HARMLESS, **ours}, of_pull_request("opened"))

    outputs = job.use(python=PYTHON)

    assert "EVIL RAN" not in job.stdout
    assert (job.failed, outputs["verdict"], outputs["comment-status"]) == (False, "pass", "created"), job.stdout


def test_names_from_the_pull_request_are_no_shell(start: Start, tmp_path: Path) -> None:
    odd = f"a$(touch {tmp_path}/one)`touch two`;touch three&'\"b"
    job = start(
        "pull_request", {f"migrations/versions/{odd.replace('/', '_')}.py": HARMLESS}, of_pull_request("opened")
    )

    assert job.use(python=PYTHON)["verdict"] == "pass", job.stdout
    for name in ("working_directory", "config", "base_ref", "python", "report_directory"):
        job.use(**{"python": PYTHON, name: odd.replace("/", "_")})
    assert not [each for each in tmp_path.rglob("*") if each.name in {"one", "two", "three"}]


def test_two_uses_on_one_pull_request_have_a_comment_each(start: Start, github: FakeGitHub) -> None:
    job = start("pull_request", {NEW: UNSAFE}, of_pull_request("opened"))
    shutil.copytree(job.workspace / "migrations", job.workspace / "copy/migrations")
    shutil.copy(job.workspace / "alembic.ini", job.workspace / "copy")

    job.use(python=PYTHON)
    job.use(python=PYTHON, working_directory="copy", base_ref="main")
    job.use(python=PYTHON, comment_id="third")
    again = job.use(python=PYTHON)

    assert again["comment-status"] == "unchanged"
    assert len(github.bodies) == 3
