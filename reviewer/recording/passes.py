"""How each revision ran, in each direction, and what happened to the data and the schema."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from itertools import dropwhile

from msgspec import Struct

from reviewer.recording.observations import Location, Origin, Statement


class Direction(Enum):
    """The direction in which a pass runs a revision."""

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
    """PostgreSQL rejected a statement."""
    RAISED = "raised"
    """The revision's code raised, with no statement failing: `raise NotImplementedError`, a KeyError."""
    TIMEOUT = "timeout"
    """The run did not end in time."""
    LOCK = "lock"
    """The migration waited for a lock that it holds itself through another connection."""
    EXITED = "exited"
    """The process ended without reporting why: `sys.exit`, `os._exit`, a crash."""
    ENVIRONMENT = "environment"
    """env.py itself failed, before or after the revisions."""
    IMPORT = "import"
    """A module that env.py or a revision needs is missing."""
    NO_DRIVER = "no-driver"
    """The project has no PostgreSQL driver installed."""
    UNTOUCHED = "untouched"
    """env.py succeeded, but the throw-away database was not touched."""
    UNSTAMPED = "unstamped"
    """Alembic succeeded, but the version table does not show it: its last transaction was rolled back."""
    UNREADABLE = "unreadable"
    """The project's process sent something that the reviewer's code in it does not send, so none of it is
    believed."""
    REVIEWER = "reviewer"
    """One of the reviewer's own queries failed. The project is not to blame."""
    OFFLINE = "offline"
    """The revision cannot be rendered as SQL without a database."""


class Moment(Enum):
    """How far a revision had run when its pass failed."""

    BEFORE = "before"
    """Before its own code: env.py failed, or loading the revisions did."""
    DURING = "during"
    """Between the beginning and the end of its own code, or in code that it called."""
    AFTER = "after"
    """After its own code: in Alembic's bookkeeping, `on_version_apply`, the commit, or the rest of env.py."""


class Failure(Struct, frozen=True):
    """Why a pass failed."""

    kind: FailureKind
    message: str
    location: Location | None = None
    sql: str | None = None
    """The statement that failed or was running."""
    sqlstate: str | None = None
    deliberate: bool = False
    """Whether the revision raised an exception on purpose, with a `raise` in its own code."""
    moment: Moment = Moment.DURING
    outside: Location | None = None
    """The line of env.py from which the failure came, if it was not raised in a revision file: in a listener, a
    callback, or code after the migrations. `location` is then the revision's line that led to it, if there is
    one."""
    worded: str = ""
    """If a statement failed and the project raised another exception because of it: that exception's message."""
    added: tuple[tuple[str, str], ...] = ()
    """What PostgreSQL reported in addition to its message: pairs of `detail`, `hint` or `context` and the text."""

    @property
    def seen_at(self) -> Location | None:
        """The line that a person looks at first."""
        return self.outside or self.location

    @property
    def of_environment(self) -> bool:
        """Whether env.py itself failed, before a revision's code or after it."""
        return self.moment is not Moment.DURING and self.kind in {FailureKind.ENVIRONMENT, FailureKind.IMPORT}

    @property
    def cause(self) -> tuple[str, Location | None] | None:
        """A key that is equal for all passes that fail because of the same fault in env.py; None for a revision's
        own failure.
        """
        raised = self.kind in {FailureKind.ENVIRONMENT, FailureKind.IMPORT, FailureKind.EXITED}
        alone = self.location is None or self.moment is not Moment.DURING
        return (self.message, self.outside) if raised and alone and self.outside is not None else None


class Change(Enum):
    """How a state of the database differs from the expected one."""

    LEFT_BEHIND = "left behind"
    MISSING = "missing"
    CHANGED = "changed"


