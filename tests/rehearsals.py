"""Rehearsals of small projects in real processes of the interpreter, all on one server and without the command."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import checks
from reviewer.config import Config
from reviewer.host.guardian import Guardian
from reviewer.planning import plan_for
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.project.discovery import find_trees
from reviewer.project.history import between, read_worktree
from reviewer.recording import Recording
from reviewer.rehearsal.deploy import rehearse
from reviewer.rehearsal.each import rehearse_each
from reviewer.review.engine import review
from reviewer.review.finding import Finding, Severity
from reviewer.scope import Scope
from tests import forked

CHECKS = checks.load()


@dataclass
class Rehearsals:
    """A server that serves any number of projects, one after the other."""

    server: RunningServer
    guardian: Guardian
    work: Path

    def of(
        self, folder: Path, revisions: str = "a:head", *, each: bool = False, scale: int = 0
    ) -> tuple[Recording, ...]:
        """Rehearse the new `revisions` of the project in `folder`, together or each by itself; at sizes of up to `scale`
        rows.
        """
        config = Config(
            path=folder, revisions=revisions, rows=5, scale=scale > 0, scale_seconds=120, scale_rows=scale or 1000
        )
        (tree,) = find_trees(folder, (), "alembic", git_root=None)
        graph = read_worktree(tree, folder)
        scope = Scope(tree, between(graph, revisions), graph, folder)
        plan = forked.forking(plan_for(config, scope, forked.INTERPRETER, {}))
        server: Future[RunningServer] = Future()
        server.set_result(self.server)
        try:
            if each:
                return rehearse_each(plan, server, self.guardian, self.work)
            return (rehearse(plan, server, self.guardian, self.work),)
        finally:
            self.server.drop_all()


@contextlib.contextmanager
def rehearsals() -> Iterator[Rehearsals]:
    """With a server of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="rehearsals-") as name,
        Guardian() as guardian,
        start(ServerRequest("auto", None), guardian) as server,
    ):
        yield Rehearsals(server, guardian, Path(name).resolve())


def loud(recording: Recording) -> list[Finding]:
    """What is found in it above a notice, but for what any statement without a limit is told."""
    silent = {"endless-lock-wait", "missing-statement-timeout"}
    found = review(recording, CHECKS).findings
    return [each for each in found if each.severity is not Severity.NOTICE and each.rule not in silent]
