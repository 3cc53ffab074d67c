"""The round trip of one revision: the catalogue and the rows before the upgrade, after it, and after the downgrade."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

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
from reviewer.rows import shape, writing
from reviewer.rows.shape import Schema
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name
from reviewer.sql.operations import (
    AddEnumValue,
    DoBlock,
    Insert,
    Merge,
    RenameColumn,
    RenameTable,
    Select,
    SetSchema,
    Update,
)

if TYPE_CHECKING:
    from psycopg import Connection

    from reviewer.postgres import RunningServer

_FOLLOWS = re.compile(r" ON DELETE (?:CASCADE|SET)")
_MOST_TABLES = 30
"""The most tables of one revision into which new rows are written."""


class _Renamed(Struct, frozen=True):
    """The tables and columns that the downgrade renames."""

    old: frozenset[str]
    """Their names in the upgraded schema."""
    new: frozenset[str]
    """Their names in the schema before it."""

    @classmethod
    def by(cls, down: Pass) -> _Renamed:
        """Collect the renames in the statements of `down`."""
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
    """Return the tables of the base state that the revision's own statements have locked for writing, changed or
    scanned.
    """
    return tuple(dict.fromkeys(r.as_name for r in _used(passes) if not r.new))[:_MOST_TABLES]


def reached(passes: Iterable[Pass]) -> tuple[Name, ...]:
    """Return all tables that `touched` considers, including those created in the same run, without a limit."""
    return tuple(dict.fromkeys(relation.as_name for relation in _used(passes)))


def relabelled(passes: Iterable[Pass], known: Catalogue) -> tuple[Name, ...]:
    """Return the tables that can hold a label which the revision adds to a type: that locks none of them."""
    types = [
        operation.type
        for each in passes
        for statement in each.statements
        if statement.origin is Origin.REVISION
        for operation in operations(statement)
        if isinstance(operation, AddEnumValue)
    ]
    return tuple(
        table.name
        for table in known.tables
        if not table.kind.endswith("view")
        and any(
            type_.matches(Name.told(column.type.removesuffix("[]"))) for column in table.columns for type_ in types
        )
    )[:_MOST_TABLES]


def made(passes: Iterable[Pass]) -> frozenset[Name]:
    """Return the tables that `passes` have used and that did not exist before them."""
    return frozenset(relation.as_name for relation in _used(passes) if relation.new)


def locked(passes: Iterable[Pass]) -> frozenset[Name]:
    """Return every table that the revision's own statements have read or changed, including those created in the
    same run.
    """
    return frozenset(
        lock.relation.as_name for seen in _observed(passes) for lock in seen.locks if lock.relation.is_table
    )


def blamed(passes: Iterable[Pass], tables: Iterable[Name]) -> tuple[Name, ...]:
    """Return those of `tables` whose rows may have made one of `passes` fail: the tables that it had used by then,
    and those that the failing statement names.
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
    """Yield existing tables whose rows are written. A lock alone, such as the one for an index, changes no row."""
    for seen in _observed(passes):
        written = [lock.relation for lock in seen.locks if lock.mode is LockMode.ROW_EXCLUSIVE]
        yield from (r.as_name for r in (*written, *seen.rewritten) if _holds_rows(r) and not r.new)


def _holds_rows(relation: Relation) -> bool:
    """Return whether the relation holds rows that cannot be recomputed, as those of a materialized view can."""
    return relation.is_table and relation.kind != "materialized view"


def _observed(passes: Iterable[Pass]) -> Iterator[Observation]:
    for each in passes:
        for statement in each.statements:
            if statement.observation is not None and statement.origin is Origin.REVISION:
                yield statement.observation


def reads_rows(passes: Sequence[Pass]) -> bool:
    """Return whether the success of a statement may depend on the rows of existing tables."""
    for seen in _observed(passes):
        if any(not scan.relation.new for scan in seen.scanned) or any(not r.new for r in seen.rewritten):
            return True
        if any(not index.table_new for index in seen.built):
            return True
    # what an UPDATE computes depends on the rows that an index finds, too, or would find
    return any(
        isinstance(operation, Update | Merge)
        for each in passes
        for statement in each.statements
        if statement.origin is Origin.REVISION
        for operation in operations(statement)
    )


def asks_for_rows(passes: Iterable[Pass], tables: Collection[Name]) -> bool:
    """Return whether what follows a statement may depend on what it reads in one of `tables`."""
    for each in passes:
        for statement in each.statements:
            for operation in operations(statement):
                match operation:
                    case Select(tables=read) if any(name.matches(table) for name in read for table in tables):
                        return True
                    case DoBlock(body=body) if any(table.name in body for table in tables):
                        return True
    return False


