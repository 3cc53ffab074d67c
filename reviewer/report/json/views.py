"""The JSON report, type by type, in the order of its keys. Its JSON Schema is made from these classes.

Keys are only ever added while `schema` is 1. What has a default here may be absent from a report of an earlier
version.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from reviewer.recording import (
    Change,
    Direction,
    FailureKind,
    Mode,
    Moment,
    Origin,
    Outcome,
    Rehearsal,
)
from reviewer.replay.effects import Kind
from reviewer.review.finding import Basis, Severity
from reviewer.review.fit import Kind as FitKind
from reviewer.review.rollback_label import Label
from reviewer.review.verdict import Source, Verdict
from reviewer.sql.locks import LockMode

Natural = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Sql = Annotated[str, Meta(description="The statement as it was sent to the server.")]
Path = Annotated[
    str | None, Meta(description="File, relative to the project's git root; null where there is none.")
]
Line = Annotated[Natural | None, Meta(description="Line of the file, counted from 1; null where there is none.")]
SpelledMode = Annotated[LockMode, Meta(description="A table-level lock mode as the manual spells it.")]
TreeName = Annotated[str, Meta(description="Name of the tree; empty where there is only one.")]


class FailOn(Enum):
    """The severities, and none of them."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"
    NEVER = "never"


class View(Struct, frozen=True, kw_only=True):
    """Base of all objects in the report."""


class Tool(View, frozen=True, kw_only=True):
    """The tool that wrote the report."""

    name: Literal["alembic-reviewer"]
    version: Annotated[str, Meta(description="Version of alembic-reviewer.")]


class Postgres(View, frozen=True, kw_only=True):
    """A PostgreSQL server."""

    version: Annotated[str, Meta(description="Its version, for example 18.4.")]
    source: Annotated[str, Meta(description="Where it came from: local, embedded, container or url.")]


class OldCode(View, frozen=True, kw_only=True):
    """The code of the base commit, which is running during the deploy."""

    commit: Annotated[str | None, Meta(description="The commit whose models were tested; null if git names none.")]
    tried: Annotated[bool, Meta(description="Whether its statements were run against the new schema.")]
    reason: Annotated[str, Meta(description="Why they were not run.")]


class BaseState(View, frozen=True, kw_only=True):
    """What the state before the first revision was made from."""

    origin: Annotated[
        str | None,
        Meta(
            description="history, snapshot (of an earlier review), earlier snapshot (and the rest of the history) or"
            " models; null if there was nothing to make."
        ),
    ]
    base_schema: Annotated[bool, Meta(description="Whether a base schema was applied first.")]
    revisions: Annotated[int, Meta(description="How many revisions it holds.")]
    replayed: Annotated[int, Meta(description="How many of them were run in this review.")]
    seconds: Annotated[float, Meta(description="How long it took.")]
    commit: Annotated[
        str | None, Meta(description="The commit whose code the history was run with; null for the working tree's.")
    ]


class Table(View, frozen=True, kw_only=True):
    """A table with its rows."""

    schema: Annotated[str | None, Meta(description="Its schema.")]
    name: Annotated[str, Meta(description="Its name.")]
    kind: Annotated[
        str, Meta(description="What it is: table, partitioned table, view, materialized view, foreign table.")
    ]
    rows: Annotated[Natural, Meta(description="Rows that it had when the rehearsal began.")]


class Tree(View, frozen=True, kw_only=True):
    """One migration tree."""

    name: TreeName
    mode: Annotated[Mode, Meta(description="Whether a server ran its revisions.")]
    postgres: Annotated[Postgres | None, Meta(description="The server that ran its revisions.")]
    transaction_per_migration: Annotated[
        bool, Meta(description="Whether env.py runs each revision in a separate transaction.")
    ]
    errors: Annotated[
        tuple[str, ...], Meta(description="Those of the report's errors that are about this tree.")
    ] = ()
    old_code: OldCode | UnsetType = UNSET
    base_state: BaseState | UnsetType = UNSET
    tables: Annotated[
        tuple[Table, ...], Meta(description="The tables of the state before its first revision.")
    ] = ()
    deploy_order: Annotated[
        str,
        Meta(
            description="In which order its revisions and the code are to be deployed. Empty if either side is fine, or"
            " if it is not known."
        ),
    ] = ""


