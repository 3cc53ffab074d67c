"""What a release report says, independent of its format."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from reviewer.recording import Declared, Location, Relation, Revision, Statement
from reviewer.review.finding import Growth
from reviewer.review.fit import NOT_CLOSER, Range
from reviewer.review.rollback_label import Label
from reviewer.review.verdict import Report
from reviewer.sql.locks import LockMode
from reviewer.sql.names import listed
from reviewer.stats.sizes import Size, told_rows

# -- how long -------------------------------------------------------------------------------------


class Estimate(Struct, frozen=True):
    """How long it takes at production's size, as a range; made by the code that measured how it grows."""

    least: float
    """Seconds."""
    most: float
    """Seconds."""
    basis: str
    """What it rests on, in words."""

    @property
    def words(self) -> str:
        """For a human: `2.1 s to 3.4 s in production (measured at 20,000, 60,000 and 180,000 rows)`."""
        doubt = f"{NOT_CLOSER}; " if Range(self.least, self.most).vague else ""
        return f"{told_seconds(self.least)} to {told_seconds(self.most)} in production ({doubt}{self.basis})"


class Duration(Struct, frozen=True):
    """How long something took in the rehearsal, and whether that says anything about production."""

    measured: float
    """Seconds of the server, in the rehearsal."""
    grows_with: tuple[Growth, ...] = ()
    """Existing tables with whose size it grows, largest in production first; none: it stays as it is."""
    rows: int = 0
    """Rows of the largest of these tables in the rehearsal."""
    estimate: Estimate | None = None
    """At production's size, if the growth was measured and the size is known."""
    growth: str = ""
    """How it grows, as a phrase; empty if that was not measured."""
    per_million: float = 0.0
    """Seconds per million rows at most, of as much of it as was measured at several sizes."""
    unknown: bool = False
    """Whether its growth was to be measured and could not be."""

    @property
    def rank(self) -> tuple[bool, float, float, float]:
        """Higher is longer in production, as far as that is known: a table of unknown size may be of any."""
        sizes = [float("inf") if each.rows is None else each.rows for each in self.grows_with]
        most = self.estimate.most if self.estimate is not None else 0.0
        return (bool(self.grows_with), most or max(sizes, default=0.0), self.per_million, self.measured)

    @property
    def words(self) -> str:
        """For a human: `12 ms on 100 rows, grows with orders (50 million rows in production)`."""
        if not self.grows_with:
            return told_seconds(self.measured)
        tables = listed([f"`{each.before}`{_in_production(each)}" for each in self.grows_with])
        on = told_rows(self.rows) if self.rows else "empty tables"
        measured = f"{told_seconds(self.measured)} on {on}, grows with {tables}"
        if self.estimate is None:
            return f"{measured}; {self.growth}" if self.growth else measured
        return f"{self.estimate.words}; measured {measured}"


def _in_production(growth: Growth) -> str:
    if growth.bytes is None:
        return ""
    size = str(Size(growth.rows, growth.bytes)).replace(" (", ", ").rstrip(")")
    return f" ({size} in production)"


def told_seconds(seconds: float) -> str:
    """`under 1 ms`, `12 ms`, `3.4 s`, `2 min 10 s`."""
    if seconds < 0.001:
        return "under 1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


# -- the timeline ---------------------------------------------------------------------------------


class Step(Struct, frozen=True):
    """One statement of the deploy."""

    number: int
    """Counted from 1 over the whole deploy."""
    revision: str
    """Of whose code it is, or whose version Alembic writes down with it; empty for env.py's own."""
    statement: Statement
    start: float
    """Seconds of the server since the beginning of the deploy; what Python does in between is not counted."""
    duration: Duration
    seen: tuple[str, ...] = ()
    """What it does to existing tables: `rewrites orders`."""
    documented: bool = False
    """Whether its locks are those of the manual, because it ran outside a transaction and kept none."""

    @property
    def location(self) -> Location | None:
        """The line of the revision that sent it."""
        return self.statement.location


class Hold(Struct, frozen=True):
    """A lock on an existing table, from the statement that takes it to the end of its transaction."""

    table: Relation
    mode: LockMode
    since: int
    """Number of the step that takes it."""
    until: int
    """Number of the last step that runs under it."""
    start: float
    """Seconds since the beginning of the deploy."""
    duration: Duration
    bounded: bool = False
    """Whether a `lock_timeout` bounds how long the statement waits for it."""

    @property
    def blocks_reads(self) -> bool:
        """Whether a plain SELECT waits."""
        return self.mode.blocks_reads

    @property
    def blocks_writes(self) -> bool:
        """Whether INSERT, UPDATE and DELETE wait; a materialized view has none."""
        return self.table.hindered_by(self.mode)

    @property
    def blocks(self) -> str:
        """What waits, as a phrase; empty if nothing ordinary does."""
        return self.mode.blocks if self.table.hindered_by(self.mode) else ""


