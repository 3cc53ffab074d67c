"""The protocol between the reviewer and the runner: commands that go to the runner, and events that come back.

Messages are JSON, one object per line, over a socket. The reviewer sends `SetUp` once, and then one command at a
time. Each command ends with `Done` or `Failed`; if the process ends without either, the migration has ended it.
Each line from the runner starts with the seal of `SetUp`, which nothing else knows, and the number of the line:
`SEAL NUMBER {...}`.

The runner (`reviewer/runner/in_environment.py`) uses only the standard library of the project's Python and cannot
import this module; `tests/runner/test_protocol.py` checks what it reads and writes against these types. Events come
from a process that runs untrusted code, so each one is validated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Union

import msgspec

from reviewer.host.files import Stamp
from reviewer.sql.names import VERSION_TABLE

if TYPE_CHECKING:
    from reviewer.postgres.server import Address as ServerAddress

PROTOCOL = 2
"""Protocol version. The runner sends its own version first: it differs if the package was replaced during a
review."""
MAX_EVENT_BYTES = 17 * 1024 * 1024
"""Bytes. A longer line cannot be an event: the runner sends none above 16 MB (`reviewer/runner/limits.py`)."""
MAX_COMMAND_BYTES = 1024 * 1024 * 1024
"""Bytes of all events of one command."""


# -- to the runner --------------------------------------------------------------------------------


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """First message to the runner: what it needs to know about the project. It is the same for every command."""

    seal: str
    """Text that starts every line of the runner."""
    directory: str
    """The folder that the migrations run in."""
    stack_file: str
    """The file that the runner writes its stack to when it receives a signal."""
    own_lock_timeout: str
    """The lock_timeout of scratch databases, so that a setting of the project can be recognized."""
    config: str | None = None
    toml: str | None = None
    section: str | None = None
    script_location: str | None = None
    flask: bool = False
    x: tuple[str, ...] = ()
    launcher: str | None = None
    moved: tuple[str, str] | None = None
    """Set when the code of another commit runs: the working tree, and the checkout that replaces it."""
    depends: bool = False
    """Whether commands may ask which files the project's code has read."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where the throw-away server listens. A host that starts with `/` is the folder of a socket."""

    host: str
    port: int
    user: str
    password: str | None = None
    sslmode: str | None = None

    @classmethod
    def of(cls, address: ServerAddress) -> Address:
        """Convert the server's address."""
        return cls(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            sslmode=None if address.is_socket else address.sslmode,
        )


class Settled(msgspec.Struct, array_like=True, frozen=True):
    """A revision whose file need not be loaded unless it runs."""

    stamp: Stamp
    """What the file looks like, as long as that is true."""
    revision: str
    down_revisions: tuple[str, ...]
    depends_on: tuple[str, ...]
    branch_labels: tuple[str, ...]


class Command(msgspec.Struct, tag_field="do", frozen=True, kw_only=True):
    """Base of all commands. The tag is the name of the runner's method."""

    database: str = ""
    """The database of the throw-away server to which every connection of the project is redirected."""
    address: Address | None = None
    """None for a command that needs no server."""
    observe: bool = False
    """Whether the runner observes what each statement does."""
    timed: bool = False
    """Whether to tell how long each line took instead of every statement."""
    silent: bool = False
    """Whether to report no statement but one that fails."""
    environ: dict[str, str] = {}
    """Environment variables of env.py that differ between commands."""
    settled: tuple[Settled, ...] = ()
    """For this command and all that follow in the same process."""


class Upgrade(Command, tag="upgrade", frozen=True, kw_only=True):
    """Upgrade in one run, as `alembic upgrade` does."""

    to: tuple[str, ...]
    """Ids of the target revisions. If empty, no revision runs."""
    depends: bool = False
    """Whether to report which files the project's code has read by then."""


class Step(Command, tag="step", frozen=True, kw_only=True):
    """Run one revision by itself."""

    revision: str
    direction: Literal["upgrade", "downgrade"]
    then: tuple[str, ...] = ()
    """Revisions that follow it in the same direction, in the same run of env.py."""


class Offline(Command, tag="offline", frozen=True, kw_only=True):
    """Render revisions as SQL without a database, each by itself."""

    revisions: tuple[str, ...]
    downgrade: bool = False


class Describe(Command, tag="describe", frozen=True, kw_only=True):
    """Run env.py without any revision."""


class Control(Command, tag="control", frozen=True, kw_only=True):
    """Run a step of the reviewer that must fail."""

    way: str
    """`exception`, `statement` or `duplicate`."""


class Probe(Command, tag="probe", frozen=True, kw_only=True):
    """Try the statements of the models on `database`, and try those that succeed there on `head`."""

    head: str
    tables: tuple[tuple[str, str], ...] | None = None
    """Schema and name of the tables to try; None for all."""


class Compare(Command, tag="compare", frozen=True, kw_only=True):
    """Compare the models with the database as autogenerate does."""

    facts: bool = False
    """Whether to report facts about the models as well."""
    to: tuple[str, ...] = ()
    """The revisions that env.py is given as the target, as in an upgrade to them."""


