"""One Python file of the project, read for rewriting: where its calls are, and the same file with some of them
changed.

Everything that is not rewritten stays as it is: comments, quotes, line ends, indentation and encoding.
"""

from __future__ import annotations

import difflib
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar, cast

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, ParentNodeProvider, PositionProvider
from msgspec import Struct

from reviewer.fix.refused import Refused

Node = TypeVar("Node", bound=cst.CSTNode)
Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement

UPGRADE, DOWNGRADE = "upgrade", "downgrade"

_LOOPS = (cst.For, cst.While, cst.CompFor)
MARKER = "# ###"
"""How the comments begin with which autogenerate frames its commands."""


class Hunk(Struct, frozen=True):
    """Lines `first` to `last` (from 0, `last` not included) of a file become `lines`."""

    first: int
    last: int
    lines: tuple[str, ...]

    def collides(self, other: Hunk) -> bool:
        """Whether both rewrite the same place; the very same rewriting does not collide with itself."""
        if self == other:
            return False
        if self.first == self.last or other.first == other.last:
            return self.first <= other.last and other.first <= self.last
        return self.first < other.last and other.first < self.last


class Site(Struct, frozen=True):
    """A call that is a statement of its own in `upgrade()` or `downgrade()`, or in a helper of the same file."""

    source: Source
    call: cst.Call
    statement: cst.SimpleStatementLine
    batch: cst.With | None
    """The `with op.batch_alter_table(...)` that it is in."""
    conditional: bool
    """Whether it is in an `if`, a `try` or another `with`, or comes after an `if` that returns."""
    repeated: str = ""
    """Why it may run more than once, or elsewhere: in a loop, or in a helper."""

    @property
    def name(self) -> str:
        """The last part of the function's name: `create_index`."""
        return called(self.call)

    @property
    def whole(self) -> Statement:
        """The statement, or the batch where it is all that the batch does."""
        if self.batch is not None and [*self.batch.body.body] == [self.statement]:
            return self.batch
        return self.statement

    @property
    def line(self) -> int:
        """Its first line, from 1."""
        return self.source.lines_of(self.statement)[0]


