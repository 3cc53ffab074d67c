"""action.yml, the workflows, the queries and the SARIF, each held to what reads it on GitHub's side."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import checks
from reviewer.github import inputs, publish_step, queries, review_step
from reviewer.report import sarif
from reviewer.review.verdict import Report
from tests.github import npm
from tests.github.runner import ACTION, ROOT
from tests.report import reports
from tests.repository import git

pytestmark = pytest.mark.processes

EXAMPLES = sorted((ROOT / "examples/workflows").glob("*.yml"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCRIPTS = [*sorted((ROOT / "action").glob("*.sh")), ROOT / "image/alembic-reviewer", ROOT / ".ci/run"]

every_workflow = pytest.mark.parametrize("file", [*EXAMPLES, *WORKFLOWS], ids=lambda file: file.name)


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool that is installed beside this Python."""
    found = Path(sys.executable).parent / name
    if not found.exists():
        pytest.skip(f"{name} is not installed")
    return subprocess.run([str(found), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


# -- what is declared is what is used --------------------------------------------------------------


def test_every_input_reaches_a_step_and_every_step_uses_declared_ones() -> None:
    text = (ROOT / "action.yml").read_text()

    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])


def test_a_step_reads_exactly_the_variables_that_it_is_given() -> None:
    common = set(re.findall(r'(?:text|word|_one_of)\(\s*"([a-z-]+)"', Path(inputs.__file__).read_text()))
    given = {
        step["id"]: {name for name in step["env"] if name.startswith("REVIEWER_")}
        for step in ACTION["runs"]["steps"]
    }
    read = {"REVIEWER_" + name.replace("-", "_").upper() for name in common}
    own = {
        name
        for module in (publish_step, review_step)
        for name in re.findall(r"REVIEWER_[A-Z_]+", inspect.getsource(module))
    }

    assert given["review"] | given["publish"] == read | own
    assert not own & given["review"], "only publishing is given the token and the report"


def test_every_output_is_one_that_a_step_sets() -> None:
    used = set(re.findall(r"steps\.\w+\.outputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    written = {
        name
        for module in (publish_step, review_step)
        for name in re.findall(r'"([a-z]+(?:-[a-z]+)*)":', inspect.getsource(module))
    }
    root = {"root"}

    assert used <= written | root
    assert set(ACTION["outputs"]) <= used


def test_no_expression_stands_in_a_script() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_the_step_that_runs_migrations_is_given_no_token() -> None:
    review, publish = ACTION["runs"]["steps"]

    assert "token" not in json.dumps(review["env"]).lower()
    assert "github-token" in json.dumps(publish["env"])


def test_the_lock_names_every_dependency_with_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    wanted = re.search(
        r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    assert wanted
    names = {re.split(r"[\[<>=;]", each)[0] for each in re.findall(r'^\s+"([^"]+)"', wanted[1], re.MULTILINE)}

    assert names <= set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert "http" not in lock
    for line in re.findall(r"^[a-z0-9-]+==.*$", lock, re.MULTILINE):
        assert line.endswith("\\"), f"without a hash: {line}"


@pytest.mark.parametrize("lock", [".github/release.lock", ".github/docs.lock"])
def test_what_a_workflow_installs_with_rights_of_its_own_is_pinned_by_hash(lock: str) -> None:
    lines = [line for line in (ROOT / lock).read_text().splitlines() if not line.startswith("#")]

    assert lines
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+ \\", line) for line in lines[::2])
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}", line) for line in lines[1::2])
    workflow = ROOT / ".github/workflows" / ("release.yml" if "release" in lock else "pages.yml")
    installs = re.findall(r'pip" install (.*)', workflow.read_text())
    assert [each for each in installs if "--require-hashes" not in each and "[examples]" not in each] == []
    assert any(lock in each for each in installs)


# -- tools -----------------------------------------------------------------------------------------


def test_the_action_is_valid() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")

    assert done.returncode == 0, done.stdout


@every_workflow
def test_a_workflow_is_valid(file: Path) -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file))

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", [ROOT / "action.yml", *EXAMPLES, *WORKFLOWS], ids=lambda file: file.name)
def test_zizmor_finds_nothing(file: Path) -> None:
    done = tool("zizmor", "--offline", "--no-progress", "--persona=auditor", "--no-config", str(file))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", [ROOT / "action.yml", *EXAMPLES, *WORKFLOWS], ids=lambda file: file.name)
