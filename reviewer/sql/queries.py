"""The heads of queries and of changes of rows, for those that sqlglot does not read or that are too long for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reviewer.names import RESERVED, Name
from reviewer.operations import Delete, Insert, Merge, Operation, Select, SetVariable, Update
from reviewer.sql.cursor import Cursor, NotUnderstood
from reviewer.sql.tokens import Kind, Token

_AFTER_TARGET = frozenset({"set", "using", "where", "returning", "from"})
_AFTER_OUTPUT = frozenset(
    [
        "from",
        "where",
        "group",
        "having",
        "window",
        "union",
        "intersect",
        "except",
        "order",
        "limit",
        "offset",
        "fetch",
        "for",
    ]
)
_NO_CALLS = RESERVED | {"values", "exists", "over", "filter", "row", "recursive", "materialized"}
_FROM_IS_SYNTAX = frozenset({"extract", "substring", "trim", "overlay", "position"})


def insert(cursor: Cursor) -> Iterator[Operation]:
    """INSERT."""
    cursor.expect("insert", "into")
    table = cursor.name()
    if cursor.accept("as"):
        cursor.identifier()
    mark = cursor.mark
    columns: tuple[str, ...] = ()
    if cursor.at_symbol("("):
        inside = cursor.inside()
        if inside.word not in {"select", "with", "values"}:
            columns = tuple(_target_column(part) for part in inside.split())
        else:
            cursor.back_to(mark)
    if cursor.done:
        raise NotUnderstood
    yield Insert(table, columns, () if cursor.at("values") else _sources(cursor))


def _target_column(part: Cursor) -> str:
    """The column of `a`, `a.b` and `a[1]`."""
    return part.identifier()


def update(cursor: Cursor) -> Iterator[Operation]:
    """UPDATE."""
    cursor.expect("update")
    table = _target(cursor)
    cursor.expect("set")
    columns: list[str] = []
    while True:
        columns.extend(cursor.columns() if cursor.at_symbol("(") else [cursor.identifier()])
        cursor.skip_until({"from", "where", "returning"}, expression=True)
        if not cursor.accept_symbol(","):
            break
    filtered, sources = _tail(cursor)
    yield Update(table, tuple(columns), filtered, sources)


def delete(cursor: Cursor) -> Iterator[Operation]:
    """DELETE."""
    cursor.expect("delete", "from")
    table = _target(cursor)
    filtered, sources = _tail(cursor)
    yield Delete(table, filtered, sources)


def merge(cursor: Cursor) -> Iterator[Operation]:
    """MERGE."""
    cursor.expect("merge", "into")
    table = _target(cursor)
    if not cursor.at("using"):
        raise NotUnderstood
    yield Merge(table, _sources(cursor))


def select(cursor: Cursor) -> Iterator[Operation]:
    """SELECT, VALUES, TABLE, and WITH where it changes nothing."""
    if cursor.at("with") and cursor.holds("insert", "update", "delete", "merge"):
        raise NotUnderstood
    if cursor.accept("table"):
        yield Select((cursor.table(),))
        return
    mark = cursor.mark
    sources = _sources(cursor)
    cursor.back_to(mark)
    yield Select(sources, _calls(cursor))


def output_columns(cursor: Cursor) -> tuple[str, ...]:
    """The names of the columns that a SELECT returns; empty where the text does not tell all of them."""
    if not cursor.accept("select"):
        return ()
    cursor.accept("all")
    if cursor.accept("distinct") and cursor.accept("on"):
        cursor.skip_group()
    found: list[str] = []
    while True:
        mark = cursor.mark
        cursor.skip_until(_AFTER_OUTPUT)
        end = cursor.mark
        cursor.back_to(mark)
        found.append(_output_name([cursor.next() for _ in range(end - mark)]))
        if not cursor.accept_symbol(","):
            return tuple(found) if all(found) else ()


def _output_name(tokens: list[Token]) -> str:
    """What `a`, `t.a`, `... AS a` and `f() a` are called; empty for all that takes a rule to name."""
    if not tokens or tokens[-1].kind not in {Kind.WORD, Kind.QUOTED}:
        return ""
    *before, last = tokens
    if before and before[-1].kind is Kind.WORD and before[-1].value == "as":
        return last.value
    if last.kind is Kind.WORD and last.value in RESERVED:
        return ""
    names, points = before[::2], before[1::2]
    is_path = len(names) == len(points) and all(each.kind is not Kind.SYMBOL for each in names)
    if is_path and all(each.kind is Kind.SYMBOL and each.value == "." for each in points):
        return last.value
    return last.value if before[-1].kind is Kind.SYMBOL and before[-1].value == ")" else ""


def set_config(cursor: Cursor) -> Iterator[Operation]:
    """SET in its other form, a SELECT of one or several `set_config`."""
    cursor.expect("select")
    for column in cursor.split():
        if column.accept("pg_catalog"):
            column.expect_symbol(".")
        column.expect("set_config")
        name, value, local = column.inside().split()
        column.accept("as")
        if not column.done:
            column.identifier()
        column.expect_end()
        given = value.next()
        text = given.value if value.done else None
        if text is None:
            value.back_to(0)
            text = value.rest()
        yield SetVariable(name.string(), text, local.word in {"true", "t"})


def _target(cursor: Cursor) -> Name:
    table = cursor.table()
    if cursor.accept("as") or not (cursor.done or cursor.word in _AFTER_TARGET):
        cursor.identifier()
    return table


def _tail(cursor: Cursor) -> tuple[bool, tuple[Name, ...]]:
    """Whether there is a WHERE, which a statement that was cut short may have, and the tables that are read."""
    mark = cursor.mark
    filtered = cursor.cut
    while not cursor.done and not filtered:
        filtered = cursor.skip_until({"where"}) or not (cursor.done or cursor.next())
    cursor.back_to(mark)
    return filtered, _sources(cursor)


def _sources(cursor: Cursor) -> tuple[Name, ...]:
    """The names behind FROM, JOIN and USING in the rest, each once."""
    found: dict[Name, None] = {}
    syntax = [False]
    previous = ""
    while not cursor.done:
        token = cursor.next()
        if token.kind is Kind.SYMBOL:
            if token.value == "(":
                syntax.append(previous in _FROM_IS_SYNTAX)
            elif token.value == ")" and len(syntax) > 1:
                syntax.pop()
        elif token.kind is Kind.WORD and _names_tables(token.value, previous, in_call=syntax[-1]):
            found.update(dict.fromkeys(_listed(cursor)))
        previous = token.value
    return tuple(found)


def _calls(cursor: Cursor) -> tuple[str, ...]:
    """The names in front of parentheses, keywords left out, each once."""
    found: dict[str, None] = {}
    while not cursor.done:
        token = cursor.next()
        is_name = token.kind is Kind.QUOTED or (token.kind is Kind.WORD and token.value not in _NO_CALLS)
        if is_name and cursor.at_symbol("("):
            found[token.value] = None
    return tuple(found)


def _names_tables(word: str, previous: str, *, in_call: bool) -> bool:
    """Whether a table comes behind this word: not so in `IS DISTINCT FROM` and `extract(a FROM b)`."""
    return word in {"from", "join", "using"} and previous != "distinct" and not in_call


def _listed(cursor: Cursor) -> Iterator[Name]:
    """The tables of a FROM list as far as they are plain."""
    while cursor.token.kind in {Kind.WORD, Kind.QUOTED} and not (cursor.at("lateral") or cursor.at("select")):
        name = cursor.table()
        if cursor.at_symbol("("):
            return
        yield name
        if cursor.accept("as") or cursor.token.kind is Kind.QUOTED or _is_alias(cursor):
            cursor.next()
        if not cursor.accept_symbol(","):
            return


def _is_alias(cursor: Cursor) -> bool:
    return cursor.word not in {
        "", "where", "join", "inner", "left", "right", "full", "cross", "natural", "on", "using", "group", "order",
        "limit", "offset", "union", "except", "intersect", "having", "window", "for", "returning", "fetch",
        "tablesample", "when",
    }  # fmt: skip


READERS: dict[str, Callable[[Cursor], Iterator[Operation]]] = {
    "insert": insert,
    "update": update,
    "delete": delete,
    "merge": merge,
    **dict.fromkeys(("select", "values", "table", "with", "("), select),
}
"""The reader of each head, by the first word of the statement."""
