"""What an application that knows only the base state sends: tried before the upgrade, and after each step of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psycopg

from reviewer.rehearsal import catalogue, row_comparison
from reviewer.rehearsal.catalogue_snapshot import Snapshot, take
from reviewer.rehearsal.row_comparison import Rows
from reviewer.rows import insertion, shape
from reviewer.rows.insertion import NoParents, Way
from reviewer.rows.shape import Schema, Shape
from reviewer.sql.names import VERSION_TABLE, quoted

Connection = psycopg.Connection[tuple[Any, ...]]

_FIRST = 7_000
"""Number of the row that is inserted: far from those that are there."""

_SEPARATE = 60
"""The most columns of one table that are updated one by one. A row with 1,500 columns makes each of them slow."""


class Left(Exception):
    """Raised by a watcher that has seen what it wants to see: the rehearsal need not go on."""


class Watcher:
    """Follows the databases of one rehearsal; nothing that it tries stays."""

    def __init__(self, leaves: bool = False) -> None:
        """`leaves`: end the rehearsal when all is deployed."""
        self._leaves = leaves
        self.left = False
        """Whether it has not seen the single steps."""
        self.sent: tuple[str, ...] = ()
        """Statements that the base state takes."""
        self.refused: dict[str, dict[str, str]] = {}
        """For each step PostgreSQL's words, by statement."""
        self.schema: Snapshot | None = None
        """What the database looks like when all is deployed; None where that failed."""
        self.base: tuple[Rows, ...] = ()
        """The rows before the upgrade."""
        self.rows: tuple[Rows, ...] = ()
        """The rows when all is deployed."""

    def before(self, connection: Connection) -> None:
        """Look at the base state."""
        self.base = rows_of(connection)
        every = tuple(_statements(connection))
        refused = tried(connection, every)
        self.sent = tuple(each for each in every if each not in refused)

    def stepped(self, connection: Connection, step: str) -> None:
        """Look at the state after `step`."""
        self.refused[step] = tried(connection, self.sent)

    def deployed(self, connection: Connection) -> None:
        """Look at the state in which all is deployed."""
        self.refused["all"] = tried(connection, self.sent)
        self.schema = take(connection)
        self.rows = rows_of(connection)
        if self._leaves:
            self.left = True
            raise Left


def rows_of(connection: Connection) -> tuple[Rows, ...]:
    """The rows of every table."""
    known = catalogue.read(connection)
    return row_comparison.read(connection, known, [t.name for t in known.tables if t.name.name != VERSION_TABLE])


def tried(connection: Connection, statements: Iterable[str]) -> dict[str, str]:
    """Those of the statements that PostgreSQL refuses, with its words."""
    refused = {}
    for each in statements:
        with connection.transaction(force_rollback=True):
            try:
                connection.execute(each.encode())
            except psycopg.Error as error:
                refused[each] = str(error).splitlines()[0]
    return refused


def _statements(connection: Connection) -> Iterator[str]:
    schema = shape.read(connection)
    tables = [table for table in schema.tables if table.name.name != VERSION_TABLE]
    counts = {table.oid: _count(connection, table) for table in tables}
    for table in tables:
        name = table.name.sql
        columns = ", ".join(quoted(field.name) for field in table.fields)
        if columns:
            yield f"SELECT {columns} FROM {name}"
        yield from _inserts(schema, table, counts)
        for field in table.fields[:_SEPARATE]:
            if field.generated is None and not field.sequence:
                column = quoted(field.name)
                yield f"UPDATE {name} SET {column} = {column}"
        yield f"DELETE FROM {name}"


def _inserts(schema: Schema, table: Shape, counts: Mapping[int, int]) -> Iterator[str]:
    """As written by code that sets every column, and by code that sets only what it must."""
    for required in (False, True):
        try:
            made = insertion.statement(schema, table, counts, Way(1, _FIRST, required_only=required))
        except NoParents:
            continue
        yield made.replace(" ON CONFLICT DO NOTHING", "")


def _count(connection: Connection, table: Shape) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table.name.sql}".encode()).fetchone()
    assert row is not None
    return int(row[0])
