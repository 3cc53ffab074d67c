"""The fork server of the project's interpreter: fresh processes without the time that an interpreter takes to start
and to import Alembic and SQLAlchemy.

The other half is `reviewer/runner/fork_server.py`. It works on Linux only; wherever it does not, a process is started
in the ordinary way.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from msgspec.structs import replace

from reviewer.host.files import read_regular
from reviewer.host.guardian import MARK, Guardian
from reviewer.rehearsal.interpreter import RUNNER, RunnerProcess, end

if TYPE_CHECKING:
    from reviewer.rehearsal.plan import Plan

NO_DRIVER = "none"
"""The driver of processes that only render SQL."""
_DRIVER = re.compile(r"\bpostgres(?:ql)?\+(psycopg2|psycopg|asyncpg|pg8000)")
"""A database's URL with a driver, as SQLAlchemy reads it."""


class Fork:
    """A process that a fork server has forked. It has what `RunnerProcess` uses of `subprocess.Popen`."""

    def __init__(self, output: IO[bytes], status: int) -> None:
        self.stdout = output
        self.returncode: int | None = None
        """As in `subprocess.Popen`."""
        self._status = status
        self._told = b""
        self._over = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Its process ID; 0 if it has never run."""
        self._listen(lambda: b"\n" in self._told, 10)
        return int(self._told.partition(b"\n")[0] or b"0")

    def poll(self) -> int | None:
        """Return how it has ended; None if it has not."""
        self._listen(lambda: False, 0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait until it and everything that it has started have ended. Raises `subprocess.TimeoutExpired`."""
        self._listen(lambda: False, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a fork", timeout)
        return self.returncode

    def end(self) -> None:
        """End it, its process group, and everything that it has started."""
        pid = self.pid
        for kill in (os.killpg, os.kill):
            if pid and self.poll() is None:
                with contextlib.suppress(OSError):
                    kill(pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(10)

    def _listen(self, enough: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._lock:
            while not self._over and not enough():
                if not select.select([self._status], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    return
                more = os.read(self._status, 256)
                self._told += more
                numbers = self._told.split(b"\n")[:-1]
                if len(numbers) > 1 or not more:
                    # a server that ends without a word takes its forks with it
                    self.returncode = (
                        os.waitstatus_to_exitcode(int(numbers[1])) if len(numbers) > 1 else -signal.SIGKILL
                    )
                    self._over = True
                    os.close(self._status)


class ForkServer:
    """Starts processes of one interpreter with one environment. Use it as a context manager: all of them end with it."""

    def __init__(
        self,
        interpreter: tuple[str, ...],
        environ: Mapping[str, str],
        directory: Path,
        guardian: Guardian,
        driver: str = "",
    ) -> None:
        self._token = secrets.token_hex(12)
        self._guardian = guardian
        self._control, theirs = socket.socketpair()
        try:
            self._process, self._watched = guardian.start(
                [*interpreter, str(RUNNER), str(theirs.fileno()), "forks", driver],
                environ,
                self._token,
                cwd=directory,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self._control.close()
            raise
        finally:
            theirs.close()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        end(self._process, f"{MARK}={self._token}")
        self._guardian.forget(self._watched)

    def fork(self, channel: int) -> Fork:
        """Fork a runner that has `channel` as its channel. Raises `OSError` if the server has ended."""
        output, outputs = os.pipe()
        status, statuses = os.pipe()
        try:
            socket.send_fds(self._control, [b"f"], [channel, outputs, statuses])
        except OSError:
            os.close(output)
            os.close(status)
            raise
        finally:
            os.close(outputs)
            os.close(statuses)
        return Fork(os.fdopen(output, "rb", 0), status)

    @property
    def start(self) -> Callable[..., RunnerProcess]:
        """Starts a runner, and takes the arguments of `RunnerProcess`."""
        return partial(RunnerProcess, forks=self.fork)


def forks(
    interpreter: tuple[str, ...],
    environ: Mapping[str, str],
    directory: Path,
    configuration: Iterable[Path | None] | None,
    guardian: Guardian,
    stack: contextlib.ExitStack,
) -> Callable[..., RunnerProcess]:
    """Return what starts processes of `interpreter` with `environ`: forked ones, until `stack` is closed.

    The files of the `configuration` may name the driver, which is imported once and not in each fork then; None if no
    fork will connect.
    """
    driver = NO_DRIVER if configuration is None else _driver(environ, configuration)
    try:
        server = ForkServer(interpreter, environ, directory, guardian, driver)
    except OSError:  # the interpreter does not start, which the first process will report
        return RunnerProcess
    return stack.enter_context(server).start


def forking(plan: Plan, guardian: Guardian, stack: contextlib.ExitStack) -> Plan:
    """Return `plan` with processes that are forked, until `stack` is closed."""
    setup = plan.setup
    files = (setup.config, setup.toml)
    return replace(plan, runner=forks(plan.interpreter, plan.environ, setup.directory, files, guardian, stack))


def _driver(environ: Mapping[str, str], configuration: Iterable[Path | None]) -> str:
    """The driver in the first URL that the environment or the configuration has; empty if none names one."""
    texts = [*environ.values()]
    for file in configuration:
        with contextlib.suppress(OSError):
            texts.append(read_regular(file).decode("utf-8", "replace") if file is not None else "")
    found = (_DRIVER.search(text) for text in texts)
    return next((each[1] for each in found if each), "")
