"""A process that has started as the fork server of a project's interpreter does, when that interpreter is the one of the
tests, and that forks one for each review which `tests/warm.py` starts: to start Python and to import Alembic and
SQLAlchemy costs as much as all that a review runs.

What it lends is a fork server like any other: in a session of its own, with the environment that was asked for, also in
/proc, and reading the runner's files as one that is started does. Whatever would start otherwise is started.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOM = "ALEMBIC_REVIEWER_TESTS_ROOM"
"""A variable that is there to be overwritten."""
AT_THE_START = ("PYTHON", "LC_", "LANG", "LD_", "GLIBC_", "MALLOC_", "SQLALCHEMY_", "DISABLE_SQLALCHEMY", "HOME", "TZ")
"""How the names of variables begin that the interpreter, the C library or SQLAlchemy read once."""
DEVNULL = subprocess.DEVNULL
STREAMS = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": DEVNULL}


# -- in the process that has loaded the command ---------------------------------------------------


def started(environ: Mapping[str, str]) -> socket.socket:
    """Start the template with what `environ` passes on to a project. It ends when nobody has the socket any more."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        env={**_passed(environ), ROOM: "-" * 50_000},
        cwd="/",
        pass_fds=(theirs.fileno(),),
        start_new_session=True,
        stdin=DEVNULL,
        stdout=DEVNULL,
    )
    theirs.close()
    return ours


def lend(template: socket.socket, environ: Mapping[str, str]) -> None:
    """From now on, let the guardian of this process take fork servers from `template` where they would be the same as
    those that it starts. `environ` is what the template was started with.
    """
    from reviewer.host import guardian
    from reviewer.rehearsal.interpreter import RUNNER

    like = _at_the_start(_passed(environ))

    def start(command: Sequence[str], **options: Any) -> Any:
        wanted = dict(options)
        passed, its = wanted.pop("pass_fds", ()), wanted.pop("env", None)
        whole = len(passed) == 1 and [*command] == [sys.executable, str(RUNNER), str(passed[0]), "forks"]
        cwd = wanted.pop("cwd", None)
        if not whole or its is None or wanted != {"start_new_session": True, **STREAMS} or _at_the_start(its) != like:
            return subprocess.Popen(command, **options)
        return Lent(template, {"argv": [*command[1:]], "env": dict(its), "cwd": str(cwd)}, passed[0])

    guardian.subprocess = _Subprocess(start)  # type: ignore[assignment]


class _Subprocess:
    """The module, but for how a process is started."""

    def __init__(self, start: Callable[..., Any]) -> None:
        self.Popen = start

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


class Lent:
    """A fork server that was forked. It has what the guardian and `ForkServer` use of `subprocess.Popen`."""

    def __init__(self, template: socket.socket, request: Mapping[str, Any], control: int) -> None:
        if not os.access(request["cwd"], os.X_OK):
            raise FileNotFoundError(request["cwd"])
        wanted, (told, tells) = os.memfd_create("request"), os.pipe()
        try:
            os.write(wanted, json.dumps(request).encode())
            socket.send_fds(template, [b"r"], [wanted, tells, control])
        finally:
            os.close(wanted)
            os.close(tells)
        with open(told, "rb") as file:
            self.pid = int(file.read())
        self._ends = os.pidfd_open(self.pid)

    def wait(self, timeout: float) -> int:
        """Wait until it has ended."""
        if not select.select([self._ends], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a fork server", timeout)
        return 0


def _passed(environ: Mapping[str, str]) -> dict[str, str]:
    from reviewer.rehearsal.interpreter import environment

    return environment(environ, {}, (), "")


def _at_the_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(AT_THE_START)}


# -- in the template ------------------------------------------------------------------------------


def _serve(control: socket.socket) -> int:
    """Fork for each request. Return in that process the number of the socket that it shall serve."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the reviews wait for the forks, and not their parent
    while True:
        told, descriptors, _, _ = socket.recv_fds(control, 1, 3)
        if not told:
            os._exit(0)
        if os.fork():
            for each in descriptors:
                os.close(each)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        wanted, tells, number = descriptors
        with open(wanted, "rb") as file:
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
    _overwrite(b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environ.items()))
    os.environ.update(environ)
    time.tzset()
    sys.argv[:] = [*request["argv"]]
    sys.argv[1] = str(number)


def _overwrite(block: bytes) -> None:
    """Let the system tell of our environment what it tells of a process that was started with this one."""
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

    def serve(_number: int, become: Callable[[int], None]) -> None:
        del sys.modules[name]  # it was this one
        its = main.__dict__["beside"]("fork_server")
        its.imported()
        del sys.modules[name]
        assert len(os.listdir("/proc/self/task")) == 1
        gc.collect()
        gc.freeze()
        number = _serve(control)
        main.__dict__["beside"]("fork_server").serve(number, become)

    sys.modules[name] = types.SimpleNamespace(serve=serve)  # type: ignore[assignment]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = str(runner)
    sys.argv[:] = [str(runner), "-1", "forks"]
    exec(compile(runner.read_bytes(), str(runner), "exec"), main.__dict__)


if __name__ == "__main__":
    _main()
