"""Which command of a text did what: everything that is sent at once is observed only once.

A lock is attributed to the first command that takes it; scans, rewrites and index builds to those that can have
caused them: by the relation that they name, and by their documentation. If several qualify, each of them counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from reviewer.recording import Lock, Observation, Relation, Scan, Statement
from reviewer.replay import documented_locks
from reviewer.replay.schema import Schema
from reviewer.sql import types
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddCheck,
    AddColumn,
    AddExclusion,
    AddForeignKey,
    AddIdentity,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    AlterColumnType,
    AlterDomain,
    AttachPartition,
    Call,
    Cluster,
    ColumnDefinition,
    Copy,
    CreateIndex,
    CreateObject,
    CreateTable,
    CreateView,
    Delete,
    DoBlock,
    Insert,
    Merge,
    Operation,
    RefreshMaterializedView,
    Reindex,
    RenameTable,
    Repack,
    Select,
    SetAccessMethod,
    SetExpression,
    SetLogged,
    SetNotNull,
    SetSchema,
    SetTablespace,
    Truncate,
    Unrecognized,
    Update,
    Vacuum,
    ValidateConstraint,
)

_Commands: TypeAlias = Sequence[tuple[str, tuple[Operation, ...]]]
"""The text of each command and its operations."""

_SURE, _MAYBE, _NO = 2, 1, 0


def of(statement: Statement, commands: _Commands, schema: Schema) -> tuple[Statement, ...]:
    """The statement as if each command had been sent separately. An error applies to all of them, because the
    server does not say which it was.
    """
    if len(commands) < 2:
        return (statement,) * len(commands)
    last = len(commands) - 1
    ends = [n == last for n in range(len(commands))]
    texts = [
        replace(
            statement, sql=text, rows=statement.rows if end else None, left_out=statement.left_out if end else 0
        )
        for (text, _), end in zip(commands, ends, strict=True)
    ]
    seen = statement.observation
    if seen is None:
        return tuple(texts)
    return tuple(
        replace(each, observation=part)
        for each, part in zip(texts, _Shares(seen, commands, schema).all(), strict=True)
    )


class _Shares:
    def __init__(self, seen: Observation, commands: _Commands, schema: Schema) -> None:
        self._seen = seen
        self._commands = commands
        self._schema = schema
        self._renames = [
            (n, renamed) for n, (_, operations) in enumerate(commands) for renamed in _renames(operations)
        ]

    def all(self) -> list[Observation]:
        """The observed effects of each command."""
        seen = self._seen
        locks = [(self._taker(lock), lock) for lock in seen.locks]
        rewritten = [(n, r) for r in seen.rewritten for n in self._doers(r, _rewrites)]
        scanned = [(n, scan) for scan in seen.scanned for n in self._doers(scan.relation, _reads)]
        written = [(n, each) for each in seen.written for n in self._doers(each.relation, _writes)]
        built = [(n, r) for r in seen.built for n in self._doers(r, _builds)]
        said = [(n, message) for message in seen.messages for n in self._concerned(message)]
        return [
            replace(
                seen,
                locks=tuple(Lock(self._then(lock.relation, n), lock.mode) for k, lock in locks if k == n),
                rewritten=tuple(self._then(each, n) for k, each in rewritten if k == n),
                scanned=tuple(Scan(self._then(each.relation, n), each.rows) for k, each in scanned if k == n),
                written=tuple(
                    replace(each, relation=self._then(each.relation, n)) for k, each in written if k == n
                ),
                built=tuple(self._then(each, n) for k, each in built if k == n),
                messages=tuple(message for k, message in said if k == n),
            )
            for n in range(len(self._commands))
        ]

    def _then(self, relation: Relation, command: int) -> Relation:
        """The relation under the name that it had after the command: it was observed after all of them."""
        schema, name, table = relation.schema, relation.name, relation.table
        for n, (old, new) in reversed(self._renames):
            if n > command:
                made = self._made(old)
                if relation.is_table and _may_be(new, schema, name) and (relation.new or not made):
                    name, schema = old.name, old.schema or (schema if new.schema is None else "public")
                elif table is not None and _may_be(new, schema, table) and (relation.table_new or not made):
                    table = old.name
        return replace(relation, schema=schema, name=name, table=table)

    def _made(self, table: Name) -> bool:
        """Whether the deploy has created the table: its later name may be that of one that is dropped before."""
        return self._schema.is_new(table) or any(
            isinstance(operation, CreateTable) and operation.table.matches(table)
            for _, operations in self._commands
            for operation in operations
        )

    def _creator(self, relation: Relation) -> int | None:
        """The command that has created such a relation, if one has; whether it is another one of the same name,
        which existed before, `relation.new` says.
        """
        for n, (_, operations) in enumerate(self._commands):
            if any(_creates(operation, self._then(relation, n)) for operation in operations):
                return n
        return None

    def _able(self, relation: Relation) -> list[int]:
        """The commands that can have affected the relation: from its creation on, or until it is replaced."""
        every = range(len(self._commands))
        creator = self._creator(relation)
        if creator is None:
            return list(every)
        return [n for n in every if (n >= creator if relation.new else n <= creator)]

    def _taker(self, lock: Lock) -> int:
        if lock.relation.new and (creator := self._creator(lock.relation)) is not None:
            return creator

        def score(n: int) -> float:
            relation = self._then(lock.relation, n)
            _, operations = self._commands[n]
            best = 0.0
            for operation in operations:
                modes = list(documented_locks.locks(operation))
                named = [mode for name, mode in modes if _is(name, relation)]
                if lock.mode in named:
                    best = max(best, 5)
                elif any(mode >= lock.mode for mode in named):
                    best = max(best, 4)
                elif any(_concerns(name, relation) for name in _names(operation)):
                    best = max(best, 3)
                elif isinstance(operation, _OPAQUE):
                    best = max(best, 2)
                elif lock.mode in {mode for _, mode in modes}:
                    best = max(best, 1)
                elif modes or lock.mode < LockMode.ROW_EXCLUSIVE:
                    best = max(best, 0.5)
            return best

        return max(self._able(lock.relation), key=lambda n: (score(n), -n))

    def _doers(self, relation: Relation, does: Callable[[Operation, Relation, Schema], int]) -> list[int]:
        """The commands that are known to do it, else those that can, else all that name it, else all."""
        schema = self._schema
        able = self._able(relation)
        can = []
        for n, (_, operations) in enumerate(self._commands):
            then = self._then(relation, n)
            can.append(max((does(operation, then, schema) for operation in operations), default=_NO))
            for operation in operations:
                schema = schema.apply(operation)
        for wanted in (_SURE, _MAYBE):
            if found := [n for n in able if can[n] == wanted]:
                return found
        if relation.new and (creator := self._creator(relation)) is not None:
            return [creator]
        named = [
            n
            for n in able
            for operations in [self._commands[n][1]]
            if any(
                _concerns(name, self._then(relation, n)) for operation in operations for name in _names(operation)
            )
        ]
        return named or able

    def _concerned(self, message: str) -> list[int]:
        """The commands that a message of the server's is about: those that name what it names."""
        words = {part for quoted in re.findall(r'"([^"]+)"', message) for part in quoted.split(".")}
        naming = [n for n, (text, _) in enumerate(self._commands) if words & set(re.findall(r"[\w$]+", text))]
        every = naming or list(range(len(self._commands)))
        for sign, word in ((", skipping", r"\bif\s+(not\s+)?exists\b"), (" cascades to ", r"\bcascade\b")):
            if sign in message:
                able = [
                    n for n in range(len(self._commands)) if re.search(word, self._commands[n][0], re.IGNORECASE)
                ]
                return [n for n in every if n in able] or able or every
        return every


