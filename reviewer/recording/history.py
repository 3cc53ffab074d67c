"""The revisions under review, and what source and git show about the revision graph."""

from __future__ import annotations

from msgspec import Struct

from reviewer.recording.observations import Location


class Guard(Struct, frozen=True):
    """Lines of a revision that run only while a number is below a constant, such as `if count < 1_000_000:`."""

    first: int
    last: int
    limit: int
    condition: str
    """As written; if the lines run when it is false, it begins with `not`."""


class ConditionalDrop(Struct, frozen=True):
    """A line of `downgrade()` that drops something, if a condition holds."""

    line: int
    texts: tuple[str, ...]
    """The constants of its call: names, or SQL."""
    condition: str
    """As written; if the line runs when it is false, it begins with `not`."""


class FixedCondition(Struct, frozen=True):
    """A condition whose value does not depend on anything, though it is written as if it did."""

    line: int
    condition: str
    """As written."""
    holds: bool
    """Whether it always holds; else it never does."""
    because: str
    """Why, a clause."""


class EnvironmentBranch(Struct, frozen=True):
    """Lines that run only if the environment of the process, or an argument of the command, says so."""

    first: int
    last: int
    condition: str
    """As written; if the lines run when it is false, it begins with `not`."""
    changes: tuple[str, ...]
    """What in it drops or changes something: the calls, or the first word of the SQL."""


class Labelled(Struct, frozen=True):
    """An enum type as `upgrade()` names it, with its labels."""

    type: str
    schema: str | None
    labels: tuple[str, ...]
    line: int


class Declared(Struct, frozen=True):
    """When a revision is to run, as its author says."""

    before_code: bool
    """Whether before the new code is deployed; else after it."""
    where: str
    """Where that is said, in words: "branch label `expand`"."""
    line: int | None = None


class Revision(Struct, frozen=True):
    """A revision under review, as read from its source."""

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
    """Whether `downgrade()` is missing, or its body is only `pass`, `...` or a docstring."""
    line: int | None = None
    """Line of the assignment to `revision`."""
    guards: tuple[Guard, ...] = ()
    conditional_drops: tuple[ConditionalDrop, ...] = ()
    fixed_conditions: tuple[FixedCondition, ...] = ()
    environment_branches: tuple[EnvironmentBranch, ...] = ()
    labelled: tuple[Labelled, ...] = ()
    declared: Declared | None = None
    """When it is to run, where its author says so."""

    @property
    def is_merge(self) -> bool:
        """Whether it joins branches, that is, has more than one parent."""
        return len(self.down_revisions) > 1


class HistoryEntry(Struct, frozen=True):
    """A fact about one revision from source and git, and its location."""

    revision: str
    location: Location
    detail: str = ""
    """For a collision: the other head. For an import: the module. For an inserted revision: the revision that
    depends on it."""


class History(Struct, frozen=True):
    """Facts about the revision graph from source and git, for the rules about history."""

    heads: tuple[str, ...] = ()
    """Heads of the whole graph, with the branch's revisions."""
    base_heads: tuple[str, ...] = ()
    """Heads that the base already has."""
    labelled_heads: tuple[str, ...] = ()
    """Those of `heads` that are on separate labelled branches, which are meant to stay apart."""
    edited: tuple[HistoryEntry, ...] = ()
    """Revisions that the base has too, and that now do something else."""
    deleted: tuple[HistoryEntry, ...] = ()
    """Revisions of the base that no longer exist."""
    inserted: tuple[HistoryEntry, ...] = ()
    """New revisions below revisions that the base has."""
    colliding: tuple[HistoryEntry, ...] = ()
    """New heads that have another head beside them on the tip of the base branch."""
    imports: tuple[HistoryEntry, ...] = ()
    """Modules of the application that new revisions import."""

    @property
    def rewritten(self) -> bool:
        """Whether the branch changes revisions that the base already has."""
        return bool(self.edited or self.deleted or self.inserted)
