"""What a revision file declares, read from its first lines where they are plain: parsing a thousand files takes the time
that a review of one has.

Plain is what Alembic's template writes: a docstring, imports, and assignments of literals. Of anything else nothing is
said here, and the file has to be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMES = ("revision", "down_revision", "branch_labels", "depends_on")
"""The variables by which Alembic knows a revision and its place in the history."""

_ANY_NAME = "|".join(NAMES).encode()
_STRING = rb"""(?:'[\w.@+:/-]*'|"[\w.@+:/-]*")"""
_REST = rb"[ \t]*(?:\#[^\r\n]*)?\r?(?:\n|\Z)"
_VALUE = re.compile(rb"(?a:%s)" % _STRING)
_LINE = re.compile(
    rb"""(?ax:
        (?P<nothing> %(rest)s )
      | (?P<docstring> \"\"\" (?:[^"\\]|"(?!""))* \"\"\" %(rest)s )
      | (?:import | from)[ ] [\w.]+ (?:[ ](?:import|as))? [ ]? (?: [\w.*, ]* | \( [\w,\s]* \) ) %(rest)s
      | (?P<name> %(names)s ) (?: [ ]?:[^=\r\n\#]*)? [ ]*=[ ]*
        (?P<value> None | %(string)s
                 | \( \s* (?: %(string)s \s* , \s* )* (?: %(string)s \s* )? \)
                 | \[ \s* (?: %(string)s \s* , \s* )* (?: %(string)s \s* )? \] ) %(rest)s
    )"""
    % {b"rest": _REST, b"string": _STRING, b"names": _ANY_NAME}
)
_MENTIONED = re.compile(rb"\b(?a:%s)\b" % _ANY_NAME)


def plain(text: bytes) -> Mapping[str, tuple[str, ...]] | None:
    """Return the values of `NAMES` in a file with this content, as strings; those that it does not set are left out.
    None if its first lines are not plain, or if one of the names comes up after them.
    """
    found: dict[str, tuple[str, ...]] = {}
    position, first = 0, True
    while position < len(text) and (line := _LINE.match(text, position)):
        position = line.end()
        if line["docstring"] is not None and not first:
            return None
        first = first and line["nothing"] is not None
        if line["name"] is not None:
            name = line["name"].decode()
            if name in found:
                return None
            found[name] = tuple(each[1:-1].decode() for each in _VALUE.findall(line["value"]))
        elif line["nothing"] is not None:
            if b"coding" in line[0]:
                return None  # it may be the declaration of an encoding
        elif line["docstring"] is None and _MENTIONED.search(line[0]):
            return None  # it imports something of that name
    if len(found.get("revision", ())) != 1 or _MENTIONED.search(text, position):
        return None
    try:
        text.decode()
    except UnicodeDecodeError:
        return None
    return found
