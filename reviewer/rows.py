"""Rows for the base state: legal ones, so that what fails on rows in production fails in the rehearsal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reviewer.names import Name, quoted
from reviewer.recording import Catalogue, Column, Skipped, Table

if TYPE_CHECKING:
    from psycopg import Connection

# For `format_type` without its length: an SQL expression for row number g. Distinct for distinct g where the
# type allows it.
_VALUES = {
    "smallint": "g::smallint",
    "integer": "g::int",
    "bigint": "g::bigint",
    "numeric": "g::numeric",
    "real": "g::real",
    "double precision": "g::float8",
    "money": "g::money",
    "boolean": "g % 2 = 0",
    "text": "'row ' || g",
    "citext": "'row ' || g",
    "name": "('row' || g)::name",
    "character varying": "'r' || g",
    "character": "'r' || g",
    '"char"': "'a'",
    "bytea": "decode(lpad(to_hex(g), 8, '0'), 'hex')",
    "uuid": "md5(g::text)::uuid",
    "date": "date '2024-01-01' + g",
    "timestamp without time zone": "timestamp '2024-01-01' + g * interval '1 hour'",
    "timestamp with time zone": "timestamptz '2024-01-01 00:00:00+00' + g * interval '1 hour'",
    "time without time zone": "time '00:00' + g * interval '1 second'",
    "time with time zone": "timetz '00:00+00' + g * interval '1 second'",
    "interval": "g * interval '1 minute'",
    "json": "json_build_object('row', g)",
    "jsonb": "jsonb_build_object('row', g)",
    "inet": "inet '10.0.0.0' + g",
    "cidr": "set_masklen(inet '10.0.0.0' + g, 32)::cidr",
    "macaddr": "('08:00:2b:01:' || lpad(to_hex(g / 256), 2, '0') || ':' || lpad(to_hex(g % 256), 2, '0'))::macaddr",
    "xml": "xmlparse(content '<row>' || g || '</row>')",
    "tsvector": "to_tsvector('simple', 'row ' || g)",
    "tsquery": "to_tsquery('simple', 'row')",
    "point": "point(g, g)",
    "int4range": "int4range(g, g + 1)",
    "int8range": "int8range(g, g + 1)",
    "numrange": "numrange(g, g + 1)",
    "daterange": "daterange(date '2024-01-01' + g, date '2024-01-02' + g)",
    "tsrange": "tsrange(timestamp '2024-01-01' + g * interval '1 hour', timestamp '2024-01-01' + (g + 1) * interval '1 hour')",
    "tstzrange": "tstzrange(timestamptz '2024-01-01' + g * interval '1 hour', timestamptz '2024-01-01' + (g + 1) * interval '1 hour')",
    "hstore": "hstore('row', g::text)",
    "oid": "g::oid",
}


@dataclass(frozen=True)
class Filled:
    """What `fill` did."""

    catalogue: Catalogue
    """With the number of rows of each table."""
    tables: tuple[Name, ...]
    """Tables that hold rows of ours; all of them were empty before."""
    skipped: tuple[Skipped, ...]
    """Tables that took no row, each with the reason."""


def fill(
    connection: Connection[tuple[object, ...]], catalogue: Catalogue, rows: int, version_table: str = "alembic_version"
) -> Filled:
    """Put up to `rows` rows into every table that has none.

    Tables are filled parents first. A table that takes no row of ours is tried again with fewer columns, and if it
    still takes none it is told as skipped, with PostgreSQL's reason.
    """
    tables = [t for t in catalogue.tables if t.kind in {"table", "partitioned table"} and t.name.name != version_table]
    counts: dict[Table, int] = {}
    filled: list[Name] = []
    skipped: list[Skipped] = []
    for table in _parents_first(tables):
        counts[table] = _count(connection, table)
        if counts[table] or not rows or table.partition_of is not None:
            continue
        reason = _fill_table(connection, catalogue, table, rows)
        counts[table] = _count(connection, table)
        if counts[table]:
            filled.append(table.name)
        else:
            skipped.append(Skipped(f"rows of table {table.name}", reason or "no row of ours fits"))
    with_counts = tuple(replace(table, rows=counts.get(table, 0)) for table in catalogue.tables)
    return Filled(replace(catalogue, tables=with_counts), tuple(filled), tuple(skipped))


def take_out(connection: Connection[tuple[object, ...]], tables: Iterable[Name]) -> None:
    """Remove all rows of `tables` again, firing no trigger and following no foreign key."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            connection.execute(f"DELETE FROM {table.sql}")


