"""Generates rows for the base state: valid ones, so that what fails on production rows also fails in the rehearsal.

PostgreSQL decides what is valid. Each table is filled by one INSERT of ordinary values; if a constraint rejects
them, by one that chooses among candidates taken from the constraint itself; if that is rejected too, row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import Catalogue, Skipped, Table
from reviewer.rows import insertion, shape, values
from reviewer.rows.insertion import NoParents, Way
from reviewer.rows.shape import Key, Schema, Shape
from reviewer.sql.names import VERSION_TABLE, Name

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection

_PATIENCE = "10s"
"""Time limit for one table, including the project's triggers."""


_SAVEPOINT = "alembic_reviewer_row"
_FORCED = "SET LOCAL session_replication_role = replica"
_NOT_FORCED = "SET LOCAL session_replication_role = origin"
_OF_THE_MOMENT = ("08", "40", "53", "55", "57", "58", "XX")
"""Classes of errors that another run may not meet: timeouts, a full disk, deadlocks, a broken server."""


class Filled(Struct, frozen=True):
    """The result of `fill`."""

    catalogue: Catalogue
    """The catalogue with the number of rows of each table."""
    tables: tuple[Name, ...]
    """Tables that hold generated rows. All of them were empty before."""
    skipped: tuple[Skipped, ...]
    """Tables that accepted no row, each with the reason."""
    schema: Schema | None = None
    """The tables, as they were read for it."""
    lasting: bool = True
    """Whether another run would lead to the same: no statement was rejected for a reason of the moment, such as the
    time that it took."""


def fill(
    connection: Connection[tuple[object, ...]],
    catalogue: Catalogue,
    rows: int,
    version_table: str = VERSION_TABLE,
    newest: int | None = None,
    first: int = 1,
) -> Filled:
    """Insert up to `rows` rows into every empty table. Every value is determined by its table, column and the number
    of the row, counted from `first`. Tables with a higher oid than `newest` stay as they are.

    A partitioned table gets its rows through those of its partitions that accept any. A table that accepts no row
    is reported as skipped, with PostgreSQL's reason.
    """
    schema = shape.read(connection)
    with connection.transaction():
        connection.execute("SET LOCAL client_min_messages = error")
        connection.execute("SET LOCAL jit = off")
        connection.execute(f"SET LOCAL statement_timeout = '{_PATIENCE}'")
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        work = _Work(connection, schema, version_table, newest, first)
        if rows:
            work.fill(rows)
    counted = {table.name: work.counts.get(table.oid, 0) for table in schema.tables}
    tables = tuple(replace(table, rows=_counted(table, counted)) for table in catalogue.tables)
    known = replace(catalogue, tables=tables)
    return Filled(known, tuple(work.filled), tuple(work.skipped), schema, work.lasting)


def take_out(connection: Connection[tuple[object, ...]], tables: Iterable[Name]) -> None:
    """Delete all rows of `tables`, without firing triggers or following foreign keys."""
    import psycopg

    names = [table.sql for table in tables]
    if not names:
        return
    try:
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            for name in names:
                connection.execute(f"DELETE FROM ONLY {name}".encode())
    except psycopg.errors.InsufficientPrivilege:
        # on a user's server: the tables with foreign keys to each other are all among them
        connection.execute(f"TRUNCATE {', '.join(names)}".encode())


def _counted(table: Table, counted: dict[Name, int]) -> int:
    exact = counted.get(table.name)
    if exact is not None:
        return exact
    return next((number for name, number in counted.items() if name.matches(table.name)), 0)


