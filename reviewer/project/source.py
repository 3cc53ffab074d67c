"""Reads one revision file from its source text. Nothing is imported, so none of the project's code runs."""

from __future__ import annotations

import ast
import hashlib
import platform
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import pairwise

from msgspec import Struct

from reviewer import recording
from reviewer.host.files import Stamp
from reviewer.host.paths import shown
from reviewer.project import declarations
from reviewer.project.environment_branches import environment_branches
from reviewer.project.fixed_conditions import fixed_conditions
from reviewer.project.guards import conditional_drops, guards
from reviewer.project.labels import labelled

_LEGACY_ID = re.compile(r"([a-f0-9]+)\.py$")
"""Alembic takes the id from such a file name if the file does not set `revision`."""


_NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What parsing raises."""


class ProblemKind(Enum):
    """What is wrong with a revision file or with the graph."""

    UNREADABLE = "unreadable"
    SYNTAX = "syntax"
    NO_REVISION = "no-revision"
    COMPUTED = "computed"
    """A variable such as `down_revision` is computed, so it is not known without running the file."""
    LABELS = "labels"
    """The same of `branch_labels`, which nothing needs but symbols that name them."""
    DUPLICATE = "duplicate"
    MISSING_PARENT = "missing-parent"
    MISSING_DEPENDENCY = "missing-dependency"
    CYCLE = "cycle"


class Problem(Struct, frozen=True):
    """A reason why the history cannot be understood."""

    kind: ProblemKind
    message: str
    """One sentence that names file and revision."""
    path: str
    line: int = 1
    fatal: bool = True
    """Whether Alembic rejects the history too; if not, only reading it from source fails."""


class Import(Struct, frozen=True):
    """A module that a file imports, wherever in the file. A relative one has its leading dots."""

    module: str
    line: int


class Outline(Struct, frozen=True):
    """What is where in a revision file."""

    message: str = ""
    """First line of the docstring."""
    line: int = 1
    """Line of the assignment to `down_revision`, for findings about the revision's place in the history."""
    id_line: int | None = None
    """Line of the assignment to `revision`."""
    upgrade_line: int | None = None
    downgrade_line: int | None = None
    downgrade_is_empty: bool = False