class StrongestLock(View, frozen=True, kw_only=True):
    """The strongest lock of its upgrade on tables that existed before."""

    mode: SpelledMode
    relations: Annotated[tuple[str, ...], Meta(description="Those tables.")]


class OutsidePlace(View, frozen=True, kw_only=True):
    """The line of env.py where it surfaced; null if it was raised in a revision file."""

    path: str
    line: int


class Failure(View, frozen=True, kw_only=True):
    """How it failed."""

    kind: Annotated[FailureKind, Meta(description="What went wrong.")]
    path: Path
    line: Line
    sql: Annotated[str | None, Meta(description="The statement that failed or was running.")]
    sqlstate: Annotated[str | None, Meta(description="SQLSTATE of the error.")]
    deliberate: Annotated[bool, Meta(description="The revision's own code raised deliberately.")]
    moment: Annotated[
        Moment, Meta(description="Whether the revision's own code had not begun, was running, or had ended.")
    ] = Moment.DURING
    outside: OutsidePlace | None = None


class Lock(View, frozen=True, kw_only=True):
    """A lock."""

    relation: Annotated[str, Meta(description="The locked relation.")]
    mode: SpelledMode
    new_relation: Annotated[bool, Meta(description="Whether it was created in the same deploy.")]


class Scan(View, frozen=True, kw_only=True):
    """A sequential scan."""

    relation: Annotated[str, Meta(description="The table.")]
    rows: Annotated[int, Meta(description="Rows read in the rehearsal.")]


class Relation(View, frozen=True, kw_only=True):
    """A relation."""

    relation: Annotated[str, Meta(description="The name used above.")]
    schema: Annotated[str, Meta(description="Its schema.")]
    name: Annotated[str, Meta(description="Its name.")]
    kind: Annotated[
        str,
        Meta(
            description="table, partitioned table, index, partitioned index, view, materialized view, sequence,"
            " foreign table or other."
        ),
    ]
    new: Annotated[bool, Meta(description="Created in the same deploy.")]
    table: Annotated[str | None, Meta(description="Of an index: the table it belongs to.")]
    table_new: Annotated[bool, Meta(description="Of an index: whether that table was created in the same deploy.")]


class Statement(View, frozen=True, kw_only=True):
    """A statement and what the server did while it ran."""

    sql: Sql
    path: Path
    line: Line
    seconds: Annotated[Seconds, Meta(description="How long it took in the rehearsal.")]
    in_transaction: Annotated[bool, Meta(description="Whether it ran in a transaction.")]
    locks: Annotated[
        tuple[Lock, ...], Meta(description="Locks that it took and that its transaction did not hold before.")
    ]
    rewritten: Annotated[tuple[str, ...], Meta(description="Existing tables that it rewrote.")]
    scanned: Annotated[tuple[Scan, ...], Meta(description="Tables that it scanned completely.")]
    rows: Annotated[
        int | None,
        Meta(description="Rows that it changed or returned, if the driver reports that."),
    ]
    origin: Annotated[Origin, Meta(description="Who sent it: the revision, env.py, or Alembic's bookkeeping.")]
    parameters: Annotated[tuple[str, ...], Meta(description="Its bound values, described.")]
    error: Annotated[str | None, Meta(description="The server's error message, if it rejected the statement.")]
    sqlstate: Annotated[str | None, Meta(description="SQLSTATE of that error.")]
    observed: Annotated[
        bool,
        Meta(
            description="Whether it was observed on a server; if not, the lists of locks and the like say nothing."
        ),
    ]
    transaction: Annotated[
        int | None, Meta(description="Which transaction of the rehearsal it ran in, counted from 1.")
    ]
    lock_timeout: Annotated[int, Meta(description="The effective lock_timeout in milliseconds, 0 if none is set.")]
    statement_timeout: Annotated[
        int, Meta(description="The effective statement_timeout in milliseconds, 0 if none is set.")
    ]
    built: Annotated[tuple[str, ...], Meta(description="Indexes that it built.")]
    relations: Annotated[tuple[Relation, ...], Meta(description="Every relation that the keys above name.")]