class Source(Struct, frozen=True, dict=True):
    """One file."""

    path: str
    """Relative to the root of the project."""
    data: bytes

    @cached_property
    def encoding(self) -> str:
        """The encoding that the file declares."""
        try:
            return tokenize.detect_encoding(io.BytesIO(self.data).readline)[0]
        except SyntaxError as error:
            raise Refused(f"`{self.path}` cannot be read: {error}") from None

    @cached_property
    def text(self) -> str:
        """Its content, line ends as they are."""
        try:
            return self.data.decode(self.encoding)
        except (UnicodeDecodeError, LookupError) as error:
            raise Refused(f"`{self.path}` cannot be read: {error}") from None

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Its lines with their ends."""
        return tuple(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", self.text))

    @cached_property
    def _wrapper(self) -> MetadataWrapper:
        try:
            return MetadataWrapper(cst.parse_module(self.text), unsafe_skip_copy=True)
        except (cst.ParserSyntaxError, RecursionError) as error:
            raise Refused(f"`{self.path}` cannot be read: {str(error).splitlines()[0]}") from None

    @property
    def module(self) -> cst.Module:
        """The file as a tree."""
        return self._wrapper.module

    @cached_property
    def _positions(self) -> dict[cst.CSTNode, CodeRange]:
        return cast("dict[cst.CSTNode, CodeRange]", dict(self._wrapper.resolve(PositionProvider)))

    @cached_property
    def _parents(self) -> dict[cst.CSTNode, cst.CSTNode]:
        return cast("dict[cst.CSTNode, cst.CSTNode]", dict(self._wrapper.resolve(ParentNodeProvider)))

    @property
    def indent(self) -> str:
        """One level of indentation."""
        return self.module.default_indent

    def lines_of(self, node: cst.CSTNode) -> tuple[int, int]:
        """The first and the last line of a node, from 1."""
        found = self._positions[node]
        return found.start.line, found.end.line

    def above(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """What a node is in, from the inside out."""
        parent = self._parents.get(node)
        while parent is not None:
            yield parent
            parent = self._parents.get(parent)

    def nodes(self, kind: type[Node]) -> Iterator[Node]:
        """Every node of a kind, in the order of the text."""
        found = [node for node in self._positions if isinstance(node, kind)]
        yield from sorted(
            found, key=lambda node: (self._positions[node].start.line, self._positions[node].start.column)
        )

    def function(self, name: str) -> cst.FunctionDef | None:
        """The last function of that name at the top of the file."""
        found = [each for each in self.module.body if isinstance(each, cst.FunctionDef) and each.name.value == name]
        return found[-1] if found else None

    def call_at(
        self, line: int, functions: Sequence[str], fits: Callable[[cst.Call], bool] = lambda _: True
    ) -> Site:
        """The one call of one of `functions` that runs at `line` and that `fits`.

        Raises:
            Refused: there is none, there are several, or it is not in a place that can be rewritten.
        """
        here = [call for call in self.nodes(cst.Call) if called(call) in functions and self._runs_at(call, line)]
        found = [call for call in here if fits(call)] or here
        if not found:
            raise Refused(self._nothing_at(line, functions))
        if len(found) > 1:
            raise Refused(
                f"line {line} has several calls of `{called(found[0])}`, and it is unclear which one is meant"
            )
        return self.site(found[0])

    def calls_in(self, function: str, functions: Sequence[str]) -> Iterator[cst.Call]:
        """The calls of `functions` in `upgrade()` or `downgrade()`."""
        top = self.function(function)
        for call in self.nodes(cst.Call):
            if called(call) in functions and top is not None and top in self.above(call):
                yield call

    def site(self, call: cst.Call) -> Site:
        """Where a call is. Raises `Refused` where it cannot be rewritten."""
        line = self.lines_of(call)[0]
        above = list(self.above(call))
        expression = above[0] if above else None
        if not (isinstance(expression, cst.Expr) and isinstance(above[1], cst.SimpleStatementLine)):
            raise Refused(f"the call at line {line} is part of a larger expression")
        statement = above[1]
        if len(statement.body) > 1:
            raise Refused(f"line {line} has several statements")
        functions = [each for each in above if isinstance(each, cst.FunctionDef)]
        outermost = functions[-1] if functions else None
        if outermost is None or any(isinstance(each, cst.Lambda | cst.ClassDef) for each in above):
            raise Refused(f"the call at line {line} is not in a function at the top of the file")
        repeated = f"the call at line {line} runs in a loop" if self._in_loop(above) else ""
        if (
            not repeated
            and functions[0].name.value not in {UPGRADE, DOWNGRADE}
            and not self._runs_once(functions[0])
        ):
            repeated = f"the call at line {line} is in the helper `{functions[0].name.value}()`, which may run elsewhere too"
        inside = above[: above.index(outermost)]
        withs = [each for each in inside if isinstance(each, cst.With)]
        batch = next((each for each in withs if is_batch(each)), None)
        around = [
            each
            for each in inside
            if isinstance(each, cst.If | cst.Try | cst.Else | cst.With) and each is not batch
        ]
        conditional = bool(around) or self._after_return(statement, above)
        return Site(self, call, statement, batch, conditional, repeated)

    def uses(self, function: cst.FunctionDef) -> list[cst.Name]:
        """The places where the name of a helper is used."""
        name = function.name.value
        return [each for each in self.nodes(cst.Name) if each.value == name and each is not function.name]

    def _runs_once(self, function: cst.FunctionDef) -> bool:
        """Whether a helper runs once at most: its only use is a call, or an argument of one."""
        uses = self.uses(function)
        if len(uses) != 1:
            return False
        above = list(self.above(uses[0]))
        outer = next((each for each in above if isinstance(each, cst.FunctionDef)), None)
        if outer is None or outer is function or self._in_loop(above):
            return False
        return outer.name.value in {UPGRADE, DOWNGRADE} or self._runs_once(outer)

    def _in_loop(self, above: Sequence[cst.CSTNode]) -> bool:
        function = next((n for n, each in enumerate(above) if isinstance(each, cst.FunctionDef)), len(above))
        return any(isinstance(each, _LOOPS) for each in above[:function])

    def _after_return(self, statement: cst.CSTNode, above: Sequence[cst.CSTNode]) -> bool:
        child = statement
        for parent in above[above.index(statement) + 1 :]:
            if isinstance(parent, cst.IndentedBlock):
                for each in parent.body[: parent.body.index(child)]:
                    if isinstance(each, cst.If) and _returns(each):
                        return True
            child = parent
        return False

    def _runs_at(self, call: cst.Call, line: int) -> bool:
        first, last = self.lines_of(call)
        if first <= line <= last:
            return True
        # a batch runs what it has collected where it ends, and Python says that this is the line of its `with`
        batches = (each for each in self.above(call) if isinstance(each, cst.With) and is_batch(each))
        return any(self.lines_of(each)[0] == line for each in batches)

    def _nothing_at(self, line: int, functions: Sequence[str]) -> str:
        wanted = " or ".join(f"`{each}`" for each in functions)
        return f"line {line} does not call {wanted} itself"

    def hunks(self, text: str) -> tuple[Hunk, ...]:
        """What must be rewritten to make `text` of it."""
        new = tuple(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text))
        if len(new) == len(self.lines):  # lines that are alike do not confuse it
            return tuple(Hunk(n, n + 1, (line,)) for n, line in enumerate(new) if line != self.lines[n])
        matcher = difflib.SequenceMatcher(None, self.lines, new, autojunk=False)
        return tuple(Hunk(i1, i2, new[j1:j2]) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal")

    def with_hunks(self, hunks: Iterable[Hunk]) -> bytes:
        """Its content with `hunks` applied, which do not collide."""
        lines = list(self.lines)
        for hunk in sorted(set(hunks), key=lambda each: (each.first, each.last), reverse=True):
            lines[hunk.first : hunk.last] = hunk.lines
        try:
            return "".join(lines).encode(self.encoding)
        except UnicodeEncodeError as error:
            raise Refused(
                f"`{self.path}` is {self.encoding} text, which has no `{error.object[error.start]}`"
            ) from None


class Rewriting:
    """Changes to one file, collected and then made at once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._instead: dict[
            cst.CSTNode, Sequence[cst.CSTNode] | Callable[[cst.CSTNode], Sequence[cst.CSTNode]]
        ] = {}
        self._begun: dict[cst.CSTNode, list[Statement]] = {}
        self._imports: list[str] = []

    def replace(
        self, node: cst.CSTNode, instead: Sequence[cst.CSTNode] | Callable[[cst.CSTNode], Sequence[cst.CSTNode]]
    ) -> None:
        """Have `instead` in the place of `node`; a function gets the node as the other changes have left it."""
        self._instead[node] = instead

    def remove(self, site: Site) -> None:
        """Take the statement of a site away, and what would be left empty: a batch, a loop, an `if`."""
        node: cst.CSTNode = site.whole
        while True:
            block, owner = list(self.source.above(node))[:2]
            single = isinstance(block, cst.IndentedBlock) and len(block.body) == 1
            if not single or not isinstance(owner, cst.If | cst.For) or owner.orelse is not None:
                break
            if isinstance(next(iter(self.source.above(owner))), cst.If):  # an `elif`
                break
            node = owner
        self.replace(node, ())

    def begin(self, site: Site, added: Sequence[Statement]) -> None:
        """Have `added` before everything else in the function that a site is in."""
        function = next(each for each in self.source.above(site.call) if isinstance(each, cst.FunctionDef))
        place = next(each for each in function.body.body if not is_docstring(each))
        if place not in self._begun:
            self._begun[place] = []
        self._begun[place] += [each for each in added if not any(each.deep_equals(x) for x in self._begun[place])]

    def needs(self, module: str, usual: str) -> str:
        """The name under which the file knows `module`; it is imported as `usual` where it does not."""
        known = alias(self.source.module, module)
        if known is None:
            self._imports.append(f"import {module} as {usual}" if usual != module else f"import {module}")
        return known or usual

    def needs_from(self, package: str, name: str) -> str:
        """The same for `from package import name`."""
        known = alias(self.source.module, f"{package}.{name}")
        if known is None:
            self._imports.append(f"from {package} import {name}")
        return known or name

    def text(self) -> str:
        """The whole file with the changes made."""
        instead = dict(self._instead)
        for place, added in self._begun.items():
            instead[place] = _beginning(added, instead.get(place))
        module = self.source.module.visit(_Replacer(instead))
        for line in self._imports:
            module = _with_import(module, line)
        return module.code

    def hunks(self) -> tuple[Hunk, ...]:
        """The changes as lines."""
        return self.source.hunks(self.text())


