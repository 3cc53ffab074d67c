"""Converts the events of one command of the runner to the types of the recording."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reviewer.host.files import read_regular
from reviewer.host.paths import on_disk, relative
from reviewer.project.source import raises_always
from reviewer.recording import (
    Direction,
    Failure,
    FailureKind,
    Location,
    Lock,
    Moment,
    Observation,
    Origin,
    Outcome,
    Pass,
    Rehearsal,
    Relation,
    Scan,
    Slept,
    Statement,
    Taken,
    TransactionMode,
    Written,
)
from reviewer.rehearsal.interpreter import Answer
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import Again as AgainEvent
from reviewer.rehearsal.protocol import (
    Begin,
    Counted,
    Depends,
    Ended,
    ModeEvent,
    Observed,
    RawObservation,
    RawRelation,
    RawTaken,
    RevisionEvent,
    Timed,
)
from reviewer.rehearsal.protocol import Slept as SleptEvent
from reviewer.sql.locks import LockMode
from reviewer.sql.names import VERSION_TABLE
from reviewer.sql.operations import AddForeignKey, ValidateConstraint

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


_ABOUT_VALUES = frozenset({"22", "23"})
"""Classes of SQLSTATEs that concern a value: it does not fit, or a constraint rejects it."""
_REFUSED_TO_SOME = frozenset({"42501", "53300"})
"""SQLSTATEs of what PostgreSQL does not refuse to a superuser: a privilege, and a connection beyond a limit."""
_TOO_MANY = "FATAL:  too many connections for "
_ROW_SECURITY = "row-level security"
_TO_BLAME = 0.25
"""A revision that had run for less than this part of the time limit when time ran out is not to blame for it."""


_SWALLOWED = Failure(
    FailureKind.UNSTAMPED, "it did not finish, and env.py continued as if it had: there is no error message"
)


class Run(Struct):
    """The outcome of one command, in the types of the recording."""

    passes: list[Pass] = field(default_factory=list)
    failure: Failure | None = None
    failed_revision: str | None = None
    """The revision in which it failed; None if it failed outside of all revisions."""
    out_of_time: bool = False
    """The time of the whole review ran out, and no revision is to blame."""
    mode: TransactionMode | None = None
    driver: str = ""
    always: bool = False
    """Whether it failed at an unconditional `raise` of the revision, or because the revision has no such
    function."""
    again: bool = False
    connected: int = 0
    called: int = 0
    version_table: str = VERSION_TABLE
    version_schema: str | None = None
    models: bool = False
    """Whether env.py names any models."""
    shortened: list[tuple[str, str]] = field(default_factory=list)
    """What was not recorded in full: what it is, and how much there was."""
    taken: list[Taken] = field(default_factory=list)
    """How long each line took, where that was asked for."""
    depends: Depends | None = None
    """What the project's code had read by then, if the command asked for it."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.failure is None

    @property
    def final(self) -> bool:
        """Whether a failure need not be confirmed: its time is up, or the revision raises unconditionally. A
        conditional `raise` may depend on what the process did before, or on generated rows.
        """
        return self.failure is not None and (self.failure.kind is FailureKind.TIMEOUT or self.always)

    @property
    def lacks_privilege(self) -> bool:
        """Whether PostgreSQL refused what it would not refuse to a superuser, by its own rules: to the project, or
        to the reviewer's queries in its session. Row-level security refuses in the name of the project.
        """
        failure = self.failure
        if failure is None:
            return False
        refused = failure.sqlstate in _REFUSED_TO_SOME and _ROW_SECURITY not in failure.message
        # drivers tell no SQLSTATE of a connection that is refused
        return refused or _TOO_MANY in failure.message or failure.kind is FailureKind.REVIEWER

    @property
    def may_lack_privilege(self) -> bool:
        """Whether a superuser, who also sees every row, might not fail in the same place."""
        failure = self.failure
        if failure is None or failure.kind is FailureKind.TIMEOUT:
            return False
        state = failure.sqlstate or ""
        return (
            state in _REFUSED_TO_SOME
            or _TOO_MANY in failure.message
            or state[:2] in {*_ABOUT_VALUES, "P0"}
            or (state == "42704" and "configuration parameter" in failure.message)
        )

    @property
    def guarded(self) -> bool:
        """Whether the revision refuses on purpose, under a condition."""
        return self.failure is not None and self.failure.deliberate and not self.always

    @property
    def about_values(self) -> bool:
        """Whether it failed because a value does not fit, or because a constraint rejects it."""
        return self.failure is not None and (self.failure.sqlstate or "")[:2] in _ABOUT_VALUES


