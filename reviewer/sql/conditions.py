"""The WHERE of an UPDATE or DELETE → which columns it uses, and which tables each of them may be of."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from sqlglot import exp

from reviewer.sql.names import Name
from reviewer.sql.trees import is_cte

Tables = tuple[tuple[str, Name | None], ...]
"""What a FROM lists: by which name it goes, and which table it is; None for anything else, such as a subquery."""


class Used(Struct, frozen=True):
    """A column as it is written in a condition."""

    name: str
    qualifier: str
    within: tuple[Tables, ...] = ()
    """The tables of the subqueries around it, the innermost first."""
    returned: bool = False
    """Whether a subquery of IN returns it, and nothing else."""


class Condition(Struct, frozen=True):
    """The WHERE of an UPDATE or DELETE."""

    table: Name
    alias: str
    """By which name the table goes that it changes."""
    beside: Tables
    """What FROM or USING lists."""
    columns: tuple[Used, ...]


def of(tree: object) -> Condition | None:
    """The condition of a change; None if it has none."""
    if not isinstance(tree, exp.Update | exp.Delete) or not isinstance(tree.this, exp.Table):
        return None
    where = tree.args.get("where")
    if not isinstance(where, exp.Where):
        return None
    beside = tree.args.get("from_") if isinstance(tree, exp.Update) else tree.args.get("using")
    parts = [beside.this] if isinstance(beside, exp.From) else list(beside or ())
    return Condition(
        Name(tree.this.name, tree.this.text("db") or None),
        tree.this.alias_or_name,
        tuple(each for part in parts for each in _listed(part)),
        tuple(_used(column, where) for column in where.find_all(exp.Column)),
    )


def _used(column: exp.Column, where: exp.Where) -> Used:
    within: list[Tables] = []
    node: exp.Expr | None = column.parent
    while node is not None and node is not where:
        if isinstance(node, exp.Select):
            within.append(_tables(node))
        node = node.parent
    return Used(column.name, column.table, tuple(within), _is_returned(column))


def _is_returned(column: exp.Column) -> bool:
    query = column.parent
    around = query.parent if isinstance(query, exp.Select) and query.expressions == [column] else None
    return isinstance(around, exp.Subquery) and isinstance(around.parent, exp.In)


def _tables(query: exp.Select) -> Tables:
    start = query.args.get("from_")
    parts = [start.this] if isinstance(start, exp.From) else []
    parts += [join.this for join in query.args.get("joins") or ()]
    return tuple(each for part in parts for each in _listed(part))


def _listed(part: exp.Expr) -> Iterator[tuple[str, Name | None]]:
    plain = isinstance(part, exp.Table) and isinstance(part.this, exp.Identifier)
    known = plain and (part.text("db") != "" or not is_cte(part, part.name))
    yield part.alias_or_name, Name(part.name, part.text("db") or None) if known else None
    for join in part.args.get("joins") or ():
        yield from _listed(join.this)
