"""The guardian: a tiny process that cleans up after the reviewer when the reviewer cannot.

Whatever happens to the reviewer (an exception, Ctrl-C, SIGTERM, kill -9), it leaves no server, folder, process
group, container or scratch database behind. The guardian holds the read end of a pipe whose
only write end is the reviewer's: when the reviewer ends, for whatever reason, the pipe closes, and what
was registered and not forgotten is cleaned up.

Register first, then create: between the two there is nothing to leave behind. `make_folder` and `start` do both, in
this order, and there is no other way in which the reviewer makes a folder or starts the project's code.

This one file is both halves. The reviewer imports `Guardian`; the process runs the file as a script, with
the standard library only and outside of any environment, so that it starts fast and depends on nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any

GIVE_UP_AFTER = 10.0
"""Seconds that the guardian waits for one process to end, and the reviewer for its guardian."""

MARK = "ALEMBIC_REVIEWER_RUN"
"""The variable that marks a process as ours, whatever its session and parent: a token, or a folder."""


class Guardian:
    """What must not outlive the reviewer. Each method registers one thing; `forget` removes it again.

    A folder that holds a server's data also stands for the processes that were started on it: those with the
    folder in their command line are ended first. So registering the folder before the server is started
    leaves no gap.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Guardian:
        self._process = _spawned()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(OSError):
            process.send_signal(signal.SIGCONT)  # somebody may have stopped it
        try:
            process.wait(timeout=GIVE_UP_AFTER * (1 + len(self._watched)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def make_folder(self, base: Path, prefix: str) -> tuple[Path, str]:
        """A new folder in `base` that only we can enter, registered before it exists. Returns it and what to
        `forget`.

        Raises:
            OSError: none can be created there.
        """
        while True:
            path = base / f"{prefix}{secrets.token_hex(4)}"
            if os.path.lexists(path):
                continue
            watched = self.folder(path)
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:  # somebody else's, created at this very moment
                self.forget(watched)
            except OSError:
                self.forget(watched)
                raise
            else:
                return path, watched

    def start(
        self, command: Sequence[str], environ: Mapping[str, str], token: str, **options: Any
    ) -> tuple[subprocess.Popen[bytes], str]:
        """Start `command` in a group of its own and with `token` as its mark, registered before it runs.

        `options` are those of `subprocess.Popen`. Returns the process and what to `forget`.

        Raises:
            OSError: it cannot be started.
        """
        mark = f"{MARK}={token}"
        before = self._watch({"kind": "group", "pgid": 0, "started": "", "mark": mark})
        try:
            process = subprocess.Popen(command, env={**environ, MARK: token}, start_new_session=True, **options)
        except OSError:
            self.forget(before)
            raise
        watched = self.group(process.pid, mark)
        self.forget(before)
        return process, watched

    def folder(self, path: Path) -> str:
        """Remove the folder or file `path`, end every process that uses it (see `processes_on`), and release
        the shared memory of a server on it. Returns what to `forget`.
        """
        return self._watch({"kind": "folder", "path": str(path)})

    def group(self, pgid: int, mark: str = "") -> str:
        """Kill the process group `pgid`, whose leader must be running now, and every process that has `mark`, such
        as `NAME=value`, in the environment that it was started with. Returns what to `forget`.
        """
        return self._watch({"kind": "group", "pgid": pgid, "started": start_time(pgid), "mark": mark})

    def database(self, conninfo: str, name: str) -> str:
        """Drop the database `name` through a connection to `conninfo`. Returns what to `forget`."""
        return self._watch({"kind": "database", "conninfo": conninfo, "name": name})

    def role(self, conninfo: str, oid: int) -> str:
        """Drop the role `oid`, whatever its name is at that time, on the server of `conninfo`. Returns what to
        `forget`.
        """
        return self._watch({"kind": "role", "conninfo": conninfo, "oid": str(oid)})

    def container(self, identifier: str) -> str:
        """Remove the container `identifier`. Returns what to `forget`."""
        return self._watch({"kind": "container", "id": identifier})

    def forget(self, thing: str) -> None:
        """Leave `thing`, which one of the other methods returned, alone: it has already been cleaned up."""
        with self._lock:
            if thing in self._watched:
                self._watched.discard(thing)
                self._tell({"forget": thing})

    def _watch(self, description: dict[str, object]) -> str:
        thing = json.dumps(description, sort_keys=True)
        with self._lock:
            if thing not in self._watched:
                self._watched.add(thing)
                self._tell({"watch": thing})
        return thing

    def _tell(self, message: dict[str, str]) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the guardian is not running")
        try:
            self._send([message])
        except OSError:
            # The guardian was killed. That must not stop the review, which also cleans up itself; and the next one
            # knows everything that this one knew.
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._process.wait(GIVE_UP_AFTER)
                self._process = _spawned()
                self._send([{"watch": thing} for thing in sorted(self._watched)])

    def _send(self, messages: Sequence[Mapping[str, str]]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        self._process.stdin.flush()


def _spawned() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # Out of reach of the terminal's Ctrl-C and of signals to the reviewer's process group.
        start_new_session=True,
    )


def _group_lives(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except OSError:
        return False
    # What is left may be zombies that nobody has reaped yet.
    states = [_stat(int(name)) for name in _numbered()]
    return not states or any(fields[0] not in "ZX" for fields in states if fields[2:3] == [str(pgid)])


def start_time(pid: int) -> str:
    """When the process `pid` started, as an opaque string that distinguishes it from a later one with the same pid.

    Empty if there is no such process or the system does not say. Source: field 22 of proc_pid_stat(5).
    """
    return (_stat(pid)[19:20] or [""])[0]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, or none."""
    try:
        # The second field is the command in brackets, which may itself hold spaces and brackets.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _numbered() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - many, and names are enough
    except OSError:
        return []


def processes_on(folder: str) -> list[int]:
    """The processes, ours excepted, that have `folder` or a path in it as an argument in their command line, or
    `folder` as their mark: everything that a server on it has started.
    """
    working = {pid for pid, arguments in _command_lines(folder) if _mentions(arguments, folder)}
    working.update(pid for pid in marked(f"{MARK}={folder}") if _stat(pid)[:1] not in ([], ["Z"]))
    return sorted(working - {os.getpid()})


def end_processes_on(folder: str, *, spare: int = 0) -> None:
    """End the servers and helpers that were started on `folder`, and wait until they have exited.

    The process `spare` is left alone: the guardian's own reviewer, should the folder be among its arguments.

    SIGQUIT is PostgreSQL's immediate shutdown: the server ends its backends and releases its shared
    memory, which SIGKILL would leave behind.
    """
    pids = [pid for pid in processes_on(folder) if pid != spare]
    for how in (signal.SIGQUIT, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, how)
                os.kill(pid, signal.SIGCONT)  # a stopped process would not notice
        deadline = time.monotonic() + GIVE_UP_AFTER / 2
        while pids and time.monotonic() < deadline:
            time.sleep(0.005)
            pids = [pid for pid in processes_on(folder) if pid != spare]


def _mentions(arguments: list[str], folder: str) -> bool:
    # The value of an option counts too: `--prefix=FOLDER/x`.
    values = [value for argument in arguments for value in (argument, argument.partition("=")[2])]
    return any(value == folder or value.startswith(folder + "/") for value in values)


def give_back_memory(data: Path) -> None:
    """Remove the shared memory that a killed server on the data folder `data` has left behind (Linux).

    PostgreSQL keeps a small segment as a sign that it is running. A server that is killed cannot remove it, and one
    whose folder no longer exists is never started again to do so.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        # Its first line is the server's number, its seventh the key and the number of the segment.
        lines = (data / "postmaster.pid").read_text().splitlines()
        server, segment = lines[0].strip(), lines[6].split()[1]
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            fields = line.split()  # key, shmid, perms, size, cpid, lpid, nattch …
            if (fields[1], fields[4], fields[6]) == (segment, server, "0"):
                import ctypes

                ctypes.CDLL(None).shmctl(int(segment), 0, None)  # 0: IPC_RMID


def _command_lines(text: str) -> list[tuple[int, list[str]]]:
    """The processes with `text` in their command line, and its arguments."""
    names, wanted = _numbered(), os.fsencode(text)
    if not names:
        listing = subprocess.run(
            ["/bin/ps", "-ax", "-ww", "-o", "pid=", "-o", "command="],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        ).stdout
        words = [line.split() for line in listing.splitlines()]
        return [(int(line[0]), line[1:]) for line in words if line]
    found = []
    for name in names:
        raw = _of_process(name, "cmdline")
        if wanted in raw:
            found.append((int(name), os.fsdecode(raw).split("\0")))
    return found


def _of_process(name: str, file: str) -> bytes:
    """What the system tells in `file` of a process; nothing where it has ended or is somebody else's."""
    try:
        with open(f"/proc/{name}/{file}", "rb", buffering=0) as told:  # noqa: PTH123 - for hundreds of processes
            return told.readall()
    except OSError:
        return b""


def _clear_folder(path: str, reviewer: int) -> None:
    end_processes_on(path, spare=reviewer)
    give_back_memory(Path(path, "data"))
    for _ in range(3):  # a process that has just ended may have written one more file
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # a file, or a link
            os.unlink(path)  # noqa: PTH108 - as above
        if not os.path.lexists(path):
            return
        time.sleep(0.05)


def _kill_group(pgid: int, started: str) -> None:
    # A pid that now belongs to a younger process is not ours. A group whose leader has exited still is: the
    # system does not reuse the number of a group.
    if started and start_time(pgid) not in {"", started}:
        return
    if pgid <= 0:  # it had not been started
        return
    with contextlib.suppress(OSError):
        os.killpg(pgid, signal.SIGKILL)
    deadline = time.monotonic() + GIVE_UP_AFTER / 2
    while time.monotonic() < deadline and _group_lives(pgid):
        time.sleep(0.005)


def marked(mark: str) -> list[int]:
    """The processes that were started with `mark` in their environment, also those that left their group (Linux)."""
    found, wanted = [], os.fsencode(mark)
    for name in _numbered() if mark else []:
        raw = _of_process(name, "environ")
        if wanted in raw and wanted in raw.split(b"\0"):
            found.append(int(name))
    return found


def kill_marked(mark: str) -> None:
    """End the processes that were started with `mark` in their environment, and see that none is left."""
    # Processes that are started while we look are found in the next round.
    for _ in range(10):
        found = [pid for pid in marked(mark) if _stat(pid)[:1] not in ([], ["Z"])]
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.01)


# These two need libraries of the reviewer's environment, which the guardian itself does without.
_DROP_DATABASE = """
import json, sys, time
import psycopg
from psycopg import sql
wanted = json.load(sys.stdin)
with psycopg.connect(wanted["conninfo"], autocommit=True, connect_timeout=5) as connection:
    name = sql.Identifier(wanted["name"])
    creating = "CREATE DATABASE " + name.as_string(connection)
    # A server that is busy making it does not notice that nobody waits for it any more.
    for _ in range(50):
        busy = "SELECT 1 FROM pg_catalog.pg_stat_activity WHERE state = 'active' AND pg_catalog.starts_with(query, %s)"
        if connection.execute(busy, [creating]).fetchone() is None:
            break
        time.sleep(0.1)
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
"""
_DROP_ROLE = """
import json, sys
import psycopg
from psycopg import sql
wanted = json.load(sys.stdin)
with psycopg.connect(wanted["conninfo"], autocommit=True, connect_timeout=5) as connection:
    asked = "SELECT rolname FROM pg_catalog.pg_roles WHERE oid = %s"
    found = connection.execute(asked, [int(wanted["oid"])]).fetchone()
    if found is not None:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(found[0])))
"""
_REMOVE_CONTAINER = """
import json, sys
import docker
docker.from_env().containers.get(json.load(sys.stdin)["id"]).remove(force=True, v=True)
"""


def _with_libraries(code: str, wanted: dict[str, str]) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        # The connection string holds a password: it goes over standard input, where `ps` does not see it.
        subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(wanted).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=GIVE_UP_AFTER,
            check=False,
        )


def _clear_up(thing: dict[str, str], reviewer: int) -> None:
    kind = thing["kind"]
    if kind == "folder":
        _clear_folder(thing["path"], reviewer)
    elif kind == "group":
        _kill_group(int(thing["pgid"]), thing["started"])
        kill_marked(thing["mark"])
    elif kind == "database":
        _with_libraries(_DROP_DATABASE, thing)
    elif kind == "role":
        _with_libraries(_DROP_ROLE, thing)
    elif kind == "container":
        _with_libraries(_REMOVE_CONTAINER, thing)


def _watch_over_the_pipe() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    reviewer = os.getppid()
    watched: dict[str, None] = {}
    for line in sys.stdin.buffer:
        try:
            message = json.loads(line)
        except ValueError:  # the reviewer was killed within the line
            break
        if "watch" in message:
            watched[message["watch"]] = None
        else:
            watched.pop(message["forget"], None)
    things = [json.loads(thing) for thing in watched]
    # Clients first, then what they were connected to.
    things.sort(key=lambda thing: ["group", "database", "role", "container", "folder"].index(thing["kind"]))
    for thing in things:
        with contextlib.suppress(Exception):  # one thing that cannot be cleared up must not keep the others
            _clear_up(thing, reviewer)
    # Nothing here needs the interpreter's slow shutdown.
    os._exit(0)


if __name__ == "__main__":
    _watch_over_the_pipe()
