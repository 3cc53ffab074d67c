"""How each revision ran, each way, and what became of the data and the schema."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from reviewer.recording.observations import Location, Statement


class Direction(Enum):
    """Which way a pass runs a revision."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    UPGRADE_AGAIN = "upgrade-again"


class Rehearsal(Enum):
    """`deployed`: base to head in one `upgrade`, where locks are judged. `stepwise`: each revision by itself."""

    DEPLOYED = "deployed"
    STEPWISE = "stepwise"


class Outcome(Enum):
    """How a pass ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class FailureKind(Enum):
    """What went wrong in a pass."""

    STATEMENT = "statement"
    """PostgreSQL refused a statement."""
    RAISED = "raised"
    """The revision's code raised by itself, with no statement failing: `raise NotImplementedError`, a KeyError."""
    TIMEOUT = "timeout"
    """The run did not end in time."""
    LOCK = "lock"
    """The migration waited for a lock that it holds itself through another connection."""
    EXITED = "exited"
    """The process ended without a word: `sys.exit`, `os._exit`, a crash."""
    ENVIRONMENT = "environment"
    """env.py itself failed, before or after the revisions."""
    IMPORT = "import"
    """A module that env.py or a revision needs is missing."""
    NO_DRIVER = "no-driver"
    """The project has no PostgreSQL driver installed."""
    UNTOUCHED = "untouched"
    """env.py ran to its end, and the throw-away database was not touched."""
    UNSTAMPED = "unstamped"
    """Alembic ended well, and the database's version does not say so: its last transaction was rolled back."""
    UNREADABLE = "unreadable"
    """What came from the project's process is not what the reviewer's own code says there: none of it is believed."""
    REVIEWER = "reviewer"
    """A question of the reviewer's own was not answered: nothing of the project is to blame."""
    OFFLINE = "offline"
    """The revision cannot be rendered as SQL without a database."""


class Moment(Enum):
    """How far a revision had come when its pass failed."""

    BEFORE = "before"
    """Its own code had not begun: env.py failed, or loading the revisions."""
    DURING = "during"
    """Between the beginning and the end of its own code, in whatever that called."""
    AFTER = "after"
    """Its own code had ended: Alembic's bookkeeping, `on_version_apply`, the commit, the rest of env.py."""


@dataclass(frozen=True)
class Failure:
    """Why a pass failed."""

    kind: FailureKind
    message: str
    location: Location | None = None
    sql: str | None = None
    """The statement that failed or was running."""
    sqlstate: str | None = None
    deliberate: bool = False
    """The revision's own code raised an exception on its own line: said on purpose."""
    moment: Moment = Moment.DURING
    outside: Location | None = None
    """The line of env.py where it came out, where it was not raised in a revision file: a listener, a callback, what
    follows the migrations. `location` is then the revision's line that led to it, if one did."""
    worded: str = ""
    """Of a statement that was refused: what the project's code has raised because of it, in its own words."""
    added: tuple[tuple[str, str], ...] = ()
    """What PostgreSQL said besides its message: `detail`, `hint` and `context`, each with its words."""

    @property
    def seen_at(self) -> Location | None:
        """The line that a human looks at first."""
        return self.outside or self.location

    @property
    def of_environment(self) -> bool:
        """Whether env.py failed by itself, before a revision's code or after it."""
        return self.moment is not Moment.DURING and self.kind in {FailureKind.ENVIRONMENT, FailureKind.IMPORT}

    @property
    def cause(self) -> tuple[str, Location | None] | None:
        """What is the same in every pass that one fault of env.py makes fail; None for a revision's own."""
        raised = self.kind in {FailureKind.ENVIRONMENT, FailureKind.IMPORT, FailureKind.EXITED}
        alone = self.location is None or self.moment is not Moment.DURING
        return (self.message, self.outside) if raised and alone and self.outside is not None else None


class Change(Enum):
    """How a state of the database differs from the one that it should be."""

    LEFT_BEHIND = "left behind"
    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True)
class Difference:
    """One thing in which two states of the catalogue differ."""

    kind: str
    """What it is: `table`, `column`, `constraint`, `index`, `enum type`, `sequence` … (see `reviewer.rehearsal.catalogue_snapshot`)."""
    name: str
    change: Change
    table: str | None = None
    """The table that it belongs to."""
    aspect: str = ""
    """Of a changed one: what has changed, for example `type` or `default`."""
    before: str | None = None
    after: str | None = None
    """Of a changed one: the two values. Of one that is missing or left behind: `after` is its definition."""


@dataclass(frozen=True)
class Loss:
    """Values of one column, or rows of one table, that did not survive the way there and back."""

    table: str
    column: str | None
    """None: whole rows."""
    values: int
    """How many are lost or changed."""
    of: int
    """How many there were."""
    before: str | None = None
    after: str | None = None
    """One example; None stands for NULL, or for a row that is gone."""
    allowed_before: bool = True
    """Whether the schema before the upgrade can hold all that was written. Where it cannot, it does not come back as it
    is: NULL in a column that took none, or a row with columns that are new."""

    @property
    def fills(self) -> bool:
        """Whether nothing but NULL was there before: no value is lost."""
        return self.column is not None and self.before is None and self.after is not None


@dataclass(frozen=True)
class FailingOld:
    """A revision of the history that runs with the code of the base commit, and does not with that of the branch."""

    revision: str
    failure: Failure


@dataclass(frozen=True)
class Pass:
    """One revision run once in one direction."""

    revision: str
    direction: Direction
    rehearsal: Rehearsal
    outcome: Outcome
    seconds: float = 0.0
    failure: Failure | None = None
    statements: tuple[Statement, ...] = ()
    reason: str | None = None
    """Why it was skipped."""
    rows: bool = True
    """Whether the tables held rows; False for the run that follows when it fails on rows."""
    worst: bool = False
    """Whether the rows were the hardest that the schema before the upgrade allows, not ordinary ones."""
    written: tuple[str, ...] = ()
    """Of a downgrade that was tried on rows which only the upgraded schema allows: what they held, in words."""
    compared: bool = False
    """Whether the state afterwards was compared: after a downgrade with the one before the upgrade, after a second
    upgrade with the one after the first."""
    differences: tuple[Difference, ...] = ()
    """What that comparison of the catalogue found."""
    losses: tuple[Loss, ...] = ()
    """What that comparison of the rows found, those that were there before the upgrade."""
    new_losses: tuple[Loss, ...] = ()
    """The same of rows and values that were written after the upgrade, in columns that were there before it."""
    brought: tuple[str, ...] = ()
    """Of a downgrade: tables and columns of the upgraded state that are gone, with whatever was written to them."""
    unread: tuple[str, ...] = ()
    """Of a downgrade: tables that the revision touches and whose rows could not be compared."""
    unrun: tuple[Statement, ...] = ()
    """Of a failed upgrade or downgrade: the statements that would have come after the one that failed, as Alembic renders them without
    a database. Nobody has seen what they do."""


def furthest(passes: Iterable[Pass], direction: Direction) -> Pass | None:
    """The pass in `direction` that is judged and told of, if one ran."""
    ran = [each for each in passes if each.direction is direction and each.outcome is not Outcome.SKIPPED]
    return max(ran, key=reach, default=None)


def reach(each: Pass) -> tuple[bool, bool, bool, int]:
    """How far a pass went: one that ended well before one that failed, then the deployed one, with rows, the longest."""
    return (each.outcome is Outcome.OK, each.rehearsal is Rehearsal.DEPLOYED, each.rows, len(each.statements))
