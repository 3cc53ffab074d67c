"""The state of our own server: the rows of its shared catalogs, which are restored exactly, oids included.

A role that is recreated with another oid would own nothing in the clones that know it by the old one. So nothing is
dropped and recreated: rows are removed from the catalogs and inserted again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    import psycopg
    from typing_extensions import LiteralString

_DATABASES: LiteralString = "(SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = ANY (%(ours)s))"
_OF_SHARED: LiteralString = (
    "x.classoid <> 'pg_catalog.pg_database'::pg_catalog.regclass OR x.objoid NOT IN " + _DATABASES
)

_CLUSTER: dict[str, LiteralString] = {
    "pg_authid": "(x.oid >= 16384 OR x.oid = 10) AND x.rolname <> CURRENT_USER",
    "pg_auth_members": "true",
    "pg_db_role_setting": "x.setdatabase NOT IN " + _DATABASES,
    "pg_tablespace": "true",
    "pg_database": "x.oid NOT IN " + _DATABASES,
    "pg_parameter_acl": "true",
    "pg_replication_origin": "true",
    "pg_shdescription": _OF_SHARED,
    "pg_shseclabel": _OF_SHARED,
    "pg_shdepend": "x.dbid = 0 AND (x.classid <> 'pg_catalog.pg_database'::pg_catalog.regclass OR x.objid NOT IN "
    + _DATABASES
    + ")",
}
"""The shared catalogs, and which of their rows are server-wide."""

_OF_A_DATABASE = {"pg_shdepend": "dbid", "pg_subscription": "subdbid"}
"""Shared catalogs with rows that belong to one database, and the column that identifies it.

