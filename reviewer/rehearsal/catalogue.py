"""Reads the objects of a database from `pg_catalog`, in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from reviewer.postgres import prepared
from reviewer.recording import Catalogue, Enumeration

if TYPE_CHECKING:
    from psycopg import Connection
    from typing_extensions import LiteralString

_ENUMS: LiteralString = """coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', pg_catalog.json_build_object('name', t.typname, 'schema', n.nspname),
        'labels', (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
        ) ORDER BY n.nspname, t.typname)
      FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      WHERE t.typtype = 'e' AND EXISTS (SELECT FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)), '[]'::json)"""

# Everything that the user created: no system schemas, nothing that belongs to an extension.
_QUERY: LiteralString = (
    """
WITH relations AS (
    SELECT c.oid, c.relname, n.nspname, c.relkind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
), columns AS (
    SELECT a.attrelid AS oid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'nullable', NOT a.attnotnull,
        'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid), 'stored', a.attgenerated = 's',
        'generated', a.attgenerated <> '') ORDER BY a.attnum) AS found
    FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN (SELECT oid FROM relations)
    GROUP BY a.attrelid
), constraints AS (
    SELECT k.conrelid AS oid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', k.conname,
        'kind', CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'u' THEN 'unique'
            WHEN 'p' THEN 'primary key' WHEN 'x' THEN 'exclusion' WHEN 'n' THEN 'not null' ELSE 'trigger' END,
        'columns', coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY u.position)
            FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u (number, position)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number), '[]'::json),
        'definition', pg_catalog.pg_get_constraintdef(k.oid),
        'valid', k.convalidated,
        'referenced', (SELECT pg_catalog.json_build_object('name', r.relname, 'schema', rn.nspname)
            FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace WHERE r.oid = k.confrelid),
        'referenced_columns', coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY u.position)
            FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u (number, position)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number), '[]'::json)
        ) ORDER BY k.conname) AS found
    FROM pg_catalog.pg_constraint k WHERE k.conrelid IN (SELECT oid FROM relations)
    GROUP BY k.conrelid
), indexes AS (
    SELECT x.indrelid AS oid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', c.relname,
        'columns', coalesce((SELECT pg_catalog.json_agg(coalesce(a.attname, '') ORDER BY u.position)
            FROM pg_catalog.unnest(x.indkey) WITH ORDINALITY u (number, position)
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number AND u.number > 0
            WHERE u.position <= x.indnkeyatts), '[]'::json),
        'definition', pg_catalog.pg_get_indexdef(x.indexrelid),
        'unique', x.indisunique,
        'valid', x.indisvalid,
        'constraint', (SELECT k.conname FROM pg_catalog.pg_constraint k
            WHERE k.conindid = x.indexrelid AND k.conrelid = x.indrelid AND k.contype IN ('u', 'p', 'x') LIMIT 1),
        'reads', CASE WHEN x.indpred IS NULL AND x.indexprs IS NULL AND x.indnatts = x.indnkeyatts THEN '[]'::json ELSE
            coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = x.indrelid AND a.attnum > 0
                  AND NOT a.attnum = ANY ((x.indkey::pg_catalog.int2[])[0:x.indnkeyatts - 1])
                  AND (a.attnum = ANY (x.indkey) OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = x.indexrelid
                      AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum))),
            '[]'::json) END
        ) ORDER BY c.relname) AS found
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid WHERE x.indrelid IN (SELECT oid FROM relations)
    GROUP BY x.indrelid
)
SELECT pg_catalog.json_build_object(
    'tables', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', pg_catalog.json_build_object('name', r.relname, 'schema', r.nspname),
        'kind', CASE r.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
            WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END,
        'columns', coalesce(columns.found, '[]'::json),
        'constraints', coalesce(constraints.found, '[]'::json),
        'indexes', coalesce(indexes.found, '[]'::json),
        'partition_of', (SELECT pg_catalog.json_build_object('name', p.relname, 'schema', pn.nspname)
            FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
            JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
            WHERE i.inhrelid = r.oid AND c.relispartition LIMIT 1),
        'policies', coalesce((SELECT pg_catalog.json_agg(p.polname ORDER BY p.polname) FROM pg_catalog.pg_policy p
            WHERE p.polrelid = r.oid), '[]'::json)
        ) ORDER BY r.nspname, r.relname)
      FROM relations r LEFT JOIN columns USING (oid) LEFT JOIN constraints USING (oid) LEFT JOIN indexes USING (oid)),
      '[]'::json),
    'enums', """
    + _ENUMS
    + """)::text
"""
)


def read(connection: Connection[tuple[object, ...]]) -> Catalogue:
    """Read the tables, views and enum types of the connection's database. Rows are not counted."""
    row = prepared.execute(connection, _QUERY).fetchone()
    assert row is not None
    return msgspec.json.decode(str(row[0]), type=Catalogue)


def enums(connection: Connection[tuple[object, ...]]) -> tuple[Enumeration, ...]:
    """Read only the enum types."""
    row = connection.execute(b"SELECT (" + _ENUMS.encode() + b")::text").fetchone()
    assert row is not None
    return msgspec.json.decode(str(row[0]), type=tuple[Enumeration, ...])
