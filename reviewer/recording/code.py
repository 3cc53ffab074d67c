"""What the project's other code does: the models, before and after the revisions, and env.py."""

from __future__ import annotations

from msgspec import Struct

from reviewer.recording.observations import Location
from reviewer.sql.names import Name


class Broken(Struct, frozen=True):
    """Statements of the base commit's code that ran before the new revisions and fail after them."""

    table: Name
    model: str
    statements: tuple[str, ...]
    """The kinds of statements: `select`, `insert`, `update`, `delete`."""
    sql: str
    """One of them, as it was sent."""
    error: str
    sqlstate: str | None = None
    column: str | None = None
    """The column that it fails on, if known."""
    revision: str | None = None
    """The revision after which it fails."""
    until: str | None = None
    """The revision after which it runs again."""


class Mapped(Struct, frozen=True):
    """A table that the models of the base commit define."""

    table: Name
    model: str
    columns: tuple[str, ...]
    tried: tuple[str, ...] = ()
    """The kinds of statements that ran before the new revisions and were tried after them."""
    untried: str = ""
    """Which could not be tried and why, if it is not the server that refused them: a type of the code may take no generated
    value.
    """


class OldCode(Struct, frozen=True):
    """The code of the base commit, which still runs on the new schema during the migration."""

    commit: str = ""
    """Full object name; empty if git names none."""
    mapped: tuple[Mapped, ...] | None = None
    """None if the code was not tried."""
    broken: tuple[Broken, ...] = ()
    stale: tuple[Name, ...] = ()
    """Tables whose SELECT, prepared before the upgrade, PostgreSQL now rejects because the result type has
    changed."""
    reason: str = ""
    """Why the code was not tried."""
    allowed: tuple[Broken, ...] = ()
    """INSERTs without what its models do not require, which ran before and which the new schema refuses. Whether the
    code sends them, nobody has seen.
    """


UNTOUCHED = "the new revisions touch no existing table"
"""The reason of an `OldCode` for which there was nothing to try."""


class NewCode(Struct, frozen=True):
    """The code at head, on the schema before the new revisions: whether it may go out first."""

    mapped: tuple[Mapped, ...] | None = None
    """None: it was not tried."""
    broken: tuple[Broken, ...] = ()
    """What runs after the new revisions and does not before; `revision` is the one after which it runs."""
    reason: str = ""
    """Why it was not tried."""


class Disagreement(Struct, frozen=True):
    """An operation that autogenerate would write for the models at head and the upgraded database, and that it
    would not have written at base.
    """

    code: str
    """The operation, as `op.` lines."""
    kind: str
    """The name of Alembic's class for the operation."""
    table: Name | None = None
    column: str | None = None
    name: str | None = None
    """The name of an index or a constraint."""


class ClientDefault(Struct, frozen=True):
    """A new column of the models at head with a default that only Python knows."""

    table: Name
    column: str
    model: str
    default: str
    """As Python prints it; a function is followed by parentheses."""


class Relationship(Struct, frozen=True):
    """A one-to-many relationship of the models at head, over a foreign key with a new column."""

    model: str
    attribute: str
    table: Name
    """The table with the foreign key."""
    column: str
    cascades: bool
    """Whether deleting the parent deletes its children: `cascade` contains `delete`."""
    passive_deletes: bool
    ondelete: str
    """The foreign key's ON DELETE action in upper case; empty if there is none."""
    nullable: bool = True


class Models(Struct, frozen=True):
    """What the models at head contain for the objects that the new revisions add."""

    defaults: tuple[ClientDefault, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    compared: bool = False
    """Whether models and upgraded database were compared."""


class Control(Struct, frozen=True):
    """What env.py does when a revision fails, tested with a step of the reviewer that must fail."""

    tried: tuple[str, ...] = ()
    """The ways in which it was made to fail: `exception`, `statement`, `duplicate`. Empty if it was not tested."""
    swallowed: tuple[str, ...] = ()
    """Those after which env.py ended without an error."""
    ended: str = ""
    """How it ended then, in words."""
    location: Location | None = None
    """The line of env.py that runs the migrations."""
    reason: str = ""
    """Why it was not tested, or not in every way."""
