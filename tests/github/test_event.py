"""Every event that can start a run: what it says, which commit it compares with, which pull request it is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from reviewer.github import publication
from reviewer.github.api import Api
from reviewer.github.comment import Outcome
from reviewer.github.event import Event, from_environment
from reviewer.github.publication import Target
from reviewer.github.review_step import base_of
from tests.github.conftest import payloads
from tests.github.fake import REPOSITORY, FakeGitHub
from tests.github.projects import UNSAFE, PullRequest
from tests.repository import git

pytestmark = pytest.mark.processes

Read = Callable[..., Event]
HEAD = "a" * 40
OTHER = "b" * 40


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The event that a payload tells of."""

    def read(name: str, payload: Mapping[str, Any], **variables: str) -> Event:
        file = tmp_path / "event.json"
        file.write_text(json.dumps(payload))
        environ = {
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(file),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": "42",
            "GITHUB_RUN_ATTEMPT": "2",
        }
        return from_environment({**environ, **variables})

    return read


# -- GitHub's own examples -------------------------------------------------------------------------

RUN = ["pull_request", "push", "merge_group", "workflow_dispatch"]
REFUSED = [
    "workflow_run",
    "issue_comment",
    "pull_request_review",
    "pull_request_review_comment",
    "discussion",
    "discussion_comment",
]


@pytest.mark.parametrize("name", RUN)
def test_githubs_examples_of_events_that_review_are_read(read: Read, name: str) -> None:
    for action, payload in payloads(name):
        repository = payload["repository"]
        assert isinstance(repository, dict)
        event = read(name, payload, GITHUB_REPOSITORY=repository["full_name"])

        assert not event.runs_strangers
        assert event.action == action
        assert (event.pull_request is not None) == (name == "pull_request")
        assert bool(event.over) == (payload.get("deleted") is True or action == "closed")
        assert event.run == "42.2"
        if event.pull_request:
            found = payload["pull_request"]
            assert isinstance(found, dict)
            assert (event.pull_request.number, event.pull_request.head_sha) == (
                found["number"],
                found["head"]["sha"],
            )
            assert event.head_sha == found["head"]["sha"]
        if name == "merge_group":
            group = payload["merge_group"]
            assert isinstance(group, dict)
            assert (event.before, event.head_sha) == (group["base_sha"], group["head_sha"])


@pytest.mark.parametrize("name", REFUSED)
def test_githubs_examples_of_events_that_strangers_start_are_refused(read: Read, name: str) -> None:
    for _, payload in payloads(name):
        assert read(name, payload).runs_strangers


def test_githubs_examples_of_a_finished_run_name_its_commit(read: Read) -> None:
    for _, payload in payloads("workflow_run"):
        run = payload["workflow_run"]
        assert isinstance(run, dict)
        event = read("workflow_run", payload)

        assert event.upstream is not None
        assert event.head_sha == event.upstream.head_sha == run["head_sha"]


# -- payloads made by hand -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        {"pull_request": None},
        {"pull_request": {"number": "7"}},
        {"pull_request": {"number": 7, "head": {"sha": "$(id)", "repo": None}, "base": None}},
        {"workflow_run": {"head_sha": "not a commit"}},
        {"repository": 3, "before": 4},
    ],
    ids=str,
)
def test_odd_payloads_are_no_crash(read: Read, payload: Any) -> None:
    event = read("pull_request", payload)

    assert event.head_sha == ""


def test_a_payload_of_a_deleted_fork_is_one_of_a_fork(read: Read) -> None:
    found = {"number": 7, "head": {"sha": HEAD, "repo": None}, "base": {"ref": "main", "sha": OTHER}}
    event = read("pull_request", {"pull_request": found})

    assert event.pull_request is not None
    assert event.pull_request.from_fork
    assert "fork" in event.read_only


def test_dependabot_is_known_by_who_started_the_run(read: Read) -> None:
    assert "Dependabot" in read("push", {}, GITHUB_ACTOR="dependabot[bot]").read_only


def test_addresses_of_an_enterprise_server_are_taken_over(read: Read) -> None:
    event = read(
        "push", {}, GITHUB_SERVER_URL="https://git.example.com/", GITHUB_API_URL="https://git.example.com/api/v3/"
    )

    assert event.api_url == "https://git.example.com/api/v3"
    assert event.repository_url == f"https://git.example.com/{REPOSITORY}"
    assert event.run_url == f"https://git.example.com/{REPOSITORY}/actions/runs/42/attempts/2"


def test_outside_of_actions_nothing_is_known() -> None:
    assert from_environment({}) == Event()


# -- the commit to compare with --------------------------------------------------------------------


@pytest.fixture
def branch(tmp_path: Path) -> PullRequest:
    """A branch with a revision, checked out as the merge that GitHub makes."""
    return PullRequest(tmp_path / "workspace").start().add({"migrations/versions/b.py": UNSAFE})


def test_a_pull_request_is_compared_with_the_first_parent_of_the_merge(read: Read, branch: PullRequest) -> None:
    # the base has moved on since the payload was written
    event = read(
        "pull_request",
        {**branch.event(), "pull_request": {**_found(branch), "base": {"sha": OTHER, "ref": "main"}}},
    )

    assert base_of(event, "", branch.folder) == branch.base