Rows of databases that are not in use are removed too: PostgreSQL would refuse to drop a role that owns something in
one of our copies.
"""

_COUNTS: dict[str, LiteralString] = {
    "pg_shdepend": "NOT (x.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND x.refobjid = {owner})",
}
"""Which of these rows count. Those about what the role of the migrations owns stay, one for each table and each
sequence: nothing can drop that role anyway, because it owns our databases themselves."""

_SINCE = {"pg_parameter_acl": 15}
_SETTING = re.compile(r"^\s*([\w.]+)\s*=\s*'((?:[^']|'')*)'\s*$", re.MULTILINE)
_LISTS = frozenset(
    [
        "search_path",
        "temp_tablespaces",
        "local_preload_libraries",
        "session_preload_libraries",
        "shared_preload_libraries",
        "unix_socket_directories",
    ]
)
"""Settings that are lists of names."""
_SECONDS = 2.0


class Rows(Struct, frozen=True):
    """The rows of the shared catalogs, as JSON texts."""

    cluster: Mapping[str, frozenset[str]]
    database: Mapping[str, frozenset[str]]
    """Rows of the database in use, without the column that identifies it."""
    system: str = ""
    """The contents of the file that ALTER SYSTEM writes."""
    slots: frozenset[str] = field(default_factory=frozenset)


class SharedRows:
    """Reads and restores those rows, on a connection of a superuser that is not among them."""

    def __init__(self, admin: psycopg.Connection[Any], owner: int) -> None:
        """`owner` is the oid of the role that the migrations run as."""
        self._admin = admin
        self._counts = {name: _COUNTS.get(name, "true").format(owner=int(owner)) for name in _OF_A_DATABASE}
        major = admin.info.server_version // 10000
        self._major = major
        self._tables = {name: which for name, which in _CLUSTER.items() if major >= _SINCE.get(name, 0)}
        self._hidden: set[str] = set()
        """Existing databases whose rows were removed."""
        parts = [
            f"SELECT '{name}', NULL::pg_catalog.oid, pg_catalog.to_jsonb(x)::pg_catalog.text"
            f" FROM pg_catalog.{name} x WHERE {which}"
            for name, which in self._tables.items()
        ]
        parts += [
            f"SELECT '{name}', x.{column}, (pg_catalog.to_jsonb(x) - '{column}')::pg_catalog.text"
            f" FROM pg_catalog.{name} x WHERE x.{column} = ANY (%(oids)s) AND {self._counts[name]}"
            for name, column in _OF_A_DATABASE.items()
        ]
        parts.append(
            "SELECT 'system', NULL, pg_catalog.pg_read_file('postgresql.auto.conf', 0, 1000000, true)"
            " UNION ALL SELECT 'slot', NULL, s.slot_name::pg_catalog.text FROM pg_catalog.pg_replication_slots s"
            " WHERE NOT s.temporary"
        )
        self._query = " UNION ALL ".join(parts)

    def take(self, databases: Mapping[str, int], current: str | None) -> Rows:
        """Return the current state."""
        values = {"ours": [*databases], "oids": [*databases.values()]}
        cluster: dict[str, set[str]] = {name: set() for name in self._tables}
        database: dict[str, set[str]] = {name: set() for name in _OF_A_DATABASE}
        system, slots = "", set()
        found = self._admin.execute(self._query.encode(), values, prepare=True).fetchall()
        for table, of, text in found:
            if table == "system":
                system = str(text or "")
            elif table == "slot":
                slots.add(str(text))
            elif of is None:
                cluster[table].add(text)
            elif current is not None and of == databases.get(current):
                database[table].add(text)
        return Rows(_frozen(cluster), _frozen(database), _settings_only(system), frozenset(slots))

    def reconnect(self, admin: psycopg.Connection[Any]) -> None:
        """Continue with another connection, after the server was restarted."""
        self._admin = admin

    def is_within(self, now: Rows, initial: Rows) -> bool:
        """Return whether all changes since `initial` are in the data folder and survive a restart: no tablespace,
        no other database, no server setting, no replication.
        """
        alike = ("pg_tablespace", "pg_database", "pg_replication_origin")
        same = all(now.cluster[name] == initial.cluster[name] for name in alike)
        return same and not now.system and not now.slots and not now.database["pg_subscription"]

    def told(self, rows: Rows) -> dict[str, list[str]]:
        """Return the server-wide rows in a form that `known` accepts in another run."""
        return {name: sorted(texts) for name, texts in rows.cluster.items()}

    def known(self, told: Mapping[str, Iterable[str]]) -> Rows:
        """Return the rows that `told` contains."""
        cluster = {name: set(told[name]) for name in self._tables}
        return Rows(_frozen(cluster), _frozen({name: set() for name in _OF_A_DATABASE}))

    def differ(self, now: Rows, wanted: Rows) -> bool:
        """Return whether the rows differ, or some of them belong to only one of the two databases."""
        return now != wanted or any(wanted.database.values())

    def restore(self, now: Rows, wanted: Rows, databases: Mapping[str, int], current: str) -> Iterator[str]:
        """Restore `wanted` for the database `current`. Yields what could not be restored."""
        import psycopg

        yield from self._make_databases(now, wanted)
        yield from self._drop_slots(now.slots - wanted.slots)
        try:
            with self._admin.transaction():
                self._change(now, wanted, databases, databases[current])
        except psycopg.Error as error:
            yield f"the roles and other shared objects of the server could not be restored: {_sentence(error)}"
        if now.system != wanted.system:
            yield from self._restore_system(wanted.system)

    def _change(self, now: Rows, wanted: Rows, databases: Mapping[str, int], current: int) -> None:
        # the text of a row depends on the names of roles: no role is removed before, or inserted after, all rows
        # that refer to it
        for table in reversed(self._tables):
            self._take_out(table, now.cluster[table] - wanted.cluster[table])
        for table, column in _OF_A_DATABASE.items():
            self._execute(
                f"DELETE FROM pg_catalog.{table} x WHERE x.{column} = ANY (%s) AND {self._counts[table]}",
                [[*databases.values()]],
            )
        for table in self._tables:
            self._put_in(table, wanted.cluster[table] - now.cluster[table])
        for table, column in _OF_A_DATABASE.items():
            mine = [json.dumps({**json.loads(text), column: str(current)}) for text in wanted.database[table]]
            self._put_in(table, mine)
        hidden = {_name_of(text) for text in now.cluster["pg_database"] - wanted.cluster["pg_database"]}
        self._hidden = (self._hidden | hidden) - {_name_of(text) for text in wanted.cluster["pg_database"]}

    def _take_out(self, table: str, texts: Collection[str]) -> None:
        if texts:
            self._execute(
                f"DELETE FROM pg_catalog.{table} x"
                " WHERE pg_catalog.to_jsonb(x)::pg_catalog.text = ANY (%s::pg_catalog.text[])",
                [[*texts]],
            )

    def _put_in(self, table: str, texts: Collection[str]) -> None:
        if texts:
            self._execute(
                f"INSERT INTO pg_catalog.{table} SELECT r.* FROM pg_catalog.unnest(%s::pg_catalog.text[]) one,"
                f" pg_catalog.jsonb_populate_record(NULL::pg_catalog.{table}, one::pg_catalog.jsonb) r",
                [[*texts]],
            )

    def _make_databases(self, now: Rows, wanted: Rows) -> Iterator[str]:
        """Recreate databases that a revision has dropped. They are empty: their files no longer exist."""
        import psycopg
        from psycopg import sql

        there = {_name_of(text) for text in now.cluster["pg_database"]} | self._hidden
        for text in wanted.cluster["pg_database"]:
            row = json.loads(text)
            name = str(row["datname"])
            if name in there or any(json.loads(other)["oid"] == row["oid"] for other in now.cluster["pg_database"]):
                continue
            number = sql.SQL(" OID {}").format(sql.Literal(int(row["oid"]))) if self._major >= 15 else sql.SQL("")
            try:
                self._admin.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE template0{}").format(sql.Identifier(name), number)
                )
            except psycopg.Error as error:
                yield f"the database {name}, which a revision has dropped, could not be recreated: {_sentence(error)}"
            else:
                made = self._admin.execute(
                    "SELECT pg_catalog.to_jsonb(x)::pg_catalog.text FROM pg_catalog.pg_database x WHERE x.datname = %s",
                    [name],
                ).fetchone()
                assert made is not None
                self._take_out("pg_database", [made[0]])  # the saved row replaces it

    def _drop_slots(self, slots: Iterable[str]) -> Iterator[str]:
        import psycopg

        for name in slots:
            try:
                self._execute("SELECT pg_catalog.pg_drop_replication_slot(%s)", [name])
            except psycopg.Error as error:
                yield f"the replication slot {name} could not be dropped: {_sentence(error)}"

    def _restore_system(self, wanted: str) -> Iterator[str]:
        import psycopg
        from psycopg import sql

        try:
            self._execute("ALTER SYSTEM RESET ALL", [])
            for name, value in _SETTING.findall(wanted):
                # in the file, a list of names is written as in SQL, each quoted if necessary
                plain = value.replace("''", "'")
                said = sql.SQL(plain) if name in _LISTS else sql.Literal(plain)
                self._admin.execute(
                    sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(*name.split(".")), said)
                )
            self._reload()
        except psycopg.Error as error:
            yield f"the settings of ALTER SYSTEM could not be restored: {_sentence(error)}"

    def _reload(self) -> None:
        before = self._loaded()
        self._execute("SELECT pg_catalog.pg_reload_conf()", [])
        deadline = time.monotonic() + _SECONDS
        while self._loaded() == before and time.monotonic() < deadline:
            time.sleep(0.005)

    def _loaded(self) -> str:
        found = self._admin.execute("SELECT pg_catalog.pg_conf_load_time()::pg_catalog.text").fetchone()
        return str(found[0]) if found else ""

    def _execute(self, statement: str, values: list[Any]) -> None:
        self._admin.execute(statement.encode(), values or None)


def _frozen(found: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(texts) for name, texts in found.items()}


def _settings_only(text: str) -> str:
    return "\n".join(sorted(match.group(0).strip() for match in _SETTING.finditer(text)))


def _name_of(text: str) -> str:
    return str(json.loads(text)["datname"])


def _sentence(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip().split("\n")[0]