def _fill_table(
    connection: Connection[tuple[object, ...]], catalogue: Catalogue, table: Table, rows: int
) -> str | None:
    import psycopg

    reason = None
    for number, required_only in ((rows, False), (1, False), (rows, True), (1, True)):
        columns = [c for c in table.columns if _wanted(c, required_only)]
        try:
            statement = _insert(catalogue, table, columns, number)
            with connection.transaction():
                connection.execute(statement)
        except psycopg.Error as error:
            reason = reason or error.diag.message_primary or str(error)
            continue
        return None
    return reason


def _insert(catalogue: Catalogue, table: Table, columns: Iterable[Column], number: int) -> str:
    names = ", ".join(quoted(column.name) for column in columns)
    values = ", ".join(_value(catalogue, table, column) for column in columns)
    target = table.name.sql
    if not names:
        return f"INSERT INTO {target} DEFAULT VALUES"
    return (
        f"INSERT INTO {target} ({names}) SELECT {values} FROM generate_series(1, {number}) g ON CONFLICT DO NOTHING"
    )


def _wanted(column: Column, required_only: bool) -> bool:
    if column.default is not None and ("nextval(" in column.default or required_only):
        return False
    return not (required_only and column.nullable)


def _value(catalogue: Catalogue, table: Table, column: Column) -> str:
    for constraint in table.constraints:
        if constraint.kind == "foreign key" and column.name in constraint.columns and constraint.referenced:
            return _reference(constraint.definition, constraint.columns.index(column.name), constraint.referenced.sql)
    return _plain(catalogue, column.type)


def _reference(definition: str, position: int, referenced: str) -> str:
    inside = definition.split("REFERENCES", 1)[1].split("(", 1)[1].split(")", 1)[0]
    key = inside.split(",")[position].strip()
    return (
        f"(SELECT {key} FROM {referenced} ORDER BY {key} OFFSET (g - 1) % greatest((SELECT count(*) FROM {referenced}), 1)"
        " LIMIT 1)"
    )


def _plain(catalogue: Catalogue, type_: str) -> str:
    base = type_.split("(")[0].strip()
    if type_.endswith("[]"):
        return f"ARRAY[{_plain(catalogue, type_[:-2])}]::{type_}"
    for suffix in (" without time zone", " with time zone"):
        if type_.endswith(suffix):
            base = type_.split("(")[0].strip().removesuffix(suffix) + suffix
    if base in _VALUES:
        value = _VALUES[base]
        if base in {"character varying", "character"} and "(" in type_:
            length = type_.split("(")[1].rstrip(")")
            value = f"right({value}, {length})"
        elif base == "numeric" and "(" in type_:
            precision, _, scale = type_.split("(")[1].rstrip(")").partition(",")
            whole = max(int(precision) - int(scale or 0), 0)
            value = f"(g % {10 ** min(whole, 9)})::numeric"
        return value
    for enum in catalogue.enums:
        if type_ in {str(enum.name), enum.name.sql, quoted(enum.name.name)}:
            labels = ", ".join("'" + label.replace("'", "''") + "'" for label in enum.labels)
            return f"(ARRAY[{labels}])[1 + g % {len(enum.labels)}]::{enum.name.sql}"
    return f"NULL::{type_}"


def _parents_first(tables: list[Table]) -> list[Table]:
    order: list[Table] = []
    waiting = list(tables)
    while waiting:
        placed = {table.name for table in order}
        ready = [t for t in waiting if all(r == t.name or r in placed for r in _referenced(t))]
        ready = ready or waiting[:1]  # a cycle: somebody has to be first
        order += ready
        waiting = [t for t in waiting if t not in ready]
    return order


def _referenced(table: Table) -> set[object]:
    return {c.referenced for c in table.constraints if c.kind == "foreign key" and c.referenced is not None}


def _count(connection: Connection[tuple[object, ...]], table: Table) -> int:
    import psycopg

    with contextlib.suppress(psycopg.Error):
        row = connection.execute(f"SELECT count(*) FROM {table.name.sql}").fetchone()
        return int(str(row[0])) if row else 0
    return 0
