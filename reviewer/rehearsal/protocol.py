"""What the reviewer and the runner say to each other: the commands that go to it and the events that come back.

JSON, one object a line, over a socket. The reviewer says `SetUp` once, and then one command after the other; each ends in
`Done` or `Failed`, and where the process ends without either, the migration has ended it. What the runner says has in
front of each line the seal of `SetUp`, which nobody else knows, and the number of the line: `SEAL NUMBER {...}`.

The runner (`reviewer/runner/in_environment.py`) works with the standard library of the project's Python and cannot import this:
`tests/runner/test_protocol.py` holds what it reads and writes to these types. Events come from a process that runs
untrusted code, so each is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Union

import msgspec

from reviewer.postgres.server import Address as ServerAddress
from reviewer.sql.names import VERSION_TABLE

PROTOCOL = 2
"""Version of what is said. The runner says its own first: it may be another where the package was replaced just now."""
MAX_EVENT_BYTES = 17 * 1024 * 1024
"""A longer line is no event of ours: the runner sends none above 16 MB (`reviewer/runner/limits.py`)."""
MAX_COMMAND_BYTES = 1024 * 1024 * 1024
"""Of all events of one command."""


# -- to the runner --------------------------------------------------------------------------------


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """First word to the runner: what it must know of the project, the same for every command."""

    seal: str
    """What it puts in front of every line."""
    directory: str
    """Where the migrations run from."""
    stack_file: str
    """Where it writes its stack when it is asked by a signal."""
    own_lock_timeout: str
    """The lock_timeout of our databases, so that the project's can be told from it."""
    config: str | None = None
    toml: str | None = None
    section: str | None = None
    script_location: str | None = None
    flask: bool = False
    x: tuple[str, ...] = ()
    launcher: str | None = None
    moved: tuple[str, str] | None = None
    """Of the code of another commit: the working tree, and the checkout that stands for it."""
    depends: bool = False
    """Whether it may be asked what the project's code has read."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where the throw-away server listens. A host that begins with `/` is the folder of a socket."""

    host: str
    port: int
    user: str
    password: str | None = None
    sslmode: str | None = None

    @classmethod
    def of(cls, address: ServerAddress) -> Address:
        """The same in the words of the commands."""
        return cls(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            sslmode=None if address.is_socket else address.sslmode,
        )


class Command(msgspec.Struct, tag_field="do", frozen=True, kw_only=True):
    """Base of all commands; the tag is the name of the runner's method."""

    database: str = ""
    """The database of the throw-away server that every connection of the project is sent to."""
    address: Address | None = None
    """None for a command that needs no server."""
    observe: bool = False
    """Whether the runner looks what each statement does."""
    environ: dict[str, str] = {}
    """Environment variables of env.py that differ from one command to the next."""


class Upgrade(Command, tag="upgrade", frozen=True, kw_only=True):
    """Upgrade as one `alembic upgrade` would."""

    to: tuple[str, ...]
    """Ids of revisions; none: to nothing."""
    depends: bool = False
    """Whether to say what the project's code has read by then."""


class Step(Command, tag="step", frozen=True, kw_only=True):
    """Run one revision by itself."""

    revision: str
    direction: Literal["upgrade", "downgrade"]


class Offline(Command, tag="offline", frozen=True, kw_only=True):
    """Render revisions as SQL without a database, each by itself."""

    revisions: tuple[str, ...]
    downgrade: bool = False


class Describe(Command, tag="describe", frozen=True, kw_only=True):
    """Run env.py and no revision."""


class Control(Command, tag="control", frozen=True, kw_only=True):
    """Run a step of the reviewer's own that must fail."""

    way: str
    """`exception` or `statement`."""


class Probe(Command, tag="probe", frozen=True, kw_only=True):
    """Try the statements of the models on `database`, and those that run there on `head`."""

    head: str
    tables: tuple[tuple[str, str], ...] | None = None
    """Schema and name of those that are tried; None: all."""


class Compare(Command, tag="compare", frozen=True, kw_only=True):
    """Compare the models with the database as autogenerate does."""

    facts: bool = False
    """Whether to tell as well what the models say of themselves."""
    to: tuple[str, ...] = ()
    """What an upgrade to this state would have been given."""


class Create(Command, tag="create", frozen=True, kw_only=True):
    """Make the tables of the models, and stamp the database with the revisions `stamp`."""

    stamp: tuple[str, ...]


AnyCommand = Union[Upgrade, Step, Offline, Describe, Control, Probe, Compare, Create]


# -- from the runner ------------------------------------------------------------------------------


class Event(msgspec.Struct, tag_field="event", frozen=True, forbid_unknown_fields=True):
    """Base of all events. A key that is not declared here is a mistake of the runner's, and refused."""


