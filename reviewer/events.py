"""What the runner tells: one typed value per event. Events come from untrusted code, so each is checked.

The protocol itself is described in `reviewer/runner/in_environment.py`.
"""

from __future__ import annotations

from typing import Any, Literal, Union

import msgspec

from reviewer.names import VERSION_TABLE

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""A longer line is no event of ours."""


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


class Rendered(Event, tag="rendered", frozen=True):
    """A statement that was rendered without a database."""

    sql: str
    path: str | None
    line: int | None
    origin: Literal["revision", "environment", "alembic"]
    inside: bool


class Failed(Event, tag="failed", frozen=True):
    """The command failed, in a way that the runner can name."""

    kind: str
    message: str
    path: str | None = None
    line: int | None = None
    in_revision: bool = False
    sqlstate: str | None = None
    deliberate: bool = False
    traceback: str = ""
    fatal: bool = False
    caused_path: str | None = None
    """Of one that is not `in_revision`: the revision's line that led to it."""
    caused_line: int | None = None


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
    traceback: str = ""


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


AnyEvent = Union[
    Hello,
    Ready,
    ModeEvent,
    Again,
    RevisionEvent,
    Begin,
    Ended,
    Observed,
    Rendered,
    Failed,
    Unrendered,
    Described,
    MappedEvent,
    DiffersEvent,
    FactEvent,
    Done,
]

_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyEvent)


def decode(line: bytes) -> AnyEvent | None:
    """The event that a line holds, or None for one that is no event of this protocol."""
    try:
        event: AnyEvent = _DECODER.decode(line)
    except msgspec.MsgspecError:
        return None
    return event
