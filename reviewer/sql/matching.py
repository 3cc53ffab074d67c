"""What a row must hold for the WHERE of an UPDATE or DELETE to take it, where simple comparisons say so."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct
from sqlglot import exp

from reviewer.sql.names import Name
from reviewer.sql.operations import AlterColumnType, Operation, Update

_DATE = re.compile(r"\d{4}-\d\d-\d\d")

_SAME = frozenset({"lower", "upper", "btrim", "trim"})
"""Functions of which a value that is compared with a constant is usually its own result."""

_Values = dict[str, str]
"""SQL expressions by column."""


class Match(Struct, frozen=True):
    """A row that a statement takes."""

    table: Name
    values: tuple[tuple[str, str], ...]
    """Columns and SQL expressions of their values; the others may hold anything."""
    by_key: bool = True
    """Whether such a row may be made if a key identifies it. It must not if the revisions insert rows, because theirs may
    have the same key.
    """


def of(tree: object) -> Match | None:
    """What a row must hold for the statement to change it; None if that is not known, or if any row will do."""
    if not isinstance(tree, exp.Update | exp.Delete) or not isinstance(tree.this, exp.Table):
        return None
    where = tree.args.get("where")
    if not isinstance(where, exp.Where) or tree.args.get("from_") or tree.args.get("using"):
        return None
    target = tree.this
    values = _satisfying(where.this, frozenset({target.name, target.alias_or_name, ""}))
    if not values:
        return None
    return Match(Name(target.name, target.text("db") or None), tuple(values.items()))


def of_parts(change: Operation, text: str) -> Iterator[Match]:
    """A row whose text has two different parts, for each column that a change of its type or an UPDATE takes apart."""
    if isinstance(change, AlterColumnType | Update):
        for column, mark in _PARTS.findall((change.using or "") if isinstance(change, AlterColumnType) else text):
            yield Match(change.table, ((column, _quoted(f"one{mark}two")),))


_PARTS = re.compile(
    r"\b(?:string_to_(?:array|table)|regexp_split_to_(?:array|table)|split_part)\s*\(\s*\"?(\w+)\"?(?:::\w+)?\s*,\s*'([^'\\]{1,3})'",
    re.IGNORECASE,
)


def _satisfying(condition: object, own: frozenset[str]) -> _Values | None:
    """None if it is not known how to satisfy the condition."""
    match condition:
        case exp.Paren(this=inner):
            return _satisfying(inner, own)
        case exp.And(this=left, expression=right):
            one, other = _satisfying(left, own), _satisfying(right, own)
            if one is None or other is None or any(other.get(name, value) != value for name, value in one.items()):
                return None
            return one | other
        case exp.Or(this=left, expression=right):
            one = _satisfying(left, own)
            return one if one is not None else _satisfying(right, own)
        case exp.Is(this=inner, expression=exp.Null()):
            negated = bool(condition.args.get("negate"))
            return _set(inner, own, None if negated else "NULL")
        case exp.Is(this=inner, expression=exp.Boolean(this=value)) if not condition.args.get("negate"):
            return _set(inner, own, "true" if value else "false")
        case exp.Not(this=exp.Is(this=inner, expression=exp.Null())):
            return _set(inner, own, None)
        case exp.Not(this=exp.Column() as inner):
            return _set(inner, own, "false")
        case exp.In(this=inner, expressions=[first, *_]):
            return _set(inner, own, _literal(first)) if _literal(first) else None
        case (
            exp.EQ(this=inner, expression=other)
            | exp.GTE(this=inner, expression=other)
            | exp.LTE(this=inner, expression=other)
        ):
            if _literal(inner) is not None:
                inner, other = other, inner
            value = _literal(other)
            return _set(inner, own, value) if value is not None else None
        case exp.LT(this=inner, expression=other) | exp.GT(this=inner, expression=other):
            value = _literal(other)
            beyond = _beyond(value, "-" if isinstance(condition, exp.LT) else "+") if value is not None else None
            return _set(inner, own, beyond) if beyond is not None else None
        case (
            exp.Like(this=inner, expression=exp.Literal(this=pattern))
            | exp.ILike(this=inner, expression=exp.Literal(this=pattern))
        ):
            return _set(inner, own, _quoted(pattern.replace("%", "").replace("_", "x")))
        case exp.Between(this=inner):
            low = _literal(condition.args.get("low"))
            return _set(inner, own, low) if low is not None else None
        case exp.NEQ(this=inner, expression=other) if _literal(other) is not None:
            return _set(inner, own, None)
        case exp.Column():
            return _set(condition, own, "true")
    return None


def _set(inner: object, own: frozenset[str], value: str | None) -> _Values | None:
    """The column has the value; with None any value will do, as generated rows have one."""
    if isinstance(inner, exp.Anonymous) and inner.name.lower() in _SAME and len(inner.expressions) == 1:
        inner = inner.expressions[0]
    if not isinstance(inner, exp.Column) or inner.table not in own:
        return None
    return {} if value is None else {inner.name: value}


def _literal(node: object) -> str | None:
    match node:
        case exp.Paren(this=inner) | exp.Cast(this=inner):
            return _literal(inner)
        case exp.Literal(this=text, is_string=True):
            return _quoted(text)
        case exp.Literal(this=text):
            return str(text)
        case exp.Neg(this=exp.Literal(this=text)):
            return f"-{text}"
        case exp.Boolean(this=value):
            return "true" if value else "false"
    return None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _beyond(value: str, sign: str) -> str | None:
    """A value beyond a number or a date."""
    if value.lstrip("-")[:1].isdigit():
        return f"{value} {sign} 1"
    return f"(timestamp {value} {sign} interval '1 day')" if _DATE.match(value.strip("'")) else None
