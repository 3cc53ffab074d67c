"""UPDATEs that give a column one value for each of some that it has, and NULL for any other: CASE without ELSE."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from sqlglot import exp

from reviewer.sql.names import Name


class Mapped(Struct, frozen=True):
    """A column whose values become NULL, but for those that a CASE lists."""

    table: Name
    column: str
    values: tuple[str, ...]


def of(tree: object) -> Iterator[Mapped]:
    """The columns of an UPDATE that a CASE without ELSE changes, unless its WHERE says something of them too."""
    if not isinstance(tree, exp.Update) or not isinstance(tree.this, exp.Table):
        return
    where = tree.args.get("where")
    used = {column.name for column in where.find_all(exp.Column)} if isinstance(where, exp.Where) else set()
    for each in tree.expressions:
        if isinstance(each, exp.EQ) and isinstance(each.this, exp.Column) and each.this.name not in used:
            values = _listed(each.expression, each.this.name)
            if values:
                yield Mapped(Name(tree.this.name, tree.this.text("db") or None), each.this.name, values)


def _listed(value: object, column: str) -> tuple[str, ...]:
    """The values of the column that a CASE is about; empty if it is no such CASE, or has an ELSE."""
    while isinstance(value, exp.Cast | exp.Paren):
        value = value.this
    if not isinstance(value, exp.Case) or value.args.get("default") is not None:
        return ()
    found: list[str] = []
    for each in value.args.get("ifs") or ():
        texts = _texts(each.this, value.this, column)
        if texts is None:
            return ()
        found += texts
    return tuple(found)


def _texts(condition: object, operand: object, column: str) -> list[str] | None:
    """The values that a WHEN compares the column with; None if it says something else."""
    if operand is not None:
        return [condition.name] if _is(operand, column) and isinstance(condition, exp.Literal) else None
    match condition:
        case exp.EQ(this=inner, expression=exp.Literal() as text) if _is(inner, column):
            return [text.name]
        case exp.In(this=inner, expressions=[*texts]) if _is(inner, column):
            return [text.name for text in texts] if all(isinstance(t, exp.Literal) for t in texts) else None
    return None


def _is(value: object, column: str) -> bool:
    while isinstance(value, exp.Cast | exp.Paren):
        value = value.this
    return isinstance(value, exp.Column) and value.name == column
