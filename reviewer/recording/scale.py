"""What the new revisions took at several sizes of the tables that they work on."""

from __future__ import annotations

from msgspec import Struct

from reviewer.recording.observations import Location, Origin
from reviewer.recording.passes import Direction
from reviewer.sql.names import Name


class Taken(Struct, frozen=True):
    """What one statement took in one run, or a block of code that sends several from one line."""

    revision: str
    direction: Direction
    sql: str
    """The statement; of a block the first."""
    location: Location | None
    """The line that sent it; None for env.py's and Alembic's own."""
    origin: Origin
    count: int
    """How many statements it was."""
    seconds: float
    """How long the project waited for the server."""
    between: float = 0.0
    """Seconds that passed at the project's side since the statement before, in Python or while a result was read."""
    block: bool = False
    """Whether the line sends many different statements, taken together here."""
    tables: tuple[Name, ...] = ()
    """Existing tables that it was seen to work through."""
    works: bool = False
    """Whether it was seen to scan, rewrite, index or change rows, of whatever table."""

    waited: float = 0.0
    """Seconds besides for which it could have run and other work kept the processors of this machine busy. They say
    nothing about the statement, and are in none of the others.
    """

    @property
    def whole(self) -> float:
        """Seconds in all, on a machine that does nothing else."""
        return self.seconds + self.between

    @property
    def passed(self) -> float:
        """Seconds that passed on this one."""
        return self.whole + self.waited


class Sized(Struct, frozen=True):
    """How many rows a table had in a run."""

    table: Name
    rows: int
    why: str = ""
    """Why it could not have more, as a clause."""


class ScaledRun(Struct, frozen=True):
    """The new revisions up and down at one size."""

    rows: int
    """How many rows each table was to have."""
    tables: tuple[Sized, ...]
    taken: tuple[Taken, ...]
    failure: str = ""
    """Why it did not come to its end; what was measured until then counts."""
    failed_upgrade: bool = False
    """Whether it was the upgrade that failed."""


class Scale(Struct, frozen=True):
    """The new revisions at several sizes of the tables that they work on."""

    budget: float
    """Seconds that it might take."""
    seconds: float
    """Seconds that it took."""
    runs: tuple[ScaledRun, ...] = ()
    """Smallest first; the smallest twice, to see how much two runs differ."""
    filling: float = 0.0
    """Rows per second that were put into the tables."""
    reason: str = ""
    """Why there is nothing, or not every size."""
