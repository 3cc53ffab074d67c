"""What is read from a database right before a revision and right after it, in addition to the statements that are
tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import Struct

from reviewer.recording import Counter
from reviewer.rows.shape import Shape
from reviewer.rows.values import literal
from reviewer.sql.names import Name, quoted
from reviewer.sql.types import LARGEST

if TYPE_CHECKING:
    from psycopg import Connection

MOST = 30
"""The most tables and views that are tried for one revision."""


class Concerned(Struct, frozen=True):
    """A table or view that the revision uses, or that depends on one."""

    oid: int
    name: Name
    kind: str
    """`pg_class.relkind`."""
    columns: tuple[str, ...]
    guarded: bool = False
    """Whether row-level security is enabled."""
    forced: bool = False
    """Whether row-level security also applies to the owner."""
    base: int = 0
    """For a view that reads one table or view and no other: the oid of that; 0 otherwise."""
    readers: tuple[str, ...] = ()
    """Roles of the project that may read it: not a superuser, nor the owner of the database."""
    writers: tuple[str, ...] = ()
    """Those that may insert rows into it."""

    @property
    def word(self) -> str:
        """What it is, in words."""
        return {"v": "view", "m": "materialized view", "f": "foreign table"}.get(self.kind, "table")


class Function(Struct, frozen=True):
    """A function that the user created."""

    oid: int
    name: Name
    arguments: tuple[str, ...]
    """The types of the arguments."""
    defaults: int
    """How many of the last arguments may be left out."""
    strict: bool
    mentions: bool
    """Whether its body names a table that the revision uses, or calls a function that it creates."""
    callers: tuple[str, ...] = ()
    """Roles of the project that may call it. Only for a function that the revision creates, or `mentions`."""
    parameters: tuple[str, ...] = ()
    """The names of the arguments; an empty one for an argument without."""
    columns: tuple[str, ...] = ()
    """Those that it returns, where it names them."""

    def call(self, arguments: Iterable[str]) -> str:
        """Return a call with these arguments."""
        return f"SELECT {self.name.sql}({', '.join(arguments)})"


class Expression(Struct, frozen=True):
    """An index whose expressions or predicate call a function that the user created."""

    oid: int
    node: int
    """`pg_class.relfilenode`, which changes when the index is rebuilt."""
    name: str
    table: Name
    function: Name
    function_oid: int
    texts: tuple[str, ...]


class Computed(Struct, frozen=True):
    """A stored generated column whose expression calls a function that the user created."""

    oid: int
    """Of its table."""
    name: str
    function: Name
    text: str


class State(Struct, frozen=True):
    """Everything that is read at once."""

    concerned: tuple[Concerned, ...] = ()
    functions: tuple[Function, ...] = ()
    expressions: tuple[Expression, ...] = ()
    computed: tuple[Computed, ...] = ()


def read(connection: Connection[tuple[object, ...]], names: Iterable[Name]) -> State:
    """Read the tables and views in `names` and what depends on them: views, and tables whose triggers name them;
    also the functions, and tables whose triggers, defaults or constraints call one in `names`, or one that names it.
    """
    pairs = [[name.schema or "public", name.name] for name in names]
    row = connection.execute(_QUERY.encode(), [msgspec.json.encode(pairs).decode()]).fetchone()
    assert row is not None
    found = msgspec.json.decode(str(row[0]), type=State)
    return msgspec.structs.replace(found, concerned=found.concerned[:MOST])


def names(connection: Connection[tuple[object, ...]], oids: Iterable[int]) -> dict[int, Name]:
    """Return the current names of the relations with these oids, by oid, of those that still exist."""
    row = connection.execute(
        b"SELECT pg_catalog.json_agg(pg_catalog.json_build_array(c.oid::bigint, n.nspname, c.relname)) FROM pg_catalog.pg_class c"
        b" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid::bigint = ANY (%s::bigint[])",
        [list(oids)],
    ).fetchone()
    listed = cast("list[tuple[int, str, str]]", (row[0] if row else None) or [])
    return {oid: Name(name, schema) for oid, schema, name in listed}


def writers(connection: Connection[tuple[object, ...]], tables: Iterable[Shape]) -> dict[int, tuple[str, ...]]:
    """Return the roles of the project that were given the right to insert into the tables, by oid."""
    wanted = [table.oid for table in tables]
    found = connection.execute(_WRITERS.encode(), [wanted]).fetchall() if wanted else []
    listed = cast("list[tuple[int, list[str]]]", found)
    return {oid: tuple(roles) for oid, roles in listed}


def counters(connection: Connection[tuple[object, ...]], tables: Iterable[Shape]) -> tuple[Counter, ...]:
    """Return the sequences that fill integer columns that are unique by themselves, compared with the highest value
    of each column.
    """
    wanted = [
        (table, each.name)
        for table in tables
        for each in table.fields
        if each.counts is not None and each.text in LARGEST and (each.name,) in table.unique
    ]
    if not wanted:
        return ()
    tells = " UNION ALL ".join(
        f"SELECT {n} AS n, (SELECT pg_catalog.max({quoted(column)})::numeric FROM {table.name.sql}) AS highest"
        for n, (table, column) in enumerate(wanted)
    )
    columns = ", ".join(f"({n}, {table.oid}::oid, {literal(column)})" for n, (table, column) in enumerate(wanted))
    rows = connection.execute(
        f"WITH wanted (n, relation, name) AS (VALUES {columns}), highest AS ({tells}) {_SEQUENCES}".encode()
    )
    listed = cast("list[tuple[int, str, str, int, int, str, int | None]]", rows.fetchall())
    states = _states(connection, [Name(name, schema).sql for _, schema, name, *_ in listed])
    found = []
    for (n, schema, name, step, ends, kind, highest), (last, called) in zip(listed, states, strict=True):
        table, column = wanted[n]
        text = next(each.text for each in table.fields if each.name == column)
        found.append(
            Counter(
                table.name,
                column,
                Name(name, schema),
                last + int(step) if called else last,
                None if highest is None else int(highest),
                int(ends),
                kind,
                text,
            )
        )
    return tuple(found)


def sequences(connection: Connection[tuple[object, ...]], tables: Iterable[Shape]) -> tuple[str, ...]:
    """Return the statements that reset the sequences of `tables` to their current values."""
    found = []
    for table in tables:
        for each in table.fields:
            if each.counts is not None:
                sequence = each.counts.partition("nextval(")[2].rpartition(")")[0]
                found.append(sequence)
    if not found:
        return ()
    expressions = list(dict.fromkeys(found))
    named = connection.execute(
        " UNION ALL ".join(
            f"SELECT {n}, ({each})::pg_catalog.regclass::text" for n, each in enumerate(expressions)
        ).encode()
    ).fetchall()
    names = [str(name) for _, name in sorted(named)]
    return tuple(
        f"SELECT pg_catalog.setval({sequence}, {last}, {called})"
        for sequence, (last, called) in zip(expressions, _states(connection, names), strict=True)
    )


def _states(connection: Connection[tuple[object, ...]], sequences: Iterable[str]) -> list[tuple[int, bool]]:
    """Return the last value of each sequence, and whether that has been used: else it is the next."""
    reads = [f"SELECT {n}, last_value, is_called FROM {name}" for n, name in enumerate(sequences)]
    if not reads:
        return []
    rows = connection.execute(" UNION ALL ".join(reads).encode()).fetchall()
    return [(int(str(last)), bool(called)) for _, last, called in sorted(rows)]


def digests(
    connection: Connection[tuple[object, ...]], expressions: Iterable[Expression]
) -> dict[int, tuple[str, int]]:
    """Return a digest of the values of index expressions for the existing rows, and the number of rows, by oid of
    the index.
    """
    import psycopg

    found = {}
    for each in expressions:
        values = ", ".join(f"({text})::text" for text in each.texts)
        try:
            with connection.transaction():
                row = connection.execute(
                    f"SELECT pg_catalog.md5(coalesce(pg_catalog.string_agg(pg_catalog.concat_ws('|', {values}), ';' ORDER BY ctid), '')),"
                    f" pg_catalog.count(*) FROM {each.table.sql}".encode()
                ).fetchone()
        except psycopg.Error:
            continue
        if row is not None:
            found[each.oid] = (str(row[0]), int(str(row[1])))
    return found


_SEQUENCES = """
SELECT w.n, n.nspname::text, c.relname::text,
    s.seqincrement,
    CASE s.seqtypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE 9223372036854775807 END,
    pg_catalog.format_type(s.seqtypid, NULL), h.highest
