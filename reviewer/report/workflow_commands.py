"""Workflow commands of GitHub Actions: findings on the lines of the diff, without any permission.

The runner keeps ten annotations of each kind per step, so the worst ten are shown and the last one counts the rest.
https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reviewer.report import inert
from reviewer.report.alike import Group, groups
from reviewer.report.digest import number
from reviewer.review.finding import Finding, Severity
from reviewer.review.verdict import Report

PER_KIND = 10
"""What the runner keeps per kind and step (`_maxCountPerIssueType` in its ExecutionContext.cs)."""
LONGEST = 4_000
"""The runner truncates messages to 4,096 characters."""


def render(report: Report, prefix: str = "") -> str:
    """`report` as one command per line; empty if there is nothing to report.

    `prefix` is the folder of the repository inside the workspace: paths are read relative to the workspace.
    """
    every = groups(report)
    of = {severity: [each for each in every if each.shown.finding.severity is severity] for severity in Severity}
    commands = {severity: [_command(each, prefix) for each in found] for severity, found in of.items()}
    names = {severity: [_name(each) for each in found] for severity, found in of.items()}
    errors = [inert.sentence(error) for error in report.all_errors]
    told = [_line("error", {"title": "The review is not complete"}, error) for error in errors]
    commands[Severity.ERROR] = told + commands[Severity.ERROR]
    names[Severity.ERROR] = errors + names[Severity.ERROR]
    lines = [line for severity in Severity for line in _bounded(commands[severity], names[severity], severity)]
    return "".join(f"{line}\n" for line in lines)


def _bounded(lines: Sequence[str], names: Sequence[str], severity: Severity) -> Iterator[str]:
    if len(lines) <= PER_KIND:
        yield from lines
        return
    yield from lines[: PER_KIND - 1]
    rest = names[PER_KIND - 1 :]
    title = f"{number(len(rest), severity.value)} more"
    yield _line(severity.value, {"title": title}, inert.cut("\n".join(rest), LONGEST))


def _name(group: Group) -> str:
    finding = group.shown.finding
    return f"{inert.name(finding.rule)} at {_place(finding)}{group.times}"


def _place(finding: Finding) -> str:
    return inert.visible(str(finding.location)) if finding.location else "no line"


def _command(group: Group, prefix: str) -> str:
    finding = group.shown.finding
    properties = {}
    if finding.location:
        properties["file"] = f"{prefix.rstrip('/')}/{finding.location.path}" if prefix else finding.location.path
        if finding.location.line:
            properties["line"] = str(finding.location.line)
    properties["title"] = f"{finding.rule}{group.times}"
    return _line(finding.severity.value, properties, inert.cut("\n".join(_message(group)), LONGEST))


def _message(group: Group) -> Iterator[str]:
    finding = group.shown.finding
    yield inert.sentence(finding.message)
    if group.likewise:
        yield f"Likewise: {inert.sentence(group.likewise)}"
    if finding.severity is not Severity.NOTICE:
        yield from map(inert.sentence, group.shown.facts)
    for step, body in enumerate(finding.remedy, 1):
        several = f" (deploy {step} of {len(finding.remedy)})" if len(finding.remedy) > 1 else ""
        yield f"\nInstead{several}:"
        yield inert.block(body, limit=LONGEST)


def _line(kind: str, properties: dict[str, str], message: str) -> str:
    """One command, escaped as the runner unescapes it."""
    named = ",".join(f"{key}={_property(inert.visible(value))}" for key, value in properties.items())
    # the older form of command is looked for anywhere in a line
    return f"::{kind} {named}::{_data(message)}".replace("##[", r"##\x5b")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
