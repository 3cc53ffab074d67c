"""Pairs of migrations that look alike, of which one hurts and the other does not, and what a review tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reviewer.review.finding import Finding, Severity
from reviewer.sql.parse import split
from tests import cases


@dataclass(frozen=True)
class Pair:
    """What is there, two upgrades, and a statement of the running code that only the second leaves alive; without one,
    the first loses rows, or goes through a whole table while others wait for it.
    """

    name: str
    given: str
    harmful: str
    harmless: str
    probe: str = ""
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

BREAKING = [
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


def _users(n: int) -> str:
    return (
        f"CREATE TABLE u{n} (id bigint PRIMARY KEY, name varchar(50) NOT NULL, email text, age int, total numeric(10,2),"
        f" payload json, at timestamp NOT NULL DEFAULT now());"
        f"INSERT INTO u{n} SELECT g, 'n' || g, 'e' || g, g, g, '{{}}' FROM generate_series(1, 20) g;"
    )


def _outside(code: str) -> str:
    return f"with op.get_context().autocommit_block():\n    {code}"


WORKING = [
    Pair(
        "the digits of a number",
        _users(33),
        'op.alter_column("u33", "total", type_=sa.Numeric(12, 3))',
        'op.alter_column("u33", "total", type_=sa.Numeric(14, 2))',
    ),
    Pair(
        "a text and its limit",
        _users(34),
        'op.alter_column("u34", "email", type_=sa.String(100))',
        'op.alter_column("u34", "name", type_=sa.Text())',
    ),
    Pair(
        "a document",
        _users(35),
        'op.alter_column("u35", "payload", type_=postgresql.JSONB(), postgresql_using="payload::jsonb")',
        'op.alter_column("u35", "payload", comment="x")',
    ),
    Pair(
        "a key for each row",
        _users(36),
        'op.add_column("u36", sa.Column("k", sa.Uuid(), server_default=sa.text("gen_random_uuid()")))',
        'op.add_column("u36", sa.Column("k", sa.Integer(), server_default="7"))',
    ),
    Pair(
        "the time of the row, and of the statement",
        _users(37),
        'op.add_column("u37", sa.Column("k", sa.DateTime(), server_default=sa.text("clock_timestamp()")))',
        'op.add_column("u37", sa.Column("k", sa.DateTime(), server_default=sa.text("now()")))',
    ),
    Pair(
        "a number for each row",
        _users(38),
        'op.add_column("u38", sa.Column("k", sa.BigInteger(), sa.Identity()))',
        'op.add_column("u38", sa.Column("k", sa.BigInteger()))',
    ),
    Pair(
        "a foreign key",
        _users(39)
        + "CREATE TABLE o39 (id int PRIMARY KEY, u bigint); INSERT INTO o39 SELECT g, g FROM generate_series(1, 20) g",
        'op.create_foreign_key("fk39", "o39", "u39", ["u"], ["id"])',
        'op.create_foreign_key("fk39", "o39", "u39", ["u"], ["id"], postgresql_not_valid=True)',
    ),
    Pair(
        "an index",
        _users(40),
        'op.create_index("ix40", "u40", ["age"])',
        "with op.get_context().autocommit_block():\n"
        '    op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix40")\n'
        '    op.create_index("ix40", "u40", ["age"], postgresql_concurrently=True)',
    ),
    Pair(
        "an index of an old table, and of a new one",
        _users(41),
        'op.create_table("n41", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("a", sa.Text()))\n'
        'op.create_index("ix41", "u41", ["age"])',
        'op.create_table("n41", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("a", sa.Text()))\n'
        'op.create_index("ix41", "n41", ["a"])',
    ),
    Pair(
        "an index that is built again",
        _users(42),
        'op.execute("REINDEX TABLE u42")',
        _outside('op.execute("REINDEX TABLE CONCURRENTLY u42")'),
    ),
    Pair(
        "maintenance",
        _users(43),
        'op.execute("CLUSTER u43 USING u43_pkey")',
        'op.execute("ANALYZE u43")',
    ),
    Pair(
        "storage",
        _users(44),
        'op.execute("ALTER TABLE u44 SET UNLOGGED")',
        'op.execute("ALTER TABLE u44 SET (fillfactor = 80)")',
    ),
    Pair(
        "all rows, and one",
        _users(45),
        'op.execute("UPDATE u45 SET email = lower(email)")',
        "op.execute(\"UPDATE u45 SET email = 'x' WHERE id = 0\")",
    ),
    Pair(
        "all rows that go, and one that is not there",
        _users(46),
        'op.execute("DELETE FROM u46 WHERE id > 0 OR true")',
        'op.execute("CREATE TABLE n46 (a int)")\nop.execute("DELETE FROM n46")',
    ),
    Pair(
        "a table that is emptied",
        _users(47),
        'op.execute("TRUNCATE u47")',
        'op.execute("CREATE TABLE n47 (a int)")\nop.execute("TRUNCATE n47")',
    ),
    Pair(
        "a check",
        _users(48),
        'op.create_check_constraint("c48", "u48", "age >= 0")',
        'op.create_check_constraint("c48", "u48", "id > 0", postgresql_not_valid=True)',
    ),
    Pair(
        "NOT NULL, and what proves it",
        _users(49) + "ALTER TABLE u49 ADD CONSTRAINT p49 CHECK (email IS NOT NULL)",
        'op.alter_column("u49", "age", nullable=False)',
        'op.alter_column("u49", "email", nullable=False)',
    ),
    Pair(
        "a view that is filled again",
        _users(50) + "CREATE MATERIALIZED VIEW m50 AS SELECT id FROM u50; CREATE UNIQUE INDEX mx50 ON m50 (id)",
        'op.execute("REFRESH MATERIALIZED VIEW m50")',
        _outside('op.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY m50")'),
    ),
    Pair(
        "a primary key",
        "CREATE TABLE l51 (a int NOT NULL, b text); INSERT INTO l51 SELECT generate_series(1, 20); CREATE UNIQUE INDEX lx51 ON l51 (a)",
        'op.create_primary_key("pk51", "l51", ["a"])',
        'op.execute("ALTER TABLE l51 ADD CONSTRAINT pk51 PRIMARY KEY USING INDEX lx51")',
    ),
    Pair(
        "a partition",
        "CREATE TABLE e52 (id int NOT NULL) PARTITION BY RANGE (id); CREATE TABLE a52 (id int NOT NULL CHECK (id >= 0));"
        "CREATE TABLE b52 (id int NOT NULL, CHECK (id >= 200 AND id < 300));"
        "INSERT INTO a52 SELECT generate_series(100, 119); INSERT INTO b52 SELECT generate_series(200, 219)",
        'op.execute("ALTER TABLE e52 ATTACH PARTITION a52 FOR VALUES FROM (100) TO (200)")',
        'op.execute("ALTER TABLE e52 ATTACH PARTITION b52 FOR VALUES FROM (200) TO (300)")',
    ),
    Pair(
        "a partition that goes, and one that comes",
        "CREATE TABLE e53 (id int NOT NULL) PARTITION BY RANGE (id); CREATE TABLE a53 PARTITION OF e53 FOR VALUES FROM (100) TO (200);"
        "INSERT INTO e53 SELECT generate_series(100, 119)",
        'op.execute("ALTER TABLE e53 DETACH PARTITION a53")',
        'op.execute("CREATE TABLE b53 (LIKE e53)")\n'
        'op.execute("ALTER TABLE e53 ATTACH PARTITION b53 FOR VALUES FROM (300) TO (400)")',
    ),
    Pair(
        "a generated column",
        _users(54),
        'op.add_column("u54", sa.Column("g", sa.Numeric(), sa.Computed("total * 2", persisted=True)))',
        'op.add_column("u54", sa.Column("g", sa.Numeric()))',
    ),
    Pair(
        "a collation",
        _users(55) + "CREATE INDEX ux55 ON u55 (name)",
        "op.execute('ALTER TABLE u55 ALTER name TYPE varchar(50) COLLATE \"C\"')",
        'op.execute("ALTER TABLE u55 ALTER name TYPE varchar(50)")',
    ),
    Pair(
        "an exclusion",
        _users(56),
        'op.execute("ALTER TABLE u56 ADD CONSTRAINT ex56 EXCLUDE USING btree (id WITH =)")',
        'op.execute("CREATE TABLE n56 (a int, EXCLUDE USING btree (a WITH =))")',
    ),
    Pair(
        "a copy",
        _users(57),
        'op.execute("CREATE TABLE c57 AS SELECT id FROM u57")\nop.execute("DROP TABLE u57")',
        'op.execute("CREATE TABLE c57 (LIKE u57 INCLUDING ALL)")',
    ),
    Pair(
        "what hangs on a table",
        _users(58)
        + "CREATE TABLE o58 (id int PRIMARY KEY, u bigint REFERENCES u58); INSERT INTO o58 SELECT g, g FROM generate_series(1, 20) g",
        'op.execute("DROP TABLE u58 CASCADE")',
        'op.execute("CREATE TABLE n58 (id int PRIMARY KEY)")\nop.execute("CREATE TABLE p58 (n int REFERENCES n58)")\n'
        'op.execute("DROP TABLE n58 CASCADE")',
    ),
    Pair(
        "a time zone",
        _users(59),
        "op.execute(\"SET LOCAL timezone = 'Europe/Berlin'\")\n"
        'op.alter_column("u59", "at", type_=sa.DateTime(timezone=True))',
        'op.alter_column("u59", "at", server_default=sa.text("clock_timestamp()"))',
    ),
    Pair(
        "a wider number",
        _users(60),
        'op.alter_column("u60", "age", type_=sa.BigInteger())',
        'op.alter_column("u60", "age", server_default="0")',
    ),
]


def _sent(*statements: str) -> str:
    return "\n".join(f"op.execute({each!r})" for each in statements)


def _sent_outside(*statements: str) -> str:
    return "with op.get_context().autocommit_block():\n" + "".join(
        f"    op.execute({each!r})\n" for each in statements
    )


FURTHER = [
    Pair(
        "a sequence set to the number of rows",
        "CREATE TABLE t61 (id serial PRIMARY KEY, a text); INSERT INTO t61 (a) SELECT 'x' FROM generate_series(1, 40); DELETE FROM t61 WHERE id <= 20",
        _sent("SELECT setval('t61_id_seq', (SELECT count(*) FROM t61))"),
        _sent("SELECT setval('t61_id_seq', (SELECT max(id) FROM t61))"),
        "INSERT INTO t61 (a) VALUES ('y')",
    ),
    Pair(
        "a copy of keys into an identity",
        _filled(63) + "",
        _sent(
            "CREATE TABLE n63 (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a text)",
            "INSERT INTO n63 SELECT id, a FROM t63",
        ),
        _sent(
            "CREATE TABLE n63 (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a text)",
            "INSERT INTO n63 SELECT id, a FROM t63",
            "SELECT setval(pg_get_serial_sequence('n63', 'id'), coalesce((SELECT max(id) FROM n63), 0) + 1, false)",
        ),
        "INSERT INTO n63 (a) VALUES ('y')",
        is_new=True,
    ),
    Pair(
        "rows that move to an archive",
        "CREATE TABLE t65 (id int PRIMARY KEY, kind text, made date NOT NULL); INSERT INTO t65 SELECT g, chr(97 + g % 3), '2020-01-01' FROM generate_series(1, 30) g; CREATE TABLE a65 (LIKE t65)",
        _sent(
            "WITH gone AS (DELETE FROM t65 WHERE made < '2021-01-01' RETURNING *) INSERT INTO a65 SELECT * FROM gone WHERE kind = 'a'"
        ),
        _sent(
            "WITH gone AS (DELETE FROM t65 WHERE made < '2021-01-01' RETURNING *) INSERT INTO a65 SELECT * FROM gone"
        ),
        "SELECT 1 / (count(*) / 30) FROM (SELECT id FROM t65 UNION SELECT id FROM a65) x",
    ),
    Pair(
        "a key that may wait for the commit",
        _table(66)
        + "CREATE TABLE c66 (id int PRIMARY KEY, t int CONSTRAINT fk66 REFERENCES t66 DEFERRABLE INITIALLY DEFERRED)",
        _sent("ALTER TABLE c66 ALTER CONSTRAINT fk66 NOT DEFERRABLE"),
        _sent("ALTER TABLE c66 ALTER CONSTRAINT fk66 DEFERRABLE INITIALLY DEFERRED"),
        "INSERT INTO c66 VALUES (900, 900); INSERT INTO t66 (id) VALUES (900)",
    ),
    Pair(
        "a part of a key that is set to NULL",
        "CREATE TABLE t69 (a int, b int, PRIMARY KEY (a, b)); INSERT INTO t69 VALUES (1, 1); CREATE TABLE c69 (id int PRIMARY KEY, a int NOT NULL, b int); INSERT INTO c69 VALUES (1, 1, 1)",
        _sent("ALTER TABLE c69 ADD CONSTRAINT fk69 FOREIGN KEY (a, b) REFERENCES t69 ON DELETE SET NULL NOT VALID"),
        _sent(
            "ALTER TABLE c69 ADD CONSTRAINT fk69 FOREIGN KEY (a, b) REFERENCES t69 ON DELETE SET NULL (b) NOT VALID"
        ),
        "DELETE FROM t69",
    ),
    Pair(
        "an attribute of a type that gets another name",
        "CREATE TYPE ad71 AS (street text, zip text); CREATE TABLE t71 (id int PRIMARY KEY, home ad71); CREATE TYPE other71 AS (street text, zip text)",
        _sent("ALTER TYPE ad71 RENAME ATTRIBUTE zip TO postcode"),
        _sent("ALTER TYPE ad71 ADD ATTRIBUTE country text"),
        "SELECT (home).zip FROM t71",
    ),
    Pair(
        "a label longer than its column",
        "CREATE TABLE t76 (id int PRIMARY KEY, status varchar(8) NOT NULL DEFAULT 'open', CONSTRAINT status CHECK (status IN ('open', 'closed')))",
        _sent(
            "ALTER TABLE t76 DROP CONSTRAINT status, ADD CONSTRAINT status CHECK (status IN ('open', 'closed', 'processing')) NOT VALID"
        ),
        _sent(
            "ALTER TABLE t76 DROP CONSTRAINT status, ALTER status TYPE varchar(10), ADD CONSTRAINT status CHECK (status IN ('open', 'closed', 'processing')) NOT VALID"
        ),
        "INSERT INTO t76 VALUES (900, 'processing')",
        is_new=True,
    ),
    Pair(
        "a partition beside a full default one",
        "CREATE TABLE t77 (id int NOT NULL) PARTITION BY RANGE (id); CREATE TABLE d77 PARTITION OF t77 DEFAULT; INSERT INTO t77 SELECT generate_series(1, 50); CREATE TABLE n77 (id int NOT NULL, CHECK (id >= 100 AND id < 200));CREATE TABLE u77 (id int NOT NULL) PARTITION BY RANGE (id); CREATE TABLE e77 PARTITION OF u77 DEFAULT; ALTER TABLE e77 ADD CHECK (id < 100); INSERT INTO u77 SELECT generate_series(1, 50)",
        _sent("ALTER TABLE t77 ATTACH PARTITION n77 FOR VALUES FROM (100) TO (200)"),
        _sent("ALTER TABLE u77 ATTACH PARTITION n77 FOR VALUES FROM (100) TO (200)"),
    ),
    Pair(
        "an index that one partition lacks",
        "CREATE TABLE t78 (id int NOT NULL, a text) PARTITION BY RANGE (id); CREATE TABLE t78_1 PARTITION OF t78 FOR VALUES FROM (0) TO (100); CREATE TABLE t78_2 PARTITION OF t78 FOR VALUES FROM (100) TO (200); INSERT INTO t78 SELECT g, 'x' FROM generate_series(90, 110) g",
        _sent("CREATE INDEX i78 ON ONLY t78 (a)")
        + "\n"
        + _sent_outside("DROP INDEX CONCURRENTLY IF EXISTS i78_1", "CREATE INDEX CONCURRENTLY i78_1 ON t78_1 (a)")
        + "\n"
        + _sent("ALTER INDEX i78 ATTACH PARTITION i78_1"),
        _sent_outside(
            "DROP INDEX CONCURRENTLY IF EXISTS i78_1",
            "CREATE INDEX CONCURRENTLY i78_1 ON t78_1 (a)",
            "DROP INDEX CONCURRENTLY IF EXISTS i78_2",
            "CREATE INDEX CONCURRENTLY i78_2 ON t78_2 (a)",
        )
        + "\n"
        + _sent(
            "CREATE INDEX i78 ON ONLY t78 (a)",
            "ALTER INDEX i78 ATTACH PARTITION i78_1",
            "ALTER INDEX i78 ATTACH PARTITION i78_2",
        ),
        "SELECT 1 / indisvalid::int FROM pg_index WHERE indexrelid = 'i78'::regclass",
        is_new=True,
    ),
    Pair(
        "a function that ran as its owner",
        _ROLE
        + _filled(79)
        + "CREATE FUNCTION f79() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM t79'",
        _sent("CREATE OR REPLACE FUNCTION f79() RETURNS bigint LANGUAGE sql AS 'SELECT count(id) FROM t79'"),
        _sent(
            "CREATE OR REPLACE FUNCTION f79() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(id) FROM t79'"
        ),
        "SET ROLE twin_reader; SELECT f79()",
    ),
    Pair(
        "who may call a function",
        _ROLE
        + "CREATE FUNCTION f80() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f80() FROM PUBLIC; GRANT EXECUTE ON FUNCTION f80() TO twin_reader",
        _sent(
            "DROP FUNCTION f80()",
            "CREATE FUNCTION f80() RETURNS int LANGUAGE sql AS 'SELECT 2'",
            "REVOKE ALL ON FUNCTION f80() FROM PUBLIC",
        ),
        _sent("CREATE OR REPLACE FUNCTION f80() RETURNS int LANGUAGE sql AS 'SELECT 2'"),
        "SET ROLE twin_reader; SELECT f80()",
    ),
    Pair(
        "a parameter's name",
        "CREATE FUNCTION f81(amount int, rate int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT amount * rate'",
        _sent(
            "DROP FUNCTION f81(int, int)",
            "CREATE FUNCTION f81(total int, rate int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT total * rate'",
        ),
        _sent(
            "DROP FUNCTION f81(int, int)",
            "CREATE FUNCTION f81(amount int, rate int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT amount * rate * 1'",
        ),
        "SELECT f81(amount => 1)",
    ),
    Pair(
        "the columns that a function gives",
        _table(82, "a text, b text")
        + "CREATE FUNCTION f82() RETURNS TABLE (id int, a text) LANGUAGE sql AS 'SELECT id, a FROM t82'",
        _sent(
            "DROP FUNCTION f82()",
            "CREATE FUNCTION f82() RETURNS TABLE (id int, b text) LANGUAGE sql AS 'SELECT id, b FROM t82'",
        ),
        _sent(
            "DROP FUNCTION f82()",
            "CREATE FUNCTION f82() RETURNS TABLE (id int, a text, b text) LANGUAGE sql AS 'SELECT id, a, b FROM t82'",
        ),
        "SELECT a FROM f82()",
    ),
    Pair(
        "a view that asks who looks",
        _ROLE + _filled(83) + "CREATE VIEW v83 AS SELECT id FROM t83; GRANT SELECT ON v83 TO twin_reader",
        _sent("ALTER VIEW v83 SET (security_invoker = true)"),
        _sent("ALTER VIEW v83 SET (security_barrier = true)"),
        "SET ROLE twin_reader; SELECT id FROM v83",
    ),
    Pair(
        "a view that is not filled",
        _filled(84) + "CREATE MATERIALIZED VIEW m84 AS SELECT id FROM t84",
        _sent("DROP MATERIALIZED VIEW m84", "CREATE MATERIALIZED VIEW m84 AS SELECT id FROM t84 WITH NO DATA"),
        _sent("CREATE MATERIALIZED VIEW n84 AS SELECT id FROM t84 WITH NO DATA"),
        "SELECT id FROM m84",
    ),
    Pair(
        "a trigger that stands for a view's INSERT",
        _table(85)
        + "CREATE VIEW v85 AS SELECT DISTINCT id, a FROM t85; CREATE FUNCTION f85() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO t85 VALUES (NEW.id, NEW.a); RETURN NEW; END'; CREATE TRIGGER tr85 INSTEAD OF INSERT ON v85 FOR EACH ROW EXECUTE FUNCTION f85()",
        _sent("DROP VIEW v85", "CREATE VIEW v85 AS SELECT DISTINCT id, a, 1 AS b FROM t85"),
        _sent(
            "DROP VIEW v85",
            "CREATE VIEW v85 AS SELECT DISTINCT id, a, 1 AS b FROM t85",
            "CREATE TRIGGER tr85 INSTEAD OF INSERT ON v85 FOR EACH ROW EXECUTE FUNCTION f85()",
        ),
        "INSERT INTO v85 (id, a) VALUES (900, 'x')",
    ),
    Pair(
        "who may use the view that is left behind",
        _ROLE + _table(87) + "GRANT SELECT ON t87 TO twin_reader",
        'op.rename_table("t87", "n87")\nop.execute("CREATE VIEW t87 AS SELECT * FROM n87")',
        'op.rename_table("t87", "n87")\nop.execute("CREATE VIEW t87 AS SELECT * FROM n87")\nop.execute("GRANT SELECT ON t87 TO twin_reader")',
        "SET ROLE twin_reader; SELECT id FROM t87",
    ),
    Pair(
        "a policy beside another",
        _ROLE
        + _filled(88)
        + "ALTER TABLE t88 ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t88 USING (true); GRANT SELECT ON t88 TO twin_reader",
        _sent("CREATE POLICY q ON t88 AS RESTRICTIVE USING (a = current_setting('app.tenant', true))"),
        _sent("CREATE POLICY q ON t88 USING (a = current_setting('app.tenant', true))"),
        "SET ROLE twin_reader; SELECT 1 / count(*) FROM t88",
    ),
    Pair(
        "a number from a sequence of its own",
        _ROLE + _table(91, "no bigint") + "GRANT SELECT, INSERT ON t91 TO twin_reader",
        _sent("CREATE SEQUENCE s91", "ALTER TABLE t91 ALTER no SET DEFAULT nextval('s91')"),
        _sent(
            "CREATE SEQUENCE s91",
            "ALTER TABLE t91 ALTER no SET DEFAULT nextval('s91')",
            "GRANT USAGE ON SEQUENCE s91 TO twin_reader",
        ),
        "SET ROLE twin_reader; INSERT INTO t91 (id) VALUES (900)",
    ),
    Pair(
        "a trigger that writes a log",
        _ROLE + _table(92) + "GRANT SELECT, INSERT ON t92 TO twin_reader",
        _sent(
            "CREATE TABLE l92 (id int, at timestamptz DEFAULT now())",
            "CREATE FUNCTION f92() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO l92 VALUES (NEW.id); RETURN NEW; END'",
            "CREATE TRIGGER tr92 AFTER INSERT ON t92 FOR EACH ROW EXECUTE FUNCTION f92()",
        ),
        _sent(
            "CREATE TABLE l92 (id int, at timestamptz DEFAULT now())",
            "CREATE FUNCTION f92() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO l92 VALUES (NEW.id); RETURN NEW; END'",
            "CREATE TRIGGER tr92 AFTER INSERT ON t92 FOR EACH ROW EXECUTE FUNCTION f92()",
        ),
        "SET ROLE twin_reader; INSERT INTO t92 (id) VALUES (900)",
    ),
    Pair(
        "what identifies a published row",
        _filled(94) + "CREATE PUBLICATION p94 FOR TABLE t94",
        _sent("ALTER TABLE t94 REPLICA IDENTITY NOTHING"),
        _sent("ALTER TABLE t94 REPLICA IDENTITY FULL"),
        "UPDATE t94 SET a = 'y'",
    ),
    Pair(
        "an index that identifies published rows",
        "CREATE TABLE t95 (id int NOT NULL, a text); CREATE UNIQUE INDEX u95 ON t95 (id); CREATE INDEX i95 ON t95 (id, a); ALTER TABLE t95 REPLICA IDENTITY USING INDEX u95; INSERT INTO t95 SELECT generate_series(1, 20); CREATE PUBLICATION p95 FOR TABLE t95",
        _sent_outside("DROP INDEX CONCURRENTLY IF EXISTS u95"),
        _sent_outside("DROP INDEX CONCURRENTLY IF EXISTS i95"),
        "UPDATE t95 SET a = 'y'",
    ),
    Pair(
        "a condition of a publication",
        _filled(97) + "CREATE PUBLICATION p97 FOR TABLE t97",
        _sent("ALTER PUBLICATION p97 SET TABLE t97 WHERE (a = 'x')"),
        _sent("ALTER PUBLICATION p97 SET TABLE t97 WHERE (id > 0)"),
        "UPDATE t97 SET a = 'y'",
    ),
    Pair(
        "a database by another name",
        _table(102),
        'if op.get_bind().dialect.name == "postgres":\n    op.execute("ALTER TABLE t102 ADD COLUMN b int")',
        'if op.get_bind().dialect.name == "postgresql":\n    op.execute("ALTER TABLE t102 ADD COLUMN b int")',
        "SELECT b FROM t102",
        is_new=True,
    ),
    Pair(
        "a name among columns",
        _table(103),
        'if "a" in sa.inspect(op.get_bind()).get_columns("t103"):\n    op.execute("ALTER TABLE t103 ADD COLUMN b int")',
        'if "a" in {c["name"] for c in sa.inspect(op.get_bind()).get_columns("t103")}:\n    op.execute("ALTER TABLE t103 ADD COLUMN b int")',
        "SELECT b FROM t103",
        is_new=True,
    ),
    Pair(
        "what a comment says",
        _filled(106),
        _sent("/* was: SELECT 1 */ -- cleanup\nDROP TABLE t106"),
        _sent(
            "/* DROP TABLE t106; */ -- DROP TABLE t106\nCOMMENT ON TABLE t106 IS $x$TRUNCATE t106; DROP TABLE t106$x$"
        ),
        "SELECT id FROM t106",
    ),
    Pair(
        "a column that was computed",
        "CREATE TABLE t107 (id int PRIMARY KEY, a int NOT NULL DEFAULT 1, total int GENERATED ALWAYS AS (a * 2) STORED NOT NULL); INSERT INTO t107 (id) SELECT generate_series(1, 20)",
        _sent("ALTER TABLE t107 ALTER total DROP EXPRESSION"),
        _sent(
            "CREATE FUNCTION f107() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.total := NEW.a * 2; RETURN NEW; END'",
            "CREATE TRIGGER tr107 BEFORE INSERT OR UPDATE ON t107 FOR EACH ROW EXECUTE FUNCTION f107()",
            "ALTER TABLE t107 ALTER total DROP EXPRESSION",
        ),
        "INSERT INTO t107 (id, a) VALUES (900, 2)",
    ),
    Pair(
        "a default that a check refuses",
        "CREATE TABLE t108 (id int PRIMARY KEY, status text NOT NULL DEFAULT 'on' CHECK (status IN ('on', 'off')))",
        'op.alter_column("t108", "status", server_default="active")',
        'op.alter_column("t108", "status", server_default="off")',
        "INSERT INTO t108 (id) VALUES (900)",
    ),
    Pair(
        "a default that refers to nothing",
        _filled(109) + "CREATE TABLE o109 (id int PRIMARY KEY, name text)",
        _sent(
            "ALTER TABLE t109 ADD COLUMN org int DEFAULT 7701",
            "UPDATE t109 SET org = NULL WHERE id < 0",
            "ALTER TABLE t109 ADD CONSTRAINT fk109 FOREIGN KEY (org) REFERENCES o109 NOT VALID",
        ),
        _sent(
            "INSERT INTO o109 VALUES (7701, 'none') ON CONFLICT DO NOTHING",
            "ALTER TABLE t109 ADD COLUMN org int DEFAULT 7701",
            "ALTER TABLE t109 ADD CONSTRAINT fk109 FOREIGN KEY (org) REFERENCES o109 NOT VALID",
        ),
        "INSERT INTO t109 (id) VALUES (900)",
    ),
    Pair(
        "a message that is too long",
        _table(110, "body text"),
        _sent(
            "CREATE FUNCTION f110() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('t110', row_to_json(NEW)::text); RETURN NEW; END $$",
            "CREATE TRIGGER tr110 AFTER INSERT ON t110 FOR EACH ROW EXECUTE FUNCTION f110()",
        ),
        _sent(
            "CREATE FUNCTION f110() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('t110', NEW.id::text); RETURN NEW; END $$",
            "CREATE TRIGGER tr110 AFTER INSERT ON t110 FOR EACH ROW EXECUTE FUNCTION f110()",
        ),
        "INSERT INTO t110 VALUES (900, repeat('x', 9000))",
    ),
    Pair(
        "a trigger that fires itself",
        _filled(111, "a text, at timestamptz"),
        _sent(
            "CREATE FUNCTION f111() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE t111 SET at = now() WHERE id = NEW.id; RETURN NEW; END'",
            "CREATE TRIGGER tr111 AFTER UPDATE ON t111 FOR EACH ROW EXECUTE FUNCTION f111()",
        ),
        _sent(
            "CREATE FUNCTION f111() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE t111 SET at = now() WHERE id = NEW.id; RETURN NEW; END'",
            "CREATE TRIGGER tr111 AFTER UPDATE OF a ON t111 FOR EACH ROW EXECUTE FUNCTION f111()",
        ),
        "UPDATE t111 SET a = 'y' WHERE id = 1",
    ),
    Pair(
        "a trigger that lets nothing go",
        _filled(112) + "CREATE TABLE l112 (id int)",
        _sent(
            "CREATE FUNCTION f112() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO l112 VALUES (OLD.id); RETURN NEW; END'",
            "CREATE TRIGGER tr112 BEFORE DELETE ON t112 FOR EACH ROW EXECUTE FUNCTION f112()",
        ),
        _sent(
            "CREATE FUNCTION f112() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO l112 VALUES (OLD.id); RETURN OLD; END'",
            "CREATE TRIGGER tr112 BEFORE DELETE ON t112 FOR EACH ROW EXECUTE FUNCTION f112()",
        ),
        "WITH d AS (DELETE FROM t112 WHERE id = 1 RETURNING 1) SELECT 1 / count(*) FROM d",
    ),
    Pair(
        "quotes within a default",
        _filled(116),
        'op.add_column("t116", sa.Column("b", sa.Text(), nullable=False, server_default="\'active\'"))',
        'op.add_column("t116", sa.Column("b", sa.Text(), nullable=False, server_default="active"))',
        "SELECT 1 / count(*) FROM t116 WHERE b = 'active'",
        is_new=True,
    ),
    Pair(
        "a call as a text",
        _filled(117),
        'op.add_column("t117", sa.Column("b", sa.String(50), nullable=True))\nop.alter_column("t117", "b", server_default="gen_random_uuid()")',
        'op.add_column("t117", sa.Column("b", sa.String(50), nullable=True))\nop.alter_column("t117", "b", server_default=sa.text("gen_random_uuid()"))',
        "INSERT INTO t117 (id) VALUES (900); SELECT 1 / count(*) FROM t117 WHERE b <> 'gen_random_uuid()'",
        is_new=True,
    ),
    Pair(
        "privileges by column",
        _ROLE + _table(90, "a text, b text") + "GRANT SELECT ON t90 TO twin_reader",
        _sent("REVOKE SELECT ON t90 FROM twin_reader", "GRANT SELECT (id, a) ON t90 TO twin_reader"),
        _sent("REVOKE SELECT ON t90 FROM twin_reader", "GRANT SELECT (id, a, b) ON t90 TO twin_reader"),
        "SET ROLE twin_reader; SELECT b FROM t90",
    ),
]


def told(bench: cases.Bench, pairs: Sequence[Pair], which: str, static: bool = False) -> dict[str, list[Finding]]:
    """The errors and warnings of each pair: all of `which`, `harmful` or `harmless`, in one review, each in a transaction
    of its own.
    """
    made = tuple(
        {
            "revision": f"r{n}",
            "down_revision": f"r{n - 1}" if n else "base0",
            "upgrade": getattr(pair, which),
            "downgrade": "raise NotImplementedError",
        }
        for n, pair in enumerate(pairs)
    )
    setup = tuple(statement for pair in pairs for statement in ([pair.given] if not static else split(pair.given)))
    case = cases.Case("twins", "twins", "safe", (), setup, made, transaction_per_migration=True)
    report = bench.review(case, static=static)
    assert not report.all_errors, report.all_errors
    found: dict[str, list[Finding]] = {pair.name: [] for pair in pairs}
    for finding in cases.loud(report.findings):
        if finding.revision is not None:
            found[pairs[int(finding.revision[1:])].name].append(finding)
    return found


@dataclass(frozen=True)
class Score:
    """How many of both halves of pairs a review judged rightly."""

    of: int
    silent: tuple[str, ...]
    """Harmful ones of which nothing is told."""
    noisy: tuple[str, ...]
    """Harmless ones of which something is."""
    errors: tuple[str, ...]
    """Harmless ones that are called an error."""

    @property
    def right(self) -> float:
        """The share that was judged rightly."""
        return 1 - (len(self.silent) + len(self.noisy)) / self.of


def score(bench: cases.Bench, pairs: Sequence[Pair], static: bool = False) -> Score:
    """Review both halves of `pairs`."""
    harmful, harmless = (told(bench, pairs, which, static) for which in ("harmful", "harmless"))
    return Score(
        2 * len(pairs),
        tuple(name for name, found in harmful.items() if not found),
        tuple(f"{name}: {f.rule}: {f.message}" for name, found in harmless.items() for f in found[:1]),
        tuple(name for name, found in harmless.items() if any(f.severity is Severity.ERROR for f in found)),
    )
