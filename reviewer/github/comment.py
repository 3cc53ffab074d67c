"""The one comment: found again by its marker, updated in place, never by an older run, never twice."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from reviewer.github.api import Api, ApiError, Comment, Forbidden, NotFound, Unsure
from reviewer.report.markdown import MARKER

_CREATIONS = 3


class Mode(Enum):
    """What becomes of the comment of an earlier run."""

    UPDATE = "update"
    RECREATE = "recreate"
    HIDE_AND_RECREATE = "hide-and-recreate"


class Status(Enum):
    """What became of the comment."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    """It said the same already, or a newer run has written it."""
    SKIPPED = "skipped"
    """There is nothing to say, or nowhere to say it."""
    FORBIDDEN = "forbidden"
    """The token may not write; expected on forks and for Dependabot."""
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of the comment, and why."""

    status: Status
    url: str = ""
    why: str = ""
    """One sentence where the status alone does not say it."""


def identity(*parts: str) -> str:
    """The id in the marker: 12 hex digits of whatever keeps two comments on one pull request apart."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def publish(api: Api, number: int, body: str, *, create: bool = True, mode: Mode = Mode.UPDATE) -> Outcome:
    """Make `body` the comment on the pull request. Never raises for what GitHub answers.

    `body` begins with the marker. `create`: whether one is written where there is none yet.
    """
    if not MARKER.match(body):
        raise ValueError("a comment without a marker could not be found again")
    try:
        return _published(api, number, body, create=create, mode=mode)
    except (Forbidden, NotFound) as error:
        return Outcome(Status.FORBIDDEN, why=str(error))
    except ApiError as error:
        return Outcome(Status.FAILED, why=str(error))


def _published(api: Api, number: int, body: str, *, create: bool, mode: Mode) -> Outcome:
    own = _own(api.comments(number), body)
    newest = own[-1] if own else None
    for extra in own[:-1]:
        _fold(api, extra, "DUPLICATE")
    if newest is None:
        return _created(api, number, body) if create else Outcome(Status.SKIPPED, why="there is nothing to say")
    if _order(newest.body) > _order(body):
        return Outcome(Status.UNCHANGED, newest.url, "a newer run has written the comment")
    if _said(newest.body) == _said(body):
        return Outcome(Status.UNCHANGED, newest.url)
    if mode is not Mode.UPDATE and create:
        written = _created(api, number, body, instead_of=newest)
        if mode is Mode.RECREATE:
            api.delete(newest)
        else:
            _fold(api, newest, "OUTDATED")
        return written
    try:
        return Outcome(Status.UPDATED, api.update(newest, body).url or newest.url)
    except NotFound:
        # somebody has deleted it since we read the list
        return _created(api, number, body) if create else Outcome(Status.SKIPPED, why="the comment was deleted")


def _created(api: Api, number: int, body: str, instead_of: Comment | None = None) -> Outcome:
    """A new comment, and never two: where it is not known whether GitHub wrote it, GitHub is asked."""
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
    return Outcome(Status.CREATED, _alone(api, number, written, instead_of))


def _alone(api: Api, number: int, written: Comment, instead_of: Comment | None) -> str:
    """Two runs at once have both found nothing and both written: the newer run's comment stays, and is returned."""
    try:
        own = [each for each in _own(api.comments(number), written.body) if each != instead_of]
    except ApiError:
        return written.url
    own.sort(key=lambda each: (_order(each.body), each.id))
    for extra in own[:-1]:
        _fold(api, extra, "DUPLICATE")
    return own[-1].url if own else written.url


def _own(comments: Sequence[Comment], body: str) -> list[Comment]:
    """Visible comments that we have written under the id of `body`. Somebody else's marker means nothing."""
    return [each for each in comments if each.ours and not each.hidden and _id(each.body) == _id(body)]


def _fold(api: Api, comment: Comment, why: str) -> None:
    try:
        api.minimize(comment.node_id, why)
    except ApiError:
        return  # a second comment is ugly, and no reason to fail


def _id(body: str) -> str:
    found = MARKER.match(body)
    return found["id"] if found else ""


def _order(body: str) -> tuple[int, ...]:
    """The run that wrote it; runs are numbered upwards. Empty where it is not known, which is older than all."""
    found = MARKER.match(body)
    words = found["run"].split(".") if found else []
    return tuple(int(word) for word in words) if all(word.isdecimal() for word in words) else ()


def _said(body: str) -> str:
    """What a body says, whichever run said it."""
    body = body.replace("\r\n", "\n").rstrip()  # GitHub gives back what a browser has edited with CRLF
    body = re.sub(r"\A(<!-- \S+ v1 id=\S+) run=\S+", r"\1", body)
    return re.sub(r"/actions/runs/\d+(/attempts/\d+)?", "/actions/runs/", body)
