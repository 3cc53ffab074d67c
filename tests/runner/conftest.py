"""A server that the tests of the runner share, and projects that are run in the interpreter of the tests."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.recording import Rehearsal
from reviewer.rehearsal import interpreter
from reviewer.rehearsal.interpreter import RUNNER, Answer, RunnerProcess, Setup, environment
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import Address, AnyCommand
from reviewer.rehearsal.reader import Reader, Run
from reviewer.rehearsal.workbench import Workbench
from tests import forked
from tests.command import project

PATIENCE = 120.0


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    with Guardian() as guardian:
        yield guardian


@pytest.fixture(scope="session")
def server(guardian: Guardian) -> Iterator[RunningServer]:
    with start(ServerRequest(), guardian) as server:
        yield server


class Project:
    """A project whose env.py and revisions are run, one command after the other."""

    def __init__(self, folder: Path, server: RunningServer, guardian: Guardian) -> None:
        self.folder = folder
        self._server = server
        self._guardian = guardian
        self._work = tempfile.TemporaryDirectory()
        self._process: RunnerProcess | None = None

    @property
    def plan(self) -> Plan:
        """What the process is started with."""
        return Plan(
            revisions=(),
            base_heads=(),
            setup=Setup(self.folder, self.folder / "alembic.ini"),
            interpreter=(sys.executable,),
            environ=environment({}, {}, (), ""),
            root=self.folder,
            timeout=PATIENCE,
        )

    def ask(self, **command: Any) -> Answer:
        """Give the process a command, in a new database."""
        if self._process is None:
            plan = self.plan
            self._process = self._start(
                plan.interpreter, plan.setup, plan.environ, Path(self._work.name), self._guardian
            )
            self._process.hello()
        database = self._server.create_database(f"runner_{time.monotonic_ns()}")
        where = {"address": Address.of(self._server.address), "database": database}
        given = msgspec.convert({**where, **command}, AnyCommand)
        answer = self._process.run(given, time.monotonic() + PATIENCE)
        if answer.exit_status is not None or answer.unreadable is not None:
            self.close()
        return answer

    def run(self, **command: Any) -> Run:
        """The same, observed, in the recording's words."""
        answer = self.ask(observe=True, **command)
        return Reader(self.plan, Rehearsal.DEPLOYED, again=False, downgrade=False).read(answer)

    def bench(self, plan: Plan) -> Workbench:
        """Where a rehearsal of the project would be at work."""
        future: Future[RunningServer] = Future()
        future.set_result(self._server)
        bench = Workbench(plan, future, self._guardian, Path(self._work.name), lambda _: None, self._start)
        bench.greet()
        return bench

    @property
    def _start(self) -> Callable[..., RunnerProcess]:
        """A fork, as in a review; of a runner that a test has changed, a process that has started with it."""
        return forked.runner(**self.plan.environ) if interpreter.RUNNER == RUNNER else RunnerProcess

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def leave(self) -> None:
        """End the process and remove its folder."""
        self.close()
        self._work.cleanup()


@pytest.fixture(scope="module")
def make(
    server: RunningServer, guardian: Guardian, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Project]]:
    made: list[Project] = []

    def make(*revisions: str, **more: str) -> Project:
        made.append(Project(project(tmp_path_factory.mktemp("project"), *revisions, **more), server, guardian))
        return made[-1]

    yield make
    for each in made:
        each.leave()
