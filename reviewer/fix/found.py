"""A finding with everything that a fixer can ask: its statement, what that does, and where it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TypeVar

import libcst as cst
from msgspec import Struct

from reviewer.fix import code
from reviewer.fix.refused import Refused
from reviewer.fix.source import Rewriting, Site, Source, called
from reviewer.project.graph import Graph
from reviewer.project.source import SourceRevision
from reviewer.recording import Direction, Origin, Recording, Statement
from reviewer.replay.stream import Story, Understood
from reviewer.review import remedies
from reviewer.review.finding import Finding
from reviewer.review.verdict import TreeReport
from reviewer.sql.operations import Operation, SetVariable
from reviewer.sql.parse import split

Kind = TypeVar("Kind")

_OTHERS = re.compile(rb"sqlite|mysql|mariadb|oracle|mssql|dialect\.name")


class Files(Struct, frozen=True, dict=True):
    """The files of one tree as they are under review."""

    graph: Graph
    env_py: str | None
    """The path of env.py."""
    sources: Mapping[str, Source]
    """The files that may be rewritten, by path."""

    @cached_property
    def other_dialects(self) -> bool:
        """Whether the same revisions are made for other databases too, as far as their text tells."""
        return any(_OTHERS.search(each.data) for each in self.sources.values())


class Found(Struct, frozen=True, dict=True):
    """One finding that may be fixed."""

    finding: Finding
    report: TreeReport
    stories: tuple[Story, ...]
    files: Files

    @property
    def rule(self) -> str:
        """The rule of the finding."""
        return self.finding.rule

    @property
    def recording(self) -> Recording:
        """What was seen."""
        return self.report.recording

    @cached_property
    def story(self) -> Story:
        """The revision that the finding is about."""
        for each in self.stories:
            if each.revision.id == self.finding.revision:
                return each
        raise Refused("it belongs to no revision that can be rewritten")

    @property
    def revision(self) -> SourceRevision:
        """The same, as its file says."""
        return self.files.graph.revisions[self.story.revision.id]

    @cached_property
    def source(self) -> Source:
        """The file of the revision. Raises `Refused` where the statement comes from another one."""
        where = self.finding.location
        path = self.revision.path
        if where is not None and where.path != path:
            raise Refused(f"the statement comes from another file, `{where}`")
        return self.files.sources[path]

    @cached_property
    def understood(self) -> Understood:
        """The statement that the finding is about."""
        witness = self.finding.witness
        if witness is not None:
            for story in self.stories:
                for each in (*story.upgrade, *story.downgrade):
                    if each.place == witness.place and each.statement.sql == self.finding.sql:
                        return each
        raise Refused("it is not about a single statement")

    @property
    def statement(self) -> Statement:
        """The text that was sent."""
        return self.understood.sent

    def operation(self, kind: type[Kind], fits: Callable[[Kind], bool] = lambda _: True) -> Kind:
        """What of the statement is flagged. Raises `Refused` where it is something else."""
        found = [each for each in self.understood.operations if isinstance(each, kind) and fits(each)]
        if len(found) != 1:
            raise Refused(
                "the statement does several things at once" if found else "the statement has another form"
            )
        return found[0]

    @property
    def line(self) -> int:
        """Where the statement runs."""
        where = self.finding.location
        if where is None:
            raise Refused("its line is unknown")
        return where.line

    def rest(self, direction: Direction = Direction.UPGRADE) -> Iterator[Operation]:
        """What else the revision does in that direction."""
        for each in self.story.upgrade if direction is Direction.UPGRADE else self.story.downgrade:
            if direction is not Direction.UPGRADE or each.sent is not self.statement:
                yield from (one for one in each.operations if not isinstance(one, SetVariable))

    def counterpart(self, functions: Sequence[str], fits: Callable[[Operation], bool]) -> Site | None:
        """The call of the downgrade that does what `fits` asks for, where it is a plain one."""
        for each in self.story.downgrade:
            at = each.statement.location
            if at is not None and at.path == self.source.path and any(fits(op) for op in each.operations):
                try:
                    return self.source.call_at(at.line, functions, partial(self._says, operations=each.operations))
                except Refused:
                    return None
        return None

    def written(self, function: str, functions: Sequence[str], *names: str) -> Site | None:
        """The one call of `functions` in `upgrade()` or `downgrade()` that has all `names` among its strings."""
        calls = [
            call
            for call in self.source.calls_in(function, functions)
            if {*names} <= {each.evaluated_value for each in strings(call)}
        ]
        return self.source.site(calls[0]) if len(calls) == 1 else None

    def _says(self, call: cst.Call, operations: Sequence[Operation]) -> bool:
        """Whether a call names what the statement is about."""
        words = {node.evaluated_value for node in strings(call)}
        named = {
            str(name)
            for each in operations
            for name in (
                getattr(each, "name", None),
                getattr(getattr(each, "index", None), "name", None),
                getattr(each, "column", None),
            )
            if isinstance(name, str)
        }
        return not named or bool(words & named)

    def site(self, functions: Sequence[str], name: str | None = None) -> Site:
        """The call of one of `functions`, or of `execute`, that the finding is about; `name` is one of its arguments."""
        return self.source.call_at(
            self.line,
            (*functions, "execute"),
            lambda call: (
                name is None or called(call) == "execute" or name in {s.evaluated_value for s in strings(call)}
            ),
        )

    def rewriting(self) -> Rewriting:
        """Changes to the file of the revision."""
        return Rewriting(self.source)

    @property
    def own_limit(self) -> int:
        """The lock_timeout that the revision itself has set before the statement, in milliseconds; it ends with its
        transaction.
        """
        seen = self.statement.observation
        own = any(
            isinstance(each, SetVariable) and each.name == "lock_timeout"
            for understood in self.story.upgrade
            if understood.statement.origin is Origin.REVISION
            for each in understood.operations
        )
        return seen.lock_timeout if seen is not None and own else 0

    @property
    def outer_limit(self) -> int:
        """The lock_timeout that was set elsewhere, in milliseconds."""
        seen = self.statement.observation
        return seen.lock_timeout if seen is not None and not self.own_limit else 0

    def limited(self, body: str) -> str:
        """`body`, which runs in another transaction than the statement, with the same lock_timeout."""
        limit = self.own_limit
        return (
            remedies.execute(f"SET LOCAL lock_timeout = '{remedies.span(limit)}'") + f"\n{body}" if limit else body
        )

    def here(self, body: str, bind: str = "op.get_bind()") -> str:
        """`body`, which only PostgreSQL understands, kept away from other databases that the project knows."""
        if not self.files.other_dialects:
            return body
        inside = "\n".join(f"    {line}" for line in body.split("\n"))
        return f'if {bind}.dialect.name == "postgresql":\n{inside}'

    @property
    def per_migration(self) -> bool:
        """Whether each revision has a transaction of its own."""
        return self.recording.transactions.per_migration

    @property
    def alembic(self) -> tuple[int, ...]:
        """The version of the project's Alembic."""
        parts = self.recording.environment.alembic.split(".")
        return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in parts[:3])


def sql_of(site: Site) -> code.Text:
    """The one SQL command that a call of `execute` sends. Raises `Refused` where it is no plain text."""
    first = site.call.args[0].value if site.call.args else None
    if isinstance(first, cst.Call) and called(first) in {"text", "DDL"} and first.args:
        first = first.args[0].value
    text = code.sql_text(first) if isinstance(first, code.Text) else None
    if text is None or not isinstance(first, code.Text):
        raise Refused(f"the SQL at line {site.line} is computed")
    if len(split(text)) != 1:
        raise Refused(f"the SQL at line {site.line} has several commands")
    return first


def with_sql(site: Site, pattern: str, instead: str) -> cst.Call:
    """The call of `execute` with its SQL changed in one place."""
    old = sql_of(site)
    new = code.with_sql(old, pattern, instead)
    if new is None:
        raise Refused(f"the SQL at line {site.line} has a form that no fix handles")
    changed = site.call.deep_replace(old, new)
    assert isinstance(changed, cst.Call)
    return changed


def strings(node: cst.CSTNode) -> Iterator[cst.SimpleString]:
    """Every string in a node."""
    if isinstance(node, cst.SimpleString):
        yield node
    for child in node.children:
        yield from strings(child)
