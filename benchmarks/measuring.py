"""What the benchmarks of speed share: a figure with its target, commands that are timed, git, and a server."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = Path(sys.executable).parent
REVIEWER = str(COMMANDS / "alembic-reviewer")
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith(("GIT_", "ALEMBIC_REVIEWER"))
} | {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
ENVIRONMENT["VIRTUAL_ENV"] = sys.prefix


@dataclass(frozen=True)
class Figure:
    """One line of the result: something that was measured, and its target."""

    what: str
    value: float
    unit: str
    target: float
    how: str
    name: str = ""
    """The name of the target in docs/performance.md, if it has one there."""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.target

    def __str__(self) -> str:
        word = "ok    " if self.met else "MISSED"
        return (
            f"{word} {self.name:3}{self.what}: {self.value:.2f}{self.unit} (at most {self.target:g}{self.unit})\n"
            f"          {self.how}"
        )


@dataclass(frozen=True)
class LeftOut:
    """A target that was not measured here, and why."""

    name: str
    why: str
    broken: bool = False
    """Whether that is a fault: what was to be timed did not work."""

    def __str__(self) -> str:
        return f"{'BROKEN' if self.broken else 'left out'} {self.name}: {self.why}"


Benchmark = Callable[[Path, argparse.Namespace], Iterator[Figure | LeftOut]]
"""Measures in a folder of its own, as the arguments of the command line say."""


class Failed(Exception):
    """A command that is timed ended in a way that it should not."""

    def __init__(self, command: Sequence[str], status: int, said: str = "") -> None:
        lines = [each for each in said.splitlines() if each.strip() and not each.startswith("(Background on")]
        self.last = lines[-1] if lines else f"status {status}"
        """The last thing that it said."""
        super().__init__(f"{' '.join(command)} ended with status {status}:\n{said[-4000:]}")


def call(
    command: Sequence[str],
    cwd: Path | None = None,
    fine: Sequence[int] = (0,),
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `command`, with `text` as its input. Raises `Failed` if its status is none of `fine`."""
    environment = ENVIRONMENT if environment is None else environment
    done = subprocess.run(
        command, cwd=cwd, env=environment, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode not in fine:
        raise Failed(command, done.returncode, done.stdout + done.stderr)
    return done


def review(command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a review, whatever it finds. Raises `Failed` if it could not review."""
    return call(command, cwd, fine=(0, 1))


def seconds(action: Callable[[], object]) -> float:
    """Seconds on the clock that `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def ratio(some: Sequence[float], others: Sequence[float]) -> float:
    """The median of what each of `some` is over its partner, which ran right before or after it."""
    return statistics.median(a / b for a, b in zip(some, others, strict=True))


def median(times: Sequence[float], digits: int = 2) -> str:
    """The median of `times`, as it is told."""
    return f"{statistics.median(times):.{digits}f} s"


def pairs(some: Sequence[float], others: Sequence[float]) -> str:
    """Both medians and the number of runs, as they are told."""
    return f"{median(some)} over {median(others)}, {len(some)} runs each, by turns"


def by_turns(runs: int, *actions: Callable[[], object]) -> tuple[list[float], ...]:
    """Seconds of each of `actions`, which run one after the other, `runs` times."""
    times: tuple[list[float], ...] = tuple([] for _ in actions)
    for _ in range(runs):
        for taken, action in zip(times, actions, strict=True):
            taken.append(seconds(action))
    return times


def compared(
    what: str, some: Sequence[float], others: Sequence[float], target: float, name: str = "", more: str = ""
) -> Figure:
    """What `some` take over their partners in `others`; `more` is said after the medians of both."""
    return Figure(what, ratio(some, others), "", target, pairs(some, others) + more, name)


def processor_seconds(command: Sequence[str]) -> float:
    """Seconds of processor time that `command` takes."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def peak_megabytes(command: Sequence[str]) -> float:
    """The most memory that the process of `command` itself has held, without those that it starts.

    What `wait4` says is not that: it counts the processes that were waited for, and starts with the size of ours.
    """
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            most = max(most, int(found.group(1)) if found else 0)
        time.sleep(0.01)
    if process.returncode not in (0, 1):
        raise Failed(command, process.returncode)
    return most / 1024


def git(folder: Path, *arguments: str) -> None:
    """Run git in `folder`."""
    call(["git", "-C", str(folder), *arguments])


def commit(folder: Path) -> None:
    """Commit everything in `folder`, be it new or not; the first time as the beginning of `main`."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "change")


def branch(folder: Path) -> None:
    """Go on in a branch."""
    git(folder, "switch", "--quiet", "--create", "branch")


@contextlib.contextmanager
def server(source: str, *, large: bool = False) -> Iterator[RunningServer]:
    """A running server of the kind that reviews use, or that rehearsals at scale use."""
    from reviewer.host.guardian import Guardian
    from reviewer.postgres import ServerRequest, start

    with Guardian() as guardian, start(ServerRequest(source, large=large), guardian) as started:
        yield started


def start_and_stop(source: str) -> None:
    """What a review needs before anything else."""
    with server(source):
        pass


def fill(started: RunningServer, database: str) -> None:
    """Put in the rows that a review would, for a comparison on the same tables."""
    from reviewer import rows
    from reviewer.rehearsal import catalogue

    with started.connect(database) as connection:
        rows.fill(connection, catalogue.read(connection), 100)


@contextlib.contextmanager
def cached(folder: Path) -> Iterator[None]:
    """Everything that reviews keep goes to `folder`, so that what others have kept changes nothing."""
    before = dict(ENVIRONMENT)
    ENVIRONMENT["ALEMBIC_REVIEWER_CACHE"] = str(folder)
    try:
        yield
    finally:
        ENVIRONMENT.clear()
        ENVIRONMENT.update(before)


def review_call(project: Path, arguments: argparse.Namespace, *options: str) -> list[str]:
    """The command that reviews what a branch of `project` adds."""
    new = () if "--revisions" in options else ("--base", "main")
    return [REVIEWER, "review", str(project), *new, "--postgres", arguments.postgres, *options]


def aimed(project: Path, started: RunningServer, database: str) -> list[str]:
    """The bare `alembic` of the project, on `database`."""
    url = started.address.url(database).replace("postgresql:", "postgresql+psycopg:", 1)
    text = (project / "alembic.ini").read_text()
    ini = project / "bare.ini"
    ini.write_text(re.sub(r"(?m)^sqlalchemy.url = .*", lambda _: f"sqlalchemy.url = {url}", text))
    return [str(COMMANDS / "alembic"), "-c", str(ini)]


_ONE_BY_ONE = """
import sys
from alembic import command
from alembic.config import Config
config = Config(sys.argv[1])
for revision in sys.argv[2:]:
    command.upgrade(config, revision)
    command.downgrade(config, "-1")
    command.upgrade(config, revision)
"""


def against_one_process(
    project: Path, command: list[str], new: range, arguments: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Seconds of `command`, a second time, and of all commands in one process, for the revisions with the numbers `new`
    of a made-up history.
    """
    review(command)  # keeps the base state, writes the byte code
    names = [f"r{number:04}" for number in new]
    reviews, bares = [], []
    with server(arguments.postgres) as started:
        base = started.create_database("base")
        call([*aimed(project, started, base), "upgrade", f"r{new.start - 1:04}"])
        fill(started, base)
        for number in range(arguments.runs):
            database = started.create_database(f"run_{number}", base)
            ini = aimed(project, started, database)[-1]
            bare = [str(COMMANDS / "python"), "-c", _ONE_BY_ONE, ini, *names]
            bares.append(seconds(lambda: call(bare, cwd=project)))  # noqa: B023
            reviews.append(seconds(lambda: review(command)))
            started.drop_database(database)
    return reviews, bares
