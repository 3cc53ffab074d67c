"""`alembic-reviewer comment`: put a report on a pull request, from any CI."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import UsageError
from reviewer.github import comment, publication
from reviewer.github.api import Api, ApiError
from reviewer.github.comment import Mode
from reviewer.github.event import Event, from_environment
from reviewer.github.publication import MOST_BYTES, Target, When, Wish
from reviewer.host import files
from reviewer.report import json
from reviewer.review.finding import Severity
from reviewer.review.verdict import Report


class Call(Struct, frozen=True):
    """What was asked for on the command line. Empty means: from the environment."""

    report: Path
    repository: str = ""
    pull_request: int | None = None
    sha: str = ""
    api_url: str = ""
    server_url: str = ""
    run: str = ""
    run_url: str = ""
    comment_id: str = ""
    mode: Mode = Mode.UPDATE
    when: When = When.AUTO
    inline: bool = False
    dry_run: bool = False


def run(call: Call, environ: Mapping[str, str]) -> str:
    """Carry out `call` and return the text to print: the comments, or one line about each.

    Raises `UsageError` when something is missing, `ApiError` when GitHub does not accept the comment.
    """
    report = read_report(call.report)
    event = _completed(from_environment(environ), call)
    wish = Wish(comment.identity(call.comment_id), call.when, call.mode, call.inline)
    if call.dry_run:
        known = Target(call.pull_request or 0, call.sha) if call.sha else None
        found = publication.parts(report).items()
        return "\n".join(publication.body_of(part, event, known, wish, tree) for tree, part in found)
    if not event.repository:
        raise UsageError("The repository to comment in is not known.", "Name it with --repo OWNER/NAME.")
    with Api(environ.get("GITHUB_TOKEN", ""), event.repository, event.api_url) as api:
        published, posted = publication.publish(api, report, event, _target(call, event, api), wish)
    if published.missing:
        raise ApiError(*"\n".join([*published.missing, *published.there]).split("\n", 1))
    words = "\n".join(published.there)
    if posted is None:
        return words
    return (
        f"{words}\nreview comments: {posted.why or f'{posted.new} new, {posted.kept} kept, {posted.folded} folded'}"
    )


def read_report(path: Path, fail_on: str = "", digest: str | None = None) -> Report:
    """The report in `path`, with its verdict recomputed for `fail_on` if that is given.

    Raises `UsageError` for anything but a report, and when its SHA-256 is not `digest`.
    """
    way_out = "Name a file that `alembic-reviewer review --format json --output FILE` has written."
    try:
        text = files.read(path, most=MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"The report {path} cannot be read: {files.why(error)}.", way_out) from None
    if digest is not None and hashlib.sha256(text).hexdigest() != digest:
        raise UsageError("The report was changed after the review wrote it, so it is not published.")
    if len(text) > MOST_BYTES:
        raise UsageError(f"The report {path} is larger than {MOST_BYTES >> 20} MiB.", way_out)
    report = json.load(text)
    if fail_on:
        report = replace(report, fail_on=None if fail_on == "never" else Severity(fail_on))
    return report


def _completed(event: Event, call: Call) -> Event:
    return replace(
        event,
        repository=call.repository or event.repository,
        api_url=call.api_url.rstrip("/") or event.api_url,
        server_url=call.server_url.rstrip("/") or event.server_url,
        run=call.run or event.run,
        run_url=call.run_url or event.run_url,
    )


def _target(call: Call, event: Event, api: Api) -> Target:
    if call.pull_request is not None and call.sha:
        return Target(call.pull_request, call.sha)
    if call.pull_request is None and call.sha:
        return publication.with_commit(api, call.sha)
    found = publication.locate(event, api, call.pull_request)
    if not isinstance(found, Target):
        raise UsageError(f"There is no pull request to comment on: {found.why}.", "Name one with --pull-request N.")
    return found