def _beginning(
    added: Sequence[Statement], then: Sequence[cst.CSTNode] | Callable[[cst.CSTNode], Sequence[cst.CSTNode]] | None
) -> Callable[[cst.CSTNode], Sequence[cst.CSTNode]]:
    """What has `added` before a statement, or before what takes its place."""

    def placed(updated: cst.CSTNode) -> Sequence[cst.CSTNode]:
        rest = [updated] if then is None else then(updated) if callable(then) else then
        return [*added, *rest]

    return placed


class _Replacer(cst.CSTTransformer):
    def __init__(
        self, instead: dict[cst.CSTNode, Sequence[cst.CSTNode] | Callable[[cst.CSTNode], Sequence[cst.CSTNode]]]
    ) -> None:
        super().__init__()
        self._instead = instead

    def on_leave(self, original_node: cst.CSTNode, updated_node: cst.CSTNode) -> cst.CSTNode:  # type: ignore[override]
        found = super().on_leave(original_node, updated_node)
        if original_node in self._instead:
            instead = self._instead[original_node]
            nodes = instead(updated_node) if callable(instead) else instead
            if len(nodes) == 1:
                return nodes[0]
            if not nodes:
                return cast("cst.CSTNode", cst.RemoveFromParent())
            return cast("cst.CSTNode", cst.FlattenSentinel(nodes))
        return cast("cst.CSTNode", found)

    def leave_IndentedBlock(  # noqa: N802 (libcst's name)
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        """A block that has lost statements keeps autogenerate's comments, and is never empty."""
        gone = [each for each in original_node.body if self._instead.get(each) == ()]
        if not gone:
            return updated_node
        lines = [
            line
            for each in gone
            for line in getattr(each, "leading_lines", ())
            if line.comment is not None and line.comment.value.startswith(MARKER)
        ]
        body = list(updated_node.body)
        real = [each for each in body if not is_docstring(each)]
        if not real:
            body.append(cst.SimpleStatementLine([cst.Pass()], leading_lines=lines))
        elif lines and isinstance(real[0], cst.SimpleStatementLine | cst.With | cst.If):
            kept = real[0].with_changes(leading_lines=[*lines, *real[0].leading_lines])
            body[body.index(real[0])] = kept
        return updated_node.with_changes(body=body)


def _returns(node: cst.If) -> bool:
    match node.body:
        case cst.IndentedBlock(body=[*_, cst.SimpleStatementLine(body=[cst.Return()])]):
            return True
    return False


def is_docstring(node: cst.CSTNode) -> bool:
    """Whether a statement is nothing but a text."""
    match node:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString())]):
            return True
    return False


