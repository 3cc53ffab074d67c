"""Files of new revisions: their ids and names, and the chain that they are put into."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import libcst as cst
from msgspec import Struct

from reviewer.fix.code import parsed
from reviewer.fix.fix import NewRevision
from reviewer.fix.refused import Refused
from reviewer.fix.source import DOWNGRADE, UPGRADE, Hunk, Rewriting, Source, Statement, alias, dotted
from reviewer.project.graph import Graph
from reviewer.project.naming import Naming

_MARKS = ("revision", "down_revision", "branch_labels", "depends_on")


class Placed(Struct, frozen=True):
    """A revision that has its id and its file."""

    id: str
    after: str
    """The revision that asked for it."""
    path: str
    data: bytes


def identifier(revision: NewRevision, taken: frozenset[str]) -> str:
    """An id that nobody has: the same for the same revision."""
    for n in range(1000):
        words = f"{n}\0{revision.after}\0{revision.message}\0{revision.upgrade}"
        found = hashlib.sha256(words.encode()).hexdigest()[:12]
        if found not in taken:
            return found
    raise AssertionError("a thousand ids are taken")


def chained(
    revisions: Sequence[NewRevision],
    graph: Graph,
    new: frozenset[str],
    sources: Mapping[str, Source],
    naming: Naming,
    now: datetime,
) -> tuple[list[Placed], dict[str, tuple[Hunk, ...]]]:
    """The files of `revisions`, and what changes in those that follow. `new` are the ids that are under review.

    Raises:
        Refused: what follows cannot be rewritten, or is deployed already.
    """
    placed: list[Placed] = []
    hunks: dict[str, tuple[Hunk, ...]] = {}
    taken = frozenset(graph.revisions)
    paths = {each.path for each in graph.revisions.values()} | set(sources)
    for parent in dict.fromkeys(each.after for each in revisions):
        last = parent
        source = sources[graph.revisions[parent].path]
        for each in (one for one in revisions if one.after == parent):
            found = identifier(each, taken)
            taken |= {found}
            folder, _, _ = source.path.rpartition("/")
            name = naming.file_name(found, each.message, now)
            path = f"{folder}/{name}" if folder else name
            if path in paths:
                raise Refused(f"the file `{path}` already exists")
            paths.add(path)
            placed.append(Placed(found, parent, path, _written(each, found, last, source, now)))
            last = found
        for child in graph.revisions.values():
            if parent not in child.down_revisions:
                continue
            if child.id not in new:
                raise Refused(
                    f"revision {child.id} follows on {parent} and is deployed already, so none comes between them"
                )
            hunks[child.path] = _follows(sources[child.path], parent, last)
    return placed, hunks


def _follows(source: Source, before: str, now: str) -> tuple[Hunk, ...]:
    """The file whose `down_revision` names `now` instead of `before`."""
    rewriting = Rewriting(source)
    found = False
    for statement in source.module.body:
        if not isinstance(statement, cst.SimpleStatementLine):
            continue
        for each in statement.body:
            target = _assigned(each)
            if target != "down_revision" or not isinstance(each, cst.Assign | cst.AnnAssign) or each.value is None:
                continue
            for node in _strings(each.value):
                if node.evaluated_value == before:
                    rewriting.replace(node, [node.with_changes(value=node.value.replace(before, now))])
                    found = True
            if not found:
                raise Refused(
                    f"`down_revision` of `{source.path}` is computed, so no revision can be put before it"
                )
    docstring = next((node for node in source.module.body[:1]), None)
    if docstring is not None:
        for node in _strings(docstring):
            changed = re.sub(
                rf"(?m)^(Revises:[ \t].*?)\b{re.escape(before)}\b", lambda m: m.group(1) + now, node.value
            )
            if changed != node.value and node not in rewriting._instead:
                rewriting.replace(node, [node.with_changes(value=changed)])
    return rewriting.hunks()


def _assigned(node: cst.CSTNode) -> str:
    match node:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]):
            return name
        case cst.AnnAssign(target=cst.Name(value=name)):
            return name
    return ""


def _strings(node: cst.CSTNode) -> list[cst.SimpleString]:
    found = [node] if isinstance(node, cst.SimpleString) else []
    return [*found, *(each for child in node.children for each in _strings(child))]


def _written(revision: NewRevision, id_: str, down: str, source: Source, now: datetime) -> bytes:
    """The file, in the manner of `source`: its docstring, imports, annotations and order."""
    module = source.module
    quote = _quote(module)
    body: list[cst.CSTNode] = []
    for statement in module.body:
        kept = _kept(statement, revision, id_, down, source, now, quote)
        if kept is not None:
            body.append(kept)
    names = [each.name.value for each in body if isinstance(each, cst.FunctionDef)]
    for name in (UPGRADE, DOWNGRADE):
        if name not in names:
            (function,) = parsed(f"\n\ndef {name}():\n    pass", source)
            body.append(_filled(function, revision, source))  # type: ignore[arg-type]
    if revision.top:
        place = next(n for n, each in enumerate(body) if isinstance(each, cst.FunctionDef))
        first, *rest = parsed(revision.top, source)
        apart = [cst.EmptyLine(indent=False)] * (2 if isinstance(first, cst.FunctionDef | cst.ClassDef) else 1)
        body[place:place] = [first.with_changes(leading_lines=[*apart, *_unspaced(first)]), *rest]
    made = module.with_changes(body=body, footer=())
    return _without_unused(made).code.encode(source.encoding)


def _unspaced(statement: Statement) -> list[cst.EmptyLine]:
    """The lines above a statement without the empty ones at their start."""
    lines = list(statement.leading_lines)
    while lines and lines[0].comment is None:
        del lines[0]
    return lines


def _quote(module: cst.Module) -> str:
    for statement in module.body:
        if isinstance(statement, cst.SimpleStatementLine) and _assigned(statement.body[0]) == "revision":
            for node in _strings(statement):
                return node.quote
    return '"'


def _kept(
    statement: cst.CSTNode, revision: NewRevision, id_: str, down: str, source: Source, now: datetime, quote: str
) -> cst.CSTNode | None:
    match statement:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.SimpleString() as docstring) as expression]):
            if statement is not source.module.body[0]:
                return None
            text = _docstring(docstring, revision.message, id_, down, now)
            return statement.with_changes(body=[expression.with_changes(value=docstring.with_changes(value=text))])
        case cst.SimpleStatementLine(body=[cst.Import() | cst.ImportFrom()]):
            return statement
        case cst.SimpleStatementLine(body=[cst.Assign() | cst.AnnAssign() as each]) if _assigned(each) in _MARKS:
            written = {"revision": f"{quote}{id_}{quote}", "down_revision": f"{quote}{down}{quote}"}
            value = cst.parse_expression(written.get(_assigned(each), "None"))
            return statement.with_changes(body=[each.with_changes(value=value)])
        case cst.FunctionDef(name=cst.Name(value="upgrade" | "downgrade")):
            return _filled(statement, revision, source)
    return None


def _docstring(node: cst.SimpleString, message: str, id_: str, down: str, now: datetime) -> str:
    """The docstring with another first line and other marks."""
    quote, inside = node.quote, node.value[len(node.prefix) + len(node.quote) : -len(node.quote)]
    newline = "\r\n" if "\r\n" in inside else "\n"
    lines = inside.split(newline)
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    marks = {"Revision ID:": id_, "Revises:": down, "Create Date:": str(now)}
    rest = [
        next((f"{mark} {value}" for mark, value in marks.items() if line.startswith(mark)), None)
        for line in lines[first + 1 :]
    ]
    if len(quote) == 3 and any(rest):
        start = next(n for n, line in enumerate(rest) if line is not None)
        end = max(n for n, line in enumerate(rest) if line is not None)
        told = [line for line in rest[start : end + 1] if line is not None]
        after = [""] if lines[-1] == "" and end + 2 < len(lines) - 1 else []
        text = newline.join(
            [*lines[:first], message, "", *told, *after, lines[-1] if not lines[-1].strip() else ""]
        )
    else:
        text = newline.join([*lines[:first], message]) + ("" if first + 1 >= len(lines) else newline)
    return f"{node.prefix.replace('r', '').replace('R', '')}{quote}{text}{quote}"


def _filled(function: cst.FunctionDef, revision: NewRevision, source: Source) -> cst.FunctionDef:
    up = function.name.value == UPGRADE
    statements = parsed((revision.upgrade if up else revision.downgrade) or "pass", source)
    docstring = [
        each
        for each in function.body.body[:1]
        if isinstance(each, cst.SimpleStatementLine)
        and isinstance(each.body[0], cst.Expr)
        and isinstance(each.body[0].value, cst.SimpleString)
    ]
    body = function.body
    if not isinstance(body, cst.IndentedBlock):
        body = cst.IndentedBlock([])
    return function.with_changes(body=body.with_changes(body=[*docstring, *statements], footer=()))


def _without_unused(module: cst.Module) -> cst.Module:
    """Without imports of names that nothing uses."""
    code = [module.code_for_node(each) for each in module.body if not _is_import(each)]
    text = "\n".join(code)
    body: list[cst.CSTNode] = []
    apart = False
    """Whether an empty line went with an import."""
    for statement in module.body:
        if not _is_import(statement):
            body.append(statement)
            continue
        assert isinstance(statement, cst.SimpleStatementLine)
        kept = _with_used(statement, text)
        apart = apart or bool(statement.leading_lines)
        if kept is not None:
            lines = kept.leading_lines or ([cst.EmptyLine(indent=False)] if apart else ())
            body.append(kept.with_changes(leading_lines=lines))
            apart = False
    if re.search(r"\bsa\.", text) and alias(module, "sqlalchemy") is None:
        last = max((n for n, each in enumerate(body) if _is_import(each)), default=-1)
        body.insert(last + 1, cst.parse_statement("import sqlalchemy as sa\n", config=module.config_for_parsing))
    found = module.with_changes(body=body)
    if alias(found, "alembic.op") is None:
        place = (
            1
            if body and isinstance(body[0], cst.SimpleStatementLine) and isinstance(body[0].body[0], cst.Expr)
            else 0
        )
        body.insert(place, cst.parse_statement("from alembic import op\n", config=module.config_for_parsing))
        found = module.with_changes(body=body)
    return found


def _with_used(statement: cst.SimpleStatementLine, text: str) -> cst.SimpleStatementLine | None:
    """An import with those names only that `text` uses."""
    each = statement.body[0]
    assert isinstance(each, cst.Import | cst.ImportFrom)
    if isinstance(each, cst.ImportFrom) and each.module is not None and dotted(each.module) == "__future__":
        return statement
    if isinstance(each.names, cst.ImportStar):
        return None
    used = [name for name in each.names if re.search(rf"\b{re.escape(_bound(name))}\b", text)]
    if not used:
        return None
    used[-1] = used[-1].with_changes(comma=each.names[-1].comma)
    return statement.with_changes(body=[each.with_changes(names=used)])


def _bound(name: cst.ImportAlias) -> str:
    return name.evaluated_alias or name.evaluated_name.split(".")[0]


def _is_import(node: cst.CSTNode) -> bool:
    match node:
        case cst.SimpleStatementLine(body=[cst.Import() | cst.ImportFrom()]):
            return True
    return False
