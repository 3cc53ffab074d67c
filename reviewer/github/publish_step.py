"""The action's second step: publish the report. It has the token, and runs none of the project's code."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from reviewer.errors import ReviewerError, UsageError
from reviewer.github import commands, inline, publication
from reviewer.github.api import Api, ApiError
from reviewer.github.command import read_report
from reviewer.github.comment import Outcome, Status
from reviewer.github.event import Event, from_environment
from reviewer.github.inputs import Annotations, Inputs, Purpose
from reviewer.github.publication import Published, Target, When, Wish
from reviewer.report import inert
from reviewer.report.digest import gate, headline
from reviewer.report.workflow_commands import render as as_commands
from reviewer.review.verdict import Report

_LARGEST_SOURCE = 1 << 20
_PR_SET_DUMPABLE = 4


def main() -> int:
    """Run the step in the environment of this process; its exit status."""
    _undumpable()
    environ = dict(os.environ)
    token = environ.pop("REVIEWER_GITHUB_TOKEN", "")
    os.environ.pop("REVIEWER_GITHUB_TOKEN", None)
    return run(environ, token, sys.stdout)


def run(environ: Mapping[str, str], token: str, out: TextIO) -> int:
    """The step. The outcome of the comment never changes the verdict; the exit status is the gate."""
    try:
        inputs, event = Inputs.read(environ), from_environment(environ)
        report = _report(inputs, environ)
    except ReviewerError as error:
        print(commands.message("error", str(error), "alembic-reviewer"), file=out)
        commands.set_outputs(environ, {"verdict": "error", "comment-status": Status.FAILED.value})
        return error.exit_status
    published, posted = _published(report, inputs, event, token, _source(inputs, environ))
    if inputs.purpose is Purpose.COMMENT and inputs.summary:
        wish = publication.with_note(Wish(""), event)
        commands.add_summary(environ, publication.body_of(report, event, None, wish))
    for line in (*_outcome(report, inputs), *_words(published, posted, inputs, event)):
        print(line, file=out)
    if inputs.purpose is Purpose.REVIEW and _lost(inputs, posted):
        root = Path(environ["REVIEWER_ROOT"]) if environ.get("REVIEWER_ROOT") else None
        print(as_commands(report, commands.folder_in_workspace(root, environ)), end="", file=out)
    outputs = {"comment-status": published.status.value, "comment-url": published.url}
    commands.set_outputs(environ, {**outputs, "verdict": report.verdict.value})
    out.flush()
    if inputs.when is When.ALWAYS and published.status in {Status.FORBIDDEN, Status.FAILED}:
        return 1
    return report.verdict.exit_status if inputs.purpose is Purpose.REVIEW else 0


def _outcome(report: Report, inputs: Inputs) -> list[str]:
    """The verdict, and what the gate does with it."""
    gated = gate(report) if inputs.purpose is Purpose.REVIEW else "this step blocks nothing (mode: comment)"
    lines = (f"verdict: {report.verdict.value}; {headline(report)}", f"gate: {gated}")
    return [inert.without_commands(inert.sentence(line)) for line in lines]


def _lost(inputs: Inputs, posted: inline.Posted | None) -> bool:
    """Whether findings were requested as review comments only, and could not be posted."""
    return inputs.annotations is Annotations.REVIEW and (posted is None or bool(posted.why))


def _report(inputs: Inputs, environ: Mapping[str, str]) -> Report:
    given = environ.get("REVIEWER_REPORT_JSON", "")
    if inputs.purpose is Purpose.REVIEW:
        if not given:
            raise UsageError("The first step left no report.", "See its log for the reason.")
        return read_report(Path(given), digest=environ.get("REVIEWER_DIGEST", ""))
    if not inputs.report_directory:
        raise UsageError(
            "`mode: comment` needs the input report-directory.", "Name the folder that holds report.json."
        )
    workspace = Path(environ.get("GITHUB_WORKSPACE") or ".")
    return read_report(workspace / inputs.report_directory / "report.json", inputs.fail_on or "error")


def _published(
    report: Report, inputs: Inputs, event: Event, token: str, source: inline.Source
) -> tuple[Published, inline.Posted | None]:
    if inputs.when is When.NEVER and not inputs.annotations.by_review:
        return _none(Status.SKIPPED, "comments are turned off")
    if event.over:
        return _none(Status.SKIPPED, event.over)
    if event.pull_request is None and event.upstream is None and inputs.pull_request is None:
        return _none(Status.SKIPPED, f"the event {event.name} has no pull request")
    wish = Wish(inputs.marker_id, inputs.when, inputs.mode, inputs.annotations.by_review)
    try:
        with Api(token, event.repository, event.api_url) as api:
            target = publication.locate(event, api, inputs.pull_request)
            if not isinstance(target, Target):
                return Published.none(target), None
            return publication.publish(api, report, event, target, publication.with_note(wish, event), source)
    except ApiError as error:
        return _none(Status.FORBIDDEN if event.read_only else Status.FAILED, str(error))
    except UsageError as error:
        return _none(Status.FAILED, str(error))


def _none(status: Status, why: str) -> tuple[Published, None]:
    return Published.none(Outcome(status, why=why)), None


def _words(published: Published, posted: inline.Posted | None, inputs: Inputs, event: Event) -> list[str]:
    always = inputs.when is When.ALWAYS
    if published.status is Status.FORBIDDEN and event.read_only and not always:
        said = f"There is no comment, as expected: {event.read_only}, so the token is read-only."
        lines = [commands.message("notice", f"{said} The review is in the job summary.", "alembic-reviewer")]
    else:
        kind = "error" if always else "warning"
        lines = [commands.message(kind, said, "alembic-reviewer") for said in published.missing]
    lines += [f"comment {line}" for line in published.there]
    if posted is not None and posted.why:
        lines.append(commands.message("warning", f"There are no review comments: {posted.why}", "alembic-reviewer"))
    elif posted is not None:
        lines.append(
            f"review comments: {posted.new} new, {posted.kept} kept, {posted.folded} folded, "
            f"{posted.elsewhere} on lines that cannot be commented on"
        )
    return lines


def _source(inputs: Inputs, environ: Mapping[str, str]) -> Callable[[str], str | None]:
    """Reads revision files as text. Without a checkout, and in `mode: comment`, there are none."""
    given, workspace = environ.get("REVIEWER_ROOT", ""), environ.get("GITHUB_WORKSPACE", "")
    if inputs.purpose is Purpose.COMMENT or not given or not workspace:
        return lambda _: None
    root = Path(given).resolve()
    if not root.is_relative_to(Path(workspace).resolve()):
        return lambda _: None

    def read(path: str) -> str | None:
        try:
            file = (root / path).resolve()
            if not file.is_relative_to(root) or not file.is_file() or file.stat().st_size > _LARGEST_SOURCE:
                return None
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    return read


def _undumpable() -> None:
    """Keep other processes of the same user from reading our environment and memory, where Linux allows it."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError):
        return  # not Linux: hardening only, the job is the boundary


if __name__ == "__main__":
    sys.exit(main())
