"""The labels that a revision gives to enum types, as its text names them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reviewer.recording import Labelled


def labelled(module: ast.Module) -> tuple[Labelled, ...]:
    """Return the enum types with their labels that `upgrade()` names, itself or by a variable of the module. What it says
    of a column as it is (`existing_type`) is left out.
    """
    upgrade = next((n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == "upgrade"), None)
    if upgrade is None:
        return ()
    existing = {
        id(part)
        for node in ast.walk(upgrade)
        if isinstance(node, ast.keyword) and node.arg == "existing_type"
        for part in ast.walk(node.value)
    }
    used = [node for node in ast.walk(upgrade) if id(node) not in existing]
    names = {node.id for node in used if isinstance(node, ast.Name)}
    kept = (
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in names for t in node.targets)
    )
    return tuple(dict.fromkeys(found for node in (*used, *kept) for found in _enum(node)))


def _enum(node: ast.AST) -> Iterator[Labelled]:
    if not isinstance(node, ast.Call) or not node.args:
        return
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    labels = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    given = {each.arg: each.value for each in node.keywords}
    name, schema, native = (_constant(given.get(key)) for key in ("name", "schema", "native_enum"))
    if called not in {"Enum", "ENUM"} or len(labels) < len(node.args) or native is False:
        return
    if isinstance(name, str) and ("schema" not in given or isinstance(schema, str)):
        yield Labelled(name, schema if isinstance(schema, str) else None, tuple(labels), node.lineno)


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None
