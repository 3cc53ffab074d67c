"""A snapshot of a whole database, read from `pg_catalog`, that can be compared by meaning.

Column order, generated names, and grants that equal the defaults do not count as differences.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

from msgspec import Struct

from reviewer.postgres import prepared
from reviewer.recording import Change, Difference
from reviewer.rehearsal import catalogue_changes, shared_objects
from reviewer.rehearsal.catalogue_changes import KINDS, USERS, Mark
from reviewer.sql import types
from reviewer.sql.names import VERSION_TABLE, Name

if TYPE_CHECKING:
    from psycopg import Connection


class Key(NamedTuple):
    """Identifies an object by its kind, its name, and the table that it belongs to."""

    kind: str
    """`table`, `column`, `constraint`, `index`, `trigger`, `rule`, `policy`, `view`, `materialized view`,
    `sequence`, `enum type`, `domain`, `composite type`, `range type`, `function`, `extension`, `schema` or
    `statistics object`; for server-wide objects `role`, `tablespace`, `database`, `server setting`, `subscription`,
    `replication origin` or `replication slot`; or `database setting`."""
    schema: str | None
    table: str | None
    name: str

    @property
    def of(self) -> Name | None:
        """The table that the object belongs to; None for an object that belongs to no table."""
        return Name(self.table, self.schema) if self.table is not None else None


Row = tuple[str, str | None, str | None, str, str, str | None]
"""An object as it is read: its `Key`, its properties as JSON text, and its column numbers if it has any."""


class Snapshot(Struct, frozen=True, dict=True):
    """Every object of a database, with its properties."""

    objects: Mapping[Key, str]
    """The properties of each object as JSON text. Objects with equal texts are equal."""
    columns: Mapping[Key, str]
    """The column numbers of columns, constraints and indexes, as text."""
    mark: Mark | None = None
    """From here on, later snapshots of the same database and of its clones can tell what has changed."""

    @classmethod
    def of(cls, rows: Iterable[Row], mark: Mark | None = None) -> Snapshot:
        """Return the snapshot of these objects."""
        found = [(Key(*row[:4]), *row[4:]) for row in rows]
        columns = {key: numbers for key, _, numbers in found if numbers is not None}
        return cls({key: about for key, about, _ in found}, columns, mark)

    def changed_to(self, before: frozenset[tuple[str, str]], rows: Iterable[Row]) -> Snapshot:
        """Return this with `rows` in the place of the relations that `before` names, and of what is no relation and
        belongs to none.
        """
        objects, columns = {**self.objects}, {**self.columns}
        for place in (*before, None):
            for key in self._by_relation.get(place, ()):
                del objects[key]
                columns.pop(key, None)
        new = Snapshot.of(rows)
        objects.update(new.objects)
        columns.update(new.columns)
        return Snapshot(objects, columns)

    @cached_property
    def _by_relation(self) -> Mapping[tuple[str | None, str] | None, Sequence[Key]]:
        """The objects of each relation, by its schema and name, and by None what is no relation and belongs to none."""
        found: dict[tuple[str | None, str] | None, list[Key]] = {}
        for key in self.objects:
            kind, schema, table, name = key
            place = (schema, table) if table is not None else (schema, name) if kind in _RELATIONS else None
            found.setdefault(place, []).append(key)
        return found

    @property
    def rows(self) -> list[Row]:
        """Its objects as `of` takes them."""
        return [(*key, about, self.columns.get(key)) for key, about in self.objects.items()]

    def about(self, key: Key) -> dict[str, object]:
        """Return the properties of one object. Properties that are not set are left out."""
        found = json.loads(self.objects[key])
        return {aspect: value for aspect, value in found.items() if value not in (None, "", [], False)}

    def columns_of(self, key: Key) -> tuple[str, ...]:
        """Return the names of the columns that a constraint or an index covers."""
        numbers = set(self.columns.get(key, "").strip("{}").replace(",", " ").split())
        return tuple(
            other.name
            for other, number in self.columns.items()
            if other.kind == "column" and other[1:3] == key[1:3] and number in numbers
        )


@contextlib.contextmanager
def read_plainly(connection: Connection[tuple[object, ...]]) -> Iterator[None]:
    """Read under fixed settings, so that whatever a revision sets for the database or the role does not change the
    text.
    """
    with connection.transaction():
        connection.execute(_PLAINLY.encode())
        yield


_PLAINLY = """
SET LOCAL search_path = public; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, MDY';
SET LOCAL intervalstyle = 'postgres'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1;
SET LOCAL quote_all_identifiers = off; SET LOCAL jit = off
"""


_MANY = 1000
"""So many objects take longer to read than what has changed among them."""


def take(
    connection: Connection[tuple[object, ...]],
    version_table: str = VERSION_TABLE,
    roles: Collection[str] | None = None,
    since: Snapshot | None = None,
    *,
    marked: bool = False,
) -> Snapshot:
    """Return the state of the connection's database and of the server-wide objects that a migration can change.
    Objects that belong to extensions are left out.

    `roles` limits which roles count, for servers on which others create roles at any time; None counts all. If `since`
    is given, the database is the one of that snapshot, or descends from it: only what has changed is read. The result
    can be used for that if it is `marked` and there is much in it.
    """
    with read_plainly(connection):
        changed = None if since is None or since.mark is None else catalogue_changes.since(connection, since.mark)
        if changed is None:
            found = cast("list[Row]", prepared.execute(connection, _QUERY).fetchall())
        else:
            read = prepared.execute(connection, _QUERY_OF_SOME, ("oid[]",), (changed.now,))
            found = cast("list[Row]", read.fetchall())
        found += cast("list[Row]", shared_objects.read(connection, roles))
        mark = catalogue_changes.mark(connection) if marked and changed is None and len(found) >= _MANY else None
    rows = [row for row in found if row[2] != version_table and (row[0], row[3]) != ("table", version_table)]
    if since is not None and changed is not None:
        return since.changed_to(changed.before, rows)
    return Snapshot.of(rows, mark)


def renamed_columns(before: Snapshot, after: Snapshot) -> frozenset[tuple[str, str]]:
    """Return the columns whose names differ between `before` and `after`, as pairs of table and new name."""
    new = [key for key in after.columns if key.kind == "column" and key not in before.columns]
    tables = {key[1:3] for key in new}
    old = {
        (*key[1:3], number) for key, number in before.columns.items() if key.kind == "column" and key[1:3] in tables
    }
    return frozenset((str(key.of), key.name) for key in new if (*key[1:3], after.columns[key]) in old)


def compare(before: Snapshot, after: Snapshot) -> tuple[Difference, ...]:
    """List the differences between `before` and `after`, one entry for each cause. Differences that follow from a
    table or column that is missing or new are not listed.
    """
    gone = dict.fromkeys(key for key in before.objects if key not in after.objects)
    came = dict.fromkeys(key for key in after.objects if key not in before.objects)
    found = list(_renamed(before, after, gone, came))
    for change, state, keys in ((Change.MISSING, before, gone), (Change.LEFT_BEHIND, after, came)):
        found += [
            _difference(key, change, _unusable(key, state.about(key)), None, _definition(key, state.about(key)))
            for key in keys
            if not _goes_with(key, state, keys)
        ]
    for key, text in before.objects.items():
        now = after.objects.get(key)
        if now is not None and now != text:
            found += _changed(key, before.about(key), after.about(key))
    return tuple(sorted(found, key=lambda d: (_ORDER.index(d.kind), d.table or "", d.name, d.aspect)))


_ORDER = (
    "schema",
    "extension",
    "table",
    "column",
    "constraint",
    "index",
    "enum type",
    "domain",
    "composite type",
    "range type",
    "sequence",
    "view",
    "materialized view",
    "function",
    "trigger",
    "rule",
    "policy",
    "statistics object",
    *shared_objects.KINDS,
)
_RELATIONS = frozenset({"table", "view", "materialized view", "sequence"})
_MADE_UP = re.compile(r"_(pkey|key|fkey|check|excl|idx|not_null)\d*$|^SYS_|_seq\d*$")
_SEQUENCE = re.compile(r"^nextval\('[^']*_seq\d*\"?'::regclass\)$")
_MOMENT = re.compile(r"^'\d{4}-\d\d-\d\d[ T]\d\d:\d\d")


def _difference(key: Key, change: Change, aspect: str, before: str | None, after: str | None) -> Difference:
    name = str(Name(key.name, key.schema)) if key.table is None else key.name
    return Difference(key.kind, name, change, str(key.of) if key.of else None, aspect, before, after)


def _definition(key: Key, about: Mapping[str, object]) -> str | None:
    wanted = {"column": "type", "enum type": "labels"}.get(key.kind, "definition")
    value = about.get(wanted)
    return None if value is None else _text(value)


def _unusable(key: Key, about: Mapping[str, object]) -> str:
    return "invalid" if key.kind == "index" and about.get("invalid") else ""


def _changed(key: Key, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Difference]:
    for aspect in sorted({*before, *after}):
        old, new = before.get(aspect), after.get(aspect)
        if old == new:
            continue
        if aspect == "default" and _MOMENT.match(str(old)) and _MOMENT.match(str(new)):
            continue  # `server_default=datetime.now()` is evaluated again in each run
        if aspect == "default" and {str(old).lower(), str(new).lower()} <= types.START_OF_TRANSACTION:
            continue
        if aspect == "default" and _SEQUENCE.match(str(old)) and _SEQUENCE.match(str(new)):
            continue  # a serial column of a table that was created under another name
        yield _difference(
            key, Change.CHANGED, aspect, None if old is None else _text(old), None if new is None else _text(new)
        )


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case True:
            return "yes"
        case list():
            return ", ".join(str(each) for each in value)
        case _:
            return json.dumps(value)


def _renamed(
    before: Snapshot, after: Snapshot, gone: dict[Key, None], came: dict[Key, None]
) -> Iterator[Difference]:
    """Take out pairs that differ only in their names. A pair is reported only if both names were chosen, not
    generated.
    """
    for old in list(gone):
        if old.kind not in {"constraint", "index", "sequence"}:
            continue
        same = (key for key in came if key[:3] == old[:3] and after.objects[key] == before.objects[old])
        new = next(same, None)
        if new is None:
            continue
        del gone[old], came[new]
        if not (_MADE_UP.search(old.name) or _MADE_UP.search(new.name)):
            yield _difference(old, Change.CHANGED, "name", old.name, new.name)


def _goes_with(key: Key, state: Snapshot, keys: Mapping[Key, None]) -> bool:
    """Return whether the difference is part of a larger one: that of its schema, its table or its column."""
    if key.kind != "schema" and key.schema and Key("schema", None, None, key.schema) in keys:
        return True
    if key.kind == "sequence":
        owner = state.about(key).get("owned by")
        if not isinstance(owner, list):
            return False
        schema, table, column = (str(part) for part in owner)
        return Key("table", schema, None, table) in keys or Key("column", schema, table, column) in keys
    if key.table is None:
        return False
    if any(Key(kind, key.schema, None, key.table) in keys for kind in ("table", "view", "materialized view")):
        return True
    return any(Key("column", key.schema, key.table, column) in keys for column in _columns(key, state))


def _columns(key: Key, state: Snapshot) -> tuple[str, ...]:
    return state.columns_of(key) if key.kind in {"constraint", "index"} else ()


_QUERY = rf"""
WITH extended AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
), schemas AS MATERIALIZED (
    SELECT n.oid, n.nspname, n.nspacl, n.nspowner FROM pg_catalog.pg_namespace n WHERE {USERS}
), relations AS MATERIALIZED (
    SELECT c.*, n.nspname FROM pg_catalog.pg_class c JOIN schemas n ON n.oid = c.relnamespace
    WHERE {KINDS} /* of some */
      AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid)
), comments AS MATERIALIZED (
    SELECT classoid, objoid, objsubid, description FROM pg_catalog.pg_description
    WHERE objoid >= 16384 OR classoid = 'pg_catalog.pg_namespace'::regclass
), owned AS MATERIALIZED (
    SELECT DISTINCT ON (d.objid) d.objid AS oid, pg_catalog.jsonb_build_array(tn.nspname, t.relname, a.attname) AS owner
    FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_depend d ON d.objid = s.seqrelid
    JOIN pg_catalog.pg_class t ON t.oid = d.refobjid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
), heirs AS MATERIALIZED (
    SELECT i.inhrelid AS oid, pg_catalog.jsonb_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) AS parents
    FROM pg_catalog.pg_inherits i GROUP BY i.inhrelid
)
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'table' END,
    c.nspname::text, NULL::text, c.relname::text, pg_catalog.json_build_object(
    'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
    'persistence', CASE WHEN c.relkind <> 'S' THEN nullif(c.relpersistence, 'p') END, -- a sequence goes with its table
    'options', CASE WHEN c.reloptions IS NOT NULL THEN (SELECT pg_catalog.jsonb_agg(o ORDER BY o) FROM pg_catalog.unnest(c.reloptions) o) END,
    'replica identity', nullif(CASE c.relkind WHEN 'm' THEN 'd' WHEN 'v' THEN 'd' WHEN 'S' THEN 'd' ELSE c.relreplident END, 'd'),
    'row security', c.relrowsecurity, 'forced row security', c.relforcerowsecurity,
    'partition key', CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
    'partition bound', CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END,
    'parents', h.parents,
    'tablespace', CASE WHEN c.reltablespace <> 0 THEN (SELECT spcname FROM pg_catalog.pg_tablespace WHERE oid = c.reltablespace) END,
    'owned by', o.owner,
    'sequence', CASE WHEN s.seqrelid IS NOT NULL THEN
        pg_catalog.jsonb_build_array(pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle) END,
    'grants', CASE WHEN c.relacl IS NOT NULL AND c.relacl IS DISTINCT FROM
        pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner) THEN
        (SELECT pg_catalog.jsonb_agg(g::text ORDER BY g::text) FROM pg_catalog.unnest(c.relacl) g) END,
    'comment', m.description)::text, NULL::text
