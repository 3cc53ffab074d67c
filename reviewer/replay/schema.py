"""What the database looks like: one immutable value, which every operation turns into the next.

It begins as the catalogue that was observed, or reconstructed from the text of earlier revisions
(`reconstruction`), and it knows the name that each table, column and index had when the deploy began.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from reviewer.recording import Catalogue, Column, Constraint, Enumeration, Index, Table
from reviewer.sql import types
from reviewer.sql.names import Name
from reviewer.sql.operations import (
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

Key = tuple[str, str]
"""A schema and a name in it."""

PUBLIC = ("public",)
"""The default search path."""


class Origin(Struct, frozen=True):
    """The names that a table, and its added or renamed columns, had when the deploy began."""

    name: Name | None
    """None: it was created in the deploy."""
    columns: Mapping[str, str | None] = field(default_factory=dict)
    """By the current name of the column; None: it was created in the deploy."""


class Schema(Struct, frozen=True, eq=False):
    """The tables, indexes, constraints and types that are known, and where they come from."""

    tables: Mapping[Key, Table] = field(default_factory=dict)
    enums: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    types: Mapping[Key, None] = field(default_factory=dict)
    domains: Mapping[Key, None] = field(default_factory=dict)
    """Domains with a constraint."""
    volatile: Mapping[Key, None] = field(default_factory=dict)
    """Functions that are known to be volatile."""
    whole: bool = True
    """Whether every type is known, with none from elsewhere: an extension, code, an unknown search path."""
    opaque: bool = False
    """Whether code with unknown effects has run since the deploy began."""
    partial: frozenset[Key] = frozenset()
    """Those of `tables` of which only what the deploy has done to them is known."""
    unlisted: frozenset[Key] = frozenset()
    """Tables and views of the deploy with columns that no text names: those of a query, or of an unknown table."""
    origins: Mapping[Key, Origin] = field(default_factory=dict)
    """For tables that were created, renamed or got other columns since the deploy began."""
    made: Mapping[tuple[str, Key], None] = field(default_factory=dict)
    """Types, views, functions and other objects that the deploy has created, by kind."""
    new_indexes: frozenset[Key] = frozenset()
    """Indexes that the deploy has created."""
    path: tuple[str, ...] = PUBLIC
    """The schemas in which a name without one is looked for."""
    lasting_path: tuple[str, ...] | None = None
    """The value to which `path` returns when the transaction ends; None: unchanged."""

    # -- from and to a catalogue ----------------------------------------------------------------

    @classmethod
    def of(cls, catalogue: Catalogue) -> Schema:
        """The schema at the beginning of a deploy."""
        return cls(
            tables={_key(each.name): each for each in catalogue.tables},
            enums={_key(each.name): each.labels for each in catalogue.enums},
            types=dict.fromkeys(map(_key, catalogue.types or ())),
            domains=dict.fromkeys(map(_key, catalogue.domains)),
            volatile=dict.fromkeys(map(_key, catalogue.volatile)),
            whole=catalogue.types is not None,
        )

    def catalogue(self) -> Catalogue:
        """The same in the form that a recording stores."""
        return Catalogue(
            tables=tuple(table for key, table in self.tables.items() if key not in self.partial),
            enums=tuple(Enumeration(_named(name), labels) for name, labels in self.enums.items()),
            types=tuple(map(_named, self.types)) if self.whole else None,
            domains=tuple(map(_named, self.domains)),
            volatile=tuple(map(_named, self.volatile)),
        )

    def deployed(self) -> Schema:
        """The same at the beginning of another deploy: nothing in it is new."""
        return replace(self, origins={}, made={}, new_indexes=frozenset(), opaque=False)

    # -- asking ---------------------------------------------------------------------------------

    def table(self, name: Name) -> Table | None:
        """The table, view or materialized view; None if there is none, or if its columns are unknown."""
        key = _key(name)
        return None if key in self.partial else self.tables.get(key)

    def has(self, table: Name, column: str) -> bool | None:
        """Whether the table or view has the column; None if that is unknown."""
        found = self.resolve(table)
        known = self.table(found)
        if known is None:
            return None
        return known.column(column) is not None or (None if _key(found) in self.unlisted else False)

    def tables_in(self, schema: str) -> tuple[Name, ...]:
        """The tables and views of a schema."""
        return tuple(table.name for key, table in self.tables.items() if key[0] == schema)

    def column(self, table: Name, column: str) -> Column | None:
        """The column; None if it is unknown."""
        known = self.tables.get(_key(table))
        return known.column(column) if known else None

    def indexes(self, table: Name) -> tuple[Index, ...]:
        """The indexes that are known of the table, those behind constraints too."""
        known = self.tables.get(_key(table))
        return known.indexes if known else ()

    def constraints(self, table: Name) -> tuple[Constraint, ...]:
        """The constraints that are known of the table."""
        known = self.tables.get(_key(table))
        return known.constraints if known else ()

    def primary_key(self, table: Name) -> tuple[str, ...]:
        """The columns of the table's primary key; none if none is known."""
        return next((each.columns for each in self.constraints(table) if each.kind == "primary key"), ())

    def index_table(self, index: Name) -> Table | None:
        """The table that the index belongs to."""
        schema = index.schema or "public"
        return next(
            (
                table
                for key, table in self.tables.items()
                if key[0] == schema and key not in self.partial and any(i.name == index.name for i in table.indexes)
            ),
            None,
        )

    def partitions(self, name: Name) -> tuple[Table, ...]:
        """The partitions of the table, one level down."""
        return tuple(t for t in self.tables.values() if t.partition_of is not None and t.partition_of.matches(name))

    def is_partitioned(self, name: Name) -> bool:
        """Whether the table is a partitioned one."""
        known = self.table(name)
        return known is not None and known.kind == "partitioned table"

    def is_partition(self, name: Name) -> bool:
        """Whether the table is a partition of another one."""
        known = self.table(name)
        return known is not None and known.partition_of is not None

    def labels(self, enum: Name) -> tuple[str, ...] | None:
        """The labels of an enum type, in order; None if it is unknown."""
        return self.enums.get(_key(enum))

    def is_constrained(self, domain: Name) -> bool:
        """Whether the domain is known to have a constraint."""
        return _key(domain) in self.domains

    def has_type(self, name: Name) -> bool | None:
        """Whether there is a user-defined type called `name`; None if unknown."""
        key = _key(name)
        return key in self.types or key in self.enums or key in self.tables or (False if self.whole else None)

    def has_table(self, name: Name) -> bool:
        """Whether such a table is known to exist."""
        return not self.opaque and self.table(name) is not None

    def must_be_written(self, table: Name, column: str) -> bool:
        """Whether an INSERT that does not name the column fails, and a plain DROP NOT NULL would let it in."""
        found = self.column(table, column)
        required = found is not None and not found.nullable and found.default is None
        return required and column not in self.primary_key(table)

    # -- what came in the deploy ----------------------------------------------------------------

    def origin(self, table: Name) -> Name | None:
        """The name that the table had when the deploy began; None: it was created in the deploy."""
        found = self.origins.get(_key(table))
        return found.name if found else table

    def column_origin(self, table: Name, column: str) -> tuple[Name, str] | None:
        """The table and the name that the column had when the deploy began; None: it was created in the deploy."""
        found = self.origins.get(_key(table))
        if found is None:
            return table, column
        before = found.columns.get(column, column)
        return None if found.name is None or before is None else (found.name, before)

    def is_new(self, name: Name) -> bool:
        """Whether the deploy has created the table or view."""
        return self.origin(name) is None

    def is_new_column(self, table: Name, column: str) -> bool:
        """Whether the column was added in the deploy, with its table or separately."""
        return self.column_origin(table, column) is None

    def is_new_index(self, index: Name) -> bool:
        """Whether the deploy has created the index."""
        return _key(index) in self.new_indexes

    def has_made(self, name: Name, kind: str | None = None) -> bool:
        """Whether the deploy has created the type, view, function or other object."""
        key = _key(name)
        return any(made == key and kind in {None, what} for what, made in self.made)

    # -- names without a schema -----------------------------------------------------------------

    def resolve(self, name: Name, *, new: bool = False) -> Name:
        """The name with the schema that it resolves to, or in which it is created if `new`. Names in `public`
        stay without one.
        """
        if name.schema is not None:
            return name
        first = next(iter(self.path), "public")
        schema = first if new else next((each for each in self.path if self._knows((each, name.name))), first)
        return name if schema == "public" else Name(name.name, schema)

    def _knows(self, key: Key) -> bool:
        return (
            key in self.tables
            or key in self.types
            or key in self.enums
            or key in self.new_indexes
            or any(made == key for _, made in self.made)
            or any(
                key[0] == each[0] and any(i.name == key[1] for i in t.indexes) for each, t in self.tables.items()
            )
        )

    def with_new(self, name: Name) -> Schema:
        """The same after something called `name` was observed that does not appear in any text."""
        key = _key(name)
        if key in self.tables or key in self.origins or key in self.new_indexes:
            return self
        return replace(self, origins={**self.origins, key: Origin(None)})

    def looking_in(self, schema: str) -> Schema:
        """The same after an unqualified name was observed to resolve to `schema`."""
        if schema in self.path and self.path.index(schema) == 0:
            return self
        return replace(self, path=(schema, *(each for each in self.path if each != schema)))

    def connected(self) -> Schema:
        """The same for another session, which has set nothing."""
        return replace(self, path=PUBLIC, lasting_path=None)

    def committed(self) -> Schema:
        """The same after the end of the transaction, with which `SET LOCAL` ends."""
        return self if self.lasting_path is None else replace(self, path=self.lasting_path, lasting_path=None)

    def _looks_in(self, value: str | None, *, local: bool) -> Schema:
        found = _schemas(value)
        lasting = (self.lasting_path or self.path) if local else None
        unknown = found is None and value is not None
        path = PUBLIC if found is None else found
        return replace(
            self,
            path=path,
            lasting_path=lasting,
            opaque=self.opaque or unknown,
            whole=self.whole and not unknown,
        )

    # -- the next schema ------------------------------------------------------------------------

    def apply(self, operation: Operation) -> Schema:
        """What the database looks like after the operation."""
        match operation:
            case CreateTable():
                return self._create(operation)
            case DropTable(table=name) | DropView(view=name):
                return self._without(_key(name))
            case RenameTable(table=table, new_name=new):
                return self._move(table, Name(new, table.schema))
            case CreateView(view=view):
                return self._create_view(operation, view)
            case AttachPartition(table=parent, partition=table):
                return self._change(table, partition_of=_named(_key(parent)))
            case DetachPartition(partition=table):
                return self._change(table, partition_of=None)
            case CreateIndex(table=table):
                return self._add_index(table, _index(operation), if_not_exists=operation.if_not_exists)
            case DropIndex(index=index):
                return self._drop_index(index)
            case RenameIndex(index=index, new_name=new):
                return self._rename_index(index, new)
            case SetVariable(name=name, value=value, local=local) if name.lower() == "search_path":
                return self._looks_in(value, local=local)
            case DoBlock() | Call() | Unrecognized():
                return replace(self, whole=False, opaque=True)
            case CreateObject(kind="extension"):
                return replace(self._make("extension", operation.object), whole=False)
            case Select(calls=calls):
                return replace(self, whole=False) if calls and self.whole else self
        return self._apply_column(operation)

    def _apply_column(self, operation: Operation) -> Schema:
        match operation:
            case AddColumn(table=table, column=column):
                return self._add_column(table, column)
            case DropColumn(table=table, column=name):
                return self._drop_column(table, name)
            case RenameColumn(table=table, column=name, new_name=new):
                return self._rename_column(table, name, new)
            case AlterColumnType(table=table, column=name, type=type_):
                return self._alter(table, name, type=types.canonical(type_))
            case SetNotNull(table=table, column=name) | AddIdentity(table=table, column=name):
                return self._alter(table, name, nullable=False)
            case DropNotNull(table=table, column=name):
                return self._alter(table, name, nullable=True)
            case SetDefault(table=table, column=name, default=default):
                return self._alter(table, name, default=default)
            case DropDefault(table=table, column=name) | DropIdentity(table=table, column=name):
                return self._alter(table, name, default=None)
        return self._apply_constraint(operation)

    def _apply_constraint(self, operation: Operation) -> Schema:
        match operation:
            case AddForeignKey(table=table, key=key, name=name, not_valid=not_valid):
                return self._constrain(table, _foreign_key(table, name, key, valid=not not_valid))
            case AddCheck(table=table, name=name, expression=expression, not_valid=not_valid):
                known = self.tables.get(_key(table))
                columns = [each.name for each in known.columns] if known else []
                return self._constrain(table, _check(name, expression, columns, valid=not not_valid))
            case AddNotNull(table=table, name=name, column=column, not_valid=not_valid):
                found = name or f"{table.name}_{column}_not_null"
                added = Constraint(found, "not null", (column,), f"NOT NULL {column}", not not_valid)
                constrained = self._constrain(table, added)
                return constrained if not_valid else constrained._alter(table, column, nullable=False)
            case AddUnique(table=table, name=name, columns=columns, using_index=index):
                return self._add_key(table, name, columns, "unique", index)
            case AddPrimaryKey(table=table, name=name, columns=columns, using_index=index):
                return self._add_key(table, name, columns, "primary key", index)
            case AddExclusion(table=table, name=name):
                return self._constrain(table, Constraint(name or "", "exclusion", (), "EXCLUDE"))
            case DropConstraint(table=table, name=name):
                return self._drop_constraint(table, name)
            case RenameConstraint(table=table, name=name, new_name=new):
                return self._rename_constraint(table, name, new)
            case ValidateConstraint(table=table, name=name):
                return self._each_constraint(table, name, valid=True)
        return self._apply_object(operation)

    def _apply_object(self, operation: Operation) -> Schema:
        match operation:
            case CreateEnum(type=name, labels=labels):
                made = self._make("type", name)
                return replace(made, enums=_with(made.enums, name, labels), types=_with(made.types, name, None))
            case AddEnumValue(type=name, value=value):
                old = self.labels(name)
                return self if old is None or value in old else self._relabel(name, (*old, value))
            case RenameEnumValue(type=name, value=value, new_value=new):
                labels = tuple(new if each == value else each for each in self.labels(name) or ())
                return self._relabel(name, labels) if labels else self
            case CreateDomain(domain=name):
                made = self._make("domain", name)
                domains = _with(made.domains, name, None) if operation.constrained else made.domains
                return replace(made, types=_with(made.types, name, None), domains=domains)
            case AlterDomain(domain=name, action="add constraint" | "set not null"):
                return replace(self, domains=_with(self.domains, name, None))
            case AlterDomain(domain=name, action="drop constraint" | "drop not null"):
                return replace(self, domains=_less(self.domains, name))
            case CreateObject(kind="type", object=name):
                made = self._make("type", name)
                return replace(made, types=_with(made.types, name, None))
            case CreateObject(kind=kind, object=name):
                return self._make(kind, name)
            case DropObject(kind="type" | "domain", object=name):
                return replace(
                    self,
                    enums=_less(self.enums, name),
                    types=_less(self.types, name),
                    domains=_less(self.domains, name),
                )
            case DropObject(kind="schema", object=name):
                return self._drop_schema(name.name)
            case DropObject(kind="function", object=name):
                return replace(self, volatile=_less(self.volatile, name))
            case RenameObject(kind="schema", object=name, new_name=new):
                inside = [Name(key[1], key[0]) for key in self.tables if key[0] == name.name]
                moved = self
                for each in inside:
                    moved = moved._move(each, Name(each.name, new))
                return moved
            case RenameObject(object=name, new_name=new, table=None):
                return self._move_object(name, Name(new, name.schema))
            case SetSchema(object=name, new_schema=schema):
                return self._move_object(name, Name(name.name, schema))
        return self

    # -- tables ---------------------------------------------------------------------------------

    def _create(self, made: CreateTable) -> Schema:
        key = _key(made.table)
        if made.temporary:
            return replace(self, origins={**self.origins, key: Origin(None)})
        if made.if_not_exists and key in self.tables:
            return self
        kind = "foreign table" if made.foreign else "partitioned table" if made.partitioned else "table"
        parents = (*((made.partition_of,) if made.partition_of else ()), *made.inherits, *made.like)
        known = [self.tables[_key(each)] for each in parents if _key(each) in self.tables]
        own = [_column(made.table, each, made.primary_key) for each in made.columns]
        unnamed = not made.constraint_names
        table = Table(
            _named(key),
            kind,
            columns=(*(column for each in known for column in each.columns), *own),
            constraints=tuple(map(self._keyed, _constraints_of(made, named=unnamed))),
            indexes=tuple(_indexes_of(made, named=unnamed)),
            partition_of=_named(_key(made.partition_of)) if made.partition_of else None,
        )
        sequences = ((key[0], f"{key[1]}_{each.name}_seq") for each in made.columns if each.serial)
        unlisted = made.as_query or len(known) < len(parents)
        return replace(
            self,
            tables={**self.tables, key: table},
            partial=self.partial - {key},
            unlisted=self.unlisted | {key} if unlisted else self.unlisted - {key},
            origins={**self.origins, key: Origin(None), **dict.fromkeys(sequences, Origin(None))},
            new_indexes=self.new_indexes | {(key[0], each.name) for each in table.indexes},
        )

    def _create_view(self, made: CreateView, name: Name) -> Schema:
        key = _key(name)
        if made.replace and key in self.tables:
            return replace(self, unlisted=self.unlisted | {key})
        view = Table(_named(key), "materialized view" if made.materialized else "view")
        # it is unknown whether a replaced view existed before
        origins = self.origins if made.replace else {**self.origins, key: Origin(None)}
        added = replace(
            self,
            tables={**self.tables, key: view},
            partial=self.partial - {key},
            unlisted=self.unlisted | {key},
            origins=origins,
        )
        return added._make("view", name)

    def _without(self, key: Key) -> Schema:
        if key not in self.tables:
            return self
        return replace(self, tables=_less(self.tables, _named(key)), partial=self.partial - {key})

    def _drop_schema(self, schema: str) -> Schema:
        return replace(
            self,
            tables={key: table for key, table in self.tables.items() if key[0] != schema},
            enums={key: labels for key, labels in self.enums.items() if key[0] != schema},
            types={key: None for key in self.types if key[0] != schema},
            domains={key: None for key in self.domains if key[0] != schema},
            partial=frozenset(key for key in self.partial if key[0] != schema),
        )

    def _change(self, name: Name, **changes: Any) -> Schema:
        key = _key(name)
        known = self.tables.get(key)
        return self if known is None else replace(self, tables={**self.tables, key: replace(known, **changes)})

    def _noted(self, name: Name) -> Schema:
        """The same with an entry for an unknown table, to record what the deploy does to it."""
        key = _key(name)
        if key in self.tables:
            return self
        return replace(self, tables={**self.tables, key: Table(_named(key), "table")}, partial=self.partial | {key})

    def _move(self, old: Name, new: Name) -> Schema:
        """Every reference to the table is renamed with it."""
        before, after = _key(old), _key(new)
        origin = self.origins.get(before) or Origin(old)
        origins = {key: each for key, each in self.origins.items() if key != before} | {after: origin}
        known = self.tables.get(before)
        if known is None:
            return replace(self, origins=origins)

        def told(name: Name | None) -> Name | None:
            return _named(after) if name is not None and _key(name) == before else name

        def moved(table: Table) -> Table:
            mentioned = [each.referenced for each in table.constraints] + [table.partition_of]
            if not any(each is not None and _key(each) == before for each in mentioned):
                return table
            return replace(
                table,
                constraints=tuple(
                    replace(each, referenced=told(each.referenced), definition=_referring(each, before, new))
                    for each in table.constraints
                ),
                partition_of=told(table.partition_of),
            )

        tables = {key: moved(table) for key, table in self.tables.items() if key != before}
        on = re.compile(rf' ON (ONLY )?(?:"?{re.escape(before[0])}"?\.)?"?{re.escape(before[1])}"? ')
        tables[after] = replace(
            moved(known),
            name=_named(after),
            indexes=tuple(
                replace(each, definition=on.sub(lambda m: f" ON {m[1] or ''}{new.sql} ", each.definition, count=1))
                for each in known.indexes
            ),
        )
        new_indexes = self.new_indexes
        if before[0] != after[0]:
            new_indexes = frozenset(
                (after[0], key[1]) if key[0] == before[0] and any(i.name == key[1] for i in known.indexes) else key
                for key in new_indexes
            )
        partial, unlisted = (
            frozenset(after if key == before else key for key in keys) for keys in (self.partial, self.unlisted)
        )
        return replace(
            self, tables=tables, partial=partial, unlisted=unlisted, origins=origins, new_indexes=new_indexes
        )

    # -- columns --------------------------------------------------------------------------------

    def _come(self, table: Name, name: str, before: str | None, gone: str | None = None) -> Schema:
        """The same with `before` as the column's name when the deploy began, None if it was added since."""
        key = _key(table)
        origin = self.origins.get(key) or Origin(table)
        if origin.name is None:
            return self
        columns = {each: old for each, old in origin.columns.items() if each != gone} | {name: before}
        return replace(self, origins={**self.origins, key: replace(origin, columns=columns)})

    def _add_column(self, table: Name, column: ColumnDefinition) -> Schema:
        noted = self._noted(table)
        known = noted.tables[_key(table)]
        if known.column(column.name) is not None:
            return self
        alone = CreateTable(
            table,
            columns=(column,),
            foreign_keys=(replace(column.references, columns=(column.name,)),) if column.references else (),
            primary_key=(column.name,) if column.primary_key else (),
            unique=((column.name,),) if column.unique else (),
            checks=(column.check,) if column.check else (),
        )
        unnamed = not column.constraint_names
        indexes = tuple(_indexes_of(alone, named=unnamed))
        schema = _key(table)[0]
        return replace(
            noted._change(
                table,
                columns=(*known.columns, _column(table, column, alone.primary_key)),
                constraints=(*known.constraints, *map(self._keyed, _constraints_of(alone, named=unnamed))),
                indexes=(*known.indexes, *indexes),
            )._come(table, column.name, None),
            new_indexes=self.new_indexes | {(schema, each.name) for each in indexes},
        )

    def _drop_column(self, table: Name, name: str) -> Schema:
        known = self.tables.get(_key(table))
        if known is None:
            return self
        return self._change(
            table,
            columns=tuple(each for each in known.columns if each.name != name),
            constraints=tuple(each for each in known.constraints if name not in each.columns),
            indexes=tuple(each for each in known.indexes if name not in (*each.columns, *each.reads)),
        )

    def _rename_column(self, table: Name, old: str, new: str) -> Schema:
        origin = self.origins.get(_key(table))
        before = origin.columns.get(old, old) if origin else old
        followed = self._come(table, new, before, gone=old)
        known = self.tables.get(_key(table))
        if known is None:
            return followed

        def renamed(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new if each == old else each for each in columns)

        def rewritten(definition: str) -> str:
            return re.sub(rf"\b{re.escape(old)}\b", lambda _: new, definition)

        def referring(each: Constraint) -> Constraint:
            if each.referenced is None or _key(each.referenced) != _key(table):
                return each
            return replace(each, referenced_columns=renamed(each.referenced_columns))

        for other in self.tables.values():
            keys = tuple(map(referring, other.constraints))
            if keys != other.constraints and _key(other.name) != _key(table):
                followed = followed._change(other.name, constraints=keys)
        return followed._change(
            table,
            columns=tuple(replace(each, name=renamed((each.name,))[0]) for each in known.columns),
            constraints=tuple(
                referring(replace(each, columns=renamed(each.columns), definition=rewritten(each.definition)))
                for each in known.constraints
            ),
            indexes=tuple(
                replace(
                    each,
                    columns=renamed(each.columns),
                    definition=rewritten(each.definition),
                    reads=renamed(each.reads),
                )
                for each in known.indexes
            ),
        )

    def _alter(self, table: Name, name: str, **changes: Any) -> Schema:
        known = self.tables.get(_key(table))
        if known is None:
            return self
        return self._change(
            table,
            columns=tuple(replace(each, **changes) if each.name == name else each for each in known.columns),
        )

    # -- constraints and indexes ----------------------------------------------------------------

    def _constrain(self, table: Name, constraint: Constraint) -> Schema:
        noted = self._noted(table)
        return noted._change(table, constraints=(*noted.tables[_key(table)].constraints, self._keyed(constraint)))

    def _keyed(self, constraint: Constraint) -> Constraint:
        """`constraint` with the columns that it refers to: those of the primary key, if none are named."""
        if constraint.referenced is None or constraint.referenced_columns:
            return constraint
        return replace(constraint, referenced_columns=self.primary_key(constraint.referenced))

    def _add_key(
        self, table: Name, name: str | None, columns: tuple[str, ...], kind: str, using: str | None
    ) -> Schema:
        noted = self._noted(table)
        known = noted.tables[_key(table)]
        found = next((each for each in known.indexes if each.name == using), None) if using else None
        columns = found.columns if found else columns
        name = name or using or _made_up(table, columns, kind)
        index = replace(found, name=name, constraint=name) if found else _key_index(name, table, columns)
        changed = noted._change(
            table,
            constraints=(*known.constraints, Constraint(name, kind, columns, kind.upper())),
            indexes=(*(each for each in known.indexes if each is not found), index),
        )
        schema = _key(table)[0]
        if found is None:
            changed = replace(changed, new_indexes=changed.new_indexes | {(schema, name)})
        elif found.name != name:
            changed = changed._retitled((schema, found.name), name)
        for column in columns if kind == "primary key" else ():
            changed = changed._alter(table, column, nullable=False)
        return changed

    def _drop_constraint(self, table: Name, name: str) -> Schema:
        """One that is not known by name can be any of those whose names are unknown."""
        known = self.tables.get(_key(table))
        if known is None:
            return self
        gone = name if any(each.name == name for each in known.constraints) else ""
        return self._change(
            table,
            constraints=tuple(each for each in known.constraints if each.name != gone),
            indexes=tuple(each for each in known.indexes if each.constraint != gone),
        )

    def _each_constraint(self, table: Name, name: str, /, **changes: Any) -> Schema:
        known = self.tables.get(_key(table))
        if known is None:
            return self
        return self._change(
            table,
            constraints=tuple(
                replace(each, **changes) if each.name == name else each for each in known.constraints
            ),
        )

    def _add_index(self, table: Name, index: Index, *, if_not_exists: bool) -> Schema:
        noted = self._noted(table)
        known = noted.tables[_key(table)]
        if if_not_exists and any(each.name == index.name for each in known.indexes):
            return self
        names = {column.name for column in known.columns} if _key(table) not in noted.partial else set()
        columns = tuple(each if each in names or not names else "" for each in index.columns)
        words = {*re.findall(r"\w+", index.definition.partition(" USING ")[2]), *index.reads} & names
        reads = tuple(column.name for column in known.columns if column.name in words - {*columns})
        return replace(
            noted._change(table, indexes=(*known.indexes, replace(index, columns=columns, reads=reads))),
            new_indexes=self.new_indexes | {(_key(table)[0], index.name)},
        )

    def _drop_index(self, index: Name) -> Schema:
        key = _key(index)
        found = self._holders(key)
        tables = {
            each: replace(table, indexes=tuple(i for i in table.indexes if i.name != index.name))
            for each, table in found.items()
        }
        return replace(self, tables={**self.tables, **tables}, new_indexes=self.new_indexes - {key})

    def _rename_constraint(self, table: Name, name: str, new: str) -> Schema:
        known = self.tables.get(_key(table))
        for index in known.indexes if known is not None else ():
            if index.constraint == name:
                return self._rename_index(Name(index.name, table.schema), new)
        return self._each_constraint(table, name, name=new)

    def _rename_index(self, index: Name, new: str) -> Schema:
        """The index has another name, and with it the constraint that it implements."""
        key = _key(index)
        tables = {}
        for each, table in self._holders(key).items():
            old = next(i for i in table.indexes if i.name == index.name)
            called = replace(old, name=new, constraint=old.constraint and new)
            tables[each] = replace(
                table,
                indexes=tuple(called if i is old else i for i in table.indexes),
                constraints=tuple(
                    replace(k, name=new) if old.constraint is not None and k.name == old.constraint else k
                    for k in table.constraints
                ),
            )
        return replace(self, tables={**self.tables, **tables})._retitled(key, new)

    def _holders(self, index: Key) -> dict[Key, Table]:
        return {
            key: table
            for key, table in self.tables.items()
            if key[0] == index[0] and any(each.name == index[1] for each in table.indexes)
        }

    def _retitled(self, index: Key, new: str) -> Schema:
        if index not in self.new_indexes:
            return self
        return replace(self, new_indexes=self.new_indexes - {index} | {(index[0], new)})

    # -- objects --------------------------------------------------------------------------------

    def _make(self, kind: str, name: Name) -> Schema:
        return replace(self, made={**self.made, (kind, _key(name)): None})

    def _relabel(self, name: Name, labels: tuple[str, ...]) -> Schema:
        return replace(self, enums={**self.enums, _key(name): labels})

    def _move_object(self, old: Name, new: Name) -> Schema:
        """A type, view or other object with this name."""
        before, after = _key(old), _key(new)

        def moved(known: Mapping[Key, Any]) -> dict[Key, Any]:
            return {after if key == before else key: value for key, value in known.items()}

        made = {(kind, after if key == before else key): None for kind, key in self.made}
        renamed = replace(
            self,
            enums=moved(self.enums),
            types=moved(self.types),
            domains=moved(self.domains),
            volatile=moved(self.volatile),
            made=made,
        )
        held = before in self.types or before in self.enums or any(key == before for _, key in self.made)
        return renamed if held and before not in self.tables else renamed._move(old, new)