class Difference(Struct, frozen=True):
    """One difference between two states of the catalogue."""

    kind: str
    """The kind of object: `table`, `column`, `constraint`, `index`, `enum type`, `sequence` … (see
    `reviewer.rehearsal.catalogue_snapshot`)."""
    name: str
    change: Change
    table: str | None = None
    """The table that the object belongs to."""
    aspect: str = ""
    """For a changed object: what has changed, for example `type` or `default`. For an index that came and that no query
    can use: `invalid`."""
    before: str | None = None
    after: str | None = None
    """For a changed object: the two values. For one that is missing or left behind: `after` is its definition."""


def seen_between(passes: Iterable[Pass], first: str, last: str) -> bool:
    """Whether other sessions see a state between what the revisions `first` and `last` do in the deploy: not where
    one transaction runs both.
    """
    deployed = [each for each in passes if each.rehearsal is Rehearsal.DEPLOYED]
    seen: set[int | None] = set()
    for each in dropwhile(lambda each: each.revision != first, deployed):
        for statement in each.statements:
            if statement.origin is Origin.REVISION:
                ran = statement.observation.transaction if statement.observation is not None else None
                seen.add(ran if statement.in_transaction else None)
        if each.revision == last:
            break
    return None in seen or len(seen) > 1


class Loss(Struct, frozen=True):
    """Values of one column, or rows of one table, that did not survive the round trip."""

    table: str
    column: str | None
    """None for whole rows."""
    values: int
    """How many are lost or changed."""
    of: int
    """How many there were."""
    before: str | None = None
    after: str | None = None
    """One example. None stands for NULL, or for a row that no longer exists."""
    allowed_before: bool = True
    """Whether the schema before the upgrade can hold everything that was written. If not, the downgrade cannot keep
    it unchanged: NULL in a column that was NOT NULL, or a row with values in new columns."""

    @property
    def fills(self) -> bool:
        """Whether only NULLs were replaced, so that no value is lost."""
        return self.column is not None and self.before is None and self.after is not None


class FailingOld(Struct, frozen=True):
    """A revision of the history that runs with the code of the base commit but fails with the branch's code."""

    revision: str
    failure: Failure


class Pass(Struct, frozen=True):
    """One run of one revision in one direction."""

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
    """Whether the tables held rows. False for the run that follows a failure on rows."""
    worst: bool = False
    """Whether the rows were the worst that the schema before the upgrade allows, instead of ordinary ones."""
    collided: bool = False
    """Whether it failed because a generated row has the key of one that the revision inserts. Then the rehearsals
    have met generated rows with other keys."""
    written: tuple[str, ...] = ()
    """For a downgrade that was tried on rows which only the upgraded schema allows: what those rows held, in
    words."""
    compared: bool = False
    """Whether the state afterwards was compared: after a downgrade with the state before the upgrade, after a
    second upgrade with the state after the first."""
    differences: tuple[Difference, ...] = ()
    """The differences in the catalogue that the comparison found."""
    losses: tuple[Loss, ...] = ()
    """The losses that the comparison found in rows that existed before the upgrade."""
    new_losses: tuple[Loss, ...] = ()
    """The losses in rows and values that were written after the upgrade, in columns that existed before it."""
    brought: tuple[str, ...] = ()
    """For a downgrade: tables and columns of the upgraded state that it removed, with everything that was written
    to them."""
    unread: tuple[str, ...] = ()
    """For a downgrade: tables that the revision uses and whose rows could not be compared."""
    unrun: tuple[Statement, ...] = ()
    """For a failed upgrade or downgrade: the statements after the one that failed, as Alembic renders them without
    a database. Their effects were not observed."""


def furthest(passes: Iterable[Pass], direction: Direction) -> Pass | None:
    """Return the pass in `direction` that is judged and reported; None if none ran."""
    ran = [each for each in passes if each.direction is direction and each.outcome is not Outcome.SKIPPED]
    return max(ran, key=reach, default=None)


def reach(each: Pass) -> tuple[bool, bool, bool, int]:
    """Return a sort key for how far a pass went. A successful pass comes before a failed one; then the deployed
    pass, the one with rows, and the longest.
    """
    return (each.outcome is Outcome.OK, each.rehearsal is Rehearsal.DEPLOYED, each.rows, len(each.statements))