FROM relations c LEFT JOIN comments m ON m.classoid = 'pg_catalog.pg_class'::regclass AND m.objoid = c.oid AND m.objsubid = 0
LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid LEFT JOIN owned o ON o.oid = c.oid LEFT JOIN heirs h ON h.oid = c.oid
UNION ALL
SELECT 'column', c.nspname::text, c.relname::text, a.attname::text, pg_catalog.json_build_object(
    'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'not null', a.attnotnull,
    'default', CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
    'generated', CASE a.attgenerated WHEN 's' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ' STORED'
        WHEN 'v' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ' VIRTUAL' END,
    'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
    'collation', CASE WHEN a.attcollation NOT IN (0, 100) THEN a.attcollation::regcollation::text END,
    'grants', CASE WHEN a.attacl IS NOT NULL THEN (SELECT pg_catalog.jsonb_agg(g::text ORDER BY g::text) FROM pg_catalog.unnest(a.attacl) g) END,
    'comment', m.description)::text, a.attnum::text
FROM relations c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN comments m ON m.classoid = 'pg_catalog.pg_class'::regclass AND m.objoid = c.oid AND m.objsubid = a.attnum
WHERE c.relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'constraint', c.nspname::text, c.relname::text, k.conname::text, pg_catalog.json_build_object(
    'definition', CASE WHEN k.convalidated THEN pg_catalog.pg_get_constraintdef(k.oid)
        ELSE pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID$', '') END,
    'not valid', NOT k.convalidated,
    'comment', m.description)::text, k.conkey::text
