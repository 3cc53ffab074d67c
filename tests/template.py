"""A process that has started as the fork server of a project's interpreter does, when that interpreter is the one of the
tests, and that forks one for each review which `tests/warm.py` starts: to start Python and to import Alembic and
SQLAlchemy costs as much as all that a review runs.

What it lends is a fork server like any other: in a session of its own, with the environment that was asked for, also in
/proc, and reading the runner's files as one that is started does. Whatever would start otherwise is started.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import json
import os
import select
import signal
import site
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOM = "ALEMBIC_REVIEWER_TESTS_ROOM"
PADDING = "-" * 50_000
"""A variable that is there to be overwritten, and its value."""
AT_THE_START = ("PYTHON", "LC_", "LANG", "LD_", "GLIBC_", "MALLOC_", "SQLALCHEMY_", "DISABLE_SQLALCHEMY", "TZ")
"""How the names of variables begin that the interpreter, the C library or SQLAlchemy read once."""
DEVNULL = subprocess.DEVNULL
STREAMS = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}


# -- in the process that has loaded the command ---------------------------------------------------


@dataclass(frozen=True)
class Template:
    """A template that runs, of one interpreter with one environment. It ends when nobody has its socket any more."""

    python: str
    home: bool
    """Whether the interpreter also looks for packages in HOME."""
    environ: Mapping[str, str]
    socket: socket.socket
    process: subprocess.Popen[bytes]

    def lend(self) -> None:
        """From now on, let the guardian of this process take from the template the fork servers that would be the same
        as those that it starts.
        """
        from reviewer.host import guardian
        from reviewer.rehearsal.interpreter import RUNNER

        like = self._at_the_start(self.environ)

        def start(command: Sequence[str], **options: Any) -> Any:
            wanted = dict(options)
            control, environ, cwd = (wanted.pop(name, None) for name in ("pass_fds", "env", "cwd"))
            if (
                not (control and environ and cwd)
                or [*command][:-1] != [self.python, str(RUNNER), str(control[0]), "forks"]
                or len(control) > 1
                or wanted != {"start_new_session": True, **STREAMS}
                or self._at_the_start(environ) != like
                or not os.access(cwd, os.X_OK)
            ):
                return subprocess.Popen(command, **options)
            request = {"argv": [*command[1:]], "env": dict(environ), "cwd": str(cwd)}
            try:
                return Lent(self.socket, request, control[0])
            except (OSError, ValueError):  # a project has ended the template
                return subprocess.Popen(command, **options)

        setattr(guardian, "subprocess", _Subprocess(start))  # noqa: B010 - it is no name that the module exports

    def _at_the_start(self, environ: Mapping[str, str]) -> dict[str, str]:
        names = (*AT_THE_START, "HOME") if self.home else AT_THE_START
        return {name: value for name, value in environ.items() if name.startswith(names)}


@contextlib.contextmanager
def lent() -> Iterator[None]:
    """Let this process have, for a while, fork servers of its own interpreter from a template."""
    from reviewer.host import guardian

    if sys.platform != "linux":
        yield
        return
    _ours().lend()
    try:
        yield
    finally:
        setattr(guardian, "subprocess", subprocess)  # noqa: B010 - as above


@functools.cache
def _ours() -> Template:
    template = started(sys.executable, dict(os.environ), home=bool(site.ENABLE_USER_SITE))
    atexit.register(template.process.wait)
    atexit.register(template.socket.close)
    return template


def started(python: str, environ: Mapping[str, str], *, home: bool) -> Template:
    """Start the template of `python`, which has of `environ` what a project's interpreter gets."""
    from reviewer.rehearsal.interpreter import environment

    passed = environment(environ, {}, (), "")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [python, __file__, str(theirs.fileno())],
        env={**passed, ROOM: PADDING},
        cwd="/",
        pass_fds=(theirs.fileno(),),
        start_new_session=True,
        stdin=DEVNULL,
        stdout=DEVNULL,
    )
    theirs.close()
    return Template(python, home, passed, ours, process)


class _Subprocess:
    """The module, but for how a process is started."""

    def __init__(self, start: Callable[..., Any]) -> None:
        self.Popen = start

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


class Lent:
    """A fork server that was forked. It has what the guardian and `ForkServer` use of `subprocess.Popen`."""

    def __init__(self, template: socket.socket, request: Mapping[str, Any], control: int) -> None:
        wanted, (told, tells) = os.memfd_create("request"), os.pipe()
        try:
            os.write(wanted, json.dumps(request).encode())
            socket.send_fds(template, [b"r"], [wanted, tells, control])
        finally:
            os.close(wanted)
            os.close(tells)
        with os.fdopen(told, "rb") as file:
            self.pid = int(file.read())
        self._ends = os.pidfd_open(self.pid)

    def wait(self, timeout: float) -> int:
        """Wait until it has ended."""
        if not select.select([self._ends], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a fork server", timeout)
        return 0


# -- in the template ------------------------------------------------------------------------------


def forked(following: Callable[[], list[int]]) -> list[int]:
    """Fork for each request, as long as `following` returns the descriptors that come with one. Return in that process
    those of its request. Nobody waits for it here.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        descriptors = following()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return descriptors
        for each in descriptors:
            os.close(each)


def received(control: socket.socket, number: int) -> list[int]:
    """The descriptors of the next request; after the last one, end this process."""
    told, descriptors, _, _ = socket.recv_fds(control, 1, number)
    if not told:
        os._exit(0)
    return descriptors


def _serve(control: socket.socket) -> int:
    """Fork for each request. Return in that process the number of the socket that it shall serve."""
    wanted, tells, number = forked(lambda: received(control, 3))
    control.close()
    with os.fdopen(wanted, "rb") as file:
        file.seek(0)
        _become(json.loads(file.read()), number)
    os.write(tells, str(os.getpid()).encode())
    os.close(tells)
    return number


def _become(request: Mapping[str, Any], number: int) -> None:
    os.setsid()
    os.chdir(request["cwd"])
    os.dup2(1, 2)
    environ = request["env"]
    os.environ.clear()
    overwrite(environ)
    os.environ.update(environ)
    time.tzset()
    sys.argv[:] = [*request["argv"]]
    sys.argv[1] = str(number)


def overwrite(environ: Mapping[str, str]) -> None:
    """Let the system tell of this process the environment `environ`, as of one that was started with it. The variables
    that it was started with must not be in use any more.
    """
    block = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environ.items())
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    assert len(block) <= end - start
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, block, len(block))


def _main() -> None:
    runner = Path(__file__).parent.parent / "reviewer" / "runner" / "in_environment.py"
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    name = "_alembic_reviewer_fork_server"

    def serve(_number: int, become: Callable[[int], None], prepare: Callable[[], object], driver: str) -> None:
        del sys.modules[name]  # it was this one
        its = main.__dict__["beside"]("fork_server")
        its.imported()
        its.import_driver(driver)
        prepare()
        del sys.modules[name]
        assert threading.active_count() == 1
        gc.collect()
        gc.freeze()
        number = _serve(control)
        main.__dict__["beside"]("fork_server").serve(number, become, prepare, sys.argv[3])

    sys.modules[name] = types.SimpleNamespace(serve=serve)  # type: ignore[assignment]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__dict__.update({"__annotations__": {}, "__cached__": None, "__file__": str(runner)})
    sys.argv[:] = [str(runner), "-1", "forks", "psycopg"]
    exec(compile(runner.read_bytes(), str(runner), "exec"), main.__dict__)


if __name__ == "__main__":
    _main()
