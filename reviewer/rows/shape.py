"""What a table requires of a row: types, constraints and partitions, read from `pg_catalog` in one round trip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from reviewer.postgres import prepared
from reviewer.sql.names import Name

if TYPE_CHECKING:
    from psycopg import Connection
    from typing_extensions import LiteralString


class Field(Struct, frozen=True):
    """A column, or an attribute of a composite type."""

    name: str
    type: int
    text: str
    """The type with its modifiers, as `format_type` prints it."""
    nullable: bool = True
    default: str | None = None
    generated: str | None = None
    """The expression of a generated column."""
    sequence: str | None = None
    """The sequence of an identity column."""
    collation: str | None = None

    @property
    def counts(self) -> str | None:
        """The expression for the next value, if a sequence provides it; None otherwise."""
        if self.sequence is not None:
            return f"pg_catalog.nextval('{self.sequence.replace(chr(39), chr(39) * 2)}'::regclass)"
        return self.default if self.default is not None and "nextval(" in self.default else None


class Condition(Struct, frozen=True):
    """A CHECK constraint of the table or of a domain, or a partition bound."""

    name: str
    columns: tuple[str, ...]
    expression: str


class Key(Struct, frozen=True):
    """A foreign key."""

    name: str
    columns: tuple[str, ...]
    referenced: int
    """The oid of the table that it refers to."""
    referenced_columns: tuple[str, ...]
    follows: bool = False
    """Whether a DELETE of the row that it refers to changes or deletes the referring rows, instead of failing."""
    follows_key: bool = False
    """Whether the same goes for an UPDATE of its key."""


class Kind(Struct, frozen=True):
    """A type, and how its values are composed."""

    oid: int
    name: str
    text: str
    kind: str
    """`pg_type.typtype`: b, c, d, e, r, m, p."""
    element: int = 0
    element_text: str = ""
    base: int = 0
    base_text: str = ""
    required: bool = False
    labels: tuple[str, ...] = ()
    attributes: tuple[Field, ...] = ()
    subtype: int = 0
    conditions: tuple[str, ...] = ()
    """CHECK expressions of a domain, about `VALUE`."""


class Shape(Struct, frozen=True):
    """One table, and what its rows must satisfy."""

    oid: int
    name: Name
    partitioned: bool
    fields: tuple[Field, ...]
    conditions: tuple[Condition, ...] = ()
    keys: tuple[Key, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    """Columns of the unique indexes. An expression is an empty string."""
    exclusions: tuple[tuple[str, ...], ...] = ()
    """Columns of the exclusion constraints, in the same way."""
    root: int = 0
    """For a partition: the oid of the root table; 0 otherwise."""
    triggers: str = ""
    """Source of its trigger functions."""


class Schema(Struct, frozen=True):
    """All tables of a database, and the types of their columns."""

    tables: tuple[Shape, ...]
    kinds: tuple[Kind, ...]
    by_oid: dict[int, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_oid.update({kind.oid: kind for kind in self.kinds})

    def table(self, oid: int) -> Shape | None:
        """Return the table with that oid; None if there is none."""
        return next((table for table in self.tables if table.oid == oid), None)

    def leaves(self, oid: int) -> Iterator[Shape]:
        """Return the leaf partitions of the root table with that oid."""
        return (table for table in self.tables if table.root == oid and not table.partitioned)


def read(connection: Connection[tuple[object, ...]], near: Iterable[Name | int] | None = None) -> Schema:
    """Read the shapes of all tables that do not belong to an extension.

    With `near`, read only the tables with these names, in any schema, or these oids, and all that foreign keys,
    partitions and inheritance connect them with, in any number of steps: what their rows depend on, and what depends on
    their rows.
    """
    listed = None if near is None else list(near)
    oids = [each for each in listed or () if isinstance(each, int)]
    names = [each.name for each in listed or () if isinstance(each, Name)]
    values = (listed is None, oids, names)
    row = prepared.execute(connection, _QUERY, ("boolean", "bigint[]", "name[]"), values).fetchone()
    assert row is not None
    return msgspec.json.decode(str(row[0]), type=Schema)


_QUERY: LiteralString = r"""
WITH RECURSIVE pairs (one, other) AS MATERIALIZED (
    SELECT k.conrelid, k.confrelid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND NOT $1
    UNION SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i WHERE NOT $1
), edges (one, other) AS MATERIALIZED (
    SELECT one, other FROM pairs UNION ALL SELECT other, one FROM pairs
), near (oid) AS (
    SELECT c.oid FROM pg_catalog.pg_class c
    WHERE NOT $1 AND (c.oid = ANY ($2::bigint[]) OR c.relname = ANY ($3::name[]))
    UNION SELECT e.other FROM near n JOIN edges e ON e.one = n.oid
), relations AS (
    SELECT c.oid, c.relname, n.nspname, c.relkind, c.relispartition
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND ($1 OR c.oid IN (SELECT near.oid FROM near))
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
), used (oid) AS (
    SELECT DISTINCT a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN (SELECT oid FROM relations)
    UNION
    SELECT v.oid FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid CROSS JOIN LATERAL (
        SELECT t.typbasetype UNION ALL SELECT t.typelem WHERE t.typcategory = 'A'
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) v (oid) WHERE v.oid <> 0
), fields AS (
    SELECT a.attrelid AS oid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', a.attname, 'type', a.atttypid::bigint, 'text', pg_catalog.format_type(a.atttypid, a.atttypmod),
        'nullable', NOT a.attnotnull,
        'default', CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
        'generated', CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
        'sequence', CASE WHEN a.attidentity <> '' THEN
            pg_catalog.pg_get_serial_sequence(a.attrelid::regclass::text, a.attname) END) ORDER BY a.attnum) AS found
    FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN (SELECT oid FROM relations)
    GROUP BY a.attrelid
), names AS (
    SELECT k.oid, k.conrelid, k.contype, k.conname, k.confrelid, k.conparentid,
        k.confdeltype IN ('c', 'n', 'd') AS follows, k.confupdtype IN ('c', 'n', 'd') AS follows_key,
        coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY u.position) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u (number, position)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number), '[]') AS columns,
        coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY u.position) FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u (number, position)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number), '[]') AS referenced,
        pg_catalog.pg_get_expr(k.conbin, k.conrelid) AS expression
    FROM pg_catalog.pg_constraint k WHERE k.conrelid IN (SELECT oid FROM relations) AND k.contype IN ('c', 'f')
      AND coalesce(pg_catalog.to_jsonb(k) ->> 'conenforced', 'true') = 'true'
), bounds AS (
    SELECT r.oid, pg_catalog.pg_get_partition_constraintdef(r.oid) AS expression FROM relations r WHERE r.relispartition
), conditions AS (
    SELECT n.conrelid AS oid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', n.conname, 'columns', n.columns, 'expression', n.expression) ORDER BY n.conname) AS found
    FROM (SELECT conrelid, conname::text, columns, expression FROM names WHERE contype = 'c'
          UNION ALL SELECT oid, 'partition', NULL, expression FROM bounds WHERE expression IS NOT NULL) n
    GROUP BY n.conrelid
), keys AS (
    SELECT n.conrelid AS oid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', n.conname, 'columns', n.columns, 'referenced', n.confrelid::bigint,
        'referenced_columns', n.referenced, 'follows', n.follows, 'follows_key', n.follows_key) ORDER BY pg_catalog.json_array_length(n.columns) DESC, n.conname) AS found
    FROM names n LEFT JOIN pg_catalog.pg_constraint p ON p.oid = n.conparentid
    WHERE n.contype = 'f' AND p.conrelid IS DISTINCT FROM n.conrelid
    GROUP BY n.conrelid
), uniques AS (
    SELECT x.indrelid AS oid, pg_catalog.json_agg((SELECT pg_catalog.json_agg(coalesce(a.attname, '') ORDER BY u.position)
        FROM pg_catalog.unnest(x.indkey) WITH ORDINALITY u (number, position)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number AND u.number > 0
        WHERE u.position <= x.indnkeyatts)) AS found
    FROM pg_catalog.pg_index x WHERE x.indisunique AND x.indrelid IN (SELECT oid FROM relations)
    GROUP BY x.indrelid
), exclusions AS (
    SELECT k.conrelid AS oid, pg_catalog.json_agg((SELECT pg_catalog.json_agg(coalesce(a.attname, '') ORDER BY u.position)
        FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u (number, position)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number AND u.number > 0)) AS found
    FROM pg_catalog.pg_constraint k WHERE k.contype = 'x' AND k.conrelid IN (SELECT oid FROM relations)
    GROUP BY k.conrelid
), triggers AS (
    SELECT t.tgrelid AS oid, pg_catalog.string_agg(p.prosrc, E'\n' ORDER BY t.tgname) AS found
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgrelid IN (SELECT oid FROM relations) GROUP BY t.tgrelid
)
SELECT pg_catalog.json_build_object(
    'tables', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', r.oid::bigint,
        'name', pg_catalog.json_build_object('name', r.relname, 'schema', r.nspname),
        'partitioned', r.relkind = 'p',
        'fields', coalesce(fields.found, '[]'),
        'conditions', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', c ->> 'name',
            'columns', CASE WHEN pg_catalog.json_typeof(c -> 'columns') = 'array' THEN c -> 'columns' ELSE '[]'::json END,
            'expression', c ->> 'expression')) FROM pg_catalog.json_array_elements(conditions.found) c), '[]'),
        'keys', coalesce(keys.found, '[]'),
        'unique', coalesce(uniques.found, '[]'),
        'exclusions', coalesce(exclusions.found, '[]'),
        'root', CASE WHEN r.relispartition THEN pg_catalog.pg_partition_root(r.oid)::oid::bigint ELSE 0 END,
        'triggers', coalesce(triggers.found, '')
        ) ORDER BY r.nspname, r.relname)
      FROM relations r LEFT JOIN fields USING (oid) LEFT JOIN conditions USING (oid) LEFT JOIN keys USING (oid)
      LEFT JOIN uniques USING (oid) LEFT JOIN exclusions USING (oid) LEFT JOIN triggers USING (oid)), '[]'),
    'kinds', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', t.oid::bigint, 'name', t.typname, 'text', pg_catalog.format_type(t.oid, NULL), 'kind', t.typtype::text,
        'element', CASE WHEN t.typcategory = 'A' THEN t.typelem::bigint ELSE 0 END,
        'element_text', CASE WHEN t.typcategory = 'A' THEN pg_catalog.format_type(t.typelem, NULL) ELSE '' END,
        'base', t.typbasetype::bigint, 'base_text', coalesce(pg_catalog.format_type(nullif(t.typbasetype, 0), t.typtypmod), ''),
        'required', t.typnotnull,
        'labels', coalesce((SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e
            WHERE e.enumtypid = t.oid), '[]'),
        'attributes', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, 'type', a.atttypid::bigint,
            'text', pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
        'subtype', coalesce((SELECT r.rngsubtype::bigint FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid), 0),
        'conditions', coalesce((SELECT pg_catalog.json_agg(pg_catalog.pg_get_expr(k.conbin, 0)) FROM pg_catalog.pg_constraint k
            WHERE k.contypid = t.oid AND k.contype = 'c'), '[]')))
      FROM used JOIN pg_catalog.pg_type t USING (oid)), '[]')
)::text
"""
