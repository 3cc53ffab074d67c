"""Publishing a report on a pull request: which one, with what body, and what is reported when that is impossible."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from reviewer.errors import UsageError
from reviewer.github import comment, inline
from reviewer.github.api import Api, FoundPullRequest
from reviewer.github.comment import Mode, Outcome, Status, Wanted
from reviewer.github.event import Event
from reviewer.report import inert, markdown
from reviewer.report.markdown import Place
from reviewer.review.verdict import Report, Verdict

MOST_BYTES = 8 << 20
"""Largest report that is published: one from another job can contain anything."""
MOST_COMMENTS = 10
"""Most comments on one pull request: with more trees than that, all share one comment."""


class When(Enum):
    """When a comment is written."""

    AUTO = "auto"
    """Whenever there are new revisions and the token has permission."""
    ALWAYS = "always"
    """The same, and failing to write it fails the job."""
    ON_FINDINGS = "on-findings"
    """Only if something was found; an existing comment is still kept up to date."""
    NEVER = "never"


class Target(Struct, frozen=True):
    """The pull request to comment on."""

    number: int
    sha: str
    """The commit that the report is about, for links."""


class Wish(Struct, frozen=True):
    """How to publish a report."""

    marker_id: str
    when: When = When.AUTO
    mode: Mode = Mode.UPDATE
    inline: bool = False
    """Review comments on changed lines too."""
    note: str = ""
    """Where the report comes from, if not from a trusted run."""


class Published(Struct, frozen=True):
    """What happened to the comments, by name of the tree; the name is empty for the only one."""

    outcomes: Mapping[str, Outcome]

    @classmethod
    def none(cls, outcome: Outcome) -> Published:
        """There is no comment, for the reason that `outcome` gives."""
        return cls({"": outcome})

    @property
    def status(self) -> Status:
        """The status for all of them: the one that matters most."""
        return min((each.status for each in self.outcomes.values()), key=_WEIGHTS.index)

    @property
    def url(self) -> str:
        """Addresses of the comments, one per line."""
        return "\n".join(each.url for each in self.outcomes.values() if each.url)

    @property
    def missing(self) -> list[str]:
        """Which comments are missing, and why: one sentence for each reason."""
        trees: dict[str, list[str]] = {}
        for tree, each in self.outcomes.items():
            if each.status in {Status.FORBIDDEN, Status.FAILED}:
                trees.setdefault(each.why, []).append(inert.name(tree))
        return [f"There is no comment{_about(', '.join(names))}: {why}" for why, names in trees.items()]

    @property
    def there(self) -> list[str]:
        """What happened to the others, one line each: `created: https://...`."""
        return [
            inert.without_commands(f"{each.status.value}{_about(inert.name(tree))}: {_words(each)}")
            for tree, each in self.outcomes.items()
            if each.status not in {Status.FORBIDDEN, Status.FAILED}
        ]


def _about(trees: str) -> str:
    return f" for {trees}" if trees else ""


def _words(outcome: Outcome) -> str:
    return " ".join(word for word in (outcome.why, outcome.url) if word)


_WEIGHTS = (
    Status.FAILED,
    Status.FORBIDDEN,
    Status.CREATED,
    Status.UPDATED,
    Status.UNCHANGED,
    Status.SKIPPED,
)


def locate(event: Event, api: Api, number: int | None = None) -> Target | Outcome:
    """The pull request that `event` is about, or why there is none. What a report says is ignored.

    A run that follows another one (`workflow_run`) goes by the commit of that run: a pull request that has moved on
    since, or that is closed, is left alone.
    """
    if event.upstream is not None:
        return _of_upstream(event, api)
    if event.pull_request is not None and number in {None, event.pull_request.number}:
        head = event.pull_request.head_sha or api.pull_request(event.pull_request.number).sha
        return Target(event.pull_request.number, head)
    if number is not None:
        return Target(number, api.pull_request(number).sha)
    return Outcome(Status.SKIPPED, why=f"the event {event.name or 'of this run'} has no pull request")


def with_commit(api: Api, sha: str) -> Target:
    """The open pull request whose head is the commit `sha`. Raises `UsageError` unless there is exactly one."""
    found = [each for each in api.pull_requests_of(sha) if each.sha == sha and each.state == "open"]
    if len(found) != 1:
        what = "no open pull request" if not found else f"{len(found)} open pull requests"
        raise UsageError(f"{api.repository} has {what} with the head {sha}.", "Name one with --pull-request.")
    return Target(found[0].number, sha)


def body_of(
    report: Report, event: Event, target: Target | None, wish: Wish, tree: str = "", earlier: str = ""
) -> str:
    """The text of the comment; `tree` names the one that `report` is about if others have their own comment, `earlier`
    is the text that it replaces.
    """
    place = Place(
        repository=event.repository_url,
        sha=target.sha if target else event.head_sha,
        run_url=(event.upstream and event.upstream.url) or event.run_url,
        marker_id=wish.marker_id,
        tree=tree,
        run=event.run,
        note=wish.note,
        known=markdown.known_before(earlier, target.sha) if target else None,
    )
    return markdown.render(report, place)


def parts(report: Report) -> dict[str, Report]:
    """The reports that get their own comment: each tree by its name, or everything together under an empty name.

    Together if there is only one tree, if the report is about none of them, and if there are so many that
    nobody would read their comments.
    """
    trees = report.by_tree()
    touched = sum(each.verdict is not Verdict.SKIPPED for each in trees.values())
    if len(trees) <= 1 or touched > MOST_COMMENTS or (report.errors and not touched):
        return {"": report}
    return trees


def publish(
    api: Api, report: Report, event: Event, target: Target, wish: Wish, source: inline.Source = lambda _: None
) -> tuple[Published, inline.Posted | None]:
    """Write the comments, and the review comments if they are enabled. Never raises for a response of GitHub's."""
    published = Published.none(Outcome(Status.SKIPPED, why="comments are turned off"))
    if wish.when is not When.NEVER:
        found = parts(report)
        wanted = [
            Wanted(
                body_of(part, event, target, wish, tree),
                _worth_a_comment(part, wish.when),
                partial(body_of, part, event, target, wish, tree),
            )
            for tree, part in found.items()
        ]
        # without any tree we cannot tell what earlier comments are about
        outcomes = comment.publish_all(api, target.number, wanted, wish.mode, whole=bool(report.trees))
        published = Published(dict(zip(found, outcomes, strict=True)))
    if not wish.inline or published.status is Status.FORBIDDEN:
        return published, None
    return published, inline.post(api, target.number, target.sha, report, wish.marker_id, source)


