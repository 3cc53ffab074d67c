"""What the text of earlier revisions tells of the base state is what PostgreSQL has after running them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.recording import Catalogue, Column, Table
from reviewer.rehearsal.catalogue import read
from reviewer.rehearsal.reconstruction import Opaque, catalogue
from reviewer.sql.names import Name

USERS = "CREATE TABLE users (id bigserial PRIMARY KEY, name varchar(50) NOT NULL, age int, UNIQUE (name, age))"
ORDERS = "CREATE TABLE orders (id int PRIMARY KEY, user_id bigint REFERENCES users (id), total numeric(10,2) CHECK (total > 0))"

HISTORIES = {
    "tables, keys and serials": [USERS, ORDERS],
    "columns added, renamed, altered and dropped": [
        USERS,
        "ALTER TABLE users ADD COLUMN mail text UNIQUE, ADD COLUMN born timestamptz(3) DEFAULT now() NOT NULL",
        "ALTER TABLE users RENAME name TO title",
        "ALTER TABLE users ALTER title TYPE varchar(80), ALTER title DROP NOT NULL, ALTER age SET NOT NULL",
        "ALTER TABLE users DROP COLUMN age",
    ],
    "constraints added, validated, renamed and dropped": [
        USERS,
        ORDERS,
        "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey",
        "ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT fk",
        "ALTER TABLE users ADD CONSTRAINT old CHECK (age > 0) NOT VALID",
        "ALTER TABLE users RENAME CONSTRAINT old TO grown",
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey",
    ],
    "a key made of an index": [
        "CREATE TABLE notes (id bigint, body text)",
        "CREATE UNIQUE INDEX notes_id ON notes (id)",
        "ALTER TABLE notes ADD CONSTRAINT notes_key PRIMARY KEY USING INDEX notes_id",
    ],
    "indexes": [
        USERS,
        "CREATE INDEX ON users (age)",
        "CREATE INDEX lowered ON users (lower(name), age)",
        "CREATE UNIQUE INDEX few ON users (name) WHERE age > 3",
        "ALTER INDEX lowered RENAME TO lower_names",
        "DROP INDEX users_age_idx",
    ],
    "tables renamed, moved and dropped": [
        USERS,
        ORDERS,
        "ALTER TABLE users RENAME TO people",
        "CREATE SCHEMA other",
        "ALTER TABLE people SET SCHEMA other",
        "DROP TABLE orders",
        'CREATE TABLE other."Odd Name" ("Key" int PRIMARY KEY)',
    ],
    "partitions": [
        "CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "CREATE TABLE events_2 (id bigint NOT NULL, day date NOT NULL)",
        "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        "ALTER TABLE events DETACH PARTITION events_1",
    ],
    "types and views": [
        "CREATE TYPE mood AS ENUM ('good', 'bad'); ALTER TYPE mood ADD VALUE 'sad'",
        "ALTER TYPE mood RENAME VALUE 'bad' TO 'worse'",
        "CREATE TYPE gone AS ENUM ('x'); DROP TYPE gone",
        "CREATE TYPE old AS ENUM ('y'); ALTER TYPE old RENAME TO new",
        "CREATE TABLE people (id int GENERATED ALWAYS AS IDENTITY, mood mood, tags text[])",
        "CREATE VIEW happy AS SELECT id FROM people",
        "CREATE MATERIALIZED VIEW moods AS SELECT mood FROM people",
        "DROP VIEW happy",
    ],
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with Guardian() as guardian, start(ServerRequest(), guardian) as running:
        yield running


def essence(found: Catalogue) -> object:
    """What both must agree on: names that PostgreSQL would spell otherwise, and definitions, are left out."""
    return {
        "tables": {
            str(table.name): (
                table.kind,
                sorted((c.name, c.type, c.nullable) for c in table.columns) if "view" not in table.kind else None,
                sorted(
                    (c.name, c.kind, c.columns, c.valid, str(c.referenced))
                    for c in table.constraints
                    if c.kind != "not null"
                ),
                sorted((i.name, i.columns, i.unique, i.constraint or "") for i in table.indexes),
                str(table.partition_of),
            )
            for table in found.tables
        },
        "enums": {str(enum.name): enum.labels for enum in found.enums},
    }


@pytest.mark.parametrize("past", HISTORIES.values(), ids=HISTORIES)
def test_agrees_with_postgresql(past: list[str], server: RunningServer) -> None:
    database = server.create_database("told")
    with psycopg.connect(server.address.url(database), autocommit=True) as connection:
        for sql in past:
            for each in sql.split("; "):
                connection.execute(each.encode())
        seen = read(connection)
    server.drop_database(database)

    assert essence(catalogue(past)) == essence(seen)


def test_what_code_names_is_forgotten() -> None:
    found = catalogue([USERS, ORDERS, "DO $$ BEGIN ALTER TABLE users DROP COLUMN age; END $$"])

    assert [str(table.name) for table in found.tables] == ["orders"]
    assert found.types is None


def test_all_is_forgotten_where_code_looks_tables_up() -> None:
    source = "for name in sa.inspect(op.get_bind()).get_table_names(): op.drop_table(name)"

    assert catalogue([USERS, Opaque(source)]).tables == ()


def test_a_name_that_may_be_any_constraint_takes_all_that_have_none() -> None:
    past = [
        "CREATE TABLE a (id int CONSTRAINT first CHECK (id > 0), CONSTRAINT second UNIQUE (id))",
        "ALTER TABLE a DROP CONSTRAINT first",
    ]

    assert catalogue(past).tables == (Table(Name("a", "public"), "table", (Column("id", "integer"),)),)


def test_types_are_known_as_long_as_nothing_else_can_make_them() -> None:
    enum = "CREATE TYPE mood AS ENUM ('good')"

    assert catalogue([enum]).types == (Name("mood", "public"),)
    assert catalogue([enum, "CREATE EXTENSION hstore"]).types is None
    assert catalogue([enum, "SELECT make_types()"]).types is None


def test_functions_are_volatile_unless_they_say_otherwise() -> None:
    made = "CREATE FUNCTION {}() RETURNS int LANGUAGE plpgsql {} AS 'BEGIN RETURN 1; END'"

    assert catalogue([made.format("f", ""), made.format("g", "STABLE")]).volatile == (Name("f", "public"),)
