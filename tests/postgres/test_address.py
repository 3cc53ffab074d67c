"""The URL of a throw-away database, as programs of other people read it."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import PostgresDsn, TypeAdapter

from reviewer.postgres.server import Address

ADDRESSES = [
    Address("/tmp/a folder", 5433, "postgres"),
    Address("127.0.0.1", 5433, "postgres", "a secret@/"),
]


@pytest.mark.parametrize("address", ADDRESSES, ids=["a socket", "a port"])
def test_is_a_url_for_pydantic_and_leads_to_the_server(address: Address) -> None:
    url = address.url("review_1")

    TypeAdapter(PostgresDsn).validate_python(url)
    read = conninfo_to_dict(url)

    assert (read["host"], read["port"], read["user"], read["dbname"]) == (
        address.host,
        "5433",
        "postgres",
        "review_1",
    )
