"""What `doctor` has to say, before it is shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One line of the diagnosis."""

    what: str
    found: str
    why: str = ""
    way_out: str = ""
    """Set where something is wrong."""
    usable: bool = True
    """Not where a review does without it."""

    @property
    def wrong(self) -> bool:
        """Whether a review would stop here."""
        return bool(self.way_out)


@dataclass(frozen=True)
class Diagnosis:
    """Everything that a review would use."""

    entries: tuple[Entry, ...]

    @property
    def healthy(self) -> bool:
        """Whether a review would start."""
        return not any(entry.wrong for entry in self.entries)
