"""An interpreter that has imported Alembic and SQLAlchemy already, for tests that are not about how it starts.

Importing them takes longer than most rehearsals. One process imports them once and forks for each command that is
started; the command is a small client, which hands over its descriptors, arguments, folder and environment, and ends
as the fork does.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_FOLDER = Path(__file__).parent


@contextlib.contextmanager
def interpreter() -> Iterator[tuple[str, ...]]:
    """The command of such an interpreter, which is of use as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="warm-") as name:
        address = Path(name) / "socket"
        # it ends when its standard input does, so it goes with us however we end
        process = subprocess.Popen(
            [sys.executable, str(_FOLDER / "server.py"), str(address)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("the warm interpreter did not start")
            yield sys.executable, "-I", "-S", str(_FOLDER / "client.py"), str(address)
        finally:
            process.stdin.close()
            process.wait(60)
            process.stdout.close()


@functools.cache
def command() -> tuple[str, ...]:
    """The command of one that lasts as long as this process."""
    import atexit

    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(interpreter())
