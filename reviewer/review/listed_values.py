"""The values that a column can have, where a constraint or its type lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.recording import Constraint
from reviewer.review.context import Context
from reviewer.sql.names import Name, listed, quoted
from reviewer.sql.operations import Copy, DropConstraint, Insert, Update
from reviewer.sql.parse import mapped

_TEXT = r"'((?:[^']|'')*)'"


def held(table: Name, column: str, context: Context) -> Iterator[Constraint]:
    """The constraints that every row keeps: the present ones, and those that the same transaction has dropped,
    unless it has written the column since.
    """
    yield from context.now.constraints(table)
    dropped = list[str]()
    for operation, _ in context.same_transaction():
        match operation:
            case DropConstraint(table=on, name=name) if on.matches(table):
                dropped.append(name)
            case Insert(table=on) | Update(table=on) | Copy(table=Name() as on) if on.matches(table):
                dropped.clear()
    before = context.now.column_origin(table, column)
    known = context.before.table(before[0]) if before is not None and before[1] == column else None
    yield from (each for each in known.constraints if each.name in dropped) if known is not None else ()


def texts_of(constraint: Constraint, column: str) -> tuple[str, ...]:
    """The texts of which a valid CHECK wants the column to have one; empty if it wants something else."""
    listed = re.compile(
        rf'CHECK \(\(\(?"?{re.escape(column)}"?\)?(?:::text)? = ANY \(\(?ARRAY\[((?:\(?{_TEXT}(?:::[\w ]+)?\)?(?:::text)?(?:, )?)+)\]\)?(?:::text\[\])?\)\)\)'
    )
    found = listed.fullmatch(constraint.definition) if constraint.kind == "check" and constraint.valid else None
    return tuple(text.replace("''", "'") for text in re.findall(_TEXT, found[1])) if found is not None else ()


def made_null(table: Name, column: str, value: str, context: Context) -> tuple[str | None, ...]:
    """The values of the column that the expression keeps, if it makes NULL of others that may be there."""
    return _made_null(f"UPDATE x SET {quoted(column)} = {value}", table, column, context)


def made_null_by(change: Update, context: Context) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """The columns of which an UPDATE makes NULL, with the values that it leaves out."""
    for column in change.columns:
        values = _made_null(context.statement.sql, change.table, column, context)
        if values:
            yield column, values


def _made_null(sql: str, table: Name, column: str, context: Context) -> tuple[str | None, ...]:
    values = next((each.values for each in mapped(sql) if each.column == column), ())
    known = context.now.column(table, column)
    if not values or known is None or not known.nullable or context.is_new_column(table, column):
        return ()
    labels = context.now.labels(Name.told(known.type)) or ()
    lists = [labels, *(texts_of(each, column) for each in held(table, column, context))]
    written = any(
        isinstance(operation, Update) and operation.table.matches(table) and column in operation.columns
        for operation, _ in context.earlier
    )
    all_listed = any(each and (None in values or set(each) <= set(values)) for each in lists)
    return () if written or all_listed else values


def others_than(values: tuple[str | None, ...], column: str) -> str:
    """In words, the values of a column that are not among `values`."""
    if None in values:
        return f"Each value of {column} that the CASE does not list"
    return f"Each value of {column} but {listed([f'`{value}`' for value in values], 5)}"
