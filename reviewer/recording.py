"""The recording: what happened when the revisions were run. The seam between running and judging.

Everything before it needs Python, git and PostgreSQL; everything after it is a pure function of it.
Frozen dataclasses with a JSON form (`dumps`, `loads`) that is the same again after a round trip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from reviewer.errors import RecordingError
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name

FORMAT = 1
"""Version of the JSON form. A recording of another version is refused."""


NOT_THERE = frozenset({"42P01", "42703", "42704", "42883", "3F000"})
"""SQLSTATEs for a table, column, object, function or schema that does not exist."""


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


class Mode(Enum):
    """What a recording rests on: a live server, or text alone."""

    OBSERVED = "observed"
    STATIC = "static"


class Origin(Enum):
    """Who caused a statement: the revision file, env.py, or Alembic's own bookkeeping."""

    REVISION = "revision"
    ENVIRONMENT = "environment"
    ALEMBIC = "alembic"


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
class Location:
    """A line of a file, the path relative to the project's git root (or as given outside git)."""

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Relation:
    """A table, index, view or sequence as the server knew it when the statement had run."""

    schema: str
    name: str
    kind: str
    """`table`, `partitioned table`, `index`, `partitioned index`, `view`, `materialized view`, `sequence`,
    `foreign table` or `other`."""
    new: bool = False
    """Created in the same deploy, so nobody else uses it yet."""
    table: str | None = None
    """Of an index: the table it belongs to, in the same schema."""
    table_new: bool = False
    """Of an index: whether that table was created in the same deploy."""

    @property
    def as_name(self) -> Name:
        """The same as a `Name`."""
        return Name(self.name, self.schema)

    @property
    def is_table(self) -> bool:
        """Whether rows live in it: a table, partitioned or foreign table, or a materialized view."""
        return self.kind in {"table", "partitioned table", "foreign table", "materialized view"}

    def hindered_by(self, mode: LockMode) -> bool:
        """Whether ordinary work on it waits while `mode` is held: reads, or writes, which a materialized view has
        none of.
        """
        return mode.blocks_reads or (mode.blocks_writes and self.kind != "materialized view")

    def __str__(self) -> str:
        return str(self.as_name)


@dataclass(frozen=True)
class Lock:
    """A lock that a statement took and that its transaction did not hold before."""

    relation: Relation
    mode: LockMode


@dataclass(frozen=True)
class Scan:
    """A sequential scan of a whole table; `rows` is how many rows were read in the rehearsal."""

    relation: Relation
    rows: int


@dataclass(frozen=True)
class Observation:
    """What PostgreSQL did while one statement ran, seen from inside its transaction."""

    locks: tuple[Lock, ...] = ()
    rewritten: tuple[Relation, ...] = ()
    """Tables whose storage was written anew (another relfilenode), existing ones only."""
    scanned: tuple[Scan, ...] = ()
    built: tuple[Relation, ...] = ()
    """Indexes that were built or rebuilt."""
    messages: tuple[str, ...] = ()
    """The server's own words at level DEBUG1 and above, in English."""
    lock_timeout: int = 0
    """The effective lock_timeout at the statement in milliseconds, 0 where none is set."""
    statement_timeout: int = 0
    """The effective statement_timeout in milliseconds, 0 where none is set."""
    transaction: int | None = None
    """Which transaction of the rehearsal this ran in, counted from 1; None: in none, committed at once."""

    def says(self, words: str) -> bool:
        """Whether the server said something that contains `words`."""
        return any(words in message for message in self.messages)


@dataclass(frozen=True)
class Statement:
    """One statement as it was sent to the server. `sql` is never a rendering of ours."""

    sql: str
    location: Location | None = None
    """The line of the revision file that caused it; None for env.py's and Alembic's own."""
    origin: Origin = Origin.REVISION
    seconds: float = 0.0
    in_transaction: bool = True
    rows: int | None = None
    """Rows that it reports to have changed or returned, where the driver tells."""
    parameters: tuple[str, ...] = ()
    """Bound values: numbers and dates as they are, anything else described, never shown."""
    connection: int = 1
    """Which of the migration's connections ran it, counted from 1 in order of first use."""
    error: str | None = None
    """The server's message where it refused the statement."""
    sqlstate: str | None = None
    observation: Observation | None = None
    left_out: int = 0
    """Characters that `sql` is short of at its end: what is very long is not kept as a whole."""


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

    @property
    def is_merge(self) -> bool:
        """Whether it only joins branches: more than one parent."""
        return len(self.down_revisions) > 1


