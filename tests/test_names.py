"""A name is read back as it was written, whatever is in it."""

from __future__ import annotations

import pytest

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
