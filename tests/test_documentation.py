"""What the documentation says is true: commands run, links lead somewhere, names exist, generated parts are in step."""

from __future__ import annotations

import ast
import io
import os
import re
import shlex
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

import checks
from reviewer import cli
from reviewer.config import load
from reviewer.host import toml
from reviewer.options import OPTIONS

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/checks/*.md", "examples/*/README.md", "tests/projects/README.md")
    for path in ROOT.glob(pattern)
)
WRITTEN = [path for path in PAGES if path.parent.name != "checks"]
EXAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("examples/*/alembic.ini"))

UNHELPED = {"$ alembic-reviewer cache --help"}
"""What docs/performance.md tells of instead."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
every_written_page = pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())


@cache
def rules() -> frozenset[str]:
    return frozenset(check.RULE.id for check in checks.load())


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in one of `languages`."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language in languages]


def commands(page: Path) -> list[list[str]]:
    """Calls of the reviewer in a page's blocks of shell and console."""
    lines = [line for text in blocks(page, "sh") for line in text.splitlines()]
    lines += [text.splitlines()[0].removeprefix("$ ") for text in blocks(page, "console")]
    words = [shlex.split(line, comments=True) for line in lines]
    return [
        each[1 : each.index("|") if "|" in each else None] for each in words if each[:1] == ["alembic-reviewer"]
    ]


def in_step(*files: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "docs.py"), "--check", *files],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHONDONT")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pages_of_the_checks_say_what_was_observed_on_which_version() -> None:
    table = (ROOT / "docs/conformance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| [^|]* \|((?: [^|]* \|)+)$", table, re.MULTILINE)
    shown = {rule: cells.strip(" |").split(" | ") for rule, cells in rows}

    assert len(shown) > 80
    for rule, cells in shown.items():
        page = (ROOT / f"docs/checks/{rule}.md").read_text(encoding="utf-8")
        observed = page.partition("\n## Observed\n")[2].partition("\n## ")[0]
        assert bool(observed) is (cells[-1] != "none"), rule
        if cells[-1] not in {"none", "flagged"}:
            assert cells[-1].replace("; ", ", or ") in observed
        if cells[-1] != "none" and set(cells[:-1]) == {"="}:
            assert "- PostgreSQL 14 to 19: " in observed


@pytest.mark.processes
def test_pages_of_the_checks_are_what_the_checks_say() -> None:
    in_step("docs/checks")


@pytest.mark.processes
def test_format_of_a_recording_is_what_the_module_says() -> None:
    in_step("docs/recording.md")


@pytest.mark.processes
@pytest.mark.parametrize("page", ["README.md", "docs/commands.md", "docs/agents.md"])
def test_output_in_the_documentation_is_what_the_program_prints(page: str) -> None:
    in_step(page)


@pytest.mark.processes
@pytest.mark.parametrize("ini", EXAMPLES)
def test_table_of_an_example_is_what_a_review_finds(ini: str) -> None:
    in_step(str(Path(ini).parent / "README.md"))


@every_page
def test_links_between_files_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    targets = re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text)

    assert [each for each in targets if not leads_somewhere(page, each)] == []


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    if anchor and file.suffix == ".md" and file.exists():
        return anchor in {anchor_of(line) for line in file.read_text().splitlines() if line.startswith("#")}
    return file.exists()


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


@every_written_page
def test_commands_parse(page: Path) -> None:
    for arguments in commands(page):
        done = CliRunner().invoke(cli.main, [*arguments, "--help"])

        assert (arguments, done.exit_code) == (arguments, 0), done.output


def test_the_readme_shows_a_report_and_every_command_its_help() -> None:
    shown = [text.splitlines()[0] for text in blocks(ROOT / "README.md", "console")]
    helped = [text.splitlines()[0] for text in blocks(ROOT / "docs" / "commands.md", "console")]

    assert {f"$ alembic-reviewer {name} --help" for name in cli.main.commands} - {*helped} == UNHELPED
    assert any(line.startswith("$ alembic-reviewer review examples/blog") for line in shown)


