"""Runs the examples of checks: each becomes revisions of a small Alembic project, rehearsed on one shared server.

One process of the interpreter serves all of them: the project stays, and its ini names another folder of revisions each
time. What has to be seen in a fresh process, a failure above all, still gets one.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

import checks
from reviewer.config import Config
from reviewer.host.guardian import Guardian
from reviewer.judging import comments_in, judged
from reviewer.planning import plan_for
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.project.discovery import find_trees
from reviewer.project.history import between, read_worktree
from reviewer.recording import (
    Catalogue,
    Direction,
    Mode,
    Models,
    OldCode,
    Origin,
    Recording,
    Rehearsal,
    Revision,
    furthest,
)
from reviewer.rehearsal.deploy import rehearse
from reviewer.rehearsal.interpreter import Answer, RunnerProcess
from reviewer.rehearsal.old_code import OldSource
from reviewer.rehearsal.protocol import AnyCommand, Hello, Step, Upgrade
from reviewer.replay.stream import sent_for_many
from reviewer.review.finding import Finding, Severity
from reviewer.review.rule import Check, Example
from reviewer.scope import Scope
from tests import forked
from tests.old_statements import Connection, Left, Watcher
from tests.repository import git

_INI = """
[alembic]
script_location = migrations
version_locations = %(here)s/{folder}
path_separator = os
sqlalchemy.url = postgresql+psycopg://
per_migration = {per_migration}
lock_timeout = {lock_timeout}
models = {models}
"""

_ENV = """
import runpy

from alembic import context
from sqlalchemy import create_engine, pool

config = context.config
models = config.get_main_option("models")
# kept: as in an application, whose modules stay, the mapped classes are there as long as their tables
loaded = runpy.run_path(models) if models else None
with create_engine("postgresql+psycopg://", poolclass=pool.NullPool).connect() as connection:
    if config.get_main_option("lock_timeout") != "0":
        connection.exec_driver_sql("SET lock_timeout = '%s'" % config.get_main_option("lock_timeout"))
        connection.commit()
    context.configure(
        connection=connection,
        transaction_per_migration=config.get_main_option("per_migration") == "True",
        target_metadata=loaded["Base"].metadata if loaded else None,
    )
    with context.begin_transaction():
        context.run_migrations()
"""

_MODELS = """
import sqlalchemy as sa
from sqlalchemy import orm

Base = orm.declarative_base()

{models}
"""

_REVISION = """
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = {id!r}
down_revision = {down!r}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
"""

_ON_PURPOSE = 'raise NotImplementedError("not part of the example")'
_FLAG = "# flagged"


class Story(Struct, frozen=True):
    """Revisions to be rehearsed: what is deployed already, and what is new."""

    given: tuple[str, ...]
    """`upgrade()` bodies, one after the other."""
    new: tuple[str, ...]
    """`upgrade()` bodies, one after the other."""
    beside: tuple[str, ...] = ()
    """`upgrade()` bodies with the same parent as the first of `new`."""
    downgrade: str | None = None
    """Of the first of `new`."""
    downgrades: tuple[str, ...] = ()
    """Of each of `new`, in place of `downgrade`."""
    per_migration: bool = False
    rows: bool = True
    lock_timeout: str = "0"
    models: tuple[str, str] | None = None
    """The models of the base commit and those at head."""
    superuser: bool = False
    """Whether production migrates as a superuser."""

    @classmethod
    def of(cls, example: Example) -> Story:
        """The story that an example tells."""
        return cls(
            given=(example.given,),
            new=(example.upgrade, *example.then),
            beside=example.beside,
            downgrade=example.downgrade,
            per_migration=example.transaction_per_migration,
            rows=example.rows,
            models=(example.models, example.new_models or example.models) if example.models else None,
        )

    def with_remedy(self, finding: Finding, recording: Recording) -> Story:
        """The remedy of a finding, deployed as it says, after what came before the statement."""
        return self._instead(finding, recording, finding.remedy)

    def without_remedy(self, finding: Finding, recording: Recording) -> Story:
        """What was flagged, alone, after what came before it: for the state that the remedy has to reach."""
        position, line = self._place(finding, recording)
        body = (*self.new, *self.beside)[position]
        # what is set for the session or its transaction is a part of what was flagged
        settings = [n for n in ast.parse(_until(body, line)).body if '"SET ' in (ast.unparse(n).replace("'", '"'))]
        nodes = [n for n in ast.parse(body).body if n.lineno <= line <= (n.end_lineno or 0)]
        flagged = "\n".join([*map(ast.unparse, settings), *map(ast.unparse, nodes)])
        return self._instead(finding, recording, (flagged,))

    def _instead(self, finding: Finding, recording: Recording, new: tuple[str, ...]) -> Story:
        revisions = [*self.new, *self.beside]
        position, line = self._place(finding, recording)
        if finding.direction is Direction.DOWNGRADE:
            before = revisions[: position + 1]
        else:
            before = [*revisions[:position], _until(revisions[position], line)]
        return replace(
            self,
            given=(*self.given, *before),
            new=new,
            beside=(),
            downgrade=None,
            per_migration=True,
            lock_timeout="5s",
            models=None,
        )

    @staticmethod
    def _place(finding: Finding, recording: Recording) -> tuple[int, int]:
        """The position of the finding's revision, and the line in the body of its `upgrade()`."""
        assert finding.location is not None
        position = [revision.path for revision in recording.revisions].index(finding.location.path)
        return position, finding.location.line - (recording.revisions[position].upgrade_line or 0)