class Difference(View, frozen=True, kw_only=True):
    """One thing in which the catalogue after the pass differs from what it should be."""

    kind: Annotated[
        str, Meta(description="What it is: table, column, constraint, index, enum type, sequence and so on.")
    ]
    name: Annotated[str, Meta(description="Its name.")]
    change: Annotated[Change, Meta(description="How it differs.")]
    table: Annotated[str | None, Meta(description="The table that it belongs to.")]
    aspect: Annotated[str, Meta(description="Of a changed one: what has changed; may be empty.")]
    before: Annotated[str | None, Meta(description="Of a changed one: what it was.")]
    after: Annotated[str | None, Meta(description="Of a changed one: what it is; else its definition.")]


class Loss(View, frozen=True, kw_only=True):
    """Values of one column, or rows of one table, that did not survive upgrade and downgrade."""

    table: Annotated[str, Meta(description="The table.")]
    column: Annotated[str | None, Meta(description="The column; null: whole rows.")]
    values: Annotated[Natural, Meta(description="How many are lost or changed.")]
    of: Annotated[Natural, Meta(description="How many there were.")]
    before: Annotated[str | None, Meta(description="One example; null stands for NULL.")]
    after: Annotated[str | None, Meta(description="What it became; null stands for NULL, or for a deleted row.")]
    allowed_before: Annotated[bool, Meta(description="Whether the schema before the upgrade allows such values.")]


class Unrun(View, frozen=True, kw_only=True):
    """A statement, and the line that would send it."""

    sql: str
    path: str | None
    line: int | None


class Pass(View, frozen=True, kw_only=True):
    """One revision run once in one direction."""

    direction: Annotated[Direction, Meta(description="Which way.")]
    rehearsal: Annotated[
        Rehearsal,
        Meta(description="deployed: base to head in one upgrade. stepwise: each revision separately."),
    ]
    outcome: Annotated[Outcome, Meta(description="How it ended.")]
    seconds: Annotated[Seconds, Meta(description="How long it took.")]
    error: Annotated[str | None, Meta(description="Why it failed; null unless it did.")]
    statements: Annotated[tuple[Statement, ...], Meta(description="What it sent to the server, in order.")]
    reason: Annotated[str | None, Meta(description="Why it was skipped; null unless it was.")]
    rows: Annotated[bool, Meta(description="Whether the tables held rows.")]
    failure: Failure | None
    worst: Annotated[
        bool, Meta(description="Whether the rows were the worst that the schema before the upgrade allows.")
    ] = False
    collided: Annotated[
        bool,
        Meta(description="Whether a generated row had the key of one that the revision inserts."),
    ] = False
    written: Annotated[
        tuple[str, ...],
        Meta(description="Of a downgrade on rows that only the upgraded schema allows: their contents."),
    ] = ()
    compared: Annotated[
        bool, Meta(description="Whether the state afterwards was compared with the expected one.")
    ] = False
    differences: Annotated[tuple[Difference, ...], Meta(description="Differences found in the catalogue.")] = ()
    losses: Annotated[
        tuple[Loss, ...],
        Meta(description="Losses found in rows that existed before the upgrade."),
    ] = ()
    new_losses: Annotated[
        tuple[Loss, ...],
        Meta(description="Losses found in data written after the upgrade, in columns that existed before it."),
    ] = ()
    brought: Annotated[
        tuple[str, ...],
        Meta(description="Of a downgrade: tables and columns that were dropped with everything written to them."),
    ] = ()
    unread: Annotated[
        tuple[str, ...],
        Meta(description="Of a downgrade: tables that the revision touches and whose rows could not be compared."),
    ] = ()
    unrun: Annotated[
        tuple[Unrun, ...],
        Meta(
            description="Of a failed upgrade: the statements after the one that failed, as Alembic renders them."
            " They never ran."
        ),
    ] = ()


