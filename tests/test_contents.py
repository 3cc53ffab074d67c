"""Rows are compared by key and by meaning: what is lost or changed is counted, with one example."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from psycopg import Connection

from reviewer.host.guardian import Guardian
from reviewer.postgres import ServerRequest, start
from reviewer.recording import Loss
from reviewer.rehearsal import catalogue
from reviewer.rehearsal.row_comparison import Row, Rows, changed, compare, lost, read, survivors
from reviewer.sql.names import Name

USERS = Name("users", "public")


def rows(*found: Row, key: tuple[str, ...] = ("id",)) -> list[Rows]:
    return [Rows(USERS, key, found)]


SAME: dict[str, tuple[list[Rows], list[Rows]]] = {
    "numbers of another type": (rows({"id": 1, "a": Decimal("1.50")}), rows({"id": Decimal("1.0"), "a": Decimal("1.5")})),
    "documents with other keys first": (rows({"id": 1, "a": {"x": 1, "y": 2}}), rows({"id": 1, "a": {"y": 2, "x": 1}})),
    "a document kept as text": (rows({"id": 1, "a": {"x": 1}}), rows({"id": 1, "a": '{"x": 1}'})),
    "padding": (rows({"id": 1, "a": "x"}), rows({"id": 1, "a": "x   "})),
    "another order": (rows({"id": 1, "a": "x"}, {"id": 2, "a": "y"}), rows({"id": 2, "a": "y"}, {"id": 1, "a": "x"})),
    "another order without a key": (rows({"a": "x"}, {"a": "y"}, key=()), rows({"a": "y"}, {"a": "x"}, key=())),
    "rows that came": (rows({"id": 1}), rows({"id": 1}, {"id": 2})),
    "a column that came": (rows({"id": 1}), rows({"id": 1, "a": "x"})),
    "a column that is gone as a whole": (rows({"id": 1, "a": "x"}), rows({"id": 1})),
    "a table that is gone as a whole": (rows({"id": 1}), []),
    "rows without a key of which all columns have another name": (rows({"a": 1}, key=()), rows({"b": 1}, {"b": 2}, key=())),
    "rows without columns": (rows({}, {}, key=()), rows({}, {}, {}, key=())),
}  # fmt: skip

LOST: dict[str, tuple[list[Rows], list[Rows], Loss]] = {
    "a value": (
        rows({"id": 1, "a": "x"}, {"id": 2, "a": "y"}),
        rows({"id": 1, "a": "x"}, {"id": 2, "a": None}),
        Loss("users", "a", 1, 2, "y", None),
    ),
    "digits": (
        rows({"id": 1, "a": Decimal("1.25")}),
        rows({"id": 1, "a": 1}),
        Loss("users", "a", 1, 1, "1.25", "1"),
    ),
    "a row": (rows({"id": 1}, {"id": 2}), rows({"id": 1}), Loss("users", None, 1, 2, '{"id": 2}', None)),
    "all rows": (rows({"id": 1}), rows(), Loss("users", None, 1, 1, '{"id": 1}', None)),
    "a row without a key": (
        rows({"a": "x"}, {"a": "y"}, key=()),
        rows({"a": "x"}, key=()),
        Loss("users", None, 1, 2, '{"a": "y"}', None),
    ),
    "the last of many digits": (
        rows({"id": 1, "a": Decimal("1" * 40)}),
        rows({"id": 1, "a": Decimal("1" * 39 + "2")}),
        Loss("users", "a", 1, 1, "1" * 40, "1" * 39 + "2"),
    ),
    "the key of all rows, which are there all the same": (
        rows({"id": 1, "a": "x"}, {"id": 2, "a": "y"}),
        rows({"id": None, "a": "y"}, {"id": None, "a": "x"}, {"id": None, "a": "z"}),
        Loss("users", "id", 2, 2, "1", None),
    ),
    "a column without a key, where rows came": (
        rows({"a": "x", "b": 1}, {"a": "y", "b": 2}, key=()),
        rows({"a": "z", "b": 3}, {"a": None, "b": 1}, {"a": None, "b": 2}, key=()),
        Loss("users", "a", 2, 2, "x", None),
    ),
    "a value without a key": (
        rows({"a": "x"}, key=()),
        rows({"a": "X"}, key=()),
        Loss("users", "a", 1, 1, "x", "X"),
    ),
}


@pytest.mark.parametrize(("before", "after"), SAME.values(), ids=SAME.keys())
def test_the_same_is_no_loss(before: list[Rows], after: list[Rows]) -> None:
    assert compare(before, after) == ()


@pytest.mark.parametrize(("before", "after", "loss"), LOST.values(), ids=LOST.keys())
def test_a_loss_is_counted_with_an_example(before: list[Rows], after: list[Rows], loss: Loss) -> None:
    assert compare(before, after) == (loss,)


def test_rows_that_come_into_an_empty_table_without_a_key_are_no_loss() -> None:
    assert compare(rows(key=()), rows({"a": 1}, key=())) == ()
    assert lost(rows(key=()), rows({"a": 1}, key=())) == ()


def test_rows_that_were_written_in_between_do_not_stand_in_for_those_that_are_gone() -> None:
    ours = rows({"id": 9, "a": "n"})
    unkeyed = rows({"a": "n"}, key=())

    assert compare(rows({"id": 1, "a": "x"}), ours, ours) == (
        Loss("users", None, 1, 1, '{"id": 1, "a": "x"}', None),
    )
    assert compare(rows({"a": "x"}, key=()), unkeyed, unkeyed) == (Loss("users", None, 1, 1, '{"a": "x"}', None),)
    assert compare(unkeyed, unkeyed, unkeyed) == ()


def test_a_row_that_was_written_under_a_key_that_had_become_free_is_not_the_old_one() -> None:
    old, new = {"id": True, "a": "x"}, {"id": True, "a": "n"}
    other = {"id": False, "a": "y"}

    assert compare(rows(old, other), rows(new, other), rows(new)) == (
        Loss("users", None, 1, 2, '{"id": true, "a": "x"}', None),
    )
    assert compare(rows(old, other), rows(old, other), rows(new)) == ()


def test_of_a_large_table_only_those_rows_are_missed_that_would_be_among_the_first() -> None:
    many = [{"id": f"{n:03}"} for n in range(500)]
    came = sorted([*many, {"id": "007b"}, {"id": "009b"}], key=lambda row: row["id"])[:500]

    assert compare(rows(*many), rows(*came)) == ()
    assert lost(rows(*many), rows(*came)) == ()
    assert compare(rows(*many), rows(*came[1:], {"id": "498"})) == (
        Loss("users", None, 1, 500, '{"id": "000"}', None),
    )


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection[tuple[object, ...]]]:
    with (
        Guardian() as guardian,
        start(ServerRequest(), guardian) as server,
        server.connect(server.create_database("contents")) as connected,
    ):
        yield connected


def contents_of(connection: Connection[tuple[object, ...]], *tables: str) -> tuple[Rows, ...]:
    return read(connection, catalogue.read(connection), [Name(table, "public") for table in tables])


def test_a_column_that_is_called_as_the_row_is_in_our_query_is_a_column(
    connection: Connection[tuple[object, ...]],
) -> None:
    connection.execute("CREATE TABLE alembic_reviewer_row (alembic_reviewer_row int PRIMARY KEY)")
    connection.execute("INSERT INTO alembic_reviewer_row VALUES (7)")

    (found,) = contents_of(connection, "alembic_reviewer_row")

    assert found.rows == ({"alembic_reviewer_row": 7},)


def test_a_number_of_any_length_is_read(connection: Connection[tuple[object, ...]]) -> None:
    connection.execute("CREATE TABLE huge (n numeric PRIMARY KEY)")
    connection.execute("INSERT INTO huge VALUES (repeat('9', 5000)::numeric), (1)")

    before = contents_of(connection, "huge")
    connection.execute("UPDATE huge SET n = n - 1 WHERE n > 1")

    (loss,) = compare(before, contents_of(connection, "huge"))
    assert (loss.column, loss.values, loss.of) == (None, 1, 2)


def test_a_large_table_without_a_key_is_not_compared_at_all(connection: Connection[tuple[object, ...]]) -> None:
    connection.execute("CREATE TABLE fits AS SELECT n FROM generate_series(1, 500) n")
    connection.execute("CREATE TABLE large AS SELECT n FROM generate_series(1, 501) n")

    assert [str(each.table) for each in contents_of(connection, "fits", "large")] == ["fits"]


def test_settings_of_the_database_change_no_value(connection: Connection[tuple[object, ...]]) -> None:
    connection.execute("CREATE TABLE values_ (id bytea PRIMARY KEY, t timestamptz, i interval)")
    connection.execute("INSERT INTO values_ VALUES ('a', '2026-01-02 03:04Z', '1 day 2 hours')")
    before = contents_of(connection, "values_")

    connection.execute("SET bytea_output = 'escape'; SET timezone = 'Asia/Tokyo'; SET intervalstyle = 'iso_8601'")

    assert compare(before, contents_of(connection, "values_")) == ()


WRITTEN: dict[str, tuple[list[Rows], list[Rows], list[Rows], list[Rows], list[Loss]]] = {
    "a row that is gone": (
        rows({"id": 1, "a": "x"}), rows({"id": 1, "a": "x"}),
        rows({"id": 1, "a": "x"}, {"id": 9, "a": "n"}), rows({"id": 1, "a": "x"}),
        [Loss("users", None, 1, 1, '{"id": 9, "a": "n"}', None)]),
    "a value that is gone": (
        rows({"id": 1, "a": "x"}), rows({"id": 1, "a": "x"}),
        rows({"id": 1, "a": "x"}, {"id": 9, "a": "n"}), rows({"id": 1, "a": "x"}, {"id": 9, "a": None}),
        [Loss("users", "a", 1, 1, "n", None)]),
    "a row that stays": (
        rows({"id": 1, "a": "x"}), rows({"id": 1, "a": "x"}),
        rows({"id": 1, "a": "x"}, {"id": 9, "a": "n"}), rows({"id": 1, "a": "x"}, {"id": 9, "a": "n"}), []),
    "a new column that goes": (
        rows({"id": 1}), rows({"id": 1, "b": None}),
        rows({"id": 1, "b": None}, {"id": 9, "b": "n"}), rows({"id": 1}, {"id": 9}), []),
    "a column of another form in between": (
        rows({"id": 1, "a": "yes"}), rows({"id": 1, "a": True}),
        rows({"id": 1, "a": True}, {"id": 9, "a": False}), rows({"id": 1, "a": "yes"}, {"id": 9, "a": "no"}), []),
    "rows of the revision itself": (
        rows({"id": 1}), rows({"id": 1}, {"id": 2}),
        rows({"id": 1}, {"id": 2}, {"id": 9}), rows({"id": 1}, {"id": 9}), []),
    "every row is gone and others came": (
        rows({"id": 1, "a": "x"}), rows({"id": 1, "a": "x"}),
        rows({"id": 1, "a": "x"}, {"id": 9, "a": "n"}), rows({"id": 3, "a": "q"}),
        [Loss("users", None, 1, 1, '{"id": 9, "a": "n"}', None)]),
    "without a key": (
        rows({"a": "x"}, key=()), rows({"a": "x"}, key=()),
        rows({"a": "x"}, {"a": "n"}, key=()), rows({"a": "x"}, {"a": "N"}, key=()),
        [Loss("users", None, 1, 1, '{"a": "n"}', None)]),
    "nothing tells what the upgrade does to values": (rows(), rows(), rows({"id": 9}), rows(), []),
    "a materialized view that the upgrade fills": (
        rows(key=()), rows({"n": 1}, key=()), rows({"n": 1}, {"n": 2}, key=()), rows({"n": 1}, key=()), []),
    "a table without a key that the upgrade empties": (
        rows({"a": 1}, key=()), rows(key=()), rows({"a": 2}, key=()), rows(key=()), []),
}  # fmt: skip


@pytest.mark.parametrize(("base", "upgraded", "written", "after", "losses"), WRITTEN.values(), ids=WRITTEN.keys())
def test_what_is_written_after_the_upgrade_survives_or_is_named(
    base: list[Rows], upgraded: list[Rows], written: list[Rows], after: list[Rows], losses: list[Loss]
) -> None:
    assert survivors(base, upgraded, written, after) == tuple(losses)


def test_a_part_of_a_table_is_followed_by_its_keys() -> None:
    part = changed(
        rows({"id": 1, "a": "x", "b": 1}, {"id": 2, "a": "y", "b": 1}), rows({"id": 1, "a": None, "b": 1})
    )

    assert part == (Rows(USERS, ("id",), ({"id": 1, "a": None},)),)
    assert lost(part, rows({"id": 1, "a": None, "b": 2})) == ()
    assert lost(part, rows({"id": 1, "a": "", "b": 1})) == (Loss("users", "a", 1, 1, None, ""),)
