"""One golden file per format, of a typical report. After a change: `python -m tests.report.test_golden`, then read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reviewer.report import json, text
from reviewer.report.terminal import Terminal
from tests.report import reports

FOLDER = Path(__file__).parent / "golden"

GOLDEN: dict[str, Callable[[], str]] = {
    "typical.txt": lambda: text.render(reports.TYPICAL),
    "typical.terminal.txt": lambda: text.render(reports.TYPICAL, Terminal(88, "standard")),
    "typical.json": lambda: json.render(reports.TYPICAL),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_is_as_the_golden_file_shows(name: str) -> None:
    assert GOLDEN[name]() == (FOLDER / name).read_text(encoding="utf-8")


def test_every_golden_file_is_used() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(GOLDEN)


if __name__ == "__main__":
    for name, rendered in GOLDEN.items():
        (FOLDER / name).write_text(rendered(), encoding="utf-8")
