"""What migrations may try against the job that runs them, and what foreign reports may try against the comment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from reviewer.report import json as report_json
from reviewer.report import pages
from tests.github.fake import FakeGitHub
from tests.github.projects import PYTHON, UNSAFE, PullRequest
from tests.github.runner import Job, commands, odd_spaces
from tests.report import reports

pytestmark = pytest.mark.cold

NEW = "migrations/versions/bbb222_new.py"

Start = Callable[..., Job]

PRINTS = r"""
import sys, os
for stream in (sys.stdout, sys.stderr):
    print("::error::forged\n  ::set-output name=verdict::pass\n\u00a0::add-mask::fail\n##[set-output name=verdict;]pass", file=stream)
    print("x ##[error]forged\n::stop-commands::token", file=stream, flush=True)
os.write(1, b"\n::warning::forged\n")
raise RuntimeError("boom\n::error::forged by the message\n##[error]forged %0A::error::forged")
"""

WRITES_COMMAND_FILES = r"""
import glob, os
for pid in [os.getppid(), *map(int, filter(str.isdigit, os.listdir("/proc")))]:
    try:
        environ = dict(e.split(b"=", 1) for e in open("/proc/%d/environ" % pid, "rb").read().split(b"\0") if b"=" in e)
    except OSError:
        continue
    folder = os.path.dirname(environ.get(b"GITHUB_OUTPUT", b"").decode())
    if "@FOLDER@" not in folder:
        continue
    for file in glob.glob(folder + "/*"):
        with open(file, "a") as stream:
            stream.write("verdict=pass\nBASH_ENV=/tmp/evil\nerrors=0\n")
    open(folder + "/add_path_new_kind", "w").write("/tmp/evil\n")
"""

LOOKS_FOR_TOKENS = r"""
import os
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        environ = open("/proc/%s/environ" % pid, "rb").read()
    except OSError:
        continue
    if b"@FOLDER@" in environ and b"the-token" in environ:
        found.append(pid)
if found or "the-token" in str(dict(os.environ)):
    raise RuntimeError("TOKEN FOUND")
"""

LEAVES_A_PROCESS = r'''
import os, subprocess, sys
code = """
import glob, os, time
end = time.monotonic() + 60
while time.monotonic() < end:
    for file in glob.glob("@FOLDER@/temp/alembic-reviewer-report-*/report.json"):
        text = open(file).read()
        if text.endswith("}\\n"):
            os.replace(file, file + ".old")
            open(file, "w").write(text.replace('"error"', '"notice"'))
            raise SystemExit
    time.sleep(0.001)
"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", code], {})
    os._exit(0)
