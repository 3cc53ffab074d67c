"""What the recorded statements mean, in order: parsed once, for the review and all reports.

A text of several commands is split, and each command is treated separately: it sees what those before it have done,
and has its own share of what was observed (`shares`).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reviewer.recording import (
    Constraint,
    Direction,
    Location,
    Lock,
    Origin,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Relation,
    Revision,
    Statement,
    furthest,
)
from reviewer.replay import documented_locks, shares
from reviewer.replay.effects import Held, Place, also_holding, blocking
from reviewer.replay.savepoints import Savepoints, transaction_of, undone
from reviewer.replay.schema import Schema
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AlterObject,
    CreateDomain,
    CreateEnum,
    CreateObject,
    CreateTable,
    CreateView,
    Delete,
    DropConstraint,
    DropObject,
    DropTable,
    Operation,
    RenameObject,
    RenameTable,
    Select,
    SetSchema,
    TransactionControl,
    Update,
)
from reviewer.sql.parse import parse, split

_Log = list[tuple[Operation, Statement]]


class Command(Struct, frozen=True):
    """One command of a text, and what it means."""

    text: str
    operations: tuple[Operation, ...]


@lru_cache(maxsize=10_000)
def commands(sql: str, cut: bool = False) -> tuple[Command, ...]:
    """The commands of an emitted text, in order; none if it is empty. `cut`: it is truncated. The same text is
    parsed once. Never raises.
    """
    texts = split(sql) if ";" in sql.rstrip().rstrip(";") else (sql,)
    if len(texts) < 2:
        operations = parse(sql, cut)
        return (Command(sql, operations),) if operations or sql.strip() else ()
    last = len(texts) - 1
    return tuple(Command(text, parse(text, cut and n == last)) for n, text in enumerate(texts))


def operations(statement: Statement) -> tuple[Operation, ...]:
    """The operations of all commands of a statement as it was sent, with names as written."""
    found = commands(statement.sql, statement.left_out > 0)
    return tuple(operation for command in found for operation in command.operations)


class Understood(Struct, frozen=True, eq=False, dict=True):
    """A command as it was sent, with its parsed operations, and the state in which it ran."""

    statement: Statement
    """The command with its observed effects; only its own share of a text with several commands."""
    operations: tuple[Operation, ...]
    """Every table by its resolved name: without a schema only if it is in `public`."""
    sent: Statement
    """The whole text that it was sent in; the same as `statement` if it was sent alone."""
    place: Place | None
    """Which statement of the recording that is; None if it was not run because an earlier one failed."""
    schemas: tuple[Schema, ...] = ()
    """The schema before each of the operations, and after the last."""
    held: Mapping[tuple[str, str], Held] = field(default_factory=dict)
    """Strongest lock on each existing relation (schema, name) that the transaction held before."""
    locks: tuple[Lock, ...] = ()
    """The locks that it newly acquired, as observed, or as documented if they could not be observed."""
    log: Sequence[tuple[Operation, Statement]] = ()
    """The operations of the deploy; those before it are the first `position`."""
    position: int = 0
    """How many of `log` came before it."""
    transaction_start: int = 0
    """How many of `log` came before its transaction."""
    undone: bool = False
    """Whether a ROLLBACK, complete or to a savepoint, has undone it: its effects are undone, but others still had to wait."""

    @property
    def alone(self) -> bool:
        """Whether no other command was sent with it."""
        return self.statement is self.sent

    @cached_property
    def blocked(self) -> tuple[Held, ...]:
        """Those locks that were held before and that others wait for, strongest first."""
        return blocking(self.held.values())

    @property
    def blocked_after(self) -> tuple[Held, ...]:
        """Those that are held after it, unless it has ended its transaction."""
        return blocking(also_holding(self.held, self.locks, self.statement).values())


class Step(Struct, frozen=True, eq=False):
    """One operation, with the statement that it was read from and the schema before it."""

    operation: Operation
    understood: Understood
    now: Schema

    @property
    def statement(self) -> Statement:
        """The statement that it was read from."""
        return self.understood.statement


class Story(Struct, frozen=True, eq=False, dict=True):
    """One revision as a whole, a subject of checks: what it does in both directions, and how the passes ended."""

    revision: Revision
    upgrade: tuple[Understood, ...]
    """The commands of its upgrade, from the pass that got furthest."""
    downgrade: tuple[Understood, ...]
    """The commands of its downgrade; empty if that was not run."""
    passes: tuple[Pass, ...]
    before: Schema = Schema()
    """The schema before its upgrade."""
    after: Schema = Schema()
    """The schema after its upgrade."""
    refused: Mapping[tuple[Direction, Location | None, str], Place] = field(default_factory=dict)
    """The statements that the server rejected in one of the passes, by direction, line and text."""
    unrun: Mapping[Direction, tuple[Understood, ...]] = field(default_factory=dict)
    """What would have come after the statement at which one direction failed, as if that one had done its work."""

    @property
    def ran(self) -> bool:
        """Whether its upgrade was run, or rendered."""
        return any(p.direction is Direction.UPGRADE and p.outcome is not Outcome.SKIPPED for p in self.passes)

    def failed(self, direction: Direction) -> Pass | None:
        """The pass in `direction` that failed, if one did; the one with rows in the tables first."""
        return next((p for p in self.passes if p.direction is direction and p.outcome is Outcome.FAILED), None)

    def steps(self, direction: Direction = Direction.UPGRADE) -> tuple[Step, ...]:
        """Every operation of one direction, in order, except those that were rolled back."""
        return self._upgraded if direction is Direction.UPGRADE else self._downgraded

    def operations(self, direction: Direction = Direction.UPGRADE) -> Iterator[tuple[Operation, Statement]]:
        """Every operation of one direction with its statement, in order, except those that were rolled back."""
        return iter(self.pairs(direction))

    def pairs(self, direction: Direction) -> tuple[tuple[Operation, Statement], ...]:
        """The same, as a sequence that can be sliced."""
        return self._upgrades if direction is Direction.UPGRADE else self._downgrades

    def understood(self, direction: Direction) -> tuple[Understood, ...]:
        """The commands of one direction."""
        return self.upgrade if direction is Direction.UPGRADE else self.downgrade

    @cached_property
    def changed_by_line(self) -> Mapping[tuple[object, ...], tuple[int, int]]:
        """How many UPDATEs, or DELETEs, of one line and transaction change one table, and how many rows in total."""
        found: dict[tuple[object, ...], tuple[int, int]] = {}
        for each in (*self.upgrade, *self.downgrade):
            if len(each.operations) == 1 and isinstance(operation := each.operations[0], Update | Delete):
                key = of_line(operation, each.statement)
                statements, rows = found.get(key, (0, 0))
                changed = each.statement.rows or 0
                sent = max(changed, 1) if sent_for_many(each.statement) else 1
                found[key] = (statements + sent, rows + changed)
        return found

    @cached_property
    def _upgrades(self) -> tuple[tuple[Operation, Statement], ...]:
        return tuple((step.operation, step.statement) for step in self._upgraded)

    @cached_property
    def _downgrades(self) -> tuple[tuple[Operation, Statement], ...]:
        return tuple((step.operation, step.statement) for step in self._downgraded)

    @cached_property
    def _upgraded(self) -> tuple[Step, ...]:
        return tuple(_steps(self.upgrade))

    @cached_property
    def _downgraded(self) -> tuple[Step, ...]:
        return tuple(_steps(self.downgrade))


_PLACEHOLDER = re.compile(r"%\(\w+\)s|%s|\$\d")


def sent_for_many(statement: Statement) -> bool:
    """Whether it was sent with a list of values (`executemany`), once for each: those are not recorded."""
    return not statement.parameters and _PLACEHOLDER.search(statement.sql) is not None


def of_line(operation: Update | Delete, statement: Statement) -> tuple[object, ...]:
    """What the statements of a loop have in common."""
    seen = statement.observation
    return (statement.location, seen and seen.transaction, type(operation), operation.table)


def _steps(understood: Iterable[Understood]) -> Iterator[Step]:
    for each in understood:
        if not each.undone:
            for operation, now in zip(each.operations, each.schemas, strict=False):
                yield Step(operation, each, now)


def understand(recording: Recording) -> tuple[Story, ...]:
    """Every revision of the recording as a story, parents first: replayed in both directions from the base state."""
    numbers: dict[str, list[int]] = {revision.id: [] for revision in recording.revisions}
    for number, each in enumerate(recording.passes):
        numbers.setdefault(each.revision, []).append(number)
    state = _Replay(Schema.of(recording.base))
    rehearsal = None
    stories = []
    for revision in recording.revisions:
        before = state.schema
        upgrade: tuple[Understood, ...] = ()
        unrun: dict[Direction, tuple[Understood, ...]] = {}
        downgrade: tuple[Understood, ...] = ()
        up = _judged(recording, numbers[revision.id], Direction.UPGRADE)
        if up is not None:
            judged = recording.passes[up]
            if judged.rehearsal is Rehearsal.STEPWISE or judged.rehearsal is not rehearsal:
                # transactions are numbered from 1 in each step, and in a deploy with other rows as in the previous one; what
                # an upgrade created stays new in the deploy
                state = _Replay(state.schema.connected())
            rehearsal = judged.rehearsal
            upgrade = _replayed(state, up, judged, revision, recording)
            unrun[Direction.UPGRADE] = _never_ran(state, judged, upgrade)
        after = state.schema
        down = _judged(recording, numbers[revision.id], Direction.DOWNGRADE)
        if down is not None:
            back = _Replay(after.deployed().connected())
            downgrade = _replayed(back, down, recording.passes[down], revision, recording)
            unrun[Direction.DOWNGRADE] = _never_ran(back, recording.passes[down], downgrade)
        refused = _refused(recording, numbers[revision.id])
        passes = recording.passes_of(revision.id)
        stories.append(Story(revision, upgrade, downgrade, passes, before, after, refused, unrun))
    return tuple(stories)


def _never_ran(state: _Replay, judged: Pass, ran: Iterable[Understood]) -> tuple[Understood, ...]:
    """What of the pass nobody could run any more, in a `state` in which the statement that failed has done its work."""
    if judged.unrun:
        state.assume(operation for each in ran if each.sent.error for operation in each.operations)
    return tuple(found for each in judged.unrun for found in state.take(each, None, state.open(each)))


def _refused(recording: Recording, numbers: Iterable[int]) -> dict[tuple[Direction, Location | None, str], Place]:
    found: dict[tuple[Direction, Location | None, str], Place] = {}
    for number in numbers:
        run = recording.passes[number]
        for index, each in enumerate(run.statements):
            if each.error is not None:
                found.setdefault((run.direction, each.location, each.sql), Place(number, index))
    return found


def _judged(recording: Recording, numbers: Sequence[int], direction: Direction) -> int | None:
    """The pass whose statements are looked at; those of the others are the same ones again."""
    judged = furthest((recording.passes[number] for number in numbers), direction)
    return next((number for number in numbers if recording.passes[number] is judged), None)


def _replayed(
    state: _Replay, number: int, judged: Pass, revision: Revision, recording: Recording
) -> tuple[Understood, ...]:
    # not observed: one transaction per revision if env.py asks for that, else one for all, until a statement
    # outside of it commits the earlier ones
    unseen = revision.id if recording.transactions.per_migration else ""
    found: list[Understood] = []
    for index, statement in enumerate(judged.statements):
        if statement.origin is not Origin.ALEMBIC:
            transaction = transaction_of(statement, state.transaction, unseen, operations(statement))
            found += state.take(statement, Place(number, index), transaction)
    gone = undone([(each.statement, each.operations) for each in found])
    return tuple(replace(each, undone=True) if n in gone else each for n, each in enumerate(found))


_Standing = tuple[Mapping[tuple[str, str], Held], Schema, int]


class _Replay:
    """The state that results from the commands so far."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.transaction: Hashable = None
        self.held: Mapping[tuple[str, str], Held] = {}
        self.log: _Log = []
        self.start = 0
        self.savepoints: Savepoints[_Standing] = Savepoints(self._standing())

    def take(self, statement: Statement, place: Place | None, transaction: Hashable) -> Iterator[Understood]:
        """The commands of one statement, each with the state that those before it have left."""
        found = commands(statement.sql, statement.left_out > 0)
        parts = shares.of(statement, [(each.text, each.operations) for each in found], self.schema)
        if len(found) > 1 and transaction is None:
            transaction = ("text", len(self.log))  # PostgreSQL runs a text of several commands as one transaction
        self._enter(transaction)
        for command, part in zip(found, parts, strict=True):
            yield self._take(command, part, statement, place)
            if any(_ends(operation) for operation in command.operations):
                self._enter(None)

    def assume(self, operations: Iterable[Operation]) -> None:
        """Continue as if the rejected operations had succeeded."""
        for operation in operations:
            self.schema = self.schema.apply(operation)

    def open(self, statement: Statement) -> Hashable:
        """The transaction of a statement that was not run: the one that is open."""
        return self.transaction if statement.in_transaction else None

    def _enter(self, transaction: Hashable) -> None:
        if transaction is None or transaction != self.transaction:
            self.held = {}
            self.start = len(self.log)
            self.schema = self.schema.committed()
            self.savepoints.begin(self._standing())
        self.transaction = transaction

    def _standing(self) -> _Standing:
        return self.held, self.schema, len(self.log)

    def _take(self, command: Command, statement: Statement, sent: Statement, place: Place | None) -> Understood:
        schemas = [self.schema]
        read = []
        for written in command.operations:
            operation, known = _named(written, schemas[-1], statement)
            schemas[-1] = known
            schemas.append(known.apply(operation) if statement.error is None else known)
            read.append(operation)
        understood = Understood(
            statement,
            tuple(read),
            sent,
            place,
            schemas=tuple(schemas),
            held=self.held,
            locks=_locks(statement, read, schemas),
            log=self.log,
            position=len(self.log),
            transaction_start=self.start,
        )
        if statement.error is None:
            self._hold(understood)
            for operation in read:
                self._follow(operation)
        self.schema = schemas[-1]
        for lock in understood.locks:
            if lock.relation.new:  # those too that no text names, as the sequence of a serial column
                self.schema = self.schema.with_new(lock.relation.as_name)
        self.log += [(operation, statement) for operation in read]
        back = self.savepoints.follow(read, self._standing()) if statement.error is None else None
        if back is not None:
            self.held, self.schema, length = back
            self.log = self.log[:length]  # earlier commands keep the list that they have seen
        return understood

    def _hold(self, understood: Understood) -> None:
        self.held = also_holding(self.held, understood.locks, understood.statement)

    def _follow(self, operation: Operation) -> None:
        """A renamed table stays locked under its new name."""
        match operation:
            case RenameTable(table=old, new_name=name):
                new = (old.schema or "public", name)
            case SetSchema(object=old, new_schema=schema):
                new = (schema, old.name)
            case _:
                return
        key = (old.schema or "public", old.name)
        if key in self.held and key != new:
            held = self.held[key]
            moved = replace(held, relation=replace(held.relation, schema=new[0], name=new[1]))
            self.held = {new if each == key else each: value for each, value in self.held.items() if each != new}
            self.held = {**self.held, new: moved}


