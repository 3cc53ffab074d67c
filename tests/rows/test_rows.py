"""Rows of ours are legal under any schema, fill every column, and come out the same each time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reviewer import rows
from reviewer.recording import Skipped
from reviewer.rehearsal import catalogue
from reviewer.sql.names import Name
from tests.rows.conftest import Connection

Fill = Callable[[str], rows.Filled]

FILLED = {
    "numbers and text": "CREATE TABLE t (a int, b bigint, c numeric(4, 2), d numeric(3, 3), e varchar(2), f char(1), g text)",
    "dates and times": "CREATE TABLE t (a date, b timestamptz, c timestamp(3), d time(0), e timetz, f interval day to second)",
    "documents": "CREATE TABLE t (a json, b jsonb, c xml, d tsvector, e tsquery, f bytea, g uuid)",
    "networks and shapes": "CREATE TABLE t (a inet, b cidr, c macaddr, d point, e box, f bit(5), g varbit(9), h oid)",
    "arrays and ranges": "CREATE TABLE t (a int[], b text[][], c int4range, d tstzrange, e daterange, f int4multirange)",
    "an enum, a composite and arrays of them": """
        CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE pair AS (a int, b mood);
        CREATE TABLE t (a mood, b mood[], c pair, d pair[])""",
    "a domain over a domain": """
        CREATE DOMAIN low AS int CHECK (VALUE > 50); CREATE DOMAIN range AS low CHECK (VALUE < 90);
        CREATE TABLE t (a range NOT NULL, b range[])""",
    "a list of values": "CREATE TABLE t (a varchar(9) NOT NULL CHECK (a IN ('new', 'old', 'it''s')))",
    "a range of numbers": "CREATE TABLE t (a int CHECK (a >= 5000 AND a < 5300), b float8 CHECK (b BETWEEN 0 AND 1))",
    "a negative number": "CREATE TABLE t (a int NOT NULL CHECK (a < -10))",
    "a regular expression": "CREATE TABLE t (a text NOT NULL UNIQUE CHECK (a ~ '^[A-Z]{3}-\\d{4}$'), b text CHECK (b ~* '^#[0-9a-f]{6}$'))",
    "a length": "CREATE TABLE t (a text CHECK (char_length(a) = 12), b text CHECK (length(b) >= 60))",
    "columns that depend on each other": """
        CREATE TABLE t (low int, high int CHECK (high < low), since date, until date, CHECK (since < until))""",
    "one of several": "CREATE TABLE t (a int, b int, c int, CHECK (num_nonnulls(a, b, c) = 1))",
    "a variant record": """
        CREATE TABLE t (kind text NOT NULL, a int, b int, CHECK (
            (kind = 'a' AND a IS NOT NULL AND b IS NULL) OR (kind = 'b' AND b IS NOT NULL AND a IS NULL)))""",
    "a generated column that is checked": """
        CREATE TABLE t (a int NOT NULL, b int GENERATED ALWAYS AS (a * 2) STORED, CHECK (b > 5000))""",
    "the kind of a document": "CREATE TABLE t (a jsonb NOT NULL CHECK (jsonb_typeof(a) = 'array'))",
    "identity columns": "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b int NOT NULL)",
    "foreign keys of two columns that share one": """
        CREATE TABLE tenants (id int PRIMARY KEY);
        CREATE TABLE users (tenant int REFERENCES tenants, id int, PRIMARY KEY (tenant, id));
        CREATE TABLE projects (tenant int REFERENCES tenants, id int, PRIMARY KEY (tenant, id));
        CREATE TABLE t (tenant int, a int, b int, PRIMARY KEY (tenant, a, b),
            FOREIGN KEY (tenant, a) REFERENCES users, FOREIGN KEY (tenant, b) REFERENCES projects)""",
    "two keys to one table that must differ": """
        CREATE TABLE p (id serial PRIMARY KEY);
        CREATE TABLE t (a int NOT NULL REFERENCES p, b int NOT NULL REFERENCES p, CHECK (a <> b))""",
    "a key that refers to its own table": "CREATE TABLE t (id serial PRIMARY KEY, parent int NOT NULL REFERENCES t)",
    "a circle of required keys": """
        CREATE TABLE t (id serial PRIMARY KEY, u int NOT NULL); CREATE TABLE u (id int PRIMARY KEY, t int NOT NULL REFERENCES t);
        ALTER TABLE t ADD FOREIGN KEY (u) REFERENCES u""",
    "a deferrable unique constraint": "CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    "an exclusion constraint": "CREATE TABLE t (during tsrange, EXCLUDE USING gist (during WITH &&))",
    "partitions by range, list and hash": """
        CREATE TABLE t (at date NOT NULL, a text, b int) PARTITION BY RANGE (at);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2032-01-01') TO ('2033-01-01') PARTITION BY LIST (a);
        CREATE TABLE t2a PARTITION OF t2 FOR VALUES IN ('x', 'y');
        CREATE TABLE t3 PARTITION OF t DEFAULT PARTITION BY HASH (b);
        CREATE TABLE t3a PARTITION OF t3 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE t3b PARTITION OF t3 FOR VALUES WITH (MODULUS 2, REMAINDER 1)""",
    "inheritance": "CREATE TABLE p (a int CHECK (a > 7)); CREATE TABLE t (b int) INHERITS (p)",
    "a trigger that takes every third row": """
        CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.a % 3 <> 0 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()""",
    "names that need quotes": """CREATE TABLE "T t" (g int CHECK (g > 5), "select" text CHECK ("select" IN ('a', 'b')))""",
    "no column at all": "CREATE TABLE t ()",
}

SKIPPED = {
    "a trigger that takes nothing": (
        """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$;
        CREATE TABLE t (a int); CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()""",
        "never",
    ),
    "a domain that nothing satisfies": (
        "CREATE DOMAIN d AS int CHECK (VALUE > 5 AND VALUE < 3); CREATE TABLE t (a d NOT NULL)",
        'value for domain d violates check constraint "d_check"',
    ),
    "no partition": ("CREATE TABLE t (a int) PARTITION BY RANGE (a)", "it is partitioned and has no partition"),
}


@pytest.mark.parametrize("ddl", FILLED.values(), ids=FILLED.keys())
def test_every_table_gets_legal_rows(ddl: str, fill: Fill) -> None:
    filled = fill(ddl)

    assert filled.skipped == ()
    assert all(table.rows for table in filled.catalogue.tables)


@pytest.mark.parametrize(("ddl", "reason"), SKIPPED.values(), ids=SKIPPED.keys())
def test_a_table_that_takes_no_row_is_told_with_the_reason(ddl: str, reason: str, fill: Fill) -> None:
    assert fill(ddl).skipped == (Skipped("rows of table t", reason),)


def test_every_column_is_filled(connection: Connection, fill: Fill) -> None:
    fill("""CREATE TABLE parent (id serial PRIMARY KEY);
            CREATE TABLE t (id serial, a text, b numeric, c timestamptz, d jsonb, p int REFERENCES parent)""")

    empty = connection.execute("SELECT count(*) FROM t WHERE num_nulls(a, b, c, d, p) > 0").fetchone()

    assert empty == (0,)


def test_two_booleans_of_a_row_are_no_copies_of_each_other(connection: Connection, fill: Fill) -> None:
    fill("CREATE DOMAIN flag AS boolean; CREATE TABLE t (a boolean, b boolean NOT NULL, c flag, d boolean)")

    pairs = connection.execute(
        "SELECT count(DISTINCT (a, b)), count(DISTINCT (b, c)), count(DISTINCT (a, d)) FROM t"
    ).fetchone()

    assert pairs == (4, 4, 4)


def test_a_column_that_takes_no_value_of_ours_does_not_empty_the_others(connection: Connection, fill: Fill) -> None:
    fill("""CREATE DOMAIN negative AS int CHECK (VALUE < 0); CREATE TYPE pair AS (a negative);
            CREATE TABLE t (id serial, a text, b pair, c negative[])""")

    filled = connection.execute("SELECT count(a) > 0, count(b), count(c) FROM t").fetchone()

    assert filled == (True, 0, 0)


def test_no_foreign_key_refers_to_nothing_in_a_circle(connection: Connection, fill: Fill) -> None:
    fill(FILLED["a circle of required keys"])

    lost = connection.execute("SELECT count(*) FROM t LEFT JOIN u ON u.id = t.u WHERE u.id IS NULL").fetchone()

    assert lost == (0,)


def test_a_table_with_rows_is_left_alone(fill: Fill) -> None:
    filled = fill("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")

    assert filled.tables == ()
    assert [table.rows for table in filled.catalogue.tables] == [2]


def test_the_same_rows_come_out_each_time(fill: Fill, connection: Connection) -> None:
    query = "SELECT t::text FROM t ORDER BY a"
    fill("CREATE TABLE t (a uuid, b text, c timestamptz, d float8 CHECK (d < 0), e text CHECK (e IN ('x', 'y')))")
    first = connection.execute(query).fetchall()

    rows.take_out(connection, [Name("t", "public")])
    rows.fill(connection, catalogue.read(connection), 20)

    assert connection.execute(query).fetchall() == first


def test_a_table_with_as_many_columns_as_there_can_be_is_filled(fill: Fill) -> None:
    columns = ", ".join(f"c{n} int" for n in range(1500))

    assert fill(f"CREATE TABLE t ({columns})").skipped == ()