class Create(Command, tag="create", frozen=True, kw_only=True):
    """Create the tables of the models, and stamp the database with the revisions `stamp`."""

    stamp: tuple[str, ...]


AnyCommand = Union[Upgrade, Step, Offline, Describe, Control, Probe, Compare, Create]


# -- from the runner ------------------------------------------------------------------------------


class Event(msgspec.Struct, tag_field="event", frozen=True, forbid_unknown_fields=True):
    """Base of all events. A key that is not declared here is a bug in the runner, and is rejected."""


class Hello(Event, tag="hello", frozen=True):
    """First event: protocol number and versions."""

    protocol: int
    python: str
    executable: str
    drivers: dict[str, str]
    pid: int
    alembic: str = ""
    sqlalchemy: str = ""


class Ready(Event, tag="ready", frozen=True):
    """Alembic and SQLAlchemy are imported."""


class ModeEvent(Event, tag="mode", frozen=True):
    """env.py has configured a migration context."""

    per_migration: bool
    transactional_ddl: bool
    dialect: str
    driver: str
    version_table: str = VERSION_TABLE
    version_table_schema: str | None = None
    models: bool = True
    """Whether it names any models, as `target_metadata`."""


class Again(Event, tag="again", frozen=True):
    """env.py has run migrations more than once, for example on several databases."""

    count: int


class RevisionEvent(Event, tag="revision", frozen=True):
    """A revision begins or has ended."""

    phase: Literal["begin", "end"]
    id: str
    direction: Literal["upgrade", "downgrade"]
    seconds: float = 0.0


class Begin(Event, tag="begin", frozen=True):
    """A statement is about to be sent."""

    n: int
    sql: str
    path: str | None
    line: int | None
    origin: Literal["revision", "environment", "alembic"]
    parameters: list[str]
    connection: int
    left_out: int = 0


class RawRelation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A relation as the runner describes it."""

    schema: str
    name: str
    kind: str
    new: bool
    table: str | None = None
    table_new: bool = False


class RawObservation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the server did, before conversion to the types of the recording."""

    lock_timeout: int
    statement_timeout: int
    transaction: str | None
    messages: list[str]
    locks: list[tuple[RawRelation, str]]
    rewritten: list[RawRelation]
    scanned: list[tuple[RawRelation, int]]
    built: list[RawRelation]
    written: list[tuple[RawRelation, int, int]]


class Ended(Event, tag="statement", frozen=True):
    """A statement has ended, successfully or not."""

    n: int
    seconds: float
    in_transaction: bool
    rows: int | None = None
    error: str | None = None
    sqlstate: str | None = None
    observation: RawObservation | None = None


class Observed(Event, tag="observed", frozen=True):
    """What the server did in a statement that has ended. Sent later: the server answers while the migration continues."""

    n: int
    observation: RawObservation


class Slept(Event, tag="slept", frozen=True):
    """A revision has slept after the statement with this number."""

    n: int
    path: str | None
    line: int | None
    seconds: float


class Counted(Event, tag="counted", frozen=True):
    """One line has sent more statements than are reported: the first `told` of `count` were."""

    path: str | None
    line: int | None
    origin: Literal["revision", "environment", "alembic"]
    told: int
    count: int


class RawTaken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one statement of one line took in all, or all statements of a line (`block`)."""

    path: str | None
    line: int | None
    origin: Literal["revision", "environment", "alembic"]
    sql: str
    count: int
    seconds: float
    between: float
    block: bool
    waited: float = 0.0


class Timed(Event, tag="timed", frozen=True):
    """How long each line of a revision took, in the order in which they first ran."""

    id: str
    direction: Literal["upgrade", "downgrade"]
    taken: list[RawTaken]


class Rendered(Event, tag="rendered", frozen=True):
    """A statement that was rendered without a database."""

    sql: str
    path: str | None
    line: int | None
    origin: Literal["revision", "environment", "alembic"]
    inside: bool
    left_out: int = 0


class ControlEvent(Event, tag="control", frozen=True):
    """What env.py does when a step of the reviewer fails. `failing`: the step fails now; `ended`: env.py has ended."""

    phase: Literal["failing", "ended"]
    way: str
    path: str | None = None
    line: int | None = None
    depends: list[str] = []
    """Files that the failure passes through on its way out."""
    error: str | None = None
    """If `ended`: the error that it ended with; None if it ended without one."""
    status: int | None = None
    """If `ended`: the exit status that it asked for; None if it asked for none."""


class Depends(Event, tag="depends", frozen=True):
    """Absolute paths that the project's code has read or asked for so far, whether they exist or not."""

    files: list[str]
    listed: list[str]
    """Folders whose entries it has listed."""
    searched: list[str]
    """Folders that were searched for modules."""
    sites: list[str]
    """Folders of installed packages."""
    started: bool
    """Whether it has started other processes. Nothing is known about what those read."""


