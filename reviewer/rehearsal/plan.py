"""What to rehearse, and from which state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reviewer.host.guardian import Guardian
from reviewer.recording import History, Revision
from reviewer.rehearsal.base_schema import Script
from reviewer.rehearsal.interpreter import Runner, RunnerProcess, Setup
from reviewer.rehearsal.kept_state import KeptStates
from reviewer.rehearsal.old_code import OldSource, Running

if TYPE_CHECKING:
    from reviewer.rehearsal.catalogue_snapshot import Snapshot

_Runner = TypeVar("_Runner", bound=Runner)
_OF_THE_SESSION = frozenset(
    f"XDG_{each}" for each in ("RUNTIME_DIR", "SESSION_ID", "SESSION_TYPE", "SESSION_CLASS", "SEAT", "VTNR")
) | {"TMPDIR", "TEMP", "TMP", "SHELL"}


class Stage(Struct):
    """How far the history has already run, for several rehearsals in a row."""

    database: str = ""
    """The database on the throw-away server that has the state before the last revision that was rehearsed, without
    generated rows."""
    failed: str = ""
    """The revision at which the history failed before it reached that state."""
    old: Running = field(default_factory=Running)
    """The code that runs in production, which all of the rehearsals try."""


class End(Struct):
    """The state after a deploy, to be compared with the state after another one."""

    snapshot: Snapshot | None = None
    """The schema after all revisions have run; without rows if they fail on rows. None if they fail without rows too.
    """


class ScalePlan(Struct, frozen=True):
    """How to measure what grows with the tables."""

    seconds: float = 60.0
    """How long it may take."""
    rows: int = 1_000_000
    """The most rows that a table is filled with."""
    sizes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Rows of the tables in production, by schema and name: no table is made larger than in production."""


class Plan(Struct, frozen=True):
    """What to rehearse, and from which state."""

    revisions: tuple[Revision, ...]
    """Parents first."""
    base_heads: tuple[str, ...]
    """The heads of the database before the first of them."""
    setup: Setup
    interpreter: tuple[str, ...]
    environ: Mapping[str, str]
    """The environment for env.py, with `{url}` not yet replaced."""
    root: Path
    """Locations are relative to this folder."""
    depth: int = 0
    """The number of revisions up to and including `base_heads`."""
    history: History = History()
    base_schema: Script | None = None
    rows: int = 100
    seed: Script | None = None
    """SQL that inserts the project's own rows, before rows are generated."""
    seed_command: str | None = None
    """A command of the project that inserts rows, after `seed` and before rows are generated."""
    timeout: float = 300
    scale: ScalePlan | None = None
    """How to measure what grows with the tables; None: it is not measured."""
    tree: str = ""
    old: OldSource | None = None
    """The code that runs in production while the migration runs."""
    no_old: str = ""
    """Why there is no such code."""
    new_code: bool = False
    """Whether the code at head is tried on the schema before the new revisions."""
    from_models: bool = False
    """Build the base state from the old code's models instead of the history."""
    superuser: bool = False
    """Whether the migrations run as a superuser in production. Otherwise they run as an ordinary owner."""
    earlier: tuple[tuple[Revision, bytes], ...] = ()
    """Every revision up to and including `base_heads`, parents first, with the content of its file. Used to
    reconstruct the base state if there is no server."""
    stage: Stage | None = None
    """Where the previous rehearsal left the history, and where this one leaves it for the next."""

    end: End | None = None
    """Receives the schema after the deploy; None if it is not needed."""
    control: Path | None = None
    """The env.py to test for what it does when a revision fails; None to test none."""

    kept: KeptStates | None = None
    """Where a base state may have been kept by an earlier review, and where it is kept for the next; None to keep
    none."""

    base_code: OldSource | None = None
    """The commit whose code runs the history, because production ran the history with that code. None if the
    working tree has the same code, or if git names no commit."""
    runner: Callable[..., RunnerProcess] = RunnerProcess
    """Starts a process of the interpreter."""
    installs_anew: bool = False
    """Whether the changes may break the history for anyone who starts from an empty database. If so, the history
    also runs with the working tree's code."""

    def process(self, folder: Path, guardian: Guardian, runner: Callable[..., _Runner]) -> _Runner:
        """Start the project's interpreter with `runner`."""
        setup = replace(self.setup, depends=self.kept is not None)
        return runner(self.interpreter, setup, self.environ, folder, guardian)

    def of_another_lane(self) -> Plan:
        """Return the same for another server, whose base state is not kept: that of the first one is."""
        return replace(self, kept=self.kept.reading() if self.kept is not None else None)

    @property
    def steady_environ(self) -> list[tuple[str, str]]:
        """The environment for env.py without variables that differ in each session and that no env.py reads."""
        return sorted(each for each in self.environ.items() if each[0] not in _OF_THE_SESSION)

    @property
    def allowed(self) -> str:
        """The time limit of the review, in words."""
        return "1 second" if self.timeout == 1 else f"{self.timeout:g} seconds"

    @property
    def heads(self) -> list[str]:
        """The ids of the revisions that no other one depends on: the target of an upgrade through all of them."""
        parents = {parent for each in self.revisions for parent in (*each.down_revisions, *each.depends_on)}
        return [each.id for each in self.revisions if each.id not in parents]

    @property
    def has_rows(self) -> bool:
        """Whether the base state should have rows, generated ones or the project's."""
        return self.rows > 0 or self.seed is not None or self.seed_command is not None
