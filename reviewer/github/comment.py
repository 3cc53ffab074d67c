"""The one comment of a tree: found by its marker, updated in place, never overwritten by an older run, never
duplicated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from reviewer.github.api import Api, ApiError, Comment, Forbidden, NotFound, Unsure
from reviewer.report.markdown import MARKER

_CREATIONS = 3


class Mode(Enum):
    """What happens to the comment of an earlier run."""

    UPDATE = "update"
    RECREATE = "recreate"
    HIDE_AND_RECREATE = "hide-and-recreate"


class Status(Enum):
    """What happened to the comment."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    """It already said the same, or a newer run has written it."""
    SKIPPED = "skipped"
    """There is nothing to say, or nowhere to say it."""
    FORBIDDEN = "forbidden"
    """The token has no write permission, as expected on forks and for Dependabot."""
    FAILED = "failed"


class Outcome(Struct, frozen=True):
    """What happened to the comment, and why."""

    status: Status
    url: str = ""
    why: str = ""
    """One sentence where the status alone does not explain it."""


def identity(*parts: str) -> str:
    """The id in the marker: 12 hex digits of a hash of `parts`, which distinguish two comments on one pull request."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]


class Wanted(Struct, frozen=True):
    """One comment that should be on the pull request."""

    body: str
    """Begins with its marker: that of the tree if there are several."""
    create: bool = True
    """Whether to create it if it does not exist yet."""
    after: Callable[[str], str] | None = None
    """From the body of an earlier comment to the one that replaces it; None: `body`."""


def publish(api: Api, number: int, body: str, *, create: bool = True, mode: Mode = Mode.UPDATE) -> Outcome:
    """Make `body` the comment on the pull request. Never raises because of a response of GitHub's."""
    return publish_all(api, number, [Wanted(body, create)], mode)[0]


def publish_all(
    api: Api, number: int, wanted: Sequence[Wanted], mode: Mode = Mode.UPDATE, *, whole: bool = False
) -> list[Outcome]:
    """Make each of `wanted` a comment on the pull request. Returns what happened to each, in the same order.

    The comments are listed once, and once more if one was created. `whole`: `wanted` is everything there is to say
    under its id, so our earlier comments under that id about anything else are outdated and get minimized. Never
    raises because of a response of GitHub's.
    """
    if not all(MARKER.match(each.body) for each in wanted):
        raise ValueError("a comment without a marker could not be found again")
    try:
        there = api.comments(number)
    except ApiError as error:
        return [_refused(error)] * len(wanted)
    if whole:
        _fold_what_is_over(api, there, wanted)
    changes: list[_Change] = []
    for each in wanted:
        changes.append(
            changes[-1] if changes and changes[-1].hopeless else _changed(api, number, there, each, mode)
        )
    return _alone(api, number, changes)


class _Change(Struct, frozen=True):
    outcome: Outcome
    written: Comment | None = None
    """A comment that is new."""
    instead_of: Comment | None = None

    @property
    def hopeless(self) -> bool:
        """Whether a token that was refused here will be refused for the other comments too."""
        return self.outcome.status is Status.FORBIDDEN


def _changed(api: Api, number: int, there: Sequence[Comment], wanted: Wanted, mode: Mode) -> _Change:
    try:
        return _published(api, number, there, wanted, mode)
    except ApiError as error:
        return _Change(_refused(error))


def _refused(error: ApiError) -> Outcome:
    forbidden = isinstance(error, (Forbidden, NotFound))
    return Outcome(Status.FORBIDDEN if forbidden else Status.FAILED, why=str(error))


