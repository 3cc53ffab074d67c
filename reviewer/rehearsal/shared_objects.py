"""Objects outside the tables of its database that a migration can change: roles, settings, tablespaces, other
databases.

Read from the shared catalogs in one round trip, in the format of a snapshot. Objects of the reviewer are left out.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from reviewer.postgres import prepared, sessions

if TYPE_CHECKING:
    from psycopg import Connection

KINDS = (
    "role",
    "tablespace",
    "database",
    "database setting",
    "server setting",
    "subscription",
    "replication origin",
    "replication slot",
)
"""The kinds of these objects, in the order in which differences are reported."""

THIS = "current_database()"
"""The name under which the current database is reported: its real name differs in each rehearsal."""

_OURS = ("client_min_messages=debug1", "lc_messages=C", "lock_timeout=29973ms")
"""The settings that the reviewer gives every scratch database."""

_QUERY = r"""
WITH here AS MATERIALIZED (
    SELECT d.*, coalesce(nullif(pg_catalog.current_setting($1, true), ''), CURRENT_USER) AS migrates
    FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
), settings AS MATERIALIZED (
    SELECT s.setdatabase, s.setrole, pg_catalog.split_part(c, '=', 1) AS name,
        pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1) AS value, c
    FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c
)
SELECT 'role', r.rolname::pg_catalog.text, pg_catalog.json_build_object(
    'SUPERUSER', r.rolsuper, 'NOINHERIT', NOT r.rolinherit, 'CREATEROLE', r.rolcreaterole,
    'CREATEDB', r.rolcreatedb, 'LOGIN', r.rolcanlogin, 'REPLICATION', r.rolreplication, 'BYPASSRLS', r.rolbypassrls,
    'connection limit', nullif(r.rolconnlimit, -1), 'VALID UNTIL', r.rolvaliduntil::pg_catalog.text,
    'membership', (SELECT pg_catalog.jsonb_agg(g.rolname || CASE WHEN m.admin_option THEN ' WITH ADMIN OPTION' ELSE '' END
            ORDER BY g.rolname)
        FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
        WHERE m.member = r.oid AND r.rolname <> (SELECT migrates FROM here)),
    'settings', (SELECT pg_catalog.jsonb_agg(s.c ORDER BY s.c) FROM settings s
        WHERE s.setrole = r.oid AND s.setdatabase = 0),
    'comment', (SELECT m.description FROM pg_catalog.pg_shdescription m WHERE m.objoid = r.oid
        AND m.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass),
    'security labels', (SELECT pg_catalog.jsonb_agg(l.label ORDER BY l.provider) FROM pg_catalog.pg_shseclabel l
        WHERE l.objoid = r.oid AND l.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass))::pg_catalog.text
FROM pg_catalog.pg_roles r
WHERE (r.oid >= 16384 OR r.oid = 10) AND r.rolname <> SESSION_USER AND ($2 IS NULL
    OR r.rolname = ANY ($2))
UNION ALL
SELECT 'role', 'ALL', pg_catalog.json_build_object('settings', pg_catalog.jsonb_agg(s.c ORDER BY s.c))::pg_catalog.text
FROM settings s WHERE s.setrole = 0 AND s.setdatabase = 0 HAVING pg_catalog.count(*) > 0
UNION ALL
SELECT 'tablespace', t.spcname::pg_catalog.text, pg_catalog.json_build_object(
    'owner', nullif(pg_catalog.pg_get_userbyid(t.spcowner), pg_catalog.pg_get_userbyid(10)),
    'options', pg_catalog.to_jsonb(t.spcoptions), 'grants', t.spcacl::pg_catalog.text,
    'comment', (SELECT m.description FROM pg_catalog.pg_shdescription m WHERE m.objoid = t.oid
        AND m.classoid = 'pg_catalog.pg_tablespace'::pg_catalog.regclass))::pg_catalog.text
FROM pg_catalog.pg_tablespace t WHERE t.oid >= 16384
UNION ALL
SELECT 'database', d.datname::pg_catalog.text, '{}'
FROM pg_catalog.pg_database d WHERE NOT d.datname ~ '^(alembic_reviewer_\w+|review_\d+)$' AND $2 IS NULL
UNION ALL
SELECT 'database', $3, pg_catalog.json_build_object(
    'owner', nullif(pg_catalog.pg_get_userbyid(d.datdba), d.migrates),
    'grants', (SELECT pg_catalog.jsonb_agg(g::pg_catalog.text ORDER BY g::pg_catalog.text)
        FROM pg_catalog.unnest(d.datacl) g WHERE d.datacl IS DISTINCT FROM pg_catalog.acldefault('d', d.datdba)),
    'connection limit', nullif(d.datconnlimit, -1), 'refusal of connections', NOT d.datallowconn,
    'mark as template', d.datistemplate,
    'comment', (SELECT m.description FROM pg_catalog.pg_shdescription m WHERE m.objoid = d.oid
        AND m.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass))::pg_catalog.text
FROM here d
UNION ALL
SELECT 'database setting', s.name || CASE WHEN s.setrole = 0 THEN '' ELSE ' of role ' || pg_catalog.pg_get_userbyid(s.setrole) END,
    pg_catalog.json_build_object('value', s.value)::pg_catalog.text
FROM here d JOIN settings s ON s.setdatabase = d.oid WHERE NOT (s.setrole = 0 AND s.c = ANY ($4))
UNION ALL
SELECT 'replication origin', o.roname, '{}' FROM pg_catalog.pg_replication_origin o WHERE $2 IS NULL
UNION ALL
SELECT 'replication slot', s.slot_name::pg_catalog.text, '{}' FROM pg_catalog.pg_replication_slots s
WHERE NOT s.temporary AND (s.database IS NULL OR s.database = pg_catalog.current_database()) AND $2 IS NULL
"""

_SUPERUSERS = r"""
UNION ALL
SELECT 'subscription', s.subname::pg_catalog.text, '{}' FROM here d JOIN pg_catalog.pg_subscription s ON s.subdbid = d.oid
UNION ALL
SELECT 'server setting', s.name, pg_catalog.json_build_object('value', s.setting)::pg_catalog.text
FROM (SELECT DISTINCT ON (f.name) f.name, f.setting FROM pg_catalog.pg_file_settings f
    WHERE pg_catalog.starts_with(pg_catalog.reverse(f.sourcefile), pg_catalog.reverse('postgresql.auto.conf'))
    ORDER BY f.name, f.seqno DESC) s
"""


def read(connection: Connection[tuple[object, ...]], roles: Collection[str] | None) -> list[tuple[str, ...]]:
    """Read one row for each object: kind, no schema, no table, name, properties as JSON text, no columns.

    `roles` limits which roles count on a server that others use too. Other server-wide objects are then left out.
    None counts everything. What the role of the migrations is a member of is left out: it becomes a member of the
    roles that it creates.
    """
    query = _QUERY if roles is not None else _QUERY + _SUPERUSERS
    values = (sessions.MIGRATES_AS, None if roles is None else sorted(roles), THIS, list(_OURS))
    types = ("text", "text[]", "text", "text[]")
    rows = cast("list[tuple[str, str, str]]", prepared.execute(connection, query, types, values).fetchall())
    return [(kind, None, None, name, about, None) for kind, name, about in rows]  # type: ignore[misc] # as a snapshot's
