"""The rows that the new revisions look for, read from their source: `UPDATE ... WHERE status = 'x'` takes none of the
generated rows unless one of them has that status.

What `downgrade` looks for is not made: a row that it takes and the upgrade has not made is a row of its own accord.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reviewer.host.files import read_regular
from reviewer.host.paths import on_disk
from reviewer.rows.values import literal
from reviewer.sql import parse
from reviewer.sql.names import Name

if TYPE_CHECKING:
    from reviewer.sql.matching import Match

_CHANGES = re.compile(
    r"\b(?:update|delete)\b.*\bwhere\b|\b(?:string_to_\w+|regexp_split_to_\w+|split_part)\s*\(",
    re.IGNORECASE | re.DOTALL,
)
_INSERTS = re.compile(rb"insert|\bcopy\b|\bmerge\b", re.IGNORECASE)
_BOUND = re.compile(r"(?<![:\w]):(\w+)\b")
_LONGEST = 20_000
"""Characters of a text up to which it is read."""


def of(root: Path, paths: Iterable[str]) -> Iterator[Match]:
    """What the rows must hold that the `upgrade` of each file looks for. A file that cannot be read looks for none."""
    trees = []
    inserts = False
    for path in paths:
        try:
            source = read_regular(on_disk(root, path))
            trees.append(ast.parse(source))
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        inserts = inserts or _INSERTS.search(source) is not None
    for tree in trees:
        tables = _tables(tree)
        for statement in _statements(tree.body):
            for each in (*_of_texts(statement), *_of_expressions(statement, tables)):
                yield replace(each, by_key=not inserts)


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement outside `downgrade` that contains no other."""
    for each in body:
        if isinstance(each, ast.FunctionDef) and each.name == "downgrade":
            continue
        inner = [
            part
            for name in ("body", "orelse", "finalbody")
            for part in getattr(each, name, ())
            if isinstance(part, ast.stmt)
        ]
        inner += [part for handler in getattr(each, "handlers", ()) for part in handler.body]
        if inner:
            yield from _statements(inner)
        else:
            yield each


def _of_texts(statement: ast.stmt) -> Iterator[Match]:
    """Of the SQL in it, with the values that are bound in the same statement."""
    texts = [
        node.value
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CHANGES.search(node.value[:_LONGEST])
    ]
    if texts:
        bound = dict(_bound(statement))
        for text in texts:
            yield from parse.matches(_BOUND.sub(lambda found: bound.get(found[1], found[0]), text[:_LONGEST]))


def _bound(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (
                (key.value, value)
                for key, each in pairs
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and (value := _constant(each))
            )
        elif isinstance(node, ast.keyword) and node.arg is not None and (value := _constant(node.value)):
            yield node.arg, value


def _tables(tree: ast.Module) -> Mapping[str, Name]:
    """The variables that stand for tables: `users = sa.table("users", ...)`."""
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=variable)],
                value=ast.Call(
                    func=ast.Attribute(attr="table" | "Table") | ast.Name(id="table" | "Table"),
                    args=[ast.Constant(value=str(name)), *_],
                    keywords=keywords,
                ),
            ):
                schemas = [
                    each.value.value
                    for each in keywords
                    if each.arg == "schema" and isinstance(each.value, ast.Constant)
                ]
                found[variable] = Name(name, str(schemas[0]) if schemas else None)
    return found


def _of_expressions(statement: ast.stmt, tables: Mapping[str, Name]) -> Iterator[Match]:
    """Of `users.update().where(users.c.status == "x")`. What is only read may be read by code that knows its own rows."""
    from reviewer.sql.matching import Match

    wanted: dict[str, dict[str, str]] = {}
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call) and _called(node) == "where"]
    calls = [each for each in calls if any(word in {"update", "delete"} for word in _chain(each))]
    for part in (part for call in calls for argument in call.args for part in ast.walk(argument)):
        match part:
            case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
                value = _constant(right)
            case ast.Call(
                func=ast.Attribute(value=left, attr="in_"),
                args=[ast.List(elts=[first, *_]) | ast.Tuple(elts=[first, *_])],
            ):
                value = _constant(first)
            case ast.Call(func=ast.Attribute(value=left, attr="is_"), args=[first]):
                value = _constant(first)
            case _:
                continue
        match left:
            case ast.Attribute(
                value=ast.Attribute(value=ast.Name(id=variable), attr="c" | "columns"), attr=column
            ) if value is not None and variable in tables:
                wanted.setdefault(variable, {}).setdefault(column, value)
    for variable, values in wanted.items():
        yield Match(tables[variable], tuple(values.items()))


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _chain(call: ast.Call) -> Iterator[str]:
    """What is called before it in `sa.update(users).values(...).where(...)`, itself first."""
    node: ast.expr = call
    while isinstance(node, ast.Call):
        yield _called(node)
        node = node.func.value if isinstance(node.func, ast.Attribute) else node.func


def _constant(node: ast.expr) -> str | None:
    """A constant as SQL; None for anything else."""
    match node:
        case ast.Constant(value=None):
            return "NULL"
        case ast.Constant(value=bool(value)):
            return "true" if value else "false"
        case ast.Constant(value=int() | float() as value):
            return repr(value)
        case ast.Constant(value=str(value)):
            return literal(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return f"-{value!r}"
    return None