class Band(Struct, frozen=True):
    """One transaction of the deploy, or one statement outside of any."""

    number: int
    """Counted from 1."""
    transaction: bool
    """Whether it is one; else its statement commits by itself."""
    steps: tuple[Step, ...]
    holds: tuple[Hold, ...] = ()
    """Locks that others wait for, in the order in which they are taken."""

    @property
    def start(self) -> float:
        """Seconds since the beginning of the deploy."""
        return self.steps[0].start

    @property
    def seconds(self) -> float:
        """Of the server."""
        return sum(step.duration.measured for step in self.steps)

    @property
    def revisions(self) -> tuple[str, ...]:
        """The revisions that it runs, in order."""
        return tuple(dict.fromkeys(step.revision for step in self.steps if step.revision))

    @property
    def order(self) -> tuple[str, ...]:
        """The tables that it locks one after another, if they are several: a session that locks them in the opposite
        order can deadlock with it.
        """
        tables = tuple(dict.fromkeys(str(hold.table) for hold in self.holds if hold.blocks))
        return tables if self.transaction and len(tables) > 1 else ()


class Timeline(Struct, frozen=True):
    """The deploy as it ran, transaction by transaction."""

    bands: tuple[Band, ...] = ()
    failed: str = ""
    """The revision whose upgrade failed: what is here may be of a run without rows, or not whole."""
    doubtful: bool = False
    """Whether it failed on generated rows only, and in a way in which the application's rows may not."""

    @property
    def holds(self) -> tuple[Hold, ...]:
        """All locks that others wait for."""
        return tuple(hold for band in self.bands for hold in band.holds)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All statements."""
        return tuple(step for band in self.bands for step in band.steps)

    @property
    def seconds(self) -> float:
        """Of the server, in the rehearsal."""
        return sum(band.seconds for band in self.bands)

    def step(self, number: int) -> Step:
        """The statement with that number."""
        return self.steps[number - 1]

    @property
    def tables(self) -> tuple[Relation, ...]:
        """The tables on which others wait, in the order in which they are locked."""
        return tuple(dict.fromkeys(hold.table for hold in self.holds if hold.blocks))


# -- the order ------------------------------------------------------------------------------------


class Cell(Enum):
    """Whether code runs on a schema."""

    RUNS = "runs"
    BREAKS = "breaks"
    UNKNOWN = "not tried"


class When(Enum):
    """When a revision is to run, measured by whether code runs on the schema of the other side."""

    BEFORE = "before the code"
    AFTER = "after the code"
    EITHER = "either"
    SPLIT = "split it"
    UNKNOWN = "unknown"


class Order(Struct, frozen=True):
    """When one revision is to run."""

    revision: Revision
    when: When
    old: Cell
    """The old code on the schema after the revision."""
    new: Cell
    """The new code on the schema without the revision."""
    why: tuple[str, ...] = ()
    """What breaks, or why something was not tried, a sentence each."""
    how: tuple[str, ...] = ()
    """Of one to be split: the parts in their order, a sentence each."""
    remedy: tuple[str, ...] = ()
    """Of one to be split: bodies of `upgrade()`, each a deploy of its own, where a finding has them."""

    @property
    def declared(self) -> Declared | None:
        """When its author says that it is to run."""
        return self.revision.declared

    @property
    def disagrees(self) -> bool:
        """Whether what was measured contradicts what is declared."""
        said = self.revision.declared
        if said is None or self.when in {When.EITHER, When.UNKNOWN}:
            return False
        return self.when is When.SPLIT or (self.when is When.BEFORE) is not said.before_code


class Stage(Struct, frozen=True):
    """One step of the deploy as a whole."""

    what: str
    """`migrate`, or `code`."""
    to: tuple[str, ...] = ()
    """Of a migration: what to upgrade to."""
    revisions: tuple[str, ...] = ()


class Sequence(Struct, frozen=True):
    """In which order revisions and code are to go out."""

    orders: tuple[Order, ...]
    stages: tuple[Stage, ...] = ()
    """Empty where no order is without harm."""
    conflict: str = ""
    """Why no order is without harm, and what to do."""
    untried: tuple[str, ...] = ()
    """Why the old or the new code was tried with none of the revisions, a sentence each."""

    @property
    def trouble(self) -> str:
        """What `conflict` is about, as a heading: nobody knows an order, or every one does harm."""
        split = any(each.when is When.SPLIT for each in self.orders)
        unknown = not split and any(each.when is When.UNKNOWN for each in self.orders)
        return "The order is not known" if unknown else "No order is without harm"


# -- the way back ---------------------------------------------------------------------------------


class WayBack(Struct, frozen=True):
    """One revision, taken back."""

    revision: Revision
    label: Label
    lost: tuple[str, ...] = ()
    """What is lost, a phrase each."""
    differences: tuple[str, ...] = ()
    """In what the schema afterwards differs from the one before."""
    duration: Duration | None = None
    """Of the downgrade; None if it did not run."""
    failure: str = ""
    """Why the downgrade fails."""
    untested: str = ""
    old_code: Cell = Cell.UNKNOWN
    """Whether the old code runs on the schema that it leaves."""
    accepted: bool = False
    """Whether the configuration says that nobody goes back over it."""
    destroys: tuple[str, ...] = ()
    """What its upgrade does to existing rows and values, so that only a tested way back could say that they
    survive it: phrases such as ``drops `users.name` ``.
    """

    @property
    def final(self) -> bool:
        """Whether no downgrade of it restores everything."""
        return self.label in {"irreversible", "broken", "loses-existing-data"}

    @property
    def doubtful(self) -> bool:
        """Whether nobody has seen a downgrade of it restore everything."""
        if self.revision.is_merge:
            return False
        return self.label == "untested" or (self.label == "data-dependent" and bool(self.destroys))


# -- the plan and the whole -----------------------------------------------------------------------


class Action(Struct, frozen=True):
    """One thing to do."""

    title: str
    detail: str = ""
    code: str = ""
    language: str = ""
    """Of `code`: `sql`, `python`, `sh`."""
    location: Location | None = None


class Plan(Struct, frozen=True):
    """What to do, in this order."""

    check: tuple[Action, ...] = ()
    """Queries that find what would make it fail."""
    beforehand: tuple[Action, ...] = ()
    """What can be run by hand before."""
    split: tuple[Action, ...] = ()
    order: tuple[Action, ...] = ()
    bound: tuple[Action, ...] = ()
    """How to bound the wait for locks."""
    quiet: tuple[Action, ...] = ()
    """What wants a quiet hour."""

    @property
    def parts(self) -> tuple[tuple[str, tuple[Action, ...]], ...]:
        """All of it under headings, those without anything left out."""
        found = (
            ("Check first", self.check),
            ("Run by hand beforehand", self.beforehand),
            ("Split", self.split),
            ("Deploy in this order", self.order),
            ("Bound the wait for locks", self.bound),
            ("Wait for a quiet hour", self.quiet),
        )
        return tuple((title, actions) for title, actions in found if actions)


class May(Enum):
    """Whether a deploy may run with traffic on."""

    YES = "yes"
    WITH_CARE = "with care"
    NO = "no"
    UNKNOWN = "unknown"
    NOTHING = "nothing to deploy"


class Verdict(Struct, frozen=True):
    """What is said first."""

    may: May
    reasons: tuple[str, ...] = ()
    """Why, the worst first, a sentence each."""
    reads: Hold | None = None
    """The lock under which reads wait longest; None if none do."""
    writes: Hold | None = None
    """The lock under which writes wait longest; None if none do."""
    no_return: WayBack | None = None
    """The first revision over which there is no way back; None if there is none."""


class Release(Struct, frozen=True):
    """A release from one state to another."""

    start: str
    """Where it begins, in words."""
    end: str
    """Where it ends, in words."""
    report: Report
    """The review of its revisions."""
    verdict: Verdict
    timeline: Timeline = Timeline()
    sequence: Sequence = Sequence(())
    way_back: tuple[WayBack, ...] = ()
    plan: Plan = Plan()
    notes: tuple[str, ...] = ()
    """What is worth knowing about the range."""
    code: str = ""
    """The commit whose code runs before; empty if git names none."""

    @property
    def exit_status(self) -> int:
        """The exit status of `alembic-reviewer release`: as that of a review of the same revisions."""
        return self.report.verdict.exit_status

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """The revisions that are deployed, in order."""
        return tuple(revision for tree in self.report.trees for revision in tree.recording.revisions)

    def phrase(self, revision: str) -> str:
        """What a revision does, in one phrase; its message where that is not known."""
        for tree in self.report.trees:
            found = dict(tree.phrases).get(revision)
            if found:
                return found
        return next((each.message for each in self.revisions if each.id == revision), "")