FROM wanted w JOIN highest h USING (n)
JOIN pg_catalog.pg_attribute a ON a.attrelid = w.relation AND a.attname = w.name
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
JOIN pg_catalog.pg_depend p ON p.refclassid = 'pg_catalog.pg_class'::regclass
    AND ((p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid)
      OR (p.classid = 'pg_catalog.pg_class'::regclass AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype IN ('i')))
JOIN pg_catalog.pg_sequence s ON s.seqrelid = CASE WHEN p.classid = 'pg_catalog.pg_attrdef'::regclass THEN p.refobjid ELSE p.objid END
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE s.seqincrement > 0 AND NOT s.seqcycle
"""

_ROLES = r"""
    SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r
    WHERE NOT r.rolsuper AND r.oid >= 16384 AND r.rolname NOT LIKE 'alembic\_reviewer\_%%' AND r.rolname <> CURRENT_USER
      AND r.oid <> (SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""
"""The roles of the project that are not its own user."""

_WRITERS = f"""
WITH roles AS ({_ROLES})
SELECT c.oid::bigint, pg_catalog.array_agg(r.rolname::text ORDER BY r.rolname)
FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a JOIN roles r ON r.oid = a.grantee
WHERE c.oid::bigint = ANY (%s::bigint[]) AND a.privilege_type = 'INSERT' GROUP BY c.oid
"""

_QUERY = r"""
WITH RECURSIVE asked AS (
    SELECT g ->> 0 AS schema, g ->> 1 AS name FROM pg_catalog.json_array_elements(%s::json) g
), named AS (
    SELECT c.oid, c.relkind FROM asked g
    JOIN pg_catalog.pg_namespace n ON n.nspname = g.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = g.name
), given AS (
    SELECT c.oid, c.relname, c.relkind, c.relispartition FROM pg_catalog.pg_class c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid IN (
        SELECT oid FROM named
        UNION SELECT d.refobjid FROM named JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass
            AND d.objid = named.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
        WHERE named.relkind = 'S')
), users AS (
    SELECT p.oid, p.proname, n.nspname, p.prosrc, p.proargtypes, p.pronargdefaults, p.proisstrict, p.prorettype, p.prokind, p.provariadic, p.proacl, p.proowner, p.proargnames, p.proargmodes,
        EXISTS (SELECT FROM given g WHERE pg_catalog.strpos(pg_catalog.lower(p.prosrc), pg_catalog.lower(g.relname)) > 0) AS mentions
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%%'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
), roles AS ({roles}), callers AS (
    SELECT u.oid, u.proname, false AS by_text FROM users u WHERE EXISTS (SELECT FROM asked g WHERE g.name = u.proname AND g.schema = u.nspname)
    UNION
    SELECT u.oid, u.proname, true FROM callers k
    JOIN users u ON u.oid <> k.oid
        AND u.prosrc ~* ('\m' || pg_catalog.regexp_replace(k.proname::text, '(\W)', '\\\1', 'g') || '"?\s*\(')
), tops AS (
    SELECT CASE WHEN g.relispartition THEN pg_catalog.pg_partition_root(g.oid)::oid ELSE g.oid END AS oid FROM given g
    UNION
    SELECT CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid ELSE c.oid END
    FROM pg_catalog.pg_trigger t JOIN users u ON u.oid = t.tgfoid JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal
      AND (u.mentions OR u.oid IN (SELECT oid FROM callers))
    UNION
    SELECT CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid ELSE c.oid END
    FROM pg_catalog.pg_depend p JOIN pg_catalog.pg_attrdef d ON d.oid = p.objid JOIN pg_catalog.pg_class c ON c.oid = d.adrelid
    WHERE p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.refclassid = 'pg_catalog.pg_proc'::regclass
      AND p.refobjid IN (SELECT oid FROM callers)
    UNION
    SELECT CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid ELSE c.oid END
    FROM pg_catalog.pg_depend p JOIN pg_catalog.pg_constraint k ON k.oid = p.objid JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    WHERE p.classid = 'pg_catalog.pg_constraint'::regclass AND p.refclassid = 'pg_catalog.pg_proc'::regclass
      AND p.refobjid IN (SELECT oid FROM callers)
    UNION
    SELECT r.ev_class FROM pg_catalog.pg_depend p JOIN pg_catalog.pg_rewrite r ON r.oid = p.objid
    WHERE p.classid = 'pg_catalog.pg_rewrite'::regclass AND p.refclassid = 'pg_catalog.pg_proc'::regclass
      AND p.refobjid IN (SELECT oid FROM callers)
    UNION
    SELECT l.polrelid FROM pg_catalog.pg_depend p JOIN pg_catalog.pg_policy l ON l.oid = p.objid
    WHERE p.classid = 'pg_catalog.pg_policy'::regclass AND p.refclassid = 'pg_catalog.pg_proc'::regclass
      AND p.refobjid IN (SELECT oid FROM callers)
), concerned AS (
    SELECT oid FROM tops
    UNION
    SELECT r.ev_class FROM concerned k
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = k.oid AND d.classid = 'pg_catalog.pg_rewrite'::regclass
    JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
)
SELECT pg_catalog.json_build_object(
    'concerned', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', c.oid::bigint, 'name', pg_catalog.json_build_object('name', c.relname, 'schema', n.nspname), 'kind', c.relkind::text,
        'columns', coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
        'guarded', c.relrowsecurity, 'forced', c.relrowsecurity AND c.relforcerowsecurity,
        'base', CASE WHEN c.relkind = 'v' THEN coalesce((
            SELECT pg_catalog.min(d.refobjid::bigint) FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid
            WHERE r.ev_class = c.oid AND r.ev_type = '1' AND d.classid = 'pg_catalog.pg_rewrite'::regclass
                AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> c.oid
            HAVING pg_catalog.count(DISTINCT d.refobjid) = 1), 0) ELSE 0 END,
        'readers', coalesce((SELECT pg_catalog.json_agg(r.rolname ORDER BY r.rolname) FROM roles r WHERE r.oid = c.relowner OR r.oid IN (
            SELECT a.grantee FROM pg_catalog.aclexplode(c.relacl) a WHERE a.privilege_type = 'SELECT')), '[]'),
        'writers', coalesce((SELECT pg_catalog.json_agg(r.rolname ORDER BY r.rolname) FROM roles r WHERE r.oid IN (
            SELECT a.grantee FROM pg_catalog.aclexplode(c.relacl) a WHERE a.privilege_type = 'INSERT')), '[]'))
        ORDER BY c.oid NOT IN (SELECT oid FROM tops), c.relkind NOT IN ('r', 'p'), n.nspname, c.relname)
      FROM concerned k JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')), '[]'),
    'functions', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', u.oid::bigint, 'name', pg_catalog.json_build_object('name', u.proname, 'schema', u.nspname),
        'arguments', coalesce((SELECT pg_catalog.json_agg(pg_catalog.format_type(a.type, NULL) ORDER BY a.position)
            FROM pg_catalog.unnest(u.proargtypes) WITH ORDINALITY a (type, position)), '[]'),
        'defaults', u.pronargdefaults, 'strict', u.proisstrict, 'mentions', u.mentions OR u.oid IN (SELECT oid FROM callers WHERE by_text),
        'callers', CASE WHEN u.mentions OR u.oid IN (SELECT oid FROM callers) THEN coalesce((SELECT pg_catalog.json_agg(r.rolname ORDER BY r.rolname)
            FROM roles r WHERE r.oid = u.proowner OR u.proacl IS NULL OR EXISTS (SELECT FROM pg_catalog.aclexplode(u.proacl) a WHERE a.grantee IN (0, r.oid))), '[]') ELSE '[]' END,
        'parameters', coalesce((SELECT pg_catalog.json_agg(u.proargnames[k] ORDER BY k) FROM pg_catalog.generate_subscripts(u.proargnames, 1) k
            WHERE coalesce(u.proargmodes[k], 'i') IN ('i', 'b')), '[]'),
        'columns', coalesce((SELECT pg_catalog.json_agg(u.proargnames[k] ORDER BY k) FROM pg_catalog.generate_subscripts(u.proargnames, 1) k
            WHERE u.proargmodes[k] IN ('o', 'b', 't')), '[]')) ORDER BY u.nspname, u.proname, u.oid)
      FROM users u WHERE u.prokind = 'f' AND u.provariadic = 0 AND u.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)), '[]'),
    'expressions', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', i.oid::bigint, 'node', i.relfilenode::bigint, 'name', i.relname,
        'table', pg_catalog.json_build_object('name', t.relname, 'schema', tn.nspname),
        'function', pg_catalog.json_build_object('name', u.proname, 'schema', u.nspname), 'function_oid', u.oid::bigint,
        'texts', pg_catalog.to_json(pg_catalog.array_remove(ARRAY(
            SELECT pg_catalog.pg_get_indexdef(i.oid, k, false) FROM pg_catalog.generate_series(1, x.indnatts) k WHERE x.indkey[k - 1] = 0)
            || pg_catalog.pg_get_expr(x.indpred, x.indrelid), NULL))) ORDER BY i.oid)
      FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
      JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.oid AND d.refclassid = 'pg_catalog.pg_proc'::regclass
      JOIN users u ON u.oid = d.refobjid), '[]'),
    'computed', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'oid', a.attrelid::bigint, 'name', a.attname,
        'function', pg_catalog.json_build_object('name', u.proname, 'schema', u.nspname),
        'text', pg_catalog.pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attrelid, a.attnum)
      FROM users u JOIN pg_catalog.pg_depend p ON p.refclassid = 'pg_catalog.pg_proc'::regclass AND p.refobjid = u.oid
      JOIN pg_catalog.pg_attrdef d ON (p.classid = 'pg_catalog.pg_attrdef'::regclass AND d.oid = p.objid)
        OR (p.classid = 'pg_catalog.pg_class'::regclass AND d.adrelid = p.objid AND d.adnum = p.objsubid)  -- up to PostgreSQL 14
      JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = 's'), '[]')
)::text
""".replace("{roles}", _ROLES)
