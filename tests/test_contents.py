"""Rows are compared by key and by meaning: what is lost or changed is counted, with one example."""

from __future__ import annotations

from decimal import Decimal

import pytest

from reviewer.contents import Row, Rows, changed, compare, lost, survivors
from reviewer.names import Name
from reviewer.recording import Loss

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
