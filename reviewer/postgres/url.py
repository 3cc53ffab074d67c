"""A user's server. Scratch databases are created on it and dropped again; nothing else is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from reviewer.errors import ServerError, UsageError
from reviewer.host.guardian import Guardian
from reviewer.postgres import sessions
from reviewer.postgres.request import NEWEST, OLDEST, ServerRequest
from reviewer.postgres.server import Address, RunningServer

if TYPE_CHECKING:
    import psycopg

PREFIX = "alembic_reviewer_"
"""Prefix of the names of scratch databases. A random part follows."""

_SECONDS = 15


@contextmanager
def url_server(request: ServerRequest, guardian: Guardian) -> Iterator[RunningServer]:
    """Provide the server that `request.source` names.

    Raises:
        UsageError: it is not a URL of a PostgreSQL server.
        ServerError: it does not respond, it is too old, or the role cannot create databases.
    """
    conninfo, sslmode = conninfo_of(request.source, _WAY_OUT)
    admin = connect(conninfo, "The server of --postgres", _WAY_OUT)
    with admin:
        _refuse_what_cannot_work(admin, request)
        address = _address(admin, sslmode)
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


def _address(admin: Any, sslmode: str | None) -> Address:
    info = admin.info
    return Address(info.host, info.port, info.user, info.password or None, sslmode)


def conninfo_of(source: str, way_out: str) -> tuple[str, str | None]:
    """Return the connection string for the server of the URL `source`, and its sslmode.

    Raises `UsageError` with `way_out` if `source` is not a URL of a PostgreSQL server. No error shows its password.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    # libpq does not understand SQLAlchemy's way of naming a driver.
    url = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", source)
    if not url.startswith(("postgresql://", "postgres://")):
        raise UsageError(f"{without_passwords(source)} is not a postgresql:// URL.", way_out)
    _refuse_unescaped(url)
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        said = without_passwords(str(error).strip())
        raise UsageError(f"{without_passwords(source)} cannot be read: {said}.", way_out) from error
    sslmode = parameters.get("sslmode")
    conninfo = make_conninfo(url, connect_timeout=parameters.get("connect_timeout") or _SECONDS)
    return conninfo, str(sslmode) if sslmode else None


def _refuse_unescaped(url: str) -> None:
    """Raise `UsageError` for a password that libpq would misinterpret, and quote in its error."""
    head = url.partition("://")[2].partition("?")[0]
    user, at, place = head.rpartition("@")
    secret = user.partition(":")[2]
    if "@" in secret:
        raise UsageError(f"{without_passwords(url)} has an @ in its password.", "Write it as %40.")
    ports = [
        part.rpartition(":")[2] for part in place.partition("/")[0].split(",") if ":" in part.rpartition("]")[2]
    ]
    odd = any(each in secret for each in "/#[] \t\n") or re.search(r"%(?![0-9A-Fa-f]{2})", secret)
    if odd or not all(each.isdecimal() or not each for each in ports):
        what = "its password has" if at else "its port is no number, or its password has"
        raise UsageError(
            f"The URL cannot be read: {what} a character that must be escaped.",
            "Write / as %2F, # as %23, ? as %3F and % as %25.",
        )


def connect(conninfo: str, called: str, way_out: str) -> psycopg.Connection[Any]:
    """Open a session on a user's server. `called` names the server in the `ServerError` that is raised if it cannot
    be reached.
    """
    import psycopg

    try:
        with sessions.for_a_server_of_the_users():
            return psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise ServerError(f"{called} cannot be reached: {reason}", way_out) from error


def without_passwords(text: str) -> str:
    """Return `text`, which is or quotes a URL, without its passwords."""
    without = re.sub(r"(://[^:/@\s]*):.*@", r"\1:…@", text, flags=re.DOTALL)
    return re.sub(r"""((?:^|[?&\s])(?:ssl)?password\s*=\s*)('[^']*'|[^&\s"']*)""", r"\1…", without)
