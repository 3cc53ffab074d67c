"""What the project's own code does beside its revisions: the models, before and after, and env.py."""

from __future__ import annotations

from dataclasses import dataclass

from reviewer.recording.observations import Location
from reviewer.sql.names import Name


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
