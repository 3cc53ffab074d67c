"""Requests to GitHub: PyGithub sends them; this module decides what is retried, for how long, and how failures are
reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from reviewer import __version__
from reviewer.errors import ReviewerError, UsageError
from reviewer.github import queries

if TYPE_CHECKING:
    from github.File import File
    from github.GithubObject import GithubObject
    from github.IssueComment import IssueComment
    from github.PaginatedList import PaginatedList
    from github.PullRequest import PullRequest, ReviewComment

BUDGET = 120.0
"""Seconds that one publication may spend waiting for GitHub in total."""
_TIMEOUT = 20
_ATTEMPTS = 5
_PAGE = 100
_MOST_PAGES = 50
_ACTIONS = "github-actions[bot]"
"""The account behind the token of a workflow run, which cannot ask for it (`GET /user` is 403)."""

_MISREAD = (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What PyGithub raises when the response is not GitHub's."""

T = TypeVar("T")
U = TypeVar("U", bound="GithubObject")


class ApiError(ReviewerError):
    """GitHub did not carry out the request."""


class Forbidden(ApiError):
    """The token is not allowed to do this, or not even to see it."""


class NotFound(ApiError):
    """It does not exist, or the token cannot see it: GitHub does not distinguish the two."""


class Invalid(ApiError):
    """GitHub did not accept the content."""


class Unavailable(ApiError):
    """GitHub is down, too slow, or asks us to wait longer than our limit."""


class Unsure(Unavailable):
    """The request may have been carried out, or not."""


class Comment(msgspec.Struct, frozen=True):
    """A comment on a pull request."""

    id: int
    node_id: str
    body: str
    url: str
    ours: bool
    """Written by the account that the token belongs to."""
    hidden: bool = False


class Thread(msgspec.Struct, frozen=True):
    """A conversation on a line of the diff, by its first comment."""

    node_id: str
    body: str
    ours: bool
    hidden: bool
    replied: bool


class ChangedFile(msgspec.Struct, frozen=True):
    """A file of a pull request, with its diff where GitHub gives one."""

    filename: str
    status: str = ""
    patch: str | None = None


class FoundPullRequest(msgspec.Struct, frozen=True):
    """A pull request as GitHub lists it."""

    number: int
    sha: str
    """The commit at its head."""
    repository: str
    """`owner/name` of the repository it will be merged into."""
    state: str = ""


class _PageInfo(msgspec.Struct):
    hasNextPage: bool  # noqa: N815  (GitHub's name)
    endCursor: str | None = None  # noqa: N815  (GitHub's name)


class _Node(msgspec.Struct):
    id: str
    body: str
    viewerDidAuthor: bool  # noqa: N815  (GitHub's name)
    isMinimized: bool  # noqa: N815  (GitHub's name)
    url: str = ""
    fullDatabaseId: str | int | None = None  # noqa: N815  (GitHub's name)


class _ThreadComments(msgspec.Struct):
    totalCount: int  # noqa: N815  (GitHub's name)
    nodes: list[_Node]


class _Thread(msgspec.Struct):
    comments: _ThreadComments


class _CommentPage(msgspec.Struct):
    pageInfo: _PageInfo  # noqa: N815  (GitHub's name)
    nodes: list[_Node]


class _ThreadPage(msgspec.Struct):
    pageInfo: _PageInfo  # noqa: N815  (GitHub's name)
    nodes: list[_Thread]


