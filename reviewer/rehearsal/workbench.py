"""Where a rehearsal is at work: the project's process, the throw-away server, the clock, and what was left out."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import structs

from reviewer.errors import ReviewerError, ServerError
from reviewer.host.guardian import Guardian
from reviewer.postgres.server import MAKE_ROOM
from reviewer.recording import BaseOrigin, Environment, FailureKind, Rehearsal, Server, Skipped, TransactionMode
from reviewer.rehearsal.interpreter import OWN_LOCK_TIMEOUT, Answer, RunnerProcess
from reviewer.rehearsal.lock_waits import Blockade
from reviewer.rehearsal.old_code import OldProcess, OldSource, checked_out, moved
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import Address, AnyCommand, Begin, Command, Hello, Step
from reviewer.rehearsal.reader import Reader, Run

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

Progress = Callable[[str], None]

C = TypeVar("C", bound=Command)

_DISK_FULL = "53100"

_NO_EXTENSION = re.compile(r'extension "([^"]+)" is not available|/extension/([^/"]+)\.control')

_NUMBERS = itertools.count(1)
"""For names of databases: several trees share one server."""


@dataclass(frozen=True)
class Ended:
    """A command whose outcome is believed, and the database in which it ended: whatever follows looks there."""

    run: Run
    database: str


_IMAGES = {
    "postgis": "postgis/postgis",
    "timescaledb": "timescale/timescaledb",
    "vector": "pgvector/pgvector",
}
"""Published images that bring an extension; which of their tags is the project's to know."""


