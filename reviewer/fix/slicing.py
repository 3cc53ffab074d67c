"""Takes a statement out of a function together with what decides whether and how often it runs, and with what it reads:
the conditions, loops and early returns around it, and the names that those and the statement use.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator, Sequence

import libcst as cst
from msgspec import Struct, field

from reviewer.fix.refused import Refused
from reviewer.fix.source import DOWNGRADE, UPGRADE, Site, Source, Statement, alias, called, is_batch, literal

_MARKS = frozenset({"revision", "down_revision", "branch_labels", "depends_on"})
_ENDS = frozenset({UPGRADE, DOWNGRADE})
_READING = frozenset({"get_bind", "get_context", "f", "inline_literal"})
"""What a revision asks of `op` that changes nothing."""
_SENDING = frozenset({"execute", "exec_driver_sql", "scalar", "scalars"})
_CHANGING = re.compile(r"(create|drop|add|alter|rename|bulk|insert|delete|update|commit|rollback|autocommit)(_|\b)")


class Slice(Struct, frozen=True):
    """What a function of its own needs to run a statement as it runs where it stands."""

    body: tuple[Statement, ...]
    top: tuple[Statement, ...]
    """What it needs from the top of the file, besides imports."""


def taken(
    site: Site, instead: Sequence[Statement], around: Callable[[Sequence[Statement]], Statement] | None
) -> Slice:
    """`instead` of the statement of a site, with what surrounds it. `around` puts something around it that has to be
    outside of a batch; without it, `instead` does not belong into the batch that the site is in.

    Raises:
        Refused: it depends on something that cannot be taken along.
    """
    way = _Way(site, around)
    inner = list(instead) if site.batch is not None or around is None else [around(instead)]
    body = way.out(site.statement, inner)
    return Slice(tuple(body), (*_top([*way.helpers, *body], site.source), *way.helpers))


class _Way(Struct):
    """The way from a statement out to `upgrade()` or `downgrade()`."""

    site: Site
    around: Callable[[Sequence[Statement]], Statement] | None
    helpers: list[Statement] = field(default_factory=list)
    """What is left of helpers that somebody else is to call."""
    ends: set[str] = field(default_factory=set)
    """Where it has led to."""

    def out(self, child: cst.CSTNode, current: list[Statement]) -> list[Statement]:
        """`current` in the place of `child`, with what surrounds it up to the end of the function."""
        source = self.site.source
        parent, owner = list(source.above(child))[:2]
        if isinstance(parent, cst.If):  # `child` is its elif
            return self.out(parent, [cst.If(_unless(parent.test), cst.IndentedBlock(current))])
        current = [*_before(parent, child, current, source), *current]
        match owner:
            case cst.FunctionDef(name=cst.Name(value=name)) if owner in source.module.body and name in _ENDS:
                self.ends.add(name)
                if len(self.ends) > 1:
                    raise Refused(self.site.repeated)
                return current
            case cst.FunctionDef():
                return self._through(owner, current)
            case cst.If():
                return self.out(owner, [cst.If(owner.test, cst.IndentedBlock(current))])
            case cst.Else():
                branch = next(iter(source.above(owner)))
                if isinstance(branch, cst.If):
                    return self.out(branch, [cst.If(_unless(branch.test), cst.IndentedBlock(current))])
            case cst.For(orelse=None):
                return self.out(owner, [cst.For(owner.target, owner.iter, cst.IndentedBlock(current))])
            case cst.With() if owner is self.site.batch:
                if self.around is not None:
                    inside = owner.with_changes(body=owner.body.with_changes(body=current), leading_lines=())
                    current = [self.around([inside])]
                return self.out(owner, current)
        raise Refused(
            f"the call at line {self.site.line} is inside of something that a separate revision would not have"
        )

    def _through(self, function: cst.FunctionDef, current: list[Statement]) -> list[Statement]:
        """The same where a helper is called without arguments, or handed to a function that calls it."""
        source, name = self.site.source, function.name.value
        uses = source.uses(function)
        if not uses or function.params.params or function.params.kwonly_params:
            raise Refused(
                f"the call at line {self.site.line} is in the helper `{name}()`, which may run elsewhere too"
            )
        found: list[Statement] = []
        for use in uses:
            parent, *above = source.above(use)
            handed = isinstance(parent, cst.Arg)
            call = above.pop(0) if handed else parent
            alone = isinstance(above[0], cst.Expr) and len(getattr(above[1], "body", ())) == 1
            if not isinstance(call, cst.Call) or not alone or (handed and len(uses) > 1):
                raise Refused(f"the helper `{name}()` is called in a larger expression")
            if not handed:
                if call.func is not use or call.args:
                    raise Refused(f"the helper `{name}()` is called with arguments")
                found += self.out(above[1], current)
                continue
            if isinstance(function.body, cst.IndentedBlock):
                self.helpers.append(function.with_changes(body=function.body.with_changes(body=current)))
            args = [each for each in call.args if each is parent or not _names(each) & _acting(source)]
            args[-1] = args[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            found += self.out(above[1], [cst.SimpleStatementLine([cst.Expr(call.with_changes(args=args))])])
        return found


def _acting(source: Source) -> set[str]:
    """The functions of a file that may change something in the database."""
    functions = [each for each in source.module.body if isinstance(each, cst.FunctionDef)]
    found = {each.name.value for each in functions if _acts(each, source)}
    while True:
        more = {each.name.value for each in functions if _names(each) & found} | found
        if more == found:
            return found
        found = more


def _unless(test: cst.BaseExpression) -> cst.BaseExpression:
    match test:
        case cst.UnaryOperation(operator=cst.Not(), expression=inner):
            return inner
    simple = isinstance(test, cst.Name | cst.Call | cst.Attribute | cst.Subscript) or bool(test.lpar)
    return cst.UnaryOperation(
        cst.Not(), test if simple else test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    )


def _before(
    block: cst.CSTNode, child: cst.CSTNode, current: Sequence[Statement], source: Source
) -> list[Statement]:
    """What comes before `child` in its block and is needed: early ends, and what gives names their values."""
    body = list(getattr(block, "body", ()))
    wanted = {name for each in current for name in free(each)}
    found: list[Statement] = []
    for each in reversed(body[: body.index(child)]):
        ends = _ends_early(each)
        if ends is not None:
            if _acts(ends.test, source):
                raise Refused(_ACTS.format(line=source.lines_of(each)[0]))
            found.insert(0, ends)
            wanted |= free(ends.test)
            continue
        given = _given(each)
        if not given & wanted or isinstance(each, cst.Import | cst.ImportFrom):
            continue
        if _acts(each, source):
            raise Refused(_ACTS.format(line=source.lines_of(each)[0]))
        found.insert(0, each.with_changes(leading_lines=[]) if hasattr(each, "leading_lines") else each)
        wanted |= free(each)
    return found


_ACTS = "it depends on line {line}, which changes something itself"


def _ends_early(node: cst.CSTNode) -> cst.If | None:
    """`if …: return`, without what it does before it returns."""
    match node:
        case cst.If(
            body=cst.IndentedBlock(body=[*_, cst.SimpleStatementLine(body=[cst.Return() | cst.Continue() as end])])
        ):
            plain = cst.SimpleStatementLine([end.with_changes(value=None) if isinstance(end, cst.Return) else end])
            return cst.If(node.test, cst.IndentedBlock([plain]))
    return None


def _top(current: Sequence[Statement], source: Source) -> Iterator[Statement]:
    """What is defined at the top of the file and needed, in its order."""
    known = imported(source)
    given: dict[str, Statement] = {}
    for each in source.module.body:
        if isinstance(each, cst.FunctionDef) and each.name.value in _ENDS:
            continue
        given |= dict.fromkeys(_given(each) - _MARKS, each)
    wanted: list[Statement] = []
    todo = {name for each in current for name in free(each)}
    bound = {name for each in current for name in _given_anywhere(each)}
    seen: set[str] = set()
    while todo - seen:
        name = min(todo - seen)
        seen.add(name)
        if name in bound or name in known:
            continue
        statement = given.get(name)
        if statement is None:
            raise Refused(f"it uses `{name}`, which a separate revision would not have")
        if _acts(statement, source):
            raise Refused(f"it uses `{name}`, which changes something itself")
        if statement not in wanted:
            wanted.append(statement)
            todo |= free(statement)
    yield from (each for each in source.module.body if each in wanted)


def imported(source: Source) -> set[str]:
    """Names that every revision written like this one has: imports and what is built in."""
    found = set(dir(builtins))
    for statement in source.module.body:
        for each in statement.body if isinstance(statement, cst.SimpleStatementLine) else ():
            if isinstance(each, cst.Import | cst.ImportFrom) and not isinstance(each.names, cst.ImportStar):
                found |= {name.evaluated_alias or name.evaluated_name.split(".")[0] for name in each.names}
    return found | {name for name in (alias(source.module, "alembic.op"),) if name}


def free(node: cst.CSTNode) -> set[str]:
    """The names that a node uses and does not bind itself."""
    return _names(node) - _inner(node)


def _names(node: cst.CSTNode) -> set[str]:
    match node:
        case cst.Annotation():
            return set()
        case cst.Attribute(value=inner):
            return _names(inner)
        case cst.Arg(value=inner):
            return _names(inner)
        case cst.Name(value=name):
            return {name}
    return {name for child in node.children for name in _names(child)}


def _inner(node: cst.CSTNode) -> set[str]:
    """Names that are bound somewhere inside of a node, whose values come from it alone."""
    found: set[str] = set()
    match node:
        case cst.AssignTarget(target=target) | cst.CompFor(target=target) | cst.For(target=target):
            found |= _names(target) if not isinstance(target, cst.Attribute | cst.Subscript) else set()
        case cst.AnnAssign(target=cst.Name(value=name)):
            found.add(name)
        case cst.AsName(name=cst.Name(value=name)):
            found.add(name)
        case cst.Param(name=cst.Name(value=name)) | cst.FunctionDef(name=cst.Name(value=name)):
            found.add(name)
        case cst.ImportAlias():
            found.add(node.evaluated_alias or node.evaluated_name.split(".")[0])
    for child in node.children:
        found |= _inner(child)
    return found


def _given(node: cst.CSTNode) -> set[str]:
    """Names that a statement binds for what comes after it."""
    match node:
        case cst.FunctionDef(name=cst.Name(value=name)) | cst.ClassDef(name=cst.Name(value=name)):
            return {name}
        case cst.AugAssign(target=cst.Name(value=name)):
            return {name}
    return _given_anywhere(node)


def _given_anywhere(node: cst.CSTNode) -> set[str]:
    match node:
        case cst.FunctionDef(name=cst.Name(value=name)) | cst.ClassDef(name=cst.Name(value=name)):
            return {name}
        case cst.CompFor() | cst.Lambda():
            return set()
        case cst.AssignTarget() | cst.AnnAssign() | cst.AsName() | cst.ImportAlias():
            return _inner(node)
        case cst.For(target=target):
            return _names(target) | {name for child in node.children for name in _given_anywhere(child)}
    return {name for child in node.children for name in _given_anywhere(child)}


def _acts(node: cst.CSTNode, source: Source) -> bool:
    """Whether a node may change something in the database, as far as its text tells."""
    if isinstance(node, cst.With) and is_batch(node):
        return True
    if isinstance(node, cst.Call):
        name = called(node)
        operations = {alias(source.module, "alembic.op") or "op"}
        match node.func:
            case cst.Attribute(value=cst.Name(value=owner)) if owner in operations and name not in _READING:
                return True
        if name in _SENDING and not _reads(node):
            return True
        if isinstance(node.func, cst.Attribute) and name not in _READING and _CHANGING.match(name):
            return True
    return any(_acts(child, source) for child in node.children)


def _reads(call: cst.Call) -> bool:
    """Whether what is sent is a plain query."""
    if not call.args:
        return False
    first = literal(call.args[0].value)
    if isinstance(first, str):
        return bool(re.match(r"\s*select\b", first, re.IGNORECASE)) and ";" not in first.rstrip().rstrip(";")
    return isinstance(first, cst.Call) and _is_select(first)


def _is_select(node: cst.CSTNode) -> bool:
    match node:
        case cst.Call(func=cst.Name(value="select")) | cst.Call(func=cst.Attribute(attr=cst.Name(value="select"))):
            return True
        case cst.Call(func=cst.Attribute(value=inner)):
            return _is_select(inner)
    return False
