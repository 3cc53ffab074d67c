"""The statements that were sent, and what PostgreSQL did while each ran."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name

NOT_THERE = frozenset({"42P01", "42703", "42704", "42883", "3F000"})
"""SQLSTATEs for a table, column, object, function or schema that does not exist."""


class Origin(Enum):
    """What caused a statement: the revision file, env.py, or Alembic's own bookkeeping."""

    REVISION = "revision"
    ENVIRONMENT = "environment"
    ALEMBIC = "alembic"


class Location(Struct, frozen=True):
    """A line of a file. The path is relative to the project's git root; outside git it is as given."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Relation(Struct, frozen=True):
    """A table, index, view or sequence as the server knew it after the statement."""

    schema: str
    name: str
    kind: str
    """`table`, `partitioned table`, `index`, `partitioned index`, `view`, `materialized view`, `sequence`, `foreign
    table` or `other`."""
    new: bool = False
    """Whether it was created in the same deploy, so that nobody else uses it yet."""
    table: str | None = None
    """For an index: the table that it belongs to, in the same schema."""
    table_new: bool = False
    """For an index: whether that table was created in the same deploy."""

    @property
    def as_name(self) -> Name:
        """The relation's name as a `Name`."""
        return Name(self.name, self.schema)

    @property
    def is_table(self) -> bool:
        """Whether it holds rows: a table, partitioned or foreign table, or a materialized view."""
        return self.kind in {"table", "partitioned table", "foreign table", "materialized view"}

    def hindered_by(self, mode: LockMode) -> bool:
        """Return whether ordinary reads or writes of it wait while `mode` is held. A materialized view has no
        ordinary writes.
        """
        return mode.blocks_reads or (mode.blocks_writes and self.kind != "materialized view")

    def waiting(self, mode: LockMode) -> str:
        """What waits while `mode` is held on it, as `LockMode.blocks` says it: of a materialized view reads, or only
        what refreshes it.
        """
        if self.kind != "materialized view":
            return mode.blocks
        return "reads" if mode.blocks_reads else "refreshes" if mode.blocks_writes else ""

    def __str__(self) -> str:
        return str(self.as_name)


class Lock(Struct, frozen=True):
    """A lock that a statement took and that its transaction did not hold before."""

    relation: Relation
    mode: LockMode


class Scan(Struct, frozen=True):
    """A sequential scan of a whole table. `rows` is the number of rows that were read in the rehearsal."""

    relation: Relation
    rows: int


class Written(Struct, frozen=True):
    """How many rows of an existing table were changed, by whatever code."""

    relation: Relation
    updated: int
    deleted: int


class Observation(Struct, frozen=True):
    """What PostgreSQL did while one statement ran, as seen from inside its transaction."""

    locks: tuple[Lock, ...] = ()
    rewritten: tuple[Relation, ...] = ()
    """Existing tables that were rewritten (their relfilenode has changed)."""
    scanned: tuple[Scan, ...] = ()
    built: tuple[Relation, ...] = ()
    """Indexes that were built or rebuilt."""
    written: tuple[Written, ...] = ()
    """Only where the statement ran in a transaction."""
    messages: tuple[str, ...] = ()
    """The server's messages at level DEBUG1 and above, in English."""
    lock_timeout: int = 0
    """The effective lock_timeout at the statement in milliseconds; 0 if none is set."""
    statement_timeout: int = 0
    """The effective statement_timeout in milliseconds; 0 if none is set."""
    transaction: int | None = None
    """The number of the rehearsal's transaction that it ran in, counted from 1; None if it ran outside one and was
    committed at once."""

    def says(self, words: str) -> bool:
        """Return whether one of the server's messages contains `words`."""
        return any(words in message for message in self.messages)


class Slept(Struct, frozen=True):
    """A line of a revision that has slept."""

    location: Location
    seconds: float


class Statement(Struct, frozen=True):
    """One statement as it was sent to the server. `sql` is never rendered by the reviewer."""

    sql: str
    location: Location | None = None
    """The line of the revision file that caused it; None for statements of env.py and Alembic."""
    origin: Origin = Origin.REVISION
    seconds: float = 0.0
    in_transaction: bool = True
    rows: int | None = None
    """The number of rows that it changed or returned, if the driver reports it."""
    parameters: tuple[str, ...] = ()
    """Bound values: numbers, booleans and dates as they are, other values only by type and length."""
    connection: int = 1
    """Number of the migration's connection that it ran on, counted from 1 in order of first use."""
    error: str | None = None
    """The server's message if it rejected the statement."""
    sqlstate: str | None = None
    observation: Observation | None = None
    left_out: int = 0
    """Number of characters missing at the end of `sql`: a very long text is not kept in full."""
    slept: tuple[Slept, ...] = ()
    """How the revision slept between it and the next statement."""
