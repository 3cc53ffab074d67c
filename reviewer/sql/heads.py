"""The heads of queries and of changes of rows, for those that sqlglot does not read or whose tree would be too
large.

Also what only the head of a statement says: the columns of a view, `SELECT set_config(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot.tokenizer_core import Token, TokenType

from reviewer.sql.names import RESERVED, Name
from reviewer.sql.operations import Delete, Insert, Merge, Operation, Select, SetVariable, Update
from reviewer.sql.reader import NotUnderstood, Reader
from reviewer.sql.tokenizer import NO_WORDS, SYMBOLS

_AFTER_TARGET = frozenset({"SET", "USING", "WHERE", "RETURNING", "FROM"})
_AFTER_OUTPUT = frozenset(
    {
        "FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "OFFSET",
        "FETCH", "FOR",
    }
)  # fmt: skip
_NO_CALLS = RESERVED | {"values", "exists", "over", "filter", "row", "recursive", "materialized"}
_FROM_IS_SYNTAX = frozenset({"extract", "substring", "trim", "overlay", "position"})
_NO_ALIAS = frozenset(
    {
        "WHERE", "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "ON", "USING", "GROUP", "ORDER",
        "LIMIT", "OFFSET", "UNION", "EXCEPT", "INTERSECT", "HAVING", "WINDOW", "FOR", "RETURNING", "FETCH",
        "TABLESAMPLE", "WHEN",
    }
)  # fmt: skip


def insert(reader: Reader) -> Iterator[Operation]:
    """INSERT."""
    reader.expect("INSERT", "INTO")
    table = reader.name()
    if reader.accept("AS"):
        reader.identifier()
    columns: tuple[str, ...] = ()
    mark = reader.mark
    if reader.accept_symbol(TokenType.L_PAREN):
        # a column may be called `values`
        rows = reader.accept("VALUES") and reader.accept_symbol(TokenType.L_PAREN)
        is_query = bool(rows) or reader.word in {"SELECT", "WITH"}
        reader.back_to(mark)
        if not is_query:
            columns = tuple(reader.within(lambda: reader.listed(lambda: _target_column(reader))))
    if reader.done:
        raise NotUnderstood
    yield Insert(table, columns, () if reader.at("VALUES") else sources(reader))


def _target_column(reader: Reader) -> str:
    """The column of `a`, `a.b` and `a[1]`."""
    name = reader.identifier()
    reader.skip_all()
    return name


def update(reader: Reader) -> Iterator[Operation]:
    """UPDATE."""
    reader.expect("UPDATE")
    table = _target(reader)
    reader.expect("SET")
    columns: list[str] = []
    while True:
        columns.extend(reader.columns() if reader.at_symbol(TokenType.L_PAREN) else [reader.identifier()])
        reader.skip_until({"FROM", "WHERE", "RETURNING"}, expression=True)
        if not reader.accept_symbol(TokenType.COMMA):
            break
    filtered, read = _tail(reader)
    yield Update(table, tuple(columns), filtered, read)


def delete(reader: Reader) -> Iterator[Operation]:
    """DELETE."""
    reader.expect("DELETE", "FROM")
    table = _target(reader)
    filtered, read = _tail(reader)
    yield Delete(table, filtered, read)


def merge(reader: Reader) -> Iterator[Operation]:
    """MERGE."""
    reader.expect("MERGE", "INTO")
    table = _target(reader)
    if not reader.at("USING"):
        raise NotUnderstood
    mark = reader.mark
    read = sources(reader)
    reader.back_to(mark)
    yield Merge(table, read, _after_then(reader))


def _after_then(reader: Reader) -> tuple[str, ...]:
    found: dict[str, None] = {}
    while not reader.done:
        if reader.skip_until({"THEN"}):
            reader.next()
            found |= {each.lower(): None for each in ("INSERT", "UPDATE", "DELETE") if reader.at(each)}
        elif not reader.done:
            reader.next()
    return tuple(found)


def select(reader: Reader) -> Iterator[Operation]:
    """SELECT, VALUES, TABLE, and WITH if it changes nothing."""
    if reader.at("WITH") and reader.holds("INSERT", "UPDATE", "DELETE", "MERGE"):
        raise NotUnderstood
    if reader.accept("TABLE"):
        yield Select((reader.table(),))
        return
    mark = reader.mark
    read = sources(reader)
    reader.back_to(mark)
    yield Select(read, _calls(reader))


def output_columns(reader: Reader) -> tuple[str, ...]:
    """The names of the columns that a SELECT returns; empty if the text does not show all of them."""
    if not reader.accept("SELECT"):
        return ()
    reader.accept("ALL")
    if reader.accept("DISTINCT") and reader.accept("ON"):
        reader.skip_group()
    found: list[str] = []
    while True:
        mark = reader.mark
        reader.skip_until(_AFTER_OUTPUT)
        end = reader.mark
        reader.back_to(mark)
        found.append(_output_name([reader.next() for _ in range(end - mark)]))
        if not reader.accept_symbol(TokenType.COMMA):
            return tuple(found) if all(found) else ()


def _output_name(tokens: list[Token]) -> str:
    """What `a`, `t.a`, `... AS a` and `f() a` are called; empty for everything else."""
    if not tokens or not _is_name(tokens[-1]):
        return ""
    *before, last = tokens
    if before and before[-1].text == "as" and before[-1].token_type not in NO_WORDS:
        return last.text
    if last.text in RESERVED and last.token_type not in NO_WORDS:
        return ""
    names, points = before[::2], before[1::2]
    is_path = len(names) == len(points) and all(each.token_type not in SYMBOLS for each in names)
    if is_path and all(each.token_type is TokenType.DOT for each in points):
        return last.text
    return last.text if before[-1].token_type is TokenType.R_PAREN else ""


def _is_name(token: Token) -> bool:
    return token.token_type not in NO_WORDS or token.token_type is TokenType.IDENTIFIER


def set_config(reader: Reader) -> list[Operation]:
    """SET in its other form, a SELECT of one or several `set_config`."""
    reader.expect("SELECT")
    return list(reader.listed(lambda: _set_config(reader)))


def _set_config(reader: Reader) -> SetVariable:
    if reader.accept("PG_CATALOG"):
        reader.expect_symbol(TokenType.DOT)
    reader.expect("SET_CONFIG")
    setting = reader.within(lambda: _setting(reader))
    reader.accept("AS")
    if not reader.done:
        reader.identifier()
    return setting


def _setting(reader: Reader) -> SetVariable:
    name = reader.string()
    reader.expect_symbol(TokenType.COMMA)
    first = reader.next()
    if reader.at_symbol(TokenType.COMMA):
        value = first.text
    else:
        reader.back_to(reader.mark - 1)
        value = reader.text_until()
    reader.expect_symbol(TokenType.COMMA)
    local = reader.word in {"TRUE", "T"}
    reader.skip_all()
    return SetVariable(name, value, local)


def _target(reader: Reader) -> Name:
    table = reader.table()
    if reader.accept("AS") or not (reader.done or reader.word in _AFTER_TARGET):
        reader.identifier()
    return table


def _tail(reader: Reader) -> tuple[bool, tuple[Name, ...]]:
    """Whether there is a WHERE, which a truncated statement may have, and the tables that are read."""
    mark = reader.mark
    filtered = reader.cut
    while not reader.done and not filtered:
        filtered = reader.skip_until({"WHERE"}) or not (reader.done or reader.next())
    reader.back_to(mark)
    return filtered, sources(reader)


def sources(reader: Reader) -> tuple[Name, ...]:
    """The names behind FROM, JOIN and USING in the rest, each once."""
    found: dict[Name, None] = {}
    syntax = [False]
    previous = ""
    while not reader.done:
        token = reader.next()
        kind = token.token_type
        if kind is TokenType.L_PAREN:
            syntax.append(previous in _FROM_IS_SYNTAX)
        elif kind is TokenType.R_PAREN and len(syntax) > 1:
            syntax.pop()
        elif kind not in NO_WORDS and _names_tables(token.text, previous, in_call=syntax[-1]):
            found.update(dict.fromkeys(_listed(reader)))
        previous = token.text
    return tuple(found)


def _calls(reader: Reader) -> tuple[str, ...]:
    """The names in front of parentheses, keywords left out, each once."""
    found: dict[str, None] = {}
    while not reader.done:
        token = reader.next()
        is_name = token.token_type is TokenType.IDENTIFIER or (
            token.token_type not in NO_WORDS and token.text not in _NO_CALLS
        )
        if is_name and reader.at_symbol(TokenType.L_PAREN):
            found[token.text] = None
    return tuple(found)


def _names_tables(word: str, previous: str, *, in_call: bool) -> bool:
    """Whether a table follows this word: not so in `IS DISTINCT FROM` and `extract(a FROM b)`."""
    return word in {"from", "join", "using"} and previous != "distinct" and not in_call


def _listed(reader: Reader) -> Iterator[Name]:
    """The plain tables of a FROM list."""
    while reader.at_name() and reader.word not in {"LATERAL", "SELECT"}:
        name = reader.table()
        if reader.at_symbol(TokenType.L_PAREN):
            return
        yield name
        if reader.accept("AS") or (reader.at_name() and reader.word not in _NO_ALIAS):
            reader.next()
        if not reader.accept_symbol(TokenType.COMMA):
            return


READERS: dict[str, Callable[[Reader], Iterator[Operation]]] = {
    "INSERT": insert,
    "UPDATE": update,
    "DELETE": delete,
    "MERGE": merge,
    **dict.fromkeys(("SELECT", "VALUES", "TABLE", "WITH", "("), select),
}
"""The reader of each head, by the first word of the statement."""
