"""Our own sessions, which behave the same whatever a revision sets for a role, a database or the server, and
whatever the user's `PG…` variables contain.

On our own server they belong to a superuser that the project does not know, with a name that cannot be guessed.
The migrations run as an ordinary role there, which owns the scratch databases.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

STEADY = {
    "statement_timeout": "0",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "default_tablespace": "",
    "temp_tablespaces": "",
    "row_security": "on",
    "client_encoding": "UTF8",
    "client_min_messages": "notice",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
    # what is prepared, is planned once, and not for each of the first five executions
    "plan_cache_mode": "force_generic_plan",
    "role": "none",
}
"""Settings of all our sessions. Connection settings override those of roles and databases."""

_STEADY_SINCE = {17: {"transaction_timeout": "0"}}

_SUPERUSERS = {"session_replication_role": "origin", "lc_messages": "C", "session_preload_libraries": ""}
"""Further settings, which only a superuser can set."""

_SUPERUSERS_SINCE = {17: {"event_triggers": "off"}}

ADMIN = {"search_path": "pg_catalog", "TimeZone": "UTC"}
"""Further settings for the session that creates databases and manages the server, and never touches the project's
objects."""

SUPERUSER = "superuser"
"""What the superuser that our own server was created with is called. It owns what belongs to PostgreSQL itself."""

MIGRATES_AS = "alembic_reviewer.migrates_as"
"""A setting of our sessions on a server of our own: the role that the migrations run as."""

_GIVEN = (("pg_monitor", 10), ("pg_signal_backend", 10), ("pg_checkpoint", 15), ("pg_create_subscription", 16))
"""Predefined roles that the migrations' role is a member of, each with the version that has introduced it."""

_GOOD_FOR_ALL = frozenset(
    [
        "PGPASSFILE",
        "PGPASSWORD",
        "PGCHANNELBINDING",
        "PGREQUIREAUTH",
        "PGREQUIREPEER",
        "PGSSLMODE",
        "PGREQUIRESSL",
        "PGSSLCOMPRESSION",
        "PGSSLCERT",
        "PGSSLKEY",
        "PGSSLROOTCERT",
        "PGSSLCRL",
        "PGSSLCRLDIR",
        "PGSSLSNI",
        "PGSSLCERTMODE",
        "PGSSLNEGOTIATION",
        "PGSSLMINPROTOCOLVERSION",
        "PGSSLMAXPROTOCOLVERSION",
        "PGGSSENCMODE",
        "PGKRBSRVNAME",
        "PGGSSLIB",
        "PGGSSDELEGATION",
        "PGCONNECT_TIMEOUT",
        "PGSYSCONFDIR",
        "PGLOCALEDIR",
    ]
)
"""Variables for authentication on a user's server. These may come from the environment."""

_ENVIRONMENT = threading.Lock()


def settings_of(major: int, superuser: bool) -> dict[str, str]:
    """Return the settings of our sessions on a server of that major version."""
    found = dict(STEADY)
    for since, more in _STEADY_SINCE.items():
        found |= more if major >= since else {}
    if superuser:
        found |= _SUPERUSERS
        for since, more in _SUPERUSERS_SINCE.items():
            found |= more if major >= since else {}
    return found


def admin_options(major: int, superuser: bool) -> str:
    """Return the options of the session that manages the server."""
    return options(settings_of(major, superuser) | ADMIN)


def options(settings: Mapping[str, str]) -> str:
    """Format `settings` as libpq's parameter `options`."""
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


@contextlib.contextmanager
def without_variables(keep: frozenset[str] = frozenset()) -> Iterator[None]:
    """Hide the user's `PG…` variables from libpq within this context, except those in `keep`."""
    with _ENVIRONMENT:
        hidden = {name: os.environ[name] for name in os.environ if name.startswith("PG") and name not in keep}
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)


@contextlib.contextmanager
def for_a_server_of_the_users() -> Iterator[None]:
    """Hide variables as `without_variables` does, except those for authentication."""
    with without_variables(_GOOD_FOR_ALL):
        yield


def become_unknown(admin: psycopg.Connection[Any], password: str | None) -> str:
    """Create the reviewer's superuser on the connection `admin`, which continues as that role. Returns its name.

    `password` is the one that it connects with, if the server requires one.
    """
    from psycopg import sql

    name = f"reviewer_{secrets.token_hex(8)}"
    words = sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(sql.Identifier(name))
    if password is not None:
        words += sql.SQL(" PASSWORD {}").format(sql.Literal(password))
    admin.execute(words)
    admin.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(name)))
    return name


def make_owner(admin: psycopg.Connection[Any], name: str, password: str | None) -> None:
    """Give `name`, the superuser that the server was created with, to an ordinary role: the migrations run as it.

    It has what the first role of a managed service commonly has: it can create databases, roles and subscriptions,
    watch other sessions, and set `session_replication_role`. It is subject to row-level security.
    """
    from psycopg import sql

    major = admin.info.server_version // 10000
    owner = sql.Identifier(name)
    renamed = sql.SQL("ALTER ROLE {} RENAME TO {}").format(owner, sql.Identifier(SUPERUSER))
    words = sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB").format(owner)
    if password is not None:
        words += sql.SQL(" PASSWORD {}").format(sql.Literal(password))
    words += sql.SQL(" IN ROLE {}").format(
        sql.SQL(", ").join(sql.Identifier(role) for role, since in _GIVEN if major >= since)
    )
    statements = [renamed, words]
    if major >= 15:
        statements.append(sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(owner))
    if major >= 16:
        # as before 16, the creator of a role may act as it
        statements.append(sql.SQL("ALTER ROLE {} SET createrole_self_grant = 'set, inherit'").format(owner))
    admin.execute(sql.SQL("; ").join(statements))


def forget_user(admin: psycopg.Connection[Any], name: str) -> None:
    """Drop the superuser `name` of an earlier run, as which `admin` first connected."""
    from psycopg import sql

    admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
