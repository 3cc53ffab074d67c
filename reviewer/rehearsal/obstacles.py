"""Reasons why a rehearsal cannot continue, and the way out of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from msgspec.structs import replace

from reviewer.errors import CANNOT_BE_BELIEVED, GIVE_SETTINGS
from reviewer.recording import (
    NOT_THERE,
    Direction,
    Failure,
    FailureKind,
    Lock,
    Origin,
    Outcome,
    Pass,
    Rehearsal,
    Revision,
    Statement,
)
from reviewer.rehearsal.reader import Run
from reviewer.rehearsal.version_table import stamped, versions
from reviewer.rehearsal.workbench import Workbench
from reviewer.sql.names import listed

_NO_RELATION = re.compile(r'(?:relation|table) "(?:[^".]+\.)?([^"]+)" does not exist')


_GIVE_BASE = "give it with --base-schema FILE"


class Stop(Exception):
    """The rehearsal cannot continue; the sentence says why."""

    def __init__(self, sentence: str, way_out: str = "") -> None:
        super().__init__(f"{sentence}\n{way_out}".strip())
        self.sentence, self.way_out = sentence, way_out


def not_run(revision: Revision, direction: Direction, rehearsal: Rehearsal, reason: str) -> Pass:
    """Return the pass of a revision that did not run in `direction`."""
    return Pass(revision.id, direction, rehearsal, Outcome.SKIPPED, reason=reason)


_LAUNCHER = "the launcher "
_NOT_PYTHON = ("SyntaxError: ", "IndentationError: ", "TabError: ")
"""How Python's errors begin that are about the text of a file."""


def environment_failed(bench: Workbench, failure: Failure) -> Stop:
    """Explain why env.py or a revision file failed before the first revision ran."""
    return env_py_failed(failure, bench.plan.allowed, bench.last_words)


def env_py_failed(failure: Failure, allowed: str, last_words: Callable[[], str]) -> Stop:
    """Explain why env.py failed, with a way out.

    `allowed` is the time that it had, in words. `last_words` is called if env.py ended the process.
    """
    where = f" at {failure.seen_at}" if failure.seen_at else ""
    message = failure.message.rstrip(".")
    loading = failure.location is not None and failure.outside is None
    what = "A revision file" if loading else "env.py"
    match failure.kind:
        case FailureKind.IMPORT:
            return Stop(
                f"{what} could not be imported{where}: {message}.",
                "Install it in the project's interpreter, or use --python to name the interpreter that has it.",
            )
        case FailureKind.NO_DRIVER:
            return Stop(f"{message}.", "Install one there, for example `pip install psycopg[binary]`.")
        case FailureKind.TIMEOUT:
            return Stop(
                f"env.py did not end within {allowed}{where}.",
                "Give it more time with --timeout SECONDS, or check what it waits for.",
            )
        case FailureKind.EXITED:
            said = last_words()
            return Stop(f"env.py ended the process{where}: {message}{said}.", GIVE_SETTINGS)
        case _ if failure.sqlstate in NOT_THERE:
            return Stop(
                f"{what} failed{where}: {message}.",
                "If it is there before Alembic runs, give it with --base-schema FILE: plain SQL, for example from"
                " pg_dump.",
            )
        case _ if message.startswith(_LAUNCHER):
            return Stop(
                f"{message[0].upper()}{message[1:]}.",
                GIVE_SETTINGS
                if " failed: " in message
                else "Name a function that the project's interpreter can import and call with Alembic's Config:"
                " --launcher MODULE:FUNCTION.",
            )
        case _ if message.startswith(_NOT_PYTHON):
            return Stop(f"{what} failed{where}: {message}.", "Correct that file.")
        case _:
            return Stop(
                f"{what} failed{where}: {message}.",
                GIVE_SETTINGS,
            )


def unreadable(found: Sequence[str], passes: Iterable[Pass] = ()) -> tuple[str, ...]:
    """Return the one error that reports lines from the project's process that the runner did not send; empty if
    `found` is.

    It names those of `passes` that ended there.
    """
    if not found:
        return ()
    more = f", and {len(found) - 1} more such lines" if found[1:] else ""
    cut = [each for each in passes if each.failure is not None and each.failure.kind is FailureKind.UNREADABLE]
    names = listed(
        list(dict.fromkeys(f"the {each.direction.value} of revision {each.revision}" for each in cut)), 3
    )
    so = f", so {names} could not be observed to the end" if names else ""
    return (
        f"{CANNOT_BE_BELIEVED}: {found[0]}{more}{so}.\n"
        "A revision, env.py or the code of the base commit writes to file descriptors that it did not open; it must"
        " leave those alone.",
    )


