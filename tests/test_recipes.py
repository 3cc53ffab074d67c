"""The recipes of the documentation do what they promise: each is run up, down and up, and reviewed deploy by deploy."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import checks
from reviewer.recording import Direction, Outcome
from reviewer.review.finding import Finding, Severity
from tests.examples import Bench, Story

PAGE = Path(__file__).parent.parent / "docs" / "recipes.md"


@dataclass(frozen=True)
class Deploy:
    """One deploy of a recipe, after what has been deployed already."""

    recipe: str
    number: int
    given: tuple[str, ...]
    new: tuple[str, ...]
    downgrades: tuple[str, ...]
    named: frozenset[str]
    """Rules that the text says are reported."""


def deploys(page: str) -> Iterator[Deploy]:
    """Every deploy of every recipe: the blocks of Python below `### Deploy`, after the tables of the recipe."""
    for recipe in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title = recipe.partition("\n")[0]
        before, *parts = re.split(r"^### Deploy ", recipe, flags=re.MULTILINE)
        (tables,) = re.findall(r"^```sql\n(.*?)^```$", before, re.DOTALL | re.MULTILINE)
        given: tuple[str, ...] = (f"op.execute({tables!r})",)
        for part in parts:
            blocks = re.findall(r"^```python\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)
            new = tuple(body(each, "upgrade") for each in blocks)
            back = tuple(body(each, "downgrade") for each in blocks)
            named = frozenset(re.findall(r"reports \[`([a-z-]+)`\]", part))
            yield Deploy(title, int(part[0]), given, new, back, named)
            given += new


def body(block: str, name: str) -> str:
    """The body of a function of the block, comments included."""
    (function,) = (n for n in ast.parse(block).body if isinstance(n, ast.FunctionDef) and n.name == name)
    return textwrap.dedent("\n".join(block.splitlines()[function.lineno : function.end_lineno]))


FOUND = list(deploys(PAGE.read_text(encoding="utf-8")))


def test_every_recipe_has_a_deploy_with_a_revision() -> None:
    titles = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert list(dict.fromkeys(each.recipe for each in FOUND)) == titles
    assert all(each.new for each in FOUND)


@pytest.mark.parametrize("deploy", FOUND, ids=lambda each: f"{each.recipe}, deploy {each.number}")
def test_a_recipe_runs_in_both_directions_and_is_as_quiet_as_it_says(deploy: Deploy, bench: Bench) -> None:
    story = Story(
        given=deploy.given,
        new=deploy.new,
        downgrades=deploy.downgrades,
        per_migration=True,
        lock_timeout="5s",
    )

    recording = bench.record(story)

    assert recording.errors == ()
    one_way = {f"new{n}" for n, each in enumerate(deploy.downgrades, 1) if each.startswith("raise ")}
    # what stands before a revision of no return is not taken back either
    ran = {(each.revision, each.direction) for each in recording.passes if each.outcome is Outcome.OK}
    expected = {
        (f"new{n}", direction)
        for n in range(1, len(deploy.new) + 1)
        for direction in Direction
        if direction is Direction.UPGRADE or f"new{n}" not in one_way
    }
    assert expected <= ran
    assert {each.rule for each in loud(bench.findings(recording))} == deploy.named, "\n".join(
        f"{each.rule}: {each.location} {each.message}" for each in loud(bench.findings(recording))
    )


def loud(findings: list[Finding]) -> list[Finding]:
    """What a project without a configuration is told at warning or above."""
    known = checks.by_id()
    return [f for f in findings if f.severity is not Severity.NOTICE and known[f.rule].RULE.default]
