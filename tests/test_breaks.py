"""What the old code cannot do is told once, at the revision that causes it, however the states follow each other."""

from __future__ import annotations

from reviewer.recording import Broken, Mapped
from reviewer.rehearsal.breaks import Ledger, Tried
from reviewer.sql.names import Name

USERS = Name("users", "public")


def broken(column: str | None, error: str, sqlstate: str | None, *statements: str) -> Broken:
    return Broken(USERS, "User", statements or ("insert", "select", "update"), "", error, sqlstate, column)


def missing(column: str) -> Broken:
    return broken(column, f"column users.{column} does not exist", "42703")


def required(column: str, table: str = "users") -> Broken:
    return broken(column, f'null value in column "{column}" of relation "{table}"', "23502", "insert")


GONE = broken(None, 'relation "users" does not exist', "42P01", "delete", "insert", "select", "update")


def tried(*seen: Broken, beneath: tuple[Broken, ...] = (), tables: tuple[str, ...] = ("select",)) -> Tried:
    return Tried((Mapped(USERS, "User", ("id", "name"), tables),), seen, beneath)


def told(*states: Tried) -> list[list[str]]:
    """For each state what is new in it, and what runs again."""
    ledger, found = Ledger(), []
    for number, state in enumerate(states):
        new, again = ledger.after(str(number), state)
        found.append(
            [*(f"{one.column} {one.revision}" for one in new), *(f"{one.column} again" for one in again)],
        )
    return found


def test_what_stays_broken_is_told_once() -> None:
    assert told(tried(missing("name")), tried(missing("name")), tried(missing("name"), missing("mail"))) == [
        ["name 0"],
        [],
        ["mail 2"],
    ]


def test_a_state_in_which_a_table_was_not_tried_changes_nothing() -> None:
    assert told(tried(missing("name")), tried(tables=()), tried(missing("name"))) == [["name 0"], [], []]


def test_what_runs_again_and_breaks_again_is_told_twice() -> None:
    assert told(tried(missing("name")), tried(), tried(missing("name"))) == [["name 0"], ["name again"], ["name 2"]]


def test_a_table_that_is_gone_hides_its_columns_and_does_not_mend_them() -> None:
    assert told(tried(missing("name")), tried(GONE), tried(missing("name"))) == [
        ["name 0"],
        ["None 1"],
        ["None again"],
    ]


def test_what_shows_beneath_an_earlier_break_is_told_and_beneath_a_new_one_is_its_consequence() -> None:
    renamed = tried(missing("name"), beneath=(required("full_name"),))
    and_more = tried(missing("name"), beneath=(required("full_name"), required("size")))

    assert told(renamed, and_more) == [["name 0"], ["size 1"]]


def test_the_same_column_in_a_renamed_table_is_the_same_break() -> None:
    assert told(tried(required("size")), tried(required("size", "people"))) == [["size 0"], []]


def test_a_further_kind_of_statement_is_told_by_itself() -> None:
    insert = broken(None, "function f() does not exist", "42883", "insert")
    both = broken(None, "function f() does not exist", "42883", "insert", "update")
    ledger = Ledger()

    ledger.after("0", tried(insert))
    (new,), again = ledger.after("1", tried(both))

    assert (new.statements, new.revision, again) == (("update",), "1", {})