# -- what operations add ---------------------------------------------------------------------------


def keys_of(operation: Operation, table: Name) -> Iterator[Index]:
    """The indexes that `operation` gives `table`, those behind constraints too."""
    match operation:
        case CreateTable(table=on) if on.matches(table):
            yield from _indexes_of(operation, named=not operation.constraint_names)
        case CreateIndex(table=on) if on.matches(table):
            yield _index(operation)
        case AddUnique(table=on, columns=columns) | AddPrimaryKey(table=on, columns=columns) if (
            on.matches(table) and columns
        ):
            yield _key_index(operation.name or "", table, columns)
        case AddColumn(table=on, column=added) if on.matches(table) and (added.unique or added.primary_key):
            yield _key_index("", table, (added.name,))


def is_partial(index: Index) -> bool:
    """Whether the index is partial."""
    return " WHERE " in index.definition


def forbids_nulls_too(index: Index, made: CreateIndex, now: Schema) -> bool:
    """Whether a unique index on the same columns forbids NULL twice where the new one does, or has no NULL."""
    if not made.nulls_not_distinct or " NULLS NOT DISTINCT" in index.definition:
        return True
    found = [now.column(made.table, each) for each in made.columns]
    return all(each is not None and not each.nullable for each in found)


def _with(known: Mapping[Key, Any], name: Name, value: object) -> dict[Key, Any]:
    return {**known, _key(name): value}