def _worth_a_comment(report: Report, when: When) -> bool:
    if when is When.ON_FINDINGS:
        return bool(report.findings or report.all_errors)
    return report.verdict is not Verdict.SKIPPED


def _of_upstream(event: Event, api: Api) -> Target | Outcome:
    run = event.upstream
    assert run is not None
    if run.event != "pull_request":
        return Outcome(
            Status.SKIPPED, why=f"the run was triggered by {run.event or 'something else'}, not by a pull request"
        )
    if not run.head_owner or not run.head_branch:
        return Outcome(Status.SKIPPED, why="the branch's repository no longer exists")
    found = [
        each
        for each in api.open_pull_requests(run.head_owner, run.head_branch)
        if _is_about(each, run.head_sha, event)
    ]
    if len(found) != 1:
        return Outcome(Status.SKIPPED, why="the commit of that run is no longer the head of any open pull request")
    return Target(found[0].number, run.head_sha)


def _is_about(found: FoundPullRequest, sha: str, event: Event) -> bool:
    return found.sha == sha and found.repository.lower() == event.repository.lower()


def with_note(wish: Wish, event: Event) -> Wish:
    """`wish`, with a note about the origin of the report if somebody else's workflow made it."""
    if event.upstream is None:
        return wish
    return replace(wish, note="as reported by the run of the pull request itself")
