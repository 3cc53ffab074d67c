"""Labelled migrations: each becomes a small Alembic project, is reviewed on one shared server, and is scored."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from msgspec import Struct

import checks
from reviewer.config import Config
from reviewer.host.guardian import Guardian
from reviewer.judging import comments_of, judged
from reviewer.planning import controlled, plan_for
from reviewer.postgres import RunningServer, ServerRequest, start
from reviewer.project.discovery import find_trees
from reviewer.project.history import between, read_worktree
from reviewer.rehearsal.deploy import rehearse
from reviewer.review.finding import Finding, Severity
from reviewer.review.verdict import Report
from reviewer.scope import Scope
from reviewer.sql.parse import split
from tests import forked

CASES = Path(__file__).parent / "data" / "cases.json"

_INI = "[alembic]\nscript_location = migrations\nsqlalchemy.url = postgresql+psycopg://\n"

_ENV = """
from alembic import context
from sqlalchemy import create_engine

url, per_migration = "postgresql+psycopg://", {per_migration}
if context.is_offline_mode():
    context.configure(url=url, literal_binds=True, transaction_per_migration=per_migration)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url).connect() as connection:
        context.configure(connection=connection, transaction_per_migration=per_migration)
        with context.begin_transaction():
{migrations}
"""

_REVISION = '''
"""{message}"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = {revision!r}
down_revision = {down!r}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
'''

_NOT_LOOKED_AT = 'raise NotImplementedError("not part of the case")'

_LOCKING = frozenset({"locking", "rewriting"})
_LOSING = frozenset({"losing-data"})
_BREAKING = frozenset({"breaking-code"})
_FAILING = frozenset({"not-working", "breaking-code", "losing-data"})

ABOUT = {
    "lock": _LOCKING,
    "scan": _LOCKING,
    "rewrite": _LOCKING,
    "index_build": _LOCKING,
    "backfill": _LOCKING,
    "data_loss": _LOSING,
    "rename_as_drop": _LOSING,
    "irreversible": _LOSING,
    "compat": _BREAKING | _LOSING,
    "fails": _FAILING,
    "roundtrip": _FAILING,
    "data_dependent": _FAILING | _LOCKING,
    "partial_commit": _FAILING,
}
"""The groups of rules that are about a family of hazards; a family that is not here may be told by any rule."""

RUN_MIGRATIONS = "context.run_migrations()"
"""What env.py does in most of them."""


class Case(Struct, frozen=True):
    """One labelled migration."""

    id: str
    title: str
    verdict: str
    hazards: tuple[str, ...]
    setup: tuple[str, ...]
    revisions: tuple[dict[str, Any], ...]
    transaction_per_migration: bool = False
    rows: str | None = None
    """What an application writes between the upgrade and the downgrade."""
    given: str = ""
    """The body of the base revision, where it is not `setup`."""
    env: str = RUN_MIGRATIONS
    """How env.py runs the migrations."""

    @property
    def safe(self) -> bool:
        """Whether nothing but a notice may be said about it."""
        return self.verdict == "safe"

    def judge(self, findings: Sequence[Finding]) -> bool:
        """Whether a review with these findings has the right verdict."""
        told = loud(findings)
        if self.safe:
            return not told
        groups = {check.RULE.id: check.RULE.group.value for check in checks.load()}
        wanted = [ABOUT[hazard] for hazard in self.hazards if hazard in ABOUT]
        return any(not wanted or any(groups[f.rule] in each for each in wanted) for f in told)


def loud(findings: Sequence[Finding]) -> list[Finding]:
    """What a safe migration must not have: errors and warnings, an endless wait for a lock aside."""
    return [f for f in findings if f.severity is not Severity.NOTICE and f.rule != "endless-lock-wait"]


def load(path: Path = CASES) -> list[Case]:
    """The cases of a file in the form of tests/data/cases.json."""
    return [_case(each) for each in json.loads(path.read_text(encoding="utf-8"))]


def _case(raw: dict[str, Any]) -> Case:
    known = (raw["id"], raw["title"], raw["verdict"], tuple(raw["hazards"]), split(raw["setup_sql"]))
    if raw["kind"] == "alembic":
        given = raw["alembic"]
        return Case(
            *known,
            tuple(given["revisions"]),
            given["transaction_per_migration"],
            given["data_sql_between_upgrade_and_downgrade"],
        )
    body = "\n".join(executed(sql) for sql in split(raw["sql"]))
    if raw["mode"] == "autocommit":
        body = "with op.get_context().autocommit_block():\n" + textwrap.indent(body, "    ")
    revision = {"revision": "r1", "down_revision": "base0", "upgrade": body, "downgrade": _NOT_LOOKED_AT}
    return Case(*known, (revision,))


def executed(sql: str) -> str:
    """`op.execute(...)` of the statement; a colon that SQLAlchemy would take for a parameter is escaped."""
    safe = re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", sql)
    return f"op.execute({safe!r})"


def write(case: Case, folder: Path) -> None:
    """The case as an Alembic project."""
    versions = folder / "migrations" / "versions"
    versions.mkdir(parents=True)
    (folder / "alembic.ini").write_text(_INI)
    (folder / "migrations" / "env.py").write_text(
        _ENV.format(
            per_migration=case.transaction_per_migration, migrations=textwrap.indent(case.env.strip(), " " * 12)
        )
    )
    base = {
        "revision": "base0",
        "down_revision": None,
        "upgrade": case.given or "\n".join(executed(sql) for sql in case.setup) or "pass",
        "downgrade": _NOT_LOOKED_AT,
    }
    for each in (base, *case.revisions):
        down = each["down_revision"]
        text = _REVISION.format(
            message=case.title.replace('"', "'"),
            revision=each["revision"],
            down=tuple(down) if isinstance(down, list) else down,
            upgrade=textwrap.indent(each["upgrade"], "    "),
            downgrade=textwrap.indent(each["downgrade"], "    "),
        )
        (versions / f"{each['revision']}.py").write_text(text.lstrip())


class Bench:
    """A server that serves any number of cases, one after the other."""

    def __init__(self, server: RunningServer, guardian: Guardian) -> None:
        self._server: Future[RunningServer] = Future()
        self._server.set_result(server)
        self._guardian = guardian
        self.databases: tuple[str, ...] = ()
        """Those that were there when the last rehearsal ended."""
        self.last: dict[str, str] = {}
        """The revision files of the case reviewed last, by revision, and `env`."""

    def review(self, case: Case, *, static: bool = False, rows: int = 100, select: Sequence[str] = ()) -> Report:
        """Review the case as `alembic-reviewer review --revisions base0:heads` would."""
        with tempfile.TemporaryDirectory(prefix="case-") as name:
            folder = Path(name).resolve()
            write(case, folder)
            config = Config(path=folder, revisions="base0:heads", static=static, rows=rows, select=tuple(select))
            self.last = {file.stem: file.read_text() for file in (folder / "migrations").glob("**/*.py")}
            (tree,) = find_trees(folder, (), "alembic", git_root=None)
            graph = read_worktree(tree, folder)
            scope = Scope(tree, between(graph, "base0:heads"), graph, folder)
            plan = forked.forking(plan_for(config, scope, forked.INTERPRETER, {}))
            if case.env != RUN_MIGRATIONS:
                plan = controlled(plan, config, scope)
            work = folder / "work"
            work.mkdir()
            if static:
                from reviewer.rehearsal.static import render

                recording = render(plan, self._guardian, work)
            else:
                recording = rehearse(plan, self._server, self._guardian, work)
                self.databases = self._server.result().databases
                self._server.result().drop_all()
            return judged(config, [recording], {tree.name: comments_of(scope)})


@contextlib.contextmanager
def bench(postgres: str = "auto", version: int | None = None) -> Iterator[Bench]:
    """A bench with a server of its own."""
    with Guardian() as guardian, start(ServerRequest(postgres, version), guardian) as server:
        yield Bench(server, guardian)
