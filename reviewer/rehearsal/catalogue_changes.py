"""Which relations of a database have changed since an earlier look, by the versions of their rows in `pg_catalog`.

A row of a catalogue has the transaction that wrote it in `xmin`, and changing or removing it leaves one row fewer that
is old: https://www.postgresql.org/docs/current/ddl-system-columns.html. That holds for clones, which are copied file by
file, and for every database that descends from the one that was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from reviewer.postgres import prepared

if TYPE_CHECKING:
    from psycopg import Connection


class Relation(Struct, frozen=True, array_like=True):
    """A table, view or sequence."""

    oid: int
    schema: str
    name: str
    old: int
    """How many rows of the catalogues describe it that were written before the mark."""
    new: bool
    """Whether any was written since."""


class Mark(Struct, frozen=True):
    """The relations of a database at some moment, and what else their descriptions depend on."""

    xid: str
    """Rows with this `xmin`, or a later one, were written after it."""
    relations: list[Relation]
    others: Mapping[str, int]
    """How many rows each of the other catalogues has that were written before."""
    names: list[tuple[str, int, str]]
    """What can be renamed without a trace in the descriptions that contain the name: its kind, its oid and its name."""
    dependents: list[int]
    """Relations whose descriptions may contain names of those with new rows."""


def mark(connection: Connection[tuple[object, ...]]) -> Mark:
    """Return a mark of this moment, from which on changes of the connection's database can be seen."""
    return _read(connection, None)


class Changed(Struct, frozen=True):
    """Relations whose descriptions may have changed, and those that came or went."""

    now: list[int]
    """The oids of those that exist."""
    before: frozenset[tuple[str, str]]
    """The schemas and names that those had that existed before."""


def since(connection: Connection[tuple[object, ...]], before: Mark) -> Changed | None:
    """Return what has changed since `before`, in the same database or in one that descends from it; None if something
    has changed that the descriptions of any relation may contain.
    """
    now = _read(connection, before.xid)
    if not {*before.names} <= {*now.names}:
        return None
    if any(now.others.get(name) != old for name, old in before.others.items()):
        return None
    there = {each.oid for each in now.relations}
    old = {each.oid: each.old for each in before.relations}
    changed = {each.oid for each in now.relations if each.new or old.get(each.oid) != each.old}
    changed.update(now.dependents)
    return Changed(
        sorted(changed & there),
        frozenset(
            (each.schema, each.name) for each in before.relations if each.oid in changed or each.oid not in there
        ),
    )


def _read(connection: Connection[tuple[object, ...]], xid: str | None) -> Mark:
    row = prepared.execute(connection, _QUERY, ("text",), (xid,)).fetchone()
    assert row is not None
    return msgspec.json.decode(str(row[0]), type=Mark)