_ADDED = frozenset({"detail", "hint", "context"})


class Reader:
    """Converts the events of one command to the types of the recording."""

    def __init__(
        self, plan: Plan, rehearsal: Rehearsal, again: bool, downgrade: bool, limit: float | None = None
    ) -> None:
        self._plan = plan
        self._limit = limit
        """The seconds after which this command alone was ended, if it was still running."""
        self._rehearsal = rehearsal
        self._direction = (
            Direction.UPGRADE_AGAIN if again else Direction.DOWNGRADE if downgrade else Direction.UPGRADE
        )
        self._transactions: dict[str, int] = {}
        self._later: dict[int, RawObservation] = {}
        self._statements: dict[int, Statement] = {}
        self._slept: dict[int, list[Slept]] = {}

    def read(self, answer: Answer) -> Run:
        """Return the outcome of the command, pass by pass."""
        run = Run()
        before: list[Statement] = []
        current: list[Statement] | None = None
        open_begin: Begin | None = None
        revision: str | None = None
        moment = Moment.BEFORE
        self._later = {event.n: event.observation for event in answer.events if isinstance(event, Observed)}
        self._slept = self._pauses(answer)
        for event in answer.events:
            match event:
                case ModeEvent():
                    run.called += 1
                    run.mode = TransactionMode(event.per_migration, event.transactional_ddl)
                    run.driver = event.driver
                    run.models = run.models or event.models
                    run.version_table, run.version_schema = event.version_table, event.version_table_schema
                case AgainEvent():
                    run.again = True
                case RevisionEvent(phase="begin"):
                    revision, moment = event.id, Moment.DURING
                    current = [] if run.passes else before
                    run.passes.append(Pass(event.id, self._direction, self._rehearsal, Outcome.OK, statements=()))
                case RevisionEvent(phase="end"):
                    moment = Moment.AFTER
                    if run.passes:
                        run.passes[-1] = replace(run.passes[-1], seconds=event.seconds)
                case Begin():
                    open_begin = event
                case Ended():
                    if open_begin is not None and open_begin.n == event.n:
                        statement = self._statement(open_begin, event)
                        if statement.error is not None:
                            self._statements[event.n] = statement
                        if statement.left_out:
                            run.shortened.append(shortened(statement))
                        (before if current is None else current).append(statement)
                        if run.passes and current is not None:
                            run.passes[-1] = replace(run.passes[-1], statements=tuple(current))
                    open_begin = None
                case Depends():
                    run.depends = event
                case Timed():
                    run.taken += [self._taken(event, each) for each in event.taken]
                case Counted():
                    run.shortened.append(self._counted(event))
        run.connected = answer.done.connected if answer.done else 1
        if answer.ok and moment is Moment.DURING:
            run.failure, run.failed_revision = _SWALLOWED, revision
            run.passes[-1] = replace(run.passes[-1], outcome=Outcome.FAILED, failure=run.failure)
        if not answer.ok:
            run.failure = replace(self._failure(answer, run, open_begin), moment=moment)
            run.always = self._always(run.failure)
            if run.passes:
                # also if it failed after the revision's own code, for example when its transaction commits
                run.failed_revision = revision
                run.passes[-1] = replace(run.passes[-1], outcome=Outcome.FAILED, failure=run.failure)
            if answer.timed_out and self._limit is None and answer.running < self._plan.timeout * _TO_BLAME:
                run.out_of_time = True
                run.passes = [
                    each
                    if each.outcome is Outcome.OK
                    else replace(each, outcome=Outcome.SKIPPED, failure=None, reason=time_is_over(self._plan))
                    for each in run.passes
                ]
        return run

    def _failure(self, answer: Answer, run: Run, open_begin: Begin | None) -> Failure:
        statement = next(
            (s for p in reversed(run.passes) for s in reversed(p.statements) if s.error is not None), None
        )
        if answer.unreadable is not None:
            return Failure(FailureKind.UNREADABLE, _UNREADABLE.format(answer.unreadable))
        if answer.timed_out or answer.exit_status is not None:
            location = self._location(open_begin.path, open_begin.line) if open_begin else None
            location = location or self._stack_location(answer.stack)
            if answer.timed_out:
                until = (
                    f"when {time_is_over(self._plan)}"
                    if self._limit is None
                    else f"after {self._limit:.0f} seconds"
                )
                kind, message = FailureKind.TIMEOUT, f"it was still running {until}"
            else:
                kind, message = FailureKind.EXITED, _how_it_ended(answer.exit_status)
            return Failure(kind, message, location, open_begin.sql if open_begin else None)
        failed = answer.failed
        assert failed is not None
        location = self._location(failed.path, failed.line)
        outside = None
        if not failed.in_revision:
            outside, location = location, self._location(failed.caused_path, failed.caused_line)
        if answer.waited is not None:
            sql = statement.sql if statement else None
            return Failure(FailureKind.LOCK, answer.waited, location, sql, failed.sqlstate, outside=outside)
        try:
            kind = FailureKind(failed.kind)
        except ValueError:
            kind = FailureKind.ENVIRONMENT
        message = without_addresses(failed.message)
        if kind is not FailureKind.STATEMENT:
            # an exception raised while the file is loaded does not come from upgrade() or downgrade()
            deliberate = failed.deliberate and (bool(run.passes) or (location is None and outside is None))
            return Failure(kind, message, location, None, failed.sqlstate, deliberate, outside=outside)
        worded = without_addresses(failed.worded)
        known = self._statements.get(failed.statement or 0)
        if known is None and statement is not None and statement.error == failed.message:
            known = statement
        added = tuple((word, _ADDRESS.sub("", told)) for word, told in failed.added.items() if word in _ADDED)
        if known is None:
            return Failure(
                kind, message, location, None, failed.sqlstate, worded=worded, outside=outside, added=added
            )
        if worded or not failed.in_revision:
            location = known.location or location
        sqlstate = known.sqlstate or failed.sqlstate
        return Failure(
            kind, known.error or message, location, known.sql, sqlstate, worded=worded, outside=outside, added=added
        )

    def _taken(self, event: Timed, raw: RawTaken) -> Taken:
        origin = Origin(raw.origin)
        return Taken(
            revision=event.id,
            direction=Direction(event.direction),
            sql=raw.sql,
            location=self._location(raw.path, raw.line) if origin is Origin.REVISION else None,
            origin=origin,
            count=raw.count,
            seconds=raw.seconds,
            between=raw.between,
            block=raw.block,
            waited=raw.waited,
        )

    def _counted(self, event: Counted) -> tuple[str, str]:
        place = self._location(event.path, event.line) or f"{event.origin} statements"
        return (
            f"statements of {place}",
            f"it sent {event.count:,} in one run, of which the first {event.told:,} were recorded",
        )

    def _always(self, failure: Failure) -> bool:
        if not failure.deliberate or failure.location is None:
            return failure.deliberate and failure.outside is None
        try:
            text = read_regular(on_disk(self._plan.root, failure.location.path))
        except OSError:
            return False
        return raises_always(text, failure.location.line)

    def _statement(self, begin: Begin, ended: Ended) -> Statement:
        origin = Origin(begin.origin)
        observed = ended.observation or self._later.get(ended.n)
        return Statement(
            sql=begin.sql,
            location=self._location(begin.path, begin.line) if origin is Origin.REVISION else None,
            origin=origin,
            seconds=ended.seconds,
            in_transaction=ended.in_transaction,
            rows=ended.rows,
            parameters=tuple(begin.parameters),
            connection=begin.connection,
            error=ended.error,
            sqlstate=ended.sqlstate,
            observation=_with_validation(self._observation(observed), begin.sql) if observed else None,
            left_out=begin.left_out,
            slept=tuple(self._slept.get(begin.n, ())),
        )

    def _pauses(self, answer: Answer) -> dict[int, list[Slept]]:
        """How the revisions slept, by the number of the statement before."""
        found: dict[int, list[Slept]] = {}
        for event in answer.events:
            if isinstance(event, SleptEvent) and (location := self._location(event.path, event.line)) is not None:
                found.setdefault(event.n, []).append(Slept(location, event.seconds))
        return found

    def _observation(self, raw: RawObservation) -> Observation:
        transaction = None
        if raw.transaction is not None:
            transaction = self._transactions.setdefault(raw.transaction, len(self._transactions) + 1)
        return Observation(
            # the server reports all of these in any order
            locks=_by_name(sorted(_locks(raw.locks), key=lambda each: each.mode)),
            rewritten=_by_name(_relation(each) for each in raw.rewritten),
            scanned=_by_name(Scan(_relation(relation), rows) for relation, rows in raw.scanned),
            written=_by_name(Written(_relation(each), updated, gone) for each, updated, gone in raw.written),
            built=_by_name(_relation(each) for each in raw.built),
            messages=tuple(raw.messages),
            lock_timeout=raw.lock_timeout,
            statement_timeout=raw.statement_timeout,
            transaction=transaction,
        )

    def _location(self, path: str | None, line: int | None) -> Location | None:
        if path is None or line is None:
            return None
        return Location(relative(Path(path), self._plan.root), line)

    def _stack_location(self, stack: str) -> Location | None:
        folders = tuple({str((self._plan.root / r.path).parent) for r in self._plan.revisions})
        for match in re.finditer(r'File "([^"]+)", line (\d+)', stack):
            if match.group(1).startswith(folders) or match.group(1).endswith("env.py"):
                return self._location(match.group(1), int(match.group(2)))
        return None