class Revision(View, frozen=True, kw_only=True):
    """A revision under review."""

    id: Annotated[str, Meta(description="Its id.")]
    down_revision: Annotated[tuple[str, ...], Meta(description="Ids of its parents.")]
    path: Annotated[str, Meta(description="Its file, relative to the project's git root.")]
    new: Annotated[
        bool,
        Meta(description="Always true: only new revisions are reviewed.", extra_json_schema={"const": True}),
    ]
    rollback: Annotated[
        Label,
        Meta(
            description="What a rollback does. irreversible: the downgrade raises deliberately or does not exist."
            " broken: the downgrade or the upgrade after it fails. untested: unknown."
        ),
    ]
    passes: Annotated[tuple[Pass, ...], Meta(description="The runs of this revision, in order.")]
    tree: TreeName
    message: Annotated[str, Meta(description="The first line of its docstring.")]
    phrase: Annotated[str, Meta(description="What its upgrade does, in one phrase; may be empty.")]
    depends_on: Annotated[tuple[str, ...], Meta(description="Ids it depends on besides its parents.")]
    branch_labels: Annotated[tuple[str, ...], Meta(description="Its branch labels.")]
    upgrade_line: Annotated[Natural | None, Meta(description="Line of its `def upgrade`, if known.")]
    strongest_lock: StrongestLock | None
    trials: Annotated[
        tuple[Pass, ...],
        Meta(
            description="Passes beside the two rehearsals that failed: on the worst rows, and downgrades on what only"
            " the upgraded schema allows."
        ),
    ] = ()
    one_way: Annotated[
        bool, Meta(description="Whether the configuration accepts the revision as irreversible.")
    ] = False


class Suppressed(View, frozen=True, kw_only=True):
    """The comment that suppresses it."""

    reason: Annotated[str, Meta(description="The reason given.")]
    line: Annotated[int, Meta(description="Line of the comment.")]


class Since(View, frozen=True, kw_only=True):
    """The line of the statement that took it; null for one of env.py's."""

    path: Path
    line: Line


class Held(View, frozen=True, kw_only=True):
    """A lock that is held."""

    relation: Annotated[str, Meta(description="The table.")]
    mode: SpelledMode
    since: Since | None


class Address(View, frozen=True, kw_only=True):
    """Which statement of the report."""

    revision: Annotated[str, Meta(description="Id of its revision.")]
    run: Annotated[Natural, Meta(description="Which of the revision's passes, from 0.")] = field(name="pass")
    statement: Annotated[Natural, Meta(description="Which of the pass's statements, from 0.")]


class Taken(View, frozen=True, kw_only=True):
    """A lock."""

    relation: Annotated[str, Meta(description="The table.")]
    mode: SpelledMode


class Work(View, frozen=True, kw_only=True):
    """One thing that was done."""

    kind: Annotated[
        Kind,
        Meta(description="rewrite: rewritten. scan: scanned completely. build: an index was built."),
    ]
    table: Annotated[str, Meta(description="The table.")]
    rows: Annotated[Natural | None, Meta(description="Rows read in the rehearsal, of a scan.")]
    index: Annotated[str | None, Meta(description="The index that was built.")]


class Did(View, frozen=True, kw_only=True):
    """The observed effects of a command."""

    locks: Annotated[
        tuple[Taken, ...], Meta(description="The strongest lock newly acquired on each existing table.")
    ]
    work: Annotated[
        tuple[Work, ...],
        Meta(description="Work that takes time in proportion to an existing table."),
    ]


class Growth(View, frozen=True, kw_only=True):
    """A table with whose size it grows."""

    table: Annotated[str, Meta(description="The table, as it is called where the statement runs.")]
    before: Annotated[str, Meta(description="The table, as it is called in production before the deploy.")]
    rows: Annotated[Natural | None, Meta(description="Its rows in production, estimated; null if that is unknown.")]
    bytes: Annotated[
        Natural | None,
        Meta(description="Its size in production with its indexes; null if that is unknown."),
    ]