def _ends(operation: Operation) -> bool:
    return isinstance(operation, TransactionControl) and operation.action in {"commit", "rollback", "end", "abort"}


# -- names ------------------------------------------------------------------------------------------

_T = TypeVar("_T")

_WITHOUT_SCHEMA = frozenset(
    {"schema", "database", "role", "user", "group", "tablespace", "extension", "language", "publication", "subscription",
     "server", "foreign data wrapper", "trigger", "policy", "rule", "event trigger", "owned", "access method", "cast",
     "transform", "system", "attribute"}
)  # fmt: skip
"""Kinds of objects that are in no schema, or named by their table."""


def qualified(operation: Operation, schema: Schema, relations: Iterable[Relation] = ()) -> Operation:
    """The operation with every name resolved: to one of the observed `relations`, else along the search path.
    Names in `public` stay without a schema.
    """
    seen: dict[str, list[str]] = {}
    away = operation.new_schema if isinstance(operation, SetSchema) else None
    for each in relations:
        if not each.schema.startswith("pg_") and each.schema != away and each.schema not in seen.get(each.name, ()):
            seen.setdefault(each.name, []).append(each.schema)
    elsewhere = any(schemas != ["public"] for schemas in seen.values())
    if not elsewhere and schema.path[:1] == ("public",) and len(schema.path) == 1:
        return operation
    renamed = operation.new_name if isinstance(operation, RenameTable) else None
    made = _creates(operation)

    def real(name: Name) -> Name:
        if name.schema is not None:
            return name
        found = seen.get(renamed or name.name, [])
        if name is not made and len(found) > 1:
            found = [each for each in schema.path if each in found][:1]
        if len(found) == 1:
            return name if found[0] == "public" else Name(name.name, found[0])
        return schema.resolve(name, new=name is made)

    if getattr(operation, "kind", None) not in _WITHOUT_SCHEMA:
        return _each_name(operation, real)
    if (
        isinstance(operation, CreateObject | AlterObject | DropObject | RenameObject)
        and operation.table is not None
    ):
        return replace(operation, table=real(operation.table))
    return operation


