"""What ordinary statements and readings of the database show before and after a revision."""

from __future__ import annotations

from dataclasses import dataclass

from reviewer.recording.passes import Difference
from reviewer.sql import types
from reviewer.sql.names import Name


@dataclass(frozen=True)
class Refused:
    """An ordinary statement that ran before a revision and that PostgreSQL refuses after it."""

    subject: Name
    """The table, view, function or enum type that it uses, by the name that it had before."""
    kind: str
    """What that is: `table`, `view`, `function`, `enum type` …"""
    action: str
    """`select`, `insert`, `update`, `delete`, `on conflict`, `call` or `label`."""
    sql: str
    """The statement, values left out where they are long."""
    error: str
    """PostgreSQL's words."""
    sqlstate: str
    columns: tuple[str, ...] = ()
    """The columns that it names."""
    column: str | None = None
    """The column that it fails on, where that is known."""
    constraint: str | None = None
    function: str | None = None
    """The innermost function that ran when it failed."""
    function_line: int | None = None
    """The line of that function's body."""
    role: str = ""
    """As whom: `owner`, `application`; empty where it makes no difference."""
    fresh: bool = False
    """Whether it was written for the upgraded schema, so that new code fails as well."""


@dataclass(frozen=True)
class Counter:
    """A column that a sequence fills, as a revision leaves it."""

    table: Name
    column: str
    sequence: Name
    next: int
    """The value that it gives next."""
    highest: int | None
    """The highest value in the column; None where the table is empty."""
    ends: int
    """The highest value that the sequence's type holds."""
    type: str
    """The sequence's type."""
    column_type: str
    was_behind: bool = False
    """Whether it was `behind` before the revision too."""
    was_narrow: bool = False
    """Whether it was `narrow` before the revision too."""

    @property
    def behind(self) -> bool:
        """Whether its next value is one that the column may have already."""
        return self.highest is not None and self.next <= self.highest

    @property
    def narrow(self) -> bool:
        """Whether it ends before the column does."""
        return self.ends < types.LARGEST.get(self.column_type, 0)


@dataclass(frozen=True)
class Visible:
    """How many rows of a table with row security a role sees."""

    table: Name
    role: str
    """`owner`, one that is no superuser, or `application`."""
    rows: int
    """How many there were before the revision."""
    before: int
    """How many of them the role saw then."""
    after: int
    """How many rows it sees after the revision."""
    forced: bool = False
    """Whether the owner was subject to row security before the revision."""


@dataclass(frozen=True)
class StaleIndex:
    """An index whose expression gives other values now than those that it was built with."""

    table: Name
    index: str
    function: Name
    """The function that does it."""
    rows: int


@dataclass(frozen=True)
class Afterwards:
    """What is otherwise once a revision has run, tried and read right before it and right after it."""

    revision: str
    tried: int = 0
    """Statements that ran before it and were tried after it."""
    refused: tuple[Refused, ...] = ()
    counters: tuple[Counter, ...] = ()
    """Of the tables that it touches or makes."""
    visible: tuple[Visible, ...] = ()
    stale: tuple[StaleIndex, ...] = ()
    changes: tuple[Difference, ...] = ()
    """What it did to the catalogue."""
