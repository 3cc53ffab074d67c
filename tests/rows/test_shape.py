"""The shapes of the tables near others are the same as among those of all tables, and all that rows depend on is near."""

from __future__ import annotations

from reviewer.rows import shape
from reviewer.sql.names import Name
from tests.rows.conftest import Connection

SCHEMA = """
CREATE TYPE mood AS ENUM ('fine', 'well');
CREATE SCHEMA other;
CREATE TABLE other.countries (code text PRIMARY KEY);
CREATE TABLE cities (id int PRIMARY KEY, country text REFERENCES other.countries);
CREATE TABLE people (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, city int REFERENCES cities ON DELETE CASCADE, mood mood, CHECK (id > 0));
CREATE TABLE events (id int, at date, person int REFERENCES people) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE alone (id int PRIMARY KEY, parent int REFERENCES alone);
CREATE TABLE other.alone (id int);
CREATE TABLE heirs () INHERITS (alone);
CREATE VIEW seen AS SELECT * FROM people;
"""
CONNECTED = {"other.countries", "cities", "people", "events", "events_1"}


def test_everything_that_foreign_keys_and_partitions_connect_is_near(connection: Connection) -> None:
    connection.execute(SCHEMA)
    every = shape.read(connection)
    by_name = {str(table.name): table for table in every.tables}
    assert set(by_name) == CONNECTED | {"alone", "heirs", "other.alone"}

    for start in sorted(CONNECTED):
        near = shape.read(connection, [by_name[start].oid])
        assert {str(table.name) for table in near.tables} == CONNECTED, start
        assert near.tables == tuple(table for table in every.tables if str(table.name) in CONNECTED), start
        used = {kind.oid for kind in near.kinds}
        assert {*near.kinds} <= {*every.kinds}
        assert {field.type for table in near.tables for field in table.fields} <= used


def test_a_name_stands_for_tables_in_any_schema_and_none_for_nothing(connection: Connection) -> None:
    connection.execute(SCHEMA)

    def names(*near: Name | int) -> set[str]:
        return {str(table.name) for table in shape.read(connection, near).tables}

    assert names(Name("alone", "public")) == {"alone", "heirs", "other.alone"}
    assert names(Name("seen", "public")) == names(Name("missing")) == names() == set()
    assert names(Name("heirs"), Name("cities")) == CONNECTED | {"alone", "heirs"}
