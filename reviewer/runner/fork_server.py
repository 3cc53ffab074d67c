"""A process of the project's interpreter that has imported Alembic and SQLAlchemy, and forks for each runner.

Importing them takes longer than most rehearsals, and a review needs several fresh processes. Nothing of the project
is imported here, so each fork is as fresh as a new process.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Alembic >= 1.7, SQLAlchemy >= 1.4, Python >= 3.8; Linux only. Where it cannot work, it ends, and the reviewer starts
each runner as a process of its own.

For each byte that arrives, a fork. With it come three descriptors: the runner's channel, its output, and a pipe that
receives the runner's process ID, and its status as `os.wait` returns it once nothing that it has started is left.
"""

from __future__ import annotations

import array
import contextlib
import gc
import io
import os
import select
import signal
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
"""Operations of prctl(2)."""
CHILDREN = f"/proc/self/task/{os.getpid()}/children"
DESCRIPTORS = 3
DRIVERS = ("psycopg", "psycopg2", "asyncpg", "pg8000")


def serve(number: int, become: Callable[[int], None], prepare: Callable[[], object], driver: str) -> None:
    """Fork until the reviewer closes its end of the socket `number`. `become` is the runner's main function, `prepare`
    finds what each of them tells, and `driver` is the one that the project's URL names; empty if it is not known, `none`
    if nobody will connect.
    """
    control = socket.socket(fileno=number)
    os.set_inheritable(number, False)
    if (
        not sys.platform.startswith("linux")
        or not os.path.exists(CHILDREN)
        or not operate(PR_SET_CHILD_SUBREAPER, 1)
    ):
        return
    gc.disable()  # what is imported stays: looking through it again and again takes a tenth of the time
    imported()
    if driver != "none":
        import_driver(driver)
    prepare()
    if (
        len(os.listdir("/proc/self/task")) > 1
    ):  # a fork would lack the other threads, and keep the locks that they hold
        return
    gc.freeze()  # and no fork looks through it either
    gc.enable()
    Server(control, become).serve()


def imported() -> None:
    """Import what every runner needs."""
    import alembic.config
    import alembic.operations.batch
    import alembic.runtime.environment
    import alembic.script  # noqa: F401
    import sqlalchemy.dialects.postgresql
    import sqlalchemy.orm  # noqa: F401


def import_driver(named: str) -> None:
    """Import the driver that the project's code will: the one that is named, else the only one that is installed, else
    the one that SQLAlchemy takes.
    """
    from importlib import import_module

    found = [each for each in DRIVERS if is_installed(each)]
    if named not in found:
        from sqlalchemy.dialects.postgresql import dialect

        named = found[0] if len(found) == 1 else str(dialect.driver)
    if named in found:
        with contextlib.suppress(Exception):  # it fails again where the project imports it
            import_module(named)


def is_installed(package: str) -> bool:
    """Whether it is an installed package; not a module of the project, which belongs to each fork alone."""
    from importlib.util import find_spec

    spec = find_spec(package)
    parts = (spec.origin or "").split(os.sep) if spec else []
    return "site-packages" in parts or "dist-packages" in parts


def operate(what: int, value: int) -> bool:
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(what, value, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


class Server:
    """The forks, each with its pipe."""

    def __init__(self, control: socket.socket, become: Callable[[int], None]) -> None:
        self.control = control
        self.become = become
        self.forks: dict[int, int] = {}
        self.wakes, self.woken = os.pipe()
        for end in (self.wakes, self.woken):
            os.set_blocking(end, False)

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.woken, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self.control.fileno(), self.wakes], [], [])
            if self.wakes in ready:
                os.read(self.wakes, 4096)
                self.reap()
            if self.control.fileno() in ready:
                wanted = self.wanted()
                if wanted is None:
                    break
                self.fork(*wanted)
        for each in self.forks:
            end(each)
        self.reap_strays()

    def wanted(self) -> list[int] | None:
        """The descriptors that came with a request; None after the last."""
        size = DESCRIPTORS * array.array("i").itemsize
        text, messages, _, _ = self.control.recvmsg(1, socket.CMSG_SPACE(size))
        descriptors = array.array("i")
        for level, kind, data in messages:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        return list(descriptors) if text and len(descriptors) == DESCRIPTORS else None

    def fork(self, channel: int, output: int, status: int) -> None:
        server = os.getpid()
        pid = os.fork()
        if pid:
            self.forks[pid] = status
            tell(status, pid)
            os.close(channel)
            os.close(output)
            return
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            operate(
                PR_SET_CHILD_SUBREAPER, 1
            )  # what it leaves behind stays apart from what other forks have started
            operate(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != server:
                os._exit(1)
            self.control.close()
            for each in (status, self.wakes, self.woken, *self.forks.values()):
                os.close(each)
            for stream in (1, 2):
                os.dup2(output, stream)
            os.close(output)
            renew_streams()
            sys.argv[1:] = [str(channel)]
            self.become(channel)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            for file in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    file.flush()
            os._exit(1)

    def reap(self) -> None:
        """Tell how forks have ended, each after what it has left behind is gone."""
        ended = []
        for pid in list(self.forks):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                ended.append((self.forks.pop(pid), status))
        if ended:
            self.reap_strays()
        for pipe, status in ended:
            tell(pipe, status)
            os.close(pipe)

    def reap_strays(self) -> None:
        """End the processes that a fork has left behind: they are our children since it has ended."""
        while True:
            strays = [each for each in children() if each not in self.forks]
            if not strays:
                return
            for each in strays:
                end(each)
                with contextlib.suppress(OSError):
                    os.waitpid(each, 0)


def renew_streams() -> None:
    """Open standard output and standard error as Python does when it starts: what they lead to is a pipe here, and was
    `/dev/null`, which can be sought in.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        known: Any = getattr(sys, name)
        unbuffered = isinstance(known.buffer, io.RawIOBase)
        stream = io.TextIOWrapper(
            open(number, "wb", buffering=0 if unbuffered else -1, closefd=False),  # noqa: SIM115 - open until it ends
            encoding=known.encoding,
            errors=known.errors,
            line_buffering=known.line_buffering,
            write_through=getattr(known, "write_through", False),
        )
        setattr(sys, name, stream)
        setattr(sys, "__" + name + "__", stream)


def children() -> list[int]:
    try:
        with open(CHILDREN) as file:
            return [int(each) for each in file.read().split()]
    except OSError:
        return []


def end(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)


def tell(pipe: int, number: int) -> None:
    with contextlib.suppress(OSError):  # the reviewer does not wait for it any more
        os.write(pipe, b"%d\n" % number)
