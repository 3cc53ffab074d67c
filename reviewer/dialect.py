"""Queries and changes of rows, read with sqlglot: which tables, columns and functions they touch.

sqlglot is imported here and nowhere else, and only when the first such statement is read. DDL is not read with it:
of 217 statements it left 55 opaque, and some it takes for others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import ErrorLevel
from sqlglot.parsers.postgres import PostgresParser

from reviewer.names import Name
from reviewer.operations import CreateTable, Delete, Insert, Merge, Operation, Select, Update
from reviewer.sql.cursor import NotUnderstood
from reviewer.sql.tokens import Kind, Token

_LONG = 64
"""Characters of a string constant that are handed on; the rest tells nothing about the statement."""
_MOST_NODES = 10_000
"""Nodes that sqlglot may make for one statement: some nestings (`ARRAY[ARRAY[...]]`) double them at each level."""
_KNOWN_OPERATORS = frozenset(
    {"(", ")", "[", "]", ",", ".", ";", ":", "::", ":=", "=>", "..",
     "+", "-", "*", "/", "^", "<", ">", "=", "<=", ">=", "<>", "!=", "||"}
)  # fmt: skip
_SPECIAL_ARGUMENTS = frozenset(
    {"CAST", "EXTRACT", "JSON_OBJECT", "JSON_OBJECTAGG", "JSON_TABLE", "JSON_VALUE", "NORMALIZE", "OVERLAY",
     "POSITION", "SUBSTRING", "TRIM", "XMLELEMENT", "XMLTABLE"}
)  # fmt: skip
_ORDINARY_NAMES = frozenset(
    """
    alter anti apply asof autoincrement blob byte cache call clob comment commit connect_by_root copy database
    datetime declare describe drop enum exec execute explain file fixed format function glob hugeint if index inout
    keep kill list load lock long longblob longtext map mediumblob mediumint mediumtext namespace nullable number
    object optimize out overwrite percent pivot pragma prepare procedure qualify ref refresh regexp reindex rename
    replace reset revoke rlike rollback schema semi sequence session settings short show str straight_join string
    struct tinyblob tinyint tinytext trigger truncate type uncache unpivot use vacuum variant view volatile xor
    """.split()  # noqa: SIM905  (a page of quotes is hard to read)
)
"""Keywords of sqlglot's that are names like any other in a query to PostgreSQL."""
_NO_FUNCTIONS = frozenset({"row", "array"})
_CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)


class _Parser(PostgresParser):
    # Every function keeps the name that it was called by: sqlglot would make one of now() and CURRENT_TIMESTAMP.
    FUNCTIONS = {}  # noqa: RUF012  (declared by the base class)
    # Left are those whose arguments are not a list: CAST(a AS b), EXTRACT(a FROM b).
    FUNCTION_PARSERS = {  # noqa: RUF012
        name: parse for name, parse in PostgresParser.FUNCTION_PARSERS.items() if name in _SPECIAL_ARGUMENTS
    }

    def _warn_unsupported(self) -> None:
        """Say nothing: the caller sees the `Command`, and logging belongs to the user."""


class _Dialect(Postgres):
    Parser = _Parser
    # Subscripts stay as they are written: turning them into offsets is logged.
    INDEX_OFFSET = 0


_DIALECT = _Dialect()


def operations(sql: str, tokens: Sequence[Token]) -> tuple[Operation, ...]:
    """What one statement of rows does, in order. Raises `NotUnderstood`."""
    try:
        trees = _DIALECT.parse(_spelled(sql, tokens), error_level=ErrorLevel.IMMEDIATE, max_nodes=_MOST_NODES)
        tree = trees[0] if len(trees) == 1 else None
        found = tuple(_operations(tree)) if isinstance(tree, exp.Expr) else ()
    # Besides its own errors sqlglot lets out RecursionError, IndexError and others.
    except Exception as problem:
        raise NotUnderstood from problem
    if not found:
        raise NotUnderstood
    return found


# -- what sqlglot is given ------------------------------------------------------------------------


def _spelled(sql: str, tokens: Sequence[Token]) -> str:
    """The statement in a spelling that sqlglot reads: only names and shape matter here, and those are kept."""
    spelled: list[str] = []
    skipping = 0
    for position, token in enumerate(tokens):
        if skipping:
            skipping -= 1
        elif token.kind is Kind.WORD and token.value == "overriding" and _overrides(tokens, position):
            skipping = 2
        else:
            spelled.append(_one(sql, token, after_dot=spelled[-1:] == ["."]))
    return " ".join(spelled)


def _overrides(tokens: Sequence[Token], position: int) -> bool:
    return [t.value for t in tokens[position + 1 : position + 3]] in (["system", "value"], ["user", "value"])


