"""The results of ordinary statements and of queries before and after a revision."""

from __future__ import annotations

from msgspec import Struct

from reviewer.recording.passes import Difference
from reviewer.sql import types
from reviewer.sql.names import Name


class Refused(Struct, frozen=True):
    """An ordinary statement that ran before a revision and that PostgreSQL rejects after it."""

    subject: Name
    """The table, view, function or enum type that it uses, by its name before the revision."""
    kind: str
    """What the subject is: `table`, `view`, `function`, `enum type` …"""
    action: str
    """`select`, `insert`, `update`, `delete`, `on conflict`, `on constraint`, `refresh`, `call` or `label`; `as role`
    for a SELECT or call that only says what one of the project's roles may do."""
    sql: str
    """The statement, shortened if it is long."""
    error: str
    """PostgreSQL's error message."""
    sqlstate: str
    columns: tuple[str, ...] = ()
    """The columns that it names."""
    column: str | None = None
    """The column that it fails on, if known."""
    constraint: str | None = None
    function: str | None = None
    """The innermost function that was running when it failed."""
    function_line: int | None = None
    """The line in that function's body."""
    role: str = ""
    """The role that it ran as: `owner` or `application`, or for `as role` its name; empty if the role makes no
    difference."""
    fresh: bool = False
    """Whether it was written for the upgraded schema, so that new code fails too."""


class Vanished(Struct, frozen=True):
    """An ordinary statement that wrote a row before a revision, and that succeeds after it and writes none, in no
    table.
    """

    table: Name
    """The table, by its name before the revision."""
    action: str
    """`insert`, `update` or `delete`."""
    sql: str
    """The statement, shortened if it is long."""
    always: bool = True
    """Whether each form of the statement that was tried writes nothing."""
    logged: bool = False
    """Whether a DELETE inserts rows elsewhere, as a log does, and leaves its row as it is."""


class Inserted(Struct, frozen=True):
    """An INSERT that wrote a row before a revision and writes one after it."""

    table: Name
    """The table, by its name before the revision."""
    columns: tuple[str, ...] = ()
    """The columns that it names."""


class Counter(Struct, frozen=True):
    """A column that a sequence fills, as a revision leaves it."""

    table: Name
    column: str
    sequence: Name
    next: int
    """The next value of the sequence."""
    highest: int | None
    """The highest value in the column; None if the table is empty."""
    ends: int
    """The highest value of the sequence's type."""
    type: str
    """The sequence's type."""
    column_type: str
    was_behind: bool = False
    """Whether it was already `behind` before the revision."""
    was_narrow: bool = False
    """Whether it was already `narrow` before the revision."""

    @property
    def behind(self) -> bool:
        """Whether the next value may already exist in the column."""
        return self.highest is not None and self.next <= self.highest

    @property
    def narrow(self) -> bool:
        """Whether the sequence ends before the column's type does."""
        return self.ends < types.LARGEST.get(self.column_type, 0)


class Visible(Struct, frozen=True):
    """How many rows of a table with row-level security a role sees."""

    table: Name
    role: str
    """`owner` (not a superuser) or `application`."""
    rows: int
    """How many rows there were before the revision."""
    before: int
    """How many of them the role saw before the revision."""
    after: int
    """How many rows it sees after the revision."""
    forced: bool = False
    """Whether the owner was subject to row-level security before the revision."""


class HiddenRows(Struct, frozen=True):
    """A table of the base state that forces row-level security, which hides rows from the migrations: they run as
    its owner.
    """

    table: Name
    rows: int
    """How many rows it has."""
    seen: int
    """How many of them the migrations see."""


class Ambiguous(Struct, frozen=True):
    """An UPDATE ... FROM that can give a row different values, depending on which of several rows it takes, as has been seen
    on the worst rows that the schema allows.
    """

    revision: str
    sql: str
    """The UPDATE."""
    query: str
    """Counts such rows."""
    rows: int
    """How many there were."""


class Uncopied(Struct, frozen=True):
    """A DELETE or DROP TABLE that took more rows than had been copied to a new table before, as has been seen on the worst
    rows that the schema allows.
    """

    revision: str
    sql: str
    """The statement."""
    table: Name
    deleted: int
    copied: int


class StaleIndex(Struct, frozen=True):
    """An index, or a stored generated column, whose expression now returns other values than those that it holds."""

    table: Name
    index: str
    function: Name
    """The function that caused this."""
    rows: int
    column: bool = False
    """Whether `index` is the name of a generated column."""


class Afterwards(Struct, frozen=True):
    """What differs after a revision, found by statements and queries right before it and right after it."""

    revision: str
    tried: int = 0
    """Number of statements that ran before it and were tried after it."""
    refused: tuple[Refused, ...] = ()
    counters: tuple[Counter, ...] = ()
    """Sequence-filled columns of the tables that it uses or creates."""
    visible: tuple[Visible, ...] = ()
    stale: tuple[StaleIndex, ...] = ()
    vanished: tuple[Vanished, ...] = ()
    changes: tuple[Difference, ...] = ()
    """What it changed in the catalogue."""
    inserted: tuple[Inserted, ...] = ()
