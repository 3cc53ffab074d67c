"""The revisions under review, and what source and git say of the graph that they stand in."""

from __future__ import annotations

from dataclasses import dataclass

from reviewer.recording.observations import Location


@dataclass(frozen=True)
class Guard:
    """Lines of a revision that run only while a number is below a constant, such as `if count < 1_000_000:`."""

    first: int
    last: int
    limit: int
    condition: str
    """As written; the opposite begins with `not`."""


@dataclass(frozen=True)
class Revision:
    """A revision under review, as its source says."""

    id: str
    down_revisions: tuple[str, ...]
    path: str
    depends_on: tuple[str, ...] = ()
    branch_labels: tuple[str, ...] = ()
    message: str = ""
    upgrade_line: int | None = None
    """Line of `def upgrade`, for findings about the whole revision."""
    downgrade_line: int | None = None
    downgrade_is_empty: bool = False
    """`downgrade()` is absent, or its body is only `pass`, `...` or a docstring."""
    line: int | None = None
    """Line of the assignment to `revision`."""
    guards: tuple[Guard, ...] = ()

    @property
    def is_merge(self) -> bool:
        """Whether it only joins branches: more than one parent."""
        return len(self.down_revisions) > 1


@dataclass(frozen=True)
class HistoryEntry:
    """Something that source and git say of one revision, and where."""

    revision: str
    location: Location
    detail: str = ""
    """Of a collision: the other head. Of an import: the module. Of an inserted revision: the one that stands on it."""


@dataclass(frozen=True)
class History:
    """What source and git say of the revision graph, for the rules about history."""

    heads: tuple[str, ...] = ()
    """Heads of the whole graph with the branch's revisions."""
    base_heads: tuple[str, ...] = ()
    """Heads that the base already has."""
    labelled_heads: tuple[str, ...] = ()
    """Of `heads`, those on a branch of their own with a label, which are meant to stay apart."""
    edited: tuple[HistoryEntry, ...] = ()
    """Revisions that the base has too, and that do something else now."""
    deleted: tuple[HistoryEntry, ...] = ()
    """Revisions of the base that are gone."""
    inserted: tuple[HistoryEntry, ...] = ()
    """New revisions below revisions that the base has."""
    colliding: tuple[HistoryEntry, ...] = ()
    """New heads that the tip of the base branch has another head beside."""
    imports: tuple[HistoryEntry, ...] = ()
    """Modules of the application that new revisions import."""

    @property
    def rewritten(self) -> bool:
        """Whether the branch changes what the base has already."""
        return bool(self.edited or self.deleted or self.inserted)