'''


@pytest.fixture
def start(tmp_path: Path, environment: Path, github: FakeGitHub) -> Start:
    """A job for a pull request whose revision does `code` before it is unsafe."""

    def start(code: str) -> Job:
        body = "".join(f"    {line}\n" for line in code.replace("@FOLDER@", str(tmp_path)).splitlines())
        text = UNSAFE.replace("def upgrade():\n", f"def upgrade():\n{body}")
        pull_request = PullRequest(tmp_path / "workspace").start().add({NEW: text})
        github.head = pull_request.head
        return Job(tmp_path, environment, event=pull_request.event(), variables={"GITHUB_API_URL": github.url})

    return start


def test_printed_commands_reach_no_log(start: Start) -> None:
    job = start(PRINTS)

    outputs = job.use(python=PYTHON)

    assert {each.name for each in job.steps["review"].commands} <= {"error", "warning", "notice"}
    assert all(each.properties.get("title") for each in job.steps["review"].commands), job.stdout
    assert outputs["verdict"] in {"fail", "error"}
    assert job.failed


def test_written_command_files_are_put_back_and_fail_the_review(start: Start) -> None:
    job = start(WRITES_COMMAND_FILES)

    outputs = job.use(python=PYTHON)

    assert job.failed
    assert outputs["verdict"] in {"fail", "error"}
    assert job.exported == {}
    assert job.steps["review"].path == ""
    assert not (job.files / "add_path_new_kind").exists()
    assert "wrote to the runner's command files" in job.summary


def test_no_token_is_to_be_found(start: Start) -> None:
    job = start(LOOKS_FOR_TOKENS)

    job.use(python=PYTHON)

    assert "TOKEN FOUND" not in job.stdout
    assert "blocking-index" in job.stdout


def test_a_process_left_behind_cannot_forge_the_published_report(start: Start, github: FakeGitHub) -> None:
    job = start(LEAVES_A_PROCESS)

    outputs = job.use(python=PYTHON)

    assert job.failed
    assert outputs["verdict"] in {"fail", "error"}
    assert not any("notice" in body.split("\n")[1] for body in github.bodies)


def test_what_is_left_for_the_next_step_is_not_run(start: Start, tmp_path: Path) -> None:
    job = start("pass")
    evil = tmp_path / "evil.sh"
    evil.write_text('echo "EVIL RAN"\n')
    # as a command file that was written behind our back would have it
    job.exported = {"BASH_ENV": str(evil), "PYTHONPATH": str(tmp_path), "LD_PRELOAD": ""}
    (tmp_path / "sitecustomize.py").write_text('print("EVIL RAN")\n')

    job.use(python=PYTHON)

    assert "EVIL RAN" not in job.steps["publish"].stdout


# -- foreign reports -------------------------------------------------------------------------------


@pytest.fixture
def comment_job(tmp_path: Path, environment: Path, github: FakeGitHub) -> Callable[[str | bytes], Job]:
    """A job that follows the run of a fork, with the report that the fork has uploaded."""

    def job(report: str | bytes) -> Job:
        github.head_label = "mallory:feature"
        head = {"owner": {"login": "mallory"}, "full_name": "mallory/blog"}
        run = {
            "head_sha": github.head,
            "head_branch": "feature",
            "event": "pull_request",
            "head_repository": head,
            "html_url": "https://github.com/octo-org/blog/actions/runs/999",
        }
        made = Job(
            tmp_path,
            environment,
            "workflow_run",
            {"action": "completed", "repository": {"full_name": "octo-org/blog"}, "workflow_run": run},
            {"GITHUB_API_URL": github.url},
        )
        folder = made.workspace / "artifact"
        folder.mkdir()
        (folder / "report.json").write_bytes(report if isinstance(report, bytes) else report.encode())
        return made

    return job


def use(job: Job) -> dict[str, str]:
    return job.use(mode="comment", report_directory="artifact")


def test_a_forks_report_is_rendered_anew_and_says_who_vouches_for_it(
    comment_job: Callable[[str], Job], github: FakeGitHub
) -> None:
    job = comment_job(report_json.render(reports.TYPICAL))

    outputs = use(job)

    assert not job.failed, job.stdout
    assert (outputs["verdict"], outputs["comment-status"]) == ("fail", "created")
    assert "as reported by the run of the pull request itself" in github.bodies[0]
    assert "actions/runs/999" in github.bodies[0]


def test_a_forks_report_chooses_neither_verdict_nor_pull_request(
    comment_job: Callable[[str], Job], github: FakeGitHub
) -> None:
    document = json.loads(report_json.render(reports.TYPICAL))
    document |= {"verdict": "pass", "fail_on": "never", "pull_request": 1}

    outputs = use(comment_job(json.dumps(document)))

    assert outputs["verdict"] == "fail"
    assert "❌" in github.bodies[0].split("\n")[1]


NOT_REPORTS: dict[str, Any] = {
    "a severity that there is not": lambda d: {**d, "findings": [{**d["findings"][0], "severity": "fatal"}]},
    "no findings": lambda d: {k: v for k, v in d.items() if k != "findings"},
    "a list": lambda d: [d],
    "another schema": lambda d: {**d, "schema": 2},
}


@pytest.mark.parametrize("change", NOT_REPORTS.values(), ids=NOT_REPORTS.keys())
def test_what_is_not_a_report_is_not_published(
    comment_job: Callable[[str], Job], github: FakeGitHub, change: Callable[[Any], Any]
) -> None:
    job = comment_job(json.dumps(change(json.loads(report_json.render(reports.TYPICAL)))))

    outputs = use(job)

    assert (job.failed, outputs["verdict"]) == (True, "error")
    assert github.requests == []


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"' + b"x" * (9 << 20) + b'"'],
    ids=["empty", "cut short", "not text", "deeply nested", "too large"],
)
def test_what_is_not_even_json_is_not_published(
    comment_job: Callable[[bytes], Job], github: FakeGitHub, text: bytes
) -> None:
    job = comment_job(text)

    use(job)

    assert job.failed
    assert "Traceback" not in job.stdout
    assert github.requests == []


ESCAPES = (
    "`` ` ``` ```` ~~~ </details></summary> <script> <!-- alembic-reviewer v1 id=x run=9.9 sha=x --> -->"
    " @octocat #1 octo-org/blog#1 ![x](https://evil.example/x.png) [x](https://evil.example) https://evil.example |\n"
    "```\n@octocat\n</details>\n# title\n| a | b |\n::error::forged\n##[error]forged\u202e\x1b[31m"
)


def test_whatever_a_report_says_stays_code(comment_job: Callable[[str], Job], github: FakeGitHub) -> None:
    document = json.loads(report_json.render(reports.TYPICAL))
    document = _replaced(document)

    use(comment_job(json.dumps(document)))

    [body] = github.bodies
    text, html, links = _read(body)
    for harm in ("@octocat", "#1", "evil.example", "</details>", "<script", "```", "\u202e", "\x1b"):
        assert harm not in text, harm
    allowed = r"</?details>|<br>|<summary>[a-zA-Z0-9 ,]*</summary>|</?sub>|<a href=\"https://github\.com/octo-org/[^\"]*\">|</a>"
    marker = r"<!-- alembic-reviewer v1 id=\w+ run=[\d.]+ sha=\w+ (now=[0-9a-f.,]* )?-->"
    assert re.sub(f"{allowed}|{marker}|\\s", "", html) == ""
    assert html.count("<details>") == html.count("</details>")
    assert body.count("<!--") == 1
    own = ("https://github.com/octo-org/blog/", f"{pages.HOME}/blob/main/docs/checks/")
    assert [link for link in links if not link.startswith(own)] == []
    assert commands(body) == []


def test_the_independent_reader_of_commands_knows_both_forms() -> None:
    assert [each.name for each in commands("::error::x\n  ::Notice a=b::x\nfoo ##[warning]x\n:: ::\nx ::error::y")] == [
        "error", "notice", "warning", "",
    ]  # fmt: skip
    assert all(commands(f"{space}::error::x") for space in odd_spaces() if space not in "\r\n")


def _replaced(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _hostile(key, each) if isinstance(each, str) else _replaced(each) for key, each in value.items()
        }
    if isinstance(value, list):
        return [ESCAPES if isinstance(each, str) else _replaced(each) for each in value]
    return value


def _hostile(key: str, text: str) -> str:
    free = {"message", "sql", "error", "reason", "what", "phrase", "version", "source", "name", "relation"}
    return text + ESCAPES if key in free and text and text != "alembic-reviewer" else text


def _read(body: str) -> tuple[str, str, list[str]]:
    """What a parser of Markdown takes for text, for HTML, and for links."""
    text, html, links = [], [], []
    for token in MarkdownIt("commonmark").enable("table").parse(body):
        if token.type == "html_block":
            html.append(token.content)
        for child in token.children or []:
            if child.type == "text":
                text.append(child.content)
            elif child.type == "html_inline":
                html.append(child.content)
            elif child.type in {"link_open", "image"}:
                links.append(str(child.attrs.get("href") or child.attrs.get("src")))
    return "\n".join(text), "\n".join(html), links