def together(major: int, check: Check) -> pytest.MarkDecorator:
    """Keeps what looks at the examples of a check on one version in one process: there each is rehearsed once."""
    return pytest.mark.xdist_group(f"PostgreSQL {major}: {check.RULE.id}")


def flagged(example: Example, recording: Recording) -> list[tuple[str, int]]:
    """The places that an example says are flagged."""
    places = []
    for revision, body in zip(recording.revisions, Story.of(example).new + example.beside, strict=True):
        places += [(revision.path, line) for line in _lines(body, revision.upgrade_line)]
    if example.downgrade is not None:
        first = recording.revisions[0]
        places += [(first.path, line) for line in _lines(example.downgrade, first.downgrade_line)]
    return sorted(places)


def without_server(recording: Recording) -> Recording:
    """What a static review would know of the same statements."""
    passes = [
        replace(
            each,
            failure=None,
            statements=tuple(
                replace(statement, observation=None, error=None, sqlstate=None, rows=None)
                for statement in each.statements
            ),
        )
        for each in recording.passes
        if each.direction is not Direction.UPGRADE_AGAIN
    ]
    return replace(
        recording,
        mode=Mode.STATIC,
        passes=tuple(passes),
        server=None,
        base=Catalogue(),
        old_code=OldCode(),
        models=Models(),
        afterwards=(),
        hidden=(),
    )


def in_one_text(recording: Recording) -> tuple[str, ...] | None:
    """`upgrade()` bodies that send in one text what each revision sent; None where that is not the same: with bound
    values, outside of a transaction, or where PostgreSQL refused something. None too where there is but one statement.
    """
    bodies, several = [], False
    for revision in recording.revisions:
        ran = furthest(recording.passes_of(revision.id), Direction.UPGRADE)
        sent = [each for each in ran.statements if each.origin is Origin.REVISION] if ran else []
        if ran is None or any(s.parameters or sent_for_many(s) or s.error or not s.in_transaction for s in sent):
            return None
        several = several or len(sent) > 1
        text = ";\n".join(each.sql.strip().rstrip(";") for each in sent)
        bodies.append(f"op.get_bind().exec_driver_sql({text!r})" if text else "pass")
    return (
        tuple(bodies) if several and len({r.down_revisions for r in recording.revisions}) == len(bodies) else None
    )


def row_by_row(finding: Finding, recording: Recording) -> bool:
    """Whether the finding is about a loop that was seen to change as many rows as an existing table has."""
    for each in recording.passes:
        if each.rehearsal is Rehearsal.DEPLOYED and each.revision == finding.revision:
            run = [s for s in each.statements if s.location == finding.location]
            rows = {
                t.rows
                for s in run[:1]
                if s.observation
                for lock in s.observation.locks
                if (t := recording.base.table(lock.relation.as_name))
            }
            return len(run) > 1 and bool(rows) and sum(s.rows or 0 for s in run) >= max(*rows, 2)
    return False


