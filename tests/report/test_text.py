"""The terminal report: the verdict first, every line whole where it is piped, and nothing foreign that acts."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
import sys
import textwrap

import pytest
from msgspec.structs import replace
from rich.text import Text

from reviewer.recording import Direction, OldCode, Outcome, Pass, Rehearsal, Skipped
from reviewer.report import render, text
from reviewer.report.terminal import Terminal
from reviewer.review.finding import Severity
from reviewer.review.verdict import Report
from tests.report import reports

every_report = pytest.mark.parametrize("report", reports.REPORTS.values(), ids=reports.REPORTS.keys())
every_terminal = pytest.mark.parametrize(
    "terminal",
    [Terminal(), Terminal(40), Terminal(80, "standard"), Terminal(200, "truecolor"), Terminal(None, "256")],
    ids=["a pipe", "narrow, no colours", "usual", "wide", "a log with colours"],
)


@every_report
@every_terminal
def test_the_same_report_gives_the_same_text(report: Report, terminal: Terminal) -> None:
    assert text.render(report, terminal) == text.render(report, terminal)


@every_report
@every_terminal
def test_nothing_invisible_gets_through(report: Report, terminal: Terminal) -> None:
    page = re.sub(r"\x1b\[[0-9;]*m", "", text.render(report, terminal))

    assert [line for line in page.split("\n") if not line.isprintable()] == []


@every_report
@every_terminal
def test_no_line_is_a_command_to_a_runner(report: Report, terminal: Terminal) -> None:
    page = text.render(report, terminal)

    assert "##[" not in page
    assert [line for line in page.split("\n") if line.lstrip().startswith("::")] == []


@every_report
def test_a_pipe_gets_no_escape_sequences_and_no_box_drawing(report: Report) -> None:
    page = text.render(report)

    assert "\x1b" not in page
    assert not re.search("[\u2500-\u257f]", page)


@every_report
def test_ends_in_one_line_break_and_no_line_in_a_space(report: Report) -> None:
    page = text.render(report)

    assert page.endswith("\n")
    assert not page.endswith("\n\n")
    assert [line for line in page.split("\n") if line != line.rstrip()] == []


@every_report
def test_the_first_line_begins_with_the_verdict(report: Report) -> None:
    assert text.render(report).startswith((f"{report.verdict.value}: ", f"{report.verdict.value}, "))


@every_terminal
def test_path_and_line_stay_together_at_any_width(terminal: Terminal) -> None:
    page = text.render(reports.TYPICAL, terminal)

    for finding in reports.TYPICAL.findings:
        assert str(finding.location) in page


def _is_prose(line: str) -> bool:
    return line.startswith("    ") and not line.startswith(("    | ", "      "))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_sentences_are_wrapped_to_the_terminal(width: int) -> None:
    lines = text.render(reports.TERRIBLE, Terminal(width)).split("\n")
    headers = [n for n, line in enumerate(lines) if line.startswith("  error")]
    messages = [line for n in headers for line in itertools.takewhile(_is_prose, lines[n + 1 :])]

    assert len(headers) > 100
    assert [line for line in messages if len(line) > width] == []


@pytest.mark.parametrize(
    ("name", "lines"),
    [("clean", 2), ("nothing-new", 1)],
)
def test_a_clean_review_is_one_or_two_lines(name: str, lines: int) -> None:
    assert text.render(reports.REPORTS[name]).count("\n") == lines


def test_notices_alone_are_told_without_statements() -> None:
    page = text.render(reports.NOTICES)

    assert "notice  unreversed-data-change  migrations/versions/4d9a6b1c5e20_comments_body.py:15\n" in page
    assert "UPDATE comments\n" not in page


def test_says_what_was_left_out_of_a_vast_statement() -> None:
    page = text.render(reports.VAST)

    assert "    | ... (10,000,000 characters in total)\n" in page
    assert len(page) < 10_000


def test_shows_the_statement_as_it_was_sent_with_its_indentation_removed() -> None:
    page = text.render(reports.TERRIBLE)

    assert "    | ALTER TABLE orders ADD COLUMN vip BOOLEAN NOT NULL\n" in page
    assert '    PostgreSQL said: column "vip" of relation "orders" contains null values (23502)\n' in page


def test_tells_since_when_a_lock_is_held_even_from_an_earlier_revision() -> None:
    lines = text.render(reports.TYPICAL).split("\n")
    finding = next(n for n, line in enumerate(lines) if "scanning-not-null" in line)

    assert (
        "    held: ACCESS EXCLUSIVE on `orders` since `migrations/versions/8c1f0e2b7d43_orders_customer.py:17`"
        in lines[finding : finding + 6]
    )


def test_a_review_from_text_says_so_with_each_finding() -> None:
    page = text.render(reports.STATIC)

    assert "parsed: from the text alone, not observed on a server" in page
    assert "static: read from the text, nothing was run" in page


def test_a_revision_whose_upgrade_failed_says_why() -> None:
    assert "  upgrade failed: No module named 'shop.settings'\n" in text.render(reports.ERROR)


def test_the_remedy_can_be_copied_from_a_coloured_terminal_too() -> None:
    page = re.sub(r"\x1b\[[0-9;]*m", "", text.render(reports.TYPICAL, Terminal(60, "truecolor")))
    remedies = re.findall(r"^    instead.*:\n((?:      .*\n)+)", page, re.MULTILINE)

    assert len(remedies) > 1
    for remedy in remedies:
        compile(textwrap.dedent(remedy), "remedy", "exec")


def test_what_is_broken_is_told_from_what_begins_anew() -> None:
    lines = Terminal(32).wrapped(Text("held: a lock of some table since a line"), 4, hanging=2)

    assert [line.plain for line in lines] == ["    held: a lock of some table", "      since a line"]


def test_a_stream_that_is_no_terminal_is_plain() -> None:
    assert Terminal.of(io.StringIO()) == Terminal()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("settings", "terminal"),
    [
        ({"TERM": "xterm-256color"}, "width=93, colours='256'"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "width=93, colours='truecolor'"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "width=93, colours=None"),
        ({"TERM": "dumb"}, "width=80, colours=None"),
    ],
    ids=["256 colours", "true colours", "NO_COLOR", "dumb"],
)
def test_a_terminal_has_the_width_and_colours_that_it_says(settings: dict[str, str], terminal: str) -> None:
    code = (
        "import os, pty, sys\n"
        "parent, child = pty.openpty()\n"
        "from reviewer.report.terminal import Terminal\n"
        "print(Terminal.of(os.fdopen(child, 'w')))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**settings, "COLUMNS": "93"}
    )

    assert done.stdout == f"Terminal({terminal})\n"


def test_things_that_were_left_out_for_one_reason_are_told_together() -> None:
    left_out = [Skipped(f"revision {n:02}", "the base state could not be built") for n in range(12)]
    tree = replace(
        reports.CLEAN.trees[0].recording, skipped=(*left_out, Skipped("rows of table t", "it has a trigger"))
    )
    report = replace(reports.CLEAN, trees=(replace(reports.CLEAN.trees[0], recording=tree),))

    page = text.render(report)

    assert (
        "skipped  revisions 00, 01, 02, 03, 04, 05, 06, 07 and 4 more: the base state could not be built\n"
        "skipped  rows of table t: it has a trigger\n"
    ) in page


def test_notices_alone_are_a_pass_and_the_first_line_says_what_the_gate_does() -> None:
    assert text.first_lines(reports.REPORTS["notices"]) == "pass, 1 notice; 1 revision\n"
    blocked = text.first_lines(reports.TYPICAL)
    assert blocked.startswith(
        "fail: merge blocked by 2 errors; 1 warning, 1 notice besides; 3 revisions, 2 of them"
    )
    assert text.first_lines(replace(reports.TYPICAL, fail_on=None)).startswith(
        "warn: merge not blocked by 2 errors, "
    )
    assert "merge blocked by 2 errors, 1 warning;" in text.first_lines(
        replace(reports.TYPICAL, fail_on=Severity.WARNING)
    )


def test_a_passing_report_shows_the_rollback_labels() -> None:
    [tree] = reports.WAYS_BACK.trees[:1]
    page = text.render(replace(reports.WAYS_BACK, trees=(replace(tree, findings=()),), errors=(), skipped=()))

    assert page.startswith("pass: nothing found in ")
    assert "(rollback: " in page


def test_a_reason_that_keeps_many_from_being_run_is_said_once() -> None:
    [tree] = reports.CLEAN.trees
    [first] = tree.recording.revisions
    many = tuple(replace(first, id=f"r{n}") for n in range(141))
    skipped = tuple(
        Pass(each.id, way, Rehearsal.STEPWISE, Outcome.SKIPPED, reason="nothing here can be run")
        for each in many
        for way in (Direction.UPGRADE, Direction.DOWNGRADE)
    )
    recording = replace(tree.recording, revisions=many, passes=skipped)
    report = replace(reports.CLEAN, trees=(replace(tree, recording=recording),))

    for form in ("text", "markdown", "html", "rollback"):
        assert render(form, report, dict).count("nothing here can be run") == 1, form


def test_a_review_of_nothing_says_what_it_has_compared_with() -> None:
    (tree,) = reports.NOTHING_NEW.trees
    compared = replace(tree, recording=replace(tree.recording, old_code=OldCode("579e84dacd851234")))

    assert text.render(replace(reports.NOTHING_NEW, trees=(compared,))).splitlines() == [
        "skipped: no new revision, nothing to review",
        "compared with commit 579e84dacd85; --base REF names another one, --revisions base:head takes all",
    ]