@dataclass(frozen=True)
class Skipped:
    """Something that could not be looked at, and the true reason."""

    what: str
    reason: str


@dataclass(frozen=True)
class Column:
    """A column of the base state, its type as `format_type` prints it."""

    name: str
    type: str
    nullable: bool = True
    default: str | None = None


@dataclass(frozen=True)
class Constraint:
    """A constraint of the base state; `definition` is `pg_get_constraintdef`."""

    name: str
    kind: str
    """`check`, `foreign key`, `unique`, `primary key`, `exclusion`, `not null` or `trigger`."""
    columns: tuple[str, ...]
    definition: str
    valid: bool = True
    referenced: Name | None = None


@dataclass(frozen=True)
class Index:
    """An index of the base state; `definition` is `pg_get_indexdef`."""

    name: str
    columns: tuple[str, ...]
    """Key columns in order; an expression is an empty string."""
    definition: str
    unique: bool = False
    valid: bool = True
    constraint: str | None = None
    """The constraint that it backs."""


@dataclass(frozen=True)
class Table:
    """A table, view or materialized view of the base state."""

    name: Name
    kind: str
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    partition_of: Name | None = None
    rows: int = 0
    """Rows that it had when the rehearsal began."""
    policies: tuple[str, ...] = ()
    """Names of its row security policies."""

    def column(self, name: str) -> Column | None:
        """The column called `name`, if there is one."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Enumeration:
    """An enum type of the base state, its labels in order."""

    name: Name
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """What the database looked like at the base state; without a server, what the earlier revisions' text tells."""

    tables: tuple[Table, ...] = ()
    enums: tuple[Enumeration, ...] = ()
    types: tuple[Name, ...] | None = None
    """Without a server: every type that the revisions before have created; None where others may be there."""
    domains: tuple[Name, ...] = ()
    """Without a server: domains with a constraint that the revisions before have created."""
    volatile: tuple[Name, ...] = ()
    """Without a server: functions that the revisions before have created as volatile."""

    def table(self, name: Name) -> Table | None:
        """The table called `name`, if there is one."""
        return next((table for table in self.tables if table.name.matches(name)), None)


@dataclass(frozen=True)
class Server:
    """The PostgreSQL that was the witness."""

    version: str
    source: str
    """`local`, `embedded`, `container` or `url`."""

    @property
    def major(self) -> int:
        """The major version, for example 16."""
        return int(self.version.split(".")[0].split()[0])


@dataclass(frozen=True)
class Environment:
    """What the project's interpreter has."""

    python: str = ""
    alembic: str = ""
    sqlalchemy: str = ""
    driver: str = ""


@dataclass(frozen=True)
class TransactionMode:
    """How env.py configures transactions."""

    per_migration: bool = False
    transactional_ddl: bool = True


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


@dataclass(frozen=True)
class Broken:
    """Something that the code of the base commit does, that ran before the new revisions and does not run after."""

    table: Name
    model: str
    statements: tuple[str, ...]
    """Which of its statements: `select`, `insert`, `update`, `delete`."""
    sql: str
    """One of them, as it was sent."""
    error: str
    sqlstate: str | None = None
    column: str | None = None
    """The column that it fails on, where that is known."""
    revision: str | None = None
    """The revision after which it fails."""


@dataclass(frozen=True)
class Mapped:
    """A table that the models of the base commit know."""

    table: Name
    model: str
    columns: tuple[str, ...]
    tried: tuple[str, ...] = ()
    """Which of its statements ran before the new revisions and were tried after them."""


