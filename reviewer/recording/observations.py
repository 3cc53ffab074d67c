"""What each statement was, and what PostgreSQL did while it ran."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name

NOT_THERE = frozenset({"42P01", "42703", "42704", "42883", "3F000"})
"""SQLSTATEs for a table, column, object, function or schema that does not exist."""


class Origin(Enum):
    """Who caused a statement: the revision file, env.py, or Alembic's own bookkeeping."""

    REVISION = "revision"
    ENVIRONMENT = "environment"
    ALEMBIC = "alembic"


@dataclass(frozen=True)
class Location:
    """A line of a file, the path relative to the project's git root (or as given outside git)."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Relation:
    """A table, index, view or sequence as the server knew it when the statement had run."""

    schema: str
    name: str
    kind: str
    """`table`, `partitioned table`, `index`, `partitioned index`, `view`, `materialized view`, `sequence`,
    `foreign table` or `other`."""
    new: bool = False
    """Created in the same deploy, so nobody else uses it yet."""
    table: str | None = None
    """Of an index: the table it belongs to, in the same schema."""
    table_new: bool = False
    """Of an index: whether that table was created in the same deploy."""

    @property
    def as_name(self) -> Name:
        """The same as a `Name`."""
        return Name(self.name, self.schema)

    @property
    def is_table(self) -> bool:
        """Whether rows live in it: a table, partitioned or foreign table, or a materialized view."""
        return self.kind in {"table", "partitioned table", "foreign table", "materialized view"}

    def hindered_by(self, mode: LockMode) -> bool:
        """Whether ordinary work on it waits while `mode` is held: reads, or writes, which a materialized view has
        none of.
        """
        return mode.blocks_reads or (mode.blocks_writes and self.kind != "materialized view")

    def __str__(self) -> str:
        return str(self.as_name)


@dataclass(frozen=True)
class Lock:
    """A lock that a statement took and that its transaction did not hold before."""

    relation: Relation
    mode: LockMode


@dataclass(frozen=True)
class Scan:
    """A sequential scan of a whole table; `rows` is how many rows were read in the rehearsal."""

    relation: Relation
    rows: int


@dataclass(frozen=True)
class Observation:
    """What PostgreSQL did while one statement ran, seen from inside its transaction."""

    locks: tuple[Lock, ...] = ()
    rewritten: tuple[Relation, ...] = ()
    """Existing tables that were rewritten (another relfilenode)."""
    scanned: tuple[Scan, ...] = ()
    built: tuple[Relation, ...] = ()
    """Indexes that were built or rebuilt."""
    messages: tuple[str, ...] = ()
    """The server's own words at level DEBUG1 and above, in English."""
    lock_timeout: int = 0
    """The effective lock_timeout at the statement in milliseconds, 0 where none is set."""
    statement_timeout: int = 0
    """The effective statement_timeout in milliseconds, 0 where none is set."""
    transaction: int | None = None
    """Which transaction of the rehearsal this ran in, counted from 1; None: in none, committed at once."""

    def says(self, words: str) -> bool:
        """Whether the server said something that contains `words`."""
        return any(words in message for message in self.messages)


@dataclass(frozen=True)
class Statement:
    """One statement as it was sent to the server. `sql` is never a rendering of ours."""

    sql: str
    location: Location | None = None
    """The line of the revision file that caused it; None for env.py's and Alembic's own."""
    origin: Origin = Origin.REVISION
    seconds: float = 0.0
    in_transaction: bool = True
    rows: int | None = None
    """Rows that it reports to have changed or returned, where the driver tells."""
    parameters: tuple[str, ...] = ()
    """Bound values: numbers and dates as they are, anything else described, never shown."""
    connection: int = 1
    """Which of the migration's connections ran it, counted from 1 in order of first use."""
    error: str | None = None
    """The server's message where it refused the statement."""
    sqlstate: str | None = None
    observation: Observation | None = None
    left_out: int = 0
    """Characters that `sql` is short of at its end: what is very long is not kept as a whole."""
