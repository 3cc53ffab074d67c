"""The way there and back of one revision: what the catalogue and the rows are before, between and after."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reviewer.recording import (
    Afterwards,
    Catalogue,
    Change,
    Difference,
    Loss,
    Observation,
    Origin,
    Outcome,
    Pass,
    Relation,
)
from reviewer.rehearsal import catalogue_snapshot, row_comparison, trials
from reviewer.rehearsal.catalogue_snapshot import Snapshot
from reviewer.rehearsal.row_comparison import Rows
from reviewer.replay.stream import operations
from reviewer.rows import writing
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from reviewer.sql.operations import Insert, Merge, RenameColumn, RenameTable, SetSchema, Update

if TYPE_CHECKING:
    from psycopg import Connection

    from reviewer.postgres import RunningServer

_MOST_TABLES = 30
"""Into no more tables than that of one revision new rows are written."""


@dataclass(frozen=True)
class _Renamed:
    """The tables and columns to which the downgrade gives another name."""

    old: frozenset[str]
    """What the upgraded schema calls them."""
    new: frozenset[str]
    """What the schema before it called them."""

    @classmethod
    def by(cls, down: Pass) -> _Renamed:
        """What the statements of `down` rename."""
        old, new = set(), set()
        for statement in down.statements:
            for operation in operations(statement) if _RENAMES.search(statement.sql) else ():
                match operation:
                    case RenameColumn(table=table, column=column, new_name=name):
                        old.add(f"{table}.{column}")
                        new.add(f"{table}.{name}")
                    case RenameTable(table=table, new_name=name):
                        old.add(str(table))
                        new.add(str(Name(name, table.schema)))
                    case SetSchema(object=table, new_schema=schema):
                        new.add(str(Name(table.name, schema)))
        return cls(frozenset(old), frozenset(new))


_RENAMES = re.compile(r"\brename\b|\bset\s+schema\b", re.IGNORECASE)


def touched(passes: Iterable[Pass]) -> tuple[Name, ...]:
    """Tables of the base state that the revision's own statements have locked for writing, changed or read whole."""
    return tuple(dict.fromkeys(r.as_name for r in _used(passes) if not r.new))[:_MOST_TABLES]


def reached(passes: Iterable[Pass]) -> tuple[Name, ...]:
    """The same of all tables, those that were made in the same run too, however many."""
    return tuple(dict.fromkeys(relation.as_name for relation in _used(passes)))


def made(passes: Iterable[Pass]) -> frozenset[Name]:
    """Tables that `passes` have used and that were not there before them."""
    return frozenset(relation.as_name for relation in _used(passes) if relation.new)


def locked(passes: Iterable[Pass]) -> frozenset[Name]:
    """Every table that the revision's own statements have looked at or changed, those that were made in the same run
    too.
    """
    return frozenset(
        lock.relation.as_name for seen in _observed(passes) for lock in seen.locks if lock.relation.is_table
    )


def blamed(passes: Iterable[Pass], tables: Iterable[Name]) -> tuple[Name, ...]:
    """Of `tables` those whose rows may have made one of `passes` fail: what it had looked at by then, and what the
    statement that failed names.
    """
    failed = [each for each in passes if each.outcome is Outcome.FAILED]
    seen = locked(failed)
    words = {word for each in failed if each.failure for word in _WORD.findall((each.failure.sql or "").lower())}
    return tuple(
        name for name in tables if name.name.lower() in words or any(name.matches(other) for other in seen)
    )


_WORD = re.compile(r"[\w$]+")


def _used(passes: Iterable[Pass]) -> Iterator[Relation]:
    for seen in _observed(passes):
        relations = [lock.relation for lock in seen.locks if lock.mode >= LockMode.ROW_EXCLUSIVE]
        relations += [*seen.rewritten, *(scan.relation for scan in seen.scanned)]
        yield from (relation for relation in relations if _holds_rows(relation))


def changed(passes: Iterable[Pass]) -> Iterator[Name]:
    """Existing tables whose rows are written. A lock alone, as for an index, changes no row."""
    for seen in _observed(passes):
        written = [lock.relation for lock in seen.locks if lock.mode is LockMode.ROW_EXCLUSIVE]
        yield from (r.as_name for r in (*written, *seen.rewritten) if _holds_rows(r) and not r.new)


def _holds_rows(relation: Relation) -> bool:
    """Whether rows of its own live in it: those of a materialized view can be computed again."""
    return relation.is_table and relation.kind != "materialized view"


def _observed(passes: Iterable[Pass]) -> Iterator[Observation]:
    for each in passes:
        for statement in each.statements:
            if statement.observation is not None and statement.origin is Origin.REVISION:
                yield statement.observation


def reads_rows(passes: Iterable[Pass]) -> bool:
    """Whether a statement's success may depend on what the rows of existing tables hold."""
    for seen in _observed(passes):
        if any(not scan.relation.new for scan in seen.scanned) or any(not r.new for r in seen.rewritten):
            return True
        if any(not index.table_new for index in seen.built):
            return True
    return False