class _Failure(Event, frozen=True, kw_only=True):
    """What went wrong, and where."""

    kind: str
    message: str
    path: str | None = None
    line: int | None = None
    in_revision: bool = False
    sqlstate: str | None = None
    deliberate: bool = False
    caused_path: str | None = None
    """If not `in_revision`: the revision's line that led to the failure."""
    caused_line: int | None = None
    worded: str = ""
    """If the project raised another exception because a statement failed: its message."""
    statement: int | None = None
    """The number of the statement that failed."""
    added: dict[str, str] = {}
    """What PostgreSQL reported in addition to its message: `detail`, `hint` and `context`."""


class Failed(_Failure, tag="failed", frozen=True, kw_only=True):
    """The command failed in a way that the runner can name."""

    fatal: bool = False


class Unrendered(_Failure, tag="unrendered", frozen=True, kw_only=True):
    """One revision cannot be rendered without a database. The others continue."""

    id: str


class Described(Event, tag="describe", frozen=True):
    """Where the project's revisions are, as env.py has configured them."""

    directory: str
    folders: list[str]


class RawBroken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Statements that ran on the state before and fail on the state after."""

    statements: list[str]
    column: str | None
    sql: str
    error: str
    sqlstate: str | None = None
    beneath: bool = False
    """Whether it shows only without the columns that something else is wrong with."""
    least: bool = False
    """Whether only an INSERT with the required columns fails so."""


class MappedEvent(Event, tag="mapped", frozen=True):
    """A table as the models define it, and what was tried on it."""

    table: str
    model: str
    columns: list[str]
    omitted: list[str]
    tried: list[str]
    broken: list[RawBroken]
    schema: str | None = None
    untried: str = ""
    """What could not be tried and why, if it is not the server that refused it."""


class DiffersEvent(Event, tag="differs", frozen=True):
    """An operation that autogenerate would write."""

    code: str
    kind: str
    schema: str | None = None
    table: str | None = None
    column: str | None = None
    name: str | None = None


class FactEvent(Event, tag="fact", frozen=True):
    """A client-side default or a one-to-many relationship of the models."""

    kind: Literal["default", "relationship"]
    model: str
    table: str
    column: str
    schema: str | None = None
    detail: str = ""
    callable: bool = False
    attribute: str = ""
    cascades: bool = False
    passive_deletes: bool = False
    ondelete: str = ""
    nullable: bool = True


class Done(Event, tag="done", frozen=True):
    """The command has succeeded. `calls` counts how often env.py has run migrations, `connected` the connections
    made.
    """

    calls: int
    connected: int


class Lost(Event, tag="lost", frozen=True):
    """An event that the runner could not send, and why."""

    what: str
    reason: str


AnyEvent = Union[
    Hello,
    Ready,
    ModeEvent,
    Again,
    RevisionEvent,
    Begin,
    Ended,
    Observed,
    Slept,
    Counted,
    Timed,
    Rendered,
    ControlEvent,
    Depends,
    Failed,
    Unrendered,
    Described,
    MappedEvent,
    DiffersEvent,
    FactEvent,
    Done,
    Lost,
]

# -- the lines ------------------------------------------------------------------------------------

_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyEvent)


class Unreadable(Exception):
    """A line that is not an event of the runner, or an event that it could not send. The message says which."""


class Lines:
    """Decodes the lines on the channel, and checks that each comes from the runner and none is missing.

    Each line starts with the seal, which is known only to the runner, and a number. A process that finds the
    descriptor and writes to it is noticed, and so is a lost line.
    """

    def __init__(self, seal: str) -> None:
        self._seal = seal.encode()
        self._number = 0
        self._parts: list[bytes] = []
        self._waiting = 0
        self._taken = 0

    def begin(self) -> None:
        """Begin a new command: bytes received so far no longer count towards the limit."""
        self._taken = 0

    def feed(self, data: bytes) -> Iterator[AnyEvent]:
        """Yield the events that are complete with `data`. Raises `Unreadable`."""
        self._taken += len(data)
        if self._taken > MAX_COMMAND_BYTES:
            raise Unreadable(f"more than {MAX_COMMAND_BYTES >> 20} MB came for one command")
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._parts.append(line)
            event = self._event(b"".join(self._parts))
            self._parts, self._waiting = [], 0
            yield event
        if rest:
            self._parts.append(rest)
            self._waiting += len(rest)
            if self._waiting > MAX_EVENT_BYTES:
                raise Unreadable(f"a line of more than {MAX_EVENT_BYTES >> 20} MB came in place of an event")

    def _event(self, line: bytes) -> AnyEvent:
        self._number += 1
        seal, _, rest = line.partition(b" ")
        number, _, text = rest.partition(b" ")
        if seal != self._seal:
            raise Unreadable(
                f"a line that is not the runner's came in place of event {self._number} ({_shown(line)})"
            )
        if number != b"%d" % self._number:
            raise Unreadable(f"event {self._number} is missing")
        try:
            event: AnyEvent = _DECODER.decode(text)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Unreadable(f"event {self._number} cannot be decoded: {error} ({_shown(text)})") from None
        if isinstance(event, Lost):
            raise Unreadable(f"event {self._number}, `{event.what[:40]}`, could not be sent: {event.reason[:200]}")
        return event


def _shown(line: bytes) -> str:
    """Return the beginning of a line, for use in a sentence."""
    text = line[:60].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text) + (
        " ..." if line[60:] else ""
    )