@dataclass(frozen=True)
class OldCode:
    """The code of the base commit, which is running while the migration runs, on the new schema."""

    commit: str = ""
    """Full object name; empty where git names none."""
    mapped: tuple[Mapped, ...] | None = None
    """None: it was not tried."""
    broken: tuple[Broken, ...] = ()
    stale: tuple[Name, ...] = ()
    """Tables whose SELECT, prepared before the upgrade, PostgreSQL refuses to go on with: other types come back."""
    reason: str = ""
    """Why it was not tried."""


@dataclass(frozen=True)
class Disagreement:
    """Something that autogenerate would write for the models at head and the upgraded database, and that it would
    not have written at base.
    """

    code: str
    """The operation, as `op.` lines."""
    kind: str
    """Alembic's class of the operation."""
    table: Name | None = None
    column: str | None = None
    name: str | None = None
    """Of an index or a constraint."""


@dataclass(frozen=True)
class ClientDefault:
    """A column of the models at head that is new, with a default that only Python knows."""

    table: Name
    column: str
    model: str
    default: str
    """As Python shows it; a function with brackets behind."""


@dataclass(frozen=True)
class Relationship:
    """A one-to-many relationship of the models at head, over a foreign key of a column that is new."""

    model: str
    attribute: str
    table: Name
    """The table with the foreign key."""
    column: str
    cascades: bool
    """Whether deleting the one deletes the many: `cascade` has `delete`."""
    passive_deletes: bool
    ondelete: str
    """What the foreign key says, in upper case; empty: nothing."""
    nullable: bool = True


@dataclass(frozen=True)
class Models:
    """What the models at head say of what the new revisions add."""

    defaults: tuple[ClientDefault, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True)
class Control:
    """What env.py does where a revision fails: asked with a step of the reviewer's own that must fail."""

    tried: tuple[str, ...] = ()
    """How it was made to fail: `exception`, `statement`. Empty: it was not asked."""
    swallowed: tuple[str, ...] = ()
    """Those of them after which env.py ended without an error."""
    ended: str = ""
    """How it ended then, in words."""
    location: Location | None = None
    """The line of env.py that runs the migrations."""
    reason: str = ""
    """Why it was not asked, or not in every way."""


@dataclass(frozen=True)
class Refused:
    """An ordinary statement that ran before a revision and that PostgreSQL refuses after it."""

    subject: Name
    """The table, view, function or enum type that it uses, by the name that it had before."""
    kind: str
    """What that is: `table`, `view`, `function`, `enum type` …"""
    action: str
    """`select`, `insert`, `update`, `delete`, `on conflict`, `call` or `label`."""
    sql: str
    """The statement, values left out where they are long."""
    error: str
    """PostgreSQL's words."""
    sqlstate: str
    columns: tuple[str, ...] = ()
    """The columns that it names."""
    column: str | None = None
    """The column that it fails on, where that is known."""
    constraint: str | None = None
    function: str | None = None
    """The innermost function that ran when it failed."""
    function_line: int | None = None
    """The line of that function's body."""
    role: str = ""
    """As whom: `owner`, `application`; empty where it makes no difference."""
    fresh: bool = False
    """Whether it was written for the upgraded schema, so that new code fails as well."""


@dataclass(frozen=True)
class Counter:
    """A column that a sequence fills, as a revision leaves it."""

    table: Name
    column: str
    sequence: Name
    next: int
    """The value that it gives next."""
    highest: int | None
    """The highest value in the column; None where the table is empty."""
    ends: int
    """The highest value that the sequence's type holds."""
    type: str
    """The sequence's type."""
    column_type: str
    was_behind: bool = False
    """Whether its next value stood at or below the highest before the revision too."""
    was_narrow: bool = False
    """Whether its type was smaller than the column's before the revision too."""


@dataclass(frozen=True)
class Visible:
    """How many rows of a table with row security a role sees."""

    table: Name
    role: str
    """`owner`, one that is no superuser, or `application`."""
    rows: int
    """How many there were before the revision."""
    before: int
    """How many of them the role saw then."""
    after: int
    """How many rows it sees after the revision."""
    forced: bool = False
    """Whether the owner was subject to row security before the revision."""


