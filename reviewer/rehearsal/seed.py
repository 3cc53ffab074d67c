"""The seed command: a command of the project that writes the project's own rows into the base state.

It is the project's code and starts as env.py does: with an ordinary environment without secrets, in its own process
group, for a limited time. It is ended together with everything that it has started.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from reviewer.errors import CannotReview, UsageError
from reviewer.host.guardian import MARK, Guardian
from reviewer.rehearsal.interpreter import end

if TYPE_CHECKING:
    from reviewer.postgres import Address

_TAIL = 4000
"""Bytes at the end of the command's output that are read."""


def variables(address: Address, database: str, url: str) -> dict[str, str]:
    """Return the variables that lead the command to the throw-away database: a URL, and those of psql and all libpq
    drivers.
    """
    found = {
        "DATABASE_URL": url,
        "PGHOST": address.host,
        "PGPORT": str(address.port),
        "PGUSER": address.user,
        "PGDATABASE": database,
    }
    return found | ({"PGPASSWORD": address.password} if address.password else {})


def run(
    command: str, directory: Path, environ: Mapping[str, str], seconds: float, guardian: Guardian, folder: Path
) -> None:
    """Run `command` in `directory` until it ends or `seconds` have passed. Its output is kept in `folder` until
    then.

    Raises `UsageError` if it cannot be started, and `CannotReview` if it fails or does not end in time.
    """
    token = secrets.token_hex(12)
    with tempfile.TemporaryFile(dir=folder) as output:
        try:
            process, watched = guardian.start(
                shlex.split(command),
                environ,
                token,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(
                f"The seed command `{command}` cannot be started in {directory}: {why}.",
                "--seed-command takes a program and its arguments; for a pipe or a variable, use `sh -c '…'`.",
            ) from None
        try:
            status: int | None = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(max(seconds, 0))
        finally:
            end(process, f"{MARK}={token}")
            guardian.forget(watched)
        if status is None:
            raise CannotReview(
                f"The seed command `{command}` did not end in time{_last_words(output)}.",
                "Give it more time with --timeout SECONDS, or check what it waits for.",
            )
        if status:
            raise CannotReview(
                f"The seed command `{command}` ended with status {status}{_last_words(output)}.",
                "It runs in the project's folder, and finds the throw-away database at DATABASE_URL and with psql's own"
                " variables; give it others with --env NAME={url}.",
            )


def _last_words(output: BinaryIO) -> str:
    size = output.seek(0, 2)
    output.seek(max(size - _TAIL, 0))
    lines = [line.strip() for line in output.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return f": {lines[-1].rstrip('.')}" if lines else ""
