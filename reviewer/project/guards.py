"""Conditions under which a revision runs part of its code: on a number of rows, and those of what a downgrade drops."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from reviewer.recording import ConditionalDrop, Guard

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_SIGNS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


def guards(module: ast.Module) -> tuple[Guard, ...]:
    """Return the lines that run only while a number is below a constant: the body of such an `if`, the `else` of
    the opposite condition, and what follows an opposite condition that leaves the function.
    """
    return tuple(sorted(_in(module.body), key=lambda each: (each.first, -each.last)))


def conditional_drops(module: ast.Module) -> tuple[ConditionalDrop, ...]:
    """Return the lines of `downgrade()` that drop something under a condition, each with the innermost one."""
    return tuple(
        found
        for node in module.body
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade"
        for found in _drops(node.body, "")
    )


def _drops(body: Sequence[ast.stmt], condition: str) -> Iterator[ConditionalDrop]:
    for node in body:
        if isinstance(node, ast.If):
            test = ast.unparse(node.test)
            yield from _drops(node.body, test)
            yield from _drops(node.orelse, f"not ({test})")
        elif isinstance(node, ast.With):
            yield from _drops(node.body, condition)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and condition:
            call = node.value
            parts = (call, *(part for each in call.args for part in ast.walk(each)))
            texts = tuple(p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str))
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            sql = any(each.lstrip()[:5].upper() == "DROP " for each in texts)
            if name.startswith("drop") or (name == "execute" and sql):
                yield ConditionalDrop(call.lineno, texts, condition)


def _in(body: Sequence[ast.stmt]) -> Iterator[Guard]:
    for position, node in enumerate(body):
        if isinstance(node, ast.If) and (found := _compared(node.test)) is not None:
            sign, limit = found
            condition = ast.unparse(node.test)
            if sign in {"<", "<="}:
                yield from _over(node.body, limit, condition)
            else:
                condition = f"not {condition}"
                yield from _over(node.orelse, limit, condition)
                if isinstance(node.body[-1], ast.Return | ast.Raise):
                    yield from _over(body[position + 1 :], limit, condition)
        for name in ("body", "orelse", "finalbody"):
            yield from _in(getattr(node, name, ()))
        for handler in getattr(node, "handlers", ()):
            yield from _in(handler.body)


def _over(body: Sequence[ast.stmt], limit: int, condition: str) -> Iterator[Guard]:
    if body:
        yield Guard(body[0].lineno, body[-1].end_lineno or body[-1].lineno, limit, condition)


def _compared(test: ast.expr) -> tuple[str, int] | None:
    """Return the operator and the constant of a comparison with a number, as if the constant were on the right;
    None if `test` is not one.
    """
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            found = _compared(operand)
            return None if found is None else (_NEGATED[found[0]], found[1])
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _SIGNS:
            sign = _SIGNS[type(op)]
            match left, right:
                case _, ast.Constant(value=int() as limit):
                    return sign, limit
                case ast.Constant(value=int() as limit), _:
                    return _TURNED[sign], limit
    return None