USERS = r"""n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'"""
"""Which schemas `n` are read."""
KINDS = "c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
"""Which relations `c` in them are."""
_QUERY = rf"""
WITH mark AS MATERIALIZED (
    SELECT coalesce($1, (pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()) % 4294967296)::text)::xid AS xid
), schemas AS MATERIALIZED (
    SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE {USERS}
), parts AS ( -- of these, one can go while the relation stays
    SELECT indrelid AS oid, xmin FROM pg_catalog.pg_index
    UNION ALL SELECT conrelid, xmin FROM pg_catalog.pg_constraint
    UNION ALL SELECT tgrelid, xmin FROM pg_catalog.pg_trigger
    UNION ALL SELECT ev_class, xmin FROM pg_catalog.pg_rewrite
    UNION ALL SELECT polrelid, xmin FROM pg_catalog.pg_policy
    UNION ALL SELECT stxrelid, xmin FROM pg_catalog.pg_statistic_ext
    UNION ALL SELECT inhrelid, xmin FROM pg_catalog.pg_inherits
    UNION ALL SELECT d.objid, d.xmin FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_depend d ON d.objid = s.seqrelid
        AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
), counted AS (
    SELECT oid, pg_catalog.count(*) FILTER (WHERE NOT new)::integer AS old, pg_catalog.bool_or(new) AS new
    FROM (SELECT oid, pg_catalog.age(xmin) <= (SELECT pg_catalog.age(xid) FROM mark) AS new FROM parts WHERE oid >= 16384) p
    GROUP BY oid
), rest(oid, xmin) AS ( -- of these, none goes without a new one in its place, or with the relation
    SELECT oid, xmin FROM pg_catalog.pg_class
    UNION ALL SELECT attrelid, xmin FROM pg_catalog.pg_attribute
    UNION ALL SELECT adrelid, xmin FROM pg_catalog.pg_attrdef
    UNION ALL SELECT seqrelid, xmin FROM pg_catalog.pg_sequence
    UNION ALL SELECT objid, xmin FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::regclass AND deptype = 'e'
    UNION ALL SELECT objoid, xmin FROM pg_catalog.pg_description
), written AS MATERIALIZED (
    SELECT oid FROM rest WHERE pg_catalog.age(xmin) <= (SELECT pg_catalog.age(xid) FROM mark) AND oid >= 16384
), of_relations AS MATERIALIZED ( -- what is written of an index or of a constraint belongs to its table
    SELECT oid FROM written
    UNION ALL SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid IN (SELECT oid FROM written)
    UNION ALL SELECT conrelid FROM pg_catalog.pg_constraint WHERE oid IN (SELECT oid FROM written)
), relations AS MATERIALIZED (
    SELECT c.oid, c.reltype, n.nspname, c.relname, coalesce(p.old, 0) AS old,
        coalesce(p.new, false) OR c.oid IN (SELECT oid FROM of_relations) AS new
    FROM pg_catalog.pg_class c JOIN schemas n ON n.oid = c.relnamespace LEFT JOIN counted p ON p.oid = c.oid
    WHERE {KINDS}
), dependents AS (
    SELECT DISTINCT CASE d.classid
        WHEN 'pg_catalog.pg_class'::regclass THEN d.objid
        WHEN 'pg_catalog.pg_constraint'::regclass THEN (SELECT conrelid FROM pg_catalog.pg_constraint WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_attrdef'::regclass THEN (SELECT adrelid FROM pg_catalog.pg_attrdef WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_rewrite'::regclass THEN (SELECT ev_class FROM pg_catalog.pg_rewrite WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_trigger'::regclass THEN (SELECT tgrelid FROM pg_catalog.pg_trigger WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_policy'::regclass THEN (SELECT polrelid FROM pg_catalog.pg_policy WHERE oid = d.objid)
    END AS oid
    FROM pg_catalog.pg_depend d
    WHERE (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid IN (SELECT oid FROM relations WHERE new))
        OR (d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid IN (
            SELECT pg_catalog.unnest(ARRAY[t.oid, t.typarray]) FROM relations r JOIN pg_catalog.pg_type t ON t.oid = r.reltype WHERE r.new))
), others(kind, xmin) AS (
    -- arrays and the row types of relations go with these
    SELECT 'type', xmin FROM pg_catalog.pg_type WHERE oid >= 16384 AND typtype NOT IN ('c', 'p') AND typelem = 0
    UNION ALL SELECT 'composite type', xmin FROM pg_catalog.pg_class WHERE relkind = 'c'
    UNION ALL SELECT 'label', xmin FROM pg_catalog.pg_enum
    UNION ALL SELECT 'function', xmin FROM pg_catalog.pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'collation', xmin FROM pg_catalog.pg_collation WHERE oid >= 16384
    UNION ALL SELECT 'operator', xmin FROM pg_catalog.pg_operator WHERE oid >= 16384
    UNION ALL SELECT 'operator class', xmin FROM pg_catalog.pg_opclass WHERE oid >= 16384
    UNION ALL SELECT 'extension', xmin FROM pg_catalog.pg_extension
    UNION ALL SELECT 'text search', xmin FROM pg_catalog.pg_ts_config
    UNION ALL SELECT 'access method', xmin FROM pg_catalog.pg_am
    UNION ALL SELECT 'comment', xmin FROM pg_catalog.pg_description WHERE objoid >= 16384
), names(kind, oid, name) AS (
    SELECT 'schema', oid, nspname::text FROM schemas
    UNION ALL SELECT 'role', oid, rolname::text FROM pg_catalog.pg_roles WHERE rolname <> SESSION_USER -- the reviewer's own
    UNION ALL SELECT 'tablespace', oid, spcname::text FROM pg_catalog.pg_tablespace
)
SELECT pg_catalog.json_build_object(
    'xid', (SELECT xid::text FROM mark),
    'relations', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(oid::bigint, nspname, relname, old, new)), '[]')
        FROM relations),
    'others', (SELECT pg_catalog.json_object_agg(kind, old) FROM (SELECT kind, pg_catalog.count(*) FILTER (
        WHERE pg_catalog.age(xmin) > (SELECT pg_catalog.age(xid) FROM mark)) AS old FROM others GROUP BY kind) o),
    'names', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(kind, oid::bigint, name)) FROM names),
    'dependents', (SELECT coalesce(pg_catalog.json_agg(oid::bigint), '[]') FROM dependents WHERE oid IS NOT NULL))::text
"""