def loud(findings: Sequence[Finding]) -> list[Finding]:
    """What a remedy must not have: errors and warnings. That rows may be in its way is as true of any other way."""
    return [f for f in findings if f.severity is not Severity.NOTICE and f.rule != "fails-on-legal-rows"]


class Bench:
    """A server and an interpreter that serve any number of stories, one after the other."""

    def __init__(self, server: RunningServer, guardian: Guardian, folder: Path) -> None:
        self.major = server.major
        self._server: Future[RunningServer] = Future()
        self._server.set_result(server)
        self._guardian = guardian
        self._folder = folder
        self._kept: _KeptProcess | None = None
        self._numbers = itertools.count(1)
        self._known: dict[Story, Recording] = {}
        self._watched: dict[Story, Watcher] = {}
        (folder / "migrations").mkdir()
        (folder / "migrations" / "env.py").write_text(_ENV)
        (folder / "work").mkdir()

    def record(self, story: Story) -> Recording:
        """Rehearse the story; a second time it is remembered."""
        if story not in self._known:
            self._rehearse(story, None)
        return self._known[story]

    def findings(self, recording: Recording) -> list[Finding]:
        """What a review with every rule says of it; comments in the revisions that accept findings are heeded."""
        config = Config(path=self._folder, select=tuple(checks.by_id()))
        report = judged(config, [recording], {recording.tree: comments_in(self._folder, recording)})
        return [finding for finding in report.findings if finding.suppressed is None]

    @property
    def server(self) -> RunningServer:
        """The server that it rehearses on."""
        return self._server.result()

    def watched(self, story: Story) -> Watcher:
        """What became of the database and of the statements of old code while the story was rehearsed."""
        watcher = self._watched.get(story)
        if watcher is None or watcher.left:
            self._rehearse(story, Watcher())
        return self._watched[story]

    def deployed(self, story: Story) -> Watcher:
        """What became of them when the story was deployed; how else it can be rehearsed is not tried."""
        if story not in self._watched:
            self._rehearse(story, Watcher(leaves=True))
        return self._watched[story]

    def close(self) -> None:
        """End the interpreter."""
        if self._kept is not None:
            self._kept.really_close()

    def _rehearse(self, story: Story, watcher: Watcher | None) -> None:
        base = self._write(story)
        config = Config(
            path=self._folder,
            revisions=f"{base}:heads",
            rows=5 if story.rows else 0,
            migrate_as="superuser" if story.superuser else "owner",
        )
        (tree,) = find_trees(self._folder, (), "alembic", git_root=None)
        graph = read_worktree(tree, self._folder)
        selection = between(graph, f"{base}:heads")
        scope = Scope(tree, selection, graph, self._folder)
        plan = forked.forking(plan_for(config, scope, forked.INTERPRETER, {}))
        plan = replace(plan, revisions=tuple(sorted(plan.revisions, key=_order)))
        if story.models is not None:
            plan = replace(plan, old=OldSource(self._folder, self._commit(story)), no_old="")
        starts = itertools.count()

        def runner(*arguments: Any) -> Any:
            # a rehearsal that asks for another process wants a fresh one, unless all that failed was meant to fail
            if next(starts) and not (self._kept and self._kept.unspoilt):
                return plan.runner(*arguments)
            if self._kept is None or self._kept.ended:
                self._kept = _KeptProcess(plan.runner(*arguments), watch)
            return self._kept

        def watch(database: str, look: Callable[[Watcher, Connection], None]) -> None:
            if watcher is not None:
                with self._server.result().connect(database) as connection:
                    look(watcher, connection)

        if watcher is not None:
            self._watched[story] = watcher
        if self._kept is not None:
            self._kept.watch = watch
        with contextlib.suppress(Left):
            self._known[story] = rehearse(plan, self._server, self._guardian, self._folder / "work", runner=runner)
        self._server.result().drop_all()

    def _commit(self, story: Story) -> str:
        """Commit the project with the models of the base commit, and put those at head in their place."""
        assert story.models is not None
        for models, commands in zip(
            story.models, ((["add", "--all"], ["commit", "--quiet", "-m", "base"]), ()), strict=True
        ):
            (self._folder / "models.py").write_text(_MODELS.format(models=models))
            if commands and not (self._folder / ".git").exists():
                git(self._folder, "init", "--quiet")
                (self._folder / ".gitignore").write_text("/work/\n")
            for command in commands:
                git(self._folder, *command)
        return git(self._folder, "rev-parse", "HEAD")

    def _write(self, story: Story) -> str:
        folder = self._folder / f"versions{next(self._numbers)}"
        folder.mkdir()
        ini = _INI.format(
            folder=folder.name,
            per_migration=story.per_migration,
            lock_timeout=story.lock_timeout,
            models="%(here)s/models.py" if story.models else "",
        )
        (self._folder / "alembic.ini").write_text(ini)
        parent: str | None = None
        for number, body in enumerate(story.given):
            parent = _write_revision(folder, f"given{number}", parent, body, None)
        base = str(parent)
        number = 0
        for number, body in enumerate(story.new, 1):
            downgrade = story.downgrade if number == 1 else None
            if story.downgrades:
                downgrade = story.downgrades[number - 1]
            parent = _write_revision(folder, f"new{number}", parent, body, downgrade)
        for further, body in enumerate(story.beside, number + 1):
            _write_revision(folder, f"new{further}", base, body, None)
        return base