_OPAQUE = (DoBlock, Call, Select, Unrecognized)


def _renames(operations: Sequence[Operation]) -> list[tuple[Name, Name]]:
    found = []
    for operation in operations:
        match operation:
            case RenameTable(table=table, new_name=new):
                found.append((table, Name(new, table.schema)))
            case SetSchema(kind="table" | "view" | "materialized view", object=table, new_schema=schema):
                found.append((table, Name(table.name, schema)))
    return found


def _names(operation: object) -> list[Name]:
    found = []
    for name in ("table", "object", "view", "index", "partition", "parent"):
        value = getattr(operation, name, None)
        if isinstance(value, Name):
            found.append(value)
    match operation:
        case RenameTable(new_name=new):
            found.append(Name(new, operation.table.schema))
        case CreateIndex(name=str(new)) | AddUnique(name=str(new)) | AddPrimaryKey(name=str(new)):
            found.append(Name(new, operation.table.schema))
        case AddForeignKey(key=key):
            found.append(key.referenced)
        case AddColumn(column=ColumnDefinition(references=key)) if key is not None:
            found.append(key.referenced)
        case CreateTable(foreign_keys=keys):
            found += [key.referenced for key in keys]
        case Select(tables=tables) | Insert(sources=tables) | Update(sources=tables) | Delete(sources=tables):
            found += tables
    return found


def _creates(operation: Operation, relation: Relation) -> bool:
    """Whether the operation creates the relation, or the table whose key or sequence it is."""
    match operation:
        case CreateTable(table=name) | CreateView(view=name) | CreateObject(kind="sequence", object=name):
            part = not relation.is_table and relation.name.startswith(f"{name.name}_")
            return _is(name, relation) or (part and name.schema in {None, relation.schema})
        case CreateIndex(name=str(index)):
            return index == relation.name
        case AddColumn(table=table, column=column) if column.serial or column.identity:
            return relation.kind == "sequence" and relation.name.startswith(f"{table.name}_{column.name}_")
    return False


