"""The rows of a kept base state: what the reviewer knows of a database that it has filled, as text."""

from __future__ import annotations

import base64
import time
import zlib

import msgspec
from msgspec import Struct

from reviewer.recording import Catalogue, Skipped
from reviewer.rehearsal.catalogue_changes import Mark
from reviewer.rehearsal.catalogue_snapshot import Row, Snapshot
from reviewer.sql.names import Name


class KeptRows(Struct, frozen=True):
    """What is known of a database with generated rows."""

    catalogue: Catalogue
    """The catalogue with the number of rows of each table."""
    tables: tuple[Name, ...]
    """Tables that hold generated rows."""
    skipped: tuple[Skipped, ...]
    """Tables that accepted no row, each with the reason."""
    snapshot: Snapshot
    day: str = ""
    """The date on which the rows were generated: some constraints accept only values that depend on it."""
    lasting: bool = True
    """Whether the same rows would be generated again on that day."""

    def text(self) -> str:
        """Return everything but the date, in a form that `told` accepts in another run."""
        told = msgspec.json.encode(
            _Told(self.catalogue, self.tables, self.skipped, self.snapshot.rows, self.snapshot.mark)
        )
        return base64.b64encode(zlib.compress(told, 1)).decode()

    @classmethod
    def told(cls, text: str) -> KeptRows | None:
        """Return what `text` contains; None if it cannot be read."""
        try:
            found = msgspec.json.decode(zlib.decompress(base64.b64decode(text)), type=_Told)
        except (msgspec.DecodeError, zlib.error, ValueError, TypeError):
            return None
        return cls(found.catalogue, found.tables, found.skipped, Snapshot.of(found.objects, found.mark))


class _Told(Struct, frozen=True):
    catalogue: Catalogue
    tables: tuple[Name, ...]
    skipped: tuple[Skipped, ...]
    objects: list[Row]
    mark: Mark | None


def today() -> str:
    """Return the date by which the server calculates."""
    return time.strftime("%Y-%m-%d", time.gmtime())
