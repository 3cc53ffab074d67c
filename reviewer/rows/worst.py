"""The worst rows that the schema allows: what production may contain, and what ordinary rows do not reveal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from reviewer.rows import shape, values, writing
from reviewer.rows.shape import Field, Schema, Shape
from reviewer.sql.names import Name, quoted

if TYPE_CHECKING:
    from psycopg import Connection

_MOST_TABLES = 10
_MOST_CHANGES = 300
_FIRST = 2001
"""Number of the first of the rows that are added so that there is one for each change."""


def make(connection: Connection[tuple[object, ...]], tables: Iterable[Name]) -> None:
    """Turn rows of `tables`, which hold ordinary generated rows, into the worst ones: NULL, empty, duplicates,
    maximum length, the ends of the range, dangling references.

    If PostgreSQL rejects a change because the schema does not allow it, the row stays unchanged.
    """
    names = list(tables)
    schema = shape.read(connection, names)
    wanted = [t for t in schema.tables if not t.partitioned and any(n.matches(t.name) for n in names)]
    with connection.transaction():
        connection.execute("SET LOCAL client_min_messages = error")
        connection.execute("SET LOCAL statement_timeout = '5s'")
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in wanted[:_MOST_TABLES]:
            changes = list(_changes(schema, table))[:_MOST_CHANGES]
            if changes:
                writing.add_rows(connection, schema, table, len(changes), first=_FIRST)
                connection.execute(each_by_itself(changes).encode())


def each_by_itself(statements: Iterable[str]) -> str:
    """One statement that runs each of `statements`, and continues after one that PostgreSQL rejects."""
    listed = ", ".join(values.literal(statement) for statement in statements)
    body = f"""
DECLARE alembic_reviewer_change text;
BEGIN
    FOREACH alembic_reviewer_change IN ARRAY ARRAY[{listed}] LOOP
        BEGIN EXECUTE alembic_reviewer_change; EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
END"""
    return f"DO {values.literal(body)}"


def _changes(schema: Schema, table: Shape) -> Iterator[str]:
    name = table.name.sql
    # an updated row moves to the end, so the first one has not been changed yet
    first = f"WHERE ctid = (SELECT ctid FROM ONLY {name} ORDER BY ctid LIMIT 1)"
    for field in table.fields:
        if field.generated is not None or field.counts is not None:
            continue
        column = quoted(field.name)
        for value in _worst(schema, table, field):
            yield f"UPDATE ONLY {name} SET {column} = {value} {first}"
        last = f"(SELECT {column} FROM ONLY {name} WHERE {column} IS NOT NULL ORDER BY ctid DESC LIMIT 1)"
        yield f"UPDATE ONLY {name} SET {column} = {last} {first}"
    yield from _nearly_twice(schema, table, first)
    settable = [f for f in table.fields if f.generated is None and f.counts is None]
    keys = {column for columns in table.unique for column in columns}
    twice = [quoted(f.name) for f in settable if f.name not in keys]
    if len(twice) > 1:
        # two rows that are the same except for their key, for unique constraints over several columns
        source = f"(SELECT {', '.join(twice)} FROM ONLY {name} ORDER BY ctid DESC OFFSET 1 LIMIT 1)"
        yield f"UPDATE ONLY {name} SET ({', '.join(twice)}) = {source} {first}"


def _nearly_twice(schema: Schema, table: Shape, first: str) -> Iterator[str]:
    """Yield rows whose unique texts differ in case, or in a space at the end: for unique indexes on lower(…) or
    trim(…).
    """
    name = table.name.sql
    texts = {f.name for f in table.fields if f.generated is None and values.is_text(values.base(schema, f)[0])}
    for columns in table.unique:
        for text in sorted(texts.intersection(columns)) if all(columns) else ():
            column = quoted(text)
            other_case = f"CASE {column} WHEN pg_catalog.upper({column}) THEN pg_catalog.lower({column}) ELSE pg_catalog.upper({column}) END"
            for other in (other_case, f"{column} || ' '"):
                source = ", ".join(other if each == text else quoted(each) for each in columns)
                # short ones: one more space would be truncated from a text of maximum length
                short = f"WHERE pg_catalog.upper({column}) <> pg_catalog.lower({column}) ORDER BY pg_catalog.length({column}), ctid DESC LIMIT 1"
                changed = f"({', '.join(map(quoted, columns))}) = (SELECT {source} FROM ONLY {name} {short})"
                yield f"UPDATE ONLY {name} SET {changed} {first}"


def _worst(schema: Schema, table: Shape, field: Field) -> Iterator[str]:
    if field.nullable:
        yield "NULL"
    plain, text = values.base(schema, field)
    sizes = values.arguments(text)
    if any(field.name in key.columns for key in table.keys):
        return
    if values.is_text(plain):
        yield "''"
        yield (
            f"pg_catalog.repeat('W', {min(sizes[0], 5000) if sizes else 3000})"
            if plain != "character"
            else f"pg_catalog.repeat('W', {sizes[0] if sizes else 1})"
        )
        yield f"pg_catalog.left({values.literal('Ünï ' + chr(39) + '%_{}')}, {min(sizes[0], 10) if sizes else 10})"
        return
    kind = schema.by_oid.get(field.type)
    if kind is not None and kind.kind == "e":
        yield from (values.literal(label) for label in kind.labels)
        return
    if kind is not None and kind.element:
        yield "'{}'"
        return
    yield from _ENDS.get(plain, ())
    if plain == "numeric":
        scale = sizes[1] if len(sizes) > 1 else 0
        most = "9" * max(sizes[0] - scale, 0) if sizes else "9" * 30
        yield f"{most or '0'}.{'9' * scale or '0'}"
        yield f"-{most or '0'}.{'9' * scale or '0'}"
        yield "0"


_ENDS = {
    "smallint": ("0", "-32768", "32767"),
    "integer": ("0", "-2147483648", "2147483647"),
    "bigint": ("0", "-9223372036854775808", "9223372036854775807"),
    "real": ("0", "'-Infinity'", "'NaN'"),
    "double precision": ("0", "'-Infinity'", "'NaN'"),
    "date": ("'0001-01-01'", "'9999-12-31'", "'infinity'"),
    "timestamp without time zone": ("'0001-01-01'", "'9999-12-31'", "'infinity'"),
    "timestamp with time zone": ("'0001-01-02Z'", "'9999-12-30Z'", "'infinity'"),
    "interval": ("'0'", "'-1 year'"),
    "json": ("'null'", "'[]'", "'\"\"'", "'{}'", "'\"\\u0000\"'"),
    "jsonb": ("'null'", "'[]'", "'\"\"'", "'{}'"),
    "bytea": ("''", "'\\xff'"),
    "boolean": ("true", "false"),
}
