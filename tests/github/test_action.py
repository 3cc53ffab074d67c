"""The action's two steps on a real project, run as GitHub's runner runs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reviewer.stats import file
from tests.github.fake import FakeGitHub, Fault
from tests.github.projects import HARMLESS, PYTHON, SAFE, UNSAFE, PullRequest
from tests.github.runner import ROOT, Job
from tests.repository import git
from tests.stats.made import stats

NEW = "migrations/versions/bbb222_new.py"

Start = Callable[..., Job]


@pytest.fixture
def start(tmp_path: Path, environment: Path, github: FakeGitHub) -> Start:
    """A job for a pull request that adds `files`."""

    def start(files: dict[str, str], *, at: str = ".", fork: bool = False, action: str = "synchronize") -> Job:
        pull_request = PullRequest(tmp_path / "workspace", at).start().add(files)
        github.head = pull_request.head
        variables = {"GITHUB_API_URL": github.url}
        return Job(tmp_path, environment, event=pull_request.event(action, fork=fork), variables=variables)

    return start


@pytest.mark.cold
def test_an_unsafe_revision_fails_the_job_and_is_commented_on(start: Start, github: FakeGitHub) -> None:
    job = start({NEW: UNSAFE})

    outputs = job.use(python=PYTHON)

    assert job.steps["review"].status == 0, job.stdout
    assert job.steps["publish"].status == 1
    assert (outputs["verdict"], outputs["errors"], outputs["comment-status"]) == ("fail", "1", "created")
    assert outputs["comment-url"].startswith("https://github.com/octo-org/blog/pull/7#issuecomment-")
    assert "blocking-index" in github.bodies[0]
    assert f"/octo-org/blog/blob/{github.head}/{NEW}#L10" in github.bodies[0]
    assert "blocking-index" in job.summary
    assert [
        (each.name, each.properties["file"], each.properties["line"]) for each in job.steps["review"].annotations
    ] == [("error", NEW, "10")]
    assert Path(outputs["report-json"]).is_file()
    assert Path(outputs["sarif"]).is_file()


def test_the_comment_turns_green_after_a_fix(start: Start, github: FakeGitHub) -> None:
    job = start({NEW: UNSAFE})
    job.use(python=PYTHON)

    pull_request = PullRequest(job.workspace).add({NEW: SAFE})
    job.payload.write_text(json.dumps(pull_request.event()))
    outputs = job.use(python=PYTHON)

    assert not job.failed, job.stdout
    assert (outputs["verdict"], outputs["comment-status"]) == ("pass", "updated")
    assert len(github.comments) == 1
    assert "✅" in github.bodies[0].split("\n")[1]


def test_a_branch_of_an_example_project_before_and_after_a_fix(
    tmp_path: Path, environment: Path, github: FakeGitHub
) -> None:
    left_out = shutil.ignore_patterns("__pycache__", "alembic-reviewer.toml")
    shutil.copytree(ROOT / "examples/blog", tmp_path / "workspace", ignore=left_out)
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "the example"],
        ["checkout", "-q", "-b", "feature"],
    ):
        git(tmp_path / "workspace", *command)
    index = (
        'from alembic import op\n\nrevision = "ffff"\ndown_revision = "e8d1a35c7b60"\n\n\n'
        'def upgrade():\n    op.create_index("ix_users_handle", "users", ["handle"])\n\n\n'
        'def downgrade():\n    op.drop_index("ix_users_handle", "users")\n'
    )
    fixed = index.replace(
        '    op.create_index("ix_users_handle", "users", ["handle"])',
        "    with op.get_context().autocommit_block():\n"
        '        op.create_index("ix_users_handle", "users", ["handle"], postgresql_concurrently=True)',
    ).replace(
        '    op.drop_index("ix_users_handle", "users")',
        "    with op.get_context().autocommit_block():\n"
        '        op.drop_index("ix_users_handle", "users", postgresql_concurrently=True)',
    )
    models = (tmp_path / "workspace/blog/models.py").read_text()
    indexed = models.replace("mapped_column(String(80))", "mapped_column(String(80), index=True)", 1)
    bodies = []
    for text in (index, fixed):
        pull_request = PullRequest(tmp_path / "workspace").add(
            {"migrations/versions/ffff_index.py": text, "blog/models.py": indexed}
        )
        variables = {"GITHUB_API_URL": github.url}
        job = Job(tmp_path, environment, event=pull_request.event(), variables=variables)
        job.use(python=PYTHON)
        bodies += github.bodies

    before, after = bodies
    assert "blocking-index" in before
    assert before.split("\n")[1].startswith("### ❌ Migration review: merge blocked by 1 error")
    assert after.split("\n")[1] == "### ✅ Migration review: nothing found in 1 revision", after


def test_a_pull_request_without_a_revision_gets_no_comment_and_no_server(start: Start, github: FakeGitHub) -> None:
    job = start({"app.py": "print(1)\n"})

    outputs = job.use(python="/nonexistent/python")

    assert not job.failed, job.stdout
    assert (outputs["verdict"], outputs["comment-status"]) == ("skipped", "skipped")
    assert github.comments == {}


def test_a_harmless_revision_passes(start: Start, github: FakeGitHub) -> None:
    job = start({NEW: HARMLESS})

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"]) == (False, "pass"), job.stdout
    assert "creates" in github.bodies[0]


def test_on_findings_writes_no_first_comment_where_nothing_is_found(start: Start, github: FakeGitHub) -> None:
    job = start({NEW: HARMLESS})

    assert job.use(python=PYTHON, comment="on-findings")["comment-status"] == "skipped"
    assert github.comments == {}


def test_a_read_only_token_of_a_fork_is_one_line_and_changes_no_verdict(start: Start, github: FakeGitHub) -> None:
    github.may_write = False
    job = start({NEW: UNSAFE}, fork=True)

    outputs = job.use(python=PYTHON)

    assert (outputs["verdict"], outputs["comment-status"]) == ("fail", "forbidden")
    publish = job.steps["publish"]
    assert [each.name for each in publish.annotations] == ["notice"]
    assert "comes from a fork" in publish.annotations[0].data
    assert job.steps["review"].annotations, "the findings stay on the diff"
    assert "blocking-index" in job.summary


def test_a_missing_permission_is_a_warning_that_names_it(start: Start, github: FakeGitHub) -> None:
    github.may_write = False
    job = start({NEW: HARMLESS})

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["comment-status"]) == (False, "forbidden")
    assert [each.name for each in job.steps["publish"].annotations] == ["warning"]
    assert "pull-requests: write" in job.steps["publish"].annotations[0].data


def test_comment_always_fails_where_there_can_be_none(start: Start, github: FakeGitHub) -> None:
    github.may_write = False
    job = start({NEW: HARMLESS})

    assert job.use(python=PYTHON, comment="always")["verdict"] == "pass"
    assert job.steps["publish"].status == 1


def test_a_broken_github_changes_no_verdict(start: Start, github: FakeGitHub) -> None:
    github.faults.append(Fault("POST", "Comments", 401, "Bad credentials"))
    job = start({NEW: HARMLESS})

    assert job.use(python=PYTHON)["verdict"] == "pass"
    assert not job.failed


def test_a_closed_pull_request_is_left_alone(start: Start, github: FakeGitHub) -> None:
    job = start({NEW: UNSAFE}, action="closed")

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"]) == (False, "skipped")
    assert github.requests == []


def test_a_project_in_a_folder_of_the_repository(start: Start, github: FakeGitHub) -> None:
    job = start({NEW: UNSAFE}, at="services/shop")

    job.use(python=PYTHON, working_directory="services/shop")

    assert f"/blob/{github.head}/services/shop/{NEW}#L10" in github.bodies[0]
    assert job.steps["review"].annotations[0].properties["file"] == f"services/shop/{NEW}"


def test_a_checkout_in_a_folder_of_the_workspace(tmp_path: Path, environment: Path, github: FakeGitHub) -> None:
    pull_request = PullRequest(tmp_path / "workspace" / "code").start().add({NEW: UNSAFE})
    job = Job(tmp_path, environment, event=pull_request.event(), variables={"GITHUB_API_URL": github.url})

    job.use(python=PYTHON, working_directory="code")

    # the runner reads paths relative to the workspace; the repository on GitHub knows no such folder
    assert job.steps["review"].annotations[0].properties["file"] == f"code/{NEW}"
    assert f"/blob/{pull_request.head}/{NEW}#L10" in github.bodies[0]


def _added(text: str) -> dict[str, str]:
    """The diff of a file that the pull request adds, as GitHub gives it."""
    lines = text.splitlines()
    patch = "\n".join([f"@@ -0,0 +1,{len(lines)} @@", *("+" + each for each in lines)])
    return {"filename": NEW, "status": "added", "patch": patch}


def test_a_suggestion_is_a_rehearsed_fix_and_turns_the_pull_request_green(start: Start, github: FakeGitHub) -> None:
    github.files = [_added(UNSAFE)]
    job = start({NEW: UNSAFE})

    job.use(python=PYTHON, annotations="review")

    [said] = github.reviews[0]["comments"]
    assert (said["path"], said["start_line"], said["line"], said["side"]) == (NEW, 10, 14, "RIGHT")
    assert job.steps["review"].annotations == []

    text = said["body"].partition("```suggestion\n")[2].partition("\n```")[0]
    lines = UNSAFE.splitlines()
    accepted = "\n".join([*lines[: said["start_line"] - 1], *text.split("\n"), *lines[said["line"] :], ""])
    github.files = [_added(accepted)]
    job.payload.write_text(json.dumps(PullRequest(job.workspace).add({NEW: accepted}).event()))
    outputs = job.use(python=PYTHON, annotations="review")

    assert outputs["verdict"] == "pass", job.stdout
    assert len(github.reviews) == 1, "nothing is suggested again"
    assert [each["why"] for each in github.threads] == ["RESOLVED"]


@pytest.mark.parametrize(
    "event",
    [
        "pull_request_target",
        "workflow_run",
        "issue_comment",
        "pull_request_review",
        "pull_request_review_comment",
        "discussion",
        "discussion_comment",
    ],
)
def test_refuses_to_run_code_where_strangers_start_runs(start: Start, github: FakeGitHub, event: str) -> None:
    job = start({NEW: UNSAFE.replace("def upgrade():", "print('RAN')\ndef upgrade():")})
    job.event_name = event

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"]) == (True, "error")
    assert "RAN" not in job.stdout
    assert "mode: comment" in job.stdout
    assert github.requests == []


def test_a_wrong_input_is_named(start: Start) -> None:
    job = start({NEW: UNSAFE})

    job.use(python=PYTHON, fail_on="sometimes")

    assert job.failed
    assert [each.data for each in job.steps["review"].annotations] == [
        "The input fail-on is `sometimes`. Valid values are error, warning, notice, never."
    ]


def test_the_sizes_of_production_are_an_input(start: Start, github: FakeGitHub) -> None:
    job = start({NEW: UNSAFE, "stats.json": file.dumps(stats({"people": 50}))})

    outputs = job.use(python=PYTHON, stats="stats.json")

    assert (job.failed, outputs["verdict"], outputs["errors"]) == (False, "pass", "0"), job.stdout
    assert "In production `people` has 50 rows" in github.bodies[0]
    assert "sizes of database shop" in github.bodies[0]


def test_a_shallow_checkout_says_which_depth_it_needs(start: Start, github: FakeGitHub, tmp_path: Path) -> None:
    job = start({NEW: UNSAFE})
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{job.workspace}", str(shallow))
    job.workspace = shallow

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"]) == (True, "error")
    assert "fetch-depth: 0" in job.steps["review"].annotations[0].data
    assert "fetch-depth: 0" in github.bodies[0]


@pytest.mark.cold
def test_the_first_step_sees_no_token_and_the_second_no_code(start: Start) -> None:
    job = start({NEW: UNSAFE})

    job.use(python=PYTHON)

    assert "the-token" not in job.stdout
    assert not any(
        "the-token" in file.read_text(errors="replace") for file in job.temp.rglob("report*") if file.is_file()
    )


def test_two_jobs_one_runs_and_one_comments(
    start: Start, github: FakeGitHub, tmp_path: Path, environment: Path
) -> None:
    first = start({NEW: UNSAFE})
    first.use(python=PYTHON, comment="never", report_directory="alembic-reviewer")
    assert github.requests == []

    second = Job(tmp_path / "second", environment, event=first.event, variables={"GITHUB_API_URL": github.url})
    shutil.copytree(first.workspace / "alembic-reviewer", second.workspace / "alembic-reviewer")
    outputs = second.use(mode="comment", report_directory="alembic-reviewer")

    assert first.failed, "the job that runs is the gate"
    assert not second.failed
    assert list(second.steps) == ["publish"]
    assert (outputs["verdict"], outputs["comment-status"]) == ("fail", "created")
    assert "blocking-index" in second.summary


def test_dependabot_is_told_in_one_line(start: Start, github: FakeGitHub) -> None:
    github.may_write = False
    job = start({NEW: HARMLESS})
    job.variables = {**job.variables, "GITHUB_ACTOR": "dependabot[bot]"}

    assert job.use(python=PYTHON)["comment-status"] == "forbidden"
    assert [each.name for each in job.steps["publish"].annotations] == ["notice"]
    assert "Dependabot" in job.steps["publish"].annotations[0].data


def test_a_merge_queue_has_a_gate_and_no_comment(start: Start, github: FakeGitHub) -> None:
    job = start({NEW: UNSAFE})
    pull_request = PullRequest(job.workspace)
    job.event_name = "merge_group"
    job.payload.write_text(
        json.dumps({"merge_group": {"base_sha": pull_request.base, "head_sha": pull_request.head}})
    )

    outputs = job.use(python=PYTHON)

    assert (job.failed, outputs["verdict"], outputs["comment-status"]) == (True, "fail", "skipped")
    assert github.requests == []