def not_from_empty(bench: Workbench, run: Run) -> Stop:
    """Explain why the history did not reach the state that it should reach."""
    assert run.failure is not None
    where = f" at {run.failure.seen_at}" if run.failure.seen_at else ""
    if run.failure.kind is FailureKind.TIMEOUT:
        return Stop(
            f"The history did not reach the base revision within {bench.plan.allowed}: revision"
            f" {run.failed_revision} was running{where}.",
            "Give it more time with --timeout SECONDS, or the schema to start from with --base-schema FILE.",
        )
    reason = f"revision {run.failed_revision} failed{where}: {run.failure.message.rstrip('.')}."
    if run.failure.kind is FailureKind.RAISED:
        return Stop(
            f"The history did not reach the base revision: {reason}",
            "If it needs what the application sets up, give that with --launcher MODULE:FUNCTION, --env NAME=VALUE"
            " or -x NAME=VALUE; if it needs tables or rows, with --base-schema FILE.",
        )
    return Stop(
        f"The history does not run from an empty database: {reason}",
        "Give the schema that it starts from with --base-schema FILE: plain SQL, for example from pg_dump;"
        " an alembic_version table in it says where the history continues.",
    )


def ran_nothing() -> Stop:
    """Explain that env.py succeeded without running migrations."""
    return Stop(
        "env.py ran to its end without running migrations.",
        "Make sure that it calls context.run_migrations() when it is not in offline mode. Where it runs them for each"
        " schema or tenant that it finds in the database, give it one with --base-schema FILE.",
    )


def check_touched(bench: Workbench, run: Run, expected: Sequence[Revision] | None) -> None:
    """Raise `Stop` if a command succeeded but ran nothing on the throw-away server."""
    if run.called == 0:
        raise ran_nothing()
    if run.connected == 0 or (expected and not any(p.statements for p in run.passes)):
        raise Stop(
            "env.py ran the migrations without touching the throw-away database.",
            "The reviewer redirects every SQLAlchemy engine; a connection that does not use SQLAlchemy must"
            " get its URL from --env NAME={url}.",
        )
    if run.again:
        bench.skip("further databases", "env.py runs migrations on several databases; only the first was rehearsed")


def check_committed(bench: Workbench, run: Run, database: str) -> None:
    """Raise `Stop` if the history succeeded but none of it is in the database."""
    if not stamped(bench.server, database, run):
        raise Stop(
            "env.py ran the history to its end and then everything was rolled back: no version number is in the database.",
            "A statement that env.py executes before context.configure() begins a transaction that Alembic does not"
            " commit: move it after `with context.begin_transaction():`, or commit it. Without `with"
            " context.begin_transaction():` around context.run_migrations(), nothing commits either.",
        )


def check_base_schema(bench: Workbench, database: str) -> None:
    """Raise `Stop` if the base schema that `database` was made from holds revisions under review."""
    plan = bench.plan
    if plan.base_schema is None:
        return
    at, heads = versions(bench.server, database, bench.version_table), {*plan.base_heads}
    new = at & {each.id for each in plan.revisions} or (at if heads and heads.isdisjoint(at) else frozenset[str]())
    if new:
        raise _at_another_revision(bench, new, "so the revisions under review are in it already")


def unknown_version(bench: Workbench, database: str, run: Run) -> Stop | None:
    """Explain a history that fails because the base schema is at a revision that the project does not have."""
    if bench.plan.base_schema is None or run.failure is None:
        return None
    at = stamped(bench.server, database, run)
    unknown = {each for each in at if f"'{each}'" in run.failure.message}
    return _at_another_revision(bench, unknown, "which the project does not have") if unknown else None


def _at_another_revision(bench: Workbench, at: Collection[str], why: str) -> Stop:
    assert bench.plan.base_schema is not None
    heads = list(bench.plan.base_heads)
    wanted = f"is at {listed(heads)} or an earlier revision" if heads else "no revision has run on"
    return Stop(
        f"The base schema {bench.plan.base_schema.path} is at revision {listed(sorted(at))}, {why}.",
        f"Dump a database that {wanted}.",
    )


def made_by_no_revision(bench: Workbench, run: Run) -> str | None:
    """Return what a history from an empty database fails on because no earlier revision creates it: the name of a
    table, or `it` if PostgreSQL does not name a table. None if that is not why it fails.
    """
    failure = run.failure
    if failure is None or bench.plan.base_heads or bench.plan.base_schema is not None:
        return None
    sent = [each for ran in run.passes for each in ran.statements if each.origin is Origin.REVISION]
    made = {lock.relation.name for each in sent for lock in _new_tables(each)}
    missing = _NO_RELATION.search(failure.message)
    if missing is not None:
        return None if missing.group(1) in made else f"`{missing.group(1)}`"
    return "it" if failure.sqlstate in NOT_THERE and not made else None


def way_out_of_nothing(bench: Workbench, run: Run) -> str:
    """Return the way out for a history that fails on a table that none of its revisions creates; empty otherwise."""
    missing = made_by_no_revision(bench, run)
    if missing is None:
        return ""
    on = "" if missing == "it" else f" on {missing}, which no revision creates"
    return f"{on}: if {'what it needs' if missing == 'it' else 'it'} is there before the history, {_GIVE_BASE}"


def with_way_out(failure: Failure) -> Failure:
    """Add the way out to `failure`, which concerns an object that no revision creates."""
    message = failure.message.rstrip(".")
    return replace(
        failure, message=f"{message}; no earlier revision creates it: if it already exists, {_GIVE_BASE}"
    )


def _new_tables(statement: Statement) -> Iterator[Lock]:
    for lock in statement.observation.locks if statement.observation else ():
        if lock.relation.new and lock.relation.is_table:
            yield lock
