"""Imports what a migration environment needs, and forks for each client: `server.py SOCKET`. Ends with its input."""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import types
from typing import Any

import alembic
import alembic.autogenerate
import alembic.command
import alembic.config
import alembic.environment
import alembic.migration
import alembic.script
import psycopg
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.ext.declarative
import sqlalchemy.orm

WARM = (alembic, psycopg, sqlalchemy)
_COMPILED: dict[str, types.CodeType] = {}


def main() -> None:
    """Serve until standard input ends."""
    here = list(sys.path)[1:]
    wake, wakes = socket.socketpair()
    for each in (wake, wakes):
        each.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(sys.argv[1])
    listening.listen(64)
    gc.freeze()
    clients: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for ours in (sys.stdin.buffer, wake, listening):
            selector.register(ours, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin.buffer:
                    for pid in clients:
                        end(pid)
                    return
                if key.fileobj is wake:
                    wake.recv(4096)
                    reap(clients, selector)
                elif key.fileobj is listening:
                    connection, _ = listening.accept()
                    wanted, descriptors = read(connection)
                    if wanted is None:
                        connection.close()
                        continue
                    pid = os.fork()
                    if pid == 0:
                        held = [wake, wakes, listening, connection, *clients.values()]
                        selector.close()
                        become(wanted, descriptors, held, here)
                    for descriptor in descriptors:
                        os.close(descriptor)
                    clients[pid] = connection
                    selector.register(connection, selectors.EVENT_READ, pid)
                elif key.data in clients:  # the client was killed: what it stands for goes too
                    end(key.data)
                    selector.unregister(key.fileobj)


def read(connection: socket.socket) -> "tuple[dict[str, Any] | None, list[int]]":
    """What a client wants, and its descriptors."""
    head, descriptors, _, _ = socket.recv_fds(connection, 8, 64)
    text, length = b"", int.from_bytes(head, "big")
    while len(text) < length:
        more = connection.recv(1 << 20)
        if not more:
            break
        text += more
    if not head or len(text) < length:
        for descriptor in descriptors:
            os.close(descriptor)
        return None, []
    wanted: dict[str, Any] = json.loads(text.decode("utf-8", "surrogateescape"))
    return wanted, descriptors


def reap(clients: "dict[int, socket.socket]", selector: selectors.DefaultSelector) -> None:
    """Tell the clients of the forks that have ended how they did."""
    for pid in list(clients):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            connection = clients.pop(pid)
            if connection in {key.fileobj for key in selector.get_map().values()}:
                selector.unregister(connection)
            try:
                connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            except OSError:
                pass  # it was killed
            connection.close()


def end(pid: int) -> None:
    """End a fork with its group."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def become(
    wanted: "dict[str, Any]", descriptors: "list[int]", held: "list[socket.socket]", path: "list[str]"
) -> None:
    """Be the process that the client was started as, and end as it does."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    numbers = list(wanted["descriptors"])
    above = max([*numbers, *descriptors, *(each.fileno() for each in held)]) + 1
    for each in held:
        each.close()
    for position, descriptor in enumerate(descriptors):
        os.dup2(descriptor, above + position)
        os.close(descriptor)
    for position, number in enumerate(numbers):
        os.dup2(above + position, number)
        os.close(above + position)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    script = wanted["arguments"][0]
    sys.argv[:] = wanted["arguments"]
    added = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:] = [os.path.dirname(os.path.abspath(script)), *added, *path]
    module = types.ModuleType("__main__")
    module.__file__ = script
    sys.modules["__main__"] = module
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    exec(code, module.__dict__)
    sys.exit(0)


main()
