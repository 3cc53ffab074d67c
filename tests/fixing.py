"""Fixes small projects, in forked processes and all on one server."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from reviewer.config import Config
from reviewer.fix import engine
from reviewer.fix.engine import Outcomes
from reviewer.fix.trial import Trials
from reviewer.host.guardian import Guardian
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.project.discovery import find_trees
from reviewer.project.history import between, read_worktree
from reviewer.scope import Scope
from tests import forked
from tests.command import project, revision

QUIET = "op.execute(\"SET LOCAL lock_timeout = '5s'\")\n"


@dataclass
class Fixing:
    """A server that serves any number of projects, one after the other."""

    server: RunningServer
    guardian: Guardian
    work: Path
    runs: list[int] = field(default_factory=list)
    """How many reviews each call took, the first one included."""

    def of(
        self, folder: Path, revisions: str = "a:head", rules: tuple[str, ...] = (), *, unsafe: bool = True
    ) -> Outcomes:
        """Fix the revisions of the project in `folder`."""
        config = Config(path=folder, revisions=revisions, rows=5)
        (tree,) = find_trees(folder, (), "alembic", git_root=None)
        graph = read_worktree(tree, folder)
        scope = Scope(tree, between(graph, revisions), graph, folder)
        server: Future[RunningServer] = Future()
        server.set_result(self.server)
        with tempfile.TemporaryDirectory(dir=self.work) as name:
            trials = Trials(
                config,
                scope,
                forked.INTERPRETER,
                {},
                server,
                self.guardian,
                Path(name).resolve(),
                forked.runner(),
            )
            found = engine.run(trials, rules, unsafe=unsafe)
        self.runs.append(trials.count + 1)
        return found


@contextlib.contextmanager
def fixing() -> Iterator[Fixing]:
    """With a server of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="fixing-") as name,
        Guardian() as guardian,
        start(ServerRequest("auto", None), guardian) as server,
    ):
        yield Fixing(server, guardian, Path(name).resolve())


def one(folder: Path, given: str, upgrade: str, downgrade: str = "pass", *more: str, top: str = "") -> Path:
    """A project whose revision `a` is deployed and makes what `given` says, and whose new revision is `b`."""
    files = [
        revision("b", "a", upgrade, downgrade, top),
        *more,
    ]
    made = project(folder, *files)
    (made / "migrations/versions/a.py").write_text(revision("a", None, given, "raise NotImplementedError"))
    return made


def told(found: Outcomes) -> str:
    """Everything that became of it, for the message of an assertion."""
    lines = [f"fixed {each.fix.rule}: {each.fix.title}" for each in found.applied]
    lines += [f"left {each.finding.rule}: {each.reason}" for each in found.left]
    files = [f"--- {path}\n{data.decode()}" for path, data in found.last.contents.items()]
    return "\n".join([*lines, *files])
