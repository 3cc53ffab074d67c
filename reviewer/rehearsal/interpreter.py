"""The project's interpreter as a process: starts the runner in it, sends commands, reads events, and ends it
reliably.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import selectors
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Protocol

import msgspec
from msgspec import Struct, field

from reviewer.errors import InterpreterError
from reviewer.host.guardian import MARK, Guardian, kill_marked, marked
from reviewer.rehearsal.protocol import (
    PROTOCOL,
    Address,
    AnyCommand,
    AnyEvent,
    Describe,
    Described,
    Done,
    Failed,
    Hello,
    Lines,
    Ready,
    RevisionEvent,
    SetUp,
    Unreadable,
)

RUNNER = Path(__file__).parent.parent / "runner" / "in_environment.py"
OLDEST_ALEMBIC = (1, 7)
OLDEST_SQLALCHEMY = (1, 4)
OWN_LOCK_TIMEOUT = "29973ms"
"""The lock_timeout of scratch databases: a value that no project sets, so that a setting of the project can be
recognized."""

# The migrations get the variables that an ordinary program needs, and none that may hold a secret.
PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|CI|VIRTUAL_ENV|CONDA_PREFIX"
    r"|PYTHON\w+|UV_PYTHON|UV_CACHE_DIR|UV_PROJECT_ENVIRONMENT|UV_OFFLINE|LD_LIBRARY_PATH|DYLD_\w+"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|FLASK_APP|XDG_\w+|SYSTEMROOT"
)


class Setup(Struct, frozen=True):
    """What the runner needs to know about the project. It is the same for every command."""

    directory: Path
    """The folder that the migrations run in."""
    config: Path | None = None
    toml: Path | None = None
    section: str | None = None
    script_location: str | None = None
    """Set only if the configuration does not contain it."""
    flask: bool = False
    x: tuple[str, ...] = ()
    launcher: str | None = None
    moved: tuple[Path, Path] | None = None
    """Set when the code of another commit runs: the working tree, and the checkout that replaces it."""
    depends: bool = False
    """Whether commands may ask which files the project's code has read."""


class Answer(Struct):
    """The outcome of one command."""

    events: list[AnyEvent] = field(default_factory=list)
    failed: Failed | None = None
    done: Done | None = None
    timed_out: bool = False
    running: float = 0.0
    """If the time ran out: for how many seconds the last revision had been running, or the command if no revision
    ran."""
    exit_status: int | None = None
    """Set if the process ended before it sent `Done` or `Failed`."""
    waited: str | None = None
    """Who waited for whom, if the migration blocked itself."""
    stack: str = ""
    """The stack of the process when its time ran out."""
    unreadable: str | None = None
    """Data on the channel that is not an event of the runner. If it is set, no event is believed."""

    def take(self, event: AnyEvent) -> None:
        """Add one event."""
        self.events.append(event)
        if isinstance(event, Failed):
            self.failed = event
        if isinstance(event, Done):
            self.done = event

    @property
    def ok(self) -> bool:
        """Whether the command succeeded and every event could be read."""
        return self.done is not None and self.unreadable is None


class Process(Protocol):
    """What a runner's process is used for: the part of `subprocess.Popen` that a fork has too."""

    @property
    def returncode(self) -> int | None:
        """How it has ended, as `poll` or `wait` saw it last."""

    @property
    def pid(self) -> int:
        """Its process ID."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it prints."""

    def poll(self) -> int | None:
        """Return how it has ended; None if it has not."""

    def wait(self, timeout: float) -> int:
        """Wait until it has ended. Raises `subprocess.TimeoutExpired`."""

    def end(self) -> None:
        """End it with everything that it has started, and reap it."""


class _Started:
    """A process that was started in the ordinary way."""

    def __init__(self, process: subprocess.Popen[bytes], watched: str, token: str, guardian: Guardian) -> None:
        self._process = process
        self._watched = watched
        self._mark = f"{MARK}={token}"
        self._guardian = guardian
        self.pid = process.pid
        self.stdout = process.stdout

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self, timeout: float) -> int:
        return self._process.wait(timeout)

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def end(self) -> None:
        end(self._process, self._mark)
        self._guardian.forget(self._watched)


_TRACEBACK = "Traceback (most recent call last):"
_LAST_LINES = 4


class Runner(Protocol):
    """What a rehearsal uses of a process of the project's interpreter, its own or one that it shares."""

    began: float

    def hello(self) -> Hello:
        """Return the runner's first event."""

    def run(self, command: AnyCommand, deadline: float, quiet: Callable[[], str | None] | None = None) -> Answer:
        """Run a command and return what came of it."""

    def last_words(self) -> str:
        """Return the last lines that the process printed, once it has been closed."""

    def close(self) -> None:
        """Give the process up."""


