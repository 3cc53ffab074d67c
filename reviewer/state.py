"""What a column, an object or a table's index is like when a statement runs: the base state, and what came since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from reviewer.context import Context
from reviewer.names import Name
from reviewer.operations import (
    AddColumn,
    AddForeignKey,
    AddPrimaryKey,
    AddUnique,
    AlterColumnType,
    ColumnDefinition,
    CreateDomain,
    CreateEnum,
    CreateIndex,
    CreateObject,
    CreateTable,
    CreateView,
    DropConstraint,
    DropDefault,
    DropIndex,
    DropNotNull,
    ForeignKey,
    Operation,
    SetDefault,
    SetNotNull,
)


@dataclass(frozen=True)
class ColumnState:
    """A column as it is when a statement runs."""

    type: str
    nullable: bool
    default: str | None
    new: bool
    """Whether the column came in the same deploy."""


@dataclass(frozen=True)
class Key:
    """An index, or the index behind a key or unique constraint, as far as its columns tell."""

    name: str | None
    columns: tuple[str, ...]
    """Empty strings stand for expressions."""
    unique: bool = False
    partial: bool = False
    valid: bool = True


def column(context: Context, table: Name, name: str) -> ColumnState | None:
    """The column as it is before the statement at hand; None where nothing is known of it."""
    base = context.column(table, name)
    found = ColumnState(base.type, base.nullable, base.default, False) if base else None
    for operation, statement in context.before:
        if statement.error is None:
            found = _followed(operation, table, name, found)
    return found


def _followed(operation: Operation, table: Name, name: str, found: ColumnState | None) -> ColumnState | None:
    match operation:
        case CreateTable(table=on, columns=columns) if on.matches(table):
            return next((_written(each, operation.primary_key) for each in columns if each.name == name), found)
        case AddColumn(table=on, column=added) if added.name == name and on.matches(table):
            return found or _written(added)
        case AlterColumnType(table=on, column=altered, type=type_) if altered == name and on.matches(table):
            return replace(found, type=type_) if found else None
        case SetNotNull(table=on, column=altered) if altered == name and on.matches(table):
            return replace(found, nullable=False) if found else None
        case DropNotNull(table=on, column=altered) if altered == name and on.matches(table):
            return replace(found, nullable=True) if found else None
        case SetDefault(table=on, column=altered, default=default) if altered == name and on.matches(table):
            return replace(found, default=default) if found else None
        case DropDefault(table=on, column=altered) if altered == name and on.matches(table):
            return replace(found, default=None) if found else None
    return found


def _written(column: ColumnDefinition, primary_key: tuple[str, ...] = ()) -> ColumnState:
    nullable = column.nullable and not column.primary_key and column.name not in primary_key
    return ColumnState(column.type, nullable, column.default, True)


def made(context: Context, name: Name, kind: str | None = None) -> bool:
    """Whether an earlier statement of the same deploy has created the type, view, function or other object."""
    return any(_makes(operation, name, kind) for operation, _ in context.before)


def makes(operations: Iterator[Operation], name: Name) -> bool:
    """Whether one of `operations` creates an object called `name`."""
    return any(_makes(operation, name, None) for operation in operations)


def _makes(operation: Operation, name: Name, kind: str | None) -> bool:
    match operation:
        case CreateObject(kind=made_kind, object=made_name):
            return made_name.matches(name) and kind in {None, made_kind}
        case CreateEnum(type=made_name) | CreateDomain(domain=made_name) | CreateView(view=made_name):
            return made_name.matches(name)
    return False


_ABOUT_KEYS = (CreateTable, CreateIndex, AddUnique, AddPrimaryKey, AddColumn, DropIndex, DropConstraint)


def keys(context: Context, table: Name) -> tuple[Key, ...]:
    """The indexes that the table has before the statement at hand, those behind constraints too."""
    known = context.table(table)
    found = [
        Key(each.name, each.columns, each.unique, " WHERE " in each.definition, each.valid)
        for each in (known.indexes if known else ())
    ]
    for operation, statement in context.before:
        if statement.error is not None or not isinstance(operation, _ABOUT_KEYS):
            continue
        match operation:
            case DropIndex(index=gone):
                found = [each for each in found if each.name != gone.name]
            case DropConstraint(table=on, name=name) if on.matches(table):
                found = [each for each in found if each.name != name]
            case _:
                found += keys_of(operation, table)
    return tuple(found)


def keys_of(operation: Operation, table: Name) -> Iterator[Key]:
    """The indexes that `operation` gives `table`."""
    match operation:
        case CreateTable(table=on) if on.matches(table):
            if operation.primary_key:
                yield Key(None, operation.primary_key, True)
            for columns in operation.unique:
                yield Key(None, columns, True)
        case CreateIndex(table=on) if on.matches(table):
            yield Key(operation.name, operation.columns, operation.unique, operation.where is not None)
        case AddUnique(table=on) | AddPrimaryKey(table=on) if on.matches(table) and operation.columns:
            yield Key(operation.name, operation.columns, True)
        case AddColumn(table=on, column=added) if on.matches(table) and (added.unique or added.primary_key):
            yield Key(None, (added.name,), True)


def foreign_keys(operation: Operation) -> Iterator[tuple[Name, ForeignKey]]:
    """The foreign keys that `operation` brings, with the table that they are on."""
    match operation:
        case AddForeignKey(table=table, key=key):
            yield table, key
        case AddColumn(table=table, column=ColumnDefinition(name=name, references=ForeignKey() as key)):
            yield table, replace(key, columns=key.columns or (name,))
        case CreateTable(table=table, foreign_keys=found):
            for key in found:
                yield table, key


def new_columns(operation: Operation) -> Iterator[tuple[Name, ColumnDefinition]]:
    """The columns that `operation` brings, with their table."""
    match operation:
        case CreateTable(table=table, columns=columns):
            for each in columns:
                yield table, each
        case AddColumn(table=table, column=added):
            yield table, added
