"""Tables are filled to any size from the few rows that they have, and what they demand of a row stays true."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reviewer import rows
from reviewer.rows.bulk import Bulk
from reviewer.sql.names import Name
from tests.rows.conftest import Connection

Fill = Callable[[str], rows.Filled]

FILLABLE = {
    "a serial key and a unique text": "CREATE TABLE t (id serial PRIMARY KEY, email varchar(40) NOT NULL UNIQUE, n int)",
    "a short unique text": "CREATE TABLE t (id bigint PRIMARY KEY, code varchar(6) UNIQUE, flag char(4) UNIQUE)",
    "a unique uuid, date, time and bytes": """
        CREATE TABLE t (id uuid PRIMARY KEY, a date UNIQUE, b timestamptz UNIQUE, c bytea UNIQUE, d numeric(20, 4) UNIQUE)""",
    "an identity column and a generated one": """
        CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)""",
    "a unique index on an expression": """
        CREATE TABLE t (id int PRIMARY KEY, email text NOT NULL); CREATE UNIQUE INDEX ON t (lower(email))""",
    "a unique pair": "CREATE TABLE t (a int NOT NULL, b boolean NOT NULL, UNIQUE (a, b))",
    "a text whose end is checked": """
        CREATE TABLE t (id int PRIMARY KEY, file text NOT NULL UNIQUE CHECK (file LIKE '%.txt'))""",
    "a parent and its children": """
        CREATE TABLE t (id serial PRIMARY KEY, name text);
        CREATE TABLE u (id serial PRIMARY KEY, t_id int NOT NULL REFERENCES t)""",
    "a table of nothing but references": """
        CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (id uuid PRIMARY KEY);
        CREATE TABLE t (a_id int REFERENCES a, b_id uuid REFERENCES b, PRIMARY KEY (a_id, b_id))""",
    "a key that is a reference": """
        CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY REFERENCES a, x text)""",
    "references to two tables that share a column": """
        CREATE TABLE tenants (id int PRIMARY KEY);
        CREATE TABLE users (tenant int REFERENCES tenants, id int, PRIMARY KEY (tenant, id));
        CREATE TABLE t (tenant int, a int, id int PRIMARY KEY, FOREIGN KEY (tenant, a) REFERENCES users)""",
    "a reference to texts and a number": """
        CREATE TABLE runs (id serial PRIMARY KEY, dag varchar(250) NOT NULL, run varchar(250) NOT NULL, UNIQUE (dag, run));
        CREATE TABLE tasks (dag text, task text, run text, n int, state text, PRIMARY KEY (dag, task, run, n),
            FOREIGN KEY (dag, run) REFERENCES runs (dag, run));
        CREATE TABLE t (dag text, task text, run text, n int, x json, PRIMARY KEY (dag, task, run, n),
            FOREIGN KEY (dag, task, run, n) REFERENCES tasks, FOREIGN KEY (dag, run) REFERENCES runs (dag, run))""",
    "a reference to a unique text beside the key": """
        CREATE TABLE a (id int PRIMARY KEY, code text NOT NULL UNIQUE, UNIQUE (id, code));
        CREATE TABLE t (id serial PRIMARY KEY, a int, code text, FOREIGN KEY (a, code) REFERENCES a (id, code))""",
    "a tree": "CREATE TABLE t (id serial PRIMARY KEY, parent int REFERENCES t)",
    "partitions": """
        CREATE TABLE t (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2020-01-01') TO ('2030-01-01')""",
    "partitions whose copies come before the rows of the next": """
        CREATE TABLE t (id int, n int, PRIMARY KEY (id, n)) PARTITION BY HASH (id);
        CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)""",
    "a trigger that refuses": """
        CREATE TABLE t (id serial PRIMARY KEY);
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id > 20 THEN RAISE 'no'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()""",
}
REFUSED = {
    "an exclusion constraint": "CREATE TABLE t (during tsrange, EXCLUDE USING gist (during WITH &&))",
    "a unique enum": "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE t (a mood NOT NULL UNIQUE)",
    "a number that has no room": "CREATE TABLE t (a smallint PRIMARY KEY CHECK (a < 200))",
}


def _valid(connection: Connection) -> None:
    """Check every foreign key again: the rows went in without that."""
    found = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'f' AND conparentid = 0"
    ).fetchall()
    for table, name, definition in found:
        connection.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {definition}".encode()
        )


@pytest.mark.processes
@pytest.mark.parametrize("ddl", FILLABLE.values(), ids=FILLABLE)
def test_a_table_is_filled_to_the_size_that_is_asked_for(ddl: str, fill: Fill, connection: Connection) -> None:
    filled = fill(ddl)
    bulk = Bulk(connection, filled.tables)
    bulk.fill(300)
    bulk.fill(1000)
    assert bulk.refused == {}
    count = connection.execute("SELECT count(*) FROM t").fetchone()
    assert count == (bulk.rows[Name("t", "public")],)
    assert 980 <= count[0] <= 1000
    _valid(connection)


@pytest.mark.processes
def test_rows_that_have_moved_are_found_again_among_their_copies(fill: Fill, connection: Connection) -> None:
    fill("CREATE TABLE t (id int PRIMARY KEY, a int)")
    connection.execute("UPDATE t SET a = 1")  # leaves room for copies before them
    bulk = Bulk(connection, [Name("t", "public")])
    for rows_ in (100, 300, 1000):
        bulk.fill(rows_)
        bulk.settle()
    assert bulk.refused == {}
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (bulk.rows[Name("t", "public")],)


@pytest.mark.processes
@pytest.mark.parametrize("ddl", REFUSED.values(), ids=REFUSED)
def test_a_table_that_refuses_is_named_and_keeps_its_rows(ddl: str, fill: Fill, connection: Connection) -> None:
    before = fill(ddl).catalogue.tables[0].rows
    bulk = Bulk(connection, [Name("t", "public")])
    bulk.fill(1000)
    assert bulk.refused[Name("t", "public")]
    assert bulk.rows == {Name("t", "public"): before}


@pytest.mark.processes
def test_a_sequence_goes_on_after_the_rows(fill: Fill, connection: Connection) -> None:
    fill("CREATE TABLE t (id serial PRIMARY KEY, a int)")
    Bulk(connection, [Name("t", "public")]).fill(500)
    connection.execute("INSERT INTO t (a) VALUES (1)")


@pytest.mark.processes
def test_references_are_spread_over_all_copies_of_the_parent(fill: Fill, connection: Connection) -> None:
    filled = fill("""CREATE TABLE t (id serial PRIMARY KEY);
        CREATE TABLE u (id serial PRIMARY KEY, t_id int NOT NULL REFERENCES t)""")
    Bulk(connection, filled.tables).fill(1000)
    found = connection.execute("SELECT count(DISTINCT t_id) FROM u").fetchone()
    assert found is not None
    assert found[0] > 500


@pytest.mark.processes
@pytest.mark.parametrize("parents", [True, False])
def test_what_a_table_refers_to_is_filled_where_that_is_asked_for(
    parents: bool, fill: Fill, connection: Connection
) -> None:
    fill("""CREATE TABLE t (id serial PRIMARY KEY);
        CREATE TABLE u (id serial PRIMARY KEY, t_id int NOT NULL REFERENCES t)""")
    Bulk(connection, [Name("u", "public")], parents=parents).fill(1000)
    found = connection.execute("SELECT count(DISTINCT t_id) FROM u").fetchone()
    assert found is not None
    assert (found[0] > 500) == parents
