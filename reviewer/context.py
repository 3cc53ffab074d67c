"""What a check may ask: about the statement at hand, and about everything that came before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Union

from reviewer import manual, names
from reviewer.finding import Severity
from reviewer.locks import LockMode
from reviewer.names import Name
from reviewer.operations import (
    AddColumn,
    CreateIndex,
    Delete,
    DropConstraint,
    DropTable,
    Operation,
    RenameColumn,
    Update,
)
from reviewer.recording import (
    Catalogue,
    Column,
    Constraint,
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

    @property
    def ran(self) -> bool:
        """Whether its upgrade was run, or rendered."""
        return any(p.direction is Direction.UPGRADE and p.outcome is not Outcome.SKIPPED for p in self.passes)

    def failed(self, direction: Direction) -> Pass | None:
        """The pass in `direction` that failed, if one did; the one with rows in the tables first."""
        return next((p for p in self.passes if p.direction is direction and p.outcome is Outcome.FAILED), None)

    def operations(self, direction: Direction = Direction.UPGRADE) -> Iterator[tuple[Operation, Statement]]:
        """Every operation of one direction with its statement, in order, but for those that were rolled back."""
        return iter(self._upgraded if direction is Direction.UPGRADE else self._downgraded)

    def around(self, understood: Understood, direction: Direction) -> tuple[_Operations, _Operations]:
        """The operations of one direction that come before the statement, and those that come after it."""
        every = self._upgraded if direction is Direction.UPGRADE else self._downgraded
        start = self._starts.get(id(understood), len(every))
        return every[:start], every[start + (0 if understood.undone else len(understood.operations)) :]

    @cached_property
    def changed_by_line(self) -> Mapping[tuple[object, ...], tuple[int, int]]:
        """How many UPDATEs, or DELETEs, of one line and transaction change one table, and how many rows together."""
        found: dict[tuple[object, ...], tuple[int, int]] = {}
        for each in (*self.upgrade, *self.downgrade):
            if len(each.operations) == 1 and isinstance(operation := each.operations[0], (Update, Delete)):
                key = _of_line(operation, each.statement)
                statements, rows = found.get(key, (0, 0))
                found[key] = (statements + 1, rows + (each.statement.rows or 0))
        return found

    @cached_property
    def _upgraded(self) -> _Operations:
        return tuple(_lasting(self.upgrade))

    @cached_property
    def _downgraded(self) -> _Operations:
        return tuple(_lasting(self.downgrade))

    @cached_property
    def _starts(self) -> Mapping[int, int]:
        """Of each statement, by identity: how many operations come before it."""
        found: dict[int, int] = {}
        for statements in (self.upgrade, self.downgrade):
            start = 0
            for each in statements:
                found[id(each)] = start
                start += 0 if each.undone else len(each.operations)
        return found


def _lasting(statements: Iterable[Understood]) -> Iterator[tuple[Operation, Statement]]:
    return ((operation, each.statement) for each in statements if not each.undone for operation in each.operations)


def _of_line(operation: Update | Delete, statement: Statement) -> tuple[object, ...]:
    seen = statement.observation
    return (statement.location, seen and seen.transaction, type(operation), operation.table)


_Operations = tuple[tuple[Operation, Statement], ...]

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
    story: Story | None = None
    """The revision as a whole, to look ahead and at its downgrade; None for a `Recording`."""
    stories: tuple[Story, ...] = ()
    """Every revision under review, parents first."""
    held: Mapping[tuple[str, str], Held] = field(default_factory=dict)
    """Strongest lock per existing relation (schema, name) that the transaction held *before* this statement."""
    created: frozenset[Name] = frozenset()
    """Tables and other relations that earlier statements of the same deploy have created, as the text tells."""
    before: tuple[tuple[Operation, Statement], ...] = ()
    """Operations of the same deploy that came before this statement, oldest first."""
    transaction_start: int = 0
    """Index into `before` of the first operation in the transaction of this statement."""

    # -- the statement ----------------------------------------------------------------------------

    @property
    def statement(self) -> Statement:
        """The statement at hand. Only for operations and `Understood` subjects."""
        assert self.understood is not None
        return self.understood.statement

    def text_of(self, operation: Operation) -> str:
        """The text of the one statement that the operation was read from, where several were sent at once."""
        from reviewer.parse import (
            parse,
            split,
        )  # for the few that look; the words of PostgreSQL take time to import

        texts = split(self.statement.sql)
        return next((text for text in texts if len(texts) > 1 and operation in parse(text)), self.statement.sql)

    @property
    def alone(self) -> bool:
        """Whether the statement does nothing else: whatever the server was seen to do is then this operation's doing."""
        return self.understood is None or len(self.understood.operations) == 1

    @property
    def observation(self) -> Observation | None:
        """What the server did; None without a server, and for a statement that failed."""
        return self.understood.statement.observation if self.understood else None

    @property
    def observed(self) -> bool:
        """Whether there was a server to watch this statement."""
        return self.observation is not None

    @property
    def refusal(self) -> Statement | None:
        """The same statement in a pass in which the server refused it, for example because of rows."""
        if self.understood is None or self.story is None:
            return None
        here = self.statement
        same = (
            each
            for run in self.story.passes
            if run.direction is self.direction
            for each in run.statements
            if each.error is not None and each.location == here.location and each.sql == here.sql
        )
        return here if here.error is not None else next(same, None)

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

    def must_be_written(self, table: Name, column: str) -> bool:
        """Whether an INSERT that does not name the column fails, and a plain DROP NOT NULL would let it in."""
        found, on = self.column(table, column), self.table(table)
        key = {name for each in on.constraints if each.kind == "primary key" for name in each.columns} if on else ()
        return found is not None and not found.nullable and found.default is None and column not in key

    def is_new(self, name: Name) -> bool:
        """Whether the relation was created in the same deploy, so that nobody else uses it and it is empty."""
        for relation in self._relations():
            if relation.as_name.matches(name):
                return relation.new
        return any(created.matches(name) for created in self.created)

    def exists(self, name: Name) -> bool:
        """The opposite of `is_new`: the table is in production now, with rows and with traffic."""
        return not self.is_new(name)

    def is_new_column(self, table: Name, column: str) -> bool:
        """Whether the column came in the same deploy, with its table or by an earlier statement."""
        if self.is_new(table):
            return True
        for operation, _ in reversed(self.before):
            match operation:
                case RenameColumn(table=on, new_name=new) if new == column and on.matches(table):
                    column = operation.column
                case AddColumn(table=on) if operation.column.name == column and on.matches(table):
                    return True
        return False

    def is_new_index(self, index: Name) -> bool:
        """Whether the index came in the same deploy, with its table or by an earlier statement."""
        for relation in self._relations():
            if relation.kind.endswith("index") and relation.as_name.matches(index):
                return relation.new
        return any(
            isinstance(operation, CreateIndex) and operation.name == index.name for operation, _ in self.before
        )

    def absent(self, table: Name, column: str | None = None) -> bool:
        """Whether a server knows that there was no such table, or no such column, before the new revisions."""
        if self.static or (self.observation is None and self.statement.error is None):
            return False
        if column is not None:
            return self.column(table, column) is None
        return self.table(table) is None

    def index_table(self, index: Name) -> Table | None:
        """The table that the index belonged to before the new revisions."""
        return next(
            (
                table
                for table in self.base.tables
                if (table.name.schema or "public") == (index.schema or "public")
                and any(found.name == index.name for found in table.indexes)
            ),
            None,
        )

    def old_code_uses(self, table: Name, column: str | None = None) -> bool | None:
        """Whether the models of the base commit, which are running during the deploy, know the table, or the column;
        None where nobody could ask them.
        """
        mapped = self.recording.old_code.mapped
        if mapped is None:
            return None
        known = [each for each in mapped if each.table.matches(table)]
        return any(column is None or column in each.columns for each in known)

    def old_code_runs(self, table: Name, statement: str) -> bool | None:
        """Whether that `statement` (`select`, `insert`, `update` or `delete`) of the base commit's models still runs on
        the upgraded table; None where it was not tried.
        """
        mapped = self.recording.old_code.mapped or ()
        if not any(each.table.matches(table) and statement in each.tried for each in mapped):
            return None
        broken = self.recording.old_code.broken
        return not any(each.table.matches(table) and statement in each.statements for each in broken)

    def revision_operations(self) -> tuple[Operation, ...]:
        """Every operation of the same revision and direction, in order."""
        if self.story is None:
            return ()
        return tuple(operation for operation, _ in self.story.operations(self.direction))

    def same_revision(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations of the same revision and direction that came before this statement."""
        return self._split[0]

    def later(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations of the same revision and direction that come after this statement."""
        return self._split[1]

    def rest_of_deploy(self) -> Iterator[Operation]:
        """Operations of the same direction that come after this statement, in its revision and in those after it."""
        yield from (operation for operation, _ in self.later())
        here = next((n for n, story in enumerate(self.stories) if story is self.story), len(self.stories))
        for story in self.stories[here + 1 :]:
            yield from (operation for operation, _ in story.operations(self.direction))

    # -- what the statement did -------------------------------------------------------------------

    def lock(self, name: Name) -> LockMode | None:
        """The strongest lock that this statement newly took on the relation, as seen, or as the manual says where
        nobody could look; None where it took none.
        """
        modes = [lock.mode for lock in self.all_locks() if lock.relation.as_name.matches(name)]
        return max(modes, default=None)

    def locks(self) -> Mapping[Relation, LockMode]:
        """Strongest newly taken lock per existing table, in the order they were taken; indexes left out."""
        found: dict[Relation, LockMode] = {}
        for lock in self.all_locks():
            if lock.relation.is_table and not lock.relation.new:
                known = found.get(lock.relation)
                found[lock.relation] = max(lock.mode, known) if known else lock.mode
        return found

    def strongest(self, name: Name, at_least: LockMode) -> LockMode:
        """The strongest lock in force on the relation while this statement runs, held before or newly taken;
        `at_least` is what the statement is known to take.
        """
        held = [held.mode for held in self.held.values() if held.relation.as_name.matches(name)]
        return max([at_least, *held, self.lock(name) or at_least])

    def of_domain(self, domain: Name) -> tuple[Table, ...]:
        """The tables that had a column of the domain before the new revisions."""
        return tuple(
            table
            for table in self.base.tables
            if any((found := names.read(column.type)) and found.matches(domain) for column in table.columns)
        )

    def is_part(self, relation: Relation) -> bool:
        """Whether the relation was a partition of another table before the new revisions."""
        known = self.table(relation.as_name)
        return known is not None and known.partition_of is not None

    def integer_key(self, name: Name) -> str | None:
        """The column that was the table's whole primary key before the new revisions, where it is a whole number."""
        table = self.table(name)
        if table is None:
            return None
        keys = [constraint.columns for constraint in table.constraints if constraint.kind == "primary key"]
        if len(keys) != 1 or len(keys[0]) != 1:
            return None
        column = table.column(keys[0][0])
        return column.name if column and column.type in {"smallint", "integer", "bigint"} else None

    def partitions(self, name: Name) -> tuple[Table, ...]:
        """The partitions that the table had before the new revisions, one level down."""
        return tuple(t for t in self.base.tables if t.partition_of is not None and t.partition_of.matches(name))

    def is_partitioned(self, name: Name) -> bool:
        """Whether the table was a partitioned one before the new revisions."""
        found = self.table(name)
        return found is not None and found.kind == "partitioned table"

    @property
    def evidence(self) -> dict[str, object]:
        """What was seen of the statement, for machines; empty without a server."""
        if self.observation is None:
            return {}
        work = self.work()
        found: dict[str, object] = {
            "locks": {str(relation): str(mode) for relation, mode in self.locks().items()},
            "rewritten": [str(w.table) for w in work if w.kind == "rewrite"],
            "scanned": {str(w.table): w.rows for w in work if w.kind == "scan"},
            "built": [str(w.index) for w in work if w.kind == "build"],
        }
        return {key: value for key, value in found.items() if value}

    def work(self) -> tuple[Work, ...]:
        """What takes time in proportion to an existing table: rewrites, index builds, scans. A rewrite includes the
        scan and the index builds that come with it, an index build the scan.
        """
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
        """Whether the server wrote the existing table, or a partition of it, anew."""
        return any(w.kind == "rewrite" and self.belongs(w.table, name) for w in self.work())

    def scanned(self, name: Name) -> bool:
        """Whether the server read the whole existing table, or a partition of it, in a rewrite or an index build
        too.
        """
        return any(self.belongs(w.table, name) for w in self.work())

    def built(self, name: Name) -> bool:
        """Whether the server built or rebuilt an index of the existing table."""
        return any(w.kind == "build" and self.belongs(w.table, name) for w in self.work())

    def scan(self, name: Name) -> Scan | None:
        """The sequential scan of the table, new or existing, if there was one."""
        scans = self.observation.scanned if self.observation else ()
        return next((scan for scan in scans if scan.relation.as_name.matches(name)), None)

    def loop(self, operation: Update | Delete) -> int:
        """How many statements of the same line and transaction change every row of the existing table together, of
        which this is one; 0 where it is no loop, or leaves rows out.
        """
        seen, known = self.observation, self.table(operation.table)
        if (
            seen is None
            or seen.transaction is None
            or known is None
            or self.story is None
            or self.is_new(known.name)
        ):
            return 0
        statements, rows = self.story.changed_by_line.get(_of_line(operation, self.statement), (0, 0))
        return statements if statements > 1 and rows >= max(known.rows, 2) else 0

    def says(self, words: str) -> bool:
        """Whether the server said something that contains `words` while the statement ran."""
        return self.observation is not None and self.observation.says(words)

    # -- what the transaction holds ---------------------------------------------------------------

    def blocking(self) -> tuple[Held, ...]:
        """Locks on existing tables that were held before this statement and that block writes, strongest first."""
        held = [h for h in self.held.values() if h.relation.is_table and h.relation.hindered_by(h.mode)]
        return tuple(sorted(held, key=lambda h: -h.mode.strength))

    def same_transaction(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations that came before this statement in its transaction."""
        return self.before[self.transaction_start :]

    @cached_property
    def _split(self) -> tuple[_Operations, _Operations]:
        if self.story is None or self.understood is None:
            return (), ()
        return self.story.around(self.understood, self.direction)

    def belongs(self, relation: Relation, name: Name) -> bool:
        """Whether the relation is the table itself or a partition of it, at any depth."""
        table: Name | None = relation.as_name
        while table is not None:
            if table.matches(name):
                return True
            known = self.table(table)
            table = known.partition_of if known else None
        return False

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

    def _kind(self, name: Name) -> str:
        known = self.table(name)
        return known.kind if known else "table"

    def all_locks(self) -> tuple[Lock, ...]:
        """Every lock that this statement newly took, indexes and new relations too."""
        if self.observation is not None and self.observation.transaction is not None:
            return self.observation.locks
        if self.understood is None:
            return ()
        # nobody could look: the locks of a statement in no transaction are gone with it
        return tuple(
            Lock(Relation(name.schema or "public", name.name, self._kind(name), new=self.is_new(name)), mode)
            for operation in self.understood.operations
            for name, mode in (*manual.locks(operation), *self._referenced(operation))
        )

    def _referenced(self, operation: Operation) -> Iterator[tuple[Name, LockMode]]:
        """The tables that foreign keys refer to which go: locked too, though the text does not name them."""
        match operation:
            case DropTable(table=table):
                known = self.table(table)
                gone = known.constraints if known else ()
            case DropConstraint(table=table, name=name):
                gone = self._called(table, name)
            case _:
                return
        for each in gone:
            if each.referenced is not None and not each.referenced.matches(table):
                yield each.referenced, LockMode.ACCESS_EXCLUSIVE

    def _called(self, table: Name, name: str) -> tuple[Constraint, ...]:
        """The constraint of that name; where text alone does not tell which it is, those that it must be one of."""
        known = self.table(table)
        every = known.constraints if known else ()
        found = tuple(each for each in every if each.name == name) or tuple(each for each in every if not each.name)
        return found if len({each.referenced for each in found}) == 1 else ()