@every_page
def test_rules_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    named = {
        rule
        for inside in re.findall(r"allow(?:-file)?\[([a-z-, ]+)\]", text)
        for rule in re.split(r"[, ]+", inside)
    }
    named |= {rule for each in re.findall(r"\(?(?:docs/)?checks/([a-z0-9-]+)\.md\)", text) for rule in [each]}
    if page.parent.name == "checks":
        named |= set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", text))
    # placeholders, a word of the report, the example of a check of one's own, the example of a rule that does not exist, and ourselves
    others = {
        "rule",
        "rule-id",
        "table-without-created-at",
        "dropping-tables",
        "data-dependent",
        "alembic-reviewer",
    }

    assert named - rules() - others - keys() == set()


def keys() -> set[str]:
    """Every key of the configuration file."""
    return {option.key for option in OPTIONS if option.in_file}


def test_every_key_of_the_configuration_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    documented = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)

    assert sorted(documented) == sorted(keys())


@pytest.mark.parametrize("page", ["docs/start.md", "docs/configuration.md"])
def test_configuration_that_is_shown_is_read(page: str, tmp_path: Path) -> None:
    texts = [text for text in blocks(ROOT / page, "toml") if "[tool.alembic-reviewer]" in text]
    assert texts

    for text in texts:
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        load({"path": tmp_path}).check_rules(rules())


@every_page
def test_python_that_is_shown_is_python(page: Path) -> None:
    for text in blocks(page, "python"):
        ast.parse(text)


@every_written_page
def test_toml_that_is_shown_is_toml(page: Path) -> None:
    for text in blocks(page, "toml"):
        toml.loads(text.encode())


def test_the_changelog_tells_of_this_version() -> None:
    from reviewer import __version__

    assert __version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# idioms of another language, which no sentence of the product needs
_NOT_ENGLISH = re.compile(
    r"(?:to be|is not|can be) had\b|had not before|\b(?:made|written|built|rendered|defined|filled|created) anew\b|(?:is|are|was) told once|of rest\b|two answers to",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "folder",
    [
        "checks",
        "docs",
        "reviewer/github",
        "reviewer/host",
        "reviewer/postgres",
        "reviewer/project",
        "reviewer/recording",
        "reviewer/rehearsal",
        "reviewer/rows",
        "reviewer/runner",
        "reviewer/stats",
    ],
)
def test_sentences_use_no_translated_idioms(folder: str) -> None:
    files = [*(ROOT / folder).rglob("*.md"), *(ROOT / folder).rglob("*.py")]
    if folder == "docs":
        files += [
            ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "action.yml")
        ]

    found = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in files
        for match in _NOT_ENGLISH.finditer(" ".join(file.read_text(encoding="utf-8").split()))
    ]

    assert found == []


# words of a translation, in docstrings and comments: "reported" for "told", "exists" for "is there"
_TRANSLATED = re.compile(
    r"\b(?:is|are|was|were|be|been|not) told\b|\banew\b|\bbut for\b|\b(?:is|are) to be\b|\bof ours\b|\bcomes? to nothing\b"
    r"|\bNone where\b|\bgo(?:es)? on\b|\bwhoever\b|\bthe one who\b|\bbrings?\b|\b(?:is|are|was|were) there\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "room",
    sorted(
        {
            "fix",
            "github",
            "host",
            "postgres",
            "project",
            "recording",
            "rehearsal",
            "release",
            "replay",
            "report",
            "review",
            "rows",
            "runner",
            "sql",
            "stats",
        }
    ),
)
def test_docstrings_and_comments_do_not_read_like_a_translation(room: str) -> None:
    files = sorted((ROOT / "reviewer" / room).rglob("*.py"))

    found = [
        f"{file.relative_to(ROOT)}:{line}: {match[0]}"
        for file in files
        for line, text in _written_for_readers(file.read_text(encoding="utf-8"))
        for match in _TRANSLATED.finditer(text)
    ]

    assert files
    assert found == []


def _written_for_readers(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each docstring, also those of attributes, and of each comment."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as text)):
                yield node.lineno, " ".join(text.split())
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
