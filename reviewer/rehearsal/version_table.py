"""What Alembic has written down in a database: the revisions that it is at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reviewer.rehearsal.reader import Run

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

_VERSION_TABLES = """
    SELECT pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = %s AND (%s::text IS NULL OR n.nspname = %s) AND c.relkind IN ('r', 'p')
"""


def stamped(server: RunningServer, database: str, run: Run) -> frozenset[str]:
    """The revisions that `database` is at, as the command of `run` has left it; empty where nothing was committed.

    An env.py that sets `search_path`, as for one schema for each tenant, has its version table in a schema that only its
    own connection knows: without a schema, every table of that name counts.
    """
    import psycopg

    found: set[str] = set()
    with server.connect(database) as connection:
        wanted = (run.version_table, run.version_schema, run.version_schema)
        for schema, table in connection.execute(_VERSION_TABLES, wanted).fetchall():
            try:
                rows = connection.execute(f"SELECT version_num FROM {schema}.{table}").fetchall()
            except psycopg.Error:
                connection.rollback()
            else:
                found |= {str(row[0]) for row in rows}
    return frozenset(found)
