"""One server for all tests of this folder, and a database of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from reviewer import rows
from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.rehearsal import catalogue

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    with Guardian() as guardian, start(ServerRequest(), guardian) as running:
        yield running


@pytest.fixture
def connection(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[Connection]:
    database = server.create_database(f"rows_{abs(hash(request.node.nodeid))}")
    with server.connect(database) as connection:
        yield connection
    server.drop_database(database)


@pytest.fixture
def fill(connection: Connection) -> Callable[[str], rows.Filled]:
    """Makes a schema and fills it with 20 rows a table."""

    def filled(ddl: str, number: int = 20) -> rows.Filled:
        connection.execute(ddl)
        return rows.fill(connection, catalogue.read(connection), number)

    return filled
