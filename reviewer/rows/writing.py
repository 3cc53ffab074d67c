"""Writes what an application would write between an upgrade and a rollback: new rows, values in new columns, and
what only the upgraded schema allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING

from msgspec import Struct

from reviewer.recording import Change, Difference
from reviewer.rows import insertion, shape, values
from reviewer.rows.insertion import NoParents, Way
from reviewer.rows.shape import Field, Schema, Shape
from reviewer.sql.names import Name, quoted

if TYPE_CHECKING:
    from psycopg import Connection

_FIRST = 1001
_NEW_ROWS = 5


class Parent(Struct, frozen=True):
    """A row that is new, and a column of another table that can refer to it."""

    table: Name
    child: Name
    column: str
    value: str


def first_row(position: int) -> int:
    """Return the number of the first row that is written after the revision at `position`. Each revision has its
    own rows.
    """
    return _FIRST + position * _NEW_ROWS


def add(
    connection: Connection[tuple[object, ...]],
    schema: Schema,
    tables: Iterable[Name],
    differences: Iterable[Difference],
    first: int = _FIRST,
) -> bool:
    """Insert a few new ordinary rows into `tables`, numbered from `first`, and set new columns in half of the old
    rows. `schema` is what there is now.

    Returns whether anything was written.
    """
    loosened = {d.table for d in differences if _is_loosened(d)}
    wanted = [table for table in _wanted(schema, tables) if str(table.name) not in loosened]
    new = {(d.table, d.name) for d in differences if d.kind == "column" and d.change is Change.LEFT_BEHIND}
    done = False
    with connection.transaction():
        _prepare(connection)
        counts = counted(connection, schema, wanted)
        waiting = wanted
        for _ in range(3):  # new tables may refer to each other
            refused = []
            for table in waiting:
                if _add(connection, schema, table, counts, new, first):
                    counts[table.oid] = counts.get(table.oid, 0) + 1
                    done = True
                else:
                    refused.append(table)
            waiting = refused
    return done


def stretches(differences: Iterable[Difference]) -> bool:
    """Return whether an upgrade that changed the catalogue like this accepts values that were rejected before."""
    return any(
        (
            d.kind in {"column", "enum type"}
            and d.change is Change.CHANGED
            and d.aspect in {"not null", "type", "labels"}
        )
        or (
            d.kind == "constraint"
            and d.change is Change.MISSING
            and (d.after or "").startswith(("UNIQUE", "PRIMARY"))
        )
        or _is_loosened(d)
        for d in differences
    )


def _is_loosened(difference: Difference) -> bool:
    """Return whether a foreign key or a CHECK constraint was dropped, so that ordinary new rows can violate it."""
    return (
        difference.kind == "constraint"
        and difference.change is Change.MISSING
        and (difference.after or "").startswith(("FOREIGN KEY", "CHECK"))
    )


def stretch(
    connection: Connection[tuple[object, ...]],
    tables: Iterable[Name],
    differences: Iterable[Difference],
    first: int = _FIRST,
    parents: Iterable[Parent] = (),
) -> tuple[str, ...]:
    """Write what only the upgraded schema allows, and what refers to `parents`. `differences` say how the upgrade has
    changed it. New rows are numbered from `first`.

    Returns what was written, each as a noun phrase: "NULL in `users.age`".
    """
    schema = shape.read(connection)
    wanted = _wanted(schema, tables)
    told: list[str] = []
    with connection.transaction():
        _prepare(connection)
        for difference in differences:
            table = next((t for t in wanted if str(t.name) == difference.table), None)
            if table is not None:
                told += _stretch(connection, schema, table, difference, first)
            elif difference.kind == "enum type" and difference.change is Change.CHANGED:
                told += _new_labels(connection, schema, schema.tables, difference)
        for parent in parents:
            told += _refer(connection, schema, parent, first)
    return tuple(told)


def add_rows(
    connection: Connection[tuple[object, ...]],
    schema: Schema,
    table: Shape,
    number: int,
    first: int,
    counts: Mapping[int, int] | None = None,
) -> bool:
    """Insert `number` more ordinary rows into one table, numbered from `first`. Returns whether it accepted any."""
    known = counted(connection, schema, [table]) if counts is None else counts
    for judged in (False, True):
        try:
            statement = insertion.statement(schema, table, known, Way(number, first, judged=judged))
        except NoParents:
            return False
        if _try(connection, statement):
            return True
    return False


def _wanted(schema: Schema, tables: Iterable[Name]) -> list[Shape]:
    names = list(tables)
    return [t for t in schema.tables if not t.partitioned and any(name.matches(t.name) for name in names)]


def _prepare(connection: Connection[tuple[object, ...]]) -> None:
    connection.execute("SET LOCAL client_min_messages = error")
    connection.execute("SET LOCAL jit = off")
    connection.execute("SET LOCAL statement_timeout = '5s'")
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


def counted(connection: Connection[tuple[object, ...]], schema: Schema, tables: Iterable[Shape]) -> dict[int, int]:
    """Count the rows in `tables` and in the tables that they refer to, by oid."""
    oids = {table.oid for table in tables} | {key.referenced for table in tables for key in table.keys}
    parts = [
        f"SELECT {t.oid}, pg_catalog.count(*) FROM {t.name.sql if t.partitioned else 'ONLY ' + t.name.sql}"
        for t in schema.tables
        if t.oid in oids
    ]
    rows = connection.execute(" UNION ALL ".join(parts).encode()).fetchall() if parts else []
    return {int(str(oid)): int(str(count)) for oid, count in rows}


def _add(
    connection: Connection[tuple[object, ...]],
    schema: Schema,
    table: Shape,
    counts: Mapping[int, int],
    new: Set[tuple[str | None, str]],
    first: int,
) -> bool:
    """Insert new rows, and set the new columns in half of the old rows, unless it has a trigger, which may change more,
    and no key by which that is found. Returns whether rows were inserted.
    """
    done = add_rows(connection, schema, table, _NEW_ROWS, first, counts)
    if table.triggers and not table.unique:
        return done
    empty = [each for each in table.fields if each.nullable and each.generated is None and each.default is None]
    for each in (each for each in empty if (str(table.name), each.name) in new):
        value = values.ordinary(schema, each, str(table.name))
        if value is not None and not any(each.name in key.columns for key in table.keys):
            column = quoted(each.name)
            _try(
                connection,
                f"UPDATE ONLY {table.name.sql} t SET {column} = n.value FROM (SELECT ctid AS place, {value} AS value"
                f" FROM (SELECT ctid, pg_catalog.row_number() OVER (ORDER BY ctid)::int AS g FROM ONLY {table.name.sql}"
                f" WHERE {column} IS NULL) s WHERE g % 2 = 0) n WHERE n.place = t.ctid",
            )
    return done


def _stretch(
    connection: Connection[tuple[object, ...]], schema: Schema, table: Shape, difference: Difference, first: int
) -> list[str]:
    """Write one value that the schema before the upgrade rejected. Returns what was written."""
    where = f"{table.name}.{difference.name}"
    field = next((each for each in table.fields if each.name == difference.name), None)
    told = []
    match difference:
        case Difference(kind="column", change=Change.CHANGED, aspect="not null", after=None) if field:
            if _set(connection, table, field, "NULL"):
                told.append(f"NULL in `{where}`")
        case Difference(kind="column", change=Change.CHANGED, aspect="type", before=str(old), after=str(new)) if (
            field
        ):
            value = _wider(old, new)
            if value is not None and _set(connection, table, field, value[0]):
                told.append(f"{value[1]} in `{where}`")
        case Difference(kind="constraint", change=Change.MISSING, after=str(definition)):
            unique = re.match(r"(?:UNIQUE|PRIMARY KEY)[^(]*\(([^()]+)\)", definition)
            if _is_loosened(difference) and add_rows(connection, schema, table, _NEW_ROWS, first):
                told.append(f"what `{difference.name}` rejected in `{table.name}`")
            if unique and _repeat(connection, table, unique.group(1)):
                told.append(f"the same {unique.group(1)} twice in `{table.name}`")
    return told


def _new_labels(
    connection: Connection[tuple[object, ...]], schema: Schema, tables: Iterable[Shape], difference: Difference
) -> list[str]:
    old = (difference.before or "").split(", ")
    new = [label for label in (difference.after or "").split(", ") if label not in old]
    told = []
    for table in tables:
        for field in table.fields:
            kind = schema.by_oid.get(field.type)
            single = schema.by_oid.get(kind.element) if kind is not None and kind.element else kind
            same = single is not None and single.kind == "e" and single.name == Name.told(difference.name).name
            if kind is None or not same or not new:
                continue
            label = values.literal(new[0])
            value = f"CAST(ARRAY[{label}] AS {kind.text})" if kind.element else label
            if _set(connection, table, field, value):
                told.append(f"`{new[0]}` in `{table.name}.{field.name}`")
    return told


def _refer(connection: Connection[tuple[object, ...]], schema: Schema, parent: Parent, first: int) -> Iterator[str]:
    for table in _wanted(schema, [parent.child]):
        field = next((each for each in table.fields if each.name == parent.column), None)
        if field is None:
            continue
        some = connection.execute(f"SELECT FROM ONLY {table.name.sql} LIMIT 1".encode()).fetchone()
        there = some is not None or add_rows(connection, schema, table, 1, first)
        if there and _set(connection, table, field, values.literal(parent.value)):
            yield f"a row of `{table.name}` that refers to a new one of `{parent.table}`"


def _wider(old: str, new: str) -> tuple[str, str] | None:
    """Return a value that `new` accepts and `old` does not, and its description; None if there is none."""
    text = re.compile(r"(?:character varying|character)(?:\((\d+)\))?$|text$")
    before, after = text.match(old), text.match(new)
    if before and after and before.group(1) and old != "text":
        short = int(before.group(1))
        long = int(after.group(1)) if after.group(1) else short + 1
        return (f"pg_catalog.repeat('x', {short + 1})", f"{short + 1} characters") if long > short else None
    ranks = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
    if old in ranks and ranks.get(new, 0 if new != "numeric" else 2**64) > ranks[old]:
        return str(ranks[old]), f"{ranks[old]:,}"
    return None


def _set(connection: Connection[tuple[object, ...]], table: Shape, field: Field, value: str) -> bool:
    name = table.name.sql
    return _try(
        connection,
        f"UPDATE {name} SET {quoted(field.name)} = {value}"
        f" WHERE ctid = (SELECT ctid FROM {name} ORDER BY ctid DESC LIMIT 1)",
    )


def _repeat(connection: Connection[tuple[object, ...]], table: Shape, columns: str) -> bool:
    name = table.name.sql
    return _try(
        connection,
        f"UPDATE {name} t SET ({columns}) = (SELECT {columns} FROM {name} ORDER BY ctid LIMIT 1)"
        f" WHERE ctid = (SELECT ctid FROM {name} ORDER BY ctid DESC LIMIT 1)"
        if "," in columns
        else f"UPDATE {name} SET {columns} = (SELECT {columns} FROM {name} ORDER BY ctid LIMIT 1)"
        f" WHERE ctid = (SELECT ctid FROM {name} ORDER BY ctid DESC LIMIT 1)",
    )


def _try(connection: Connection[tuple[object, ...]], statement: str) -> bool:
    """Run a statement. Returns whether it changed anything. What the schema rejects, an application could not write
    either.
    """
    import psycopg

    try:
        with connection.transaction():
            return connection.execute(statement.encode()).rowcount > 0
    except psycopg.Error:
        return False