def _one(sql: str, token: Token, *, after_dot: bool) -> str:
    match token.kind:
        case Kind.WORD if not after_dot and token.value not in _ORDINARY_NAMES:
            return token.value
        case Kind.WORD | Kind.QUOTED:
            return '"' + token.value.replace('"', '""') + '"'
        case Kind.PARAMETER:
            return "$1"
        case Kind.STRING:
            value = token.value
            short = value if len(value) <= _LONG else f"{value[:_LONG]} {len(value)} {hash(value)}"
            return "'" + short.replace("'", "''") + "'"
        case Kind.NUMBER:
            digits = token.value.replace("_", "")
            return str(int(digits, 0)) if digits[1:2].isalpha() and digits[1] not in "eE" else digits
        case Kind.SYMBOL if token.value not in _KNOWN_OPERATORS:
            return "||"
    return sql[token.start : token.end]


# -- what is read from its tree -------------------------------------------------------------------


def _operations(tree: exp.Expr) -> Iterator[Operation]:
    for node in tree.find_all(*_CHANGES):
        if node is not tree and not node.find_ancestor(exp.Merge):
            yield _change(node)
    if isinstance(tree, _CHANGES):
        yield _change(tree)
    elif isinstance(tree, exp.Query | exp.Values):
        into = tree.args.get("into")
        if isinstance(into, exp.Into):
            yield CreateTable(
                _name(into.this),
                as_query=True,
                temporary=bool(into.args.get("temporary")),
                unlogged=bool(into.args.get("unlogged")),
            )
        yield Select(_tables(tree), _calls(tree), any(node.args.get("locks") for node in tree.find_all(exp.Select)))


def _change(node: exp.Expr) -> Operation:
    target = node.this
    columns: tuple[str, ...] = ()
    if isinstance(target, exp.Schema):
        columns = tuple(column.name for column in target.expressions)
        target = target.this
    if not isinstance(target, exp.Table):
        raise NotUnderstood
    table = _name(target)
    sources = _tables(node, target)
    match node:
        case exp.Insert():
            return Insert(table, columns, sources)
        case exp.Update():
            columns, reads = _assignments(node)
            if not columns:
                raise NotUnderstood
            return Update(table, columns, _filtered(node), sources, reads)
        case exp.Delete():
            return Delete(table, _filtered(node), sources)
    return Merge(table, sources)


def _name(table: exp.Expr) -> Name:
    return Name(table.name, table.text("db") or None)


def _tables(statement: exp.Expr, target: exp.Table | None = None) -> tuple[Name, ...]:
    """The tables that a statement reads, each once; changes inside it (`WITH x AS (DELETE ...)`) have their own."""
    found: dict[Name, None] = {}
    into = statement.args.get("into")
    aside = {id(target), id(into.this) if isinstance(into, exp.Into) else 0}
    for node in statement.walk(prune=lambda n: n is not statement and isinstance(n, (*_CHANGES, exp.Lock))):
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and id(node) not in aside:
            name = _name(node)
            if name.schema is not None or not _is_cte(node, name.name):
                found[name] = None
    return tuple(found)


def _is_cte(table: exp.Expr, name: str) -> bool:
    """Whether a WITH around the table gives its name to a query."""
    below: exp.Expr = table
    node = table.parent
    own: exp.Expr | None = None
    while node is not None:
        if isinstance(below, exp.CTE) and isinstance(node, exp.With):
            own = below
        given = node.args.get("with_")
        if isinstance(given, exp.With):
            for query in given.expressions:
                if query is own and not given.args.get("recursive"):
                    break
                if query.alias == name:
                    return True
            own = None
        below, node = node, node.parent
    return False


def _calls(tree: exp.Expr) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in tree.find_all(exp.Anonymous):
        if node.name in _NO_FUNCTIONS:
            continue
        around = node.parent
        schema = around.this.name if isinstance(around, exp.Dot) and around.expression is node else ""
        found[f"{schema}.{node.name}" if schema not in {"", "pg_catalog"} else node.name] = None
    return tuple(found)


def _assignments(update: exp.Update) -> tuple[tuple[str, ...], tuple[str, ...]]:
    columns: dict[str, None] = {}
    reads: dict[str, None] = {}
    for assignment in update.expressions:
        target = assignment.this
        for part in target.expressions if isinstance(target, exp.Tuple) else [target]:
            column = part.find(exp.Column)
            if column is None:
                raise NotUnderstood
            columns[column.table or column.name] = None  # in `SET a.b = 1` the column is a
        for read in assignment.expression.find_all(exp.Column):
            if not isinstance(read.this, exp.Star):
                reads[read.name] = None
    return tuple(columns), tuple(reads)


def _filtered(change: exp.Expr) -> bool:
    where = change.args.get("where")
    return isinstance(where, exp.Where) and not _always_true(where.this)


def _always_true(condition: exp.Expr) -> bool:
    match condition:
        case exp.Paren():
            return _always_true(condition.this)
        case exp.Boolean():
            return bool(condition.this)
        case exp.Not():
            return isinstance(condition.this, exp.Boolean) and not condition.this.this
        case exp.And():
            return _always_true(condition.left) and _always_true(condition.right)
        case exp.Or():
            return _always_true(condition.left) or _always_true(condition.right)
        case exp.EQ():
            return isinstance(condition.left, exp.Literal) and condition.left == condition.right
    return False
