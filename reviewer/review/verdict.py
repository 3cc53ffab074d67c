"""The report: the complete result of a review, independent of the format."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import Mode, Recording, Relation, Skipped, Statement
from reviewer.review.durations import Durations
from reviewer.review.finding import Finding, Severity
from reviewer.sql.locks import LockMode
from reviewer.stats import sizes as production

Source = Literal["observed", "static", "replayed"]
"""The basis of a report: a server, text alone, or a saved recording."""


class Verdict(Enum):
    """The one word of a review."""

    PASS = "pass"
    """Nothing found but notices, suppressed findings aside."""
    WARN = "warn"
    """Warnings or errors found, all of them below the level that fails."""
    FAIL = "fail"
    """Something found at or above the level that fails."""
    ERROR = "error"
    """Revisions could not be reviewed; what could be is in the report."""
    SKIPPED = "skipped"
    """No new revision: nothing to review."""

    @property
    def exit_status(self) -> int:
        """The exit status of `alembic-reviewer review`."""
        return {"pass": 0, "warn": 0, "skipped": 0, "fail": 1, "error": 3}[self.value]


class Strongest(Struct, frozen=True):
    """The strongest lock that a revision's upgrade takes on tables that existed before."""

    mode: LockMode
    tables: tuple[Relation, ...]

    @property
    def on(self) -> str:
        """The tables, at most three by name."""
        names = [str(table) for table in self.tables]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class TreeReport(Struct, frozen=True):
    """What was found in one migration tree."""

    recording: Recording
    findings: tuple[Finding, ...] = ()
    """Worst first within a revision; suppressed ones included."""
    unrecognized: tuple[Statement, ...] = ()
    """Statements of which at least a part was not understood."""
    phrases: tuple[tuple[str, str], ...] = ()
    """For each revision id what it does, in one phrase: `adds users.age, drops index ix_a`."""
    strongest: tuple[tuple[str, Strongest], ...] = ()
    """For each revision id whose upgrade was seen to lock tables that existed before, the strongest of the locks.
    """
    durations: Durations = Durations()
    """How long the statements take, as far as it was measured."""
    order: str = ""
    """The order in which to deploy revisions and code, as a phrase; empty if either side is fine, or if it is
    not known."""


class Report(Struct, frozen=True):
    """A whole review: one tree or several."""

    tool: str
    trees: tuple[TreeReport, ...]
    fail_on: Severity | None
    """None: never fail."""
    skipped: tuple[Skipped, ...] = ()
    """What could not be looked at, beyond what each tree's recording says."""
    errors: tuple[str, ...] = ()
    """Why a review could not be done, in addition to what each tree's recording says."""
    replayed: bool = False
    """Made from a recording file, without a server."""
    head: str = ""
    """The commit under review; empty where git names none."""
    sizes: production.Source | None = None
    """Where the sizes of the tables in production come from; None if they are unknown."""
    made: str = ""
    """When the review was made, as `2026-11-29 03:20 UTC`; empty where nobody said."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings that are not suppressed."""
        return tuple(f for tree in self.trees for f in tree.findings if f.suppressed is None)

    @property
    def suppressed(self) -> tuple[Finding, ...]:
        """All findings that a comment in the source suppresses."""
        return tuple(f for tree in self.trees for f in tree.findings if f.suppressed is not None)

    @property
    def all_skipped(self) -> tuple[Skipped, ...]:
        """Everything that could not be looked at, in every tree."""
        return self.skipped + tuple(s for tree in self.trees for s in tree.recording.skipped)

    @property
    def all_errors(self) -> tuple[str, ...]:
        """Why revisions could not be reviewed, in every tree; non-empty means that the verdict is at least `error`."""
        return self.errors + tuple(error for tree in self.trees for error in tree.recording.errors)

    @property
    def mode(self) -> Source:
        """What the whole rests on, as the JSON report says it."""
        if self.replayed:
            return "replayed"
        static = any(tree.recording.mode is Mode.STATIC for tree in self.trees)
        return "static" if static else "observed"

    @property
    def verdict(self) -> Verdict:
        """The one word. Findings that fail win over revisions that could not be reviewed."""
        findings = self.findings
        if self.fail_on is not None and worst(findings) >= self.fail_on.rank:
            return Verdict.FAIL
        if self.all_errors:
            return Verdict.ERROR
        if worst(findings) > Severity.NOTICE.rank:
            return Verdict.WARN
        reviewed = any(tree.recording.revisions for tree in self.trees)
        return Verdict.PASS if reviewed or findings else Verdict.SKIPPED

    def by_tree(self) -> dict[str, Report]:
        """A report for each tree, by its name; what is said of no tree alone is in every one."""
        names = dict.fromkeys(tree.recording.tree for tree in self.trees)
        return {
            name: replace(self, trees=tuple(tree for tree in self.trees if tree.recording.tree == name))
            for name in names
        }


def worst(findings: Sequence[Finding]) -> int:
    """Rank of the worst finding, 0 where there is none."""
    return max((finding.severity.rank for finding in findings), default=0)
