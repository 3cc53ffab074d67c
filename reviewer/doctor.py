"""What a review would use and why, and what is wrong, each with its way out. Starts the interpreter, no server."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reviewer.config import Config
from reviewer.errors import ReviewerError
from reviewer.folders import work_folder
from reviewer.guardian import Guardian
from reviewer.history import wanted_extensions
from reviewer.interpreter import RunnerProcess, environment
from reviewer.project import Interpreter, Tree, find_interpreter
from reviewer.session import Scope, scope, setup_of, trees, why_no_old_code


@dataclass(frozen=True)
class Entry:
    """One line of the diagnosis."""

    what: str
    found: str
    why: str = ""
    way_out: str = ""
    """Set where something is wrong."""
    usable: bool = True
    """Not where a review does without it."""

    @property
    def wrong(self) -> bool:
        """Whether a review would stop here."""
        return bool(self.way_out)


@dataclass(frozen=True)
class Diagnosis:
    """Everything that a review would use."""

    entries: tuple[Entry, ...]

    @property
    def healthy(self) -> bool:
        """Whether a review would start."""
        return not any(entry.wrong for entry in self.entries)


def examine(config: Config, environ: Mapping[str, str]) -> Diagnosis:
    """Look at everything that a review of `config` would use. Never raises `ReviewerError`: what is wrong is told."""
    return Diagnosis(tuple(_entries(config, environ)))


def _entries(config: Config, environ: Mapping[str, str]) -> Iterator[Entry]:
    source = str(config.source) if config.source else "none"
    yield Entry("configuration", source, "" if config.source else "defaults and the command line only")
    try:
        found = trees(config)
    except ReviewerError as error:
        yield _wrong("project", error)
        found = ()
    scopes = []
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
        if found:
            yield from _versions(config, found[0], interpreter, environ)
    yield from _postgres(config, scopes)


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
        yield Entry("base state", base, "what the database is brought to first")
        commit = each.base_commit
        why_not = why_no_old_code(config, each)
        yield Entry(
            "old code",
            "not tried" if why_not or commit is None else f"commit {commit[:12]}",
            why_not or "its models' statements are tried on the new schema",
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
            "driver", drivers, "env.py's URL decides which is used; one of these where it names another database"
        )
    else:
        yield Entry("driver", "none", way_out="Install a PostgreSQL driver there, for example psycopg[binary].")


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
            yield Entry("PostgreSQL", str(each), "would do as well")
        else:
            chosen = True
            yield Entry("PostgreSQL", str(each), f"lacks {lacks}" if lacks else "the first that fits: it is used")
    if not chosen:
        yield Entry(
            "PostgreSQL",
            "no server that fits was found",
            way_out="Install PostgreSQL 14 to 18, start Docker, or give a server with --postgres URL.",
        )
