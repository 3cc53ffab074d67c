"""The report in every format: one pure function each, loaded when it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from reviewer.report.terminal import Terminal
    from reviewer.verdict import Report

Format = Callable[["Report", "Terminal"], str]


def _text(report: Report, terminal: Terminal) -> str:
    from reviewer.report import text

    return text.render(report, terminal)


def _json(report: Report, _: Terminal) -> str:
    from reviewer.report import json

    return json.render(report)


def _markdown(report: Report, _: Terminal) -> str:
    from reviewer.report import markdown

    return markdown.render(report, markdown.SUMMARY)


def _sarif(report: Report, _: Terminal) -> str:
    import checks
    from reviewer.report import sarif

    return sarif.render(report, checks.by_id())


def _annotations(report: Report, _: Terminal) -> str:
    from reviewer.report import workflow_commands

    return workflow_commands.render(report)


def _codequality(report: Report, _: Terminal) -> str:
    from reviewer.report import codequality

    return codequality.render(report)


def _html(report: Report, _: Terminal) -> str:
    from reviewer.report import html

    return html.render(report)


def _rollback(report: Report, terminal: Terminal) -> str:
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


def render(form: str, report: Report, stream: IO[str] | None = None) -> str:
    """`report` in the format `form`, as `stream` can show it; without a stream plain and complete, for a file.

    Raises `KeyError` for a format that there is not.
    """
    from reviewer.report.terminal import Terminal, encodable

    written = FORMATS[form](report, Terminal.of(stream) if stream else Terminal())
    return encodable(written, stream)
