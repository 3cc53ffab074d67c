"""Turns errors of our own sessions into one sentence: migrations can do anything to the server that a superuser
can.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reviewer.errors import ServerError

NO_EXTENSION = re.compile(r'extension "([^"]+)" is not available|/extension/([^/"]+)\.control')
"""What PostgreSQL says of an extension that it does not have; one of the groups is its name."""
_OURS = ("42601", "42703", "42P01", "42883", "42804", "22")
"""Prefixes of SQLSTATEs that indicate a mistake in our own query, which must surface as a bug."""


@contextmanager
def told() -> Iterator[None]:
    """Turn an unexpected error of the throw-away server into a `ServerError`."""
    try:
        yield
    except Exception as error:
        # psycopg is not loaded, or still being loaded by another thread, so there was no session.
        refusal = getattr(sys.modules.get("psycopg"), "Error", None)
        if refusal is None or not isinstance(error, refusal):
            raise
        state = getattr(error, "sqlstate", None) or ""
        if state.startswith(_OURS):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ServerError(
            f"The throw-away server no longer responds: {lines[0].rstrip('.')}.",
            "Check what the revisions change on the server, the database or its roles.",
        ) from error
