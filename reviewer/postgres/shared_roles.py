"""The roles that the migrations under review create on a user's server, where nothing else is ever touched.

A role belongs to the migrations if it appeared while they ran and one of their statements names it. If it must not
exist, it is renamed instead of dropped: clones in which it owns something still refer to it, and it gets its name
back when one of them is entered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    import psycopg

_ABOUT_ROLES = re.compile(r"\b(?:role|user|group|reassign|grant|revoke)\b", re.IGNORECASE)
_MOST_HEARD = 1_000_000
"""Characters of statements about roles that are remembered."""

_TAKE = """
SELECT r.oid, r.rolname::pg_catalog.text, pg_catalog.json_build_object(
    'SUPERUSER', r.rolsuper, 'INHERIT', r.rolinherit, 'CREATEROLE', r.rolcreaterole, 'CREATEDB', r.rolcreatedb,
    'LOGIN', r.rolcanlogin, 'REPLICATION', r.rolreplication, 'BYPASSRLS', r.rolbypassrls,
    'limit', r.rolconnlimit, 'until', r.rolvaliduntil::pg_catalog.text,
    'settings', (SELECT pg_catalog.json_agg(c ORDER BY c) FROM pg_catalog.pg_db_role_setting s
        CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c WHERE s.setrole = r.oid AND s.setdatabase = 0),
    'member of', (SELECT pg_catalog.json_agg(DISTINCT m.roleid::pg_catalog.text) FROM pg_catalog.pg_auth_members m
        WHERE m.member = r.oid))::pg_catalog.text