class Departure(Struct, frozen=True):
    """The state before the upgrade."""

    catalogue: Catalogue
    snapshot: Snapshot
    rows: tuple[Rows, ...]
    database: str
    """The database in which it was read."""
    replayable: bool = True
    """Whether a replay of the revisions in another database leads to the same rows."""
    tables: tuple[Name, ...] = ()
    """The tables that the revision uses and that an application may write to."""
    touched: tuple[Name, ...] = ()
    """All tables that the revision uses."""
    changed: tuple[Name, ...] = ()
    """The existing tables whose rows the upgrade writes."""
    worked: trials.Before | None = None
    """Which of the ordinary statements that were tried succeeded."""


def _copied_back(down: Pass, name: str) -> bool:
    """Return whether the downgrade copies the rows of the table `name` into another table before it drops it."""
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


def _really(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return those of `differences` that are not only other words: a list of texts is written in another way once PostgreSQL
    has built its constraint or index again, for another type and back.
    """
    return tuple(
        each
        for each in differences
        if each.before is None or each.after is None or _plainly(each.before) != _plainly(each.after)
    )


def _plainly(definition: str) -> str:
    """A definition without the casts of its literals from one text type to another."""
    plain = _CAST_TWICE.sub(r"\1", definition)
    return _CAST_LIST.sub(r"ARRAY[\1]", _CAST.sub(r"\1", plain))


_LITERAL = r"('(?:[^']|'')*')::character varying"
_CAST_TWICE = re.compile(rf"\({_LITERAL}\)::text\b(?!\[)")
_CAST = re.compile(_LITERAL)
_CAST_LIST = re.compile(r"\(ARRAY\[((?:'(?:[^']|'')*'|[^'\]])*)\]\)::text\[\]")


class RoundTrip:
    """Follows one revision, the one at `position`, from its first upgrade to its second."""

    def __init__(
        self,
        server: RunningServer,
        departure: Departure,
        version_table: str,
        position: int,
        marked: Snapshot | None = None,
    ) -> None:
        """`marked` is a snapshot of a database from which all that are looked at descend."""
        self._server = server
        self._first = writing.first_row(position)
        self._before = departure
        self._version_table = version_table
        self._marked = marked
        self.upgraded: Snapshot | None = None
        self.changes: tuple[Difference, ...] = ()
        """What the upgrade changed in the catalogue."""
        self.afterwards: Afterwards | None = None
        """What worked before the upgrade and is rejected after it."""
        self.doubt: str | None = None
        """Why that is not known."""
        self._rows: tuple[Rows, ...] = ()
        """The rows that the upgrade has left in the tables that existed before."""
        self._written: tuple[Rows, ...] = ()
        """The same rows, and those that were written after the upgrade."""
        self._stretched: tuple[Rows, ...] = ()
        """The values that only the upgraded schema allows."""
        self._bent: tuple[Loss, ...] = ()
        """What a downgrade has changed in them."""

    def went_up(self, revision: str, database: str, write: bool) -> bool:
        """Read the upgraded state, and if `write` is true, write new rows as an application would. Returns whether
        any were written.
        """
        with self._look(database) as connection:
            self.upgraded = self._taken(connection)
            self.changes = catalogue_snapshot.compare(self._before.snapshot, self.upgraded)
            schema = shape.read(connection, self._near())
            if self._before.worked is not None:
                self.afterwards, self.doubt = self._tried_again(connection, revision, self._before.worked, schema)
            if not write:
                return False
            self._rows = self._read(connection)
            renamed = catalogue_snapshot.renamed_columns(self._before.snapshot, self.upgraded)
            # a NULL in a column that existed under another name is a value of the old state
            changes = [d for d in self.changes if d.kind != "column" or (d.table, d.name) not in renamed]
            wrote = writing.add(connection, schema, self._tables_now(), changes, self._first)
            self._written = self._read(connection) if wrote else ()
            return wrote

    def _tried_again(
        self, connection: Connection[tuple[object, ...]], revision: str, worked: trials.Before, schema: Schema
    ) -> tuple[Afterwards | None, str | None]:
        import psycopg

        try:
            return trials.after(connection, revision, worked, self.changes, schema), None
        except psycopg.Error as error:
            return None, str(error).strip().split("\n")[0]

    def stretch(self, database: str) -> tuple[str, ...]:
        """Write to a clone of the upgraded state what only the upgraded schema allows. Returns a description of
        what was written.
        """
        with self._look(database) as connection:
            before = self._read(connection)
            told = writing.stretch(connection, self._tables_now(), self.changes, self._first, self._new_parents())
            self._stretched = row_comparison.changed(before, self._read(connection)) if told else ()
            return told

    def stretched_went_down(self, database: str) -> None:
        """Read what the downgrade of that clone has made of these values."""
        with self._look(database) as connection:
            found = row_comparison.lost(self._stretched, self._read(connection))
        self._bent = tuple(replace(loss, allowed_before=False) for loss in found)

    @property
    def stretches(self) -> bool:
        """Whether the upgraded schema allows anything that the old one does not."""
        return bool(self._before.rows) and (writing.stretches(self.changes) or bool(self._new_parents()))

    def _new_parents(self) -> tuple[writing.Parent, ...]:
        """Return the rows that the upgrade has inserted and that rows of other tables can refer to. A foreign key that
        follows a DELETE does not count.
        """
        found = []
        for rows in row_comparison.added(self._before.rows, self._rows):
            for table in self._before.catalogue.tables if rows.rows else ():
                for each in table.constraints:
                    if (
                        _FOLLOWS.search(each.definition)
                        or each.referenced != rows.table
                        or rows.table == table.name
                    ):
                        continue
                    if len(each.referenced_columns) == 1 and each.referenced_columns[0] in rows.rows[0]:
                        value = rows.rows[0][each.referenced_columns[0]]
                        found.append(writing.Parent(rows.table, table.name, each.columns[0], str(value)))
        return tuple(found)

    def went_down(self, database: str, each: Pass, written: bool) -> Pass:
        """Return the pass of the downgrade with what it left behind, lost and removed.

        `written` says whether the rows that were written after the upgrade existed when it ran.
        """
        assert self.upgraded is not None
        with self._look(database) as connection:
            now = self._taken(connection)
            rows = self._read(connection)
        same = self._before.replayable or database == self._before.database
        ours = row_comparison.added(self._rows, self._written) if written else ()
        theirs = row_comparison.taken_back(rows, self._rows, self._written) if written else rows
        losses = row_comparison.compare(self._before.rows, theirs, ours) if same else ()
        losses = tuple(loss for loss in losses if not self._told_above(loss, losses))
        new = self._new_losses(rows) if written else []
        known = {(loss.table, loss.column) for loss in losses}
        told = known | {(loss.table, loss.column) for loss in new}
        renamed = _Renamed.by(each)
        # the columns of a partition, or of another table that inherits, have the names that the parent's columns
        # have
        below = catalogue_snapshot.renamed_columns(self._before.snapshot, self.upgraded)
        named = {name.rpartition(".")[2] for name in renamed.old}
        back = renamed.old | {f"{table}.{column}" for table, column in below if column in named}
        brought = [
            f"{difference.table}.{difference.name}" if difference.table else difference.name
            for difference in self.changes
            if difference.change is Change.LEFT_BEHIND and difference.kind in {"table", "column"}
        ]
        brought += self._in_new_schemas()
        differences = _really(catalogue_snapshot.compare(self._before.snapshot, now))
        still = {
            f"{d.table}.{d.name}" if d.table else d.name for d in differences if d.change is Change.LEFT_BEHIND
        }
        return replace(
            each,
            compared=True,
            unread=self._unread(each, rows if same else (), differences, renamed),
            differences=differences,
            losses=losses,
            new_losses=(
                *(loss for loss in new if (loss.table, loss.column) not in known),
                *(loss for loss in self._bent if (loss.table, loss.column) not in told),
            ),
            brought=tuple(
                name
                for name in brought
                if not {name, name.rpartition(".")[0]} & back and name not in still and not _copied_back(each, name)
            ),
        )

    def _in_new_schemas(self) -> Iterator[str]:
        """The tables that the upgrade has made, not moved there, in schemas that it has made too."""
        assert self.upgraded is not None
        schemas = {d.name for d in self.changes if d.change is Change.LEFT_BEHIND and d.kind == "schema"}
        moved = {
            d.name.rpartition(".")[2] for d in self.changes if d.change is Change.MISSING and d.kind == "table"
        }
        for key in self.upgraded.objects:
            if key.kind == "table" and key.schema in schemas and key.name not in moved:
                yield str(Name(key.name, key.schema))

    def went_up_again(self, database: str, each: Pass) -> tuple[Pass, Snapshot]:
        """Return the pass of the second upgrade with the differences between its result and the first one's; and
        the state now.
        """
        assert self.upgraded is not None
        with self._look(database) as connection:
            now = self._taken(connection)
        return replace(
            each, compared=True, differences=_really(catalogue_snapshot.compare(self.upgraded, now))
        ), now

    def _told_above(self, loss: Loss, losses: Iterable[Loss]) -> bool:
        """Return whether the loss is already reported for the partitioned table that contains the rows."""
        table = self._before.catalogue.table(Name.told(loss.table))
        if table is None or table.partition_of is None:
            return False
        above = str(table.partition_of)
        return any(other.table == above and other.column == loss.column for other in losses)

    def _unread(
        self, down: Pass, after: tuple[Rows, ...], differences: Iterable[Difference], renamed: _Renamed
    ) -> tuple[str, ...]:
        """Return the tables that the revision uses and whose rows could not be compared with those `after`."""
        read = {str(rows.table) for rows in after}
        gone = {d.name for d in differences if d.kind == "table" and d.change is Change.MISSING}
        known = {str(rows.table) for rows in self._before.rows} & (read | gone)
        known -= self._emptied(down, renamed)
        concerned = dict.fromkeys((*self._before.touched, *changed([down])))
        there = [name for name in concerned if self._before.catalogue.table(name) is not None]
        return tuple(str(name) for name in there if str(name) not in known)

    def _emptied(self, down: Pass, renamed: _Renamed) -> set[str]:
        """Return the tables that hold no generated row, but whose rows, which may exist in production, the revision
        changes.
        """
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
        """Return what rows lost that were written after the upgrade.

        It is not certain that the schema before the upgrade would allow a value of a column that the upgrade
        changed, by its type, the labels of the type or a constraint, or a row of a table that has a new partition.
        """
        changed = {(d.table, d.name) for d in self.changes if d.kind == "column" and d.change is Change.CHANGED}
        tables = {table for table, _ in changed} | self._with_new_partitions()
        changed |= set(self._with_other_values())
        found = []
        for loss in row_comparison.survivors(self._before.rows, self._rows, self._written, rows):
            doubt = loss.table in tables if loss.column is None else (loss.table, loss.column) in changed
            found.append(replace(loss, allowed_before=loss.allowed_before and not doubt))
        return found

    def _with_other_values(self) -> Iterator[tuple[str, str]]:
        """Return the columns whose enum type has other labels now, and those of constraints that are gone or read
        otherwise.
        """
        changed = [d for d in self.changes if d.change in {Change.CHANGED, Change.MISSING}]
        labels = {Name.told(d.name).name for d in changed if d.kind == "enum type"}
        constraints = {(d.table, d.name) for d in changed if d.kind == "constraint"}
        for table in self._before.catalogue.tables:
            name = str(table.name)
            for column in table.columns:
                if Name.told(column.type.removesuffix("[]")).name in labels:
                    yield name, column.name
            for constraint in table.constraints:
                if (name, constraint.name) in constraints:
                    yield from ((name, column) for column in constraint.columns)

    def _with_new_partitions(self) -> set[str | None]:
        """Return the partitioned tables that may have a new partition. A row that was written may be in it, and was
        not possible before.
        """
        assert self.upgraded is not None
        came = [key for key in self.upgraded.objects if key not in self._before.snapshot.objects]
        if not any(key.kind == "table" and "partition bound" in self.upgraded.about(key) for key in came):
            return set()
        return {str(each.name) for each in self._before.catalogue.tables if each.kind == "partitioned table"}

    def _taken(self, connection: Connection[tuple[object, ...]]) -> Snapshot:
        return catalogue_snapshot.take(connection, self._version_table, self._server.roles, self._marked)

    def _read(self, connection: Connection[tuple[object, ...]]) -> tuple[Rows, ...]:
        return row_comparison.read(connection, self._before.catalogue, (rows.table for rows in self._before.rows))

    def _tables_now(self) -> list[Name]:
        new = [d.name for d in self.changes if d.kind == "table" and d.change is Change.LEFT_BEHIND]
        return [*self._before.tables, *map(Name.told, new[:_MOST_TABLES])]

    def _near(self) -> list[Name | int]:
        """Return the tables that are tried or written to after the upgrade."""
        made = (d for d in self.changes if d.kind == "table" and d.change is Change.LEFT_BEHIND)
        tried = self._before.worked.state.concerned if self._before.worked is not None else ()
        named = (each.name for each in tried)  # a table may have been rebuilt
        return [*(each.oid for each in tried), *named, *(Name.told(d.name) for d in made), *self._before.tables]

    @contextlib.contextmanager
    def _look(self, database: str) -> Iterator[Connection[tuple[object, ...]]]:
        self._server.enter(database)
        with self._server.look(database) as connection:
            # the process of the migration may have left a transaction open
            connection.execute("SET lock_timeout = '2s'; SET client_min_messages = error")
            yield connection