def _with_validation(seen: Observation, sql: str) -> Observation:
    """The observation with the scan of a table whose foreign key is validated: where an index has all that is compared,
    PostgreSQL reads every row from that, which counts as no scan of the table.
    """
    if not seen.says("validating foreign key constraint"):
        return seen
    from reviewer.sql.parse import parse  # for the few that validate one: it takes time to import

    known = {each.relation.as_name for each in seen.scanned}
    tables = [
        operation.table
        for operation in parse(sql)
        if (isinstance(operation, AddForeignKey) and not operation.not_valid)
        or isinstance(operation, ValidateConstraint)
    ]
    found = {
        lock.relation: None
        for lock in seen.locks
        if lock.relation.is_table
        and not lock.relation.new
        and lock.relation.as_name not in known
        and any(table.matches(lock.relation.as_name) for table in tables)
    }
    return replace(seen, scanned=_by_name((*seen.scanned, *(Scan(relation, 0) for relation in found))))


_UNREADABLE = (
    "the events of the project's process cannot be distinguished from what a migration has written to the reviewer's"
    " own channel: {}"
)


def shortened(statement: Statement) -> tuple[str, str]:
    """Describe, for a statement that is too long to be kept, what was left out and how much."""
    length = len(statement.sql) + statement.left_out
    place = statement.location or "a statement of env.py"
    return f"rest of {place}", f"of {length:,} characters of SQL only the first {len(statement.sql):,} were read"


