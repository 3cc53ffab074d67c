"""What a check can query: the current statement, and everything before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Union

from msgspec import Struct

from reviewer.recording import (
    Column,
    Difference,
    Direction,
    Guard,
    Location,
    Lock,
    Mode,
    Observation,
    Recording,
    Rehearsal,
    Relation,
    Revision,
    Statement,
    Uncopied,
    Written,
)
from reviewer.replay import effects
from reviewer.replay.effects import Held, Place, Witness, Work, on_tables
from reviewer.replay.schema import Schema
from reviewer.replay.stream import Story, Understood, of_line, relations_of, sent_for_many
from reviewer.review import remedies
from reviewer.review.finding import Severity
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    CreateIndex,
    Delete,
    Insert,
    Merge,
    Operation,
    RenameColumn,
    RenameTable,
    Select,
    SetVariable,
    Truncate,
    Update,
)

Subject = Union[Operation, Understood, Story, Recording]
"""What `check()` is called with: every operation, then every statement with all its operations (`Understood`),
every revision (`Story`), and last the whole `Recording`."""


_FEW = 5
"""Fewer rows than that are no sign of anything: a table of settings has as many."""
_SIZE = re.compile(r"\bcount\s*\(|\breltuples\b|\bpg_(total_|table_)?relation_size\b|\bn_live_tup\b", re.IGNORECASE)
"""What a statement asks the server that wants to know how large a table is."""


def _binds(statement: Statement) -> bool:
    return bool(statement.parameters) or sent_for_many(statement)


def _fetches(sql: str, column: str) -> bool:
    """Whether a SELECT returns the column itself, as far as its text tells."""
    head = re.match(r"\s*SELECT\b(.*?)\bFROM\b", sql, re.IGNORECASE | re.DOTALL)
    listed = re.sub(r"\w+\s*\([^()]*\)", "", head[1]) if head is not None else ""
    return re.search(rf"\b{re.escape(column)}\b", listed) is not None


class Context(Struct, frozen=True, dict=True):
    """The state in which one subject is checked. Relations created in the same deploy never count as existing."""

    recording: Recording
    direction: Direction = Direction.UPGRADE
    revision: Revision | None = None
    understood: Understood | None = None
    """The current statement with all its operations; None for a `Story` or a `Recording`."""
    story: Story | None = None
    """The revision as a whole, to look ahead and at its downgrade; None for a `Recording`."""
    stories: tuple[Story, ...] = ()
    """Every revision under review, parents first."""
    drift: tuple[Difference, ...] = ()
    """How production differs from the schema before the deploy, where that is known: `before` is what the history
    makes, `after` the schema of production."""
    before: Schema = Schema()
    """The schema before the deploy; for a downgrade, before the rollback."""
    now: Schema = Schema()
    """The schema in which the operation, or the first of the statement, or the revision, is about to run. It knows
    the names that tables and columns had in `before`."""
    place: int = 0
    """Index of the subject, or of its first operation, within its revision and direction, from 0."""
    done: int = 0
    """Number of operations of the same statement before the subject."""
    width: int = 1
    """Number of operations in the subject."""

    # -- the statement ----------------------------------------------------------------------------

    @property
    def statement(self) -> Statement:
        """The current statement. Only for operations and `Understood` subjects."""
        assert self.understood is not None
        return self.understood.statement

    @property
    def alone(self) -> bool:
        """Whether the statement does nothing else: everything observed was then caused by this operation."""
        return self.understood is None or (self.understood.alone and len(self.understood.operations) == 1)

    @property
    def observation(self) -> Observation | None:
        """What the server did; None without a server, and for a statement that failed."""
        return self.understood.statement.observation if self.understood else None

    @property
    def observed(self) -> bool:
        """Whether this statement was observed on a server."""
        return self.observation is not None

    @cached_property
    def _refused_at(self) -> Place | None:
        if self.understood is None or self.story is None or self.understood.place is None:
            return None
        sent = self.understood.sent
        if sent.error is not None:
            return self.understood.place
        return self.story.refused.get((self.direction, sent.location, sent.sql))

    @property
    def witness(self) -> Witness | None:
        """What reports show about the current statement; None for a `Story` or a `Recording`."""
        if self.understood is None or self.understood.place is None:
            return None
        seen = self.observation
        locks = self.locks() if seen is not None and seen.transaction is not None else {}
        return Witness(
            self.understood.place,
            refusal=self._refused_at,
            held=self.blocking(),
            locks=tuple(Lock(relation, mode) for relation, mode in locks.items()),
            work=self.work(),
        )

    def guard_of(self, location: Location | None, table: str) -> Guard | None:
        """The condition of the revision on the size of `table` under which the line runs: a statement before this one
        asked how large the table is.
        """
        revision, story = self.revision, self.story
        place = self.understood.place if self.understood is not None else None
        if revision is None or story is None or place is None or location is None or location.path != revision.path:
            return None
        around = [each for each in revision.guards if each.first <= location.line <= each.last]
        if not around:
            return None
        name = re.compile(rf"\b{re.escape(table.rpartition('.')[2])}\b")
        asked = any(
            _SIZE.search(each.statement.sql)
            and name.search(" ".join((each.statement.sql, *each.statement.parameters)))
            for each in story.understood(self.direction)
            if each.place is not None and each.place.run == place.run and each.place.statement < place.statement
        )
        return min(around, key=lambda each: each.limit) if asked else None

    @property
    def static(self) -> bool:
        """Whether the recording was made from the text alone."""
        return self.recording.mode is Mode.STATIC

    @property
    def major(self) -> int:
        """PostgreSQL's major version; without a server the oldest supported one, so that advice works everywhere."""
        return self.recording.server.major if self.recording.server else 14

    def certainty(self, severity: Severity) -> Severity:
        """`severity` if observed on a server, one step lower if only the text was read."""
        return severity if self.observed else severity.lower

    @property
    def lock_timeout_in_force(self) -> str:
        """The `lock_timeout` that bounds the statement's waiting, as SQL, as far as a server or the text tells; empty if
        none does.
        """
        if self.observation is not None:
            limit = self.observation.lock_timeout
            return f"'{remedies.span(limit)}'" if limit else ""
        known = [o.value for o, _ in self.earlier if isinstance(o, SetVariable) and o.name == "lock_timeout"]
        value = ((known[-1] or "") if known else "").strip("'")
        return f"'{value}'" if value not in {"", "0", "default"} else ""

    def plain_partitions(self, index: CreateIndex) -> tuple[Name, ...] | None:
        """The partitions of the table of an index that is no more than its columns; None if it is more, or if they are
        partitioned again: both want more than a recipe.
        """
        table = self.now.table(index.table)
        simple = index.name is not None and not (index.where or index.include) and index.method in {None, "btree"}
        if not simple or table is None or not all(table.column(column) for column in index.columns):
            return None
        partitions = self.now.partitions(index.table)
        if any(partition.kind == "partitioned table" for partition in partitions):
            return None
        return tuple(partition.name for partition in partitions)

    # -- tables -----------------------------------------------------------------------------------

    def is_new(self, name: Name) -> bool:
        """Whether the relation was created in the same deploy, so that nobody else uses it and it is empty."""
        for relation in self._relations():
            if relation.as_name.matches(name):
                return relation.new
        return self.now.is_new(name)

    def exists(self, name: Name) -> bool:
        """The opposite of `is_new`: the table exists in production, with rows and traffic."""
        return not self.is_new(name)

    def is_new_column(self, table: Name, column: str) -> bool:
        """Whether the column was added in the same deploy, with its table or by an earlier statement."""
        return self.is_new(table) or self.now.is_new_column(table, column)

    def is_new_index(self, index: Name) -> bool:
        """Whether the index was created in the same deploy, with its table or by an earlier statement."""
        for relation in self._relations():
            if relation.kind.endswith("index") and relation.as_name.matches(index):
                return relation.new
        return self.now.is_new_index(index)

    def was(self, table: Name, column: str) -> Column | None:
        """The column as it was before the deploy, whatever its name was then."""
        before = self.now.column_origin(table, column)
        return self.before.column(*before) if before is not None else None

    def absent(self, table: Name, column: str | None = None) -> bool:
        """Whether the server's catalogue has no such table, or no such column."""
        if self.static or (self.observation is None and self.statement.error is None):
            return False
        if column is not None:
            return self.now.column(table, column) is None
        return self.now.table(table) is None

    def old_code_uses(self, table: Name, column: str | None = None) -> bool | None:
        """Whether the models of the base commit, which are running during the deploy, know the table, or the
        column; None if that is unknown.
        """
        mapped = self.recording.old_code.mapped
        if mapped is None:
            return None
        before = self.now.origin(table) if column is None else self.now.column_origin(table, column)
        if before is None:
            return False
        called, under = before if isinstance(before, tuple) else (before, None)
        known = [each for each in mapped if each.table.matches(called)]
        return any(under is None or under in each.columns for each in known)

    def survived(self, table: Name, column: str | None = None) -> bool:
        """Whether the rows of the table, or the values of its column, were restored by the downgrade, as a
        comparison has shown.
        """
        name = self.now.origin(table)
        known = self.recording.base.table(name) if name is not None else None
        if self.story is None or known is None or not known.rows:
            return False
        there = str(name)
        downgrades = (each for each in self.story.passes if each.direction is Direction.DOWNGRADE)
        return any(
            each.compared
            and each.rows
            and there not in each.unread
            and not any(loss.table == there and loss.column in {None, column} for loss in each.losses)
            and not any(_is_of(difference, there, column) for difference in each.differences)
            for each in downgrades
        )

    def emptied(self, table: Name) -> bool:
        """Whether the revision has deleted every row of the table before."""
        name = self.now.origin(table) or table
        story = self.story
        return story is not None and any(
            (
                isinstance(step.operation, Truncate)
                or (isinstance(step.operation, Delete) and not step.operation.filtered)
            )
            and (step.now.origin(step.operation.table) or step.operation.table).matches(name)
            and step.statement.error is None
            for step in story.steps(self.direction)[: self.place]
        )

    def filled(self, table: Name, column: str) -> bool:
        """Whether an INSERT that leaves the column out was tried after the revision, and wrote a row."""
        after = self.recording.after(self.revision.id) if self.revision is not None else None
        if after is None:
            return False
        named = [name for name in (self.now.origin(table), table) if name is not None]
        tried = any(
            column not in each.columns and any(each.table.matches(name) for name in named)
            for each in after.inserted
        )
        return tried and not any(
            each.action == "insert" and each.column == column and any(each.subject.matches(name) for name in named)
            for each in after.refused
        )

    def uncopied(self, table: Name) -> Uncopied | None:
        """What is known of rows of the table that the statement destroys and that were not copied before, although others
        were.
        """
        if self.static or self.revision is None:
            return None
        mine = (self.revision.id, self.statement.sql, table)
        return next((u for u in self.recording.uncopied if (u.revision, u.sql, u.table) == mine), None)

    def moved_in_python(self, table: Name) -> bool:
        """Whether the revision has read rows of the table before, and then written rows with values that it bound:
        what it did with them, no text tells.
        """
        read = False
        guarded = self.story is not None and any(
            each.direction is Direction.UPGRADE and each.rows and each.failure is not None
            for each in self.story.passes
        )
        for operation, statement in self.same_revision():
            if isinstance(operation, Select):
                read = read or re.search(rf"\b{re.escape(table.name)}\b", statement.sql) is not None
                if read and guarded:  # what it would have done with the rows nobody has seen
                    return True
            elif isinstance(operation, Insert | Update) and read and _binds(statement):
                return True
        return False

    def taken_in_python(self, table: Name, column: str) -> bool:
        """Whether the revision has fetched the values of the column before, and then written rows with values that it
        bound.
        """
        return self.moved_in_python(table) and any(
            isinstance(operation, Select)
            and statement.error is None
            and any(each.matches(table) for each in operation.tables)
            and _fetches(statement.sql, column)
            for operation, statement in self.same_revision()
        )

    @cached_property
    def earlier(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations of the same deploy that come before this one, oldest first."""
        understood = self.understood
        if understood is None:
            return ()
        return tuple(understood.log[: understood.position + self.done])

    def same_revision(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations of the same revision and direction that come before this one."""
        return self._pairs[: self.place]

    def later(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations of the same revision and direction that come after this one; after the whole statement for an
        `Understood`.
        """
        return self._later

    def later_in_deploy(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations of the same deploy that come after this one, in this revision and those after it."""
        understood = self.understood
        return tuple(understood.log[understood.position + self.done + 1 :]) if understood is not None else ()

    @cached_property
    def _later(self) -> tuple[tuple[Operation, Statement], ...]:
        return self._pairs[self.place + self.width :] if self.understood is not None else ()

    @property
    def _pairs(self) -> tuple[tuple[Operation, Statement], ...]:
        return self.story.pairs(self.direction) if self.story is not None else ()

    @cached_property
    def committed(self) -> Schema:
        """The schema that others see first: that at the end of the transaction of the statement, or of the last one of
        a `Story`, which later revisions may share.
        """
        story = self.story
        sent = story.understood(self.direction) if story is not None else ()
        last = self.understood or (sent[-1] if sent else None)
        if last is None or story is None or not last.schemas:
            return self.now
        mine, schema = self._transaction(last, story), last.schemas[-1]
        if mine is None:
            return schema
        here = next((n for n, each in enumerate(self.stories) if each is story), len(self.stories))
        later = [] if self.direction is Direction.DOWNGRADE else self.stories[here + 1 :]
        found = False
        for each in (story, *later):
            for understood in each.understood(self.direction):
                if found and self._transaction(understood, each) != mine:
                    return schema
                found = found or understood is last
                if found and understood.schemas:
                    schema = understood.schemas[-1]
        return schema

    def _transaction(self, understood: Understood, story: Story) -> object:
        """What statements of one transaction have in common; None for one that is committed by itself."""
        statement, place, rehearsal = understood.statement, understood.place, None
        if place is not None:
            judged = self.recording.passes[place.run]
            # steps have transactions of their own, numbered from 1
            rehearsal = story.revision.id if judged.rehearsal is Rehearsal.STEPWISE else ""
        if statement.observation is not None:
            number = statement.observation.transaction
            return None if number is None else (rehearsal, number)
        if not statement.in_transaction:
            return None
        return (rehearsal, story.revision.id if self.recording.transactions.per_migration else "")

    def is_back(self, table: Name, column: str | None = None) -> bool:
        """Whether the table, or its column, has the name again that it had before the deploy by the time that others
        see it.
        """
        if self.static:  # nobody knows which tables there are
            was = self.now.origin(table) if column is None else self.now.column_origin(table, column)
            called = was.name if isinstance(was, Name) else was[1] if was is not None else None
            return any(
                each.new_name == called
                for each, _ in self._pairs[self.place :]
                if isinstance(each, RenameTable if column is None else RenameColumn)
            )
        then = self.committed
        name = self.now.origin(table)
        if name is None or then.table(name) is None:
            return False
        if column is None:
            return _same(then.origin(name), name)
        before = self.now.column_origin(table, column)
        if before is None or then.column(*before) is None:
            return False
        after = then.column_origin(*before)
        return after is not None and _same(after[0], before[0]) and after[1] == before[1]

    # -- what the statement did -------------------------------------------------------------------

    def lock(self, name: Name) -> LockMode | None:
        """The strongest lock that this statement newly acquired on the relation, as observed, or as documented if
        it could not be observed; None if it took none.
        """
        modes = [lock.mode for lock in self.all_locks() if lock.relation.as_name.matches(name)]
        return max(modes, default=None)

    def locks(self) -> Mapping[Relation, LockMode]:
        """Strongest newly taken lock per existing table, in the order they were taken; indexes left out."""
        return on_tables(self.all_locks())

    def strongest(self, name: Name, at_least: LockMode) -> LockMode:
        """The strongest lock on the relation while this statement runs, held before or newly acquired; `at_least`
        is the lock that the statement is known to take.
        """
        held = [held.mode for held in self.held.values() if held.relation.as_name.matches(name)]
        return max([at_least, *held, self.lock(name) or at_least])

    def waiting(self, name: Name, mode: LockMode) -> str:
        """What waits while `mode` is held on the relation: `reads and writes`, `writes`; of a materialized view `reads`,
        or only `refreshes`.
        """
        known = self.now.table(name)
        return Relation(name.schema or "public", name.name, known.kind if known else "table").waiting(mode)

    @property
    def evidence(self) -> dict[str, object]:
        """The observation of the statement, for programs; empty without a server."""
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
        return effects.work(self.observation)

    def rewrote(self, name: Name) -> bool:
        """Whether the server rewrote the existing table, or a partition of it."""
        return any(w.kind == "rewrite" and self.belongs(w.table, name) for w in self.work())

    def scanned(self, name: Name) -> bool:
        """Whether the server read the whole existing table, or a partition of it, in a rewrite or an index build
        too.
        """
        return any(self.belongs(w.table, name) for w in self.work())

    def built(self, name: Name) -> bool:
        """Whether the server built or rebuilt an index of the existing table."""
        return any(w.kind == "build" and self.belongs(w.table, name) for w in self.work())

    def loop(self, operation: Update | Delete) -> int:
        """How many statements of the same line and transaction change every row of the existing table together, of
        which this is one; 0 where it is no loop, or leaves rows out.
        """
        found, known = self.observation, self.now.table(operation.table)
        if (
            found is None
            or found.transaction is None
            or known is None
            or self.story is None
            or self.is_new(known.name)
        ):
            return 0
        statements, rows = self.story.changed_by_line.get(of_line(operation, self.statement), (0, 0))
        return statements if statements > 1 and rows >= max(known.rows, 2) else 0

    def changes_all(self, operation: Update | Delete) -> bool:
        """Whether a statement whose WHERE need not leave rows out in production was seen to change as many rows as the
        existing table has: it joins another table, or fills a new column.
        """
        table, rows = operation.table, self.statement.rows
        known = self.now.table(table)
        columns = operation.columns if isinstance(operation, Update) else ()
        return (
            bool(operation.sources or any(self.is_new_column(table, column) for column in columns))
            and self.observed
            and self.alone
            and known is not None
            and rows is not None
            and not self.is_new(known.name)
            and rows >= max(known.rows, _FEW)
        )

    def followers(self, table: Name) -> tuple[Written, ...]:
        """What the statement was seen to delete of other existing tables, because their rows refer to `table` with
        ON DELETE CASCADE, themselves or through others.
        """
        if self.observation is None or self.understood is None:
            return ()
        named = [each.table for each in self.understood.operations if isinstance(each, Delete)]
        reached, seen = [table], []
        for origin in reached:
            for each in self.now.tables.values():
                follows = any(
                    key.kind == "foreign key"
                    and key.referenced is not None
                    and key.referenced.matches(origin)
                    and "ON DELETE CASCADE" in key.definition
                    for key in each.constraints
                )
                if follows and not any(each.name.matches(name) for name in (*reached, *named)):
                    reached.append(each.name)
        for written in self.observation.written:
            name = written.relation.as_name
            if written.deleted and any(name.matches(each) for each in reached[1:]) and not self.is_new(name):
                seen.append(written)
        return tuple(seen)

    def written_by_code(self) -> Iterator[tuple[Written, bool]]:
        """What a function, a procedure or a DO block that the statement runs has changed in existing tables whose
        name the statement need not tell, and whether that was every row.
        """
        if self.observation is None or self.observation.transaction is None or self.understood is None:
            return
        kinds = Update | Delete | Merge | Insert | Truncate
        if any(isinstance(each, kinds) for each in self.understood.operations):
            return
        seen = self.observation
        changed = {each.relation.as_name for each in seen.written}
        others = [
            lock.relation
            for lock in seen.locks
            if lock.mode is LockMode.ROW_EXCLUSIVE
            and lock.relation.is_table
            and lock.relation.as_name not in changed
        ]
        for each in seen.written:
            if each.deleted and others:  # the rows may have been moved there
                continue
            known = self.now.table(each.relation.as_name)
            if known is not None and not self.is_new(known.name):
                yield each, max(each.updated, each.deleted) >= max(known.rows, _FEW)

    def says(self, words: str) -> bool:
        """Whether a server message that contains `words` was received while the statement ran."""
        return self.observation is not None and self.observation.says(words)

    # -- what the transaction holds ---------------------------------------------------------------

    def blocking(self) -> tuple[Held, ...]:
        """Locks on existing tables that were held before this statement and that block writes, strongest first."""
        return self.understood.blocked if self.understood is not None else ()

    @property
    def held(self) -> Mapping[tuple[str, str], Held]:
        """Strongest lock per existing relation (schema, name) that the transaction held *before* this statement."""
        return self.understood.held if self.understood is not None else {}

    def same_transaction(self) -> tuple[tuple[Operation, Statement], ...]:
        """Operations that came before this one in its transaction."""
        return self.earlier[self.understood.transaction_start :] if self.understood is not None else ()

    def belongs(self, relation: Relation, name: Name) -> bool:
        """Whether the relation is the table itself or a partition of it, at any depth."""
        table: Name | None = relation.as_name
        while table is not None:
            if table.matches(name):
                return True
            known = self.now.table(table)
            table = known.partition_of if known else None
        return False

    def _relations(self) -> Iterator[Relation]:
        found = self.observation
        if found is not None:
            yield from relations_of(found)
            for held in self.held.values():
                yield held.relation

    def all_locks(self) -> tuple[Lock, ...]:
        """Every lock that this statement newly took, indexes and new relations too."""
        return self.understood.locks if self.understood is not None else ()


def _is_of(difference: Difference, table: str, column: str | None) -> bool:
    """Whether the table, or its column, is not what it was."""
    if difference.kind == "table":
        return difference.name == table
    return difference.kind == "column" and difference.table == table and difference.name == column


def _same(one: Name | None, other: Name) -> bool:
    return one is not None and one.matches(other)