FROM relations c JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid
LEFT JOIN pg_catalog.pg_constraint p ON p.oid = k.conparentid
LEFT JOIN comments m ON m.classoid = 'pg_catalog.pg_constraint'::regclass AND m.objoid = k.oid
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND p.conrelid IS DISTINCT FROM k.conrelid
UNION ALL
SELECT 'index', c.nspname::text, c.relname::text, i.relname::text, pg_catalog.json_build_object(
    'definition', CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END
        || pg_catalog.substr(g.definition, pg_catalog.strpos(g.definition, ' USING ') + 1),
    'invalid', NOT x.indisvalid,
    'comment', m.description)::text, x.indkey::text
FROM relations c JOIN pg_catalog.pg_index x ON x.indrelid = c.oid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_indexdef(x.indexrelid) AS definition OFFSET 0) g
LEFT JOIN comments m ON m.classoid = 'pg_catalog.pg_class'::regclass AND m.objoid = i.oid AND m.objsubid = 0
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'trigger', c.nspname::text, c.relname::text, t.tgname::text, pg_catalog.json_build_object(
    'definition', pg_catalog.pg_get_triggerdef(t.oid), 'state', nullif(t.tgenabled, 'O'))::text, NULL
FROM relations c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid
WHERE NOT t.tgisinternal AND coalesce(pg_catalog.to_jsonb(t) ->> 'tgparentid', '0') = '0'
UNION ALL
SELECT 'rule', c.nspname::text, c.relname::text, r.rulename::text, pg_catalog.json_build_object('definition', pg_catalog.pg_get_ruledef(r.oid))::text, NULL
FROM relations c JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid WHERE r.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', c.nspname::text, c.relname::text, p.polname::text, pg_catalog.json_build_object(
    'definition', pg_catalog.concat_ws(' ', p.polcmd::text, pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)),
    'roles', (SELECT pg_catalog.jsonb_agg(coalesce(rolname, 'public') ORDER BY 1) FROM pg_catalog.unnest(p.polroles) o LEFT JOIN pg_catalog.pg_roles ON oid = o),
    'restrictive', NOT p.polpermissive)::text, NULL