def without_addresses(text: str) -> str:
    """Remove the memory addresses that Python prints for objects from `text`: they differ in every run."""
    return _ADDRESS.sub("", text)


def time_is_over(plan: Plan) -> str:
    """Explain why the rest is not rehearsed."""
    return f"the time for the whole review, {plan.allowed}, ran out"


def _locks(raw: Iterable[tuple[RawRelation, str]]) -> Iterable[Lock]:
    for relation, mode in raw:
        with contextlib.suppress(ValueError):
            yield Lock(_relation(relation), LockMode.from_pg_locks(mode))


_Named = TypeVar("_Named", Relation, Lock, Scan, Written)


def _by_name(found: Iterable[_Named]) -> tuple[_Named, ...]:
    def name(each: _Named) -> tuple[str, str, str]:
        relation = each if isinstance(each, Relation) else each.relation
        return relation.schema or "", relation.name, relation.kind

    return tuple(sorted(found, key=name))


def _relation(raw: RawRelation) -> Relation:
    return Relation(raw.schema, raw.name, raw.kind, raw.new, raw.table, raw.table_new)


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "it ended the process, or closed file descriptors that it did not open"
    if status == 70:
        return "it closed file descriptors that it did not open"
    if status < 0:
        return f"it ended the process with signal {-status}"
    return f"it ended the process with status {status}"
