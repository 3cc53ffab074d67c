"""What a column, an object or a table's index is like when a statement runs: the base state, and what came since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from reviewer.context import Context
from reviewer.names import Name
from reviewer.operations import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddPrimaryKey,
    AddUnique,
    AlterColumnType,
    Call,
    ColumnDefinition,
    CreateDomain,
    CreateEnum,
    CreateIndex,
    CreateObject,
    CreateTable,
    CreateView,
    DoBlock,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropIndex,
    DropNotNull,
    DropObject,
    DropTable,
    DropView,
    ForeignKey,
    Operation,
    RenameColumn,
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
from reviewer.recording import Constraint
from reviewer.sql.tokens import Kind, Token, tokens


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


_ABOUT_COLUMNS = (
    CreateTable,
    AddColumn,
    DropColumn,
    RenameColumn,
    AlterColumnType,
    SetNotNull,
    DropNotNull,
    SetDefault,
    DropDefault,
)


def column(context: Context, table: Name, name: str) -> ColumnState | None:
    """The column as it is before the statement at hand; None where nothing is known of it."""
    base = context.table(table)
    columns = {c.name: ColumnState(c.type, c.nullable, c.default, False) for c in (base.columns if base else ())}
    for operation, statement in context.before:
        if isinstance(operation, _ABOUT_COLUMNS) and statement.error is None and operation.table.matches(table):
            _follow(operation, columns)
    return columns.get(name)


def _follow(operation: Operation, columns: dict[str, ColumnState]) -> None:
    """Take in one operation on the table that has these columns."""
    match operation:
        case CreateTable(columns=made, primary_key=primary_key) if not (operation.if_not_exists and columns):
            columns.clear()
            columns.update((each.name, _written(each, primary_key)) for each in made)
        case AddColumn(column=added):
            columns.setdefault(added.name, _written(added))
        case DropColumn(column=name):
            columns.pop(name, None)
        case RenameColumn(column=name, new_name=new) if name in columns:
            columns[new] = columns.pop(name)
        case AlterColumnType(column=name, type=type_) if name in columns:
            columns[name] = replace(columns[name], type=type_)
        case SetNotNull(column=name) if name in columns:
            columns[name] = replace(columns[name], nullable=False)
        case DropNotNull(column=name) if name in columns:
            columns[name] = replace(columns[name], nullable=True)
        case SetDefault(column=name, default=default) if name in columns:
            columns[name] = replace(columns[name], default=default)
        case DropDefault(column=name) if name in columns:
            columns[name] = replace(columns[name], default=None)


def _written(column: ColumnDefinition, primary_key: tuple[str, ...] = ()) -> ColumnState:
    nullable = column.nullable and not column.primary_key and column.name not in primary_key
    return ColumnState(column.type, nullable, column.default, True)


def checks(context: Context, table: Name) -> tuple[Constraint, ...]:
    """The valid CHECK constraints that the table has before the statement at hand."""
    known = context.table(table)
    found = [each for each in (known.constraints if known else ()) if each.kind == "check"]
    for operation, statement in context.before:
        if statement.error is not None:
            continue
        match operation:
            case AddCheck(table=on, name=name, expression=expression) if on.matches(table):
                made = Constraint(name or "", "check", (), f"CHECK ({expression})", not operation.not_valid)
                found.append(made)
            case ValidateConstraint(table=on, name=name) if on.matches(table):
                found = [replace(each, valid=each.valid or each.name == name) for each in found]
            case DropConstraint(table=on, name=name) if on.matches(table):
                found = [each for each in found if each.name != name]
    return tuple(each for each in found if each.valid)


def is_proved_not_null(context: Context, table: Name, name: str) -> bool:
    """Whether the text tells that no row can have NULL there: NOT NULL already, or a valid CHECK says so."""
    known = column(context, table, name)
    return (known is not None and not known.nullable) or any(
        _requires(list(tokens(each.definition.removeprefix("CHECK "))), name) for each in checks(context, table)
    )


def _requires(condition: list[Token], name: str) -> bool:
    """Whether a condition says of the column that it is not NULL, alone or with AND between it and others."""
    words = [token.value if token.kind is Kind.WORD else "" for token in condition]
    if [token.value for token in condition[:1]] == [name] and words[1:] == ["is", "not", "null"]:
        return True
    depths = list(accumulate((t.kind is Kind.SYMBOL) * ((t.value == "(") - (t.value == ")")) for t in condition))
    if condition and depths[0] == 1 and 0 not in depths[:-1]:
        return _requires(condition[1:-1], name)
    outside = [word if not depth else "" for word, depth in zip(words, depths, strict=True)]
    if "and" not in outside or {"or", "case"} & set(outside):
        return False
    at = outside.index("and")
    return _requires(condition[:at], name) or _requires(condition[at + 1 :], name)


def has_type(context: Context, name: Name) -> bool | None:
    """Whether there is a type of the user's own called `name` before the statement at hand; None where that is not
    known.
    """
    base = context.base
    whole = base.types is not None
    found = any(each.matches(name) for each in (*(base.types or ()), *(each.name for each in base.enums)))
    for operation, statement in context.before:
        if statement.error is not None:
            continue
        match operation:
            case CreateEnum(type=made) | CreateDomain(domain=made) | CreateObject(kind="type", object=made):
                found = found or made.matches(name)
            case CreateTable(table=made):
                found = found or made.matches(name)
            case DropObject(kind="type" | "domain", object=gone) if gone.matches(name):
                found = False
            case RenameObject(kind="type" | "domain", object=gone) if gone.matches(name):
                found = False
            case RenameObject(kind="type" | "domain", new_name=new) if new == name.name:
                found = True
            case CreateObject(kind="extension") | Call() | DoBlock() | Unrecognized():
                whole = False
            case Select(calls=calls) if calls:
                whole = False
    found = found or context.table(name) is not None
    return found or (False if whole else None)


def has_table(context: Context, name: Name) -> bool:
    """Whether the text tells that there is a table called `name` before the statement at hand."""
    found = context.table(name) is not None
    for operation, statement in context.before:
        if statement.error is not None:
            continue
        match operation:
            case CreateTable(table=made, temporary=False) | CreateView(view=made) if made.matches(name):
                found = True
            case DropTable(table=gone) | DropView(view=gone) | SetSchema(object=gone) if gone.matches(name):
                found = False
            case RenameTable(table=old, new_name=new):
                found = (found and not old.matches(name)) or Name(new, old.schema).matches(name)
            case DropObject(kind="schema", object=gone) if gone.name == (name.schema or "public"):
                found = False
            case DoBlock() | Call() | Unrecognized() | SetVariable(name="search_path"):
                return False  # nobody knows any more
    return found


def made(context: Context, name: Name, kind: str | None = None) -> bool:
    """Whether an earlier statement of the same deploy has created the type, view, function or other object."""
    return any(_makes(operation, name, kind) for operation, _ in context.before)


def view_instead(context: Context, name: Name) -> CreateView | None:
    """The view that a later statement of the same revision puts in the place of `name`."""
    views = (operation for operation, _ in context.later() if isinstance(operation, CreateView))
    return next((view for view in views if view.view.matches(name)), None)


def left_out(context: Context, name: Name, view: CreateView) -> tuple[str, ...]:
    """The columns of `name` that the view in its place does not have, as far as its text tells which it has."""
    known = context.table(name)
    columns = [column.name for column in known.columns] if known and view.columns else []
    return tuple(column for column in columns if column not in view.columns)


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
            case _ if operation.table.matches(table):
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
