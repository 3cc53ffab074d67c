"""Workflow commands, read back the way GitHub's runner reads them."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from reviewer.recording import Location
from reviewer.report import workflow_commands
from reviewer.review.verdict import Report
from tests.report import reports

every_report = pytest.mark.parametrize("report", reports.REPORTS.values(), ids=reports.REPORTS.keys())


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Kind, properties and message of one line, as ActionCommand.TryParseV2 takes it apart."""
    end = line.index("::", 2)
    kind, _, properties = line[2:end].partition(" ")
    named = dict(pair.split("=", 1) for pair in properties.split(",") if pair)
    return kind, {key: _plain(value) for key, value in named.items()}, _plain(line[end + 2 :])


def _plain(text: str) -> str:
    for escaped, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escaped, character)
    return text


def test_points_at_the_line_and_says_what_to_write() -> None:
    kind, properties, message = read(workflow_commands.render(reports.TYPICAL).split("\n")[0])

    assert (kind, properties) == (
        "error",
        {
            "file": "migrations/versions/8c1f0e2b7d43_orders_customer.py",
            "line": "18",
            "title": "validating-foreign-key",
        },
    )
    assert message.startswith("Adding `fk_orders_customer` takes SHARE ROW EXCLUSIVE on `orders`")
    assert message.endswith('\nop.execute("ALTER TABLE orders VALIDATE CONSTRAINT fk_orders_customer")')


def test_a_clean_review_says_nothing() -> None:
    assert workflow_commands.render(reports.CLEAN) == ""


def test_ten_of_a_kind_and_the_last_counts_the_rest() -> None:
    lines = workflow_commands.render(reports.TERRIBLE).splitlines()
    _, properties, message = read(lines[-1])

    assert len(lines) == 10
    assert properties == {"title": "115 errors more"}
    assert message.startswith("blocking-index at migrations/versions/4d9a6b1c5e20_comments_body.py:25\n")


@pytest.mark.parametrize(("count", "lines"), [(9, 9), (10, 10), (11, 10)])
def test_up_to_ten_are_all_shown(count: int, lines: int) -> None:
    found = tuple(replace(reports.BLOCKING_INDEX, location=Location("a.py", n)) for n in range(1, count + 1))
    tree = replace(reports.TYPICAL.trees[0], findings=found)

    assert workflow_commands.render(replace(reports.TYPICAL, trees=(tree,))).count("\n") == lines


def test_what_could_not_be_reviewed_comes_first() -> None:
    kind, properties, message = read(workflow_commands.render(reports.ERROR).splitlines()[0])

    assert (kind, properties) == ("error", {"title": "The review is not complete"})
    assert message.startswith("env.py needs the module")


@every_report
def test_every_line_is_one_command_of_ours_and_short_enough(report: Report) -> None:
    for line in workflow_commands.render(report).splitlines():
        kind, properties, message = read(line)

        assert kind in {"error", "warning", "notice"}
        assert set(properties) <= {"file", "line", "title"}
        assert len(message) <= 4096
        assert not re.search(r"##\[|[\x00-\x08\x1b]", line)


def test_paths_start_where_the_workspace_does() -> None:
    _, properties, _ = read(workflow_commands.render(reports.TYPICAL, prefix="checkout/").splitlines()[0])

    assert properties["file"] == "checkout/migrations/versions/8c1f0e2b7d43_orders_customer.py"