@dataclass(frozen=True)
class StaleIndex:
    """An index whose expression gives other values now than those that it was built with."""

    table: Name
    index: str
    function: Name
    """The function that does it."""
    rows: int


@dataclass(frozen=True)
class Afterwards:
    """What is otherwise once a revision has run, tried and read right before it and right after it."""

    revision: str
    tried: int = 0
    """Statements that ran before it and were tried after it."""
    refused: tuple[Refused, ...] = ()
    counters: tuple[Counter, ...] = ()
    """Of the tables that it touches or makes."""
    visible: tuple[Visible, ...] = ()
    stale: tuple[StaleIndex, ...] = ()
    changes: tuple[Difference, ...] = ()
    """What it did to the catalogue."""


@dataclass(frozen=True)
class Recording:
    """Everything that is known of one tree's new revisions after they have been run."""

    tool: str
    """Version of the reviewer that wrote it."""
    mode: Mode
    revisions: tuple[Revision, ...]
    """The new revisions, parents first."""
    passes: tuple[Pass, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    server: Server | None = None
    environment: Environment = Environment()
    transactions: TransactionMode = TransactionMode()
    history: History = History()
    base: Catalogue = Catalogue()
    tree: str = ""
    """Name of the migration tree where a project has several."""
    errors: tuple[str, ...] = ()
    """Why revisions could not be reviewed, one sentence each with its way out."""
    one_way: tuple[str, ...] = ()
    """Revisions of which the configuration says that nobody goes back over them."""
    trials: tuple[Pass, ...] = ()
    """Passes beside the two rehearsals that failed: on the worst rows that the base state allows, and downgrades
    on rows that only the upgraded schema allows. What passed is not kept."""

    old_code: OldCode = OldCode()
    models: Models = Models()
    control: Control = Control()
    afterwards: tuple[Afterwards, ...] = ()
    """What each revision that was run step by step has changed for those who use the database."""

    @property
    def migration_tree(self) -> str:
        """The same as `tree`, without the revision that it names where each was rehearsed as a release of its own."""
        only = self.revisions[0].id if len(self.revisions) == 1 else None
        return self.tree.removesuffix(f"@{only}")

    def after(self, revision: str) -> Afterwards | None:
        """What is otherwise once that revision has run; None where nobody could look."""
        return next((each for each in self.afterwards if each.revision == revision), None)

    def passes_of(self, revision: str) -> tuple[Pass, ...]:
        """The passes of one revision, in the order they ran."""
        return tuple(each for each in self.passes if each.revision == revision)


def furthest(passes: Iterable[Pass], direction: Direction) -> Pass | None:
    """The pass in `direction` that is judged and told of, if one ran."""
    ran = [each for each in passes if each.direction is direction and each.outcome is not Outcome.SKIPPED]
    return max(ran, key=reach, default=None)


def reach(each: Pass) -> tuple[bool, bool, bool, int]:
    """How far a pass went: one that ended well before one that failed, then the deployed one, with rows, the longest."""
    return (each.outcome is Outcome.OK, each.rehearsal is Rehearsal.DEPLOYED, each.rows, len(each.statements))


def dumps(recordings: Sequence[Recording]) -> str:
    """The recordings of one review, one for each tree, as JSON text."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(_File(FORMAT, tuple(recordings))), indent=1).decode()


def loads(text: str | bytes, file: str = "the file") -> tuple[Recording, ...]:
    """The recordings that `dumps` wrote into `file`. Raises `RecordingError` for another version, cut short, or no recording."""
    import msgspec

    way_out = "Make it again with `alembic-reviewer review --save-recording FILE`."
    try:
        found = msgspec.json.decode(text, type=_OnlyFormat).format
        if found != FORMAT:
            raise RecordingError(
                f"The recording in {file} has format {found}; this version reads format {FORMAT}.", way_out
            )
        return msgspec.json.decode(text, type=_File).recordings
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError(f"There is no recording in {file}, or it is cut short: {error}.", way_out) from None


@dataclass(frozen=True)
class _OnlyFormat:
    format: int


@dataclass(frozen=True)
class _File:
    format: int
    recordings: tuple[Recording, ...]