FROM relations c JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid
UNION ALL
SELECT 'statistics object', c.nspname::text, c.relname::text, s.stxname::text,
    pg_catalog.json_build_object('definition', pg_catalog.pg_get_statisticsobjdef(s.oid))::text, NULL
FROM relations c JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = c.oid
UNION ALL
SELECT CASE t.typtype WHEN 'e' THEN 'enum type' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range type' ELSE 'composite type' END,
    n.nspname::text, NULL, t.typname::text, pg_catalog.json_build_object(
    'labels', (SELECT pg_catalog.jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
    'base', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
    'not null', t.typtype = 'd' AND t.typnotnull, 'default', t.typdefault,
    'checks', (SELECT pg_catalog.jsonb_agg(pg_catalog.pg_get_constraintdef(k.oid) ORDER BY pg_catalog.pg_get_constraintdef(k.oid)) FROM pg_catalog.pg_constraint k
        WHERE k.contypid = t.oid AND k.contype = 'c'),
    'subtype', (SELECT pg_catalog.format_type(r.rngsubtype, NULL) FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid),
    'attributes', CASE WHEN t.typtype = 'c' THEN (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod))
        ORDER BY a.attname) FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END,
    'comment', (SELECT description FROM comments m WHERE m.classoid = 'pg_catalog.pg_type'::regclass AND m.objoid = t.oid))::text, NULL
