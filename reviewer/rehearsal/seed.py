"""Rows of the project's own: a command of the project's that writes them into the base state.

It is code of the project's, started as env.py is: with an ordinary environment without secrets, in a group of its
own, for a limited time, and with all that it has started it is ended.
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
"""Bytes of its output that are looked at."""


def variables(address: Address, database: str, url: str) -> dict[str, str]:
    """How the command finds the throw-away database: a URL, and what psql and every libpq driver go by."""
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
    """Run `command` in `directory` to its end; what it prints is kept in `folder` until then.

    Raises `UsageError` where it cannot be started, `CannotReview` where it fails or does not end within `seconds`.
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