class Hello(Event, tag="hello", frozen=True):
    """First word: protocol number and versions."""

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


class Again(Event, tag="again", frozen=True):
    """env.py has run migrations more than once, as for several databases."""

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
    """What the server did, before it is put into the recording's words."""

    lock_timeout: int
    statement_timeout: int
    transaction: str | None
    messages: list[str]
    locks: list[tuple[RawRelation, str]]
    rewritten: list[RawRelation]
    scanned: list[tuple[RawRelation, int]]
    built: list[RawRelation]


class Ended(Event, tag="statement", frozen=True):
    """A statement has ended, well or not."""

    n: int
    seconds: float
    in_transaction: bool
    rows: int | None = None
    error: str | None = None
    sqlstate: str | None = None
    observation: RawObservation | None = None


class Observed(Event, tag="observed", frozen=True):
    """What the server did in a statement that has ended: told later, because the server looked meanwhile."""

    n: int
    observation: RawObservation


class Counted(Event, tag="counted", frozen=True):
    """One line has sent more statements than are told: the first `told` of `count` were."""

    path: str | None
    line: int | None
    origin: Literal["revision", "environment", "alembic"]
    told: int
    count: int


class Rendered(Event, tag="rendered", frozen=True):
    """A statement that was rendered without a database."""

    sql: str
    path: str | None
    line: int | None
    origin: Literal["revision", "environment", "alembic"]
    inside: bool
    left_out: int = 0


class ControlEvent(Event, tag="control", frozen=True):
    """What env.py does where a step of ours fails. `failing`: it fails now; `ended`: env.py has ended, and how."""

    phase: Literal["failing", "ended"]
    way: str
    path: str | None = None
    line: int | None = None
    depends: list[str] = []
    """Files that the failure goes through on its way out."""
    error: str | None = None
    """Of one that has ended: with which error; None for none."""
    status: int | None = None
    """Of one that has ended: the exit status that it asked for, where it asked for one."""


class Depends(Event, tag="depends", frozen=True):
    """What the project's code has read or asked for so far, as absolute paths, whether it was there or not."""

    files: list[str]
    listed: list[str]
    """Folders that it has looked through."""
    searched: list[str]
    """Folders that were looked through for modules."""
    sites: list[str]
    """Folders with what is installed."""
    started: bool
    """Whether it has started other processes, of which nothing is known."""


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
    """Of one that is not `in_revision`: the revision's line that led to it."""
    caused_line: int | None = None
    worded: str = ""
    """What the project has made of a statement that was refused, where it raised something else because of it."""
    statement: int | None = None
    """The number of the statement that was refused."""
    added: dict[str, str] = {}
    """What PostgreSQL said besides its message: `detail`, `hint` and `context`."""


class Failed(_Failure, tag="failed", frozen=True, kw_only=True):
    """The command failed, in a way that the runner can name."""

    fatal: bool = False


class Unrendered(_Failure, tag="unrendered", frozen=True, kw_only=True):
    """One revision cannot be rendered without a database; the others go on."""

    id: str


class Described(Event, tag="describe", frozen=True):
    """Where the project's revisions are, after env.py has had its say."""

    directory: str
    folders: list[str]


class RawBroken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Statements that ran on the state before and do not run on the state after."""

    statements: list[str]
    column: str | None
    sql: str
    error: str
    sqlstate: str | None = None


class MappedEvent(Event, tag="mapped", frozen=True):
    """A table as the models know it, and what was tried on it."""

    table: str
    model: str
    columns: list[str]
    omitted: list[str]
    tried: list[str]
    broken: list[RawBroken]
    schema: str | None = None


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
    """The command has ended well. `calls`: how often env.py has run migrations; `connected`: connections made."""

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
    Counted,
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
    """A line that is no event of the runner's, or an event that it could not send. The sentence says which."""


class Lines:
    """What comes over the channel, line by line: each from the runner, and none missing.

    In front of each line stand the seal that only the runner was told, and a number: whoever finds the descriptor and
    writes to it is noticed, and so is a line that was lost.
    """

    def __init__(self, seal: str) -> None:
        self._seal = seal.encode()
        self._number = 0
        self._parts: list[bytes] = []
        self._waiting = 0
        self._taken = 0

    def begin(self) -> None:
        """A new command: what was said so far does not count any more."""
        self._taken = 0

    def feed(self, data: bytes) -> Iterator[AnyEvent]:
        """The events that are whole with `data`. Raises `Unreadable`."""
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
    """The beginning of a line, for a sentence."""
    text = line[:60].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text) + (
        " ..." if line[60:] else ""
    )
