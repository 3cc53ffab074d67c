"""Whether a review is red where plain Alembic is: one small project in which a fault of any kind can be put in any place.

The project stays, and a file in it says what goes wrong where. Plain Alembic runs in a process that forks a child for
each command, the review in processes of its own as ever; both on one server.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict, replace

from reviewer.config import Config
from reviewer.host.guardian import Guardian
from reviewer.judging import comments_in, judged
from reviewer.planning import plan_for
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.project.discovery import find_trees
from reviewer.project.history import between, read_worktree
from reviewer.rehearsal.deploy import rehearse
from reviewer.report.digest import digest
from reviewer.review.rollback_label import IRREVERSIBLE
from reviewer.review.verdict import Report
from reviewer.scope import Scope
from tests import forked

FAULTS = (
    "Exception",
    "ImportError",
    "ModuleNotFoundError",
    "NotImplementedError",
    "KeyError",
    "TypeError",
    "AttributeError",
    "SystemExit",
    "KeyboardInterrupt",
    "BaseException",
    "sqlalchemy",
    "driver",
    "statement",
)
"""What goes wrong: a class of exceptions, one of SQLAlchemy's or the driver's raised by hand, a statement that fails."""

PLACES = (
    "env-top",
    "env-after",
    "in-transaction",
    "listener",
    "commit-listener",
    "version-apply",
    "module",
    "body",
    "helper",
)
"""Where: in env.py (above everything, behind everything, or where its transaction is still open), in a listener of its
engine, in `on_version_apply`, in the revision file outside of its functions, in the function, in what that calls."""

REVISIONS = ("b1", "b2")
DIRECTIONS = ("upgrade", "downgrade")


class Cell(Struct, frozen=True):
    """One fault in one place; of a project with one new revision or with two."""

    fault: str
    place: str
    revision: str = "b1"
    direction: str = "upgrade"

    def __str__(self) -> str:
        return f"{self.fault} in {self.place}, {self.direction} of {self.revision}"

    @property
    def may_refuse(self) -> bool:
        """Whether it may be a downgrade that says on purpose that there is no way back."""
        own = self.place == "body" or (self.place == "helper" and self.fault == "NotImplementedError")
        return own and self.direction == "downgrade" and self.fault != "SystemExit"


def cells() -> list[Cell]:
    """Every combination that differs from another one."""
    found = []
    for fault, place, revision, direction in itertools.product(FAULTS, PLACES, REVISIONS, DIRECTIONS):
        everywhere = place == "env-top" and revision == "b2"  # it does not know which revision comes
        loaded = place == "module" and direction == "downgrade"  # a file is loaded whole for either
        if not everywhere and not loaded:
            found.append(Cell(fault, place, revision, direction))
    return found


def few(every: Sequence[Cell]) -> list[Cell]:
    """Some of them: every fault is among them, and every place with each revision and each direction."""

    def of(cell: Cell) -> set[tuple[str, str]]:
        return {("fault", cell.fault), (cell.place, cell.revision), (cell.place, cell.direction)}

    left = {each for cell in every for each in of(cell)}
    chosen: list[Cell] = []
    while left:
        best = max(every, key=lambda cell: len(of(cell) & left))
        chosen.append(best)
        left -= of(best)
    return chosen


_INI = "[alembic]\nscript_location = m\n"

_COMMON = """
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CELL = json.load(open(os.path.join(HERE, "cell.json")))


def fail(connection=None):
    fault = CELL["fault"]
    if fault == "ModuleNotFoundError":
        import there_is_no_such_module
    if fault == "sqlalchemy":
        from sqlalchemy.exc import InvalidRequestError

        raise InvalidRequestError("boom")
    if fault == "driver":
        import psycopg

        raise psycopg.OperationalError("boom")
    if fault == "statement":
        from sqlalchemy import text

        connection.execute(text("SELECT 1 / 0"))
    if fault == "BaseException":
        raise type("Odd", (BaseException,), {})("boom")
    if fault == "SystemExit":
        raise SystemExit(3)
    raise getattr(__builtins__, fault, None) or __builtins__[fault]("boom")


