"""A finding: one unsafe thing, where it is, its basis, and what to write instead."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from enum import Enum

from msgspec import Struct, field

from reviewer.recording import Direction, Location
from reviewer.replay.effects import Witness
from reviewer.sql.names import Name


class Severity(Enum):
    """How much a finding matters. See docs/start.md for what each level promises."""

    ERROR = "error"
    """Fails, loses data, breaks running code, or blocks for a time that grows with the table."""
    WARNING = "warning"
    """The same under conditions that could not be ruled out, or a short lock with an unbounded queue."""
    NOTICE = "notice"
    """Worth a reviewer's attention."""

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return {"error": 3, "warning": 2, "notice": 1}[self.value]

    @property
    def lower(self) -> Severity:
        """One step down; a notice stays one."""
        return Severity.WARNING if self is Severity.ERROR else Severity.NOTICE


class Basis(Enum):
    """The basis of a finding: observed on the server, parsed from the text, or derived by comparing two states."""

    OBSERVED = "observed"
    PARSED = "parsed"
    COMPARED = "compared"


class Concern(Struct, frozen=True):
    """What a check yields: a finding before the review adds its rule, location and basis."""

    message: str
    """One sentence with the user's names: which object, which lock, who waits, and until when."""
    remedy: tuple[str, ...] = ()
    """What to write instead of the statement: bodies of `upgrade()`, each a revision of its own, as valid Alembic
    code. What comes before the statement in the same revision stays before it."""
    about: tuple[str, ...] = ()
    """What it is about, for example `("column", "t", "a")`: two rules that see one cause say the same here."""
    severity: Severity | None = None
    """A severity other than the rule's."""
    basis: Basis | None = None
    """A basis other than the context's (observed on a server, parsed without)."""
    evidence: Mapping[str, object] = field(default_factory=dict)
    """Facts for machines and for the evidence line: JSON values only."""
    location: Location | None = None
    """A location other than the statement's."""
    direction: Direction | None = None
    """A direction other than the context's."""


def concern(
    message: str,
    *,
    remedy: Sequence[str] = (),
    about: tuple[str, ...] = (),
    severity: Severity | None = None,
    basis: Basis | None = None,
    evidence: Mapping[str, object] | None = None,
    location: Location | None = None,
    direction: Direction | None = None,
) -> Concern:
    """A `Concern` from text as it is written in a check: indentation and line breaks of the source removed."""
    return Concern(
        " ".join(message.split()),
        tuple(textwrap.dedent(body).strip("\n") for body in remedy),
        about,
        severity,
        basis,
        dict(evidence or {}),
        location,
        direction,
    )


class Growth(Struct, frozen=True):
    """A table with whose size grows how long a statement takes."""

    table: Name
    """As it is called where the statement runs."""
    before: Name
    """As it is called in production before the deploy."""
    rows: int | None = None
    """Its rows in production, estimated; None if that is unknown."""
    bytes: int | None = None
    """Its size in production with its indexes; None if that is unknown."""


class Suppressed(Struct, frozen=True):
    """Why a finding does not count: a comment in the source, with its reason."""

    reason: str
    line: int


class TriedFix(Struct, frozen=True):
    """What became of the attempt to fix a finding in the source of its revision."""

    title: str = ""
    """What the fix does, in the imperative; empty where there is none."""
    diff: str = ""
    """The fix as `git apply` takes it. It was rehearsed, and nothing is worse with it; empty where there is none."""
    reason: str = ""
    """Why there is none, without the full stop."""
    unsafe: bool = False
    """Whether there is one that somebody has to decide on."""


class Finding(Struct, frozen=True):
    """One finding as every report shows it."""

    rule: str
    severity: Severity
    message: str
    revision: str | None
    location: Location | None
    direction: Direction
    basis: Basis
    evidence: Mapping[str, object] = field(default_factory=dict)
    remedy: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    sql: str | None = None
    suppressed: Suppressed | None = None
    stands_for: tuple[tuple[str, ...], ...] = ()
    """What the findings were about that this one replaces."""
    table: str | None = None
    """The table that the operation is about, where it is about one."""
    grows_with: tuple[Growth, ...] = ()
    """The tables, all of them there before the deploy, with whose size grows for how long it hurts."""
    witness: Witness | None = None
    """The statement that it is about, and what is known of it; None for what is about a whole revision or deploy.
    """
    takes: str = ""
    """How long its statement takes, as it was measured at several sizes; empty: it was not."""
    fix: TriedFix | None = None
    """None: nobody tried to fix it."""
