"""What a finding is about. Two rules that see one cause say the same here, so that one of them can stand for both."""

from __future__ import annotations

from reviewer.recording import Direction, Relation
from reviewer.sql.names import Name

Named = Name | Relation | str | None
"""A name, or an object that has one; None if PostgreSQL chooses it."""
About = tuple[str, ...]
"""A kind of thing and its names. Fingerprints are made of it: what is said here of a defect stays the same."""


def column(table: Named, name: str, *detail: str) -> About:
    """A column; `detail` tells apart what several rules say of it."""
    return ("column", str(table), name, *detail)


def columns(table: Named, *names: str) -> About:
    """Several columns of one table."""
    return ("column", str(table), *names)


def table(name: Named, *detail: str) -> About:
    """A table, view or partition."""
    return ("table", str(name), *detail)


def rows(table: Named, *detail: str) -> About:
    """The rows of a table."""
    return ("rows", str(table), *detail)


def constraint(table: Named, *names: str) -> About:
    """One constraint of a table, or several that go together."""
    return ("constraint", str(table), *names)


def index(name: str | None, *detail: str) -> About:
    """An index; None: one that PostgreSQL names."""
    return ("index", name or "", *detail)


def sequence(name: Named, *detail: str) -> About:
    """A sequence."""
    return ("sequence", str(name), *detail)


def type_(name: Named, *detail: str) -> About:
    """An enum or other type of the user's own."""
    return ("type", str(name), *detail)


def object_(kind: str, name: Named, *detail: str) -> About:
    """An object of another kind: `function`, `schema`, `database` …"""
    return ("object", kind, str(name), *detail)


def revision(id_: str) -> About:
    """A revision as a whole."""
    return ("revision", id_)


def failure(revision: str, direction: Direction, *detail: str) -> About:
    """The failure of a revision in one direction, however many rules explain it."""
    return ("failure", revision, direction.value, *detail)


def other(kind: str, *names: str) -> About:
    """What only one rule is about: `heads`, `import`, `server` …"""
    return (kind, *names)
