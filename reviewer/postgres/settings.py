"""Copies the settings of a database, and of roles in it, to a clone with ordinary statements only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


def copy_by_statements(admin: psycopg.Connection[Any], template: str, database: str) -> None:
    """Give `database` the settings of `template`. Settings that only a superuser can set are skipped if we are not
    one.
    """
    import psycopg
    from psycopg import sql

    rows = admin.execute(
        "SELECT r.rolname, c FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase"
        " LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) c"
        " WHERE d.datname = %s",
        [template],
    ).fetchall()
    for role, setting in rows:
        name, _, value = str(setting).partition("=")
        whose = sql.SQL("DATABASE {}").format(sql.Identifier(database))
        if role is not None:
            whose = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(database))
        change = sql.SQL("ALTER {} SET {} FROM CURRENT").format(whose, sql.Identifier(*name.split(".")))
        try:
            with admin.transaction():
                # a value that is a list of names can only be copied from a session's setting
                admin.execute("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])
                admin.execute(change)
        except psycopg.Error:
            continue