@dataclass
class Api:
    """One repository on one GitHub. Every method is one request unless it says otherwise."""

    token: str
    repository: str
    """`owner/name`."""
    api_url: str = "https://api.github.com"
    budget: float = BUDGET
    """Seconds to spend waiting in total, over all requests."""
    pause: Callable[[float], None] = time.sleep
    between_writes: float = 1.0
    """Seconds between requests that change something; GitHub asks for at least one."""
    timeout: int = _TIMEOUT

    def __post_init__(self) -> None:
        address = urlsplit(self.api_url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise UsageError(
                f"{self.api_url} is not the address of a GitHub API.", "Give it as https://HOST/api/v3."
            )
        if not self.token.strip():
            raise UsageError("No GitHub token is set.", "Set GITHUB_TOKEN.")
        if not self.token.strip().isascii() or not self.token.strip().isprintable():
            raise UsageError("The GitHub token is malformed.", "Set GITHUB_TOKEN to the token alone.")
        from github import Auth, Github

        github = Github(
            auth=Auth.Token(self.token.strip()),
            base_url=self.api_url.rstrip("/"),
            timeout=self.timeout,
            user_agent=f"alembic-reviewer/{__version__}",
            seconds_between_requests=0,
            seconds_between_writes=0,  # it takes a query of GraphQL, which is posted, for one
            per_page=_PAGE,
            # PyGithub would repeat a POST on a 502, which makes a second comment, and never a PATCH
            retry=None,
            lazy=True,
        )
        self._github = github
        self._repository = github.get_repo(self.repository)  # lazy: sends no request
        self._waited = 0.0
        self._written = -self.between_writes
        """When something was last changed, as `time.monotonic` tells it."""

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._github.close()

    # -- comments ---------------------------------------------------------------------------------

    def comments(self, number: int) -> list[Comment]:
        """All comments on the pull request, oldest first; one request per hundred."""
        try:
            return [
                _comment(node)
                for page in self._pages(queries.COMMENTS, "comments", number, _CommentPage)
                for node in page.nodes
            ]
        except (Invalid, NotFound):
            # an older Enterprise Server, or a token that GraphQL does not accept
            return self._comments_by_rest(number)

    def create(self, number: int, body: str) -> Comment:
        """Write a new comment. Raises `Unsure` if it may have been created after all."""
        issue = self._repository.get_issue(number)
        return self._changed(lambda: _written(issue.create_comment(body)), repeat=False)

    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of `comment`. Raises `NotFound` if it has been deleted."""
        found = self._at(comment)

        def edited() -> Comment:
            found.edit(body)
            return _written(found)

        return self._changed(edited)

    def delete(self, comment: Comment) -> None:
        """Delete `comment`; one that no longer exists is not an error."""
        try:
            self._changed(self._at(comment).delete)
        except NotFound:
            return

    def minimize(self, node_id: str, why: str) -> None:
        """Minimize a comment or review comment; `why` is OUTDATED, DUPLICATE or RESOLVED."""
        self._graphql(queries.MINIMIZE, {"id": node_id, "why": why}, changes=True)

    # -- the diff ---------------------------------------------------------------------------------

    def files(self, number: int) -> list[ChangedFile]:
        """The files of the pull request; one request per hundred."""
        return list(self._listed(self._repository.get_pull(number).get_files, _changed))

    def threads(self, number: int) -> list[Thread]:
        """The conversations on lines of the diff; one request per hundred."""
        found = []
        for page in self._pages(queries.THREADS, "reviewThreads", number, _ThreadPage):
            for thread in page.nodes:
                for first in thread.comments.nodes[:1]:
                    replied = thread.comments.totalCount > 1
                    found.append(Thread(first.id, first.body, first.viewerDidAuthor, first.isMinimized, replied))
        return found

    def review(self, number: int, sha: str, body: str, comments: list[ReviewComment]) -> None:
        """One review with comments on lines. Raises `Invalid` if one of the lines is not in the diff."""
        from github.Commit import Commit

        # made here: PyGithub would request it, and only its name is needed
        commit = self._github.create_from_raw_data(Commit, {"sha": sha})
        pull_request = self._repository.get_pull(number)
        self._changed(lambda: pull_request.create_review(commit, body, "COMMENT", comments), repeat=False)

    # -- pull requests ----------------------------------------------------------------------------

    def pull_request(self, number: int) -> FoundPullRequest:
        """The pull request with that number."""
        return self._asked(lambda: _found(self._repository.get_pull(number).complete()))

    def open_pull_requests(self, owner: str, branch: str) -> list[FoundPullRequest]:
        """Open pull requests from `branch` of `owner`'s repository."""
        head = f"{owner}:{branch}"
        return list(self._listed(lambda: self._repository.get_pulls(state="open", head=head), _found))

    def pull_requests_of(self, sha: str) -> list[FoundPullRequest]:
        """Pull requests that contain the commit `sha`."""
        return list(self._listed(self._repository.get_commit(sha).get_pulls, _found))

    # -- private ----------------------------------------------------------------------------------

    def _at(self, comment: Comment) -> IssueComment:
        # a comment has its own address, whatever the number of the issue
        return self._repository.get_issue(0).get_comment(comment.id)

    def _comments_by_rest(self, number: int) -> list[Comment]:
        me = self._me()

        def read(found: IssueComment) -> Comment:
            return _written(found, ours=found.user is not None and found.user.login == me)

        return list(self._listed(self._repository.get_issue(number).get_comments, read))

    def _me(self) -> str:
        try:
            return self._asked(lambda: self._github.get_user().login)
        except Forbidden:
            return _ACTIONS

    def _listed(self, listing: Callable[[], PaginatedList[U]], read: Callable[[U], T]) -> Iterator[T]:
        pages = listing()

        def on_page(number: int) -> list[T]:
            return [read(each) for each in pages.get_page(number)]

        for number in range(_MOST_PAGES):
            found = self._asked(partial(on_page, number))
            yield from found
            if len(found) < _PAGE:
                return

    def _pages(self, query: str, what: str, number: int, shape: type[T]) -> Iterator[T]:
        owner, _, name = self.repository.partition("/")
        after: str | None = None
        for _ in range(_MOST_PAGES):
            found = self._graphql(query, {"owner": owner, "name": name, "number": number, "after": after})
            pull_request = (found.get("repository") or {}).get("pullRequest")
            if pull_request is None:
                raise NotFound(
                    f"{self.repository} has no pull request {number}.", "Check the number and the token."
                )
            page = _as(shape, pull_request.get(what))
            yield page
            info: _PageInfo = page.pageInfo  # type: ignore[attr-defined]  # both pages have it
            if not info.hasNextPage:
                return
            after = info.endCursor

    def _graphql(self, query: str, variables: Mapping[str, object], *, changes: bool = False) -> dict[str, Any]:
        requester, payload = self._github.requester, {"query": query, "variables": dict(variables)}
        asked = self._changed if changes else self._asked
        found = asked(lambda: requester.requestJsonAndCheck("POST", requester.graphql_url, input=payload)[1])
        if not isinstance(found, dict):
            raise _unexpected()
        if errors := found.get("errors"):
            first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
            kind, message = str(first.get("type", "")), str(first.get("message", "no reason given"))
            # when GraphQL's own limit is exhausted (RATE_LIMITED), REST may still have room
            error = {"FORBIDDEN": Forbidden, "NOT_FOUND": NotFound}.get(kind, Invalid)
            if "not accessible" in message:
                error = Forbidden
            raise error(f"GitHub refused: {message}.", _permission({}))
        data = found.get("data")
        if not isinstance(data, dict):
            raise _unexpected()
        return data

    def _changed(self, ask: Callable[[], T], *, repeat: bool = True) -> T:
        """The result of `ask`, which changes something, as `_asked` gets it: not too soon after the last change."""

        def paced() -> T:
            early = self._written + self.between_writes - time.monotonic()
            if early > 0:
                self.pause(early)
            try:
                return ask()
            finally:
                self._written = time.monotonic()

        return self._asked(paced, repeat=repeat)

    def _asked(self, ask: Callable[[], T], *, repeat: bool = True) -> T:
        """The result of `ask`, retried where that does no harm. `repeat`: whether it may be carried out twice."""
        import requests
        from github import BadAttributeException, GithubException, IncompletableObject

        for attempt in range(1, _ATTEMPTS + 1):
            began = time.monotonic()
            try:
                return ask()
            except (BadAttributeException, IncompletableObject, *_MISREAD) as error:
                raise _unexpected(type(error).__name__) from None
            except GithubException as error:
                headers = {str(k).lower(): str(v) for k, v in (error.headers or {}).items()}
                wait, problem = _judged(error.status, _message(error), headers, attempt, repeat=repeat)
                if wait is None:
                    raise problem from None
            except (requests.RequestException, OSError) as error:
                self._waited += time.monotonic() - began
                unreached = isinstance(error, requests.ConnectTimeout)
                words = f"GitHub at {self.api_url} did not respond: {type(error).__name__}."
                if not repeat and not unreached:
                    raise Unsure(words) from None
                wait, problem = 2.0 ** (attempt - 1), Unavailable(words, "Try again later.")
            if attempt == _ATTEMPTS or self._waited + wait > self.budget:
                raise problem
            self._waited += wait
            self.pause(wait)
        raise AssertionError("the last attempt raises")


def _judged(
    status: int, message: str, headers: Mapping[str, str], attempt: int, *, repeat: bool
) -> tuple[float | None, ApiError]:
    """How many seconds to wait before the next attempt, None for no further attempt; and the error to raise then."""
    limited = status == 429 or (
        status == 403
        and (
            "retry-after" in headers
            or headers.get("x-ratelimit-remaining") == "0"
            or "rate limit" in message.lower()
        )
    )
    if limited:
        wait = _named_wait(headers)
        return wait, Unavailable(
            f"GitHub's rate limit is reached; retry after {wait:.0f} s: {message}.", "Run it again later."
        )
    if status >= 500:
        words = f"GitHub answered {status}: {message}."
        return (2.0 ** (attempt - 1), Unavailable(words, "Try again later.")) if repeat else (None, Unsure(words))
    match status:
        case 401:
            return None, Forbidden(f"GitHub rejected the token: {message}.", "Use another token.")
        case 403 | 451:
            return None, Forbidden(f"GitHub refused: {message}.", _permission(headers))
        case 404 | 410:
            return None, NotFound(
                f"GitHub could not find it: {message}.", "Check the repository, the number and the token."
            )
        case _:
            return None, Invalid(f"GitHub rejected the request ({status}): {message}.")


def _named_wait(headers: Mapping[str, str]) -> float:
    """https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately"""
    try:
        if "retry-after" in headers:
            return max(float(headers["retry-after"]), 0.0)
        if headers.get("x-ratelimit-remaining") == "0":
            return max(float(headers["x-ratelimit-reset"]) - time.time(), 0.0) + 1
    except (KeyError, ValueError):
        pass
    return 60.0


def _permission(headers: Mapping[str, str]) -> str:
    """What the answer says is needed: sets of permissions with semicolons between them, of which one is enough.

    https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible
    """
    needed = headers.get("x-accepted-github-permissions") or "pull-requests: write"
    sets = [[each.strip() for each in one.split(",") if each.strip()] for one in needed.split(";")]
    told = [" and ".join(f"`{each.replace('_', '-').replace('=', ': ')}`" for each in one) for one in sets if one]
    several = any(len(one) > 1 for one in sets)
    return f"Give the job the permission{'s' if several else ''} {', or '.join(dict.fromkeys(told))}."


def _message(error: Any) -> str:
    data = error.data
    found = data.get("message") if isinstance(data, dict) else data
    details = data.get("errors") if isinstance(data, dict) else None
    words = " ".join(str(found or "no reason given").split())[:300].rstrip(".")
    return f"{words} {' '.join(str(details).split())[:300]}" if details else words


def _comment(node: _Node) -> Comment:
    return Comment(
        int(node.fullDatabaseId or 0), node.id, node.body, node.url, node.viewerDidAuthor, node.isMinimized
    )


def _written(found: IssueComment, *, ours: bool = True) -> Comment:
    return Comment(found.id, found.node_id or "", found.body or "", found.html_url or "", ours)


def _found(found: PullRequest) -> FoundPullRequest:
    return FoundPullRequest(found.number, found.head.sha, found.base.repo.full_name, found.state or "")


def _changed(found: File) -> ChangedFile:
    return ChangedFile(found.filename, found.status or "", found.patch)


def _as(shape: type[T], found: object) -> T:
    try:
        return msgspec.convert(found, shape)
    except msgspec.ValidationError as error:
        raise _unexpected(str(error)) from None


def _unexpected(why: str = "the response does not have the documented form") -> Unavailable:
    return Unavailable(f"The server that responded is not GitHub's API: {why}.", "Check the address of the API.")
