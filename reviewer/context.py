"""What a check may ask: about the statement at hand, and about everything that came before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Union

from reviewer.finding import Severity
from reviewer.locks import LockMode
from reviewer.names import Name
from reviewer.operations import Operation
from reviewer.recording import (
    Catalogue,
    Column,
    Direction,
    Lock,
    Mode,
    Observation,
    Outcome,
    Pass,
    Recording,
    Relation,
    Revision,
    Scan,
    Statement,
    Table,
)
from reviewer.verdict import Understood


@dataclass(frozen=True)
class Story:
    """One revision as a whole, a subject of checks: what it does both ways, and how the passes ended."""

    revision: Revision
    upgrade: tuple[Understood, ...]
    """The statements of its upgrade, from the pass that went furthest."""
    downgrade: tuple[Understood, ...]
    """The statements of its downgrade; empty where that was not run."""
    passes: tuple[Pass, ...]

    def failed(self, direction: Direction) -> Pass | None:
        """The pass in `direction` that failed, if one did; the one with rows in the tables first."""
        return next((p for p in self.passes if p.direction is direction and p.outcome is Outcome.FAILED), None)

    def operations(self, direction: Direction = Direction.UPGRADE) -> Iterator[tuple[Operation, Statement]]:
        """Every operation of one direction with its statement, in order."""
        for understood in self.upgrade if direction is Direction.UPGRADE else self.downgrade:
            for operation in understood.operations:
                yield operation, understood.statement


Subject = Union[Operation, Understood, Story, Recording]
"""What `check()` is called with: every operation, then every statement with all its operations (`Understood`),
every revision (`Story`), and last the whole `Recording`."""


@dataclass(frozen=True)
class Held:
    """A lock that the transaction holds on a relation that existed before the deploy."""

    relation: Relation
    mode: LockMode
    since: Statement
    """The statement that took it."""
    revision: str | None
    """The revision of that statement."""


@dataclass(frozen=True)
class Work:
    """Something that a statement did and that takes time in proportion to an existing table."""

    kind: str
    """`rewrite`, `scan` or `build` (of an index)."""
    table: Relation
    rows: int | None = None
    """Rows read in the rehearsal, for a scan."""
    index: Relation | None = None
    """The index that was built."""

    @property
    def phrase(self) -> str:
        """What happened, for a message: `rewrites orders`, `reads every row of orders`."""
        match self.kind:
            case "rewrite":
                return f"rewrites `{self.table}`"
            case "build":
                return f"builds index `{self.index}` on `{self.table}`"
            case _:
                return f"reads every row of `{self.table}`"


@dataclass(frozen=True)
class Context:
    """The state in which one subject is looked at. Relations created in the same deploy never count as existing."""

    recording: Recording
    direction: Direction = Direction.UPGRADE
    revision: Revision | None = None
    understood: Understood | None = None
    """The statement at hand with all its operations; None for a `Story` or a `Recording`."""
    held: Mapping[tuple[str, str], Held] = field(default_factory=dict)
    """Strongest lock per existing relation (schema, name) that the transaction held *before* this statement."""
    created: frozenset[Name] = frozenset()
    """Tables and other relations that earlier statements of the same deploy have created, as the text tells."""
    before: tuple[tuple[Operation, Statement], ...] = ()
    """Operations of the same deploy that came before this statement, oldest first."""
    transaction_start: int = 0
    """Index into `before` of the first operation in the transaction of this statement."""
    explained: bool = False
    """Whether another rule has already spoken about what this statement locks, rewrites or scans."""

    # -- the statement ----------------------------------------------------------------------------

    @property
    def statement(self) -> Statement:
        """The statement at hand. Only for operations and `Understood` subjects."""
        assert self.understood is not None
        return self.understood.statement

    @property
    def observation(self) -> Observation | None:
        """What the server did; None without a server, and for a statement that failed."""
        return self.understood.statement.observation if self.understood else None

    @property
    def observed(self) -> bool:
        """Whether there was a server to watch this statement."""
        return self.observation is not None

    @property
    def static(self) -> bool:
        """Whether the recording was made from text alone."""
        return self.recording.mode is Mode.STATIC

    @property
    def major(self) -> int:
        """PostgreSQL's major version; without a server the oldest supported one, so that advice works everywhere."""
        return self.recording.server.major if self.recording.server else 14

    def certainty(self, severity: Severity) -> Severity:
        """`severity` where it was seen on a server, one step lower where only the text was read."""
        return severity if self.observed else severity.lower

    # -- tables -----------------------------------------------------------------------------------

    @property
    def base(self) -> Catalogue:
        """The catalogue before the new revisions; empty without a server."""
        return self.recording.base

    def table(self, name: Name) -> Table | None:
        """The table as it was before the new revisions."""
        return self.base.table(name)

    def column(self, table: Name, column: str) -> Column | None:
        """The column as it was before the new revisions."""
        found = self.table(table)
        return found.column(column) if found else None

    def is_new(self, name: Name) -> bool:
        """Whether the relation was created in the same deploy, so that nobody else uses it and it is empty."""
        for relation in self._relations():
            if relation.as_name.matches(name):
                return relation.new
        return any(created.matches(name) for created in self.created)

    def exists(self, name: Name) -> bool:
        """The opposite of `is_new`: the table is in production now, with rows and with traffic."""
        return not self.is_new(name)

    # -- what the statement did -------------------------------------------------------------------

    def lock(self, name: Name) -> LockMode | None:
        """The strongest lock that this statement newly took on the relation; None where none was seen."""
        modes = [lock.mode for lock in self._locks() if lock.relation.as_name.matches(name)]
        return max(modes, default=None)

    def locks(self) -> Mapping[Relation, LockMode]:
        """Strongest newly taken lock per existing table, in the order they were taken; indexes left out."""
        found: dict[Relation, LockMode] = {}
        for lock in self._locks():
            if lock.relation.is_table and not lock.relation.new:
                known = found.get(lock.relation)
                found[lock.relation] = max(lock.mode, known) if known else lock.mode
        return found

    def work(self) -> tuple[Work, ...]:
        """What takes time in proportion to an existing table: rewrites, index builds, scans. A rewrite includes the
        scan and the index builds that come with it, an index build the scan."""
        seen = self.observation
        if seen is None:
            return ()
        rewritten = [Work("rewrite", table) for table in seen.rewritten if not table.new and table.is_table]
        whole = {work.table.as_name for work in rewritten}
        built = [
            Work("build", Relation(index.schema, index.table, "table"), index=index)
            for index in seen.built
            if index.table and not index.table_new and Name(index.table, index.schema) not in whole
        ]
        whole |= {work.table.as_name for work in built}
        scanned = [
            Work("scan", scan.relation, rows=scan.rows)
            for scan in seen.scanned
            if not scan.relation.new and scan.relation.is_table and scan.relation.as_name not in whole
        ]
        return (*rewritten, *built, *scanned)

    def rewrote(self, name: Name) -> bool:
        """Whether the server wrote the existing table anew."""
        return any(w.kind == "rewrite" and w.table.as_name.matches(name) for w in self.work())

    def scanned(self, name: Name) -> bool:
        """Whether the server read the whole existing table, in a rewrite or an index build too."""
        return any(w.table.as_name.matches(name) for w in self.work())

    def scan(self, name: Name) -> Scan | None:
        """The sequential scan of the table, new or existing, if there was one."""
        scans = self.observation.scanned if self.observation else ()
        return next((scan for scan in scans if scan.relation.as_name.matches(name)), None)

    def says(self, words: str) -> bool:
        """Whether the server said something that contains `words` while the statement ran."""
        return self.observation is not None and self.observation.says(words)

    # -- what the transaction holds ---------------------------------------------------------------

    def blocking(self) -> tuple[Held, ...]:
        """Locks on existing tables that were held before this statement and that block writes, strongest first."""
        held = [h for h in self.held.values() if h.relation.is_table and h.mode.blocks_writes]
        return tuple(sorted(held, key=lambda h: -h.mode.strength))

    def same_transaction(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations that came before this statement in its transaction; without a server: in its revision."""
        return self.before[self.transaction_start :]

    def _relations(self) -> Iterator[Relation]:
        seen = self.observation
        if seen is None:
            return
        for lock in seen.locks:
            yield lock.relation
        yield from seen.rewritten
        for scan in seen.scanned:
            yield scan.relation
        for held in self.held.values():
            yield held.relation

    def _locks(self) -> tuple[Lock, ...]:
        return self.observation.locks if self.observation else ()