def test_a_head_that_is_itself_a_merge_of_the_base_is_compared_with_the_base(
    read: Read, branch: PullRequest
) -> None:
    git(branch.folder, "checkout", "-q", "main")
    (branch.folder / "other.txt").write_text("x")
    git(branch.folder, "add", "-A")
    git(branch.folder, "commit", "-q", "-m", "main moves on")
    git(branch.folder, "update-ref", "refs/remotes/origin/main", "main")
    git(branch.folder, "checkout", "-q", "feature")
    git(branch.folder, "merge", "-q", "--no-edit", "main")
    event = read("pull_request", branch.event())

    # its first parent is the branch before, from which the revision would not be new
    assert base_of(event, "", branch.folder) == "origin/main"


def test_a_pull_request_without_remote_branches_falls_back_on_the_payload(read: Read, branch: PullRequest) -> None:
    git(branch.folder, "checkout", "-q", "feature")
    git(branch.folder, "update-ref", "-d", "refs/remotes/origin/main")

    assert base_of(read("pull_request", branch.event()), "", branch.folder) == branch.base


def test_a_merge_queue_is_compared_with_what_it_builds_on(read: Read, branch: PullRequest) -> None:
    event = read("merge_group", {"merge_group": {"base_sha": branch.base, "head_sha": HEAD}})

    assert base_of(event, "", branch.folder) == branch.base


def test_a_push_is_compared_with_what_was_there_before(read: Read, branch: PullRequest) -> None:
    assert base_of(read("push", {"before": branch.base}), "", branch.folder) == branch.base


@pytest.mark.parametrize("before", ["0" * 40, OTHER], ids=["a new branch", "a rewritten branch"])
def test_a_push_of_which_the_past_is_gone_is_compared_with_the_default_branch(
    read: Read, branch: PullRequest, before: str
) -> None:
    event = read("push", {"before": before, "repository": {"default_branch": "main"}})

    assert base_of(event, "", branch.folder) == "origin/main"


@pytest.mark.parametrize("name", ["workflow_dispatch", "schedule", "workflow_call"])
def test_other_events_are_compared_with_the_default_branch(read: Read, branch: PullRequest, name: str) -> None:
    event = read(name, {"repository": {"default_branch": "main"}})

    assert base_of(event, "", branch.folder) == "origin/main"
    assert base_of(event, "v1", branch.folder) == "v1"


# -- the pull request ------------------------------------------------------------------------------


def _found(branch: PullRequest) -> dict[str, Any]:
    found = branch.event()["pull_request"]
    assert isinstance(found, dict)
    return found


def _finished(owner: str = "octo-org", sha: str = HEAD, event: str = "pull_request") -> dict[str, Any]:
    head = {"owner": {"login": owner}}
    return {"workflow_run": {"head_sha": sha, "head_branch": "feature", "event": event, "head_repository": head}}


def test_a_finished_run_of_a_fork_leads_to_the_pull_request_of_its_commit(
    read: Read, github: FakeGitHub, api: Api
) -> None:
    github.head_label = "mallory:feature"

    assert publication.locate(read("workflow_run", _finished("mallory")), api) == Target(7, HEAD)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(_finished(sha=OTHER), id="the pull request has moved on"),
        pytest.param(_finished("somebody"), id="another branch of that name"),
        pytest.param(_finished(event="push"), id="a run that a push has started"),
        pytest.param({"workflow_run": {"head_sha": HEAD, "event": "pull_request"}}, id="the fork is gone"),
    ],
)
def test_a_finished_run_that_is_about_no_open_pull_request_is_left_alone(
    read: Read, api: Api, payload: dict[str, Any]
) -> None:
    assert isinstance(publication.locate(read("workflow_run", payload), api), Outcome)


def test_a_finished_run_ignores_a_number_that_somebody_gives(read: Read, github: FakeGitHub, api: Api) -> None:
    github.head_label = "mallory:feature"

    assert publication.locate(read("workflow_run", _finished("mallory")), api, 1) == Target(7, HEAD)


def test_a_comment_on_a_pull_request_leads_to_its_head(read: Read, api: Api) -> None:
    event = read("issue_comment", {"issue": {"number": 7, "pull_request": {"url": "x"}}})

    assert publication.locate(event, api) == Target(7, HEAD)


def test_a_comment_on_an_issue_leads_nowhere(read: Read, api: Api) -> None:
    assert isinstance(publication.locate(read("issue_comment", {"issue": {"number": 7}}), api), Outcome)


def test_a_push_leads_to_a_pull_request_only_by_number(read: Read, api: Api) -> None:
    event = read("push", {"before": OTHER})

    assert isinstance(publication.locate(event, api), Outcome)
    assert publication.locate(event, api, 7) == Target(7, HEAD)


def test_the_pull_request_of_a_commit_is_found(either: FakeGitHub, connect: Callable[[FakeGitHub], Api]) -> None:
    assert publication.with_commit(connect(either), HEAD) == Target(7, HEAD)
