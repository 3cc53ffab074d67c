"""What a fixer makes of a finding: changes to files, and revisions that are new."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from reviewer.fix.source import Hunk
from reviewer.recording import Difference
from reviewer.review.finding import Finding


class NewRevision(Struct, frozen=True):
    """A revision that comes right after another one, before all that follows it."""

    after: str
    """The id of that one; its file says how the new one is written."""
    message: str
    upgrade: str
    """The body, not indented."""
    downgrade: str
    top: str = ""
    """What both need at the top of the file, besides imports."""


class Fix(Struct, frozen=True):
    """One finding fixed."""

    finding: Finding
    title: str
    """What it does, in the imperative: `build the index CONCURRENTLY`."""
    hunks: Mapping[str, tuple[Hunk, ...]] = field(default_factory=dict)
    """What is rewritten, by path."""
    revisions: tuple[NewRevision, ...] = ()
    unsafe: str = ""
    """Why somebody has to decide, as a sentence; empty for a fix that is safe."""
    leaves: frozenset[str] = frozenset()
    """Rules that may find something that was not found before, because the fix trades one thing for another."""
    first: bool = False
    """Whether what other fixes write depends on it."""
    other_end: Callable[[Difference], bool] = lambda _: False
    """Which differences between the schema that the deploy led to and the one that it leads to now are meant."""

    @property
    def rule(self) -> str:
        """The rule of the finding."""
        return self.finding.rule

    def collides(self, other: Fix) -> str | None:
        """The file in which both rewrite the same lines."""
        for path, hunks in self.hunks.items():
            for hunk in hunks:
                if any(hunk.collides(each) for each in other.hunks.get(path, ())):
                    return path
        return None
