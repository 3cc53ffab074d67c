"""What a review needs to know about production: how large a table is, and as of which day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import Catalogue
from reviewer.sql.names import VERSION_TABLE, Name
from reviewer.stats import views

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_LARGE = ((1_000_000_000, "billion"), (1_000_000, "million"))
OLD = 30
"""Age in days after which the file should be created again."""


class Size(Struct, frozen=True):
    """How large a table is in production. A partitioned table includes all its partitions."""

    rows: int | None
    """Estimated; None if the table was never analyzed."""
    bytes: int
    """Including its indexes and TOAST data."""

    def __str__(self) -> str:
        if self.rows is None:
            return f"{told_bytes(self.bytes)} and was never analyzed"
        return f"{told_rows(self.rows)} ({told_bytes(self.bytes)})"


class Source(Struct, frozen=True):
    """The source of sizes, for the reader of a report."""

    file: str
    """The name of the file."""
    database: str
    postgres: str
    """Version of the server."""
    made: datetime
    days: int | None = None
    """Its age in days when the report was made; None if not known."""

    @property
    def old(self) -> bool:
        """Whether it may say too little of production: tables have grown since."""
        return self.days is not None and self.days > OLD

    @property
    def day(self) -> str:
        """The day on which it was read from the server."""
        return self.made.strftime("%Y-%m-%d")

    @property
    def phrase(self) -> str:
        """For example `sizes of database shop (PostgreSQL 16.4) from 2026-11-22, 7 days old`."""
        age = "" if self.days is None else f", {self.days} day{'' if self.days == 1 else 's'} old"
        again = ": run alembic-reviewer stats again" if self.old else ""
        return f"sizes of database {self.database} (PostgreSQL {self.postgres}) from {self.day}{age}{again}"

    def at(self, moment: datetime) -> Source:
        """Return the same source with its age at `moment`. A moment before it was made counts as age 0."""
        return Source(self.file, self.database, self.postgres, self.made, max((moment - self.made).days, 0))


class Production(Struct, frozen=True, dict=True):
    """Production as a file describes it."""

    source: Source
    stats: views.Stats
    sizes: Mapping[tuple[str, str], Size]

    @classmethod
    def of(cls, stats: views.Stats, file: str) -> Production:
        """Return production as the contents of `file` describe it."""
        return cls(
            Source(file, stats.database, stats.postgres, stats.made.astimezone(timezone.utc)),
            stats,
            {
                (each.schema, each.name): Size(each.rows, each.heap_bytes + each.toast_bytes + each.index_bytes)
                for each in stats.tables
            },
        )

    def size(self, table: Name) -> Size | None:
        """Return how large the table is; None if production has no table of that name."""
        return self.sizes.get((table.schema or "public", table.name))

    def at(self, moment: datetime) -> Production:
        """Return the same with its age at `moment`."""
        return replace(self, source=self.source.at(moment))

    @cached_property
    def catalogue(self) -> Catalogue | None:
        """The schema of production; None if the file has none."""
        return self.stats.catalogue

    def knows(self, base: Catalogue) -> bool:
        """Return whether it may be the database of a project whose state before the deploy is `base`: it has one of
        its tables, or the project has none yet.
        """
        kinds = {"table", "partitioned table"}
        tables = [each.name for each in base.tables if each.kind in kinds and each.name.name != VERSION_TABLE]
        return not tables or any(self.size(name) is not None for name in tables)


def told_rows(rows: int) -> str:
    """Format a number of rows: `50 rows`, `12,345 rows`, `50 million rows`."""
    for unit, word in _LARGE:
        if rows >= unit:
            number = rows / unit
            return f"{number:.0f} {word} rows" if number >= 10 else f"{number:.1f} {word} rows".replace(".0 ", " ")
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def told_bytes(size: int) -> str:
    """Format a size as PostgreSQL does: `16 kB`, `12 GB`."""
    number, unit = float(size), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    shown = f"{number:.1f}" if unit > 1 and number < 10 else f"{number:.0f}"
    return f"{shown.removesuffix('.0')} {_UNITS[unit]}"
