"""How long the action's steps take and how many requests they send: `python benchmarks/action.py [RUNS]`.

Each case is a whole use of the action, run as GitHub's runner runs it, after checkout and set-up, with a GitHub on
this machine. Ends with status 1 where a target is missed.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.github.fake import FakeGitHub, patch
from tests.github.projects import PYTHON, SAFE, UNSAFE, PullRequest
from tests.github.runner import Job, made_environment

NEW = "migrations/versions/bbb222_new.py"
MOST_SECONDS = 1.5
FEWEST_REQUESTS = 1
"""With nothing new, one request looks for a comment of an earlier push."""
MOST_REQUESTS = 5


@dataclass(frozen=True)
class Taken:
    """What one use of the action took."""

    seconds: float
    processor: float
    """Seconds of processor time: what is left where other work on the machine makes everything slow."""
    requests: int
    status: str


@contextmanager
def job(files: dict[str, str]) -> Iterator[tuple[Job, FakeGitHub]]:
    """A job for a pull request that adds `files`."""
    with tempfile.TemporaryDirectory() as folder, FakeGitHub() as github:
        pull_request = PullRequest(Path(folder) / "workspace").start().add(files)
        github.head = pull_request.head
        github.files = [{"filename": NEW, "status": "added", "patch": patch(UNSAFE.count("\n"))}]
        variables = {"GITHUB_API_URL": github.url}
        yield Job(Path(folder), made_environment(), event=pull_request.event(), variables=variables), github


def used(job: Job, github: FakeGitHub, annotations: str = "inline") -> Taken:
    """One use of the action."""
    github.requests.clear()
    began, used_before = time.monotonic(), _processor()
    outputs = job.use(python=PYTHON, annotations=annotations)
    return Taken(
        time.monotonic() - began, _processor() - used_before, len(github.requests), outputs["comment-status"]
    )


def _processor() -> float:
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def untouched() -> Taken:
    """A pull request without a new revision."""
    with job({"app.py": "print(1)\n"}) as (started, github):
        return used(started, github)


def first() -> Taken:
    """A first comment."""
    with job({NEW: UNSAFE}) as (started, github):
        return used(started, github)


def update(annotations: str = "inline") -> Taken:
    """The comment after a fix."""
    with job({NEW: UNSAFE}) as (started, github):
        used(started, github, annotations)
        started.payload.write_text(json.dumps(PullRequest(started.workspace).add({NEW: SAFE}).event()))
        return used(started, github, annotations)


def main() -> int:
    """Run every case, print it, and say whether all targets are met."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    cases: dict[str, tuple[Callable[[], Taken], float | None, int | None]] = {
        "no new revision": (untouched, MOST_SECONDS, FEWEST_REQUESTS),
        "first comment": (first, None, MOST_REQUESTS),
        "usual update": (update, None, MOST_REQUESTS),
        "usual update with review comments": (lambda: update("both"), None, MOST_REQUESTS),
    }
    met = True
    for name, (case, seconds, requests) in cases.items():
        taken = [case() for _ in range(runs)]
        # nothing but the machine makes a run slower than the fastest one
        best, most = min(each.seconds for each in taken), max(each.requests for each in taken)
        limits = [f"under {seconds:g} s"] if seconds else []
        limits += [f"at most {requests} requests"] if requests else []
        met &= (seconds is None or best < seconds) and (requests is None or most <= requests)
        processor = min(each.processor for each in taken)
        print(
            f"{name}: {best:.2f} s ({processor:.2f} s of processor), {most} requests, {taken[0].status} (target: {', '.join(limits)})"
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
