"""The file of `alembic-reviewer stats`: its JSON Schema, and what is said of one that is not what it should be."""

from __future__ import annotations

import json
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

import reviewer.stats
from reviewer import cli
from reviewer.errors import UsageError
from reviewer.recording import Catalogue, Column, Table
from reviewer.sql.names import Name
from reviewer.stats import file, views
from reviewer.stats.statements import normalised
from tests.stats.made import MADE, production, stats, table

FULL = stats(
    {"users": table("users", 50, indexes=(), partitions=("a", "b"))},
    heads=("a1",),
    catalogue=Catalogue((Table(Name("users", "public"), "table", (Column("id", "bigint"),)),)),
    queries=(views.Query(text="SELECT 1", calls=1, milliseconds=0.5, rows=1),),
    unknown=("something",),
)


def test_the_file_is_read_as_it_was_written() -> None:
    assert file.loads(file.dumps(FULL).encode(), "stats.json") == FULL


def test_the_schema_is_in_the_package_and_holds_what_is_written() -> None:
    shipped = json.loads(resources.files(reviewer.stats).joinpath("schema.json").read_text(encoding="utf-8"))

    assert shipped == json.loads(json.dumps(file.schema())), "`python3 scripts/docs.py` writes it"
    jsonschema.Draft202012Validator.check_schema(shipped)
    for written in (FULL, stats({"users": None})):
        jsonschema.Draft202012Validator(shipped).validate(json.loads(file.dumps(written)))


def test_a_file_of_a_later_minor_version_is_read_without_what_it_has_added() -> None:
    later = json.loads(file.dumps(FULL)) | {"added": 1}
    later["tables"][0]["added"] = [1]

    assert file.loads(json.dumps(later).encode(), "stats.json") == FULL


def changed(**keys: Any) -> str:
    return json.dumps(json.loads(file.dumps(FULL)) | keys)


def of_table(**keys: Any) -> str:
    found = json.loads(file.dumps(FULL))
    found["tables"][0] |= keys
    return json.dumps(found)


def without(key: str) -> str:
    found = json.loads(file.dumps(FULL))
    del found["tables"][0][key]
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "stats.json cannot be read: it is cut off"),
        (file.dumps(FULL)[:-20], "stats.json cannot be read: it is cut off"),
        ("sizes: many", "stats.json cannot be read: it is not JSON"),
        ("[]", "stats.json was not written by `alembic-reviewer stats`"),
        ("{}", "stats.json was not written by `alembic-reviewer stats`"),
        ('{"schema": "one"}', "stats.json was not written by `alembic-reviewer stats`"),
        ('{"schema": 1}', "stats.json cannot be used: object missing required field `tool`"),
        (
            changed(schema=2),
            "stats.json have version 2 of the format, and this version of alembic-reviewer reads 1",
        ),
        (changed(made="yesterday"), "stats.json cannot be used: invalid RFC3339 encoded datetime at `$.made`"),
        (of_table(rows=-5), "stats.json cannot be used: expected `int` >= 0 at `$.tables[0].rows`"),
        (of_table(rows="many"), "stats.json cannot be used: expected `int | null`, got `str`"),
        (of_table(heap_bytes=-1), "stats.json cannot be used: expected `int` >= 0 at `$.tables[0].heap_bytes`"),
        (without("rows"), "stats.json cannot be used: object missing required field `rows` at `$.tables[0]`"),
        (
            changed(tables=[json.loads(file.dumps(FULL))["tables"][0]] * 2),
            "stats.json name public.users twice",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        file.loads(text.encode(), "stats.json")

    assert said in caught.value.sentence
    assert "\n" not in caught.value.sentence


@pytest.mark.processes
def test_a_file_that_is_not_there_is_a_wrong_usage_before_anything_starts(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.main, ["review", str(tmp_path), "--stats", str(tmp_path / "stats.json")])

    assert done.exit_code == 2
    assert "stats.json cannot be read: No such file or directory" in done.output


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (-1, "from 2026-11-22, 0 days old"),
        (1, "from 2026-11-22, 1 day old"),
        (30, "from 2026-11-22, 30 days old"),
        (31, "from 2026-11-22, 31 days old: run alembic-reviewer stats again"),
    ],
)
def test_a_file_tells_its_age(days: int, told: str) -> None:
    source = production({"users": 1}).source.at(MADE + timedelta(days=days))

    assert source.phrase == f"sizes of database shop (PostgreSQL 16.4) {told}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT a FROM t WHERE b = $1 AND c > $12", "SELECT a FROM t WHERE b = $1 AND c > $12"),
        ("select 1, -2.5e3, .5 from t1", "select ?, -?, ? from t1"),
        ("SELECT 'it''s', E'a\\'b', $$c$$, \"d1\"", 'SELECT ?, ?, ?, "d1"'),
        ("/* who */ SELECT a -- why\nFROM t", "SELECT a FROM t"),
        ("(SELECT 1)", "(SELECT ?)"),
        ("WITH x AS (SELECT 1) DELETE FROM t", "WITH x AS (SELECT ?) DELETE FROM t"),
        ("ALTER ROLE a PASSWORD 'x'", None),
        ("SET a = 1", None),
        ("SELECT 'cut off", None),
    ],
)
def test_a_statement_is_told_without_values(text: str, told: str | None) -> None:
    assert normalised(text) == told
