"""A user's server: scratch databases are created on it and dropped again, and nothing else is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from reviewer.errors import ServerError, UsageError
from reviewer.host.guardian import Guardian
from reviewer.postgres import sessions
from reviewer.postgres.request import NEWEST, OLDEST, ServerRequest
from reviewer.postgres.server import Address, RunningServer

PREFIX = "alembic_reviewer_"
"""Prefix of the names of scratch databases; a random part follows."""

_SECONDS = 15


@contextmanager
def url_server(request: ServerRequest, guardian: Guardian) -> Iterator[RunningServer]:
    """The server that `request.source` names.

    Raises:
        UsageError: it is not a URL of a PostgreSQL server.
        ServerError: it does not respond, it is too old, or the role cannot create databases.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    # libpq does not understand SQLAlchemy's way to name a driver.
    url = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", request.source)
    try:
        if not url.startswith(("postgresql://", "postgres://")):
            raise UsageError(f"{_shown(request.source)} is not a postgresql:// URL.", _WAY_OUT)
        if url.partition("://")[2].partition("/")[0].count("@") > 1:
            raise UsageError(f"{_shown(request.source)} has an @ in its password.", "Write it as %40.")
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise UsageError(
            f"{_shown(request.source)} cannot be read: {_shown(str(error).strip())}.", _WAY_OUT
        ) from error
    conninfo = make_conninfo(url, connect_timeout=parameters.get("connect_timeout") or _SECONDS)
    try:
        with sessions.for_a_server_of_the_users():
            admin = psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise ServerError(f"The server of --postgres cannot be reached: {reason}", _WAY_OUT) from error
    with admin:
        _refuse_what_cannot_work(admin, request)
        address = _address(admin, parameters.get("sslmode"))
        server = RunningServer(
            source="url",
            why=lambda version: f"PostgreSQL {version} at {address.host}: its URL was given",
            address=address,
            admin=admin,
            prefix=f"{PREFIX}{os.urandom(5).hex()}_",
            watch=lambda name: partial(guardian.forget, guardian.database(conninfo, name)),
            watch_role=lambda oid: partial(guardian.forget, guardian.role(conninfo, oid)),
        )
        try:
            yield server
        finally:
            # What cannot be dropped now is left to the guardian, which tries again.
            with suppress(ServerError):
                server.drop_all()
                server.drop_roles()


_WAY_OUT = "Give --postgres a URL such as postgresql://user:password@host/database, or leave it out."


def _refuse_what_cannot_work(admin: Any, request: ServerRequest) -> None:
    major = admin.info.server_version // 10000
    if major < OLDEST:
        raise ServerError(
            f"The server of --postgres is PostgreSQL {major}; versions {OLDEST} to {NEWEST} are supported.",
            "Name a newer server, or leave --postgres out.",
        )
    if request.version is not None and request.version != major:
        raise UsageError(
            f"The server of --postgres is PostgreSQL {major}, and --postgres-version asks for {request.version}.",
            "Leave out one of the two.",
        )
    role, allowed, standby = admin.execute(
        "SELECT rolname, rolcreatedb OR rolsuper, pg_catalog.pg_is_in_recovery() FROM pg_catalog.pg_roles WHERE rolname = current_user"
    ).fetchone()
    if standby:
        raise ServerError("The server of --postgres is a standby, so no databases can be created on it.", _WAY_OUT)
    if not allowed:
        raise ServerError(
            f"The role {role} is not allowed to create databases on the server of --postgres.",
            f"Grant it with `ALTER ROLE {role} CREATEDB`, or use a role that can.",
        )


def _address(admin: Any, sslmode: Any) -> Address:
    info = admin.info
    return Address(info.host, info.port, info.user, info.password or None, str(sslmode) if sslmode else None)


def _shown(text: str) -> str:
    """`text`, which quotes a URL, without its passwords."""
    without = re.sub(r"""(://[^:/@\s"']*):[^\s"']*@""", r"\1:…@", text)
    return re.sub(r"""([?&](?:ssl)?password=)[^&\s"']*""", r"\1…", without)
