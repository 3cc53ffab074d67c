"""What our own sessions were refused."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from reviewer.errors import ServerError
from reviewer.postgres.trouble import told

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("loaded", [None, ModuleType("psycopg")], ids=["not loaded", "still being loaded"])
def test_an_error_from_before_there_was_a_driver_is_told_as_it_is(
    loaded: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", loaded)

    with pytest.raises(ServerError, match="cannot be set up"), told():
        raise ServerError("PostgreSQL 16.1 cannot be set up.", "Use another one.")