class _Work:
    def __init__(
        self,
        connection: Connection[tuple[object, ...]],
        schema: Schema,
        version_table: str,
        newest: int | None = None,
        first: int = 1,
    ) -> None:
        self._connection = connection
        self._first = first
        self._schema = schema
        self._tables = [
            t for t in schema.tables if t.name.name != version_table and (newest is None or t.oid <= newest)
        ]
        self.filled: list[Name] = []
        self.skipped: list[Skipped] = []
        self.lasting = True
        self.counts = self._count(schema.tables)
        self._forced = False

    def fill(self, rows: int) -> None:
        order = list(_parents_first(self._schema, self._tables))
        later: list[tuple[Shape, Key]] = []
        had = {oid for oid, count in self.counts.items() if count}
        for table, missing in order:
            if table.partitioned or table.oid in had or (table.root and table.root in had):
                continue
            reason = self._fill_table(table, rows, missing)
            if self.counts[table.oid]:
                self.filled.append(table.name)
                later += [(table, key) for key in table.keys if key in missing or key.referenced == table.oid]
            else:
                self.skipped.append(Skipped(f"rows of table {table.name}", reason))
        for table in self._tables:
            if table.partitioned and not any(self._schema.leaves(table.oid)) and not table.root:
                self.skipped.append(
                    Skipped(f"rows of table {table.name}", "it is partitioned and has no partition")
                )
        for table, key in later:
            self._set_later(table, key)
        if self._forced:
            self._sweep()
        self.counts |= self._count(table for table in self._tables if table.partitioned)

    def _fill_table(self, table: Shape, rows: int, missing: tuple[Key, ...]) -> str:
        later = insertion.names(missing)
        number, first = rows, self._first
        if table.root:
            leaves = list(self._schema.leaves(table.root))
            number = max(-(-rows // len(leaves)), 1)
            first += leaves.index(table) * number
        forced = any(not f.nullable for key in missing for f in table.fields if f.name in key.columns)
        self._forced = self._forced or forced
        reason = ""
        tried_judged = False
        for way in self._ways(table, Way(number, first, later=later)):
            try:
                statement = insertion.statement(self._schema, table, self.counts, way)
            except NoParents as error:
                return str(error)
            refused = self._insert(table, statement, forced)
            if refused is None:
                return ""
            if not reason or (way.judged and not tried_judged and refused):
                reason = refused or reason
            tried_judged = tried_judged or way.judged
        return reason or "no generated row satisfies its constraints"

    def _ways(self, table: Shape, plain: Way) -> Iterator[Way]:
        """Yield ways to fill the table, from the most complete to the most minimal. Each is tried if the previous
        one was rejected.
        """
        yield plain
        left_out = self._unmade(table)
        plain = replace(plain, left_out=left_out)
        if left_out:
            yield plain
        yield replace(plain, judged=True)
        yield replace(plain, judged=True, one_by_one=True)
        yield replace(plain, judged=True, required_only=True)
        yield replace(plain, judged=True, required_only=True, one_by_one=True)

    def _unmade(self, table: Shape) -> frozenset[str]:
        """Return the columns for which the server cannot produce a value, such as `xml` if it was built without
        libxml.
        """
        found = {each.name: values.ordinary(self._schema, each, str(table.name)) for each in table.fields}
        made = {name: expression for name, expression in found.items() if expression is not None}
        if not made or self._evaluates(made.values()):
            return frozenset()
        return frozenset(name for name, expression in made.items() if not self._evaluates([expression]))

    def _evaluates(self, expressions: Iterable[str]) -> bool:
        import psycopg

        try:
            with self._connection.transaction():
                self._connection.execute(f"SELECT {', '.join(expressions)} FROM (VALUES (1)) s (g)".encode())
        except psycopg.Error as error:
            self._note(error)
            return False
        return True

    def _note(self, error: psycopg.Error) -> None:
        self.lasting = self.lasting and not (error.sqlstate or "XX").startswith(_OF_THE_MOMENT)

    def _insert(self, table: Shape, statement: str, forced: bool) -> str | None:
        """Insert rows. Returns None if any were accepted, otherwise the reason; empty if there was no error."""
        import psycopg

        # one text for everything: there is one such text per table
        texts = [f"SAVEPOINT {_SAVEPOINT}", statement, f"RELEASE SAVEPOINT {_SAVEPOINT}"]
        if forced:
            texts[1:2] = [_FORCED, statement, _NOT_FORCED]
        try:
            done = self._connection.execute(";\n".join(texts).encode())
        except psycopg.Error as error:
            self._note(error)
            self._connection.execute(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}; RELEASE SAVEPOINT {_SAVEPOINT}")
            return _reason(error)
        count, more = None, True
        while more:  # a rule on the table may return further results
            if (done.statusmessage or "").startswith("INSERT"):
                count = done.rowcount
            more = bool(done.nextset())
        if count is None:  # it was a loop
            count = self._count([table])[table.oid]
        if not count:
            return ""
        self.counts[table.oid] = count
        if table.root:
            self.counts[table.root] = self.counts.get(table.root, 0) + count
        return None

    def _set_later(self, table: Shape, key: Key) -> None:
        """Set a foreign key if the other constraints allow it. A row whose reference stays NULL is valid too."""
        import psycopg

        statement = insertion.set_later(self._schema, table, key, self.counts)
        if statement is None:
            return
        try:
            with self._connection.transaction():
                if self._forced:
                    self._connection.execute("SET LOCAL session_replication_role = replica")
                self._connection.execute(statement.encode())
                if self._forced:
                    self._connection.execute("SET LOCAL session_replication_role = origin")
        except psycopg.Error as error:
            self._note(error)

    def _sweep(self) -> None:
        """Delete rows that were inserted with foreign keys disabled and whose references do not exist."""
        keys = [
            (t, k)
            for t in self._tables
            if t.name in self.filled
            for k in t.keys
            if self._schema.table(k.referenced)
        ]
        with self._connection.transaction():
            self._connection.execute("SET LOCAL session_replication_role = replica")
            gone = -1
            while gone:
                gone = 0
                for table, key in keys:
                    gone += self._connection.execute(insertion.orphans(self._schema, table, key).encode()).rowcount
            self._connection.execute("SET LOCAL session_replication_role = origin")
        self.counts = self._count(self._schema.tables)
        for table in self._tables:
            if table.name in self.filled and not self.counts[table.oid]:
                self.filled.remove(table.name)
                reason = "its foreign keys form a cycle in which no row can be the first"
                self.skipped.append(Skipped(f"rows of table {table.name}", reason))

    def _count(self, tables: Iterable[Shape]) -> dict[int, int]:
        found: dict[int, int] = {}
        listed = list(tables)
        for start in range(0, len(listed), 200):
            query = " UNION ALL ".join(
                f"SELECT {t.oid}, pg_catalog.count(*) FROM {t.name.sql if t.partitioned else 'ONLY ' + t.name.sql}"
                for t in listed[start : start + 200]
            )
            for oid, count in self._connection.execute(query.encode()).fetchall():
                found[int(str(oid))] = int(str(count))
        return found


def _reason(error: Exception) -> str:
    import psycopg

    assert isinstance(error, psycopg.Error)
    return (error.diag.message_primary or str(error)).strip().split("\n")[0]


def _parents_first(schema: Schema, tables: Iterable[Shape]) -> Iterator[tuple[Shape, tuple[Key, ...]]]:
    """Yield the tables in an order in which rows can refer to rows, each with the foreign keys that must be set
    later.
    """
    waiting = {table.oid: table for table in tables}
    while waiting:
        # a partitioned table counts as filled once its partitions are
        open_ = {oid for oid, table in waiting.items()} | {t.root for t in waiting.values() if t.root}
        ready = [
            table
            for table in waiting.values()
            if not any(
                key.referenced in open_ and key.referenced not in {table.oid, table.root} for key in table.keys
            )
            and not (table.partitioned and any(leaf.oid in waiting for leaf in schema.leaves(table.oid)))
        ]
        missing: dict[int, tuple[Key, ...]] = {}
        if not ready:
            first = min(
                (t for t in waiting.values() if not t.partitioned),
                key=lambda t: _broken(t, _open_keys(t, open_)),
                default=next(iter(waiting.values())),
            )
            ready = [first]
            missing = {first.oid: _open_keys(first, open_)}
        for table in ready:
            yield table, missing.get(table.oid, ())
            del waiting[table.oid]


def _open_keys(table: Shape, open_: set[int]) -> tuple[Key, ...]:
    return tuple(key for key in table.keys if key.referenced in open_ and key.referenced != table.oid)


def _broken(table: Shape, keys: tuple[Key, ...]) -> tuple[int, int, str]:
    """Return the cost of filling the table before those it refers to. Required keys weigh most."""
    required = {each.name for each in table.fields if not each.nullable}
    return (sum(all(c in required for c in key.columns) for key in keys), len(keys), str(table.name))
