"""Pairs of migrations that look alike, of which one breaks what the running code does and the other does not.

What each does is measured without the product: Alembic's operations are run on a plain database, and a statement of the
running code is tried behind them. All harmful ones are one review, and all harmless ones another.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql

from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.review.finding import Finding, Severity
from tests import cases

pytestmark = pytest.mark.server


@dataclass(frozen=True)
class Pair:
    """What is there, two upgrades, and a statement of the running code that only the second leaves alive."""

    name: str
    given: str
    harmful: str
    harmless: str
    probe: str
    other_probe: str = ""
    """Where the harmless one is about something else."""
    is_new: bool = False
    """Whether the statement is one of the new code, which does not run before."""


def _table(n: int, columns: str = "a text") -> str:
    return f"CREATE TABLE t{n} (id int PRIMARY KEY, {columns});"


def _filled(n: int, columns: str = "a text") -> str:
    return _table(n, columns) + f"INSERT INTO t{n} (id) SELECT generate_series(1, 20);"


def _trigger(n: int, body: str) -> str:
    return f"CREATE OR REPLACE FUNCTION f{n}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


_ROLE = "DO $$ BEGIN CREATE ROLE twin_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"

PAIRS = [
    Pair(
        "not null in the same deploy",
        _filled(1),
        'op.add_column("t1", sa.Column("b", sa.Integer()))\nop.execute("UPDATE t1 SET b = 1 WHERE id = 0")\n'
        'op.execute("ALTER TABLE t1 ADD CONSTRAINT b_set CHECK (b IS NOT NULL) NOT VALID")',
        'op.add_column("t1", sa.Column("b", sa.Integer(), nullable=False, server_default="1"))',
        "INSERT INTO t1 (id, a) VALUES (900, 'x')",
    ),
    Pair(
        "a trigger's body",
        _table(2)
        + _trigger(2, "RETURN NEW;")
        + ";CREATE TRIGGER t BEFORE INSERT ON t2 FOR EACH ROW EXECUTE FUNCTION f2()",
        f'op.execute("""{_trigger(2, "NEW.nope := 1; RETURN NEW;")}""")',
        f'op.execute("""{_trigger(2, "NEW.a := coalesce(NEW.a, chr(120)); RETURN NEW;")}""")',
        "INSERT INTO t2 (id) VALUES (900)",
    ),
    Pair(
        "a check that NULL fails",
        _filled(3),
        'op.add_column("t3", sa.Column("b", sa.Integer()))\n'
        'op.create_check_constraint("b_up", "t3", "coalesce(b, 0) > 0", postgresql_not_valid=True)',
        'op.add_column("t3", sa.Column("b", sa.Integer()))\n'
        'op.create_check_constraint("b_up", "t3", "b IS NULL OR b > 0", postgresql_not_valid=True)',
        "INSERT INTO t3 (id) VALUES (900)",
    ),
    Pair(
        "a check with a default that satisfies it",
        _filled(4),
        'op.add_column("t4", sa.Column("b", sa.Integer(), server_default="0"))\n'
        'op.create_check_constraint("b_up", "t4", "b > 0", postgresql_not_valid=True)',
        'op.add_column("t4", sa.Column("b", sa.Integer(), server_default="1"))\n'
        'op.create_check_constraint("b_up", "t4", "b > 0", postgresql_not_valid=True)',
        "INSERT INTO t4 (id) VALUES (900)",
    ),
    Pair(
        "an update of an old row",
        _filled(5),
        'op.add_column("t5", sa.Column("b", sa.Integer()))\n'
        'op.execute("ALTER TABLE t5 ALTER b SET DEFAULT 1")\n'
        'op.execute("ALTER TABLE t5 ADD CONSTRAINT b_set CHECK (b IS NOT NULL) NOT VALID")',
        'op.add_column("t5", sa.Column("b", sa.Integer(), server_default="1"))',
        "UPDATE t5 SET a = 'y' WHERE id = (SELECT min(id) FROM t5)",
    ),
    Pair(
        "a published table",
        "CREATE TABLE t6 (a text); INSERT INTO t6 VALUES ('x');" + _filled(60),
        'op.execute("CREATE PUBLICATION p6 FOR TABLE t6")',
        'op.execute("CREATE PUBLICATION p60 FOR TABLE t60")',
        "UPDATE t6 SET a = 'y'",
        "UPDATE t60 SET a = 'y'",
    ),
    Pair(
        "a unique constraint that goes",
        _table(7, "a text, CONSTRAINT u7 UNIQUE (a)"),
        'op.drop_constraint("u7", "t7")',
        'op.execute("ALTER TABLE t7 RENAME CONSTRAINT u7 TO u7_new")',
        "INSERT INTO t7 (id, a) VALUES (900, 'x') ON CONFLICT (a) DO NOTHING",
    ),
    Pair(
        "an index that goes",
        _table(8) + "CREATE UNIQUE INDEX u8 ON t8 (a); CREATE INDEX i8 ON t8 (a, id)",
        'op.drop_index("u8", "t8")',
        'with op.get_context().autocommit_block():\n    op.drop_index("i8", "t8", postgresql_concurrently=True, if_exists=True)',
        "INSERT INTO t8 (id, a) VALUES (900, 'x') ON CONFLICT (a) DO NOTHING",
    ),
    Pair(
        "a label",
        "CREATE TYPE e9 AS ENUM ('a', 'b');" + _table(9, "e e9"),
        "op.execute(\"ALTER TYPE e9 RENAME TO e9_old\")\nop.execute(\"CREATE TYPE e9 AS ENUM ('a', 'c')\")\n"
        "op.execute(\"ALTER TABLE t9 ALTER e TYPE e9 USING (CASE e::text WHEN 'b' THEN 'c' ELSE e::text END)::e9\")\n"
        'op.execute("DROP TYPE e9_old")',
        "op.execute(\"ALTER TYPE e9 ADD VALUE IF NOT EXISTS 'c'\")",
        "INSERT INTO t9 (id, e) VALUES (900, 'b')",
    ),
    Pair(
        "a label's name",
        "CREATE TYPE e10 AS ENUM ('a', 'b');" + _table(10, "e e10"),
        "op.execute(\"ALTER TYPE e10 RENAME VALUE 'b' TO 'c'\")",
        "op.execute(\"ALTER TYPE e10 ADD VALUE IF NOT EXISTS 'c'\")",
        "INSERT INTO t10 (id, e) VALUES (900, 'b')",
    ),
    Pair(
        "a function's arguments",
        "CREATE FUNCTION g11(x int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        'op.execute("DROP FUNCTION g11(int)")\n'
        "op.execute(\"CREATE FUNCTION g11(x int, y int) RETURNS int LANGUAGE sql AS 'SELECT 1'\")",
        'op.execute("DROP FUNCTION g11(int)")\n'
        "op.execute(\"CREATE FUNCTION g11(x int, y int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'\")",
        "SELECT g11(1)",
    ),
    Pair(
        "rows with keys",
        "SELECT 1",
        'op.execute("CREATE TABLE t12 (id bigserial PRIMARY KEY, a text)")\nop.execute("INSERT INTO t12 VALUES (1, \'x\')")',
        'op.execute("CREATE TABLE t12 (id bigserial PRIMARY KEY, a text)")\nop.execute("INSERT INTO t12 (a) VALUES (\'x\')")',
        "INSERT INTO t12 (a) VALUES ('y')",
        is_new=True,
    ),
    Pair(
        "an identity on a key with rows",
        _filled(13),
        'op.execute("ALTER TABLE t13 ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")',
        'op.execute("ALTER TABLE t13 ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH 100000)")',
        "INSERT INTO t13 (a) VALUES ('y')",
        is_new=True,
    ),
    Pair(
        "a sequence that starts anew",
        "CREATE TABLE t14 (id serial PRIMARY KEY, a text); INSERT INTO t14 (a) SELECT 'x' FROM generate_series(1, 20)",
        'op.execute("ALTER SEQUENCE t14_id_seq RESTART WITH 1")',
        'op.execute("ALTER SEQUENCE t14_id_seq RESTART WITH 100000")',
        "INSERT INTO t14 (a) VALUES ('y')",
    ),
    Pair(
        "a view's columns",
        _table(15) + "CREATE VIEW v15 AS SELECT id, a FROM t15",
        'op.execute("DROP VIEW v15")\nop.execute("CREATE VIEW v15 AS SELECT id FROM t15")',
        'op.execute("DROP VIEW v15")\nop.execute("CREATE VIEW v15 AS SELECT id, a, 1 AS b FROM t15")',
        "SELECT id, a FROM v15",
    ),
    Pair(
        "a view's privileges",
        _ROLE + _table(16) + "CREATE VIEW v16 AS SELECT id FROM t16; GRANT SELECT ON v16 TO twin_reader",
        'op.execute("DROP VIEW v16")\nop.execute("CREATE VIEW v16 AS SELECT id, a FROM t16")',
        'op.execute("DROP VIEW v16")\nop.execute("CREATE VIEW v16 AS SELECT id, a FROM t16")\n'
        'op.execute("GRANT SELECT ON v16 TO twin_reader")',
        "SET ROLE twin_reader; SELECT id FROM v16",
    ),
    Pair(
        "a privilege",
        _ROLE + _table(17) + "GRANT SELECT ON t17 TO twin_reader",
        'op.execute("REVOKE SELECT ON t17 FROM twin_reader")',
        'op.execute("GRANT INSERT ON t17 TO twin_reader")',
        "SET ROLE twin_reader; SELECT id FROM t17",
    ),
    Pair(
        "a policy",
        _ROLE + _table(18) + "GRANT SELECT, INSERT ON t18 TO twin_reader",
        "op.execute(\"CREATE POLICY p ON t18 USING (a = current_setting('app.tenant', true))\")\n"
        'op.execute("ALTER TABLE t18 ENABLE ROW LEVEL SECURITY")',
        'op.execute("CREATE POLICY p ON t18 USING (true)")\nop.execute("ALTER TABLE t18 ENABLE ROW LEVEL SECURITY")',
        "SET ROLE twin_reader; INSERT INTO t18 VALUES (900, 'x')",
    ),
    Pair(
        "a table's name",
        _table(19),
        'op.rename_table("t19", "t19_new")',
        'op.rename_table("t19", "t19_new")\nop.execute("CREATE VIEW t19 AS SELECT * FROM t19_new")',
        "INSERT INTO t19 (id) VALUES (900)",
    ),
    Pair(
        "a column's name",
        _table(20),
        'op.alter_column("t20", "a", new_column_name="b")',
        'op.add_column("t20", sa.Column("b", sa.Text()))',
        "SELECT a FROM t20",
    ),
    Pair(
        "a column",
        _table(21, "a text, b text"),
        'op.drop_column("t21", "a")',
        'op.execute("ALTER TABLE t21 ALTER a SET STATISTICS 500")',
        "SELECT a FROM t21",
    ),
    Pair(
        "a default",
        _table(22, "a text NOT NULL DEFAULT 'x'"),
        'op.alter_column("t22", "a", server_default=None)',
        'op.alter_column("t22", "a", server_default="y")',
        "INSERT INTO t22 (id) VALUES (900)",
    ),
    Pair(
        "a length",
        _table(23, "a varchar(50)"),
        'op.alter_column("t23", "a", type_=sa.String(20))',
        'op.alter_column("t23", "a", type_=sa.String(100))',
        "INSERT INTO t23 (id, a) VALUES (900, repeat('x', 40))",
    ),
    Pair(
        "a trigger",
        _table(24),
        f'op.execute("""{_trigger(24, "RAISE EXCEPTION USING MESSAGE = chr(120);")}""")\n'
        'op.execute("CREATE TRIGGER t BEFORE INSERT ON t24 FOR EACH ROW EXECUTE FUNCTION f24()")',
        f'op.execute("""{_trigger(24, "RETURN NEW;")}""")\n'
        'op.execute("CREATE TRIGGER t BEFORE INSERT ON t24 FOR EACH ROW EXECUTE FUNCTION f24()")',
        "INSERT INTO t24 (id) VALUES (900)",
    ),
    Pair(
        "a schema",
        _table(25) + "CREATE SCHEMA s25",
        'op.execute("ALTER TABLE t25 SET SCHEMA s25")',
        'op.execute("CREATE TABLE s25.t25 (id bigint PRIMARY KEY)")',
        "SELECT id FROM public.t25",
    ),
    Pair(
        "a DO block",
        _table(26, "a text, b text"),
        "op.execute(\"DO $$ BEGIN EXECUTE 'ALTER TABLE t26 DROP COLUMN a'; END $$\")",
        "op.execute(\"DO $$ BEGIN EXECUTE 'ALTER TABLE t26 ADD COLUMN c text'; END $$\")",
        "SELECT a FROM t26",
    ),
    Pair(
        "an identity that takes no key",
        _table(27),
        'op.execute("ALTER TABLE t27 ALTER id ADD GENERATED ALWAYS AS IDENTITY (START WITH 100000)")',
        'op.execute("ALTER TABLE t27 ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH 100000)")',
        "INSERT INTO t27 (id) VALUES (900)",
    ),
    Pair(
        "a serial key's default",
        "CREATE TABLE t28 (id serial PRIMARY KEY, a text)",
        'op.execute("ALTER TABLE t28 ALTER id DROP DEFAULT")',
        'op.execute("ALTER SEQUENCE t28_id_seq CACHE 10")',
        "INSERT INTO t28 (a) VALUES ('x')",
    ),
    Pair(
        "a function under an index",
        _filled(29, "a text NOT NULL DEFAULT 'Ab'")
        + "CREATE FUNCTION g29(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)'; CREATE INDEX i29 ON t29 (g29(a))",
        "op.execute(\"CREATE OR REPLACE FUNCTION g29(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t)'\")",
        "op.execute(\"CREATE OR REPLACE FUNCTION g29(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t::varchar)'\")",
        "SET enable_seqscan = off; SELECT 1 / count(*) FROM t29 WHERE g29(a) = g29('Ab')",
    ),
    Pair(
        "a view that can be written",
        _table(30) + "CREATE VIEW v30 AS SELECT id, a FROM t30",
        'op.execute("CREATE OR REPLACE VIEW v30 AS SELECT DISTINCT id, a FROM t30")',
        'op.execute("CREATE OR REPLACE VIEW v30 AS SELECT id, a FROM t30 WHERE id > 0")',
        "INSERT INTO v30 (id) VALUES (900)",
    ),
    Pair(
        "a sequence's name",
        "CREATE SEQUENCE s31",
        'op.execute("ALTER SEQUENCE s31 RENAME TO s31_new")',
        'op.execute("ALTER SEQUENCE s31 CACHE 10")',
        "SELECT nextval('s31')",
    ),
    Pair(
        "a unique constraint that becomes an index",
        _table(32, "a text, b bool, CONSTRAINT u32 UNIQUE (a)"),
        'op.drop_constraint("u32", "t32")\nwith op.get_context().autocommit_block():\n'
        '    op.create_index("u32b", "t32", ["a"], unique=True, postgresql_where=sa.text("b"), postgresql_concurrently=True)',
        "with op.get_context().autocommit_block():\n"
        '    op.execute("DROP INDEX CONCURRENTLY IF EXISTS u32b")\n'
        '    op.create_index("u32b", "t32", ["a"], unique=True, postgresql_concurrently=True)\n'
        'op.drop_constraint("u32", "t32")',
        "INSERT INTO t32 (id, a) VALUES (900, 'x') ON CONFLICT (a) DO NOTHING",
    ),
]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[RunningServer, cases.Bench]]:
    with Guardian() as guardian, start(ServerRequest("auto", None), guardian) as server:
        yield server, cases.Bench(server, guardian)


def _review(bench: cases.Bench, which: str) -> dict[str, list[Finding]]:
    """What is told of each revision: all of `which` in one review, each in a transaction of its own."""
    made = tuple(
        {
            "revision": f"r{n}",
            "down_revision": f"r{n - 1}" if n else "base0",
            "upgrade": getattr(pair, which),
            "downgrade": "raise NotImplementedError",
        }
        for n, pair in enumerate(PAIRS)
    )
    setup = tuple(pair.given for pair in PAIRS)
    report = bench.review(cases.Case("twins", "twins", "safe", (), setup, made, transaction_per_migration=True))
    assert not report.errors, report.errors
    found: dict[str, list[Finding]] = {pair.name: [] for pair in PAIRS}
    for finding in cases.loud(report.findings):
        if finding.revision is not None:
            found[PAIRS[int(finding.revision[1:])].name].append(finding)
    return found


def _breaks(server: RunningServer, pair: Pair, body: str, probe: str) -> bool:
    """Whether the statement of the running code fails behind the upgrade, and did not before."""
    database = server.create_database(f"truth_{abs(hash((pair.name, body))) % 10**9}")

    def works() -> bool:
        with server.connect(database) as connection:
            connection.autocommit = False
            try:
                connection.execute(probe.encode())
            except psycopg.Error:
                return False
            finally:
                connection.rollback()
        return True

    with server.connect(database) as connection:
        connection.execute(pair.given.encode())
    before = pair.is_new or works()
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: server.connect(database), poolclass=sa.pool.NullPool
    )
    with engine.connect() as connected:
        context = MigrationContext.configure(connected, opts={"transaction_per_migration": True})
        with context.begin_transaction(_per_migration=True), Operations.context(context) as op:
            exec(textwrap.dedent(body), {"op": op, "sa": sa, "postgresql": postgresql})
    assert before, f"{pair.name}: does not work before either"
    return not works()


def test_what_breaks_is_told_and_its_twin_is_not(running: tuple[RunningServer, cases.Bench]) -> None:
    server, bench = running
    harmful, harmless = _review(bench, "harmful"), _review(bench, "harmless")

    for pair in PAIRS:
        assert _breaks(server, pair, pair.harmful, pair.probe), f"{pair.name}: nothing breaks"
        assert not _breaks(server, pair, pair.harmless, pair.other_probe or pair.probe), f"{pair.name}: it breaks"
    silent = [name for name, told in harmful.items() if not told]
    noisy = {name: [(f.rule, f.message) for f in told] for name, told in harmless.items() if told}
    errors = [f for told in harmless.values() for f in told if f.severity is Severity.ERROR]
    assert errors == []
    assert len(silent) + len(noisy) <= len(PAIRS) * 2 * 0.02, (silent, noisy)
