"""What the WHERE of a change says of the rows that it changes, once each column is known to be of one table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reviewer.replay.schema import Schema
from reviewer.sql.operations import Delete, Update
from reviewer.sql.parse import conditions

if TYPE_CHECKING:
    from reviewer.sql.conditions import Condition, Tables, Used

__all__ = ["conditions", "is_untied", "of_itself", "set_in_each_row"]

_OF_EACH_ROW = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"})
"""The columns that every table has."""


_IS_SET = re.compile(r'\bWHERE\s+(?:"?\w+"?\.)?"?(\w+)"?\s+IS\s+NOT\s+NULL[\s;]*$', re.IGNORECASE)


def set_in_each_row(change: Update | Delete, sql: str, schema: Schema) -> str | None:
    """The column that is all of the WHERE: it IS NOT NULL, as it is in each row. None if the WHERE says more."""
    found = _IS_SET.search(sql) if change.filtered and not change.sources else None
    known = schema.column(change.table, found[1]) if found and len(_WHERE.findall(sql)) == 1 else None
    return known.name if known is not None and not known.nullable else None


_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)


def is_untied(condition: Condition, schema: Schema) -> bool:
    """Whether nothing in the condition is about the table that is changed: it takes every row, or none."""
    return bool(condition.columns) and all(_is_other(each, condition, schema) for each in condition.columns)


def of_itself(condition: Condition, schema: Schema) -> Used | None:
    """The column that a subquery of IN returns and that no table of the subquery has, but the one that is changed."""
    return next(
        (
            each
            for each in condition.columns
            if each.returned
            and not each.qualifier
            and all(table is not None and schema.has(table, each.name) is False for _, table in each.within[0])
            and schema.has(condition.table, each.name)
        ),
        None,
    )


def _is_other(used: Used, condition: Condition, schema: Schema) -> bool:
    """Whether the column is certainly of another table."""
    levels: list[Tables] = [*used.within, condition.beside]
    if used.qualifier:
        inner = any(alias == used.qualifier for level in used.within for alias, _ in level)
        own = used.qualifier in {condition.alias, condition.table.name}
        return inner or (not own and any(alias == used.qualifier for alias, _ in condition.beside))
    if used.name in _OF_EACH_ROW:
        return bool(used.within)
    for level in levels[:-1]:
        found = [schema.has(table, used.name) if table is not None else None for _, table in level]
        if any(found):
            return True
        if None in found:
            return False
    beside = [table is not None and schema.has(table, used.name) for _, table in condition.beside]
    return schema.has(condition.table, used.name) is False and any(beside)
