"""A name is read back as it was written, whatever is in it, and finds what has it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reviewer.recording import Catalogue, Column, Table
from reviewer.sql.names import Name

NAMES = {
    "users": Name("users", "public"),
    "app.users": Name("users", "app"),
    "My App.T able": Name("T able", "My App"),
    '"a.b"': Name("a.b", "public"),
    '"my.app"."a.b"': Name("a.b", "my.app"),
    'a"b': Name('a"b', "public"),
    '""""': Name('"', "public"),
    '"""a.b"""': Name('"a.b"', "public"),
    "a\nb": Name("a\nb", "public"),
}


@pytest.mark.parametrize(("text", "name"), NAMES.items(), ids=NAMES)
def test_what_is_told_is_read_back(text: str, name: Name) -> None:
    assert (str(name), Name.told(text)) == (text, name)


def test_a_table_is_found_with_and_without_the_schema_public_and_the_first_of_two_counts() -> None:
    first, second, other = (
        Table(name, "table", columns=(Column(column, "integer"),))
        for name, column in ((Name("t"), "a"), (Name("t", "public"), "b"), (Name("t", "shop"), "c"))
    )
    found = Catalogue(tables=(first, second, other))

    assert found.table(Name("t", "public")) is found.table(Name("t")) is first
    assert found.table(Name("t", "shop")) is other
    assert found.table(Name("u")) is None
    assert replace(found, tables=(other,)).table(Name("t")) is None