class Fix(View, frozen=True, kw_only=True):
    """What became of the attempt to fix it."""

    title: Annotated[str | None, Meta(description="What the fix does; null where there is none.")]
    diff: Annotated[
        str | None,
        Meta(
            description="The fix, as `git apply` takes it; it was rehearsed, and nothing is worse with it. Null where"
            " there is none."
        ),
    ]
    reason: Annotated[str | None, Meta(description="Why there is none.")]
    unsafe: Annotated[
        bool, Meta(description="Whether `alembic-reviewer fix --unsafe` has one that somebody has to decide on.")
    ]


class Finding(View, frozen=True, kw_only=True):
    """One unsafe thing."""

    rule: Annotated[
        str,
        Meta(
            description="Id of the rule; `alembic-reviewer explain RULE` documents it.",
            pattern="^[a-z0-9]+(-[a-z0-9]+)*$",
            max_length=100,
        ),
    ]
    severity: Severity
    message: Annotated[str, Meta(description="What is wrong, in one sentence.")]
    revision: Annotated[str | None, Meta(description="Id of the revision; null if it belongs to none.")]
    path: Path
    line: Line
    direction: Annotated[Direction, Meta(description="Which way the revision ran.")]
    basis: Annotated[
        Basis,
        Meta(
            description="observed: seen on a server. parsed: read from the text. compared: derived by comparing two"
            " states."
        ),
    ]
    evidence: Annotated[dict[str, Any], Meta(description="Facts for programs; the keys depend on the rule.")]
    remedy: Annotated[tuple[str, ...], Meta(description="Bodies of upgrade() to write instead, one per deploy.")]
    suppressed: Suppressed | None
    tree: TreeName
    sql: Annotated[str | None, Meta(description="The statement, if it is about one.")]
    about: Annotated[tuple[str, ...], Meta(description="What it is about, for example table, name.")]
    held: Annotated[
        tuple[Held, ...],
        Meta(
            description="Locks that block and that the transaction held before the statement, on tables that existed"
            " before."
        ),
    ]
    statement: Annotated[
        Address | None,
        Meta(description="The statement that it is about; null for what is about a whole revision or deploy."),
    ] = None
    refused: Annotated[
        Address | None,
        Meta(description="The same statement in a pass in which the server rejected it; null if there is none."),
    ] = None
    grows_with: Annotated[
        tuple[Growth, ...],
        Meta(description="The existing tables with whose size grows for how long it hurts."),
    ] = ()
    takes: Annotated[
        str, Meta(description="How long its statement takes, in words; empty if that was not measured.")
    ] = ""
    did: Annotated[
        Did | None,
        Meta(
            description="The observed effects of its command; only its own share of a text with several commands. Null"
            " where it has no statement."
        ),
    ] = None
    fix: Annotated[Fix | None, Meta(description="Null where nobody asked for fixes with `--fixes`.")] = None


class Skipped(View, frozen=True, kw_only=True):
    """Something that could not be reviewed."""

    what: Annotated[str, Meta(description="What it is.")]
    reason: Annotated[str, Meta(description="Why not.")]
    tree: Annotated[
        str,
        Meta(description="Name of the tree; empty for the whole review, and where there is only one tree."),
    ]


class Unrecognized(View, frozen=True, kw_only=True):
    """A statement that was not understood."""

    sql: Sql
    path: Path
    line: Line
    tree: TreeName


class Sizes(View, frozen=True, kw_only=True):
    """Where the sizes of tables in production come from."""

    file: Annotated[str, Meta(description="Name of the file that `alembic-reviewer stats` has written.")]
    database: Annotated[str, Meta(description="The database that it is about.")]
    postgres: Annotated[str, Meta(description="Version of its server.")]
    made: Annotated[str, Meta(description="When the file was made, as 2026-11-22T10:15:00+00:00.")]
    days: Annotated[Natural | None, Meta(description="How many days old it was; null if unknown.")]


class Span(View, frozen=True, kw_only=True):
    """A range: both ends are possible, and so is all between them."""

    low: Seconds
    high: Seconds


class Measured(View, frozen=True, kw_only=True):
    """One measurement."""

    rows: Annotated[Natural, Meta(description="Rows of the tables that it works on, all together.")]
    seconds: Seconds
    waited: Annotated[
        float, Meta(ge=0, description="Seconds besides for which other work had the processors; in no estimate.")
    ] = 0.0