def _creates(operation: Operation) -> Name | None:
    match operation:
        case CreateTable(table=name) | CreateView(view=name) | CreateEnum(type=name) | CreateDomain(domain=name):
            return name
        case CreateObject(object=name):
            return name
    return None


def _each_name(value: _T, real: Any) -> _T:
    """The same with every name replaced."""
    if isinstance(value, Name):
        return real(value)  # type: ignore[no-any-return]
    if isinstance(value, tuple):
        return tuple(_each_name(each, real) for each in value)  # type: ignore[return-value]
    if isinstance(value, Struct):
        changes = {}
        for name in value.__struct_fields__:
            old = getattr(value, name)
            if isinstance(old, Name | tuple | Struct):
                new = _each_name(old, real)
                if new != old:
                    changes[name] = new
        return replace(value, **changes) if changes else value
    return value


def _named(operation: Operation, schema: Schema, statement: Statement) -> tuple[Operation, Schema]:
    """The operation with resolved names, and the schema if it was observed to be on the search path."""
    seen = statement.observation
    if isinstance(operation, RenameObject) and operation.kind in _WITHOUT_SCHEMA and operation.table is None:
        return operation, schema
    relations = tuple(relations_of(seen)) if seen is not None else ()
    found = qualified(operation, schema, relations)
    if found is operation or isinstance(operation, Select):
        return found, schema
    told = dict.fromkeys(name.schema for name in _names(found) if name not in set(_names(operation)))
    unknown = next((each for each in told if each is not None and each not in schema.path), None)
    return found, schema.looking_in(unknown) if unknown is not None else schema


