"""The base state without a server: what the statements of earlier revisions have made, as far as their text tells.

Only what is certain stays in it. Code that no text tells about (a DO block, a revision that cannot be rendered) makes
it forget the tables that the code names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from reviewer import types
from reviewer.names import Name
from reviewer.operations import (
    AddCheck,
    AddColumn,
    AddEnumValue,
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
    ColumnDefinition,
    CreateDomain,
    CreateEnum,
    CreateIndex,
    CreateObject,
    CreateTable,
    CreateView,
    DetachPartition,
    DoBlock,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropIdentity,
    DropIndex,
    DropNotNull,
    DropObject,
    DropTable,
    DropView,
    ForeignKey,
    Operation,
    RenameColumn,
    RenameConstraint,
    RenameEnumValue,
    RenameIndex,
    RenameObject,
    RenameTable,
    Select,
    SetDefault,
    SetNotNull,
    SetSchema,
    SetVariable,
    Unrecognized,
    ValidateConstraint,
)
from reviewer.parse import parse, split
from reviewer.recording import Catalogue, Column, Constraint, Enumeration, Index, Table


@dataclass(frozen=True)
class Opaque:
    """Code whose statements no text tells: what it names may be anything afterwards."""

    source: str


def catalogue(past: Iterable[str | Opaque]) -> Catalogue:
    """The tables, indexes, constraints and types after `past`: emitted statements, oldest first."""
    known = _Known()
    for each in past:
        if isinstance(each, Opaque):
            known.forget(each.source)
            continue
        for text in split(each):
            for operation in parse(text):
                known.follow(operation)
                known.remember_function(operation, text)
    return Catalogue(
        tables=tuple(known.tables.values()),
        enums=tuple(Enumeration(_public(name), labels) for name, labels in known.enums.items()),
        types=tuple(_public(name) for name in known.types) if known.whole else None,
        domains=tuple(_public(name) for name in known.domains),
        volatile=tuple(_public(name) for name in known.volatile),
    )


_Key = tuple[str, str]
_ANY_TABLE = re.compile(
    r"pg_class|pg_tables|pg_constraint|pg_indexes|information_schema|get_table_names|\binspect\b"
)
"""How code looks tables up instead of naming them."""


_PLPGSQL = re.compile(r"\blanguage\s+'?plpgsql\b", re.IGNORECASE)
_STEADY = re.compile(r"\b(immutable|stable)\b", re.IGNORECASE)


def _key(name: Name) -> _Key:
    return (name.schema or "public", name.name)


def _public(key: _Key) -> Name:
    return Name(key[1], key[0])


@dataclass
class _Known:
    tables: dict[_Key, Table] = field(default_factory=dict)
    enums: dict[_Key, tuple[str, ...]] = field(default_factory=dict)
    types: dict[_Key, None] = field(default_factory=dict)
    domains: dict[_Key, None] = field(default_factory=dict)
    volatile: dict[_Key, None] = field(default_factory=dict)
    whole: bool = True
    """Whether no type can have come from anywhere else: an extension, code, another search path."""

    def forget(self, source: str) -> None:
        """What the code names, everything where it looks tables up."""
        self.whole = False
        words = set(re.findall(r"\w+", source.lower()))
        everything = _ANY_TABLE.search(source.lower()) is not None
        for known in (self.tables, self.enums):
            for key in [key for key in known if everything or key[1].lower() in words]:
                del known[key]

    def remember_function(self, operation: Operation, text: str) -> None:
        """Whether a function is volatile. One in SQL may be put in its place as what it does, so it is left out."""
        match operation:
            case CreateObject(kind="function", object=name):
                self.volatile.pop(_key(name), None)
                if _PLPGSQL.search(text) and not _STEADY.search(text):
                    self.volatile[_key(name)] = None
            case DropObject(kind="function", object=name):
                self.volatile.pop(_key(name), None)

    def follow(self, operation: Operation) -> None:
        """Take in one operation."""
        match operation:
            case CreateTable() if not operation.temporary:
                if not (operation.if_not_exists and _key(operation.table) in self.tables):
                    self.tables[_key(operation.table)] = self._created(operation)
            case DropTable(table=table):
                self.tables.pop(_key(table), None)
            case RenameTable(table=table, new_name=new):
                self._move(table, Name(new, table.schema))
            case SetSchema(object=object_, new_schema=schema):
                self._move(object_, Name(object_.name, schema))
            case CreateView(view=view, materialized=materialized):
                kind = "materialized view" if materialized else "view"
                self.tables[_key(view)] = Table(_public(_key(view)), kind)
            case DropView(view=view):
                self.tables.pop(_key(view), None)
            case CreateEnum(type=name, labels=labels):
                self.enums[_key(name)] = labels
                self.types[_key(name)] = None
            case AddEnumValue(type=name, value=value) if _key(name) in self.enums:
                self.enums[_key(name)] += (value,) if value not in self.enums[_key(name)] else ()
            case RenameEnumValue(type=name, value=old, new_value=new) if _key(name) in self.enums:
                self.enums[_key(name)] = tuple(new if each == old else each for each in self.enums[_key(name)])
            case CreateDomain(domain=name) | CreateObject(kind="type", object=name):
                self.types[_key(name)] = None
                if isinstance(operation, CreateDomain) and operation.constrained:
                    self.domains[_key(name)] = None
            case AlterDomain(domain=name, action="add constraint" | "set not null"):
                self.domains[_key(name)] = None
            case AlterDomain(domain=name, action="drop constraint" | "drop not null"):
                self.domains.pop(_key(name), None)
            case DropObject(kind="type" | "domain", object=name):
                self.enums.pop(_key(name), None)
                self.types.pop(_key(name), None)
                self.domains.pop(_key(name), None)
            case RenameObject(kind="type" | "domain", object=name, new_name=new):
                self._rename_type(_key(name), (_key(name)[0], new))
            case CreateObject(kind="extension") | Call() | SetVariable(name="search_path"):
                self.whole = False
            case Select(calls=calls) if calls:
                self.whole = False
            case DoBlock(body=source) | Unrecognized(sql=source):
                self.forget(source)
            case AttachPartition(table=parent, partition=table):
                self._change(table, partition_of=_public(_key(parent)))
            case DetachPartition(partition=table):
                self._change(table, partition_of=None)
            case CreateIndex(table=table):
                self._add_index(table, _index(operation))
            case DropIndex(index=index):
                self._drop_index(index)
            case RenameIndex(index=index, new_name=new):
                self._rename_index(index, new)
            case _:
                self._follow_column(operation)

    def _follow_column(self, operation: Operation) -> None:
        match operation:
            case AddColumn(table=table, column=column):
                self._add_column(table, column)
            case DropColumn(table=table, column=name):
                self._drop_column(table, name)
            case RenameColumn(table=table, column=name, new_name=new):
                self._rename_column(table, name, new)
            case AlterColumnType(table=table, column=name, type=type_):
                self._alter(table, name, type=types.canonical(type_))
            case SetNotNull(table=table, column=name) | AddIdentity(table=table, column=name):
                self._alter(table, name, nullable=False)
            case DropNotNull(table=table, column=name):
                self._alter(table, name, nullable=True)
            case SetDefault(table=table, column=name, default=default):
                self._alter(table, name, default=default)
            case DropDefault(table=table, column=name) | DropIdentity(table=table, column=name):
                self._alter(table, name, default=None)
            case _:
                self._follow_constraint(operation)

    def _follow_constraint(self, operation: Operation) -> None:
        match operation:
            case AddForeignKey(table=table, key=key, name=name, not_valid=not_valid):
                self._constrain(table, _foreign_key(table, name, key, valid=not not_valid))
            case AddCheck(table=table, name=name, expression=expression, not_valid=not_valid):
                self._constrain(table, self._check(table, name, expression, valid=not not_valid))
            case AddNotNull(table=table, name=name, column=column, not_valid=not_valid):
                found = name or f"{table.name}_{column}_not_null"
                self._constrain(
                    table, Constraint(found, "not null", (column,), f"NOT NULL {column}", not not_valid)
                )
                if not not_valid:
                    self._alter(table, column, nullable=False)
            case AddUnique(table=table, name=name, columns=columns, using_index=index):
                self._add_key(table, name, columns, "unique", index)
            case AddPrimaryKey(table=table, name=name, columns=columns, using_index=index):
                self._add_key(table, name, columns, "primary key", index)
            case AddExclusion(table=table, name=name):
                self._constrain(table, Constraint(name or "", "exclusion", (), "EXCLUDE"))
            case DropConstraint(table=table, name=name):
                self._drop_constraint(table, name)
            case RenameConstraint(table=table, name=name, new_name=new):
                self._each_constraint(table, name, name=new)
            case ValidateConstraint(table=table, name=name):
                self._each_constraint(table, name, valid=True)

    # -- tables ---------------------------------------------------------------------------------

    def _created(self, made: CreateTable) -> Table:
        kind = "foreign table" if made.foreign else "partitioned table" if made.partitioned else "table"
        parents = (*((made.partition_of,) if made.partition_of else ()), *made.inherits, *made.like)
        inherited = [column for each in parents for column in self._columns(each)]
        own = [_column(made.table, each, made.primary_key) for each in made.columns]
        unnamed = not made.constraint_names
        return Table(
            _public(_key(made.table)),
            kind,
            columns=(*inherited, *own),
            constraints=tuple(_constraints_of(made, named=unnamed)),
            indexes=tuple(_indexes_of(made, named=unnamed)),
            partition_of=_public(_key(made.partition_of)) if made.partition_of else None,
        )

    def _columns(self, name: Name) -> tuple[Column, ...]:
        known = self.tables.get(_key(name))
        return known.columns if known else ()

    def _change(self, name: Name, **changes: Any) -> None:
        known = self.tables.get(_key(name))
        if known is not None:
            self.tables[_key(name)] = replace(known, **changes)

    def _move(self, old: Name, new: Name) -> None:
        known = self.tables.pop(_key(old), None)
        if known is not None:
            self.tables[_key(new)] = replace(known, name=_public(_key(new)))

    def _rename_type(self, old: _Key, new: _Key) -> None:
        if old in self.enums:
            self.enums[new] = self.enums.pop(old)
        if old in self.types:
            self.types[new] = self.types.pop(old)

    # -- columns --------------------------------------------------------------------------------

    def _add_column(self, table: Name, column: ColumnDefinition) -> None:
        known = self.tables.get(_key(table))
        if known is None or known.column(column.name) is not None:
            return
        alone = CreateTable(
            table,
            columns=(column,),
            foreign_keys=(replace(column.references, columns=(column.name,)),) if column.references else (),
            primary_key=(column.name,) if column.primary_key else (),
            unique=((column.name,),) if column.unique else (),
            checks=(column.check,) if column.check else (),
        )
        unnamed = not column.constraint_names
        self._change(
            table,
            columns=(*known.columns, _column(table, column, alone.primary_key)),
            constraints=(*known.constraints, *_constraints_of(alone, named=unnamed)),
            indexes=(*known.indexes, *_indexes_of(alone, named=unnamed)),
        )

    def _drop_column(self, table: Name, name: str) -> None:
        known = self.tables.get(_key(table))
        if known is not None:
            self._change(
                table,
                columns=tuple(each for each in known.columns if each.name != name),
                constraints=tuple(each for each in known.constraints if name not in each.columns),
                indexes=tuple(each for each in known.indexes if name not in each.columns),
            )

    def _rename_column(self, table: Name, old: str, new: str) -> None:
        known = self.tables.get(_key(table))
        if known is None:
            return

        def renamed(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new if each == old else each for each in columns)

        def rewritten(definition: str) -> str:
            return re.sub(rf"\b{re.escape(old)}\b", new, definition)

        self._change(
            table,
            columns=tuple(replace(each, name=renamed((each.name,))[0]) for each in known.columns),
            constraints=tuple(
                replace(each, columns=renamed(each.columns), definition=rewritten(each.definition))
                for each in known.constraints
            ),
            indexes=tuple(
                replace(each, columns=renamed(each.columns), definition=rewritten(each.definition))
                for each in known.indexes
            ),
        )

    def _alter(self, table: Name, name: str, **changes: Any) -> None:
        known = self.tables.get(_key(table))
        if known is not None:
            self._change(
                table,
                columns=tuple(replace(each, **changes) if each.name == name else each for each in known.columns),
            )

    # -- constraints and indexes ----------------------------------------------------------------

    def _check(self, table: Name, name: str | None, expression: str, *, valid: bool) -> Constraint:
        known = self.tables.get(_key(table))
        return _check(name, expression, [each.name for each in known.columns] if known else [], valid=valid)

    def _constrain(self, table: Name, constraint: Constraint) -> None:
        known = self.tables.get(_key(table))
        if known is not None:
            self._change(table, constraints=(*known.constraints, constraint))

    def _add_key(
        self, table: Name, name: str | None, columns: tuple[str, ...], kind: str, using: str | None
    ) -> None:
        known = self.tables.get(_key(table))
        if known is None:
            return
        found = next((each for each in known.indexes if each.name == using), None) if using else None
        columns = found.columns if found else columns
        name = name or using or _made_up(table, columns, kind)
        self._constrain(table, Constraint(name, kind, columns, kind.upper()))
        index = replace(found, name=name, constraint=name) if found else _key_index(name, table, columns)
        known = self.tables[_key(table)]
        self._change(table, indexes=(*(each for each in known.indexes if each is not found), index))
        for column in columns if kind == "primary key" else ():
            self._alter(table, column, nullable=False)

    def _drop_constraint(self, table: Name, name: str) -> None:
        """One that is not known by name may be any of those whose names are not known."""
        known = self.tables.get(_key(table))
        if known is not None:
            gone = name if any(each.name == name for each in known.constraints) else ""
            self._change(
                table,
                constraints=tuple(each for each in known.constraints if each.name != gone),
                indexes=tuple(each for each in known.indexes if each.constraint != gone),
            )

    def _each_constraint(self, table: Name, name: str, /, **changes: Any) -> None:
        known = self.tables.get(_key(table))
        if known is not None:
            self._change(
                table,
                constraints=tuple(
                    replace(each, **changes) if each.name == name else each for each in known.constraints
                ),
            )

    def _add_index(self, table: Name, index: Index) -> None:
        known = self.tables.get(_key(table))
        if known is not None:
            names = {column.name for column in known.columns}
            columns = tuple(each if each in names or not names else "" for each in index.columns)
            self._change(table, indexes=(*known.indexes, replace(index, columns=columns)))

    def _drop_index(self, index: Name) -> None:
        for key, table in self.tables.items():
            if key[0] == (index.schema or "public"):
                kept = tuple(each for each in table.indexes if each.name != index.name)
                self.tables[key] = replace(table, indexes=kept)

    def _rename_index(self, index: Name, new: str) -> None:
        for key, table in self.tables.items():
            if key[0] == (index.schema or "public"):
                renamed = tuple(
                    replace(each, name=new) if each.name == index.name else each for each in table.indexes
                )
                self.tables[key] = replace(table, indexes=renamed)


def _column(table: Name, column: ColumnDefinition, primary_key: tuple[str, ...]) -> Column:
    required = column.primary_key or column.serial or column.identity or column.name in primary_key
    default = f"nextval('{table.name}_{column.name}_seq'::regclass)" if column.serial else column.default
    return Column(column.name, types.canonical(column.type), column.nullable and not required, default)


def _constraints_of(made: CreateTable, *, named: bool) -> Iterator[Constraint]:
    """The constraints written in a CREATE TABLE; the text does not tell here which name is whose."""
    columns = [column.name for column in made.columns]
    if made.primary_key:
        name = _made_up(made.table, made.primary_key, "primary key") if named else ""
        yield Constraint(name, "primary key", made.primary_key, "PRIMARY KEY")
    for each in made.unique:
        yield Constraint(_made_up(made.table, each, "unique") if named else "", "unique", each, "UNIQUE")
    for key in made.foreign_keys:
        yield _foreign_key(made.table, None if named else "", key, valid=True)
    for expression in made.checks:
        yield _check(None if named else "", expression, columns, valid=True, table=made.table)


def _indexes_of(made: CreateTable, *, named: bool) -> Iterator[Index]:
    for kind, columns in [("primary key", made.primary_key), *(("unique", each) for each in made.unique)]:
        if columns:
            yield _key_index(_made_up(made.table, columns, kind) if named else "", made.table, columns)


def _key_index(name: str, table: Name, columns: tuple[str, ...]) -> Index:
    definition = f"CREATE UNIQUE INDEX {name} ON {table} USING btree ({', '.join(columns)})"
    return Index(name, columns, definition, unique=True, constraint=name)


def _index(made: CreateIndex) -> Index:
    name = made.name or _made_up(made.table, made.columns, "index")
    unique = "UNIQUE " if made.unique else ""
    where = f" WHERE {made.where}" if made.where else ""
    definition = f"CREATE {unique}INDEX {name} ON {made.table} USING {made.method or 'btree'} ({', '.join(made.columns)}){where}"
    return Index(name, made.columns, definition, unique=made.unique)


def _foreign_key(table: Name, name: str | None, key: ForeignKey, *, valid: bool) -> Constraint:
    referenced = _public(_key(key.referenced))
    definition = f"FOREIGN KEY ({', '.join(key.columns)}) REFERENCES {key.referenced}"
    if name is None:
        name = _made_up(table, key.columns, "foreign key")
    return Constraint(name, "foreign key", key.columns, definition, valid, referenced)


def _check(
    name: str | None, expression: str, columns: Iterable[str], *, valid: bool, table: Name | None = None
) -> Constraint:
    words = set(re.findall(r"\w+", expression))
    about = tuple(column for column in columns if column in words)
    if name is None:
        name = _made_up(table, about[:1], "check") if table else ""
    return Constraint(name, "check", about, f"CHECK ({expression})", valid)


_SUFFIXES = {"primary key": "pkey", "unique": "key", "foreign key": "fkey", "check": "check", "index": "idx"}


def _made_up(table: Name, columns: tuple[str, ...], kind: str) -> str:
    """The name that PostgreSQL gives where none is written."""
    middle = () if kind == "primary key" else columns
    return "_".join((table.name, *middle, _SUFFIXES[kind]))
