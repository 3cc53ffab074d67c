"""The recording of one tree."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from reviewer.recording.afterwards import Afterwards, Ambiguous, HiddenRows, Uncopied
from reviewer.recording.catalogue import Catalogue
from reviewer.recording.code import Control, Models, NewCode, OldCode
from reviewer.recording.history import History, Revision
from reviewer.recording.passes import FailingOld, Pass
from reviewer.recording.scale import Scale
from reviewer.sql.versions import major_of


class Mode(Enum):
    """What a recording is based on: a live server, or text alone."""

    OBSERVED = "observed"
    STATIC = "static"


class Skipped(Struct, frozen=True):
    """Something that could not be checked, and the actual reason."""

    what: str
    reason: str


class Server(Struct, frozen=True):
    """The PostgreSQL server on which the revisions ran."""

    version: str
    source: str
    """`local`, `embedded`, `container` or `url`."""

    @property
    def major(self) -> int:
        """The major version, for example 16."""
        return major_of(self.version)


class Environment(Struct, frozen=True):
    """Versions of Python, Alembic, SQLAlchemy and the driver in the project's interpreter."""

    python: str = ""
    alembic: str = ""
    sqlalchemy: str = ""
    driver: str = ""


class TransactionMode(Struct, frozen=True):
    """How env.py configures transactions."""

    per_migration: bool = False
    transactional_ddl: bool = True


class BaseOrigin(Struct, frozen=True):
    """What the base state was made from."""

    kind: str = ""
    """`history`, `snapshot` (of an earlier review), `earlier snapshot` (and the rest of the history) or `models`;
    empty if there was nothing to build, or if it is not known."""
    schema: bool = False
    """Whether a base schema was applied first."""
    revisions: int = 0
    """Number of revisions that it contains."""
    replayed: int = 0
    """Number of revisions that ran in this review to build it."""
    seconds: float = 0.0
    """How long building it took."""
    commit: str = ""
    """The commit whose code ran the history; empty for the working tree's code."""


class Recording(Struct, frozen=True):
    """Everything that is known about one tree's new revisions after they have run."""

    tool: str
    """Version of the reviewer that wrote the recording."""
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
    """Name of the migration tree if a project has several."""
    errors: tuple[str, ...] = ()
    """Why revisions could not be reviewed, one sentence each with its way out."""
    one_way: tuple[str, ...] = ()
    """Revisions that the configuration declares as never downgraded."""
    trials: tuple[Pass, ...] = ()
    """Failed passes besides the two rehearsals: on the worst rows that the base state allows, on generated rows whose
    keys the revision inserts itself, and downgrades on rows that only the upgraded schema allows. Successful ones are
    not kept."""

    old_code: OldCode = OldCode()
    new_code: NewCode = NewCode()
    models: Models = Models()
    control: Control = Control()
    afterwards: tuple[Afterwards, ...] = ()
    """For each revision that ran stepwise: what has changed for users of the database."""
    repeatable: tuple[str, ...] = ()
    """Revisions of which parts are committed before the end, and whose upgrade ran again on all that it had left."""
    hidden: tuple[HiddenRows, ...] = ()
    ambiguous: tuple[Ambiguous, ...] = ()
    uncopied: tuple[Uncopied, ...] = ()
    failing_old: FailingOld | None = None
    base_origin: BaseOrigin = BaseOrigin()
    scale: Scale | None = None
    """None: growth was not measured."""

    @property
    def migration_tree(self) -> str:
        """The same as `tree`, without the revision that it names if each revision was rehearsed as a separate
        release.
        """
        only = self.revisions[0].id if len(self.revisions) == 1 else None
        return self.tree.removesuffix(f"@{only}")

    def after(self, revision: str) -> Afterwards | None:
        """Return what differs after the revision `revision`; None if that could not be checked."""
        return next((each for each in self.afterwards if each.revision == revision), None)

    def passes_of(self, revision: str) -> tuple[Pass, ...]:
        """Return the passes of one revision, in the order in which they ran."""
        return tuple(each for each in self.passes if each.revision == revision)
