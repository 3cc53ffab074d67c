"""Pairs of migrations that look alike, of which one hurts and the other does not, are told apart.

What each does is measured without the product: Alembic's operations are run on a plain database. A statement of the
running code is tried behind them, or it is looked at which rows are gone and which tables were gone through under a
lock that others wait for.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql

from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer, ServerRequest, start
from tests import cases, pairs
from tests.pairs import Pair

pytestmark = pytest.mark.server

KINDS = pytest.mark.parametrize(
    "kind", [pairs.BREAKING, pairs.WORKING, pairs.FURTHER], ids=["statements", "rows", "further"]
)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[RunningServer, cases.Bench]]:
    with Guardian() as guardian, start(ServerRequest("auto", None), guardian) as server:
        yield server, cases.Bench(server, guardian)


@dataclass(frozen=True)
class Relation:
    """A table or an index as it is stored."""

    name: str
    node: int
    table: int
    rows: int


class Plain:
    """A database without the product, in which one half of each pair is run after the other."""

    def __init__(self, server: RunningServer, database: str, kind: Sequence[Pair]) -> None:
        self._server = server
        self._database = server.create_database(database)
        with self._server.connect(self._database) as connection:
            for pair in kind:
                connection.execute(pair.given.encode())

    def hurts(self, pair: Pair, body: str, probe: str) -> bool:
        """Whether the upgrade does harm."""
        before = pair.is_new or not probe or self._works(probe)
        assert before, f"{pair.name}: does not work before either"
        stored = self._relations()
        engine = sa.create_engine("postgresql+psycopg://", creator=self._opened, poolclass=sa.pool.NullPool)
        with engine.connect() as connected:
            context = MigrationContext.configure(connected, opts={"transaction_per_migration": True})
            with context.begin_transaction(_per_migration=True), Operations.context(context) as op:
                exec(textwrap.dedent(body), {"op": op, "sa": sa, "postgresql": postgresql})
                waiting = set() if probe else self._worked_on(connected, stored)
        if probe:
            return not self._works(probe)
        now = self._relations()
        return bool(waiting) or any(
            oid not in now or now[oid].rows < each.rows for oid, each in stored.items() if each.rows
        )

    def _opened(self) -> psycopg.Connection:
        connection = self._server.connect(self._database)
        connection.autocommit = False
        return connection

    def _works(self, probe: str) -> bool:
        with self._opened() as connection:
            try:
                connection.execute(probe.encode())
            except psycopg.Error:
                return False
            finally:
                connection.rollback()
        return True

    def _relations(self) -> dict[int, Relation]:
        with self._server.connect(self._database) as connection:

            def rows(name: str) -> int:
                (found,) = connection.execute(f"SELECT count(*) FROM {name}".encode())
                return int(str(found[0]))

            return {
                oid: Relation(name, node, table or oid, 0 if table else rows(name))
                for oid, name, node, table in connection.execute(_STORED)
            }

    @staticmethod
    def _worked_on(connected: sa.Connection, stored: dict[int, Relation]) -> set[int]:
        """Old tables that were gone through in the transaction that is open, while a lock on them blocks writes; and those
        of which every row was written.
        """
        done = {each.oid: each for each in connected.exec_driver_sql(_DONE)}
        now = {each.oid: each for each in connected.exec_driver_sql(_STORED.decode())}
        found = {oid for oid, each in done.items() if oid in stored and 0 < stored[oid].rows <= each.changed}
        nodes = {each.node for each in stored.values()}  # an index that is kept has another oid
        for oid, each in now.items():
            table = each.table or oid
            again = each.node not in nodes
            if table in stored and table in done and done[table].blocks and (again or done[table].scans):
                found.add(table)
        return found


_STORED = b"""
SELECT c.oid::bigint AS oid, c.oid::regclass::text AS name, pg_relation_filenode(c.oid)::bigint AS node,
    x.indrelid::bigint AS table
FROM pg_class c LEFT JOIN pg_index x ON x.indexrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'i') AND c.relispopulated
"""
_DONE = """
SELECT c.oid::bigint AS oid, pg_stat_get_xact_numscans(c.oid) AS scans,
    pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid) AS changed,
    EXISTS (SELECT FROM pg_locks l WHERE l.relation = c.oid AND l.pid = pg_backend_pid()
            AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) AS blocks
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm')
"""


@KINDS
def test_the_labels_are_true(kind: list[Pair], running: tuple[RunningServer, cases.Bench]) -> None:
    server, _ = running
    harmful, harmless = (Plain(server, f"truth_{which}_{len(kind)}", kind) for which in ("harmful", "harmless"))

    wrong = [pair.name for pair in kind if not harmful.hurts(pair, pair.harmful, pair.probe)]
    wrong += [
        f"{pair.name} (harmless)"
        for pair in kind
        if harmless.hurts(pair, pair.harmless, pair.other_probe or pair.probe)
    ]

    assert wrong == []


@KINDS
def test_what_hurts_is_told_and_its_twin_is_not(
    kind: list[Pair], running: tuple[RunningServer, cases.Bench]
) -> None:
    _, bench = running

    found = pairs.score(bench, kind)

    assert found.errors == ()
    assert found.right >= 0.98, found


def test_without_a_server_most_are_told_apart_too_and_none_is_called_an_error(
    running: tuple[RunningServer, cases.Bench],
) -> None:
    _, bench = running

    found = pairs.score(bench, [*pairs.BREAKING, *pairs.WORKING], static=True)

    assert found.errors == ()
    assert found.right >= 0.85, found


def test_there_are_sixty_pairs() -> None:
    assert len({pair.name for pair in (*pairs.BREAKING, *pairs.WORKING)}) == 60
