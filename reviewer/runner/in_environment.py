"""Runs revisions in the project's own interpreter and reports what each statement did.

This file is started BY PATH in the project's environment and loads the files in its folder by path too; the
reviewer never imports any of them. They MUST work with nothing but the standard library and the project's own
Alembic (>= 1.7) and SQLAlchemy (>= 1.4), on Python >= 3.8. They decide nothing, judge nothing and format nothing.

    channel         the channel to the reviewer         commands        one method for each command
    env_py          runs a prepared env.py              rendering       revisions as SQL, without a database
    sources         which lines are the migrations'     failures        what went wrong, in the protocol's terms
    redirection     where connections lead              causes          what an exception says, and why
    observation     looks after each statement          relations       what the server reports about relations
    drivers         what differs between drivers        limits          how much is reported
    models          what the project's models contain   (loaded on demand)
    timing          how long each line takes          fork_server     (loaded on demand)
    pauses          how long revisions sleep

It speaks the protocol of `reviewer/rehearsal/protocol.py`, over the socket whose descriptor number is argv[1]. With
`forks` as argv[2], it is a fork server instead, argv[1] the socket of its requests, and argv[3] the driver that the
project's URL names, or empty.

What is expected to go wrong (no env.py, a missing module, a migration that raises) is a `failed` event with a kind.
If the process ends without `done` or `failed`, the migration ended it.

Nothing that the project prints reaches the socket: standard output is not used for events.
"""

from __future__ import annotations

import sys

sys.path.pop(0)  # our own folder: the project must not import from it

import faulthandler
import os
import signal
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from reviewer.runner.channel import Channel
    from reviewer.runner.commands import Runner


PROTOCOL = 2


def beside(name: str) -> ModuleType:
    """Load a module from a file in this folder, under a name that the project cannot use."""
    from importlib.util import module_from_spec, spec_from_file_location

    whole = "_alembic_reviewer_" + name
    if whole not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
        spec = spec_from_file_location(whole, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[whole] = module
    return sys.modules[whole]


for each in (
    "causes",
    "limits",
    "timing",
    "redirection",
    "drivers",
    "relations",
    "observation",
    "pauses",
    "channel",
    "sources",
    "failures",
    "env_py",
    "rendering",
    "commands",
):
    beside(each)


@lru_cache(maxsize=None)
def versions() -> dict[str, Any]:
    """The versions of what matters here. A fork reports what its server has found: to look takes longer than to fork."""
    found: dict[str, Any] = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "drivers": {},
    }
    try:
        from importlib.metadata import PackageNotFoundError, version
    except ImportError:
        return found
    for package, key in (
        ("alembic", None),
        ("sqlalchemy", None),
        ("psycopg", "psycopg"),
        ("psycopg2", "psycopg2"),
        ("psycopg2-binary", "psycopg2"),
        ("asyncpg", "asyncpg"),
        ("pg8000", "pg8000"),
    ):
        try:
            number = version(package)
        except PackageNotFoundError:
            continue
        if key:
            found["drivers"][key] = number
        else:
            found[package] = number
    return found


def main(number: int) -> None:
    channel: Channel = beside("channel").Channel(number)
    setup = channel.receive()
    if setup is None:
        return
    channel.seal = setup.pop("seal")
    channel.emit(event="hello", protocol=PROTOCOL, pid=os.getpid(), **versions())
    # the project's output goes where the reviewer directed it at the start; nothing is read from a terminal
    sys.dont_write_bytecode = True
    if setup.get("stack_file"):
        stack = open(setup["stack_file"], "w")  # noqa: SIM115 - open until the process ends
        if hasattr(signal, "SIGUSR1"):
            faulthandler.register(signal.SIGUSR1, file=stack, all_threads=True)
    os.chdir(setup["directory"])
    runner: Runner = beside("commands").Runner(channel, setup, beside)
    try:
        import alembic  # noqa: F401  (the import tests whether it is installed)
        import sqlalchemy  # noqa: F401

        runner.install()
    except ImportError as error:
        channel.emit(
            event="failed", kind="import", message=beside("causes").told(error), path=None, line=None, fatal=True
        )
        return
    channel.emit(event="ready")
    while True:
        command = channel.receive()
        if command is None or command["do"] == "quit":
            break
        try:
            runner.run(command)
        except BaseException as error:
            runner.failed(error)
    sys.stdout.flush()
    os._exit(0)  # threads and event loops that the project has left running must not delay the exit


if __name__ == "__main__":
    if sys.argv[2:3] == ["forks"]:
        beside("fork_server").serve(int(sys.argv[1]), main, versions, sys.argv[3])
    else:
        main(int(sys.argv[1]))
