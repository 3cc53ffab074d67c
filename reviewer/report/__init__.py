"""The report in every format: one pure function each, loaded when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from reviewer.release.model import Release
    from reviewer.report.terminal import Terminal
    from reviewer.review.rule import Check
    from reviewer.review.verdict import Report

Checks = Callable[[], "Mapping[str, Check]"]
"""The checks by rule id, loaded when a format asks for them."""
Format = Callable[["Report", "Terminal", "Checks"], str]
ReleaseFormat = Callable[["Release", "Terminal"], str]


def _text(report: Report, terminal: Terminal, __: Checks) -> str:
    from reviewer.report import text

    return text.render(report, terminal)


def _json(report: Report, _: Terminal, __: Checks) -> str:
    from reviewer.report import json

    return json.render(report)


def _quiet(report: Report, terminal: Terminal, _: Checks) -> str:
    from reviewer.report import text

    return text.first_lines(report, terminal)


def _markdown(report: Report, _: Terminal, __: Checks) -> str:
    from reviewer.report import markdown

    return markdown.render(report, markdown.SUMMARY)


def _sarif(report: Report, _: Terminal, checks: Checks) -> str:
    from reviewer.report import sarif

    return sarif.render(report, checks())


def _annotations(report: Report, _: Terminal, __: Checks) -> str:
    from reviewer.report import workflow_commands

    return workflow_commands.render(report)


def _codequality(report: Report, _: Terminal, __: Checks) -> str:
    from reviewer.report import codequality

    return codequality.render(report)


def _html(report: Report, _: Terminal, __: Checks) -> str:
    from reviewer.report import html

    return html.render(report)


def _rollback(report: Report, terminal: Terminal, __: Checks) -> str:
    from reviewer.report import rollback

    return rollback.render(report, terminal)


FORMATS: dict[str, Format] = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
    "sarif": _sarif,
    "annotations": _annotations,
    "codequality": _codequality,
    "html": _html,
    "rollback": _rollback,
}
"""Every value of `--format`. A terminal matters to `text` and `rollback`."""


def prepare() -> None:
    """Import what the formats for people need before there is anything to report."""
    from reviewer.report import text  # noqa: F401
    from reviewer.report.terminal import Terminal

    Terminal().console()


def _release_text(release: Release, terminal: Terminal) -> str:
    from reviewer.report.release import text

    return text.render(release, terminal)


def _release_json(release: Release, _: Terminal) -> str:
    from reviewer.report.release import json

    return json.render(release)


def _release_markdown(release: Release, _: Terminal) -> str:
    from reviewer.report.release import markdown

    return markdown.render(release)


def _release_quiet(release: Release, terminal: Terminal) -> str:
    from reviewer.report.release import text

    return text.render_first(release, terminal)


def _release_html(release: Release, _: Terminal) -> str:
    from reviewer.report.release import html

    return html.render(release)


RELEASE_FORMATS: dict[str, ReleaseFormat] = {
    "text": _release_text,
    "json": _release_json,
    "markdown": _release_markdown,
    "html": _release_html,
}
"""Every value of `--format` of `release`."""


def render_release(form: str, release: Release, stream: IO[str] | None = None) -> str:
    """`release` in the format `form`, or only what it comes to if `quiet`, as `stream` can show it; without a stream
    plain and complete, for a file.

    Raises `KeyError` for an unknown format.
    """
    from reviewer.report.terminal import Terminal, encodable

    made = _release_quiet if form == "quiet" else RELEASE_FORMATS[form]
    return encodable(made(release, Terminal.of(stream) if stream else Terminal()), stream)


def render(form: str, report: Report, checks: Checks, stream: IO[str] | None = None) -> str:
    """`report` in the format `form`, or only its first lines if `quiet`, as `stream` can show it; without a stream
    plain and complete, for a file.

    `checks` provides the documentation of rules for the formats that show it.

    Raises `KeyError` for an unknown format.
    """
    from reviewer.report.terminal import Terminal, encodable

    made = _quiet if form == "quiet" else FORMATS[form]
    written = made(report, Terminal.of(stream) if stream else Terminal(), checks)
    return encodable(written, stream)
