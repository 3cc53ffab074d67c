"""What the text of operations tells of columns and objects: what it proves, what it adds and what replaces it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from reviewer.recording import Constraint
from reviewer.replay.schema import Schema
from reviewer.review.context import Context
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddColumn,
    AddForeignKey,
    ColumnDefinition,
    CreateDomain,
    CreateEnum,
    CreateObject,
    CreateTable,
    CreateView,
    ForeignKey,
    Operation,
)
from reviewer.sql.parse import excludes_null


def is_proved_not_null(schema: Schema, table: Name, name: str) -> bool:
    """Whether the text tells that no row can have NULL there: NOT NULL already, or a valid CHECK says so."""
    known = schema.column(table, name)
    return (known is not None and not known.nullable) or bool(proofs_not_null(schema, table, name, valid=True))


def proofs_not_null(schema: Schema, table: Name, name: str, *, valid: bool) -> tuple[Constraint, ...]:
    """The CHECK constraints that refuse NULL there, those that are validated or those that are not."""
    return tuple(
        each
        for each in schema.constraints(table)
        if each.kind == "check"
        and each.valid is valid
        and excludes_null(each.definition.removesuffix(" NOT VALID").removeprefix("CHECK "), name)
    )


def view_instead(context: Context, name: Name) -> CreateView | None:
    """The view that a later statement of the same revision puts in the place of `name`."""
    views = (operation for operation, _ in context.later() if isinstance(operation, CreateView))
    return next((view for view in views if view.view.matches(name)), None)


def left_out(context: Context, name: Name, view: CreateView) -> tuple[str, ...]:
    """The columns of `name` that the view in its place does not have, as far as its text tells which it has."""
    known = context.now.table(name)
    columns = [column.name for column in known.columns] if known and view.columns else []
    return tuple(column for column in columns if column not in view.columns)


def makes(operations: Iterator[Operation], name: Name) -> bool:
    """Whether one of `operations` creates an object called `name`."""
    return any(_makes(operation, name) for operation in operations)


def _makes(operation: Operation, name: Name) -> bool:
    match operation:
        case CreateObject(object=made) | CreateEnum(type=made) | CreateDomain(domain=made) | CreateView(view=made):
            return made.matches(name)
    return False


def foreign_keys(operation: Operation) -> Iterator[tuple[Name, ForeignKey]]:
    """The foreign keys that `operation` adds, with the table that they are on."""
    match operation:
        case AddForeignKey(table=table, key=key):
            yield table, key
        case AddColumn(table=table, column=ColumnDefinition(name=name, references=ForeignKey() as key)):
            yield table, replace(key, columns=key.columns or (name,))
        case CreateTable(table=table, foreign_keys=found):
            for key in found:
                yield table, key


def new_columns(operation: Operation) -> Iterator[tuple[Name, ColumnDefinition]]:
    """The columns that `operation` adds, with their table."""
    match operation:
        case CreateTable(table=table, columns=columns):
            for each in columns:
                yield table, each
        case AddColumn(table=table, column=added):
            yield table, added
