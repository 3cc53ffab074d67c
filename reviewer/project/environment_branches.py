"""Branches of `upgrade()` that the environment or an argument of the command decides on."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from reviewer.recording import EnvironmentBranch

_READS = frozenset({"environ", "getenv", "get_x_argument"})
_CHANGES = frozenset({"ALTER", "DELETE", "DROP", "MERGE", "TRUNCATE", "UPDATE"})
_CALLS = ("drop_", "alter_", "rename_")


def environment_branches(module: ast.Module) -> tuple[EnvironmentBranch, ...]:
    """Return the branches of `upgrade()` under such a condition, in the order of their lines."""
    return tuple(
        found
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
        for found in _in(node.body, set(_variables(module)))
    )


def _in(body: Sequence[ast.stmt], variables: Collection[str]) -> Iterator[EnvironmentBranch]:
    for position, node in enumerate(body):
        if isinstance(node, ast.If):
            if _reads(node.test, variables):
                test = ast.unparse(node.test)
                rest = body[position + 1 :] if isinstance(node.body[-1], ast.Return) else []
                for part, condition in ((node.body, test), ([*node.orelse, *rest], f"not ({test})")):
                    if part:
                        last = part[-1]
                        yield EnvironmentBranch(
                            part[0].lineno, last.end_lineno or last.lineno, condition, tuple(_changes(part))
                        )
            else:
                yield from _in(node.body, variables)
                yield from _in(node.orelse, variables)
        elif isinstance(node, ast.With | ast.For):
            yield from _in(node.body, variables)


def _variables(module: ast.Module) -> Iterator[str]:
    """Variables that hold what was read from the environment."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and _reads(node.value, ()):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _reads(node: ast.expr, variables: Collection[str]) -> bool:
    parts = [*ast.walk(node)]
    names = {part.attr for part in parts if isinstance(part, ast.Attribute)}
    names |= {part.id for part in parts if isinstance(part, ast.Name)}
    return bool(names & _READS or names & set(variables))


def _changes(body: Sequence[ast.stmt]) -> Iterator[str]:
    for node in (part for each in body for part in ast.walk(each)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr.startswith(_CALLS):
                yield node.func.attr
            for argument in (part for each in node.args for part in ast.walk(each)):
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    word = argument.value.split(maxsplit=1)[:1]
                    yield from (each.upper() for each in word if each.upper() in _CHANGES)
