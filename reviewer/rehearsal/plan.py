"""What is to be rehearsed, and from which state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reviewer.host.guardian import Guardian
from reviewer.recording import History, Revision
from reviewer.rehearsal.base_schema import Script
from reviewer.rehearsal.interpreter import RunnerProcess, Setup
from reviewer.rehearsal.kept_state import KeptStates
from reviewer.rehearsal.old_code import OldSource

if TYPE_CHECKING:
    from reviewer.rehearsal.catalogue_snapshot import Snapshot

_OF_THE_SESSION = frozenset(
    f"XDG_{each}" for each in ("RUNTIME_DIR", "SESSION_ID", "SESSION_TYPE", "SESSION_CLASS", "SEAT", "VTNR")
) | {"TMPDIR", "TEMP", "TMP", "SHELL"}


@dataclass
class Stage:
    """How far the history has been run already, for several rehearsals that follow each other."""

    database: str = ""
    """Of the throw-away server: the state before the last revision that was rehearsed, without rows of ours."""
    failed: str = ""
    """The revision on which the history failed before it was there."""


@dataclass
class End:
    """Where a deploy leads to, for whoever compares it with that of another."""

    snapshot: Snapshot | None = None
    """The schema when all revisions have run, without rows if they fail on rows; None where they fail anyway."""


@dataclass(frozen=True)
class Plan:
    """What is to be rehearsed, and from which state."""

    revisions: tuple[Revision, ...]
    """Parents first."""
    base_heads: tuple[str, ...]
    """Where the database is before the first of them."""
    setup: Setup
    interpreter: tuple[str, ...]
    environ: Mapping[str, str]
    """The environment for env.py, `{url}` still in it."""
    root: Path
    """Locations are relative to this folder."""
    depth: int = 0
    """How many revisions `base_heads` stand on, themselves included."""
    history: History = History()
    base_schema: Script | None = None
    rows: int = 100
    seed: Script | None = None
    """SQL with rows of the project's own, put in before ours."""
    seed_command: str | None = None
    """A command of the project's that puts in rows, after `seed` and before ours."""
    timeout: float = 300
    tree: str = ""
    old: OldSource | None = None
    """The code that is running while the migration runs."""
    no_old: str = ""
    """Why there is none."""
    from_models: bool = False
    """Make the base state from the old code's models instead of the history."""
    earlier: tuple[tuple[Revision, bytes], ...] = ()
    """Every revision that `base_heads` stand on, parents first, with what its file holds: the text of the base state
    where there is no server."""
    stage: Stage | None = None
    """Where the history has been left by the rehearsal before, and is to be left for the next."""

    end: End | None = None
    """Where to put the schema that the deploy leads to."""
    control: Path | None = None
    """The env.py that is asked what it does where a revision fails; None: none is."""

    kept: KeptStates | None = None
    """Where the base state may be kept from an earlier review, and is kept for the next; None: it is not."""

    base_code: OldSource | None = None
    """The commit whose code the history is run with, because that is what production has run; None: the working tree's
    is the same, or git names no commit."""
    installs_anew: bool = False
    """Whether what has changed may break the history for whoever starts from an empty database, so that it is run with
    the working tree's code too."""

    def process(
        self, folder: Path, guardian: Guardian, runner: Callable[..., RunnerProcess] = RunnerProcess
    ) -> RunnerProcess:
        """The project's interpreter, starting."""
        setup = replace(self.setup, depends=self.kept is not None)
        return runner(self.interpreter, setup, self.environ, folder, guardian)

    @property
    def steady_environ(self) -> list[tuple[str, str]]:
        """The environment for env.py without what is another in each session and no env.py asks."""
        return sorted(each for each in self.environ.items() if each[0] not in _OF_THE_SESSION)

    @property
    def allowed(self) -> str:
        """The time that the review may take, in words."""
        return "1 second" if self.timeout == 1 else f"{self.timeout:g} seconds"

    @property
    def heads(self) -> list[str]:
        """The identifiers of those revisions that no other one stands on: where an upgrade of all of them goes."""
        parents = {parent for each in self.revisions for parent in (*each.down_revisions, *each.depends_on)}
        return [each.id for each in self.revisions if each.id not in parents]

    @property
    def has_rows(self) -> bool:
        """Whether there are to be rows in the base state, ours or the project's."""
        return self.rows > 0 or self.seed is not None or self.seed_command is not None
