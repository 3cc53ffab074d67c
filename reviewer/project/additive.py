"""Whether revisions only add tables, according to their source. Running code cannot notice new tables."""

from __future__ import annotations

import ast
from collections.abc import Iterable

_ADDS = frozenset({"create_table", "create_index", "bulk_insert", "f", "create_table_comment"})
_HARMLESS = frozenset({"sqlalchemy", "sqlmodel", "datetime", "uuid", "enum", "pgvector", "geoalchemy2"})
"""Packages whose functions create definitions and do not touch a database."""


def only_adds_tables(sources: Iterable[bytes]) -> bool:
    """Return whether `upgrade()` of every revision file does nothing but create tables, and indexes and rows of
    these tables. False if in doubt.
    """
    created: set[str] = set()
    for source in sources:
        try:
            module = ast.parse(source)
        except (SyntaxError, ValueError):
            return False
        functions = [n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == "upgrade"]
        if len(functions) != 1:
            return False
        known = _harmless_names(module)
        calls = [
            node for statement in functions[0].body for node in ast.walk(statement) if isinstance(node, ast.Call)
        ]
        created |= {name for call in calls if _called(call) == "create_table" and (name := _text(call, 0))}
        if not all(_is_harmless(call, known, created) for call in calls):
            return False
    return True


def _harmless_names(module: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(module):
        match node:
            case ast.Import(names=names):
                found |= {(n.asname or n.name).split(".")[0] for n in names if n.name.split(".")[0] in _HARMLESS}
            case ast.ImportFrom(module=str(origin), names=names, level=0) if origin.split(".")[0] in _HARMLESS:
                found |= {n.asname or n.name for n in names}
    return found


def _is_harmless(call: ast.Call, known: set[str], created: set[str]) -> bool:
    root = _root(call.func)
    if root != "op":
        return root in known and not (
            isinstance(call.func, ast.Attribute) and call.func.attr in {"create", "execute"}
        )
    operation = _called(call)
    if operation == "create_index":
        return _text(call, 1) in created
    return operation in _ADDS


def _called(call: ast.Call) -> str | None:
    """Return X in `op.X(...)`; None for any other call."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="op"), attr=name):
            return name
    return None


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _text(call: ast.Call, position: int) -> str | None:
    argument = call.args[position] if len(call.args) > position else None
    if argument is None:
        wanted = {keyword.arg: keyword.value for keyword in call.keywords}
        argument = wanted.get("table_name")
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else None
