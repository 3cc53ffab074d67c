"""What the runner tells: one typed value per event. Events come from untrusted code, so each is checked.

The protocol itself is described in `reviewer/runner/in_environment.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Union

import msgspec

from reviewer.sql.names import VERSION_TABLE

MAX_EVENT_BYTES = 17 * 1024 * 1024
"""A longer line is no event of ours: the runner sends none above 16 MB (`reviewer/runner/limits.py`)."""
MAX_COMMAND_BYTES = 1024 * 1024 * 1024
"""Of all events of one command."""


class Event(msgspec.Struct, tag_field="event", frozen=True):
    """Base of all events; the tag is the lower-case class name."""


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


class RawRelation(msgspec.Struct, frozen=True):
    """A relation as the runner describes it."""

    schema: str
    name: str
    kind: str
    new: bool
    table: str | None = None
    table_new: bool = False


class RawObservation(msgspec.Struct, frozen=True):
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


class Failed(Event, tag="failed", frozen=True):
    """The command failed, in a way that the runner can name."""

    kind: str
    message: str
    path: str | None = None
    line: int | None = None
    in_revision: bool = False
    sqlstate: str | None = None
    deliberate: bool = False
    fatal: bool = False
    caused_path: str | None = None
    """Of one that is not `in_revision`: the revision's line that led to it."""
    caused_line: int | None = None
    worded: str = ""
    """What the project has made of a statement that was refused, where it raised something else because of it."""
    statement: int | None = None
    """The number of the statement that was refused."""


class Unrendered(Event, tag="unrendered", frozen=True):
    """One revision cannot be rendered without a database; the others go on."""

    id: str
    kind: str
    message: str
    path: str | None = None
    line: int | None = None
    in_revision: bool = False
    sqlstate: str | None = None
    deliberate: bool = False
    caused_path: str | None = None
    caused_line: int | None = None
    worded: str = ""
    statement: int | None = None


class Described(Event, tag="describe", frozen=True):
    """Where the project's revisions are, after env.py has had its say."""

    directory: str
    folders: list[str]


class RawBroken(msgspec.Struct, frozen=True):
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
    Failed,
    Unrendered,
    Described,
    MappedEvent,
    DiffersEvent,
    FactEvent,
    Done,
    Lost,
]

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
