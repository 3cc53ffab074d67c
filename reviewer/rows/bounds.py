"""Rows of the DEFAULT partition that belong into a partition which the new revisions add: PostgreSQL then refuses it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from reviewer.sql.names import Name, quoted

if TYPE_CHECKING:
    from psycopg import Connection
    from typing_extensions import LiteralString

_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_VALUE = (
    r"(?:(?:(?:date|timestamp|timestamptz)\s*)?'(?:[^']|'')*'(?:\s*::\s*\w+)?|-?\d+(?:\.\d+)?|true|false|minvalue)"
)
_ADDED = re.compile(
    rf"(?:\bPARTITION\s+OF\s+(?P<parent>(?:{_NAME}\s*\.\s*)?{_NAME})|"
    rf"\bALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<altered>(?:{_NAME}\s*\.\s*)?{_NAME})\s+"
    rf"ATTACH\s+PARTITION\s+(?:{_NAME}\s*\.\s*)?{_NAME})"
    rf"\s+FOR\s+VALUES\s+(?P<kind>FROM|IN)\s*\(\s*(?P<values>{_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)",
    re.IGNORECASE,
)


class Bound(Struct, frozen=True):
    """A value for the first columns of a partition key that a new partition takes."""

    parent: Name
    values: tuple[str, ...]


def of(text: str) -> Iterator[Bound]:
    """The bounds of the partitions that a statement adds, as far as they are constants."""
    for found in _ADDED.finditer(text):
        parts = [
            part[1:-1].replace('""', '"') if part[:1] == '"' else part.lower()
            for part in re.findall(_NAME, found["parent"] or found["altered"])
        ]
        parent = Name(parts[-1], parts[-2] if len(parts) > 1 else None)
        given = [each.strip() for each in re.findall(_VALUE, found["values"], re.IGNORECASE)]
        if found["kind"].upper() == "IN":
            yield from (Bound(parent, (each,)) for each in given[:3])
            continue
        known = given[: next((n for n, each in enumerate(given) if each.lower() == "minvalue"), len(given))]
        if known:
            yield Bound(parent, tuple(known))


def changes(connection: Connection[tuple[object, ...]], bounds: Iterable[Bound]) -> Iterator[tuple[Name, str, str]]:
    """For each bound: the DEFAULT partition of its table, the columns of the key and their values."""
    wanted = list(dict.fromkeys(bounds))
    if not wanted:
        return
    for row in connection.execute(_DEFAULTS).fetchall():
        schema, name, partition_schema, partition, columns = row
        assert isinstance(columns, list)
        for each in wanted:
            if Name(str(name), str(schema)).matches(each.parent):
                key = [quoted(str(column)) for column in columns[: len(each.values)]]
                if len(key) == len(each.values):
                    yield Name(str(partition), str(partition_schema)), ", ".join(key), ", ".join(each.values)


_DEFAULTS: LiteralString = """
SELECT pn.nspname::text, p.relname::text, dn.nspname::text, d.relname::text,
    ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(t.partattrs) WITH ORDINALITY u (number, position)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = t.partrelid AND a.attnum = u.number ORDER BY u.position)
FROM pg_catalog.pg_partitioned_table t
    JOIN pg_catalog.pg_class p ON p.oid = t.partrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
    JOIN pg_catalog.pg_class d ON d.oid = t.partdefid JOIN pg_catalog.pg_namespace dn ON dn.oid = d.relnamespace
WHERE 0 <> ALL (t.partattrs::int2[])
"""
