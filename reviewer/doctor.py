"""What a review would use and why, and what is wrong, with a way to fix each problem. Runs env.py, but no revision."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reviewer.config import Config
from reviewer.diagnosis import Diagnosis, Entry
from reviewer.early import trees
from reviewer.errors import ReviewerError
from reviewer.host.folders import work_folder
from reviewer.host.guardian import Guardian
from reviewer.planning import setup_of, why_no_old_code
from reviewer.project.discovery import Interpreter, Tree, find_interpreter
from reviewer.project.history import wanted_extensions
from reviewer.recording import Rehearsal
from reviewer.rehearsal.interpreter import RunnerProcess, environment
from reviewer.rehearsal.obstacles import env_py_failed, ran_nothing
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import Address, Describe
from reviewer.rehearsal.reader import Reader
from reviewer.scope import Scope
from reviewer.session import scope, start_server, workplace

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer


def examine(config: Config, environ: Mapping[str, str]) -> Diagnosis:
    """Check everything that a review of `config` would use. Never raises `ReviewerError`: problems become entries."""
    return Diagnosis(tuple(_entries(config, environ)))


def _entries(config: Config, environ: Mapping[str, str]) -> Iterator[Entry]:
    source = str(config.source) if config.source else "none"
    yield Entry("configuration", source, "" if config.source else "only defaults and the command line")
    try:
        found = trees(config)
    except ReviewerError as error:
        yield _wrong("project", error)
        found = ()
    scopes: list[Scope] = []
    versions: list[Entry] = []
    for tree in found:
        yield _project(tree)
        try:
            scopes.append(scope(config, tree, environ))
        except ReviewerError as error:
            yield _wrong("revisions", error)
    yield from (entry for each in scopes for entry in _scope(config, each))
    try:
        interpreter = find_interpreter(config.path, config.python, environ)
    except ReviewerError as error:
        yield _wrong("interpreter", error)
    else:
        yield Entry("interpreter", shlex.join(interpreter.command), interpreter.why)
        versions = list(_versions(config, found[0], interpreter, environ)) if found else []
        yield from versions
    server = list(_postgres(config, scopes))
    yield from server
    if versions and not any(entry.wrong for entry in (*versions, *server)):
        yield from _env_py(config, found, scopes, interpreter, environ)


def _wrong(what: str, error: ReviewerError) -> Entry:
    return Entry(what, error.sentence, way_out=error.way_out or "See the documentation.")


def _project(tree: Tree) -> Entry:
    name = f"project {tree.name}" if tree.name else "project"
    where = f"scripts in {tree.script_location}" if tree.script_location else "scripts in a package"
    kind = ", made by Flask-Migrate" if tree.flask else ""
    return Entry(name, str(tree.config_file), f"{where}, run from {tree.directory}{kind}")


def _scope(config: Config, each: Scope) -> Iterator[Entry]:
    revisions = each.selection.revisions
    shown = ", ".join(revision.id for revision in revisions[:8]) + (" …" if len(revisions) > 8 else "")
    yield Entry("revisions", f"{len(revisions)} to review" + (f": {shown}" if shown else ""), each.since)
    if revisions:
        base = ", ".join(each.selection.base_heads) or "an empty database"
        yield Entry("base state", base, "the state that the database is upgraded to first")
        commit = each.base_commit
        why_not = why_no_old_code(config, each)
        yield Entry(
            "old code",
            "not tried" if why_not or commit is None else f"commit {commit[:12]}",
            why_not or "the statements of its models are run against the new schema",
        )


def _versions(config: Config, tree: Tree, interpreter: Interpreter, environ: Mapping[str, str]) -> Iterator[Entry]:
    kept = environment(environ, config.env, config.pass_env, "postgresql://")
    try:
        with (
            Guardian() as guardian,
            work_folder(guardian) as folder,
            RunnerProcess(interpreter.command, setup_of(config, tree), kept, folder, guardian) as process,
        ):
            hello = process.hello()
    except ReviewerError as error:
        yield _wrong("found there", error)
        return
    yield Entry("found there", f"Python {hello.python}, Alembic {hello.alembic}, SQLAlchemy {hello.sqlalchemy}")
    drivers = ", ".join(f"{name} {version}" for name, version in hello.drivers.items())
    if drivers:
        yield Entry(
            "driver",
            drivers,
            "the URL in env.py decides which one is used; if it is for another database, one of these is",
        )
    else:
        yield Entry("driver", "none", way_out="Install a PostgreSQL driver there, for example psycopg[binary].")


def _env_py(
    config: Config,
    trees: Sequence[Tree],
    scopes: Sequence[Scope],
    interpreter: Interpreter,
    environ: Mapping[str, str],
) -> Iterator[Entry]:
    """env.py, run on a throw-away server as at the beginning of a review, without a revision."""
    if config.static:
        return
    known = {each.tree.config_file: each for each in scopes}
    try:
        with workplace() as (guardian, folder), contextlib.ExitStack() as stack:
            server = start_server(config, scopes, guardian, stack).result()
            for number, tree in enumerate(trees):
                database = server.create_database(f"doctor_{number}")
                server.make_superuser(database, True)
                place = known.get(tree.config_file)
                plan = Plan(
                    revisions=(),
                    base_heads=(),
                    setup=setup_of(config, place.tree if place else tree),
                    interpreter=interpreter.command,
                    environ=environment(environ, config.env, config.pass_env, server.address.url(database)),
                    root=place.root if place else tree.directory,
                    timeout=config.timeout,
                    tree=tree.name,
                )
                yield _ran(plan, server, database, guardian, folder)
    except ReviewerError as error:
        yield _wrong("env.py", error)


def _ran(plan: Plan, server: RunningServer, database: str, guardian: Guardian, folder: Path) -> Entry:
    what = f"env.py {plan.tree}" if plan.tree else "env.py"
    command = Describe(address=Address.of(server.address), database=database)
    with RunnerProcess(plan.interpreter, plan.setup, plan.environ, folder, guardian) as process:
        process.hello()
        answer = process.run(command, time.monotonic() + plan.timeout)
        run = Reader(plan, Rehearsal.STEPWISE, again=False, downgrade=False).read(answer)
        stop = None
        if run.failure is not None:
            stop = env_py_failed(run.failure, plan.allowed, process.last_words)
        elif answer.done is not None and answer.done.calls == 0:
            stop = ran_nothing()
    if stop is not None:
        return Entry(what, stop.sentence, way_out=stop.way_out or "See the documentation.")
    return Entry(what, "runs", f"it finished on PostgreSQL {server.version} ({server.source}); no revision was run")


def _postgres(config: Config, scopes: list[Scope]) -> Iterator[Entry]:
    if config.static:
        yield Entry("PostgreSQL", "none", "--static reads what Alembic renders as SQL")
        return
    from reviewer.postgres import ServerRequest, candidates

    wanted = frozenset(config.extensions) | {
        name for each in scopes for name in wanted_extensions(each.graph.revisions.values())
    }
    request = ServerRequest(config.postgres, config.postgres_version, wanted, config.postgres_image)
    try:
        found = candidates(request)
    except ReviewerError as error:
        yield _wrong("PostgreSQL", error)
        return
    chosen = False
    for each in found:
        lacks = ", ".join(sorted(each.lacks(wanted)))
        if each.problem:
            yield Entry("PostgreSQL", str(each), f"cannot be used: {each.problem}", usable=False)
        elif chosen:
            yield Entry("PostgreSQL", str(each), "would work too")
        else:
            chosen = True
            yield Entry("PostgreSQL", str(each), f"lacks {lacks}" if lacks else "the first match, so it is used")
    if not chosen:
        yield Entry(
            "PostgreSQL",
            "no suitable server was found",
            way_out="Install PostgreSQL 14 to 19, start Docker, or name a server with --postgres URL.",
        )
