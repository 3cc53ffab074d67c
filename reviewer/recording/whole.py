"""Everything that is known of one tree."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from reviewer.recording.afterwards import Afterwards
from reviewer.recording.catalogue import Catalogue
from reviewer.recording.code import Control, Models, OldCode
from reviewer.recording.history import History, Revision
from reviewer.recording.passes import FailingOld, Pass
from reviewer.sql.versions import major_of


class Mode(Enum):
    """What a recording rests on: a live server, or text alone."""

    OBSERVED = "observed"
    STATIC = "static"


@dataclass(frozen=True)
class Skipped:
    """Something that could not be looked at, and the true reason."""

    what: str
    reason: str


@dataclass(frozen=True)
class Server:
    """The PostgreSQL that was the witness."""

    version: str
    source: str
    """`local`, `embedded`, `container` or `url`."""

    @property
    def major(self) -> int:
        """The major version, for example 16."""
        return major_of(self.version)


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
class BaseOrigin:
    """What the base state was made from."""

    kind: str = ""
    """`history`, `snapshot` (of an earlier review), `earlier snapshot` (and the rest of the history), `models`; empty:
    there was nothing to make, or nothing is known."""
    schema: bool = False
    """Whether a base schema came first."""
    revisions: int = 0
    """How many revisions it holds."""
    replayed: int = 0
    """How many of them were run in this review."""
    seconds: float = 0.0
    """How long it took."""
    commit: str = ""
    """The commit whose code the history was run with; empty: that of the working tree."""


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
    failing_old: FailingOld | None = None
    base_origin: BaseOrigin = BaseOrigin()

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
