"""Detects a migration that waits for itself: one connection of a run holds a lock that another one waits for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reviewer.errors import ServerError

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

_WAITS = """
SELECT w.pid, b.pid, w.query, b.query
FROM pg_catalog.pg_stat_activity w
CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS p (pid)
JOIN pg_catalog.pg_stat_activity b ON b.pid = p.pid
WHERE w.datname = %s AND b.datname = w.datname AND w.wait_event_type = 'Lock' AND b.state LIKE 'idle in transaction%%'
"""


class Blockade:
    """Checks, while no event arrives from the runner, whether the migration waits for itself, and ends the wait if
    so.
    """

    def __init__(self, server: RunningServer, database: str) -> None:
        self._server = server
        self._database = database
        self._seen: set[tuple[int, int]] = set()

    def __call__(self) -> str | None:
        import psycopg

        with contextlib.suppress(psycopg.Error, ServerError), self._server.connect(self._database) as connection:
            waits = connection.execute(_WAITS, (self._database,)).fetchall()
            now = {(int(str(row[0])), int(str(row[1]))) for row in waits}
            again = now & self._seen
            self._seen = now
            for blocked, blocker, query, holder in waits:
                if (blocked, blocker) in again:
                    connection.execute("SELECT pg_catalog.pg_cancel_backend(%s)", (blocked,))
                    # what we ask after each statement says nothing to the reader
                    after = "" if "alembic_reviewer_" in str(holder) else f" after `{_short(str(holder))}`"
                    return (
                        f"`{_short(str(query))}` on one connection waits for a lock that another connection of the same"
                        f" run holds, which is idle in its transaction{after}"
                    )
        return None


def _short(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= 100 else text[:99] + "…"