def called(call: cst.Call) -> str:
    """The last part of the name of the function that is called."""
    match call.func:
        case cst.Attribute(attr=cst.Name(value=name)) | cst.Name(value=name):
            return name
    return ""


def is_batch(node: cst.With) -> bool:
    """Whether it is `with op.batch_alter_table(...)`."""
    return any(isinstance(each.item, cst.Call) and called(each.item) == "batch_alter_table" for each in node.items)


def literal(node: cst.BaseExpression | None) -> object:
    """The value of a literal, also inside `op.f(...)`; the node itself where it is none."""
    match node:
        case cst.SimpleString() | cst.ConcatenatedString():
            return node.evaluated_value
        case cst.Name(value="None"):
            return None
        case cst.Name(value="True" | "False" as word):
            return word == "True"
        case cst.Call(args=[cst.Arg(value=inner)]) if called(node) in {"f", "text", "quoted_name"}:
            return literal(inner)
        case cst.List(elements=elements) | cst.Tuple(elements=elements):
            return [literal(each.value) for each in elements]
    return node


def argument(call: cst.Call, position: int | None, *keywords: str) -> cst.Arg | None:
    """The argument of a call at a position, or with one of the keywords."""
    plain = [each for each in call.args if each.keyword is None and not each.star]
    if position is not None and position < len(plain):
        return plain[position]
    named = {each.keyword.value: each for each in call.args if each.keyword is not None}
    return next((named[name] for name in keywords if name in named), None)


def value(call: cst.Call, position: int | None, *keywords: str) -> object:
    """Return the same as a literal; None if it is not given."""
    found = argument(call, position, *keywords)
    return literal(found.value) if found is not None else None


def alias(module: cst.Module, wanted: str) -> str | None:
    """The name under which a file knows a module, or a name of one: `sa` for `sqlalchemy`."""
    package, _, last = wanted.rpartition(".")
    for statement in module.body:
        for each in statement.body if isinstance(statement, cst.SimpleStatementLine) else ():
            if isinstance(each, cst.Import):
                for name in each.names:
                    if dotted(name.name) == wanted:
                        return name.evaluated_alias or wanted
            if (
                not isinstance(each, cst.ImportFrom)
                or isinstance(each.names, cst.ImportStar)
                or each.module is None
            ):
                continue
            for name in each.names if dotted(each.module) == package else ():
                if name.evaluated_name == last:
                    return name.evaluated_alias or last
    return None


def dotted(node: cst.CSTNode) -> str:
    """A name with dots, as text."""
    match node:
        case cst.Name(value=name):
            return name
        case cst.Attribute(value=left, attr=right):
            return f"{dotted(left)}.{right.value}"
    return ""


def _with_import(module: cst.Module, line: str) -> cst.Module:
    """The module with an import after the last one at its top."""
    if any(module.code_for_node(each).strip() == line for each in module.body):
        return module
    place = max(
        (
            n
            for n, each in enumerate(module.body)
            if isinstance(each, cst.SimpleStatementLine)
            and any(isinstance(part, cst.Import | cst.ImportFrom) for part in each.body)
        ),
        default=0 if module.body and is_docstring(module.body[0]) else -1,
    )
    statement = cst.parse_statement(line, config=module.config_for_parsing)
    body = list(module.body)
    body.insert(place + 1, statement)
    return module.with_changes(body=body)