def at(place, revision=None, direction=None, connection=None):
    if CELL["place"] == place and revision in (None, CELL["revision"]) and direction in (None, CELL["direction"]):
        fail(connection)
"""

_ENV = """
import os
import sys

from alembic import context
from sqlalchemy import create_engine, event, pool

sys.path.insert(0, os.path.dirname(os.path.abspath(context.config.config_file_name)))
import common

direction = "downgrade" if "downgrade" in sys.argv else "upgrade"
applied = []


def apply(ctx=None, step=None, heads=None, run_args=None):
    for revision in step.up_revision_ids:
        way = "upgrade" if step.is_upgrade else "downgrade"
        applied.append((revision, way))
        common.at("version-apply", revision, way, ctx.connection)


def after(place, connection=None):
    for revision, way in applied:
        common.at(place, revision, way, connection)


engine = create_engine(os.environ.get("PLAIN_URL", "postgresql+psycopg://"), poolclass=pool.NullPool)
running = []


@event.listens_for(engine, "before_cursor_execute")
def look(connection, cursor, statement, parameters, ctx, many):
    if "table t_" in statement and not running:
        running.append(1)
        way = "downgrade" if statement.startswith("drop") else "upgrade"
        try:
            common.at("listener", statement.split("table t_")[1][:2], way, connection)
        finally:
            running.clear()


@event.listens_for(engine, "commit")
def committed(connection):
    if not running:
        running.append(1)
        try:
            after("commit-listener", connection)
        finally:
            running.clear()


if common.CELL["fault"] != "statement":
    common.at("env-top", None, direction)
with engine.connect() as connection:
    common.at("env-top", None, direction, connection)
    connection.rollback()
    context.configure(connection=connection, on_version_apply=apply)
    with context.begin_transaction():
        context.run_migrations()
        after("in-transaction", connection)
with engine.connect() as connection:
    after("env-after", connection)
"""

_REVISION = """
import common
from alembic import op

revision = {id!r}
down_revision = {down!r}

if common.CELL["fault"] != "statement":
    common.at("module", revision)


def upgrade():
    op.execute("create table t_{id} (id bigint primary key)")
    common.at("helper", revision, "upgrade", op.get_bind())
    if (common.CELL["place"], common.CELL["revision"], common.CELL["direction"]) == ("body", revision, "upgrade"):
        {body}


def downgrade():
    op.execute("drop table t_{id}")
    common.at("helper", revision, "downgrade", op.get_bind())
    if (common.CELL["place"], common.CELL["revision"], common.CELL["direction"]) == ("body", revision, "downgrade"):
        {body}
"""

_BODIES = {
    "ModuleNotFoundError": "from there_is_no_such_module import settings",
    "sqlalchemy": 'raise __import__("sqlalchemy").exc.InvalidRequestError("boom")',
    "driver": 'raise __import__("psycopg").OperationalError("boom")',
    "statement": 'op.execute("SELECT 1 / 0")',
    "SystemExit": "raise SystemExit(3)",
    "BaseException": 'raise type("Odd", (BaseException,), {})("boom")',
}

_PLAIN = """
import json
import os
import sys

import alembic.command
import alembic.config
import psycopg
import sqlalchemy.dialects.postgresql.psycopg
from sqlalchemy import create_engine

for line in sys.stdin:
    arguments, url = json.loads(line)
    child = os.fork()
    if not child:
        os.environ["PLAIN_URL"] = url
        sys.argv = ["alembic", *arguments]
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        status = 1
        try:
            alembic.config.main(arguments)
            status = 0
        except SystemExit as error:
            status = 0 if error.code in (None, 0) else 1
        finally:
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Outcome(Struct, frozen=True):
    """What both said of a cell."""

    cell: Cell
    plain: bool
    """Whether plain Alembic fails on the way up, or on the way back."""
    report: Report

    @property
    def red(self) -> bool:
        """Whether a review fails."""
        return self.report.verdict.exit_status != 0

    @property
    def refused(self) -> bool:
        """Whether the review says that there is no way back on purpose."""
        labels = [each.rollback for tree in self.report.trees for each in digest(tree).revisions]
        return IRREVERSIBLE in labels

    @property
    def agrees(self) -> bool:
        """Whether both say the same; a downgrade that refuses on purpose is told as `irreversible`."""
        return self.plain == (self.red or (self.cell.may_refuse and self.refused))

    def __str__(self) -> str:
        said = [*self.report.all_errors, *(f"{f.rule} {f.location}: {f.message}" for f in self.report.findings)]
        alone = "plain Alembic fails" if self.plain else "plain Alembic succeeds"
        return f"{self.cell}: {alone}; {self.report.verdict.value}: {' | '.join(said) or 'nothing is said'}"


