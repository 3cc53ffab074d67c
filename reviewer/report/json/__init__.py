"""The report for programs, and its reader: every other format can be created from it.

`views` has its types, and `schema.json` beside this file describes them to others.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reviewer.errors import UsageError
from reviewer.host import json_schema
from reviewer.report import inert
from reviewer.report.json import views
from reviewer.report.json.reading import report_of
from reviewer.report.json.writing import view_of
from reviewer.review.verdict import Report

MOST_LEVELS = 50
"""How deeply evidence may be nested: what reads it again must not run out of stack."""


def render(report: Report) -> str:
    """`report` as JSON text, in ASCII."""
    return inert.json_text(msgspec.to_builtins(view_of(report)))


def load(text: str | bytes) -> Report:
    """The report that `render` wrote, with everything that the other formats need.

    Validated against the types first, so that a report from a job that ran somebody's code can be rendered again:
    the verdict, the counts and the words are ours. Keys that a later version has added are left out. Raises
    `UsageError` for anything else.
    """
    way_out = "Create it again with `alembic-reviewer review --format json`."
    try:
        found = msgspec.json.decode(text, type=views.Report)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        place = f" at {inert.name(where)}" if where else ""
        said = inert.cut(inert.sentence(what[:1].lower() + what[1:]), 200)
        raise UsageError(f"The report was not written by alembic-reviewer: {said}{place}.", way_out) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The report is not JSON: {inert.sentence(str(error))}.", way_out) from None
    for n, finding in enumerate(found.findings):
        if _levels(finding.evidence) > MOST_LEVELS:
            place = f"$.findings[{n}].evidence"
            raise UsageError(
                f"The report was not written by alembic-reviewer: too deeply nested at `{place}`.", way_out
            )
    return report_of(found)


def schema() -> dict[str, Any]:
    """The JSON Schema of what `render` writes. Closed: a key that it does not name is a mistake there."""
    return json_schema.closed(views.Report, "report", "alembic-reviewer report")


def _levels(value: object) -> int:
    """How deeply `value` is nested, counted up to one more than may be."""
    level = [value]
    for n in range(MOST_LEVELS + 1):
        inner: list[object] = []
        for each in level:
            inner += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        if not inner:
            return n
        level = inner
    return MOST_LEVELS + 1