@dataclass(frozen=True)  # and no `Struct`, which compares all its fields
class SourceRevision:
    """A revision as declared in its file."""

    id: str
    down_revisions: tuple[str, ...]
    path: str
    """Relative to the git root, or to the project if there is no git."""
    depends_on: tuple[str, ...] = ()
    """As written: ids or branch labels."""
    branch_labels: tuple[str, ...] = ()
    source_problem: Problem | None = None
    """Set if variables are not literals; their fields are then empty."""
    text: bytes = field(default=b"", repr=False, compare=False)
    stamp: Stamp | None = field(default=None, compare=False)
    """What the file looked like when it was read; None if it was read from a commit."""

    @cached_property
    def outline(self) -> Outline:
        """What is where in the file; nothing if it cannot be parsed."""
        try:
            return _Reader(_parsed(self.text), self.path).outline()
        except _NOT_PYTHON:
            return Outline()

    @cached_property
    def digest(self) -> str:
        """A hash of what the file does. Comments, docstrings and formatting do not change it."""
        tree = _without_docstrings(_parsed(self.text))
        return hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every module that the file imports, in the order of its lines."""
        return tuple(sorted(_imports(_parsed(self.text)), key=lambda each: (each.line, each.module)))

    @cached_property
    def only_defines(self) -> bool:
        """Whether the file, when it is loaded, does nothing but define what it holds."""
        return all(_only_defines(each) for each in _parsed(self.text).body)

    def recorded(self, depends_on: tuple[str, ...]) -> recording.Revision:
        """Return the form that a recording stores. `depends_on` has its labels resolved to ids."""
        module = _parsed(self.text)
        return recording.Revision(
            id=self.id,
            down_revisions=self.down_revisions,
            path=shown(self.path),
            depends_on=depends_on,
            branch_labels=self.branch_labels,
            message=self.outline.message,
            line=self.outline.id_line,
            upgrade_line=self.outline.upgrade_line,
            downgrade_line=self.outline.downgrade_line,
            downgrade_is_empty=self.outline.downgrade_is_empty,
            guards=guards(module),
            labelled=labelled(module),
            conditional_drops=conditional_drops(module),
            fixed_conditions=fixed_conditions(module),
            environment_branches=environment_branches(module),
        )


def read_declarations(text: bytes, path: str, stamp: Stamp | None = None) -> SourceRevision | Problem:
    """Return the same as `read_source`, in a twentieth of its time where the file says plainly what it declares. Whether the
    rest of such a file can be parsed does not show.
    """
    told = declarations.plain(text)
    if told is None:
        return read_source(text, path, stamp)
    return SourceRevision(
        id=told["revision"][0],
        down_revisions=told.get("down_revision", ()),
        path=path,
        depends_on=told.get("depends_on", ()),
        branch_labels=told.get("branch_labels", ()),
        text=text,
        stamp=stamp,
    )


def read_source(text: bytes, path: str, stamp: Stamp | None = None) -> SourceRevision | Problem:
    """Return the revision that the file `path` with the content `text` declares, or the problem if it declares
    none. `stamp` is what the file looked like.
    """
    try:
        module = _parsed(text)
    except SyntaxError as error:
        what = error.msg or "the syntax is wrong"
        return Problem(
            ProblemKind.SYNTAX,
            f"{path}:{error.lineno or 1} cannot be read as Python {platform.python_version()}: {what}.",
            path,
            error.lineno or 1,
        )
    except _NOT_PYTHON as error:
        return Problem(ProblemKind.UNREADABLE, f"{path} cannot be read as Python: {error}.", path)
    return _Reader(module, path).revision(text, stamp)


def raises_always(text: bytes, line: int) -> bool:
    """Return whether `line` is a `raise` that its function reaches on every path: not under a condition, in a loop
    or in a handler.
    """
    try:
        module = _parsed(text)
    except _NOT_PYTHON:
        return False
    return any(
        isinstance(statement, ast.Raise) and statement.lineno <= line <= (statement.end_lineno or 0)
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in _unless_left_before(function.body)
    )


def _unless_left_before(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a function's body that it reaches unless it fails: none after one that may return."""
    for statement in body:
        yield statement
        if any(isinstance(node, ast.Return) for node in ast.walk(statement)):
            return


def wanted_extensions(revisions: Iterable[SourceRevision]) -> frozenset[str]:
    """Return the names of the extensions that a CREATE EXTENSION in these files creates."""
    found: set[str] = set()
    for revision in revisions:
        if b"extension" in revision.text.lower():
            found |= _extensions(_parsed(revision.text))
    return frozenset(found)


class _Computed(Exception):
    """A value is not known from the text."""


