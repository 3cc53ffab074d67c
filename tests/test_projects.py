"""Every small project under tests/projects is reviewed as a user would, and ends as its project.toml says."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reviewer.host import toml
from reviewer.recording import Outcome, Pass, Recording, Statement, loads
from tests import warm

pytestmark = pytest.mark.processes

PROJECTS = sorted(path.parent for path in (Path(__file__).parent / "projects").glob("*/project.toml"))
SOURCES = {"auto": [], "static": ["--static"]}


def described(project: Path) -> dict[str, Any]:
    return toml.loads((project / "project.toml").read_bytes())


def review(project: Path, *more: str) -> tuple[subprocess.CompletedProcess[str], tuple[Recording, ...]]:
    """Run the command on a project; the recordings are there where the review came so far."""
    recording = project / "recording.json"
    arguments = ["review", ".", "--python", sys.executable, "--format", "json", "--save-recording", str(recording)]
    done = warm.run([*arguments, *more], project, warm.environment())
    return done, loads(recording.read_bytes()) if recording.exists() else ()


def needed(expected: dict[str, Any]) -> None:
    missing = [module for module in expected.get("needs", []) if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"the interpreter has no {', '.join(missing)}")


def arguments_of(expected: dict[str, Any]) -> list[str]:
    revisions = ["--revisions", expected["revisions"]] if "revisions" in expected else []
    return [*revisions, *expected.get("arguments", [])]


def ways() -> list[Any]:
    """Each project with a server, and without one where its description says what comes of that."""
    static = [project for project in PROJECTS if "static" in described(project)["expect"]]
    return [
        pytest.param(project, mode, id=f"{project.name}-{mode}")
        for mode, projects in (("run", PROJECTS), ("static", static))
        for project in projects
    ]


@pytest.mark.parametrize(("project", "mode"), ways())
def test_ends_as_its_description_says(project: Path, mode: str, tmp_path: Path) -> None:
    expected = described(project)
    wanted = expected["expect"]
    if mode == "static":
        wanted = wanted["static"]
    needed(expected)
    copy = tmp_path / "project"
    shutil.copytree(project, copy)

    done, recordings = review(copy, *arguments_of(expected), *(["--static"] if mode == "static" else []))

    told = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr, told
    if wanted["outcome"] == "ProjectError":
        assert done.returncode == 2, told
        assert wanted.get("says", "") in done.stderr, told
        return
    assert recordings, told
    recording = recordings[0]
    if wanted["outcome"] == "ok":
        assert not recording.errors, told
        assert [p.failure for p in recording.passes if p.outcome is Outcome.FAILED] == [], told
    elif wanted["outcome"] == "skipped":
        assert done.returncode == 3, told
        assert wanted.get("says", "") in " ".join(recording.errors), recording.errors
        assert wanted.get("at", "") in " ".join(recording.errors), recording.errors
    else:
        check_failure(recording, wanted)
    if "new" in expected:
        ids = [r.id for r in recording.revisions]
        assert sorted(ids) == sorted(expected["new"])
        assert all(
            ids.index(up) < ids.index(r.id) for r in recording.revisions for up in r.down_revisions if up in ids
        )
    assert wanted.get("skipped", "") in " ".join(each.reason for each in recording.skipped), recording.skipped
    check_statements(recording, wanted.get("statements", []))
    if done.returncode in {0, 1}:
        report = json.loads(done.stdout)
        if "findings" in wanted:
            assert sorted(told_in(report)) == sorted(wanted["findings"])


def told_in(report: dict[str, Any]) -> list[str]:
    return [
        f"{each['rule']} @ {each['path']}:{each['line']}"
        for each in report["findings"]
        if each["severity"] in {"error", "warning"}
    ]


def check_failure(recording: Recording, wanted: dict[str, Any]) -> None:
    failed = [p for p in recording.passes if p.outcome is Outcome.FAILED or p.failure is not None]
    matching = [p for p in failed if is_it(p, wanted)]

    assert matching, [(p.revision, p.direction, p.failure) for p in failed]


def is_it(each: Pass, wanted: dict[str, Any]) -> bool:
    failure = each.failure
    assert failure is not None
    return (
        failure.kind.value == wanted["outcome"]
        and each.direction.value == wanted.get("direction", each.direction.value)
        and wanted.get("says", "") in failure.message
        and str(failure.location) == wanted.get("at", str(failure.location))
        and failure.deliberate == wanted.get("deliberate", failure.deliberate)
    )


def check_statements(recording: Recording, wanted: list[str]) -> None:
    ran = [s for p in recording.passes for s in p.statements]
    for each in wanted:
        fragment, _, place = each.rpartition(" @ ")
        places = {str(s.location) for s in ran if fragment in flat(s)}
        assert place in places, (each, places, [flat(s)[:80] for s in ran])


def flat(statement: Statement) -> str:
    return " ".join(statement.sql.split())
