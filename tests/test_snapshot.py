"""Two states of a database are compared by meaning: what a person would call different, and nothing else."""

from __future__ import annotations

import pytest

from reviewer.recording import Change, Difference
from reviewer.rehearsal import catalogue_snapshot
from tests.rows.conftest import Connection, connection, server

__all__ = ["connection", "server"]  # fixtures

GIVEN = """CREATE TABLE counted (id serial);

CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE users (id serial PRIMARY KEY, name varchar(50) NOT NULL DEFAULT 'x', m mood, n int CHECK (n > 0));
CREATE INDEX ON users (name);
CREATE VIEW names AS SELECT name FROM users;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE parts (at date) PARTITION BY RANGE (at)
"""

LEFT, MISSING, CHANGED = Change.LEFT_BEHIND, Change.MISSING, Change.CHANGED

DIFFERENT = {
    "an enum type": ("CREATE TYPE e AS ENUM ('a')", [("enum type", "e", LEFT, "")]),
    "a label": ("ALTER TYPE mood ADD VALUE 'so'", [("enum type", "mood", CHANGED, "labels")]),
    "a table, and not all that belongs to it": (
        "CREATE TABLE t (id serial PRIMARY KEY, a int UNIQUE); CREATE INDEX ON t (a)",
        [("table", "t", LEFT, "")],
    ),
    "a column with its index and constraint": (
        "ALTER TABLE users ADD a serial UNIQUE CHECK (a > 0); CREATE INDEX ON users (a)",
        [("column", "a", LEFT, "")],
    ),
    "a column that is gone, with its constraint": ("ALTER TABLE users DROP n", [("column", "n", MISSING, "")]),
    "a type": ("ALTER TABLE users ALTER n TYPE bigint", [("column", "n", CHANGED, "type")]),
    "a default": ("ALTER TABLE parts ALTER at SET DEFAULT now()", [("column", "at", CHANGED, "default")]),
    "NOT NULL": ("ALTER TABLE users ALTER n SET NOT NULL", [("column", "n", CHANGED, "not null")]),
    "an index": ("DROP INDEX users_name_idx", [("index", "users_name_idx", MISSING, "")]),
    "a constraint that is not valid": (
        "ALTER TABLE users DROP CONSTRAINT users_n_check; ALTER TABLE users ADD CHECK (n > 0) NOT VALID",
        [("constraint", "users_n_check", CHANGED, "not valid")],
    ),
    "a view": ("CREATE VIEW v AS SELECT 1", [("view", "v", LEFT, "")]),
    "another view": ("CREATE OR REPLACE VIEW names AS SELECT lower(name)::varchar(50) AS name FROM users", [("view", "names", CHANGED, "definition")]),
    "a function": ("DROP FUNCTION f", [("function", "f()", MISSING, "")]),
    "a sequence of its own": ("CREATE SEQUENCE s", [("sequence", "s", LEFT, "")]),
    "a trigger": (
        "CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        [("trigger", "t", LEFT, "")],
    ),
    "a policy": ("CREATE POLICY p ON users USING (true)", [("policy", "p", LEFT, "")]),
    "row security": ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", [("table", "users", CHANGED, "row security")]),
    "a grant": ("GRANT SELECT ON users TO PUBLIC", [("table", "users", CHANGED, "grants")]),
    "a comment": ("COMMENT ON COLUMN users.n IS 'a number'", [("column", "n", CHANGED, "comment")]),
    "replica identity": ("ALTER TABLE users REPLICA IDENTITY FULL", [("table", "users", CHANGED, "replica identity")]),
    "a storage option": ("ALTER TABLE users SET (fillfactor = 70)", [("table", "users", CHANGED, "options")]),
    "a partition": ("CREATE TABLE p PARTITION OF parts DEFAULT", [("table", "p", LEFT, "")]),
    "a domain": ("CREATE DOMAIN d AS int CHECK (VALUE > 1)", [("domain", "d", LEFT, "")]),
    "a schema, and not what is in it": ("CREATE SCHEMA s CREATE TABLE t (a int)", [("schema", "s", LEFT, "")]),
}  # fmt: skip

THE_SAME = {
    "another order of columns": "ALTER TABLE users DROP m; ALTER TABLE users ADD m mood",
    "names that PostgreSQL made up": """ALTER TABLE users RENAME CONSTRAINT users_n_check TO ck_users_n;
        ALTER INDEX users_name_idx RENAME TO ix_users_name""",
    "grants that hold anyway": "GRANT ALL ON users TO CURRENT_USER",
    "a table that was there for a while": "CREATE TABLE t (a serial); DROP TABLE t",
    "a table that was copied, with a serial column": """CREATE TABLE copy (id serial);
        DROP TABLE counted; ALTER TABLE copy RENAME TO counted""",
}


@pytest.mark.parametrize(("change", "wanted"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_tells_each_difference_once(
    change: str, wanted: list[tuple[str, str, Change, str]], connection: Connection
) -> None:
    connection.execute(GIVEN)
    before = catalogue_snapshot.take(connection)

    connection.execute(change)

    found = catalogue_snapshot.compare(before, catalogue_snapshot.take(connection))
    assert [(d.kind, d.name, d.change, d.aspect) for d in found] == wanted


@pytest.mark.parametrize("change", THE_SAME.values(), ids=THE_SAME.keys())
def test_is_silent_about_what_is_the_same(change: str, connection: Connection) -> None:
    connection.execute(GIVEN)
    before = catalogue_snapshot.take(connection)

    connection.execute(change)

    assert catalogue_snapshot.compare(before, catalogue_snapshot.take(connection)) == ()


def test_a_moment_as_default_is_no_difference(connection: Connection) -> None:
    connection.execute("CREATE TABLE t (a timestamp DEFAULT '2026-01-01 10:00:00')")
    before = catalogue_snapshot.take(connection)

    connection.execute("ALTER TABLE t ALTER a SET DEFAULT '2026-01-01 10:00:01'")

    assert catalogue_snapshot.compare(before, catalogue_snapshot.take(connection)) == ()


def test_the_search_path_of_the_database_is_no_difference(connection: Connection) -> None:
    connection.execute(GIVEN)
    before = catalogue_snapshot.take(connection)

    connection.execute("SET search_path = elsewhere")

    assert catalogue_snapshot.compare(before, catalogue_snapshot.take(connection)) == ()
    assert connection.execute("SHOW search_path").fetchone() == ("elsewhere",)


def test_a_name_that_was_chosen_twice_is_told(connection: Connection) -> None:
    connection.execute("CREATE TABLE t (a int, CONSTRAINT one CHECK (a > 1))")
    before = catalogue_snapshot.take(connection)

    connection.execute("ALTER TABLE t RENAME CONSTRAINT one TO two")

    assert catalogue_snapshot.compare(before, catalogue_snapshot.take(connection)) == (
        Difference("constraint", "one", CHANGED, "t", "name", "one", "two"),
    )