class _Reader:
    def __init__(self, module: ast.Module, path: str) -> None:
        self.module = module
        self.path = path
        self.values: dict[str, ast.expr] = {}
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self.names: set[str] = set()
        self.conditional: set[str] = set()
        self._collect(module.body, certain=True)

    def revision(self, text: bytes, stamp: Stamp | None) -> SourceRevision | Problem:
        found = self._id()
        if isinstance(found, Problem):
            return found
        problem = None
        marks: dict[str, tuple[str, ...]] = {}
        for mark in ("down_revision", "depends_on", "branch_labels"):
            strings = self._strings(mark)
            if strings is None:
                problem = problem or self._computed(mark)
                strings = self._written(mark) if mark == "branch_labels" else ()
            marks[mark] = strings
        revision = SourceRevision(
            id=found,
            down_revisions=marks["down_revision"],
            path=self.path,
            depends_on=marks["depends_on"],
            branch_labels=marks["branch_labels"],
            source_problem=problem,
            text=text,
            stamp=stamp,
        )
        vars(revision)["outline"] = self.outline()  # not parsed again
        return revision

    def outline(self) -> Outline:
        upgrade, downgrade = self.functions.get("upgrade"), self.functions.get("downgrade")
        place = self.values.get("down_revision") or self.values.get("revision")
        return Outline(
            message=_first_line(ast.get_docstring(self.module)),
            line=place.lineno if place else 1,
            id_line=self.values["revision"].lineno if "revision" in self.values else None,
            upgrade_line=upgrade.lineno if upgrade else None,
            downgrade_line=downgrade.lineno if downgrade else None,
            downgrade_is_empty=_is_empty(downgrade) if downgrade else "downgrade" not in self.names,
        )

    def _id(self) -> str | Problem:
        if "revision" not in self.names:
            if legacy := _LEGACY_ID.match(self.path.rsplit("/", 1)[-1]):
                return legacy.group(1)
            return Problem(
                ProblemKind.NO_REVISION, f"{self.path} sets no `revision`, so Alembic cannot load it.", self.path
            )
        strings = self._strings("revision")
        return strings[0] if strings and len(strings) == 1 else self._computed("revision")

    def _written(self, mark: str) -> tuple[str, ...]:
        """Return a computed value as written in the source, which is enough to distinguish labels."""
        node = self.values.get(mark)
        return (ast.unparse(node),) if node else (f"{mark} of {self.path}",)

    def _computed(self, mark: str) -> Problem:
        node = self.values.get(mark)
        line = node.lineno if node else 1
        labels = mark == "branch_labels"
        lacks = "--revisions knows no such label" if labels else "the history cannot be read from the source alone"
        return Problem(
            ProblemKind.LABELS if labels else ProblemKind.COMPUTED,
            f"`{mark}` in {self.path}:{line} is computed, so {lacks}.",
            self.path,
            line,
            fatal=False,
        )

    def _collect(self, body: Sequence[ast.stmt], *, certain: bool) -> None:
        for node in body:
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assigned(target, value, certain)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assigned(target, value, certain)
                case ast.AugAssign(target=ast.Name(id=name)):
                    self.conditional.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    self.functions[name] = node
                    self.names.add(name)
                case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                    self.names.update(alias.asname or alias.name for alias in aliases)
                    self.conditional.update(alias.asname or alias.name for alias in aliases)
                case ast.If() | ast.Try() | ast.With() | ast.For() | ast.While():
                    for part in _bodies(node):
                        self._collect(part, certain=False)
                case _:
                    pass

    def _assigned(self, target: ast.expr, value: ast.expr, certain: bool) -> None:
        match target:
            case ast.Name(id=name):
                self.names.add(name)
                self.values[name] = value
                (self.conditional.discard if certain else self.conditional.add)(name)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
                for position, each in enumerate(targets):
                    known = len(values) == len(targets)
                    self._assigned(each, values[position] if known else value, certain and known)
            case _:
                pass

    def _strings(self, name: str) -> tuple[str, ...] | None:
        if name not in self.names:
            return ()
        try:
            return self._value_of(name, frozenset())
        except _Computed:
            return None

    def _value_of(self, name: str, seen: frozenset[str]) -> tuple[str, ...]:
        if name in self.conditional or name in seen or name not in self.values:
            raise _Computed
        return self._evaluated(self.values[name], seen | {name})

    def _evaluated(self, node: ast.expr, seen: frozenset[str]) -> tuple[str, ...]:
        match node:
            case ast.Constant(value=None):
                return ()
            case ast.Constant(value=str() as text):
                return (text,)
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return tuple(text for part in parts for text in self._evaluated(part, seen))
            case ast.Name(id=name):
                return self._value_of(name, seen)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                if any(isinstance(side, ast.Tuple | ast.List) for side in (left, right)):
                    return self._evaluated(left, seen) + self._evaluated(right, seen)
                return (self._text(left, seen) + self._text(right, seen),)
            case ast.JoinedStr():
                return (self._text(node, seen),)
            case ast.Call(func=ast.Name(id="tuple" | "list" | "frozenset" | "set"), args=[], keywords=[]):
                return ()
            case _:
                raise _Computed

    def _text(self, node: ast.expr, seen: frozenset[str]) -> str:
        if isinstance(node, ast.JoinedStr):
            return "".join(self._text(part, seen) for part in node.values)
        if isinstance(node, ast.FormattedValue) and node.conversion == -1 and node.format_spec is None:
            return self._text(node.value, seen)
        values = self._evaluated(node, seen)
        if len(values) != 1:
            raise _Computed
        return values[0]