FROM pg_catalog.pg_type t JOIN schemas n ON n.oid = t.typnamespace LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
  AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_catalog.pg_type'::regclass AND e.objid = t.oid)
UNION ALL
SELECT 'function', n.nspname::text, NULL, p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
    pg_catalog.json_build_object('definition', CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE pg_catalog.pg_get_functiondef(p.oid) END,
    'grants', CASE WHEN p.proacl IS NOT NULL AND p.proacl IS DISTINCT FROM pg_catalog.acldefault('f', p.proowner) THEN
        (SELECT pg_catalog.jsonb_agg(g::text ORDER BY g::text) FROM pg_catalog.unnest(p.proacl) g) END)::text, NULL
FROM pg_catalog.pg_proc p JOIN schemas n ON n.oid = p.pronamespace
WHERE p.oid >= 16384 AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
UNION ALL
SELECT 'extension', NULL, NULL, e.extname::text, pg_catalog.json_build_object('version', e.extversion)::text, NULL FROM pg_catalog.pg_extension e
UNION ALL
SELECT 'schema', NULL, NULL, n.nspname::text, pg_catalog.json_build_object('grants', CASE WHEN n.nspname <> 'public' AND n.nspacl IS NOT NULL
    AND n.nspacl IS DISTINCT FROM pg_catalog.acldefault('n', n.nspowner) THEN
    (SELECT pg_catalog.jsonb_agg(g::text ORDER BY g::text) FROM pg_catalog.unnest(n.nspacl) g) END)::text, NULL
FROM schemas n WHERE n.nspname <> 'public'
"""
_QUERY_OF_SOME = _QUERY.replace("/* of some */", "AND c.oid = ANY ($1)")