_Watch = Callable[[str, Callable[[Watcher, Connection], None]], None]


class _KeptProcess:
    """A process of the interpreter that outlives a rehearsal."""

    def __init__(self, process: RunnerProcess, watch: _Watch) -> None:
        self._process = process
        self.began = process.began
        self.watch = watch
        """Called with the name of a database before the new revisions run in it, and after them."""
        self._hello: Hello | None = None
        self.ended = False
        self.unspoilt = True

    def hello(self) -> Hello:
        self._hello = self._hello or self._process.hello()
        return self._hello

    def run(self, command: AnyCommand, *arguments: Any) -> Answer:
        deploys = isinstance(command, Upgrade) and command.observe
        if deploys:
            self.watch(command.database, Watcher.before)
        answer = self._process.run(command, *arguments)
        if answer.ok and deploys:
            self.watch(command.database, Watcher.deployed)
        if answer.ok and isinstance(command, Step) and command.direction == "upgrade":
            step = command.revision
            self.watch(command.database, lambda watcher, connection: watcher.stepped(connection, step))
        self.unspoilt = answer.ok or (answer.failed is not None and answer.failed.deliberate)
        if answer.timed_out or answer.exit_status is not None:
            self.really_close()
        return answer

    def close(self) -> None:
        pass

    def really_close(self) -> None:
        self.ended = True
        self._process.close()


@contextlib.contextmanager
def bench(postgres: str = "auto", version: int | None = None) -> Iterator[Bench]:
    """A bench with a server of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="examples-") as name,
        Guardian() as guardian,
        start(ServerRequest(postgres, version), guardian) as server,
    ):
        running = Bench(server, guardian, Path(name).resolve())
        try:
            yield running
        finally:
            running.close()


def _write_revision(folder: Path, id_: str, parent: str | None, body: str, downgrade: str | None) -> str:
    text = _REVISION.format(
        id=id_,
        down=parent,
        upgrade=textwrap.indent(body if _has_code(body) else f"{body}\npass", "    "),
        downgrade=textwrap.indent(_ON_PURPOSE if downgrade is None else downgrade, "    "),
    )
    (folder / f"{id_}.py").write_text(text.lstrip())
    return id_


def _has_code(body: str) -> bool:
    return bool(ast.parse(body).body)


def _lines(body: str, def_line: int | None) -> Iterator[int]:
    assert def_line is not None
    for number, line in enumerate(body.splitlines(), 1):
        if line == _FLAG and number == 1:
            yield def_line
        elif line.endswith(_FLAG):
            yield def_line + number


def _until(body: str, line: int) -> str:
    """The statements of `body` that end before `line`."""
    before = [node for node in ast.parse(body).body if (node.end_lineno or 0) < line]
    return "\n".join(str(ast.get_source_segment(body, node)) for node in before)


def _order(revision: Revision) -> int:
    return int(revision.id.removeprefix("new"))


def places(findings: Sequence[Finding]) -> list[tuple[str, int]]:
    """Where the findings are."""
    return sorted((finding.location.path, finding.location.line) for finding in findings if finding.location)
