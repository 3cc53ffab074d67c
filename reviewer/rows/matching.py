"""Rows that a WHERE takes: some of the generated rows are made to hold what it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reviewer.rows import shape
from reviewer.rows.worst import each_by_itself
from reviewer.sql.names import Name, quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from reviewer.sql.matching import Match

_MOST = 100
_SHARE = 2
"""One row of so many may be changed: the others stay ordinary."""


def make(connection: Connection[tuple[object, ...]], tables: Iterable[Name], matches: Iterable[Match]) -> None:
    """Let one generated row of `tables` be such as each of `matches` asks for, unless there is one already.

    If PostgreSQL rejects it, because the schema does not allow such a row, the row stays as it is.
    """
    wanted = list(dict.fromkeys(matches))[:_MOST]
    if not wanted:
        return
    names = list(tables)
    schema = shape.read(connection, [each.table for each in wanted])
    done: dict[Name, int] = {}
    statements = []
    for each in wanted:
        table = next(
            (
                table
                for table in schema.tables
                if table.name.matches(each.table) and any(name.matches(table.name) for name in names)
            ),
            None,
        )
        if table is None or table.partitioned:
            continue
        asked = {column for column, _ in each.values}
        if not each.by_key and any(asked.issuperset(key) for key in table.unique):
            continue
        there = {field.name for field in table.fields if field.generated is None}
        values = [(quoted(column), value) for column, value in each.values if column in there]
        if values:
            position = done.get(table.name, 0)
            done[table.name] = position + 1
            statements.append(_statement(table.name.sql, values, position))
    if statements:
        with connection.transaction():
            connection.execute("SET LOCAL client_min_messages = error")
            connection.execute("SET LOCAL statement_timeout = '5s'")
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            connection.execute(each_by_itself(statements).encode())


def _statement(table: str, values: Iterable[tuple[str, str]], position: int) -> str:
    """An updated row moves to the end, so the last one that is still as it was comes after those."""
    sets = ", ".join(f"{column} = {value}" for column, value in values)
    there = " AND ".join(
        f"{column} IS NULL" if value == "NULL" else f"{column} IS NOT DISTINCT FROM {value}"
        for column, value in values
    )
    row = f"SELECT ctid FROM ONLY {table} ORDER BY ctid DESC LIMIT 1 OFFSET {position}"
    few = f"(SELECT pg_catalog.count(*) FROM ONLY {table}) >= {_SHARE} * {position + 1}"
    return f"UPDATE ONLY {table} SET {sets} WHERE ctid = ({row}) AND {few} AND NOT EXISTS (SELECT FROM ONLY {table} WHERE {there})"
