"""Alembic's version table: the revisions that a database is at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reviewer.recording import Revision
from reviewer.rehearsal.reader import Run

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

_VERSION_TABLES = """
    SELECT pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = %s AND (%s::text IS NULL OR n.nspname = %s) AND c.relkind IN ('r', 'p')
"""


def stamped(server: RunningServer, database: str, run: Run) -> frozenset[str]:
    """Return the revisions that `database` is at after the command of `run`; empty if nothing was committed.

    If env.py sets `search_path`, for example to one schema per tenant, only its own connection knows the schema of
    the version table. Without a schema, every table of that name counts.
    """
    return versions(server, database, run.version_table, run.version_schema)


def versions(server: RunningServer, database: str, name: str, schema: str | None = None) -> frozenset[str]:
    """Return the revisions in the version table called `name`, or in every table of that name without a `schema`."""
    import psycopg

    found: set[str] = set()
    with server.look(database) as connection:
        for place, table in connection.execute(_VERSION_TABLES, (name, schema, schema)).fetchall():
            try:
                rows = connection.execute(f"SELECT version_num FROM {place}.{table}").fetchall()
            except psycopg.Error:
                connection.rollback()
            else:
                found |= {str(row[0]) for row in rows}
    return frozenset(found)


def step_back(server: RunningServer, database: str, table: str, revision: Revision) -> bool:
    """Put the version table of `database` back to before `revision`, without running anything. Returns whether that
    could be done: not where there are several heads, parents or tables.
    """
    import psycopg

    if len(revision.down_revisions) > 1 or revision.depends_on:
        return False
    with server.connect(database) as connection:
        tables = connection.execute(_VERSION_TABLES, (table, None, None)).fetchall()
        if len(tables) != 1:
            return False
        name = f"{tables[0][0]}.{tables[0][1]}"
        try:
            rows = connection.execute(f"SELECT version_num FROM {name}".encode()).fetchall()
            if rows != [(revision.id,)]:
                return False
            if revision.down_revisions:
                connection.execute(f"UPDATE {name} SET version_num = %s".encode(), [*revision.down_revisions])
            else:
                connection.execute(f"DELETE FROM {name}".encode())
        except psycopg.Error:
            return False
    return True