class RunnerProcess:
    """One process of the project's interpreter. Use it as a context manager: the process and its children end with
    it.

    `forks` forks a process that has the given descriptor as its channel, which is faster than starting one. Where it
    cannot, one is started.
    """

    def __init__(
        self,
        interpreter: tuple[str, ...],
        setup: Setup,
        environ: Mapping[str, str],
        folder: Path,
        guardian: Guardian,
        forks: Callable[[int], Process] | None = None,
    ) -> None:
        self.began = time.time()
        """Start time in seconds since 1970."""
        self._interpreter = interpreter
        self._setup = setup
        self._environ = environ
        self._folder = folder
        self._guardian = guardian
        self._forked = False
        if forks is not None:
            with contextlib.suppress(OSError):
                self._begin(forks)
                self._forked = True
        if not self._forked:
            self._begin(self._start)

    def _begin(self, start: Callable[[int], Process]) -> None:
        self._token = secrets.token_hex(12)
        self._stack = self._folder / f"stack-{self._token}"
        self._output: deque[bytes] = deque(maxlen=200)
        self._lines = Lines(seal := secrets.token_hex(8))
        self._pid: int | None = None
        self._channel, theirs = socket.socketpair()
        try:
            self._process = start(theirs.fileno())
        except (OSError, InterpreterError):
            self._channel.close()
            raise
        finally:
            theirs.close()
        self._drain = threading.Thread(target=self._read_output, daemon=True)
        self._drain.start()
        setup = self._setup
        self._send(
            SetUp(
                seal=seal,
                directory=str(setup.directory),
                stack_file=str(self._stack),
                own_lock_timeout=OWN_LOCK_TIMEOUT,
                config=str(setup.config) if setup.config else None,
                toml=str(setup.toml) if setup.toml else None,
                section=setup.section,
                script_location=setup.script_location,
                flask=setup.flask,
                x=setup.x,
                launcher=setup.launcher,
                moved=(str(setup.moved[0]), str(setup.moved[1])) if setup.moved else None,
                depends=setup.depends,
            )
        )

    def _start(self, channel: int) -> _Started:
        try:
            process, watched = self._guardian.start(
                [*self._interpreter, str(RUNNER), str(channel)],
                self._environ,
                self._token,
                cwd=self._setup.directory,
                pass_fds=(channel,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise InterpreterError(
                f"The project's interpreter `{shlex.join(self._interpreter)}` cannot be started: {error.strerror}.",
                "Use --python to name the command that starts the Python for your env.py.",
            ) from None
        return _Started(process, watched, self._token, self._guardian)

    def __enter__(self) -> RunnerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hello(self, seconds: float = 60) -> Hello:
        """Return the runner's first event, once Alembic and SQLAlchemy are imported.

        Raises `InterpreterError` if the interpreter does not start, has no Alembic or SQLAlchemy, or has one that
        is too old.
        """
        name = shlex.join(self._interpreter)
        answer = Answer()
        self._collect(answer, time.monotonic() + seconds, until=(Ready, Failed))
        hello = next((event for event in answer.events if isinstance(event, Hello)), None)
        if hello is None and self._forked and not answer.timed_out:
            self._forked = False
            self.close()
            self._begin(self._start)
            return self.hello(seconds)
        if hello is None:
            raise InterpreterError(
                f"The project's interpreter `{name}` did not start the runner{self.last_words()}.",
                "Use --python to name the command that starts the Python for your env.py.",
            )
        self._pid = hello.pid
        if hello.protocol != PROTOCOL:
            raise InterpreterError(
                f"The runner speaks version {hello.protocol} of the protocol, but this reviewer speaks version"
                f" {PROTOCOL}.",
                "Install alembic-reviewer again.",
            )
        for package, found, oldest in (
            ("Alembic", hello.alembic, OLDEST_ALEMBIC),
            ("SQLAlchemy", hello.sqlalchemy, OLDEST_SQLALCHEMY),
        ):
            if not found:
                raise InterpreterError(
                    f"The project's interpreter `{name}` has no {package}.",
                    "Install the project's requirements there, or use --python to name the interpreter that has them.",
                )
            if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < oldest:
                needed = ".".join(map(str, oldest))
                raise InterpreterError(
                    f"The project's interpreter `{name}` has {package} {found}; the reviewer needs {needed} or later.",
                    f"Upgrade {package} in the project.",
                )
        if answer.failed is not None:
            raise InterpreterError(
                f"The project's interpreter `{name}` cannot import Alembic: {answer.failed.message}.",
                "Install the project's requirements there, or use --python to name the interpreter that has them.",
            )
        return hello

    def run(self, command: AnyCommand, deadline: float, quiet: Callable[[], str | None] | None = None) -> Answer:
        """Send `command` and collect events until `Done` or `Failed`, until the process ends, or until `deadline`
        (monotonic) passes.

        `quiet` is called about twice a second while no event arrives. The text that it returns says who waits for
        whom.
        """
        answer = Answer()
        self._lines.begin()
        self._send(command)
        self._collect(answer, deadline, until=(Done, Failed), quiet=quiet)
        return answer

    def describe(self, address: Address, database: str, seconds: float) -> Described:
        """Run env.py without any revision, to find where the revisions are. Raises `InterpreterError` if env.py
        fails.
        """
        command = Describe(address=address, database=database)
        answer = self.run(command, time.monotonic() + seconds)
        described = next((event for event in answer.events if isinstance(event, Described)), None)
        if described is None:
            why = (
                answer.failed.message.rstrip(".")
                if answer.failed
                else answer.unreadable or "it exited with an error"
            )
            raise InterpreterError(
                f"env.py failed when it was asked where the revisions are: {why}.",
                "If it needs settings, give them with --env NAME=VALUE, --pass-env NAME, -x NAME=VALUE or"
                " --launcher MODULE:FUNCTION.",
            )
        return described

    @property
    def output(self) -> str:
        """The last output of the project, for diagnosis only. It is never believed."""
        return b"".join(self._output).decode("utf-8", "replace")[-4000:]

    def last_words(self) -> str:
        """Return the last lines that the process printed, as the end of a sentence; empty if there are none. A
        traceback says it in its last line; a program that explains itself, often above a hint or an address.
        """
        self._drain.join(0.5)
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        few = 1 if _TRACEBACK in lines else _LAST_LINES
        return f": {' / '.join(lines[-few:]).rstrip('.')}" if lines else ""

    def close(self) -> None:
        """End the process, its process group and everything that it has started, and reap it."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._channel.close()
        self._kill()
        with contextlib.suppress(OSError):
            self._stack.unlink()

    # -- private ----------------------------------------------------------------------------------

    def _send(self, message: SetUp | AnyCommand) -> None:
        with contextlib.suppress(OSError):  # a process that has ended is noticed when its answer is read
            self._channel.sendall(json.dumps(msgspec.to_builtins(message)).encode() + b"\n")

    def _collect(
        self,
        answer: Answer,
        deadline: float,
        until: tuple[type, ...],
        quiet: Callable[[], str | None] | None = None,
    ) -> None:
        began = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    answer.timed_out = True
                    answer.running = time.monotonic() - began
                    answer.stack = self._where()
                    self._kill()
                    return
                over = self._process.poll() is not None
                if not selector.select(0 if over else min(left, 0.5)):
                    if not over:
                        answer.waited = (quiet() if quiet else None) or answer.waited
                        continue
                    data = b""  # no more will arrive, though a child of the migration may hold the channel open
                else:
                    try:
                        data = self._channel.recv(1 << 20)
                    except OSError:
                        data = b""
                if not data:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(2)
                    self._kill()
                    answer.exit_status = self._process.returncode
                    return
                try:
                    for event in self._lines.feed(data):
                        answer.take(event)
                        if isinstance(event, RevisionEvent):
                            began = time.monotonic()
                except Unreadable as error:
                    self._kill()
                    answer.unreadable = str(error)
                    return
                if answer.events and isinstance(answer.events[-1], until):
                    return

    def _where(self) -> str:
        """Ask the process for its stack. It answers even from inside a C call. Returns an empty text if it does
        not.
        """
        try:
            os.kill(self._pid or self._process.pid, signal.SIGUSR1)
            for _ in range(20):
                time.sleep(0.02)
                text = self._stack.read_text(errors="replace")
                if text.endswith("\n"):
                    return text
        except OSError:
            pass
        return ""

    def _kill(self) -> None:
        self._process.end()
        self._drain.join(0.2)

    def _read_output(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream:
            while data := os.read(stream.fileno(), 65536):
                self._output.append(data[-4096:])


def end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End `process`, its process group and everything that was started with `mark` in its environment, and reap it."""
    for pid in {process.pid, *marked(mark)}:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    kill_marked(mark)  # and processes that were being started during the search
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)


def environment(
    source: Mapping[str, str], given: Mapping[str, str], passed: tuple[str, ...], url: str
) -> dict[str, str]:
    """Return the environment for env.py: the variables that an ordinary program needs and those named in `passed`,
    from `source`, and `given` with `{url}` replaced by the URL of the throw-away database.
    """
    kept = {name: value for name, value in source.items() if PASSED.fullmatch(name) or name in passed}
    return {**kept, **{name: value.replace("{url}", url) for name, value in given.items()}}