class Duration(View, frozen=True, kw_only=True):
    """How long one statement takes, or a block of code that sends several from one line."""

    tree: TreeName
    revision: Annotated[str, Meta(description="Id of the revision.")]
    direction: Annotated[Direction, Meta(description="Which way the revision ran.")]
    path: Path
    line: Line
    sql: Annotated[str, Meta(description="The statement; of a block the first one.")]
    statements: Annotated[Natural, Meta(description="How many statements it was at the largest size.")]
    block: Annotated[bool, Meta(description="Whether the line sends many different statements.")]
    tables: Annotated[tuple[str, ...], Meta(description="The existing tables that it works through.")]
    growth: Annotated[
        FitKind,
        Meta(
            description="flat: it does not grow. linear, worse than linear: with the rows of its tables. could not be"
            " measured: see `reason`."
        ),
    ]
    exponent: Annotated[float, Meta(description="The power of the rows with which it grows, where it is worse.")]
    reason: Annotated[str, Meta(description="Why its growth could not be measured; else empty.")]
    measured: Annotated[tuple[Measured, ...], Meta(description="What was measured, smallest first.")]
    seconds_per_row: Annotated[
        Span, Meta(description="From 0 where it does not grow, or where that could not be measured.")
    ]
    rows: Annotated[
        Natural | None, Meta(description="Rows of its tables in production, all together; null if unknown.")
    ]
    production: Annotated[Span | None, Meta(description="Seconds in production; null if a size there is unknown.")]


class Scale(View, frozen=True, kw_only=True):
    """The runs at several sizes."""

    tree: TreeName
    sizes: Annotated[tuple[Natural, ...], Meta(description="Rows of the tables in the runs.")]
    factor: Annotated[
        float, Meta(description="How many times slower production is than the machine that measured.")
    ]
    calibrated: Annotated[
        str | None, Meta(description="The revision whose time in production says so; null: 1 was assumed.")
    ]


class Report(View, frozen=True, kw_only=True):
    """The report of `alembic-reviewer review --format json`. Keys are only ever added while `schema` is 1."""

    schema: Annotated[Literal[1], Meta(description="Version of this format.")]
    tool: Tool
    verdict: Annotated[
        Verdict,
        Meta(
            description="pass: nothing found. warn: findings, all below `fail_on`. fail: a finding at or above"
            " `fail_on`. error: revisions could not be reviewed. skipped: no new revision."
        ),
    ]
    fail_on: Annotated[FailOn, Meta(description="The lowest severity that fails.")]
    postgres: Annotated[
        Postgres | None,
        Meta(
            description="The server that was used; with several trees that of the first tree that has one. Null if"
            " none ran."
        ),
    ]
    mode: Annotated[
        Source,
        Meta(
            description="observed: a server ran the revisions. static: at least one tree was read from text."
            " replayed: made from a recording."
        ),
    ]
    errors: Annotated[tuple[str, ...], Meta(description="Why revisions could not be reviewed, one sentence each.")]
    trees: Annotated[
        tuple[Tree, ...],
        Meta(description="The migration trees that were reviewed; `tree` elsewhere is one of their names."),
    ]
    revisions: Annotated[tuple[Revision, ...], Meta(description="The new revisions, parents first.")]
    findings: Annotated[
        tuple[Finding, ...],
        Meta(description="What was found, by revision, worst first; suppressed findings are among them."),
    ]
    skipped: Annotated[tuple[Skipped, ...], Meta(description="What could not be reviewed.")]
    unrecognized: Annotated[
        tuple[Unrecognized, ...],
        Meta(description="Statements that were not completely understood."),
    ]
    sizes: Annotated[
        Sizes | None, Meta(description="Where the sizes of tables in production come from; null without --stats.")
    ] = None
    scale: Annotated[
        tuple[Scale, ...], Meta(description="With --scale: the runs at several sizes, one entry for each tree.")
    ] = ()
    durations: Annotated[
        tuple[Duration, ...],
        Meta(description="With --scale: how long each statement takes, in the order in which they run."),
    ] = ()