class Workbench:
    """Runs commands of the runner in databases of the throw-away server, and makes and clones those.

    `server` may still be starting: the project's interpreter starts beside it. `runner` makes its process, from the
    arguments of `RunnerProcess`.
    """

    def __init__(
        self,
        plan: Plan,
        server: Future[RunningServer],
        guardian: Guardian,
        folder: Path,
        progress: Progress,
        runner: Callable[..., RunnerProcess],
    ) -> None:
        self.plan = plan
        self.guardian = guardian
        self.progress = progress
        self.skipped: list[Skipped] = []
        self.databases: list[str] = []
        """Those that are there, in the order in which they were made."""
        """What could not be looked at."""
        self.fresh_each = False
        """Whether each command needs a process of its own: what one does breaks the next."""
        self.mode = TransactionMode()
        self.version_table = Run.version_table
        self.origin = BaseOrigin()
        """What the base state was made from."""
        self.unreadable: list[str] = []
        """What came from the project's process and cannot be believed: the review is not complete."""
        self.finish_beside: Callable[[], None] = lambda: None
        """Waits for what was begun beside: it must not see the roles of another state."""
        self._server = server
        self.folder = folder
        """For files of ours; it goes away with the review."""
        self._runner = runner
        self._deadline = time.monotonic() + plan.timeout
        self._hello: Hello | None = None
        self._driver = ""
        self._confirmed: set[tuple[str | None, str]] = set()
        self._at = ""
        """The database of the last command."""
        self._fresh = False
        """Whether the process has been started anew and has run nothing yet: the first one may have served others.
        """
        self._process: RunnerProcess | None = self._start()
        self.began = self._process.began
        """In seconds since 1970: the project's code is read after it."""

    def greet(self) -> None:
        """Wait for the project's interpreter. Raises `ReviewerError` where it cannot be used."""
        assert self._process is not None
        try:
            self._hello = self._process.hello()
        except ReviewerError:
            self._server.cancel()
            raise

    def close(self) -> None:
        """End the project's process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    @property
    def server(self) -> RunningServer:
        """The throw-away server, once it is up."""
        return self._server.result()

    @property
    def described(self) -> tuple[Server, Environment]:
        """The server and the project's interpreter, for the recording."""
        hello = self._hello
        found = Environment(hello.python, hello.alembic, hello.sqlalchemy, self._driver) if hello else Environment()
        return Server(self.server.version, self.server.source), found

    # -- commands ---------------------------------------------------------------------------------

    def run(
        self,
        command: AnyCommand,
        database: str,
        rehearsal: Rehearsal = Rehearsal.STEPWISE,
        again: bool = False,
        observe: bool = True,
    ) -> Run:
        """Give the project's process a command, and read what it says of it.

        Raises `ServerError` where the server has no room left, or does not let us look.
        """
        process, fresh = self._ready(), self._fresh
        self._leave(database)
        self.enter(database)
        answer = process.run(
            self.at(database, command, observe=observe),
            self._deadline,
            Blockade(self.server, database),
        )
        run = Reader(
            self.plan, rehearsal, again, isinstance(command, Step) and command.direction == "downgrade"
        ).read(answer)
        self.server.heard(event.sql for event in answer.events if isinstance(event, Begin))
        self._explain(run)
        if observe:
            for what, reason in run.shortened:
                self.skip(what, reason)
        self._let_go(answer)
        if fresh and run.failure is not None:
            self._confirmed.add((run.failed_revision, run.failure.message))
        self.mode = run.mode or self.mode
        self._driver = run.driver or self._driver
        self.version_table = run.version_table if run.called else self.version_table
        return run

    def believed(
        self,
        command: AnyCommand,
        start: Callable[[], str],
        rehearsal: Rehearsal = Rehearsal.STEPWISE,
        observe: bool = True,
        first: bool = False,
    ) -> Ended:
        """Run a command in the database that `start` makes, and believe a failure only when it was seen in a fresh
        process, in another database that `start` makes. Where it goes well there, each command needs such a
        process.

        `first`: nothing like it has been run in this process, so what PostgreSQL says of a value is believed at
        once.
        """
        database = start()
        run = self.run(command, database, rehearsal, observe=observe)
        if run.ok or self.believes(run) or (first and run.about_values):
            return Ended(run, database)
        self.restart()
        database = start()
        run = self.run(command, database, rehearsal, observe=observe)
        if run.ok:
            self.fresh_each = True
        return Ended(run, database)

    def believes(self, run: Run) -> bool:
        """Whether the failure of `run` needs no second look: the very same was seen in a fresh process, or it
        cannot come of what the process has done before.
        """
        failure = run.failure
        return failure is not None and (run.final or (run.failed_revision, failure.message) in self._confirmed)

    def enter(self, database: str) -> None:
        """Go on in `database`: what belongs to the whole server, as its roles, is as it was left there."""
        for reason in self.server.enter(database, self.finish_beside):
            self.skip("what belongs to the whole server", reason)

    def at(self, database: str, command: C, *, observe: bool = False) -> C:
        """`command` as it is given in `database`."""
        return structs.replace(
            command,
            database=database,
            address=Address.of(self.server.address),
            observe=observe,
            environ=self.urls(database),
        )

    def urls(self, database: str) -> dict[str, str]:
        """The variables for env.py that hold the URL of the throw-away database."""
        url = self.server.address.url(database)
        return {name: value.replace("{url}", url) for name, value in self.plan.environ.items() if "{url}" in value}

    def restart(self) -> None:
        """Go on in a fresh process of the project."""
        if self._process is not None and self._fresh:
            return
        self.close()
        self._process = self._start()
        self._process.hello()
        self._fresh, self._at = True, ""

    @property
    def versions(self) -> tuple[str, ...]:
        """Of what runs in the project's interpreter."""
        hello = self._hello
        drivers = sorted(map(" ".join, hello.drivers.items())) if hello else ()
        return (hello.python, hello.alembic, hello.sqlalchemy, *drivers) if hello else ()

    @property
    def executable(self) -> str:
        """The project's interpreter, as it says."""
        return self._hello.executable if self._hello else ""

    def ask(self, command: AnyCommand, seconds: float = math.inf) -> Answer:
        """Give the project's process, a fresh one where each command needs that, a command that runs no revision.
        It may take `seconds`, and no longer than the rehearsal.
        """
        process = self._ready()
        database = command.database
        self._leave(database)
        if database:
            self.enter(database)
        answer = process.run(command, min(self._deadline, time.monotonic() + seconds))
        self._let_go(answer)
        return answer

    def _let_go(self, answer: Answer) -> None:
        """A process that has ended, or that cannot be believed, is not used any more."""
        if answer.unreadable is not None:
            self.unreadable.append(answer.unreadable)
        if answer.timed_out or answer.exit_status is not None or answer.unreadable is not None:
            self.close()

    def last_words(self) -> str:
        """What the project has printed before it gave up; its process is not used any more."""
        if self._process is None:
            return ""
        self._process.close()
        return self._process.last_words()

    @contextlib.contextmanager
    def beside(self, source: OldSource) -> Iterator[Workbench]:
        """Another bench with the code of a commit, on the same server and by the same clock."""
        checkout = checked_out(source, self.folder)
        setup = moved(self.plan.setup, source.root, checkout)
        plan = replace(self.plan, setup=setup, root=checkout)
        other = Workbench(plan, self._server, self.guardian, self.folder, self.progress, RunnerProcess)
        other._deadline = self._deadline
        try:
            other.greet()
            yield other
        finally:
            other.close()
            self.unreadable += other.unreadable
        for each in other.skipped:
            self.skip(each.what, each.reason)
        self.version_table = other.version_table

    def old_process(self, source: OldSource) -> OldProcess:
        """The same project's interpreter with the code of the base commit."""
        plan = self.plan
        return OldProcess(source, plan.setup, plan.interpreter, plan.environ, self.folder, self.guardian)

    def _explain(self, run: Run) -> None:
        """What is the server's fault is not the revision's: a full disk ends the review, a missing extension is
        told.
        """
        failure = run.failure
        if failure is None:
            return
        if failure.sqlstate == _DISK_FULL:
            raise ServerError(f"The throw-away server has no disk space left: {failure.message}.", MAKE_ROOM)
        if failure.kind is FailureKind.REVIEWER:
            raise ServerError(
                f"The reviewer's own query failed, which is not the project's fault: {failure.message}."
            )
        missing = _NO_EXTENSION.search(failure.message)
        if missing is None:
            return
        explained = replace(
            failure,
            message=f"{failure.message} on this {self.server.source} server; use {self._sources_of(missing.group(1) or missing.group(2))}",
        )
        run.passes = [replace(each, failure=explained) if each.failure == failure else each for each in run.passes]
        run.failure = explained

    def _sources_of(self, extension: str) -> str:
        """What brings the extension: only what can be had here."""
        others = self.server.extension_sources(extension)
        ways = [f"--postgres {other.source} --postgres-version {other.major}" for other in others if other.major]
        if self.server.ways_to_an_image():
            ways.append(f"--postgres-image {_IMAGES.get(extension, 'IMAGE')}")
        ways.append("--postgres URL of a server that has it")
        return " or ".join(dict.fromkeys(ways))

    def _ready(self) -> RunnerProcess:
        if self._process is None or (self.fresh_each and not self._fresh):
            self.restart()
        assert self._process is not None
        return self._process

    def _leave(self, following: str) -> None:
        """The process goes on in another database: what its application still has open in the last one, as a pool
        does that outlives env.py, would be taken for a connection to the next.
        """
        self._fresh = False
        if self._at and self._at != following:
            with contextlib.suppress(ValueError):  # it may have been dropped since
                self.server.terminate_connections(self._at)
        self._at = following

    def _start(self) -> RunnerProcess:
        return self.plan.process(self.folder, self.guardian, self._runner)

    # -- databases, time, and what was left out ---------------------------------------------------

    def database(self, template: str | None = None) -> str:
        """A new database, a clone of `template` where one is given."""
        if template is not None:
            # PostgreSQL clones no database that somebody is connected to, as env.py's own pool may be
            self.server.terminate_connections(template)
        # a clone has what its template has: where the project has set one of its own there, that one
        settings = {"lock_timeout": OWN_LOCK_TIMEOUT} if template is None else None
        made = self.server.create_database(f"review_{next(_NUMBERS)}", template=template, settings=settings)
        self.databases.append(made)
        return made

    def drop_all_but(self, keep: Collection[str]) -> None:
        """Drop the databases of which nobody needs the state any more: a long history would fill the disk with
        them.
        """
        for name in [each for each in self.databases if each not in keep]:
            self.server.drop_database(name)
            self.databases.remove(name)

    def adopted(self) -> str:
        """The database of the snapshot that the server has started from."""
        return self.server.adopt(f"review_{next(_NUMBERS)}")

    @property
    def seconds_left(self) -> float:
        """Until the time of the rehearsal is up; negative after that."""
        return self._deadline - time.monotonic()

    def is_late(self) -> bool:
        """Whether the time of the rehearsal is up."""
        return self.seconds_left <= 0

    def skip(self, what: str, reason: str) -> None:
        """Say, once, what was left out and why."""
        entry = Skipped(what, reason)
        if entry not in self.skipped:
            self.skipped.append(entry)

    @contextlib.contextmanager
    def looking(self, what: str) -> Iterator[None]:
        """Looking at the database ourselves: where the server does not let us, `what` is skipped."""
        import psycopg

        try:
            yield
        except (psycopg.Error, ServerError) as error:
            self.skip(what, str(error).strip().split("\n")[0])