def _less(known: Mapping[Key, Any], name: Name) -> dict[Key, Any]:
    gone = _key(name)
    return {key: value for key, value in known.items() if key != gone}


def _key(name: Name) -> Key:
    return (name.schema or "public", name.name)


def _named(key: Key) -> Name:
    return Name(key[1], key[0])


def _referring(constraint: Constraint, before: Key, new: Name) -> str:
    """The definition of a constraint that can refer to a table which has since been renamed."""
    if constraint.referenced is None or _key(constraint.referenced) != before:
        return constraint.definition
    return re.sub(
        rf'\bREFERENCES (?:"?{re.escape(before[0])}"?\.)?"?{re.escape(before[1])}"?',
        lambda _: f"REFERENCES {new.sql}",
        constraint.definition,
        count=1,
    )


_SCHEMA = re.compile(r"""\s*(?:"((?:[^"]|"")*)"|'((?:[^']|'')*)'|([^,"']*))\s*(?:,|$)""")


def _schemas(value: str | None) -> tuple[str, ...] | None:
    """The schemas of a `search_path`, if its text shows them, else None."""
    if value is None or "%" in value or ":" in value:
        return None
    text = value.strip()
    if text[:1] == text[-1:] == "'" and "'" not in text[1:-1]:
        text = text[1:-1]
    found = []
    while text:
        part = _SCHEMA.match(text)
        if part is None:
            return None
        quoted, literal, plain = part.groups()
        found.append(quoted if quoted is not None else literal if literal is not None else plain.strip().lower())
        text = text[part.end() :]
    # `$user` is a schema only if one of that name was created
    named = tuple(each for each in found if each and each != "$user" and not each.startswith("pg_"))
    return named or PUBLIC


