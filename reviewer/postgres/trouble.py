"""What our own sessions were refused, in a sentence: migrations may do to the server whatever a superuser may."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reviewer.errors import ServerError

_OURS = ("42601", "42703", "42P01", "42883", "42804", "22")
"""Beginnings of SQLSTATEs that tell of a mistake in what we have asked, which is to be seen as one."""


@contextmanager
def told() -> Iterator[None]:
    """Turns a refusal by the throw-away server that nobody has expected into a `ServerError`."""
    try:
        yield
    except Exception as error:
        # Not loaded, or still being loaded by another thread: there was no session.
        refusal = getattr(sys.modules.get("psycopg"), "Error", None)
        if refusal is None or not isinstance(error, refusal):
            raise
        state = getattr(error, "sqlstate", None) or ""
        if state.startswith(_OURS):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ServerError(
            f"The throw-away server does not answer us any more: {lines[0].rstrip('.')}.",
            "See what the revisions change for the server, the database or its roles.",
        ) from error
