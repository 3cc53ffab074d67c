"""Conditions of a revision that always or never hold: a dialect by a name that it does not have, and a name among the
dictionaries that SQLAlchemy's inspector returns.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from reviewer.recording import FixedCondition

_NO_DIALECTS = frozenset({"postgres", "pg", "pgsql", "psql", "psycopg", "psycopg2", "asyncpg", "pg8000"})
_DIALECT = "postgresql"
_OF_DICTIONARIES = frozenset(
    {"get_columns", "get_indexes", "get_foreign_keys", "get_unique_constraints", "get_check_constraints"}
)


def fixed_conditions(module: ast.Module) -> tuple[FixedCondition, ...]:
    """Return the comparisons in the conditions of `module` whose outcome is always the same, by line."""
    found = [
        each
        for node in module.body
        if isinstance(node, ast.FunctionDef)
        for each in _in(node, set(_dictionaries(node)))
    ]
    return tuple(sorted(found, key=lambda each: each.line))


def _in(function: ast.FunctionDef, listed: Collection[str]) -> Iterator[FixedCondition]:
    for node in ast.walk(function):
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            for part in ast.walk(node.test):
                if isinstance(part, ast.Compare) and len(part.ops) == 1:
                    fixed = _of_dialect(part) or _among_dictionaries(part, listed)
                    if fixed is not None:
                        yield FixedCondition(part.lineno, ast.unparse(part), *fixed)


def _of_dialect(test: ast.Compare) -> tuple[bool, str] | None:
    op, sides = test.ops[0], (test.left, test.comparators[0])
    if not any(_is_dialect(each) for each in sides):
        return None
    names = {name for each in sides for name in _texts(each)}
    wrong = [name for name in names if name.lower() in _NO_DIALECTS or name.lower() == _DIALECT]
    if not names or len(wrong) < len(names) or _DIALECT in names:
        return None
    return isinstance(op, ast.NotEq | ast.NotIn), f"SQLAlchemy's name of the dialect is `{_DIALECT}`"


def _is_dialect(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Attribute(attr="dialect") | ast.Name(id="dialect"), attr="name"):
            return True
        case ast.Name(id="dialect_name"):
            return True
    return False


def _texts(node: ast.expr) -> list[str]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return [each.value for each in parts if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _among_dictionaries(test: ast.Compare, listed: Collection[str]) -> tuple[bool, str] | None:
    match test:
        case ast.Compare(
            left=ast.Constant(value=str()) | ast.JoinedStr(),
            ops=[ast.In() | ast.NotIn() as op],
            comparators=[among],
        ) if _method(among) or (isinstance(among, ast.Name) and among.id in listed):
            return isinstance(op, ast.NotIn), "the inspector returns dictionaries, and a text is none of them"
    return None


def _dictionaries(function: ast.FunctionDef) -> Iterator[str]:
    """Variables that hold what the inspector returns, and nothing else."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                values.setdefault(ast.unparse(target), []).append(node.value)
    yield from (name for name, given in values.items() if all(_method(each) for each in given))


def _method(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _OF_DICTIONARIES
    )