FROM pg_catalog.pg_roles r WHERE r.oid >= 16384
"""
_FLAGS = ("SUPERUSER", "INHERIT", "CREATEROLE", "CREATEDB", "LOGIN", "REPLICATION", "BYPASSRLS")


class Roles(Struct, frozen=True):
    """The roles of a server, by oid: the name of each, and its properties as JSON text."""

    found: Mapping[int, tuple[str, str]] = field(default_factory=dict)


class SharedRoles:
    """Saves and restores the roles that the migrations create, with ordinary statements.

    `watch` is called with the oid of each. The function that it returns is called after the role has been dropped.
    """

    def __init__(
        self,
        admin: psycopg.Connection[Any],
        prefix: str,
        watch: Callable[[int], Callable[[], None]],
    ) -> None:
        self._admin = admin
        self._prefix = prefix
        self._watch = watch
        self._heard = ""
        self._others: dict[int, tuple[str, str]] | None = None
        self._theirs: dict[int, Callable[[], None]] = {}
        self._told: set[str] = set()

    @property
    def names(self) -> frozenset[str]:
        """The roles that count: those that existed before, and those that the migrations have created."""
        there = self._read()
        known = {*(self._others or {}), *self._theirs}
        return frozenset(name for oid, (name, _) in there.items() if oid in known)

    def heard(self, sql: str) -> None:
        """Record a statement that the migrations have run."""
        if _ABOUT_ROLES.search(sql) and len(self._heard) < _MOST_HEARD:
            self._heard += sql + "\n"

    def take(self, databases: Mapping[str, int], current: str | None) -> Roles:  # noqa: ARG002 - as every keeper
        """Return the roles of the migrations that currently exist under their real names."""
        there = self._read()
        if self._others is None:
            self._others = there
        for oid, (name, _) in there.items():
            if oid not in self._others and oid not in self._theirs and self._names(name):
                self._theirs[oid] = self._watch(oid)
        for oid in [oid for oid in self._theirs if oid not in there]:
            self._theirs.pop(oid)()
        known = {oid: role for oid, role in there.items() if oid in self._theirs or self._changed(oid, role)}
        return Roles({oid: role for oid, role in known.items() if not role[0].startswith(self._prefix)})

    def differ(self, now: Roles, wanted: Roles) -> bool:
        """Return whether the roles differ."""
        return now != wanted

    def restore(
        self,
        now: Roles,
        wanted: Roles,
        databases: Mapping[str, int],  # noqa: ARG002 - as every keeper
        current: str,  # noqa: ARG002 - as every keeper
    ) -> Iterator[str]:
        """Restore `wanted`. Yields what could not be restored."""
        import psycopg

        assert self._others is not None
        for oid, (name, _) in now.found.items():
            if oid in self._others:
                told = f"the role {name}, which existed before this review, stays as the migrations have changed it"
                if told not in self._told:
                    self._told.add(told)
                    yield told
        there = self._read()
        # free names before reusing them
        for renaming in (
            [(oid, f"{self._prefix}role_{oid}") for oid in now.found if oid not in wanted.found],
            [(oid, name) for oid, (name, _) in wanted.found.items()],
        ):
            for oid, name in renaming:
                if oid not in self._theirs or oid not in there or there[oid][0] == name:
                    continue
                try:
                    self._run("ALTER ROLE {} RENAME TO {}", there[oid][0], name)
                except psycopg.Error as error:
                    yield f"the role {there[oid][0]} could not be set aside between two rehearsals: {_sentence(error)}"
        for oid, (name, about) in wanted.found.items():
            if oid in self._theirs and oid in there and there[oid][1] != about:
                try:
                    self._give_back(name, json.loads(there[oid][1]), json.loads(about))
                except psycopg.Error as error:
                    yield f"the role {name} could not be restored: {_sentence(error)}"
            elif oid not in there and oid not in self._others:
                yield f"the role {name}, which a revision has dropped, no longer exists in the rehearsals that follow"

    def close(self) -> None:
        """Drop the roles of the migrations. The databases in which they own objects no longer exist."""
        import psycopg

        there = self._read() if self._theirs else {}
        for oid in list(self._theirs):
            try:
                if oid in there:
                    self._run("DROP ROLE {}", there[oid][0])
            except psycopg.Error:
                continue  # left to the guardian
            self._theirs.pop(oid)()

    def _changed(self, oid: int, role: tuple[str, str]) -> bool:
        """Return whether the role existed before and the migrations have changed it."""
        assert self._others is not None
        return oid in self._others and self._others[oid] != role and self._names(role[0])

    def _names(self, role: str) -> bool:
        """Return whether a statement of the migrations names the role."""
        return re.search(rf"(?<![\w$]){re.escape(role)}(?![\w$])", self._heard, re.IGNORECASE) is not None

    def _give_back(self, name: str, now: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        from psycopg import sql

        flags = [flag if wanted[flag] else f"NO{flag}" for flag in _FLAGS if wanted[flag] != now[flag]]
        if flags:
            self._run(f"ALTER ROLE {{}} {' '.join(flags)}", name)
        if wanted["limit"] != now["limit"]:
            self._run(f"ALTER ROLE {{}} CONNECTION LIMIT {int(wanted['limit'])}", name)
        if wanted["settings"] != now["settings"]:
            self._run("ALTER ROLE {} RESET ALL", name)
            for setting in wanted["settings"] or ():
                parameter, _, value = setting.partition("=")
                with self._admin.transaction():
                    self._admin.execute("SELECT pg_catalog.set_config(%s, %s, true)", [parameter, value])
                    self._admin.execute(
                        sql.SQL("ALTER ROLE {} SET {} FROM CURRENT").format(
                            sql.Identifier(name), sql.Identifier(*parameter.split("."))
                        )
                    )
        before, after = set(now["member of"] or ()), set(wanted["member of"] or ())
        names = {str(oid): role for oid, (role, _) in self._read().items()}
        for oid in before - after:
            if oid in names:
                self._run("REVOKE {} FROM {}", names[oid], name)
        for oid in after - before:
            if oid in names:
                self._run("GRANT {} TO {}", names[oid], name)

    def _run(self, statement: str, *names: str) -> None:
        from psycopg import sql

        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _read(self) -> dict[int, tuple[str, str]]:
        rows = self._admin.execute(_TAKE.encode(), prepare=True).fetchall()
        return {int(oid): (str(name), str(about)) for oid, name, about in rows}


def _sentence(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip().split("\n")[0]
