"""What is released: it is complete, it is installed without the checkout, and it starts."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import checks
from reviewer import __version__

ROOT = Path(__file__).parent.parent
COMMAND = str(Path(sys.executable).with_name("alembic-reviewer"))


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("package", ROOT / "scripts" / "package.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


package = _script()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel."""
    made: tuple[Path, Path] = package.built(tmp_path_factory.mktemp("dist"))
    return made


@pytest.mark.processes
def test_the_wheel_starts_in_an_environment_that_does_not_see_the_checkout(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    folder = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    # the dependencies, without the path file that leads to the checkout
    (folder / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    alone = ["--no-deps", "--no-index", "--ignore-installed", str(built[1])]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install", "--quiet", *alone],
        check=True,
    )

    package.started(environment)

    where = "import reviewer, pathlib; print(pathlib.Path(reviewer.__file__).parent)"
    assert package.run(str(environment / "bin/python"), "-c", where, cwd=tmp_path).strip() == str(
        folder / "reviewer"
    )
    assert "blocking-index" in package.run(str(environment / "bin/alembic-reviewer"), "rules", cwd=tmp_path)


@pytest.mark.processes
def test_a_wheel_with_something_missing_or_strange_is_refused(built: tuple[Path, Path], tmp_path: Path) -> None:
    poor = tmp_path / "poor.whl"
    with zipfile.ZipFile(built[1]) as whole, zipfile.ZipFile(poor, "w") as less:
        for name in whole.namelist():
            if name != "reviewer/py.typed":
                less.writestr(name, b"[Rules](docs/checks.md)" if name.endswith("METADATA") else b"")
        less.writestr("tests/__init__.py", b"")

    assert package.faults(built[1]) == []
    assert package.faults(poor) == [
        "reviewer/py.typed is missing",
        "tests/__init__.py does not belong there",
        "the description links to docs/checks.md, which leads nowhere on the package index",
    ]


def test_every_place_names_the_same_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    pinned = {
        version
        for path in (*ROOT.glob("examples/workflows/*.yml"), *ROOT.glob("docs/*.md"))
        for version in re.findall(
            r"alembic-reviewer@\w{40} # v([\d.]+\d)|rev: v([\d.]+\d)", path.read_text(encoding="utf-8")
        )
    }

    assert f"## [{__version__}]" in changelog or f"Will become {__version__}" in changelog
    assert {"".join(each) for each in pinned} == {__version__}
    assert {check.RULE.since for check in checks.load()} == {__version__}, "the first release has every rule"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o nosort"), ("zsh", "#compdef"), ("fish", "complete --no-files")]
)
def test_the_script_for_completion_is_printed_as_documented(shell: str, word: str) -> None:
    documented = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    setting = f"_ALEMBIC_REVIEWER_COMPLETE={shell}_source"

    printed = subprocess.run(["env", setting, COMMAND], capture_output=True, text=True, check=True).stdout

    assert f"{setting} alembic-reviewer" in documented
    assert word in printed
    assert f"_ALEMBIC_REVIEWER_COMPLETE={shell}_complete" in printed


@pytest.mark.processes
def test_the_shell_offers_the_rules_that_explain_knows() -> None:
    asked = {
        "_ALEMBIC_REVIEWER_COMPLETE": "bash_complete",
        "COMP_WORDS": "alembic-reviewer explain blocking-in",
        "COMP_CWORD": "2",
    }

    printed = subprocess.run(
        [COMMAND], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    ).stdout

    assert printed.split() == ["plain,blocking-index", "plain,blocking-index-drop"]


@pytest.mark.processes
@pytest.mark.parametrize(
    ("setting", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    ids=["neither", "FORCE_COLOR", "both"],
)
def test_colours_in_a_pipe_are_as_the_environment_says(setting: dict[str, str], coloured: bool) -> None:
    cleared = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"}}

    for arguments in (["rules"], ["explain", "blocking-index"]):
        printed = subprocess.run(
            [COMMAND, *arguments],
            env={**cleared, "TERM": "xterm-256color", **setting},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

        assert ("\x1b[" in printed) is coloured


def test_what_is_installed_for_the_tests_has_one_version_each() -> None:
    constraints = [Requirement(line) for line in (ROOT / "scripts/constraints.txt").read_text().splitlines()]
    wanted = [Requirement(each) for each in metadata.requires("alembic-reviewer") or ()]

    for each in constraints:
        assert re.fullmatch(r"==[^*]+", str(each.specifier)), each
    for each in wanted:
        pinned = [one for one in constraints if canonicalize_name(one.name) == canonicalize_name(each.name)]
        assert pinned or each.name == "alembic-reviewer", f"CONTRIBUTING.md says how {each.name} gets its version"
        for one in pinned:
            assert all(each.specifier.contains(spec.version) for spec in one.specifier), one


@pytest.mark.processes
@pytest.mark.parametrize(
    "script",
    [each for each in sorted((ROOT / "scripts").glob("*.py")) if 'if __name__ == "__main__"' in each.read_text()],
    ids=lambda each: each.name,
)
def test_a_script_says_what_it_does_and_does_nothing_else_when_asked_for_help(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.startswith(f"usage: {script.name}") or done.stdout.startswith(
        f"usage: scripts/{script.name}"
    )
    assert done.stderr == ""
