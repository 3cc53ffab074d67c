"""A release as one page for a browser: no script, nothing loaded from elsewhere, light and dark, made for print too."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from reviewer.recording import Location
from reviewer.release.model import Release, told_seconds
from reviewer.report import inert, pages
from reviewer.report.alike import findings_of, groups
from reviewer.report.digest import counted, skipped
from reviewer.report.release import chart, words

_SQL = 120
"""Characters of a statement in a table."""
_OPTION = re.compile(r"(--[a-z][a-z-]*)")
_TEMPLATES = Path(__file__).parent / "templates"


def render(release: Release) -> str:
    """`release` as one HTML page."""
    found = groups(release.report)
    longest, made_of = words.longest(release)
    page = _environment().get_template("release.html.jinja")
    made = page.render(
        release=release,
        words=words,
        chart=chart.chart(release),
        row=chart.ROW,
        top=chart.TOP,
        groups=found,
        longest=longest,
        made_of=made_of,
        counted=counted(findings_of(found)),
        skipped=skipped(release.report),
    )
    return inert.without_commands(made)


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "prose": _prose,
        "name": inert.name,
        "block": inert.block,
        "cut": lambda text: inert.cut(text, _SQL),
        "seconds": told_seconds,
        "short": _short,
        "rule": pages.of_rule,
        "number": lambda value: f"{value:.1f}".removesuffix(".0"),
    }
    return made


def _short(location: Location | None) -> str:
    return inert.name(words.short(location)) if location is not None else ""


def _prose(text: str) -> Markup:
    """A sentence, the names in it (between back-ticks) as code."""
    parts = inert.sentence(text).split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    return Markup().join(
        Markup("<code>{}</code>").format(part) if n % 2 else _with_options(part) for n, part in enumerate(parts)
    )


def _with_options(text: str) -> Markup:
    """`text`, in which no line ends within the name of an option."""
    parts = _OPTION.split(text)
    return Markup().join(
        Markup('<span class="option">{}</span>').format(part) if n % 2 else escape(part)
        for n, part in enumerate(parts)
    )
