"""Statements that were prepared before the upgrade and run after it, as with drivers that prepare statements
automatically.

PostgreSQL keeps running them unless the types of the columns that they return have changed: `cached plan must not
change result type`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from reviewer.recording import Catalogue, Table
from reviewer.sql.names import Name, quoted

if TYPE_CHECKING:
    from psycopg import Connection

_MOST_TABLES = 300
_CHANGED_RESULT = "0A000"


class HeldPlans:
    """A session that has prepared a SELECT of all columns for every table. It holds no lock and no snapshot."""

    def __init__(self, connection: Connection[tuple[object, ...]], catalogue: Catalogue) -> None:
        self._connection = connection
        self._tables = [t for t in catalogue.tables if t.kind in {"table", "partitioned table"} and t.columns]
        del self._tables[_MOST_TABLES:]
        text = ";".join(_prepare(number, table) for number, table in enumerate(self._tables))
        # one round trip, and one transaction that has ended when it returns
        if text and connection.pgconn.exec_(text.encode()).status != 1:
            self._tables = []

    def stale(self) -> tuple[Name, ...]:
        """Return the tables whose prepared SELECT PostgreSQL now rejects, because it would return other types."""
        import psycopg

        found = []
        for number, table in enumerate(self._tables):
            try:
                self._connection.execute(f"EXECUTE plan_{number}".encode())
            except psycopg.OperationalError:
                return ()
            except psycopg.Error as error:
                if error.sqlstate == _CHANGED_RESULT:
                    found.append(table.name)
        return tuple(found)

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(Exception):
            self._connection.close()


def _prepare(number: int, table: Table) -> str:
    columns = ", ".join(quoted(column.name) for column in table.columns)
    return f"PREPARE plan_{number} AS SELECT {columns} FROM {table.name.sql} LIMIT 1"