def test_action_validator_accepts(file: Path) -> None:
    npm.package("@action-validator/core")
    command = npm.package("@action-validator/cli") / "cli.mjs"
    done = subprocess.run([npm.node(), str(command), str(file)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_shellcheck_finds_nothing(file: Path) -> None:
    done = tool("shellcheck", "--external-sources", str(file))

    assert done.returncode == 0, done.stdout


def test_hadolint_finds_nothing() -> None:
    done = tool("hadolint", "Dockerfile")

    assert done.returncode == 0, done.stdout


def test_examples_pin_every_action_and_start_without_permissions() -> None:
    for file in [*EXAMPLES, *WORKFLOWS]:
        text = file.read_text()

        assert re.search(r"^permissions: \{\}$", text, re.MULTILINE), file.name
        for used in re.findall(r"uses: (\S+)", text):
            assert used == "./" or re.search(r"@[0-9a-f]{40}$", used), used
        assert text.count("actions/checkout@") == text.count("persist-credentials: false")


# -- GraphQL and SARIF -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["COMMENTS", "THREADS", "MINIMIZE"])
def test_a_query_is_valid_for_githubs_schema(name: str, tmp_path: Path) -> None:
    schema = npm.package("@octokit/graphql-schema")
    npm.package("graphql")
    script = tmp_path / "validate.mjs"
    script.write_text(
        f"import {{ validate }} from {json.dumps((schema / 'index.js').as_uri())};\n"
        "console.log(JSON.stringify(validate(process.argv[2]).map(String)));\n"
    )

    def problems(query: str) -> list[str]:
        done = subprocess.run([npm.node(), str(script), query], capture_output=True, text=True, check=True)
        found: list[str] = json.loads(done.stdout)
        return found

    query = getattr(queries, name)

    assert problems(query) == []
    assert problems(query.replace("{ id", "{ ident").replace("isMinimized }", "isMinimised }")) != []


@pytest.mark.parametrize(
    "report", [reports.TYPICAL, reports.TERRIBLE, reports.CLEAN], ids=["typical", "terrible", "clean"]
)
def test_the_sarif_file_is_what_github_asks_for(report: Report, tmp_path: Path) -> None:
    npm.package("@microsoft/sarif-multitool")
    tools = npm.package("@microsoft/sarif-multitool-linux") / "Sarif.Multitool"
    tools.chmod(0o755)
    file, out = tmp_path / "report.sarif", tmp_path / "validation.sarif"
    file.write_text(sarif.render(report, checks.by_id()))

    subprocess.run(
        [
            str(tools),
            "validate",
            str(file),
            "--rule-kind",
            "Sarif;GHAS",
            "--output",
            str(out),
            "--log",
            "ForceOverwrite",
        ],
        env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
        capture_output=True,
        check=False,
    )
    results = json.loads(out.read_text(encoding="utf-8-sig"))["runs"][0]["results"]
    found = [(each["ruleId"], each.get("level", "warning"), each["message"]["id"]) for each in results]

    assert found == []


# -- hooks -----------------------------------------------------------------------------------------


def _blog(folder: Path) -> Path:
    project = folder / "blog"
    shutil.copytree(
        ROOT / "examples/blog", project, ignore=shutil.ignore_patterns("__pycache__", "alembic-reviewer.toml")
    )
    git(project, "init", "-q", "-b", "main")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "the beginning")
    return project


def _environ() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_the_pre_commit_hook_reads_what_is_not_committed(tmp_path: Path) -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    project = _blog(tmp_path)
    command = [*hook["entry"].split(), "--python", sys.executable]
    before = subprocess.run(command, cwd=project, env=_environ(), capture_output=True, text=True, check=False)
    (project / "migrations/versions/ffff_index.py").write_text(
        'from alembic import op\nrevision = "ffff"\ndown_revision = "e8d1a35c7b60"\n\n\n'
        'def upgrade():\n    op.create_index("ix", "users", ["username"])\n\n\n'
        'def downgrade():\n    op.drop_index("ix", "users")\n'
    )
    git(project, "add", "-A")

    after = subprocess.run(command, cwd=project, env=_environ(), capture_output=True, text=True, check=False)

    assert before.returncode == 0, before.stdout + before.stderr
    assert re.search(hook["files"], "migrations/versions/ffff_index.py")
    assert after.returncode == 1, after.stdout + after.stderr
    assert "blocking-index" in after.stdout


def test_the_recipe_for_post_write_hooks_works(tmp_path: Path) -> None:
    recipe = re.search(r"```ini\n(\[post_write_hooks\].*?)```", (ROOT / "docs/github.md").read_text(), re.DOTALL)
    assert recipe
    project = _blog(tmp_path)
    with (project / "alembic.ini").open("a") as ini:
        ini.write("\n" + recipe[1])

    done = subprocess.run(
        [sys.executable, "-m", "alembic", "revision", "-m", "new"],
        cwd=project,
        env=_environ(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "in 1 revision" in done.stdout