class Bench:
    """A server, the project, and plain Alembic, for any number of cells one after the other."""

    def __init__(self, server: RunningServer, guardian: Guardian, folder: Path) -> None:
        self._server: Future[RunningServer] = Future()
        self._server.set_result(server)
        self._guardian = guardian
        self._folder = folder
        self._numbers = itertools.count(1)
        versions = folder / "m" / "versions"
        versions.mkdir(parents=True)
        (folder / "work").mkdir()
        (folder / "alembic.ini").write_text(_INI)
        (folder / "common.py").write_text(_COMMON)
        (folder / "m" / "env.py").write_text(_ENV)
        self._plain = subprocess.Popen(
            [sys.executable, "-c", _PLAIN], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        """End the processes."""
        for stream in (self._plain.stdin, self._plain.stdout):
            if stream is not None:
                stream.close()
        self._plain.wait(10)

    def outcome(self, cell: Cell) -> Outcome:
        """Both, on the cell."""
        revisions = REVISIONS if cell.revision == "b2" else REVISIONS[:1]
        self._write(cell, revisions)
        return Outcome(cell, self._alembic_fails(cell), self._review())

    def _write(self, cell: Cell, revisions: Sequence[str]) -> None:
        (self._folder / "cell.json").write_text(json.dumps(asdict(cell)))
        versions = self._folder / "m" / "versions"
        for file in versions.glob("*.py"):
            file.unlink()
        parent = None
        body = _BODIES.get(cell.fault, f'raise {cell.fault}("boom")')
        for each in ("a0", *revisions):
            (versions / f"{each}.py").write_text(_REVISION.format(id=each, down=parent, body=body).lstrip())
            parent = each

    def _alembic_fails(self, cell: Cell) -> bool:
        server = self._server.result()
        database = server.create_database(f"plain_{next(self._numbers)}")
        url = server.address.url(database).replace("postgresql://", "postgresql+psycopg://")
        # what is deployed already was deployed before the fault came
        (self._folder / "cell.json").write_text(json.dumps(asdict(replace(cell, place="nowhere"))))
        assert not self._command(url, "upgrade", "a0"), f"the base state of {cell}"
        (self._folder / "cell.json").write_text(json.dumps(asdict(cell)))
        if self._command(url, "upgrade", "head"):
            return True
        return self._command(url, "downgrade", "a0")

    def _command(self, url: str, *arguments: str) -> bool:
        assert self._plain.stdin is not None
        assert self._plain.stdout is not None
        self._plain.stdin.write(json.dumps([arguments, url]) + "\n")
        self._plain.stdin.flush()
        return int(self._plain.stdout.readline()) != 0

    def _review(self) -> Report:
        folder = self._folder
        config = Config(path=folder, revisions="a0:head", rows=0, ignore=("application-import",))
        (tree,) = find_trees(folder, (), "alembic", git_root=None)
        graph = read_worktree(tree, folder)
        scope = Scope(tree, between(graph, "a0:head"), graph, folder)
        plan = forked.forking(plan_for(config, scope, forked.INTERPRETER, {}))
        recording = rehearse(plan, self._server, self._guardian, folder / "work")
        self._server.result().drop_all()
        return judged(config, [recording], {tree.name: comments_in(folder, recording)})


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """A bench with a server of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="agreement-") as name,
        Guardian() as guardian,
        start(ServerRequest("auto", None), guardian) as server,
    ):
        running = Bench(server, guardian, Path(name).resolve())
        try:
            yield running
        finally:
            running.close()
