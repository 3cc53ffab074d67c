"""How fast is what release managers use: `release`, `stats`, and filling tables to the size that is measured."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import projects
from benchmarks.measuring import (
    REVIEWER,
    Figure,
    against_one_process,
    call,
    compared,
    seconds,
    server,
)

_MILLION = 1_000_000
_TABLES = """
CREATE TABLE customers (id serial PRIMARY KEY, name text);
CREATE TABLE orders (
    id bigserial PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, email varchar(80) NOT NULL UNIQUE,
    quantity int, total bigint, note text, state text NOT NULL, paid boolean NOT NULL, at timestamptz NOT NULL,
    due date, price numeric(12, 2), details jsonb);
CREATE INDEX ON orders (at);
CREATE INDEX ON orders (customer_id)
"""
_MANY = """
DO $$ BEGIN FOR n IN 1..5000 LOOP
    EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, name text)', n);
END LOOP; END $$
"""


def release(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """`release` over 50 revisions, over each of them up, down, up in one process."""
    project = projects.long(folder / "release", 10, 50)
    command = [REVIEWER, "release", "r0009", "head", str(project), "--postgres", arguments.postgres]
    releases, bares = against_one_process(project, command, range(10, 60), arguments)
    yield compared(
        "`release` over 50 revisions, over each of them up, down, up in one process", releases, bares, 2.0
    )


def stats(folder: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """`stats` of a database with 5,000 tables."""
    with server(arguments.postgres) as started:
        database = started.create_database("production")
        with started.connect(database) as connection:
            connection.execute(_MANY.encode())
        command = [REVIEWER, "stats", started.address.url(database), "--output", str(folder / "stats.json")]
        took = sorted(seconds(lambda: call(command)) for _ in range(arguments.runs))
    yield Figure("`stats` of 5,000 tables", took[len(took) // 2], " s", 3.0, f"median of {len(took)}")


def fill(_: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A table of twelve columns, and the one that it refers to, filled with a million rows."""
    from reviewer import rows
    from reviewer.rehearsal import catalogue
    from reviewer.rows.bulk import Bulk

    with server(arguments.postgres, large=True) as started:
        database = started.create_database("filled")
        with started.connect(database) as connection:
            connection.execute(_TABLES.encode())
            filled = rows.fill(connection, catalogue.read(connection), 100)
            bulk = Bulk(connection, filled.tables)
            began = time.perf_counter()
            bulk.fill(_MILLION)
            took = time.perf_counter() - began
        assert not bulk.refused
    yield Figure("a million rows of twelve columns", took, " s", 15.0, "and as many of the table that it refers to")
