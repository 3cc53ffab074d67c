"""Queries that several looks at a database repeat: the server plans each once in a session, which takes longer than
running it.

They are prepared with SQL. What psycopg prepares by itself, it forgets at every ROLLBACK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

_names: WeakKeyDictionary[Connection[tuple[object, ...]], dict[str, str]] = WeakKeyDictionary()
"""By session, what its prepared queries are called."""


def execute(
    connection: Connection[tuple[object, ...]], query: str, types: Sequence[str] = (), values: Sequence[object] = ()
) -> Cursor[tuple[object, ...]]:
    """Run `query` with `values`, which it calls `$1` and so on and which have these types."""
    from psycopg import sql

    known = _names.setdefault(connection, {})
    if query not in known:
        name = f"alembic_reviewer_{len(known) + 1}"
        taken = f"({', '.join(types)})" if types else ""
        connection.execute(f"PREPARE {name} {taken} AS {query}".encode())
        known[query] = name
    given = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values))) if values else sql.SQL("")
    return connection.execute(sql.SQL("EXECUTE {}").format(sql.Identifier(known[query])) + given)
