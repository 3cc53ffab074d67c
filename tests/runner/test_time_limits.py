"""No time limit that a project sets cancels the reviewer's own look at the server, and every limit is told as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reviewer.rehearsal import interpreter
from tests.command import ENV, revision
from tests.runner.conftest import Project

LIMIT, LOOK = 200, 0.3
"""Milliseconds that a statement may run, and seconds that a look takes here: longer."""

UPGRADE = """
op.execute("SET statement_timeout = '200ms'")
op.execute("CREATE TABLE x (id int)")
op.execute("SAVEPOINT s")
op.execute("SET LOCAL statement_timeout = '199ms'")
op.execute("CREATE TABLE y (id int)")
op.execute("ROLLBACK TO SAVEPOINT s")
op.execute("DO $$ BEGIN ASSERT current_setting('statement_timeout') = '200ms'; END $$")
with op.get_context().autocommit_block():
    op.execute("CREATE TABLE z (id int)")
op.execute("DO $$ BEGIN ASSERT current_setting('statement_timeout') = '200ms'; END $$")
op.execute("RESET statement_timeout")
op.execute("CREATE TABLE w (id int)")
"""
ASYNC = """
import asyncio

from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine


def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    async with create_async_engine("postgresql+asyncpg://").connect() as connection:
        await connection.run_sync(run)


asyncio.run(main())
"""


@pytest.fixture
def slow_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner, but for each look at the server, which takes its time."""
    folder = tmp_path / "runner"
    shutil.copytree(interpreter.RUNNER.parent, folder)
    text = (folder / "relations.py").read_text()
    now = "pg_catalog.now()"
    assert text.count(now) == 2
    slow = f"(SELECT pg_catalog.now() FROM pg_catalog.pg_sleep({LOOK}))"
    (folder / "relations.py").write_text(text.replace(now, slow))
    monkeypatch.setattr(interpreter, "RUNNER", folder / interpreter.RUNNER.name)


@pytest.mark.usefixtures("slow_look")
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_a_look_may_take_longer_than_the_limit_that_a_revision_sets(
    driver: str, make: Callable[..., Project]
) -> None:
    pytest.importorskip(driver)
    env = ASYNC if driver == "asyncpg" else ENV
    project = make(revision("b", "a", UPGRADE), env=env, url=f"postgresql+{driver}://u@h/d")

    run = project.run(do="upgrade", to=["b"])

    assert run.failure is None
    assert run.driver == driver
    seen = {s.sql: s.observation for each in run.passes for s in each.statements if s.observation is not None}
    limits = {
        sql.split()[2]: found.statement_timeout for sql, found in seen.items() if sql.startswith("CREATE TABLE")
    }
    assert {name: limits[name] for name in "xyzw"} == {"x": LIMIT, "y": LIMIT - 1, "z": LIMIT, "w": 0}
