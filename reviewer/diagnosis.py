"""What `doctor` found, before it is formatted."""

from __future__ import annotations

from msgspec import Struct


class Entry(Struct, frozen=True):
    """One line of the diagnosis."""

    what: str
    found: str
    why: str = ""
    way_out: str = ""
    """Set if something is wrong."""
    usable: bool = True
    """False if a review can do without it."""

    @property
    def wrong(self) -> bool:
        """Whether a review would stop here."""
        return bool(self.way_out)


class Diagnosis(Struct, frozen=True):
    """Everything that a review would use."""

    entries: tuple[Entry, ...]

    @property
    def healthy(self) -> bool:
        """Whether a review would start."""
        return not any(entry.wrong for entry in self.entries)
