"""The longest texts that the schema allows, where the new revisions index them: an index has room for 2704 bytes of one
row, and takes more only if it can be compressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from reviewer.rows import candidates, shape, values
from reviewer.rows.shape import Shape
from reviewer.rows.worst import each_by_itself
from reviewer.sql import parse
from reviewer.sql.names import Name, quoted
from reviewer.sql.operations import AddPrimaryKey, AddUnique, CreateIndex

if TYPE_CHECKING:
    from psycopg import Connection

_ROOM = 2704
_LONGEST = 3000
_MIXED = """(SELECT pg_catalog.left(pg_catalog.string_agg(pg_catalog.translate(pg_catalog.encode(
    pg_catalog.sha256(n::text::bytea), 'base64'), E'\\n=', ''), ''), {length}) FROM pg_catalog.generate_series(1, 80) n)"""
"""A text that cannot be compressed."""


def indexed(sql: str) -> Iterator[tuple[Name, str]]:
    """The tables of which a statement makes B-trees, and what these index."""
    for each in parse.parse(sql):
        match each:
            case CreateIndex(table=table, columns=columns, method=None | "btree", where=None):
                yield table, ", ".join(columns)
            case AddUnique(table=table, columns=columns) | AddPrimaryKey(table=table, columns=columns) if columns:
                yield table, ", ".join(columns)


def texts(
    connection: Connection[tuple[object, ...]], tables: Iterable[Name], indexes: Iterable[tuple[Name, str]]
) -> list[tuple[Shape, str, int]]:
    """The columns in `indexes` whose texts may be too long for one, and how long they may be; only of `tables`."""
    names, wanted = list(tables), list(dict.fromkeys(indexes))
    if not wanted:
        return []
    schema = shape.read(connection, [table for table, _ in wanted])
    found = {}
    for table in schema.tables:
        if table.partitioned or not any(name.matches(table.name) for name in names):
            continue
        about = " ".join(columns for name, columns in wanted if table.name.matches(name))
        mentioned = candidates.names_in(about, table)
        for field in table.fields:
            plain, text = values.base(schema, field)
            sizes = values.arguments(text)
            length = min(sizes[0], 2 * _LONGEST) if sizes else _LONGEST
            if field.name in mentioned and field.generated is None and values.is_text(plain) and length > _ROOM:
                found[table.oid, field.name] = (table, field.name, length)
    return list(found.values())


def make(connection: Connection[tuple[object, ...]], columns: Iterable[tuple[Shape, str, int]]) -> None:
    """Give one row the longest text in each of `columns`, unless the schema forbids it."""
    statements = [
        f"UPDATE ONLY {table.name.sql} SET {quoted(column)} = {_MIXED.format(length=length)}"
        f" WHERE ctid = (SELECT ctid FROM ONLY {table.name.sql} ORDER BY ctid LIMIT 1)"
        for table, column, length in columns
    ]
    with connection.transaction():
        connection.execute("SET LOCAL client_min_messages = error")
        connection.execute("SET LOCAL statement_timeout = '5s'")
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.execute(each_by_itself(statements).encode())
