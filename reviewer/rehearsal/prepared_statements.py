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
    from typing_extensions import LiteralString

_MOST_TABLES = 300
_EXECUTE_ALL = """
DO $$ DECLARE alembic_reviewer_number int; BEGIN
    PERFORM pg_catalog.set_config('alembic_reviewer.stale', '', false);
    FOR alembic_reviewer_number IN 0 .. LAST LOOP
        BEGIN
            EXECUTE pg_catalog.concat('EXECUTE plan_', alembic_reviewer_number);
        EXCEPTION
            WHEN feature_not_supported THEN PERFORM pg_catalog.set_config('alembic_reviewer.stale', pg_catalog.concat(
                pg_catalog.current_setting('alembic_reviewer.stale'), ' ', alembic_reviewer_number), false);
            WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END $$
"""
"""Executes each by itself, in one round trip. PostgreSQL rejects one that would return other types as not supported."""
_TOLD: LiteralString = "SELECT pg_catalog.current_setting('alembic_reviewer.stale')"


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

        if not self._tables:
            return ()
        try:
            self._connection.execute(_EXECUTE_ALL.replace("LAST", str(len(self._tables) - 1)).encode())
            row = self._connection.execute(_TOLD).fetchone()
        except psycopg.Error:
            return ()
        return tuple(self._tables[int(number)].name for number in str(row[0] if row else "").split())

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(Exception):
            self._connection.close()


def _prepare(number: int, table: Table) -> str:
    columns = ", ".join(quoted(column.name) for column in table.columns)
    return f"PREPARE plan_{number} AS SELECT {columns} FROM {table.name.sql} LIMIT 1"