def _may_be(name: Name, schema: str, last: str) -> bool:
    return name.name == last and name.schema in {None, schema}


def _is(name: Name, relation: Relation) -> bool:
    """Whether the name can refer to the relation: without a schema it can be in any."""
    return _may_be(name, relation.schema, relation.name)


def _concerns(name: Name, relation: Relation) -> bool:
    """Whether the name can refer to the relation, or to the table that it is an index of."""
    return _is(name, relation) or _is_index_of(name, relation)


def _is_index_of(name: Name, relation: Relation) -> bool:
    return relation.table is not None and _may_be(name, relation.schema, relation.table)


def _rewrites(operation: Operation, relation: Relation, schema: Schema) -> int:
    """Whether the operation rewrites the table."""
    if isinstance(operation, _OPAQUE):
        return _MAYBE
    if not any(_concerns(name, relation) for name in _names(operation)):
        return _NO
    match operation:
        case AddColumn(column=column):
            computed = column.generated is not None and column.stored
            if column.serial or column.identity or computed:
                return _SURE
            return _MAYBE if "(" in (column.default or "") or not types.built_in(column.type) else _NO
        case AlterColumnType(table=table, column=name, type=new):
            known = schema.column(schema.resolve(table), name)
            if known is None:
                return _MAYBE
            return _MAYBE if operation.using is None and types.keeps_storage(known.type, new) else _SURE
        case Vacuum(full=True) | Cluster() | SetLogged() | SetTablespace() | SetAccessMethod() | SetExpression():
            return _SURE
        case Repack(concurrently=False):
            return _SURE
        case RefreshMaterializedView() | AddIdentity() | Truncate():
            return _SURE
    return _NO


def _reads(operation: Operation, relation: Relation, schema: Schema) -> int:
    """Whether the operation reads the whole table."""
    if isinstance(operation, CreateTable) and operation.as_query:
        return _MAYBE
    if isinstance(operation, (*_OPAQUE, AlterDomain)):
        named = any(_is(name, relation) for name in _names(operation))
        return _SURE if named else _MAYBE
    if not any(_is(name, relation) for name in _names(operation)):
        return _NO
    match operation:
        case AddCheck(not_valid=False) | AddForeignKey(not_valid=False) | ValidateConstraint() | CreateIndex():
            return _SURE
        case AddUnique(using_index=None) | AddPrimaryKey(using_index=None) | AddExclusion() | Reindex():
            return _SURE
        case Insert() | Update() | Delete() | Merge() | Copy():
            return _SURE
        case SetNotNull(table=table, column=name) | AddNotNull(table=table, column=name, not_valid=False):
            known = schema.column(schema.resolve(table), name)
            return _NO if known is not None and not known.nullable else _SURE
        case AddColumn(column=column) if column.check or column.references or column.unique or column.primary_key:
            return _SURE
        case AddPrimaryKey() | AttachPartition():
            return _SURE
        case AlterColumnType():
            return max(_rewrites(operation, relation, schema), _MAYBE)
    return _rewrites(operation, relation, schema)


def _writes(operation: Operation, relation: Relation, _: Schema) -> int:
    """Whether the operation updates or deletes rows of the table: by its triggers, others may do so too."""
    if isinstance(operation, _OPAQUE):
        return _MAYBE
    changes = isinstance(operation, Update | Delete | Merge | Insert)
    return _SURE if changes and any(_is(name, relation) for name in _names(operation)) else _NO


def _builds(operation: Operation, relation: Relation, schema: Schema) -> int:
    """Whether the operation builds the index."""
    if isinstance(operation, _OPAQUE):
        return _MAYBE
    match operation:
        case CreateIndex(name=str(name)) | AddUnique(name=str(name)) | AddPrimaryKey(name=str(name)):
            return _SURE if name == relation.name else _NO
    if not any(_concerns(name, relation) for name in _names(operation)):
        return _NO
    match operation:
        case (
            CreateTable()
            | CreateIndex()
            | AddUnique(using_index=None)
            | AddPrimaryKey(using_index=None)
            | AddExclusion()
        ):
            return _MAYBE
        case AddColumn(column=column) if column.unique or column.primary_key:
            return _MAYBE
        case Reindex():
            return _MAYBE
    # a table rewrite rebuilds all its indexes
    anew = _rewrites(operation, Relation(relation.schema, relation.table or "", "table"), schema)
    return max(anew, _MAYBE) if isinstance(operation, AlterColumnType) else anew