def _published(api: Api, number: int, there: Sequence[Comment], wanted: Wanted, mode: Mode) -> _Change:
    body = wanted.body
    own = _own(there, body)
    newest = own[-1] if own else None
    for extra in own[:-1]:
        _fold(api, extra, "DUPLICATE")
    if newest is not None and wanted.after is not None:
        body = wanted.after(newest.body)
    if newest is None:
        if not wanted.create:
            return _Change(Outcome(Status.SKIPPED, why="there is nothing to say"))
        return _created(api, number, body)
    if _order(newest.body) > _order(body):
        return _Change(Outcome(Status.UNCHANGED, newest.url, "a newer run has already written the comment"))
    if _said(newest.body) == _said(body):
        return _Change(Outcome(Status.UNCHANGED, newest.url))
    if mode is not Mode.UPDATE and wanted.create:
        change = _created(api, number, body, instead_of=newest)
        if mode is Mode.RECREATE:
            api.delete(newest)
        else:
            _fold(api, newest, "OUTDATED")
        return change
    try:
        return _Change(Outcome(Status.UPDATED, api.update(newest, body).url or newest.url))
    except NotFound:
        # somebody has deleted it since we read the list
        if not wanted.create:
            return _Change(Outcome(Status.SKIPPED, why="the comment was deleted"))
        return _created(api, number, body)


def _created(api: Api, number: int, body: str, instead_of: Comment | None = None) -> _Change:
    """Create the comment, and never two: if it is unclear whether GitHub created it, look it up."""
    written: Comment | None = None
    for attempt in range(_CREATIONS):
        try:
            written = api.create(number, body)
            break
        except Unsure:
            there = [each for each in api.comments(number) if each.ours and each.body == body]
            if there:
                written = there[-1]
                break
            if attempt == _CREATIONS - 1:
                raise
            api.pause(2.0**attempt)
    assert written is not None
    return _Change(Outcome(Status.CREATED, written.url), written, instead_of)


def _alone(api: Api, number: int, changes: Sequence[_Change]) -> list[Outcome]:
    """Two concurrent runs both found no comment and both created one: of each comment the newer run's stays."""
    outcomes = [each.outcome for each in changes]
    if not any(each.written for each in changes):
        return outcomes
    try:
        there = api.comments(number)
    except ApiError:
        return outcomes
    for position, change in enumerate(changes):
        if change.written is None:
            continue
        own = [each for each in _own(there, change.written.body) if each != change.instead_of]
        own.sort(key=lambda each: (_order(each.body), each.id))
        for extra in own[:-1]:
            _fold(api, extra, "DUPLICATE")
        if own:
            outcomes[position] = replace(change.outcome, url=own[-1].url)
    return outcomes


def _fold_what_is_over(api: Api, there: Sequence[Comment], wanted: Sequence[Wanted]) -> None:
    """The comment of a tree that no longer exists, or the one that all trees shared."""
    keys = {_key(each.body) for each in wanted}
    ids = {one for one, _ in keys}
    for each in there:
        key = _key(each.body)
        over = each.ours and not each.hidden and key[0] in ids and key not in keys
        if over and not any(_order(each.body) > _order(other.body) for other in wanted):
            _fold(api, each, "OUTDATED")


def _own(comments: Sequence[Comment], body: str) -> list[Comment]:
    """Our visible comments under the marker of `body`. A marker in somebody else's comment is ignored."""
    return [each for each in comments if each.ours and not each.hidden and _key(each.body) == _key(body)]


def _fold(api: Api, comment: Comment, why: str) -> None:
    try:
        api.minimize(comment.node_id, why)
    except ApiError:
        return  # a second comment is ugly, but no reason to fail


def _key(body: str) -> tuple[str, str]:
    """The id and the tree of the marker; the tree is empty if the project has only one."""
    found = MARKER.match(body)
    return (found["id"], found["tree"] or "") if found else ("", "")


def _order(body: str) -> tuple[int, ...]:
    """The run that wrote it; later runs have higher numbers. Empty if unknown, which counts as older than all."""
    found = MARKER.match(body)
    words = found["run"].split(".") if found else []
    return tuple(int(word) for word in words) if all(word.isdecimal() for word in words) else ()


def _said(body: str) -> str:
    """The content of a body, independent of the run that wrote it."""
    body = body.replace("\r\n", "\n").rstrip()  # GitHub returns text edited in a browser with CRLF
    body = re.sub(r"\A(<!-- \S+ v1 id=\S+) run=\S+", r"\1", body)
    return re.sub(r"/actions/runs/\d+(/attempts/\d+)?", "/actions/runs/", body)
