"""sqlglot's trees of queries and of changes of rows → which tables, columns and functions they touch."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from reviewer.sql.names import Name
from reviewer.sql.operations import CreateTable, Delete, Insert, Merge, Operation, Select, Update
from reviewer.sql.reader import NotUnderstood

_NO_FUNCTIONS = frozenset({"row", "array", "exists"})
"""What looks like a function call but is not; sqlglot reads `EXISTS (TABLE t)` as one."""
_CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)


def operations(tree: object) -> tuple[Operation, ...]:
    """What one statement of rows does, in order.

    Raises:
        NotUnderstood: the tree is of another kind, or sqlglot misread the statement.
    """
    found = tuple(_operations(tree)) if isinstance(tree, exp.Expr) else ()
    if not found:
        raise NotUnderstood
    return found


def excludes_null(condition: object, column: str) -> bool:
    """Whether a condition says of the column that it is not NULL, alone or with AND between it and others."""
    match condition:
        case exp.Paren(this=inner):
            return excludes_null(inner, column)
        case exp.And(this=left, expression=right):
            return excludes_null(left, column) or excludes_null(right, column)
        case exp.Not(this=exp.Is(this=exp.Column() as said, expression=exp.Null()) as test):
            return said.name == column and not test.args.get("negate")
        case exp.Is(this=exp.Column() as said, expression=exp.Null()):
            return said.name == column and bool(condition.args.get("negate"))
    return False


def _operations(tree: exp.Expr) -> Iterator[Operation]:
    for node in tree.find_all(*_CHANGES):
        if node is not tree and not node.find_ancestor(exp.Merge):
            yield _change(node)
    if isinstance(tree, _CHANGES):
        yield _change(tree)
    elif isinstance(tree, exp.Query | exp.Values):
        into = tree.args.get("into")
        tables = _tables(tree)
        if isinstance(into, exp.Into):
            yield CreateTable(
                _name(into.this),
                as_query=True,
                temporary=bool(into.args.get("temporary")),
                unlogged=bool(into.args.get("unlogged")),
                sources=tables,
            )
        locking = any(node.args.get("locks") for node in tree.find_all(exp.Select))
        yield Select(tables, _calls(tree), locking, len(tables) == 1 and _locks_all(tree))


def _locks_all(query: exp.Expr) -> bool:
    """Whether writers wait for each row of the table below; FOR KEY SHARE is for those that delete it only."""
    strong = any(lock.args.get("update") or not lock.args.get("key") for lock in query.args.get("locks") or ())
    fewer = any(query.args.get(each) for each in ("limit", "offset", "joins", "with_"))
    return strong and not fewer and not _filtered(query)


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
    clauses = node.args.get("whens")
    actions = [when.args.get("then") for when in clauses.expressions] if isinstance(clauses, exp.Whens) else []
    words = [then.name if isinstance(then, exp.Var) else then.key for then in actions if isinstance(then, exp.Expr)]
    does = (word.lower() for word in words if word.lower() in {"insert", "update", "delete"})
    return Merge(table, sources, tuple(dict.fromkeys(does)))


def _name(table: exp.Expr) -> Name:
    return Name(table.name, table.text("db") or None)


def _tables(statement: exp.Expr, target: exp.Table | None = None) -> tuple[Name, ...]:
    """The tables that a statement reads, each once; changes inside it (`WITH x AS (DELETE ...)`) have their own."""
    found: dict[Name, None] = {}
    into = statement.args.get("into")
    aside = (target, into.this if isinstance(into, exp.Into) else None)
    for node in statement.walk(prune=lambda n: n is not statement and isinstance(n, (*_CHANGES, exp.Lock))):
        is_table = isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier)
        # sqlglot has the operator class of `ON CONFLICT (a text_ops)` as a table.
        if is_table and not any(node is each for each in aside) and not isinstance(node.parent, exp.Opclass):
            name = _name(node)
            if name.schema is not None or not is_cte(node, name.name):
                found[name] = None
    return tuple(found)


def is_cte(table: exp.Expr, name: str) -> bool:
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
