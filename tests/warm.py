"""Runs the command line in processes that are forked from one that has loaded it: in each of hundreds of reviews the
imports would take as long as everything else that our own process does.

Whatever is about how the command starts, or ends by force, starts it as a user does.
"""

from __future__ import annotations

import atexit
import functools
import gc
import io
import json
import os
import runpy
import select
import selectors
import signal
import site
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests import template

ROOT = Path(__file__).parent.parent
PATIENCE = 120.0
_AT_THE_START = ("PYTHON", "LC_", "LANG", "LD_")
"""What an interpreter reads when it starts, and not later."""


def run(arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `alembic-reviewer` with these arguments to the end; in an interpreter of its own where that starts otherwise."""
    if _starts_like_ours(env):
        return _forked(arguments, cwd, env)
    return subprocess.run(
        [sys.executable, "-m", "alembic_reviewer", *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def environment() -> dict[str, str]:
    """The environment of the tests, with our own modules to import."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _starts_like_ours(env: Mapping[str, str]) -> bool:
    mine, its = ({n: v for n, v in e.items() if n.startswith(_AT_THE_START)} for e in (environment(), env))
    return sys.platform == "linux" and mine == its


def _forked(arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    request = json.dumps({"arguments": [*arguments], "cwd": str(cwd), "env": dict(env)}).encode()
    with _Output() as out, _Output() as err, _Output() as status:
        wanted = os.memfd_create("request")
        os.write(wanted, request)
        try:
            socket.send_fds(_server(), [b"r"], [wanted, out.write, err.write, status.write])
        finally:
            os.close(wanted)
        told = _read({"out": out, "err": err, "status": status})
    pid, code = told["status"].decode().split()
    assert int(pid) > 0
    return subprocess.CompletedProcess(
        [*arguments], os.waitstatus_to_exitcode(int(code)), *(told[n].decode() for n in ("out", "err"))
    )


class _Output:
    """A pipe."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.read)


def _read(outputs: Mapping[str, _Output]) -> dict[str, bytes]:
    found = dict.fromkeys(outputs, b"")
    deadline = time.monotonic() + PATIENCE
    with selectors.DefaultSelector() as selector:
        for name, each in outputs.items():
            os.close(each.write)
            selector.register(each.read, selectors.EVENT_READ, name)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                pid = found["status"].split()
                if pid:
                    os.kill(int(pid[0]), signal.SIGKILL)
                raise subprocess.TimeoutExpired("alembic-reviewer", PATIENCE, found["out"], found["err"])
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                found[key.data] += data
                if not data:
                    selector.unregister(key.fd)
    return found


@functools.cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair()
    start([sys.executable, "-m", "tests.warm"], environment(), theirs)
    atexit.register(ours.close)
    return ours


def start(
    command: Sequence[str], env: Mapping[str, str], control: socket.socket, listener: socket.socket | None = None
) -> None:
    """Start a process with this module as its program, which forks for each request from `control`, and for those who
    connect to `listener`, until the other end of `control` is closed. It closes both here.
    """
    given = [control, *([listener] if listener else [])]
    process = subprocess.Popen(
        [*command, sys.executable, str(int(bool(site.ENABLE_USER_SITE))), *(str(each.fileno()) for each in given)],
        cwd=ROOT,
        env={**env, template.ROOM: template.PADDING},
        stdin=subprocess.DEVNULL,
        pass_fds=[each.fileno() for each in given],
    )
    for each in given:
        each.close()
    atexit.register(process.wait)  # called after what is registered later, which closes the other end


def _serve(interpreters: template.Template, control: socket.socket, listener: socket.socket | None) -> str:
    """Fork a process for each request; return in that process, which has become what was asked for, the module that is
    to run.
    """
    request, out, err, status = template.forked(lambda: _next(control, listener))
    control.close()
    if listener:
        listener.close()
    pid = os.fork()
    if pid:
        os.close(out)
        os.close(err)
        os.write(status, f"{pid} ".encode())
        _, code = os.waitpid(pid, 0)
        os.write(status, str(code).encode())
        os._exit(0)
    os.close(status)
    module = _become(request, out, err)
    interpreters.lend()
    return module


def _next(control: socket.socket, listener: socket.socket | None) -> list[int]:
    """What comes with the next request: its text, two streams, and a pipe for how it ends."""
    while True:
        ready, _, _ = select.select([each for each in (control, listener) if each], [], [])
        if control in ready:
            return template.received(control, 4)
        assert listener
        connection, _ = listener.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 1, 4)
            if len(descriptors) == 4:
                return descriptors


def _become(request: int, out: int, err: int) -> str:
    os.lseek(request, 0, os.SEEK_SET)
    with os.fdopen(request, "rb") as file:
        asked = json.loads(file.read())
    os.environ.clear()
    template.overwrite(asked["env"])
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    sys.argv[1:] = asked["arguments"]
    for source, target in ((out, 1), (err, 2)):
        os.dup2(source, target)
        os.close(source)
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
    module: str = asked.get("module", "alembic_reviewer")
    return module


def _stream(number: int, like: IO[str]) -> io.TextIOWrapper:
    assert isinstance(like, io.TextIOWrapper)
    return io.TextIOWrapper(
        open(number, "wb", closefd=False),
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=number == 2,
    )


def _load() -> None:
    """Import what the command may need, and what it imports only once it needs it."""
    import importlib
    import pkgutil

    import checks
    import reviewer
    from reviewer.sql.parse import parse

    checks.load()
    parse("SELECT 1")  # loads the dialect, and in no thread, which a fork would not have
    for module in pkgutil.walk_packages(reviewer.__path__, "reviewer."):
        if not module.name.startswith(("reviewer.runner", "reviewer.__main__")) and not module.name.endswith(
            "_step"
        ):
            importlib.import_module(module.name)
    for name in ("psycopg", "platformdirs", "rich.console", "zoneinfo"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is loaded here is no garbage of a review


def _main() -> None:
    python, home, *sockets = sys.argv[1:]
    interpreters = template.started(python, dict(os.environ), home=home == "1")
    _load()
    assert threading.active_count() == 1
    control, listener = (*(socket.socket(fileno=int(each)) for each in sockets), None)[:2]
    assert control
    module = _serve(interpreters, control, listener)
    if module == "alembic_reviewer":
        import alembic_reviewer

        alembic_reviewer.main()
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