@dataclass(frozen=True)
class Departure:
    """The state before the upgrade."""

    catalogue: Catalogue
    snapshot: Snapshot
    rows: tuple[Rows, ...]
    database: str
    """Where this was seen."""
    replayable: bool = True
    """Whether a replay of the revisions in another database leads to the same rows."""
    tables: tuple[Name, ...] = ()
    """Those that the revision touches and an application may write to."""
    touched: tuple[Name, ...] = ()
    """All that the revision touches."""
    changed: tuple[Name, ...] = ()
    """Those that were there and whose rows the upgrade writes."""
    worked: trials.Before | None = None
    """The statements that ran, of those that were tried."""


def _copied_back(down: Pass, name: str) -> bool:
    """Whether the downgrade puts what the table called `name` holds into another one before it is gone."""
    table = Name.told(name)
    for statement in down.statements:
        if statement.error is None and table.name in statement.sql:
            for operation in operations(statement):
                match operation:
                    case (
                        Insert(table=into, sources=read)
                        | Update(table=into, sources=read)
                        | Merge(table=into, sources=read)
                    ) if any(source.matches(table) for source in read) and not into.matches(table):
                        return True
    return False


class RoundTrip:
    """Follows one revision, the one at `position`, from its first upgrade to its second."""

    def __init__(self, server: RunningServer, departure: Departure, version_table: str, position: int) -> None:
        self._server = server
        self._first = writing.first_row(position)
        self._before = departure
        self._version_table = version_table
        self.upgraded: Snapshot | None = None
        self.changes: tuple[Difference, ...] = ()
        """What the upgrade did to the catalogue."""
        self.afterwards: Afterwards | None = None
        """What of that which worked before it is refused after it."""
        self.doubt: str | None = None
        """Why nobody knows that."""
        self._rows: tuple[Rows, ...] = ()
        """What the upgrade has left in the tables that were there before."""
        self._written: tuple[Rows, ...] = ()
        """The same with the rows that were written after it."""
        self._stretched: tuple[Rows, ...] = ()
        """The values that only the upgraded schema allows."""
        self._bent: tuple[Loss, ...] = ()
        """What a downgrade has made of them."""

    def went_up(self, revision: str, database: str, write: bool) -> bool:
        """Look at the upgraded state, and `write` new rows as an application would; whether any were written."""
        with self._connect(database) as connection:
            self.upgraded = catalogue_snapshot.take(connection, self._version_table, self._server.roles)
            self.changes = catalogue_snapshot.compare(self._before.snapshot, self.upgraded)
            if self._before.worked is not None:
                self.afterwards, self.doubt = self._tried_again(connection, revision, self._before.worked)
            if not write:
                return False
            self._rows = self._read(connection)
            renamed = catalogue_snapshot.renamed_columns(self._before.snapshot, self.upgraded)
            # what is NULL in a column that was there under another name is a value of the old state
            changes = [d for d in self.changes if d.kind != "column" or (d.table, d.name) not in renamed]
            wrote = writing.add(connection, self._tables_now(), changes, self._first)
            self._written = self._read(connection) if wrote else ()
            return wrote

    def _tried_again(
        self, connection: Connection[tuple[object, ...]], revision: str, worked: trials.Before
    ) -> tuple[Afterwards | None, str | None]:
        import psycopg

        try:
            return trials.after(connection, revision, worked, self.changes), None
        except psycopg.Error as error:
            return None, str(error).strip().split("\n")[0]

    def stretch(self, database: str) -> tuple[str, ...]:
        """Write to a clone of the upgraded state what only the upgraded schema allows; what that was."""
        with self._connect(database) as connection:
            before = self._read(connection)
            told = writing.stretch(connection, self._tables_now(), self.changes, self._first)
            self._stretched = row_comparison.changed(before, self._read(connection)) if told else ()
            return told

    def stretched_went_down(self, database: str) -> None:
        """Look at what the downgrade of that clone has made of such values."""
        with self._connect(database) as connection:
            found = row_comparison.lost(self._stretched, self._read(connection))
        self._bent = tuple(replace(loss, allowed_before=False) for loss in found)

    @property
    def stretches(self) -> bool:
        """Whether there is anything that only the upgraded schema allows."""
        return bool(self._before.rows) and writing.stretches(self.changes)

    def went_down(self, database: str, each: Pass, written: bool) -> Pass:
        """The pass of the downgrade with what it left behind, lost and took away.

        `written`: whether the rows that were written after the upgrade were there when it ran.
        """
        assert self.upgraded is not None
        with self._connect(database) as connection:
            now = catalogue_snapshot.take(connection, self._version_table, self._server.roles)
            rows = self._read(connection)
        same = self._before.replayable or database == self._before.database
        ours = row_comparison.added(self._rows, self._written) if written else ()
        losses = row_comparison.compare(self._before.rows, rows, ours) if same else ()
        losses = tuple(loss for loss in losses if not self._told_above(loss, losses))
        new = self._new_losses(rows) if written else ()
        known = {(loss.table, loss.column) for loss in losses}
        renamed = _Renamed.by(each)
        # a column of a partition, or of another table that inherits, goes by the name that it has in the one above
        below = catalogue_snapshot.renamed_columns(self._before.snapshot, self.upgraded)
        named = {name.rpartition(".")[2] for name in renamed.old}
        back = renamed.old | {f"{table}.{column}" for table, column in below if column in named}
        brought = [
            f"{difference.table}.{difference.name}" if difference.table else difference.name
            for difference in self.changes
            if difference.change is Change.LEFT_BEHIND and difference.kind in {"table", "column"}
        ]
        differences = catalogue_snapshot.compare(self._before.snapshot, now)
        still = {
            f"{d.table}.{d.name}" if d.table else d.name for d in differences if d.change is Change.LEFT_BEHIND
        }
        return replace(
            each,
            compared=True,
            unread=self._unread(each, rows if same else (), differences, renamed),
            differences=differences,
            losses=losses,
            new_losses=tuple(loss for loss in (*new, *self._bent) if (loss.table, loss.column) not in known),
            brought=tuple(
                name
                for name in brought
                if not {name, name.rpartition(".")[0]} & back and name not in still and not _copied_back(each, name)
            ),
        )

    def went_up_again(self, database: str, each: Pass) -> tuple[Pass, Snapshot]:
        """The pass of the second upgrade with how its result differs from the first; and the state now."""
        assert self.upgraded is not None
        with self._connect(database) as connection:
            now = catalogue_snapshot.take(connection, self._version_table, self._server.roles)
        return replace(each, compared=True, differences=catalogue_snapshot.compare(self.upgraded, now)), now

    def _told_above(self, loss: Loss, losses: Iterable[Loss]) -> bool:
        """Whether it is told of the partitioned table that the rows are in."""
        table = self._before.catalogue.table(Name.told(loss.table))
        if table is None or table.partition_of is None:
            return False
        above = str(table.partition_of)
        return any(other.table == above and other.column == loss.column for other in losses)

    def _unread(
        self, down: Pass, after: tuple[Rows, ...], differences: Iterable[Difference], renamed: _Renamed
    ) -> tuple[str, ...]:
        """The tables that the revision has to do with and whose rows could not be compared with those `after`."""
        read = {str(rows.table) for rows in after}
        gone = {d.name for d in differences if d.kind == "table" and d.change is Change.MISSING}
        known = {str(rows.table) for rows in self._before.rows} & (read | gone)
        known -= self._emptied(down, renamed)
        concerned = dict.fromkeys((*self._before.touched, *changed([down])))
        there = [name for name in concerned if self._before.catalogue.table(name) is not None]
        return tuple(str(name) for name in there if str(name) not in known)

    def _emptied(self, down: Pass, renamed: _Renamed) -> set[str]:
        """The tables that hold no row of ours and whose rows, if there are any elsewhere, the revision changes."""
        empty = {rows.table for rows in self._before.rows if not rows.rows and rows.table in self._before.tables}
        written = {*self._before.changed, *changed([down])}
        lost = {
            d.table or d.name
            for d in self.changes
            if d.change is Change.MISSING
            and d.kind in {"table", "column"}
            and (f"{d.table}.{d.name}" if d.table else d.name) not in renamed.new
        }
        return {str(name) for name in empty if name in written or str(name) in lost}

    def _new_losses(self, rows: tuple[Rows, ...]) -> list[Loss]:
        """Of a column that the upgrade has changed nobody knows whether a value fits the schema before it too; nor of a
        row of a table with a new partition.
        """
        changed = {(d.table, d.name) for d in self.changes if d.kind == "column" and d.change is Change.CHANGED}
        tables = {table for table, _ in changed} | self._with_new_partitions()
        found = []
        for loss in row_comparison.survivors(self._before.rows, self._rows, self._written, rows):
            doubt = loss.table in tables if loss.column is None else (loss.table, loss.column) in changed
            found.append(replace(loss, allowed_before=loss.allowed_before and not doubt))
        return found

    def _with_new_partitions(self) -> set[str | None]:
        """The partitioned tables that may have got one: what was written may lie in it, and had no place before."""
        assert self.upgraded is not None
        came = [key for key in self.upgraded.objects if key not in self._before.snapshot.objects]
        if not any(key.kind == "table" and "partition bound" in self.upgraded.about(key) for key in came):
            return set()
        return {str(each.name) for each in self._before.catalogue.tables if each.kind == "partitioned table"}

    def _read(self, connection: Connection[tuple[object, ...]]) -> tuple[Rows, ...]:
        return row_comparison.read(connection, self._before.catalogue, (rows.table for rows in self._before.rows))

    def _tables_now(self) -> list[Name]:
        new = [d.name for d in self.changes if d.kind == "table" and d.change is Change.LEFT_BEHIND]
        return [*self._before.tables, *map(Name.told, new[:_MOST_TABLES])]

    def _connect(self, database: str) -> Connection[tuple[object, ...]]:
        self._server.enter(database)
        connection: Connection[tuple[object, ...]] = self._server.connect(database)
        # the migration's own process may have left a transaction open
        connection.execute("SET lock_timeout = '2s'")
        connection.execute("SET client_min_messages = error")
        return connection
