"""What triggered a workflow run: the event, its pull request, and the commit to compare with.

https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from reviewer.errors import UsageError

UNTRUSTED = re.compile(
    r"pull_request_target|workflow_run|issue_comment|issues|pull_request_review\w*|discussion\w*|fork|watch"
)
"""Events that run with the base repository's token or secrets although others can trigger them.

Code of a pull request must not run in them; publishing may.
https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/
"""

_ZEROS = re.compile("0+")
_SHA = re.compile("[0-9a-f]{40,64}")
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


class PullRequest(Struct, frozen=True):
    """The pull request that an event is about."""

    number: int
    head_sha: str = ""
    """Empty if the event does not say."""
    base_ref: str = ""
    base_sha: str = ""
    from_fork: bool = False


class Upstream(Struct, frozen=True):
    """The run that a `workflow_run` event is about."""

    head_sha: str
    head_owner: str
    """The owner of the repository that the branch is in; empty if that was deleted."""
    head_branch: str
    event: str
    """The event that triggered it."""
    url: str = ""


class Event(Struct, frozen=True):
    """What GitHub says about a workflow run. Outside of Actions everything is empty."""

    name: str = ""
    action: str = ""
    repository: str = ""
    """`owner/name`."""
    default_branch: str = ""
    server_url: str = "https://github.com"
    api_url: str = "https://api.github.com"
    run: str = ""
    """Number and attempt of the run: `123456.1`."""
    run_url: str = ""
    actor: str = ""
    pull_request: PullRequest | None = None
    upstream: Upstream | None = None
    before: str = ""
    """The commit that a push or a merge queue builds on."""
    deleted: bool = False
    """A push that deletes its branch; what is checked out then is the default branch."""
    head_sha: str = ""
    """The commit that links of the report point to."""

    @property
    def runs_strangers(self) -> bool:
        """Whether running the checked out code would give this run's permissions to its author."""
        return UNTRUSTED.fullmatch(self.name) is not None

    @property
    def over(self) -> str:
        """Why there is nothing to review; empty if there is."""
        if self.pull_request is not None and self.name.startswith("pull_request") and self.action == "closed":
            return "the pull request is closed"
        return "the branch was deleted" if self.deleted else ""

    @property
    def read_only(self) -> str:
        """Why the token is expected to be read-only; empty if it is not."""
        if self.name == "pull_request" and self.pull_request and self.pull_request.from_fork:
            return "the pull request comes from a fork"
        if self.actor == "dependabot[bot]":
            return "the run was triggered by Dependabot"
        return ""

    @property
    def repository_url(self) -> str:
        """Address of the repository's web page."""
        return f"{self.server_url}/{self.repository}" if self.repository else ""


def from_environment(environ: Mapping[str, str]) -> Event:
    """The event of the GITHUB_* variables and the payload that they name; an empty one outside of Actions.

    Raises `UsageError` if the payload cannot be read.
    """
    payload = _payload(environ.get("GITHUB_EVENT_PATH", ""))
    name = environ.get("GITHUB_EVENT_NAME", "")
    server = environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    repository = _matching(_REPOSITORY, environ.get("GITHUB_REPOSITORY", ""))
    run_id, attempt = environ.get("GITHUB_RUN_ID", ""), environ.get("GITHUB_RUN_ATTEMPT", "1")
    run_url = f"{server}/{repository}/actions/runs/{run_id}" if run_id and repository else ""
    pull_request = _pull_request(payload, repository)
    upstream = _upstream(payload) if name == "workflow_run" else None
    head = (pull_request and pull_request.head_sha) or _sha(payload, "merge_group", "head_sha")
    return Event(
        name=name,
        action=_text(payload, "action"),
        repository=repository,
        default_branch=_text(payload, "repository", "default_branch"),
        server_url=server,
        api_url=environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"),
        run=f"{run_id}.{attempt or 1}" if run_id else "",
        run_url=f"{run_url}/attempts/{attempt}" if run_url and attempt not in {"", "1"} else run_url,
        actor=environ.get("GITHUB_ACTOR", ""),
        pull_request=pull_request,
        upstream=upstream,
        before=_sha(payload, "merge_group", "base_sha") or (_sha(payload, "before") if name == "push" else ""),
        deleted=name == "push" and _at(payload, "deleted") is True,
        head_sha=head or (upstream.head_sha if upstream else "") or _matching(_SHA, environ.get("GITHUB_SHA", "")),
    )


def _payload(path: str) -> Mapping[str, Any]:
    if not path:
        return {}
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"The event's payload {path} cannot be read: {error}.", "GITHUB_EVENT_PATH must name a JSON file."
        ) from None
    return found if isinstance(found, dict) else {}


def _pull_request(payload: Mapping[str, Any], repository: str) -> PullRequest | None:
    found = _at(payload, "pull_request")
    if isinstance(found, dict) and isinstance(found.get("number"), int):
        return PullRequest(
            number=found["number"],
            head_sha=_sha(found, "head", "sha"),
            base_ref=_text(found, "base", "ref"),
            base_sha=_sha(found, "base", "sha"),
            from_fork=_text(found, "head", "repo", "full_name") != repository,
        )
    # a comment on a pull request: the payload calls it an issue, and does not know its commits
    number = _at(payload, "issue", "number")
    if isinstance(number, int) and _at(payload, "issue", "pull_request"):
        return PullRequest(number)
    return None


def _upstream(payload: Mapping[str, Any]) -> Upstream | None:
    sha = _sha(payload, "workflow_run", "head_sha")
    if not sha:
        return None
    return Upstream(
        head_sha=sha,
        head_owner=_text(payload, "workflow_run", "head_repository", "owner", "login"),
        head_branch=_text(payload, "workflow_run", "head_branch"),
        event=_text(payload, "workflow_run", "event"),
        url=_text(payload, "workflow_run", "html_url"),
    )


def _at(payload: object, *keys: str) -> object:
    for key in keys:
        payload = payload.get(key) if isinstance(payload, dict) else None
    return payload


def _text(payload: object, *keys: str) -> str:
    found = _at(payload, *keys)
    return found if isinstance(found, str) else ""


def _sha(payload: object, *keys: str) -> str:
    found = _matching(_SHA, _text(payload, *keys))
    # a push that creates a branch has a `before` of zeros
    return "" if _ZEROS.fullmatch(found) else found


def _matching(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else ""
