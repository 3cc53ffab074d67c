"""Rehearses and reviews a project as it would be with some files rewritten; one server serves all trials."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import astuple, replace

from reviewer.config import Config
from reviewer.fix import copy
from reviewer.fix.found import Files
from reviewer.fix.source import Source
from reviewer.host import files as host_files
from reviewer.host.guardian import Guardian
from reviewer.host.paths import on_disk, relative
from reviewer.judging import comments_of, judged
from reviewer.planning import controlled, old_source, plan_for, setup_of
from reviewer.project.discovery import Interpreter
from reviewer.project.history import read_worktree
from reviewer.recording import Difference, Recording
from reviewer.rehearsal import catalogue_snapshot
from reviewer.rehearsal.catalogue_snapshot import Snapshot
from reviewer.rehearsal.deploy import rehearse
from reviewer.rehearsal.interpreter import RunnerProcess
from reviewer.rehearsal.old_code import moved
from reviewer.rehearsal.plan import End, Plan
from reviewer.replay.stream import Story, understand
from reviewer.review.verdict import Report, TreeReport
from reviewer.scope import Scope, completed, unread
from reviewer.session import Rehearsed
from reviewer.sql.names import Name
from reviewer.stats.sizes import Production

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

Contents = Mapping[str, bytes]
"""What files hold, by their path from the root of the project."""


class State(Struct, frozen=True, dict=True):
    """The project with some of its files rewritten, and what a review finds in it."""

    scope: Scope
    """Of the copy in which it was rehearsed."""
    contents: Contents
    """What was rewritten so far."""
    tree: TreeReport
    end: Snapshot | None
    origins: Mapping[str, str] = field(default_factory=dict)
    """The revision of the project that each new one came from."""

    @cached_property
    def stories(self) -> tuple[Story, ...]:
        """What its statements mean."""
        return understand(self.tree.recording)

    @cached_property
    def files(self) -> Files:
        """Its files."""
        env = self.scope.tree.env_py
        root = self.scope.root
        sources = {each.path: Source(each.path, each.text) for each in self.scope.graph.revisions.values()}
        path = relative(env, root) if env is not None else None
        if env is not None and path is not None:
            try:
                sources[path] = Source(path, host_files.read_regular(env))
            except OSError:
                path = None
        return Files(self.scope.graph, path, sources)

    @cached_property
    def schemas(self) -> frozenset[str]:
        """The schemas that its statements name, besides the usual one."""
        operations = [
            operation
            for story in self.stories
            for each in (*story.upgrade, *story.downgrade)
            for operation in each.operations
        ]
        names = {name for each in operations for name in astuple(each) if isinstance(name, Name)}
        return frozenset(name.schema for name in names if name.schema is not None) - {"public", "pg_catalog"}

    @property
    def new(self) -> frozenset[str]:
        """The revisions under review."""
        return frozenset(each.id for each in self.scope.selection.revisions)


class Trials(Struct):
    """What all trials of one tree share."""

    config: Config
    scope: Scope
    """The project itself."""
    interpreter: Interpreter
    environ: Mapping[str, str]
    server: Future[RunningServer]
    guardian: Guardian
    folder: Path
    runner: Callable[..., RunnerProcess] = RunnerProcess
    """Starts a process of the interpreter."""
    production: Production | None = None
    """The sizes of its tables, by which findings are weighed."""
    progress: Callable[[str], None] = lambda _: None
    rehearsed: Rehearsed | None = None
    """The project as it is, if it was rehearsed already."""
    count: int = 0

    def first(self) -> State:
        """The project as it is."""
        if self.rehearsed is not None:
            return self._judged(self.scope, {}, self.rehearsed.recording, self.rehearsed.end)
        plan = plan_for(self.config, self.scope, self.interpreter, self.environ)
        return self._state(self.scope, plan, {})

    def of(self, contents: Contents, ids: Collection[str], origins: Mapping[str, str]) -> State:
        """The project with `contents`, the revisions `ids` under review, those of `origins` being new."""
        self.count += 1
        root = self.scope.root
        folder = Path(tempfile.mkdtemp(prefix="project-", dir=self.folder))  # other trees have theirs there too
        place = copy.make(root, folder, self.scope.tree, contents).resolve()
        tree = copy.moved(self.scope.tree, root, place)
        graph = read_worktree(tree, place)
        graph.raise_fatal()
        scope = replace(
            self.scope, tree=tree, graph=graph, root=place, selection=self.scope.selection.rewritten(graph, ids)
        )
        setup = moved(setup_of(self.config, self.scope.tree), root, place)
        old = old_source(self.config, self.scope)
        plan = replace(
            plan_for(self.config, scope, self.interpreter, self.environ),
            setup=setup,
            old=replace(old, setup=setup_of(self.config, self.scope.tree)) if old is not None else None,
        )
        return replace(self._state(scope, plan, contents), origins=origins)

    def _state(self, scope: Scope, plan: Plan, contents: Contents) -> State:
        end = End()
        made = rehearse(
            replace(controlled(plan, self.config, scope), end=end, runner=self.runner),
            self.server,
            self.guardian,
            self.folder,
            self.progress,
        )
        self.server.result().drop_all()
        recording = completed(made, self.config, scope)
        return self._judged(scope, contents, replace(recording, skipped=recording.skipped + unread(scope)), end)

    def _judged(self, scope: Scope, contents: Contents, recording: Recording, end: End) -> State:
        comments = comments_of(scope)
        known = self.production is not None and self.production.knows(recording.base)
        production = self.production if known else None
        report: Report = judged(self.config, [recording], {scope.tree.name: comments}, production, merge=False)
        return State(scope, contents, report.trees[0], end.snapshot)

    def on_disk(self, path: str) -> Path:
        """The user's own file."""
        return on_disk(self.scope.root, path)


def differences(before: Snapshot, after: Snapshot) -> Iterator[Difference]:
    """How the schema differs at the end; additional validation does not count."""
    for each in catalogue_snapshot.compare(before, after):
        if not (each.aspect == "not valid" and each.after is None):
            yield each
