"""Publishing a report on a pull request: which one, with what body, and what is said where it cannot be done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from reviewer.errors import UsageError
from reviewer.github import comment, inline
from reviewer.github.api import Api, FoundPullRequest
from reviewer.github.comment import Mode, Outcome, Status
from reviewer.github.event import Event
from reviewer.report import markdown
from reviewer.report.markdown import Place
from reviewer.verdict import Report, Verdict

MOST_BYTES = 8 << 20
"""Of a report that is published: one that comes from another job may be anything."""


class When(Enum):
    """When a comment is written."""

    AUTO = "auto"
    """Whenever there are new revisions, where the token may."""
    ALWAYS = "always"
    """The same, and not being able to is a failure."""
    ON_FINDINGS = "on-findings"
    """Only where something was found; a comment that is there is kept up to date all the same."""
    NEVER = "never"


@dataclass(frozen=True)
class Target:
    """The pull request to comment on."""

    number: int
    sha: str
    """The commit that the report is about, for links."""


@dataclass(frozen=True)
class Wish:
    """How a report is to be published."""

    marker_id: str
    when: When = When.AUTO
    mode: Mode = Mode.UPDATE
    inline: bool = False
    """Review comments on changed lines too."""
    note: str = ""
    """Who vouches for the report, where we do not."""


def locate(event: Event, api: Api, number: int | None = None) -> Target | Outcome:
    """The pull request that `event` is about, or why there is none. What a report says plays no part.

    A run that follows another one (`workflow_run`) is led by the commit of that run: a pull request that has moved on
    since, or that is closed, is left alone.
    """
    if event.upstream is not None:
        return _of_upstream(event, api)
    if event.pull_request is not None and number in {None, event.pull_request.number}:
        head = event.pull_request.head_sha or api.pull_request(event.pull_request.number).head.sha
        return Target(event.pull_request.number, head)
    if number is not None:
        return Target(number, api.pull_request(number).head.sha)
    return Outcome(Status.SKIPPED, why=f"the event {event.name or 'of this run'} has no pull request")


def with_commit(api: Api, sha: str) -> Target:
    """The open pull request whose head is the commit `sha`. Raises `UsageError` where there is not exactly one."""
    found = [each for each in api.pull_requests_of(sha) if each.head.sha == sha and each.state == "open"]
    if len(found) != 1:
        what = "no open pull request" if not found else f"{len(found)} open pull requests"
        raise UsageError(f"{api.repository} has {what} with the head {sha}.", "Name one with --pull-request.")
    return Target(found[0].number, sha)


def body_of(report: Report, event: Event, target: Target | None, wish: Wish) -> str:
    """The comment as it is written."""
    place = Place(
        repository=event.repository_url,
        sha=target.sha if target else event.head_sha,
        run_url=(event.upstream and event.upstream.url) or event.run_url,
        marker_id=wish.marker_id,
        run=event.run,
        note=wish.note,
    )
    return markdown.render(report, place)


def publish(
    api: Api, report: Report, event: Event, target: Target, wish: Wish, source: inline.Source = lambda _: None
) -> tuple[Outcome, inline.Posted | None]:
    """Write the comment, and the review comments where they are wished for. Never raises for what GitHub answers."""
    outcome = Outcome(Status.SKIPPED, why="a comment is not wished for")
    if wish.when is not When.NEVER:
        body = body_of(report, event, target, wish)
        outcome = comment.publish(
            api, target.number, body, create=_worth_a_comment(report, wish.when), mode=wish.mode
        )
    if not wish.inline or outcome.status is Status.FORBIDDEN:
        return outcome, None
    return outcome, inline.post(api, target.number, target.sha, report, wish.marker_id, source)


def _worth_a_comment(report: Report, when: When) -> bool:
    if when is When.ON_FINDINGS:
        return bool(report.findings or report.all_errors)
    return report.verdict is not Verdict.SKIPPED


def _of_upstream(event: Event, api: Api) -> Target | Outcome:
    run = event.upstream
    assert run is not None
    if run.event != "pull_request":
        return Outcome(
            Status.SKIPPED, why=f"the run was started by {run.event or 'something else'}, not by a pull request"
        )
    if not run.head_owner or not run.head_branch:
        return Outcome(Status.SKIPPED, why="the branch's repository is gone")
    found = [
        each
        for each in api.open_pull_requests(run.head_owner, run.head_branch)
        if _is_about(each, run.head_sha, event)
    ]
    if len(found) != 1:
        return Outcome(Status.SKIPPED, why="no open pull request has the commit of that run as its head any more")
    return Target(found[0].number, run.head_sha)


def _is_about(found: FoundPullRequest, sha: str, event: Event) -> bool:
    return found.head.sha == sha and found.base.repo.full_name.lower() == event.repository.lower()


def with_note(wish: Wish, event: Event) -> Wish:
    """`wish`, with a word about where the report comes from where it was made by somebody else's workflow."""
    if event.upstream is None:
        return wish
    return replace(wish, note="as reported by the run of the pull request itself")
