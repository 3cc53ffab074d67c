"""The list of all rules, for people and for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from reviewer.report import inert
from reviewer.report.terminal import Terminal, encodable
from reviewer.review.finding import Severity
from reviewer.review.rule import Check, Group, Rule

_SEVERITIES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTICE: "cyan"}


def as_text(checks: Sequence[Check], terminal: Terminal | None = None) -> str:
    """The rules by group, one a line; for standard output where no terminal is given."""
    page = terminal or Terminal.of(sys.stdout)
    shown = page.printed(_lines([check.RULE for check in checks], page))
    return shown if terminal else encodable(shown, sys.stdout).removesuffix("\n")


def as_json(checks: Sequence[Check]) -> str:
    """The rules as a JSON list, by id."""
    return inert.json_text(
        [
            {
                "id": check.RULE.id,
                "severity": check.RULE.severity.value,
                "group": check.RULE.group.value,
                "summary": check.RULE.summary,
                "lock": check.RULE.lock.value if check.RULE.lock else None,
                "rewrites": check.RULE.rewrites,
                "scans": check.RULE.scans,
                "grows": check.RULE.grows,
                "default": check.RULE.default,
                "since": check.RULE.since,
            }
            for check in sorted(checks, key=lambda check: check.RULE.id)
        ]
    ).removesuffix("\n")


def _lines(rules: Sequence[Rule], terminal: Terminal) -> Iterator[Text]:
    width = max((len(rule.id) for rule in rules), default=0)
    order = list(Group)
    ordered = sorted(rules, key=lambda rule: (order.index(rule.group), -rule.severity.rank, rule.id))
    for n, (group, members) in enumerate(groupby(ordered, key=lambda rule: rule.group)):
        if n:
            yield Text("")
        yield Text.assemble((group.title, "bold"), (f"  ({group.value})", "dim"))
        for rule in members:
            severity = (f"{rule.severity.value:7}", _SEVERITIES[rule.severity])
            off = "" if rule.default else " (off unless selected)"
            name = (f"{inert.name(rule.id):{width}}", "bold")
            line = Text.assemble(name, "  ", severity, "  ", inert.sentence(rule.summary), off)
            yield from terminal.wrapped(line, 2, hanging=width + 11)