# -- what is written in them ------------------------------------------------------------------------


def _column(table: Name, column: ColumnDefinition, primary_key: tuple[str, ...]) -> Column:
    required = column.primary_key or column.serial or column.identity or column.name in primary_key
    default = f"nextval('{table.name}_{column.name}_seq'::regclass)" if column.serial else column.default
    return Column(
        column.name,
        types.canonical(column.type),
        column.nullable and not required,
        default,
        stored=column.stored,
        generated=column.generated is not None,
    )


def _constraints_of(made: CreateTable, *, named: bool) -> Iterator[Constraint]:
    """The constraints written in a CREATE TABLE; the text does not show here which name belongs to which."""
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
    nulls = " NULLS NOT DISTINCT" if made.nulls_not_distinct else ""
    definition = f"CREATE {unique}INDEX {name} ON {made.table} USING {made.method or 'btree'} ({', '.join(made.columns)}){nulls}{where}"
    return Index(name, made.columns, definition, unique=made.unique, reads=made.include)


def _foreign_key(table: Name, name: str | None, key: ForeignKey, *, valid: bool) -> Constraint:
    referenced = _named(_key(key.referenced))
    definition = f"FOREIGN KEY ({', '.join(key.columns)}) REFERENCES {key.referenced}"
    if key.on_delete:
        definition += f" ON DELETE {key.on_delete}"
        definition += f" ({', '.join(key.sets)})" if key.sets else ""
    if name is None:
        name = _made_up(table, key.columns, "foreign key")
    return Constraint(name, "foreign key", key.columns, definition, valid, referenced, key.referenced_columns)


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
    """The name that PostgreSQL generates if none is written."""
    middle = () if kind == "primary key" else columns
    return "_".join((table.name, *middle, _SUFFIXES[kind]))
