"""UPDATEs that give a column one value for each of some that it has, and NULL for any other: CASE without ELSE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from sqlglot import exp

from reviewer.sql.names import Name


class Mapped(Struct, frozen=True):
    """A column whose values become NULL, except those that a CASE lists."""

    table: Name
    column: str
    values: tuple[str | None, ...]
    """Those that the CASE lists; None for one that is sent beside the statement."""


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


def _listed(value: object, column: str) -> tuple[str | None, ...]:
    """The values of the column that a CASE is about; empty if it is no such CASE, or has an ELSE."""
    value = _bare(value)
    if not isinstance(value, exp.Case) or value.args.get("default") is not None:
        return ()
    found: list[str | None] = []
    for each in value.args.get("ifs") or ():
        texts = _texts(each.this, value.this, column)
        if texts is None:
            return ()
        found += texts
    return tuple(found)


def _texts(condition: object, operand: object, column: str) -> list[str | None] | None:
    """The values that a WHEN compares the column with; None if it says something else."""
    if operand is not None:
        return _values([condition]) if _is(operand, column) else None
    while isinstance(condition, exp.Paren):
        condition = condition.this
    match condition:
        case exp.EQ(this=inner, expression=value) if _is(inner, column):
            return _values([value])
        case exp.In(this=inner, expressions=[*values]) if _is(inner, column):
            return _values(values)
    return None


def _values(nodes: Sequence[object]) -> list[str | None] | None:
    found: list[str | None] = []
    for node in map(_bare, nodes):
        if isinstance(node, exp.Placeholder | exp.Parameter):
            found.append(None)
        elif isinstance(node, exp.Literal):
            found.append(node.name)
        else:
            return None
    return found


def _is(value: object, column: str) -> bool:
    found = _bare(value)
    return isinstance(found, exp.Column) and found.name == column


def _bare(node: object) -> object:
    """What stands within parentheses and casts."""
    while isinstance(node, exp.Cast | exp.Paren):
        node = node.this
    return node
