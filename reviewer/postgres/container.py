"""Runs a server in a container, through testcontainers."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from reviewer.errors import ServerError
from reviewer.host.guardian import Guardian
from reviewer.postgres import sessions
from reviewer.postgres.request import VERIFIED, Candidate, ServerRequest
from reviewer.postgres.server import Address, RunningServer, connected

if TYPE_CHECKING:
    import psycopg

USER = "postgres"
_START_SECONDS = 60.0
_WAY_OUT = "Start Docker, or use `--postgres embedded` or `--postgres local`, which need none."

# The same as for our own server, except for what the image determines.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "max_locks_per_transaction": "512",
    "timezone": "UTC",
    "lc_messages": "C",
}

CONTRIB = frozenset(
    """
    amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn earthdistance file_fdw
    fuzzystrmatch hstore insert_username intagg intarray isn lo ltree moddatetime pageinspect pg_buffercache
    pg_freespacemap pg_prewarm pg_stat_statements pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto
    pgrowlocks pgstattuple plpgsql postgres_fdw refint seg sslinfo tablefunc tcn tsm_system_rows tsm_system_time
    unaccent uuid-ossp xml2
    """.split()  # noqa: SIM905 - a list of fifty quoted words is harder to read
)
"""The extensions in the official image: https://www.postgresql.org/docs/current/contrib.html."""


def candidates(request: ServerRequest) -> tuple[Candidate, ...]:
    """Return the image that would be used. Only checks whether a container engine is listening."""
    version = request.version or VERIFIED
    image = request.image or f"postgres:{version}"
    return (
        Candidate(
            "container",
            # The contents of a user's image are known only once it runs. It was chosen for what it contains.
            None if request.image and request.version is None else str(version),
            extensions=None if request.image else CONTRIB,
            image=image,
            problem=_engine_problem(),
        ),
    )


def _engine_problem() -> str:
    host = os.environ.get("DOCKER_HOST", "")
    if host and not host.startswith("unix://"):
        return ""  # a check over the network is not cheap: the engine is checked when it is used
    runtime = os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")
    own = os.path.expanduser("~/.docker/run/docker.sock")  # noqa: PTH111 - Path.expanduser raises without a home
    usual = ["/var/run/docker.sock", own, f"{runtime}/docker.sock"]
    sockets = [host.removeprefix("unix://")] if host else usual
    for path in sockets:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(path)
            return ""
    return f"no container engine answers at {sockets[0]}"


@contextmanager
def container_server(
    candidate: Candidate,
    guardian: Guardian,
    why: Callable[[str], str],
    others: Callable[[], tuple[Candidate, ...]],
) -> Iterator[RunningServer]:
    """Provide a server in a container of `candidate.image`, which is removed afterwards.

    Raises:
        ServerError: there is no engine or no such image, or the server in it does not start.
    """
    try:
        # docker has no type information.
        from docker.errors import DockerException  # type: ignore[import-untyped]
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer
    except ImportError as error:
        raise ServerError(f"Containers need the package {error.name}, which is not installed.", _WAY_OUT) from error
    password = os.urandom(16).hex()
    name = f"alembic-reviewer-{os.urandom(5).hex()}"
    # The guardian removes the container if we cannot, so testcontainers' own reaper is not needed.
    testcontainers_config.ryuk_disabled = True
    watched = guardian.container(name)
    try:
        container = DockerContainer(str(candidate.image)).with_name(name)
        container.with_env("POSTGRES_PASSWORD", password).with_env("POSTGRES_USER", USER)
        container.with_exposed_ports(5432)
        flags = " ".join(f"-c {parameter}={value}" for parameter, value in SETTINGS.items())
        container.with_command(f"postgres {flags}")
        container.start()
    except (DockerException, OSError) as error:
        raise ServerError(
            f"The container {candidate.image} cannot be started: {_first_line(error)}", _WAY_OUT
        ) from error
    try:
        address = Address(
            container.get_container_host_ip(),
            int(container.get_exposed_port(5432)),
            USER,
            password,
            sslmode="disable",
        )
        with _when_ready(address, lambda: _last_words(container)) as admin:
            own_user = sessions.become_unknown(admin, password)
            sessions.make_owner(admin, USER, password)
            yield RunningServer(
                source="container",
                why=why,
                address=address,
                admin=admin,
                own_user=own_user,
                last_words=lambda: _last_words(container),
                others=others,
            )
    finally:
        with suppress(DockerException, OSError):
            container.stop()
            guardian.forget(watched)


def _when_ready(address: Address, last_words: Callable[[], str]) -> psycopg.Connection[Any]:
    # The image starts a first server for its own setup, which listens on no port. The one that responds is the
    # second.
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            return connected(address, "postgres", last_words, options=sessions.admin_options(0, superuser=True))
        except ServerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _last_words(container: Any) -> str:
    with suppress(Exception):  # it only adds to the message of the error being raised
        lines = b"\n".join(container.get_logs()).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
