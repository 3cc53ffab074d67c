"""One golden file per format, of a typical report. After a change: `python -m tests.report.test_golden`, then read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reviewer.report import (
    codequality,
    explain,
    html,
    json,
    markdown,
    rollback,
    rules,
    sarif,
    text,
    workflow_commands,
)
from reviewer.report.terminal import Terminal
from tests.report import reports
from tests.report.example_check import CHECK

FOLDER = Path(__file__).parent / "golden"

PLACE = markdown.Place(
    repository="https://github.com/acme/shop",
    sha="5f3c" * 10,
    run_url="https://github.com/acme/shop/actions/runs/7",
    marker_id="0123456789ab",
    run="7.1",
)

GOLDEN: dict[str, Callable[[], str]] = {
    "typical.txt": lambda: text.render(reports.TYPICAL),
    "typical.terminal.txt": lambda: text.render(reports.TYPICAL, Terminal(88, "standard")),
    "typical.json": lambda: json.render(reports.TYPICAL),
    "typical.md": lambda: markdown.render(reports.TYPICAL, PLACE),
    "typical.sarif": lambda: sarif.render(reports.TYPICAL, {CHECK.RULE.id: CHECK}),
    "typical.annotations.txt": lambda: workflow_commands.render(reports.TYPICAL),
    "typical.codequality.json": lambda: codequality.render(reports.TYPICAL),
    "typical.html": lambda: html.render(reports.TYPICAL),
    "rollback.txt": lambda: rollback.render(reports.WAYS_BACK),
    "rollback.terminal.txt": lambda: rollback.render(reports.WAYS_BACK, Terminal(120, "standard")),
    "rule.md": lambda: explain.page(CHECK, Terminal()),
    "rules.txt": lambda: rules.as_text([CHECK], Terminal()),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_is_as_the_golden_file_shows(name: str) -> None:
    assert GOLDEN[name]() == (FOLDER / name).read_text(encoding="utf-8")


def test_every_golden_file_is_used() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(GOLDEN)


if __name__ == "__main__":
    for name, rendered in GOLDEN.items():
        (FOLDER / name).write_text(rendered(), encoding="utf-8")
