"""What a check module is made of: a `RULE`, its `EXAMPLES`, and a function `check`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from reviewer.recording import Direction
from reviewer.review.finding import Concern, Severity
from reviewer.sql.locks import LockMode

if TYPE_CHECKING:
    from reviewer.review.context import Context, Subject

SECTIONS = ("## Why it hurts", "## Do this instead", "## Not flagged", "## References")
"""The headings that the docstring of every check has, in this order."""


class Group(Enum):
    """What kind of harm a rule is about, in the order in which the groups are shown."""

    LOCKING = "locking"
    REWRITING = "rewriting"
    LOSING_DATA = "losing-data"
    BREAKING_CODE = "breaking-code"
    NOT_WORKING = "not-working"
    HISTORY = "history"
    SCHEMA = "schema"
    HOUSE_RULES = "house-rules"

    @property
    def title(self) -> str:
        """The heading of its rules."""
        return _TITLES[self]

    @property
    def about_waiting(self) -> bool:
        """Whether it is about what hurts while the statement runs: also where that is taken back afterwards."""
        return self in {Group.LOCKING, Group.REWRITING}


_TITLES = {
    Group.LOCKING: "Blocking reads or writes",
    Group.REWRITING: "Rewriting a table",
    Group.LOSING_DATA: "Losing data",
    Group.BREAKING_CODE: "Breaking the running code",
    Group.NOT_WORKING: "Not working as intended",
    Group.HISTORY: "History",
    Group.SCHEMA: "Schema advice",
    Group.HOUSE_RULES: "House rules",
}


class Rule(Struct, frozen=True):
    """The promise that users see; its documentation is the docstring of the check module."""

    id: str
    """Kebab-case, named after the defect; the module has the same name in snake case."""
    summary: str
    """The consequence in one line: the effect, not the syntax."""
    severity: Severity
    group: Group
    """`Group.HOUSE_RULES` for the conventions of one team."""
    lock: LockMode | None = None
    """The lock that the flagged statement takes on an existing table: a claim that a live server checks."""
    rewrites: bool = False
    """The flagged statement rewrites a table: a claim that is verified on a real server."""
    scans: bool = False
    """The flagged statement scans a whole table: a claim that is verified on a real server."""
    sqlstate: str | None = None
    """The SQLSTATE with which a server refuses the flagged statement: a claim that a live server checks, in one of
    the examples at least."""
    directions: frozenset[Direction] = frozenset({Direction.UPGRADE})
    """Which passes' operations and statements the check is asked about."""
    replaces: frozenset[str] = frozenset()
    """Rules that stay silent about the same thing (`about`) in the same revision when this one speaks."""
    quotes: bool = False
    """Its finding repeats what those that it replaces say, and their remedy."""
    last_resort: int = 0
    """Above 0: asked after all rules of a lower number, and silent about statements that one of them has
    explained."""
    yields: bool = False
    """Silent where another rule says as much of the same thing (`about`), or of harm at the same line: it tells
    what was seen afterwards, and the others why."""
    once_a_table: bool | None = None
    """Whether its findings on one table of one revision become one; None: as it is with rules about waiting."""
    default: bool = True
    """Whether it is on without being selected."""
    reports_failed: Direction | None = None
    """The direction whose failed passes it reports where no other rule explains them: exactly one rule for each."""
    of_old_code: bool = False
    """Whether it speaks only where the code of the base commit was tried."""
    of_models: bool = False
    """Whether it speaks only where models and upgraded database were compared."""
    once_a_file: bool = False
    """Whether its findings in one file of one revision become one."""
    since: str = "0.1.0"
    """The first version that has it."""
    needs: str = ""
    """What a flagged example would need besides a migration, such as two branches; empty where a migration is
    enough.
    """

    @property
    def merges(self) -> bool:
        """Whether its findings on one table of one revision become one."""
        return self.group.about_waiting if self.once_a_table is None else self.once_a_table

    @property
    def grows(self) -> bool:
        """Whether for how long it hurts grows with the size of a table: a small one in production makes it a notice."""
        return self.about_work

    @property
    def about_work(self) -> bool:
        """Whether its findings explain what takes a statement as long as a table is large, and not a short lock."""
        return self.rewrites or self.scans


class Example(Struct, frozen=True):
    """A migration that documents a rule and tests it on a live server.

    `given` is what is already deployed; in `upgrade` and `downgrade` the lines that must be flagged by the rule
    end in `# flagged`, all others must not be. A first line that is nothing but `# flagged` stands for the line of
    the `def`. Names in scope: op, sa, postgresql.
    """

    title: str
    """A few words that tell it from the others of the rule."""
    upgrade: str
    """The body of `upgrade()` that is under review."""
    given: str = ""
    """The body of an `upgrade()` that is already deployed."""
    downgrade: str | None = None
    """None: a downgrade that is not looked at (the harness writes one that raises on purpose)."""
    since: int = 0
    """First PostgreSQL major on which it can run."""
    rows: bool = True
    """Whether the tables of `given` hold rows."""
    transaction_per_migration: bool = False
    """Whether each revision has a transaction of its own."""
    then: tuple[str, ...] = ()
    """`upgrade()` bodies of revisions that follow in the same deploy, with `# flagged` too."""
    beside: tuple[str, ...] = ()
    """`upgrade()` bodies of revisions of the same deploy that have the same parent as `upgrade`."""
    models: str | None = None
    """The models of the base commit, which are running during the deploy. Names in scope: Base, sa, orm."""
    new_models: str | None = None
    """The models at head; None: the same."""

    def __post_init__(self) -> None:
        for name in ("upgrade", "given", "downgrade", "models", "new_models"):
            value = getattr(self, name)
            if value is not None:
                force_setattr(self, name, _body(value))
        for name in ("then", "beside"):
            force_setattr(self, name, tuple(_body(body) for body in getattr(self, name)))


def _body(text: str) -> str:
    return textwrap.dedent(text).strip()


class Check(Protocol):
    """A check module, built in or from the entry point group `alembic_reviewer.checks`."""

    __name__: str
    __doc__: str | None

    @property
    def RULE(self) -> Rule:  # noqa: N802  (a module's constant)
        """The promise."""

    @property
    def EXAMPLES(self) -> Sequence[Example]:  # noqa: N802  (a module's constant)
        """Flagged and not flagged, at least one of each."""

    def check(self, subject: Subject, context: Context) -> Iterator[Concern]:
        """Concerns about one subject; called with every operation, statement, revision and the whole recording."""
