"""How many rows of the base state the migrations see, where row-level security applies to the owner of a table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reviewer.recording import Catalogue, HiddenRows, Table
from reviewer.sql.names import Name, quoted

if TYPE_CHECKING:
    from psycopg import Connection
    from typing_extensions import LiteralString

_FORCED: LiteralString = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relrowsecurity AND c.relforcerowsecurity
"""
_MOST = 50
"""The most tables that are counted."""


def exempt(connection: Connection[tuple[object, ...]]) -> tuple[Name, ...]:
    """Return the tables that force row-level security, if the role of `connection` is not subject to it."""
    return tuple(
        Name(str(name), str(schema))
        for schema, name in connection.execute(
            f"{_FORCED} AND EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = current_user"
            " AND (r.rolsuper OR r.rolbypassrls))"
        )
    )


@contextlib.contextmanager
def set_aside(connection: Connection[tuple[object, ...]]) -> Iterator[None]:
    """Let row-level security not apply within this context to the role of `connection`, where it owns the tables."""
    import psycopg

    tables = [Name(str(name), str(schema)).sql for schema, name in connection.execute(_FORCED)]
    changed = []
    for table in tables:
        with contextlib.suppress(psycopg.Error):
            connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY".encode())
            changed.append(table)
    try:
        yield
    finally:
        for table in changed:
            connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY".encode())


def hidden(connection: Connection[tuple[object, ...]], catalogue: Catalogue, role: str) -> tuple[HiddenRows, ...]:
    """Return the tables of `catalogue` that force row-level security and do not show all rows to `role`, their
    owner.
    """
    forced = {Name(str(name), str(schema)) for schema, name in connection.execute(_FORCED)}
    found = []
    for table in [each for each in catalogue.tables if each.rows and each.name in forced][:_MOST]:
        seen = _seen(connection, table, role)
        if seen is not None and seen < table.rows:
            found.append(HiddenRows(table.name, table.rows, seen))
    return tuple(found)


def _seen(connection: Connection[tuple[object, ...]], table: Table, role: str) -> int | None:
    """Return how many rows of `table` the role sees; None if PostgreSQL rejects the query, as it rejects a policy
    that reads a setting which nobody sets.
    """
    import psycopg

    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"SET LOCAL ROLE {quoted(role)}".encode())
            row = connection.execute(f"SELECT pg_catalog.count(*) FROM {table.name.sql}".encode()).fetchone()
    except psycopg.Error:
        return None
    return int(str(row[0])) if row else None
