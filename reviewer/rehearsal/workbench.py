"""The surroundings of a rehearsal: the project's process, the throw-away server, the time limit, and what was
skipped.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, structs
from msgspec.structs import replace

from reviewer.errors import ReviewerError, ServerError
from reviewer.host.guardian import Guardian
from reviewer.postgres.server import MAKE_ROOM
from reviewer.postgres.trouble import NO_EXTENSION
from reviewer.recording import (
    BaseOrigin,
    Environment,
    FailureKind,
    Outcome,
    Rehearsal,
    Server,
    Skipped,
    TransactionMode,
)
from reviewer.rehearsal.interpreter import OWN_LOCK_TIMEOUT, Answer, Runner
from reviewer.rehearsal.lock_waits import Blockade
from reviewer.rehearsal.old_code import OldProcess, OldSource, checked_out, moved
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import Address, AnyCommand, Begin, Command, Hello, Settled, Step, Upgrade
from reviewer.rehearsal.reader import Reader, Run, time_is_over
from reviewer.sql.names import VERSION_TABLE

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

Progress = Callable[[str], None]

C = TypeVar("C", bound=Command)

_DISK_FULL = "53100"

NOT_BUILT_IN = re.compile(
    r"is not supported in this build|unsupported XML feature|compression method \w+ not supported"
)
"""What PostgreSQL says of a feature that it was built without."""
_EVERYWHERE = "plpgsql"
"""An extension that every server has."""

_NUMBERS = itertools.count(1)
"""For names of databases: several working trees share one server."""


class Ended(Struct, frozen=True):
    """A command whose outcome is believed, and the database in which it ended, which later steps use."""

    run: Run
    database: str


_IMAGES = {
    "postgis": "postgis/postgis",
    "timescaledb": "timescale/timescaledb",
    "vector": "pgvector/pgvector",
}
"""Published images that contain an extension. Which of their tags fits depends on the project."""


class NeedsSuperuser(Exception):
    """PostgreSQL refuses a statement of the new revisions to the ordinary role that they run as."""

    def __init__(self, run: Run) -> None:
        super().__init__(refused_to_owner(run))
        self.run = run


def refused_to_owner(run: Run) -> str:
    """Describe what only a superuser may do, and which revision does it."""
    assert run.failure is not None
    who = f"revision {run.failed_revision}" if run.failed_revision else "env.py"
    return f"{who} needs a superuser: {run.failure.message.rstrip('.')}"


class Workbench:
    """Runs commands of the runner in databases of the throw-away server, and creates and clones those databases.

    `server` may still be starting: the project's interpreter starts in parallel. `runner` creates the interpreter's
    process instead of the plan's, and takes the arguments of `RunnerProcess`.
    """

    def __init__(
        self,
        plan: Plan,
        server: Future[RunningServer],
        guardian: Guardian,
        folder: Path,
        progress: Progress,
        runner: Callable[..., Runner] | None = None,
    ) -> None:
        self.plan = plan
        self.guardian = guardian
        self.progress = progress
        self.skipped: list[Skipped] = []
        """What could not be rehearsed or compared, and why."""
        self.databases: list[str] = []
        """Existing databases, in the order in which they were created."""
        self.fresh_each = False
        """Whether each command needs its own process, because one command breaks the next."""
        self.mode = TransactionMode()
        self.version_table = VERSION_TABLE
        self.names_models = True
        """Whether env.py names any models, as far as is known: the code that the last command ran."""
        self.origin = BaseOrigin()
        """What the base state was made from."""
        self.unreadable: list[str] = []
        """Data from the project's process that cannot be believed. The review is then incomplete."""
        self.privileged: list[Skipped] = []
        """What did not run as an ordinary owner of the database, and why."""
        self.as_owner = False
        """Whether a statement that PostgreSQL refuses to an ordinary owner ends the rehearsal with `NeedsSuperuser`."""
        self.finish_beside: Callable[[], None] = lambda: None
        """Waits for work that runs in parallel: it must not see the roles of another state."""
        self.settled: tuple[Settled, ...] = ()
        """Revisions of the history that need not be loaded."""
        self._server = server
        self.folder = folder
        """For temporary files; it is deleted when the review ends."""
        self._runner = runner
        self._deadline = time.monotonic() + plan.timeout
        self._hello: Hello | None = None
        self._driver = ""
        self._confirmed: set[tuple[str | None, str]] = set()
        self._at = ""
        """The database of the last command."""
        self._fresh = False
        """Whether the process has been restarted and has not run anything yet. The first process may have served
        other rehearsals."""
        self._process: Runner | None = self._start()
        self._told: Runner | None = None
        """The process that knows which revisions are settled."""
        self.began = self._process.began
        """In seconds since 1970. The project's code is read later than this."""

    def greet(self) -> None:
        """Wait for the project's interpreter. Raises `ReviewerError` if it cannot be used."""
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
        """The throw-away server. Waits until it is up."""
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
        seconds: float = math.inf,
    ) -> Run:
        """Send a command to the project's process, and read its outcome. It may take `seconds`, but not longer than
        the rehearsal.

        Raises `ServerError` if the server has no disk space left, or rejects the reviewer's own query, and
        `NeedsSuperuser` where that is asked for.
        """
        process, fresh = self._ready(), self._fresh
        if self.settled and self._told is not process:
            command, self._told = structs.replace(command, settled=self.settled), process
        self._leave(database)
        self.enter(database)
        within = min(self._deadline, time.monotonic() + seconds)
        answer = process.run(
            self.at(database, command, observe=observe),
            within,
            Blockade(self.server, database),
        )
        back = isinstance(command, Step) and command.direction == "downgrade"
        limit = seconds if within < self._deadline else None
        run = Reader(self.plan, rehearsal, again, back, limit).read(answer)
        self.server.heard(event.sql for event in answer.events if isinstance(event, Begin))
        if self.as_owner and run.lacks_privilege:
            self._let_go(answer)
            raise NeedsSuperuser(run)
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
        self.names_models = run.models if run.called else self.names_models
        return run

    def believed(
        self,
        command: AnyCommand,
        start: Callable[[], str],
        rehearsal: Rehearsal = Rehearsal.STEPWISE,
        observe: bool = True,
        first: bool = False,
        seconds: float = math.inf,
    ) -> Ended:
        """Run a command in the database that `start` creates. A failure is believed only if it occurs again in a
        fresh process, in another database that `start` creates. If the command succeeds there, each later command
        gets a fresh process.

        `first` means that nothing similar has run in this process, so what PostgreSQL reports about a value is
        believed at once. The command may take `seconds`.
        """
        database = start()
        run = self.run(command, database, rehearsal, observe=observe, seconds=seconds)
        if run.ok or self.believes(run) or (first and run.about_values):
            return Ended(run, database)
        self.restart()
        database = start()
        run = self.run(command, database, rehearsal, observe=observe, seconds=seconds)
        if run.ok:
            self.fresh_each = True
        return Ended(run, database)

    def upgraded(self, revisions: Collection[str], template: str) -> Ended:
        """Run all of the new `revisions` in one upgrade of a clone of `template`, unobserved."""
        wanted = [each for each in self.plan.revisions if each.id in revisions]
        parents = {parent for each in wanted for parent in (*each.down_revisions, *each.depends_on)}
        command = Upgrade(to=tuple(each.id for each in wanted if each.id not in parents))
        return self.believed(command, lambda: self.database(template), observe=False)

    def believes(self, run: Run) -> bool:
        """Return whether the failure of `run` needs no confirmation: the same failure occurred in a fresh process,
        or it cannot be caused by what the process did before.
        """
        failure = run.failure
        if failure is None:
            return False
        # what an ordinary owner lacks is tried again as a superuser, in a fresh process
        final = run.final or (run.lacks_privilege and self.can_elevate)
        return final or (run.failed_revision, failure.message) in self._confirmed

    @property
    def can_elevate(self) -> bool:
        """Whether the migrations run as an ordinary owner of the database, which can be made a superuser."""
        return self.server.has_ordinary_owner and not self.plan.superuser

    def as_superuser(self, database: str) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the role of the migrations is a superuser in `database`, and our sessions create
        objects as that role.
        """
        return self.server.as_superuser(database) if self.can_elevate else contextlib.nullcontext()

    def enter(self, database: str) -> None:
        """Switch to `database`, and restore server-wide objects, such as roles, to the state in which they were
        left there.
        """
        for reason in self.server.enter(database, self.finish_beside):
            self.skip("what belongs to the whole server", reason)

    def at(self, database: str, command: C, *, observe: bool = False) -> C:
        """Return `command` for execution in `database`."""
        return structs.replace(
            command,
            database=database,
            address=Address.of(self.server.address),
            observe=observe,
            environ=self.urls(database),
        )

    def urls(self, database: str) -> dict[str, str]:
        """Return the variables for env.py that hold the URL of the throw-away database."""
        url = self.server.address.url(database)
        return {name: value.replace("{url}", url) for name, value in self.plan.environ.items() if "{url}" in value}

    def restart(self) -> None:
        """Continue in a fresh process of the project."""
        if self._process is not None and self._fresh:
            return
        self.close()
        self._process = self._start()
        self._process.hello()
        self._fresh, self._at = True, ""

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions of Python, Alembic, SQLAlchemy and the drivers in the project's interpreter."""
        hello = self._hello
        drivers = sorted(map(" ".join, hello.drivers.items())) if hello else ()
        return (hello.python, hello.alembic, hello.sqlalchemy, *drivers) if hello else ()

    @property
    def executable(self) -> str:
        """The path of the project's interpreter, as it reports it."""
        return self._hello.executable if self._hello else ""

    def ask(self, command: AnyCommand, seconds: float = math.inf) -> Answer:
        """Send a command that runs no revision to the project's process, a fresh one if each command needs that. It
        may take `seconds`, but not longer than the rehearsal.
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
        """End a process that has timed out, has ended, or cannot be believed."""
        if answer.unreadable is not None:
            self.unreadable.append(answer.unreadable)
        if answer.timed_out or answer.exit_status is not None or answer.unreadable is not None:
            self.close()

    def last_words(self) -> str:
        """Return what the project printed before it gave up. Its process is not used again."""
        if self._process is None:
            return ""
        self._process.close()
        return self._process.last_words()

    @contextlib.contextmanager
    def beside(self, source: OldSource) -> Iterator[Workbench]:
        """Create another workbench with the code of a commit, on the same server and with the same time limit."""
        checkout = checked_out(source, self.folder)
        setup = moved(self.plan.setup, source.root, checkout)
        plan = replace(self.plan, setup=setup, root=checkout)
        other = Workbench(plan, self._server, self.guardian, self.folder, self.progress)
        other._deadline = self._deadline
        try:
            other.greet()
            yield other
        finally:
            other.close()
            self.unreadable += other.unreadable
        for each in other.skipped:
            self.skip(each.what, each.reason)
        self.privileged += other.privileged
        self.version_table = other.version_table

    def twin(self, plan: Plan, server: Future[RunningServer], folder: Path) -> Workbench:
        """Create another workbench, on another server and with the same time limit."""
        other = Workbench(plan, server, self.guardian, folder, self.progress)
        other._deadline = self._deadline
        return other

    def take_in(self, twin: Workbench) -> None:
        """Keep what was skipped there, and what could not be believed."""
        for each in twin.skipped:
            self.skip(each.what, each.reason)
        self.privileged += [each for each in twin.privileged if each not in self.privileged]
        self.unreadable += twin.unreadable

    def old_process(self, source: OldSource) -> OldProcess:
        """Return the same project's interpreter with the code of the base commit."""
        plan = self.plan
        return OldProcess(
            source, plan.setup, plan.interpreter, plan.environ, self.folder, self.guardian, plan.runner
        )

    def _explain(self, run: Run) -> None:
        """Separate the server's failures from the revision's: a full disk ends the review, and what needs an extension or a
        feature that this server lacks could not be rehearsed: another one may have it.
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
        missing = NO_EXTENSION.search(failure.message)
        lacking = NOT_BUILT_IN.search(failure.message) is not None
        if missing is None and not lacking:
            return
        extension = (missing.group(1) or missing.group(2)) if missing is not None else _EVERYWHERE
        here, use = f"{failure.message} on this {self.server.source} server", self._sources_of(extension, lacking)
        explained = replace(failure, message=f"{here}; use {use}")
        place = f" ({failure.seen_at})" if failure.seen_at else ""
        run.passes = [
            replace(each, outcome=Outcome.SKIPPED, failure=None, reason=f"{here}{place}; use {use}")
            if each.failure == failure
            else each
            for each in run.passes
        ]
        run.failure = explained

    def _sources_of(self, extension: str, elsewhere: bool) -> str:
        """Return the options that provide the extension, as far as they are available here; of another kind than this
        server if it has to be `elsewhere`.
        """
        found = self.server.extension_sources(extension)
        others = [each for each in found if not (elsewhere and each.source == self.server.source)]
        ways = [f"--postgres {other.source} --postgres-version {other.major}" for other in others if other.major]
        if self.server.ways_to_an_image():
            ways.append(f"--postgres-image {_IMAGES.get(extension, 'IMAGE')}")
        ways.append("--postgres URL of a server that has it")
        return " or ".join(dict.fromkeys(ways))

    def _ready(self) -> Runner:
        if self._process is None or (self.fresh_each and not self._fresh):
            self.restart()
        assert self._process is not None
        return self._process

    def _leave(self, following: str) -> None:
        """Prepare to use another database. Connections that the application still has open in the last one, such as
        those of a pool that outlives env.py, would be taken for connections to the next.
        """
        self._fresh = False
        if self._at and self._at != following:
            with contextlib.suppress(ValueError):  # it may have been dropped since
                self.server.terminate_connections(self._at)
        self._at = following

    def _start(self) -> Runner:
        return self.plan.process(self.folder, self.guardian, self._runner or self.plan.runner)

    def time(self, command: AnyCommand, database: str, seconds: float) -> Run:
        """Run a command as `run` does, in at most `seconds`, without a look at the server in between: for how long its
        lines take.
        """
        process = self._ready()
        self._leave(database)
        self.enter(database)
        answer = process.run(
            structs.replace(self.at(database, command), timed=True),
            min(self._deadline, time.monotonic() + seconds),
            Blockade(self.server, database),
        )
        run = Reader(
            self.plan, Rehearsal.DEPLOYED, False, isinstance(command, Step) and command.direction == "downgrade"
        ).read(answer)
        self.server.heard(event.sql for event in answer.events if isinstance(event, Begin))
        self._let_go(answer)
        return run

    # -- databases, time, and what was skipped ----------------------------------------------------

    def database(self, template: str | None = None) -> str:
        """Create a database, as a clone of `template` if it is given. Returns its name."""
        if template is not None:
            # PostgreSQL cannot clone a database while another session, such as one of env.py's pool, is connected
            # to it
            self.server.terminate_connections(template)
        # a clone keeps the settings of its template, including any that the project has set there
        settings = {"lock_timeout": OWN_LOCK_TIMEOUT} if template is None else None
        made = self.server.create_database(f"review_{next(_NUMBERS)}", template=template, settings=settings)
        self.databases.append(made)
        return made

    def clones(self, one: str, other: str) -> tuple[str, str]:
        """Clone two different databases as `database` does, at the same time where that pays. Returns the names."""
        for template in (one, other):
            self.server.terminate_connections(template)
        names = (f"review_{next(_NUMBERS)}" for _ in range(2))
        made = self.server.clone_both((next(names), one), (next(names), other))
        self.databases += made
        return made

    def drop_all_but(self, keep: Collection[str]) -> None:
        """Drop databases that are no longer needed: a long history would fill the disk with them."""
        there = {*self.server.databases}  # it may have started over since, or another workbench have dropped some
        for name in [each for each in self.databases if each not in keep]:
            if name in there:
                self.server.drop_database(name)
            self.databases.remove(name)

    def adopted(self) -> str:
        """Return the database of the snapshot that the server has started from."""
        return self.server.adopt(f"review_{next(_NUMBERS)}")

    @property
    def seconds_left(self) -> float:
        """Seconds until the time limit of the rehearsal; negative after it."""
        return self._deadline - time.monotonic()

    def is_late(self) -> bool:
        """Return whether the time limit of the rehearsal has passed."""
        return self.seconds_left <= 0

    def unless_late(self, run: Run, reason: str) -> str:
        """Return why nothing follows on `run`: `reason`, or that the time was up if that is why it failed."""
        return time_is_over(self.plan) if run.out_of_time else reason

    def skip(self, what: str, reason: str) -> None:
        """Record what was skipped and why, once."""
        entry = Skipped(what, reason)
        if entry not in self.skipped:
            self.skipped.append(entry)

    @contextlib.contextmanager
    def looking(self, what: str) -> Iterator[None]:
        """Guard the reviewer's own queries: if the server rejects one, `what` is skipped."""
        import psycopg

        try:
            yield
        except (psycopg.Error, ServerError) as error:
            self.skip(what, str(error).strip().split("\n")[0])
