"""`alembic-reviewer comment`, as a CI other than GitHub's would call it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reviewer.report import json as report_json
from tests import warm
from tests.github.fake import REPOSITORY, FakeGitHub
from tests.report import reports

pytestmark = pytest.mark.processes

SHA = "a" * 40


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report as `review --format json` writes it."""
    file = tmp_path / "report.json"
    file.write_text(report_json.render(reports.TYPICAL))
    return file


def comment(*arguments: str | Path, token: str = "secret") -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in warm.environment().items() if not name.startswith("GITHUB_")}
    return warm.run(["comment", *map(str, arguments)], Path.cwd(), {**environ, "GITHUB_TOKEN": token})


def test_writes_the_comment_and_says_where(report: Path, github: FakeGitHub) -> None:
    done = comment(report, "--repo", REPOSITORY, "--pull-request", "7", "--sha", SHA, "--api-url", github.url)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("created: https://github.com/octo-org/blog/pull/7#issuecomment-")
    assert "validating-foreign-key" in github.bodies[0]
    assert "secret" not in done.stdout + done.stderr


def test_finds_the_pull_request_by_its_head_commit(report: Path, github: FakeGitHub) -> None:
    done = comment(report, "--repo", REPOSITORY, "--sha", SHA, "--api-url", github.url)

    assert done.returncode == 0, done.stderr
    assert len(github.bodies) == 1


def test_a_dry_run_prints_and_asks_nobody(report: Path, github: FakeGitHub) -> None:
    arguments = ("--repo", REPOSITORY, "--pull-request", "7", "--sha", SHA, "--dry-run", "--api-url", github.url)
    done = comment(report, *arguments, token="")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<!-- alembic-reviewer v1 id=")
    assert f"https://github.com/{REPOSITORY}/blob/{SHA}/" in done.stdout
    assert github.requests == []


def test_a_token_that_may_not_write_is_an_exit_status_of_its_own(report: Path, github: FakeGitHub) -> None:
    github.may_write = False

    done = comment(report, "--repo", REPOSITORY, "--pull-request", "7", "--sha", SHA, "--api-url", github.url)

    assert done.returncode == 3
    assert "pull-requests: write" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        pytest.param(("--pull-request", "7"), "secret", "--repo", id="no repository"),
        pytest.param(("--repo", REPOSITORY), "secret", "--pull-request", id="no pull request"),
        pytest.param(
            ("--repo", REPOSITORY, "--pull-request", "7", "--sha", SHA), "", "GITHUB_TOKEN", id="no token"
        ),
        pytest.param(
            ("--repo", REPOSITORY, "--pull-request", "7", "--sha", SHA, "--api-url", "ftp://x"),
            "secret",
            "address",
            id="not an address",
        ),
    ],
)
def test_what_is_missing_is_named(report: Path, arguments: tuple[str, ...], token: str, said: str) -> None:
    done = comment(report, *arguments, token=token)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_report_is_named(tmp_path: Path) -> None:
    done = comment(tmp_path / "nothing.json", "--repo", REPOSITORY)

    assert done.returncode == 2
    assert "nothing.json" in done.stderr


def test_the_rest_of_the_command_line_never_loads_pygithub() -> None:
    code = "import sys, reviewer.cli, reviewer.session, reviewer.report; sys.exit('github' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