def _parsed(text: bytes) -> ast.Module:
    with warnings.catch_warnings():
        # A warning about an invalid escape in a migration must not look like one from the reviewer.
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _bodies(node: ast.stmt) -> Iterator[Sequence[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, ())
    for handler in getattr(node, "handlers", ()):
        yield handler.body


def _first_line(docstring: str | None) -> str:
    lines = (docstring or "").strip().splitlines()
    return lines[0].strip() if lines else ""


def _is_empty(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return all(_does_nothing(statement) for statement in function.body)


_ALWAYS_LOADED = frozenset(
    [
        "__future__",
        "alembic",
        "collections",
        "datetime",
        "decimal",
        "enum",
        "functools",
        "itertools",
        "json",
        "logging",
        "operator",
        "os",
        "re",
        "sqlalchemy",
        "sys",
        "textwrap",
        "time",
        "typing",
        "uuid",
    ]
)
"""Packages that Alembic and SQLAlchemy load too, or that do nothing when they are loaded."""


def _only_defines(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Import(names=aliases):
            return all(alias.name.partition(".")[0] in _ALWAYS_LOADED for alias in aliases)
        case ast.ImportFrom(module=str(name), level=0):
            return name.partition(".")[0] in _ALWAYS_LOADED
        case ast.Assign(targets=targets, value=value):
            return all(isinstance(each, ast.Name) for each in targets) and _is_plain(value)
        case ast.AnnAssign(target=ast.Name(), annotation=annotation, value=value):
            return _is_plain(annotation) and (value is None or _is_plain(value))
        case ast.FunctionDef(decorator_list=[], args=arguments, returns=returns):
            annotations = (each.annotation for each in ast.walk(arguments) if isinstance(each, ast.arg))
            evaluated = (*arguments.defaults, *arguments.kw_defaults, *annotations, returns)
            return all(each is None or _is_plain(each) for each in evaluated)
        case _:
            return False


def _is_plain(value: ast.expr) -> bool:
    """Return whether to evaluate `value` calls nothing that could have an effect."""
    return all(isinstance(node, _PLAIN) for node in ast.walk(value))


_PLAIN = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Set, ast.Dict),
    *(ast.BinOp, ast.UnaryOp, ast.expr_context, ast.operator, ast.unaryop),
)


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Return(value=None | ast.Constant(value=None)):
            return True
        case _:
            return False


def _imports(module: ast.Module) -> Iterator[Import]:
    for node in ast.walk(module):
        match node:
            case ast.Import(names=aliases):
                yield from (Import(alias.name, node.lineno) for alias in aliases)
            case ast.ImportFrom(module=name, level=level):
                yield Import("." * level + (name or ""), node.lineno)
            case _:
                pass


def _without_docstrings(module: ast.Module) -> ast.Module:
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                    # An empty body is not valid syntax, so it becomes `pass`.
                    node.body = rest or [ast.Pass()]
                case _:
                    pass
    return module


_CREATE = re.compile(
    r'\bCREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:"([^"]+)"|([A-Za-z_][\w$]*))?', re.IGNORECASE
)
_PROSE = frozenset({"if", "in", "is", "with", "for", "on", "to", "and", "or", "statement", "statements"})


def _extensions(module: ast.Module) -> set[str]:
    found: set[str] = set()
    named = _texts_by_name(module)
    for node in ast.walk(_without_docstrings(module)):
        match node:
            case ast.Constant(value=str() as text):
                found |= {name for name in _names_in(text) if name.lower() not in _PROSE}
            case ast.JoinedStr(values=parts):
                for before, after in pairwise(parts):
                    if _ends_in_create(before) and isinstance(after, ast.FormattedValue):
                        found |= named.get(ast.unparse(after.value), set())
            case _:
                pass
    return found


def _names_in(text: str) -> Iterator[str]:
    for match in _CREATE.finditer(text):
        quoted, plain = match.groups()
        if quoted or plain:
            yield quoted or plain.lower()


def _ends_in_create(node: ast.expr) -> bool:
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return False
    *_, last = [None, *_CREATE.finditer(node.value.rstrip('"'))]
    return last is not None and last.end() == len(node.value.rstrip('"')) and not any(last.groups())


def _texts_by_name(module: ast.Module) -> Mapping[str, set[str]]:
    """Return the strings that each name can stand for: `x = "a"`, and `for x in ("a", "b")`."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(module):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.setdefault(name, set()).update(_texts(value))
            case ast.For(target=ast.Name(id=name), iter=ast.Name(id=source)):
                found.setdefault(name, set()).update(found.get(source, set()))
            case ast.For(target=ast.Name(id=name), iter=value):
                found.setdefault(name, set()).update(_texts(value))
            case _:
                pass
    return found


def _texts(node: ast.expr) -> Iterator[str]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
