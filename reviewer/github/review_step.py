"""The action's first step: run the project's migrations and write the report. It is never given a token."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from msgspec.structs import replace

import checks
from reviewer import __version__
from reviewer.config import Config, load
from reviewer.errors import CannotReview, ReviewerError, UsageError
from reviewer.github import commands
from reviewer.github.commands import CommandFiles
from reviewer.github.event import Event, from_environment
from reviewer.github.inputs import Inputs
from reviewer.project.git import Git, GitError, root_of
from reviewer.report import inert
from reviewer.review.finding import Severity
from reviewer.review.verdict import Report, Verdict

_SECRETS = ("GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")


def main() -> int:
    """Run the step in the environment of this process; its exit status."""
    for name in _SECRETS:
        os.environ.pop(name, None)
    return run(dict(os.environ), sys.stdout)


def run(environ: Mapping[str, str], out: TextIO) -> int:
    """The step. Returns 0 whenever a report was written: the gate comes after publishing."""
    try:
        inputs, event = Inputs.read(environ), from_environment(environ)
        if event.runs_strangers:
            raise UsageError(
                f"Migrations are not run on the event `{event.name}`: such a run has permissions that the author "
                "of the code may lack.",
                "Review in `pull_request`, and use `mode: comment` here. See SECURITY.md.",
            )
        folder = _report_folder(inputs, environ)
    except ReviewerError as error:
        print(commands.message("error", str(error), "alembic-reviewer"), file=out)
        commands.set_outputs(environ, {"verdict": Verdict.ERROR.value})
        return error.exit_status
    if event.over:
        commands.set_outputs(environ, {"verdict": Verdict.SKIPPED.value, "findings": "0", "errors": "0"})
        print(f"There is nothing to review: {event.over}.", file=out)
        return 0
    files = CommandFiles.of(environ)
    report, root = _reviewed(inputs, event, environ, out)
    if changed := files.restore():
        names = ", ".join(f"`{inert.name(name)}`" for name in changed)
        said = f"The project's code wrote to the runner's command files ({names}); the changes were undone."
        report = replace(report, errors=(*report.errors, said))
    outputs = _write(report, folder)
    outputs |= {"root": str(root)} if root else {}
    outputs |= _cache()
    _show(report, inputs, event, root, environ, out)
    commands.set_outputs(environ, outputs)
    return 0


def base_of(event: Event, base_ref: str, folder: Path) -> str | None:
    """The commit to compare with according to this event; None if it does not say.

    Raises `GitError` if there is no repository.
    """
    if base_ref:
        return base_ref
    git = Git.containing(folder)
    default = f"origin/{event.default_branch}" if event.default_branch else ""
    known_default = default if default and git.commit(default) else None
    if event.pull_request is not None:
        # GitHub's merge of the pull request has its base as the first parent: newer than the one in the payload.
        # A checkout of the head itself may end in a merge too, of the base into the branch.
        if event.pull_request.head_sha and git.commit("HEAD^2") == event.pull_request.head_sha:
            return git.commit("HEAD^1")
        target = f"origin/{event.pull_request.base_ref}"
        return target if git.commit(target) else event.pull_request.base_sha or None
    if event.before and (git.commit(event.before) or git.shallow or event.name == "merge_group"):
        return event.before
    return known_default


def _reviewed(inputs: Inputs, event: Event, environ: Mapping[str, str], out: TextIO) -> tuple[Report, Path | None]:
    """The report, even if the review could not be done; and the root that its paths are relative to."""
    fail_on = None if inputs.fail_on == "never" else Severity(inputs.fail_on or "error")
    root = None
    try:
        workspace = Path(environ.get("GITHUB_WORKSPACE") or ".")
        try:
            os.chdir(workspace / inputs.working_directory)
        except OSError as error:
            raise UsageError(
                f"The input working-directory is `{inputs.working_directory}`, which cannot be opened:"
                f" {error.strerror}.",
                "Name a folder of the checked out repository, and run actions/checkout before this step.",
            ) from None
        root = root_of(Path())
        config = inputs.completed(load(inputs.flags(), root))
        fail_on = config.fail_on
        return _review(config, event, inputs.base_ref, environ), root
    except ReviewerError as error:
        return Report(__version__, (), fail_on, errors=(str(error),)), root
    except OSError as error:
        full = CannotReview(f"The review failed because of the machine: {error.strerror}.")
        return Report(__version__, (), fail_on, errors=(str(full),)), root
    except Exception as error:  # noqa: BLE001  (our own bug must fail the job with a report, not without)
        lines = "".join(traceback.format_exception(error))
        print(inert.without_commands(inert.block(lines)), file=out)
        said = f"The reviewer has a bug: {type(error).__name__}. Please report it with the log."
        return Report(__version__, (), fail_on, errors=(said,)), root


def _review(config: Config, event: Event, base_ref: str, environ: Mapping[str, str]) -> Report:
    from reviewer.session import review_project

    if config.revisions is None or base_ref or event.pull_request or event.before:
        try:
            base = base_of(event, base_ref, Path())
        except GitError:
            base = None  # the review itself reports what is wrong with the repository
        if base is not None:
            config = replace(config, base=base, revisions=None)
    if not config.fixes:
        return review_project(config, environ)
    from reviewer.fix.offer import offer

    return review_project(config, environ, fixer=offer)


def _report_folder(inputs: Inputs, environ: Mapping[str, str]) -> Path:
    workspace = Path(environ.get("GITHUB_WORKSPACE") or ".").absolute()
    try:
        if inputs.report_directory:
            folder = workspace / inputs.report_directory
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        return Path(tempfile.mkdtemp(prefix="alembic-reviewer-report-", dir=environ.get("RUNNER_TEMP") or None))
    except OSError as error:
        raise UsageError(
            f"The input report-directory is `{inputs.report_directory}`, which cannot be created: {error.strerror}."
        ) from None


def _write(report: Report, folder: Path) -> dict[str, str]:
    from reviewer.report import render

    ends = {"json": "json", "sarif": "sarif", "markdown": "md"}
    texts = {form: render(form, report, checks.by_id) for form in ends}
    files = {form: folder / f"report.{end}" for form, end in ends.items()}
    for form, file in files.items():
        file.unlink(missing_ok=True)  # the project's code may have put something there, such as a link
        file.write_text(texts[form], encoding="utf-8")
    return {
        "verdict": report.verdict.value,
        "findings": str(len(report.findings)),
        "errors": str(sum(finding.severity is Severity.ERROR for finding in report.findings)),
        "report-json": str(files["json"]),
        "sarif": str(files["sarif"]),
        "digest": hashlib.sha256(texts["json"].encode()).hexdigest(),
    }


def _cache() -> dict[str, str]:
    """Where base states are kept, and a name that is another one whenever others are kept; none without any."""
    from reviewer.postgres import snapshots

    names = sorted(each.path.name for each in snapshots.found())
    if not names:
        return {}
    digest = hashlib.sha256("/".join(names).encode()).hexdigest()[:16]
    return {"cache-path": str(snapshots.folder()), "cache-key": f"alembic-reviewer-{digest}"}


def _show(
    report: Report, inputs: Inputs, event: Event, root: Path | None, environ: Mapping[str, str], out: TextIO
) -> None:
    from reviewer.report import markdown, render
    from reviewer.report.workflow_commands import render as as_commands

    print(render("text", report, checks.by_id), file=out)
    if inputs.annotations.by_command:
        print(as_commands(report, commands.folder_in_workspace(root, environ)), end="", file=out)
    if inputs.summary:
        place = replace(markdown.SUMMARY, repository=event.repository_url, sha=event.head_sha)
        commands.add_summary(environ, markdown.render(report, place))
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
