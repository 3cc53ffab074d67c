"""A transaction that has failed answers no query: what runs in it next is what fails, and not the reviewer's look."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.command import ENV, revision
from tests.runner.conftest import Project
from tests.runner.test_time_limits import ASYNC

CAUGHT = """
try:
    op.execute("DROP INDEX nope")
except sa.exc.DBAPIError:
    pass
{then}
"""
FAILED = "25P02"


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg", "pg8000"])
def test_a_statement_after_a_failure_that_was_caught_is_what_fails(
    driver: str, make: Callable[..., Project]
) -> None:
    pytest.importorskip(driver)
    env = ASYNC if driver == "asyncpg" else ENV
    body = CAUGHT.format(then='op.add_column("items", sa.Column("b", sa.Text()))')
    project = make(revision("b", "a", body), env=env, url=f"postgresql+{driver}://u@h/d")

    run = project.run(do="upgrade", to=["b"])

    assert run.failure is not None
    assert (run.failure.sqlstate, run.failure.kind.value) == (FAILED, "statement"), run.failure
    assert "ALTER TABLE items" in (run.failure.sql or "")


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_failure_that_was_caught_at_the_end_fails_what_alembic_does_next(
    driver: str, make: Callable[..., Project]
) -> None:
    project = make(revision("b", "a", CAUGHT.format(then="")), url=f"postgresql+{driver}://u@h/d")

    run = project.run(do="upgrade", to=["b"])

    assert run.failure is not None
    assert run.failure.sqlstate == FAILED