def _names(value: object) -> Iterator[Name]:
    if isinstance(value, Name):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _names(each)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from _names(getattr(value, name))


def relations_of(seen: Any) -> Iterator[Relation]:
    """Every relation of an observation."""
    for lock in seen.locks:
        yield lock.relation
    yield from seen.rewritten
    yield from seen.built
    for scan in seen.scanned:
        yield scan.relation


# -- locks ------------------------------------------------------------------------------------------


def _locks(statement: Statement, operations: Sequence[Operation], schemas: Sequence[Schema]) -> tuple[Lock, ...]:
    """Every lock that the statement newly took, on indexes and new relations too."""
    seen = statement.observation
    if seen is not None and seen.transaction is not None:
        return seen.locks
    # not observable: the locks of a statement outside a transaction are released with it
    return tuple(
        Lock(
            Relation(name.schema or "public", name.name, _kind(name, now), new=_is_new(name, now, statement)), mode
        )
        for operation, now in zip(operations, schemas, strict=False)
        for name, mode in (*documented_locks.locks(operation), *_referenced(operation, now))
    )


def _is_new(name: Name, now: Schema, statement: Statement) -> bool:
    for relation in relations_of(statement.observation) if statement.observation else ():
        if relation.as_name.matches(name):
            return relation.new
    return now.is_new(name)


def _kind(name: Name, now: Schema) -> str:
    known = now.table(name)
    return known.kind if known else "table"


def _referenced(operation: Operation, now: Schema) -> Iterator[tuple[Name, LockMode]]:
    """The tables referenced by foreign keys that are dropped: locked too, although the text does not name them."""
    gone: tuple[Constraint, ...]
    match operation:
        case DropTable(table=table):
            gone = now.constraints(table)
        case DropConstraint(table=table, name=name):
            gone = _called(now.constraints(table), name)
        case _:
            return
    for each in gone:
        if each.referenced is not None and not each.referenced.matches(table):
            yield each.referenced, LockMode.ACCESS_EXCLUSIVE


def _called(every: Sequence[Constraint], name: str) -> tuple[Constraint, ...]:
    """The constraint of that name; if the text alone does not show which one it is, all candidates."""
    found = tuple(each for each in every if each.name == name) or tuple(each for each in every if not each.name)
    return found if len({each.referenced for each in found}) == 1 else ()
