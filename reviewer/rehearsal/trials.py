"""What works before a revision and not after it: ordinary statements on the objects that it uses, tried in both
states.

Everything runs in a transaction that is rolled back, each statement in its own savepoint. If row-level security
makes a difference, statements run as an owner that is not a superuser and as a role with the usual privileges;
otherwise only as the latter.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from msgspec import Struct, field
from msgspec.structs import replace

from reviewer.recording import (
    Afterwards,
    Catalogue,
    Counter,
    Difference,
    Inserted,
    Pass,
    Refused,
    StaleIndex,
    Vanished,
    Visible,
)
from reviewer.rehearsal import trial_state
from reviewer.rehearsal.trial_state import Concerned, Function, State
from reviewer.replay.stream import operations
from reviewer.rows import insertion, shape, writing
from reviewer.rows import values as kinds
from reviewer.rows.insertion import NoParents, Way
from reviewer.rows.shape import Schema, Shape
from reviewer.rows.values import literal
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name, quoted
from reviewer.sql.operations import AlterObject, CreateObject, Operation

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection
    from typing_extensions import LiteralString

_FIRST = 2001
"""Number of the row that the INSERTs write, different from the numbers of rows in the base state and in other
passes."""
_PATIENCE = "2s"
_MOST_SHOWN = 200
_MOST_ROLES = 3
_NUMBERS = itertools.count(1)

_OF_THE_MOMENT = ("08", "25", "40", "53", "55P03", "57", "58", "XX")
_OWN = {
    ("table", "on conflict"): frozenset({"42P10", "55000"}),
    ("table", "on constraint"): frozenset({"42704"}),
    ("view", "insert"): frozenset({"44000", "55000"}),
    ("materialized view", "refresh"): frozenset({"55000"}),
}
"""The errors of statements that tell more than a simpler one: of ON CONFLICT, a check option, a missing index."""
_SECOND = frozenset({"23505", "23P01"})
"""What rejects the second of two rows: a unique index, an exclusion constraint."""
_NO_SUCH = frozenset({"42P01", "42703"})
_REFERRED_TO = frozenset({"23503", "23001"})


class _Attempt(Struct, frozen=True):
    oid: int
    subject: Name
    kind: str
    action: str
    sql: str
    columns: tuple[str, ...] = ()
    role: str = ""
    first: str = ""
    """SQL that runs before the statement, in the same savepoint."""
    follows: tuple[int, tuple[str, ...]] | None = None
    """For a DELETE of a row that others refer to, which follow it: the oid of their table and their columns."""
    constraint: str = ""
    """The constraint that it names."""
    as_role: str = ""
    """The role of the project that runs it."""
    finds: str = ""
    """A query that returns the row that it changes or deletes."""
    compares: str = ""
    """For an UPDATE that gives a row other values: RETURNING whether the row is as before. Errors do not count."""
    wrote: bool = False
    """Whether it wrote a row before the revision that was not there as it is: PostgreSQL may leave out others."""

    @property
    def shown(self) -> str:
        """The statement, shortened for display."""
        return self.sql if len(self.sql) <= _MOST_SHOWN else f"{self.sql[:_MOST_SHOWN]}…"


class Before(Struct, frozen=True):
    """What worked before a revision, and what was read then."""

    attempts: tuple[_Attempt, ...] = ()
    state: State = State()
    tables: Mapping[int, Shape] = field(default_factory=dict)
    counters: tuple[Counter, ...] = ()
    digests: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    seen: Mapping[tuple[int, str], tuple[int, int]] = field(default_factory=dict)
    """For tables with row-level security: how many rows there were, and how many a role saw."""
    catalogue: Catalogue = Catalogue()
    plain: bool = False
    """Whether no role could be created, so that everything was tried as the user that runs the migrations."""


def concerned(passes: Iterable[Pass], catalogue: Catalogue) -> tuple[Name, ...]:
    """Return the tables and views of `catalogue`, the sequences, and the functions that the statements of `passes`
    were observed to lock or write. If a statement could not be observed, the objects that it names count.
    """
    found: dict[Name, None] = {}
    sequences: set[Name] = set()
    functions: set[Name] = set()
    for each in passes:
        for statement in each.statements:
            seen = statement.observation
            if seen is not None:
                relations = [lock.relation for lock in seen.locks if lock.mode >= LockMode.ROW_EXCLUSIVE]
                for relation in (*relations, *seen.rewritten):
                    of_index = relation.table if relation.kind.endswith("index") else None
                    name = Name(of_index, relation.schema) if of_index else relation.as_name
                    if not relation.new:
                        found[name] = None
                        sequences |= {name} if relation.kind == "sequence" else set()
            for operation in operations(statement) if "FUNCTION" in statement.sql.upper() else ():
                if isinstance(operation, CreateObject | AlterObject) and operation.kind == "function":
                    functions.add(operation.object)
            for schema in _SCHEMAS.findall(statement.sql):
                found |= dict.fromkeys(each.name for each in catalogue.tables if _in(schema, each.name))
            if seen is None or seen.transaction is None:
                for operation in operations(statement):
                    found |= dict.fromkeys(_named(operation, catalogue))
    there = [name for name in found if name in sequences or catalogue.table(name) is not None]
    return (*there, *sorted(functions, key=str))


_SCHEMAS = re.compile(r"^\s*REVOKE\b[^;]*?\bON\s+SCHEMA\s+([^;]+?)\s+FROM\b", re.IGNORECASE | re.MULTILINE)
"""The schemas on which a statement takes privileges away."""


def _in(schemas: str, name: Name) -> bool:
    return (name.schema or "public") in {each.strip().strip('"') for each in schemas.split(",")}


def _named(operation: Operation, catalogue: Catalogue) -> Iterator[Name]:
    for attribute in ("table", "view", "index"):
        name = getattr(operation, attribute, None)
        if isinstance(name, Name):
            owner = next((t.name for t in catalogue.tables if any(i.name == name.name for i in t.indexes)), name)
            yield owner if attribute == "index" else name


def before(
    connection: Connection[tuple[object, ...]],
    catalogue: Catalogue,
    names: Iterable[Name],
    schema: Schema | None = None,
) -> Before:
    """Try what can be tried on `names`, and on what depends on them, before the revision runs. `schema` is what there is,
    if it is known. Raises `psycopg.Error`.
    """
    state = trial_state.read(connection, names)
    if not state.concerned and not state.functions:
        return Before(catalogue=catalogue)
    if schema is None:
        schema = shape.read(connection, [oid for each in state.concerned for oid in (each.oid, each.base) if oid])
    tables = {table.oid: table for table in schema.tables}
    mine = [tables[each.oid] for each in state.concerned if each.oid in tables]
    back = trial_state.sequences(connection, _with_parts(schema, mine))
    counters = trial_state.counters(connection, mine)
    with _session(connection, state.concerned) as session:
        counts = writing.counted(connection, schema, _with_parts(schema, mine))
        attempts: list[_Attempt] = []
        for each in state.concerned:
            for role in session.roles_for(each):
                attempts += _of_relation(session, schema, tables.get(each.oid), each, counts, role)
            attempts += _arbiters(catalogue, each)
        attempts += [_call(each) for each in state.functions if each.mentions]
        attempts += _as_roles(state)
        worked = [
            replace(each, wrote=result and (each.action in {"insert", "delete"} or each.compares != ""))
            for each in attempts
            for result in [session.tried(each)]
            if isinstance(result, bool) and (result or not each.compares)
        ]
        seen = {
            (each.oid, role): session.seen(each, role)
            for each in state.concerned
            if each.guarded
            for role in ("owner", "application")
        }
        digests = trial_state.digests(connection, state.expressions)
    for statement in back:
        connection.execute(statement.encode())
    return Before(tuple(worked), state, tables, counters, digests, seen, catalogue, session.plain)


def after(
    connection: Connection[tuple[object, ...]],
    revision: str,
    before: Before,
    changes: Sequence[Difference],
    schema: Schema,
) -> Afterwards:
    """Return which of those statements PostgreSQL now rejects, and what else has changed; `schema` is what there is
    now. Raises `psycopg.Error`.
    """
    from reviewer.rehearsal import catalogue

    labels = {each.name: each.labels for each in catalogue.enums(connection)} if before.catalogue.enums else {}
    names = trial_state.names(connection, (each.oid for each in before.state.concerned))
    tables = {table.oid: table for table in schema.tables}
    old = [tables[each.oid] for each in before.state.concerned if each.oid in tables]
    new = {each.name for each in changes if each.kind == "table" and each.change.value == "left behind"}
    made = new | {str(each.name) for each in before.state.concerned if each.oid not in tables}  # rebuilt
    mine = [*old, *(table for table in schema.tables if table not in old and str(table.name) in made)]
    back = trial_state.sequences(connection, _with_parts(schema, mine))
    counters = _compared(trial_state.counters(connection, mine), before.counters)
    refused: list[Refused] = []
    with _session(
        connection, [replace(each, name=names[each.oid]) for each in before.state.concerned if each.oid in names]
    ) as session:
        counts = writing.counted(connection, schema, _with_parts(schema, mine))
        failed: dict[int, set[str]] = {}
        idle: dict[_Attempt, bool] = {}
        logged: list[_Attempt] = []
        inserted: dict[Inserted, None] = {}
        guarded = _guarded(connection, before, names)
        for attempt in before.attempts:
            if attempt.compares and _has_other_types(attempt, before.tables, tables):
                continue  # as texts, the values of the new type differ from the old ones that they are
            alone = attempt.first and "insert" in failed.get(attempt.oid, ())
            tried = replace(attempt, first="") if alone else attempt
            error = session.tried(tried)
            if attempt.kind == "table" and attempt.action == "insert" and error is True:
                inserted[Inserted(attempt.subject, attempt.columns)] = None
            if attempt.compares or isinstance(error, bool):
                if attempt.wrote and attempt.oid not in guarded:
                    idle[attempt] = error is not True and session.writes_nothing(tried)
                    if error is False and attempt.action == "delete" and not idle[attempt]:
                        logged += [attempt] if session.only_inserts(tried) else []
                continue
            if attempt.as_role and (error.sqlstate != "42501" or "row-level security" in str(error)):
                continue  # the others fail too
            if error.sqlstate not in _OWN.get((attempt.kind, attempt.action), {error.sqlstate}):
                continue  # simpler statements fail too
            found = _told(attempt, error)
            if attempt.action == _LONG_INSERT:
                # what an index or a CHECK does not take is not about the code of the revision
                in_code = found.function is not None and found.sqlstate.startswith("22")
                refused += [found] if in_code and "insert" not in failed.get(attempt.oid, ()) else []
                continue
            if attempt.follows is not None and error.sqlstate not in _REFERRED_TO and found.function is None:
                continue  # how the row is found may be what fails: the table that refers to it has changed
            failed.setdefault(attempt.oid, set()).add(attempt.action)
            if (attempt.action == "delete" or attempt.follows is not None) and error.sqlstate in _REFERRED_TO:
                refused += [found] if _no_longer_follows(attempt, found, schema) else []
            elif _is_evidence(connection, found, before, changes) and not _of_another_part(
                found, attempt, schema, before.tables.values()
            ):
                refused.append(found)
        refused += _fresh(session, schema, before, names, failed, counts, refused)
        refused += _second_rows(session, schema, before, counts, failed)
        added = [table for table in schema.tables if str(table.name) in new]
        refused += _published(session, added)
        refused += _not_for_writers(session, schema, added, counts, trial_state.writers(connection, added))
        refused += _gone_calls(session, before, changes)
        refused += _gone_labels(session, before.catalogue, labels)
        visible = [
            Visible(
                each.name,
                role,
                *before.seen.get((each.oid, role), (0, 0)),
                session.seen(replace(each, name=names[each.oid]), role)[1],
                each.forced,
            )
            for each in before.state.concerned
            if each.oid in names and each.kind in {"r", "p"}
            for role in ("owner", "application")
            if (each.oid, role) in before.seen
        ]
        visible += _newly_guarded(session, before, names, guarded)
        stale = (*_stale(connection, before, changes), *_stale_columns(connection, before, changes))
    for statement in back:
        connection.execute(statement.encode())
    return Afterwards(
        revision,
        len(before.attempts),
        tuple(_each_once(refused)),
        counters,
        tuple(visible),
        stale,
        (*_vanished(idle), *_only_logged(logged)),
        tuple(changes),
        tuple(inserted),
    )


# -- the session ------------------------------------------------------------------------------------


class _Session:
    """A transaction that is rolled back, with one role of each kind."""

    def __init__(self, connection: Connection[tuple[object, ...]], relations: Sequence[Concerned]) -> None:
        import psycopg

        self._connection = connection
        number = f"{os.getpid()}_{next(_NUMBERS)}"
        self._names = {"owner": f"alembic_reviewer_owner_{number}", "application": f"alembic_reviewer_app_{number}"}
        self.plain = False
        connection.execute(_QUIET.format(patience=_PATIENCE).encode())
        try:
            with connection.transaction():
                connection.execute(self._setting(relations).encode())
        except psycopg.Error:
            self.plain = True

    def _setting(self, relations: Sequence[Concerned]) -> str:
        roles = list(self._names.values())
        parts = [f"CREATE ROLE {role} NOLOGIN" for role in roles]
        listed = ", ".join(roles)
        info = self._connection.info
        if info.server_version >= _WITH_ALL_DATA and info.parameter_status("is_superuser") == "on":
            # without a change to any of thousands of tables
            parts.append(f"GRANT pg_read_all_data, pg_write_all_data TO {listed}")
            parts.append(_grants(listed, _ON_SCHEMAS))
        else:
            parts.append(_grants(listed, (*_ON_SCHEMAS, *_ON_TABLES)))
        owner = self._names["owner"]
        parts += [f"ALTER TABLE {each.name.sql} OWNER TO {owner}" for each in relations if each.guarded]
        return ";".join(parts)

    def roles_for(self, relation: Concerned) -> tuple[str, ...]:
        """Return the roles as which statements on `relation` are tried."""
        if self.plain:
            return ("",)
        return ("owner", "application") if relation.guarded else ("application",)

    def refusal(self, attempt: _Attempt) -> psycopg.Error | None:
        """Return the error with which PostgreSQL rejects a statement; None if it succeeds."""
        result = self.tried(attempt)
        return None if isinstance(result, bool) else result

    def tried(self, attempt: _Attempt) -> psycopg.Error | bool:
        """Return the error with which PostgreSQL rejects a statement; if it succeeds, whether it reads or writes a row,
        and one that differs if `compares` tells.
        """
        import psycopg

        try:
            *_, (count, row) = self._results(
                f"{self._as(attempt.role, attempt.as_role)}{_then(attempt.first)}{attempt.sql} {attempt.compares}"
            )
        except psycopg.Error as error:
            return error
        return count > 0 and not (attempt.compares and row and row[0])

    def writes_nothing(self, attempt: _Attempt) -> bool:
        """Return whether a statement finds the row that it is for, and yet no row of any table is written, or only
        that row with the same values.
        """
        import psycopg

        for compares in dict.fromkeys(("", attempt.compares)):
            counted = self._counted(attempt, _WRITES, f"{attempt.sql} {compares}")
            try:
                *_, (there, _), (_, before), (count, row), (_, after) = self._results(counted)
            except psycopg.Error:
                return False
            if not there or not before or not after or before[0] is None:
                return False
            if before == after:
                return True
            if compares and row and row[0] is True:
                return int(str(after[0])) - int(str(before[0])) <= count
        return False

    def only_inserts(self, attempt: _Attempt) -> bool:
        """Return whether a DELETE finds the row that it is for, and rows are inserted while none is changed or deleted."""
        import psycopg

        try:
            *_, (there, _), (_, before), _, (_, after) = self._results(
                self._counted(attempt, _CHANGES, attempt.sql)
            )
        except psycopg.Error:
            return False
        return there > 0 and before is not None and before[0] is not None and before == after

    def _counted(self, attempt: _Attempt, counts: str, sql: str) -> str:
        """Return `sql` after the query for the row that it is for, between two of `counts`."""
        start = self._as(attempt.role) + _then(attempt.first)
        return f"{start}{attempt.finds or 'SELECT'};{counts};{sql};{counts}"

    def _results(self, sql: str) -> Iterator[tuple[int, tuple[object, ...] | None]]:
        """Yield the number of rows and the first row of each of several statements. Their effects are undone. Raises
        `psycopg.Error`.
        """
        try:
            self._connection.execute(b"SAVEPOINT trial")
            found = self._connection.execute(sql.encode())
            yield found.rowcount, found.fetchone() if found.description else None
            while found.nextset():
                yield found.rowcount, found.fetchone() if found.description else None
        finally:
            self._connection.execute(b"ROLLBACK TO SAVEPOINT trial; RELEASE SAVEPOINT trial")

    def row(self, sql: str) -> tuple[object, ...] | None:
        """Return the first row that the last of several statements returns. Their effects are undone. Raises
        `psycopg.Error`.
        """
        try:
            self._connection.execute(b"SAVEPOINT trial")
            found = self._connection.execute(sql.encode())
            while found.nextset():  # the statements before it return nothing
                pass
            return found.fetchone()
        finally:
            self._connection.execute(b"ROLLBACK TO SAVEPOINT trial; RELEASE SAVEPOINT trial")

    def seen(self, relation: Concerned, role: str) -> tuple[int, int]:
        """Return how many rows there are, and how many the role sees."""
        return self._count(relation, ""), self._count(relation, self._as(role))

    def seen_as_owner(self, relation: Concerned) -> int:
        """Return how many rows an owner that is not a superuser sees, for a table that has not been given to the
        owner role yet.
        """
        give = "" if self.plain else f"ALTER TABLE {relation.name.sql} OWNER TO {self._names['owner']};"
        return self._count(relation, give + self._as("owner"))

    def _count(self, relation: Concerned, first: str) -> int:
        """Count the rows that a SELECT finds after `first` has run; 0 if it is rejected."""
        import psycopg

        try:
            row = self.row(f"{first}SELECT pg_catalog.count(*) FROM {relation.name.sql}")
        except psycopg.Error:
            return 0
        return int(str(row[0])) if row else 0

    def _as(self, role: str, of_project: str = "") -> str:
        if of_project:
            return f"SET LOCAL ROLE {quoted(of_project)};"
        return f"SET LOCAL ROLE {self._names[role]};" if role and not self.plain else ""


@contextlib.contextmanager
def _session(connection: Connection[tuple[object, ...]], relations: Sequence[Concerned]) -> Iterator[_Session]:
    with connection.transaction(force_rollback=True):
        yield _Session(connection, relations)


def _then(sql: str) -> str:
    return f"{sql};" if sql else ""


_QUIET = (
    "SET LOCAL client_min_messages = error; SET LOCAL jit = off; SET LOCAL statement_timeout = '{patience}';"
    " SET LOCAL lock_timeout = '1s'; SET CONSTRAINTS ALL IMMEDIATE"
)
_WRITES = (
    "SELECT CASE WHEN pg_catalog.current_setting('track_counts')::bool THEN pg_catalog.sum(n_tup_ins + n_tup_upd + n_tup_del) END"
    " FROM pg_catalog.pg_stat_xact_user_tables"
)
"""How many rows this transaction has written; NULL if they are not counted."""
_CHANGES = _WRITES.replace("n_tup_ins + ", "")
"""How many of them it has changed or deleted."""
_WITH_ALL_DATA = 140000
_ON_SCHEMAS = ("USAGE, CREATE ON SCHEMA %I", "EXECUTE ON ALL FUNCTIONS IN SCHEMA %I")
_ON_TABLES = (
    "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I",
    "USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA %I",
)


def _grants(roles: str, privileges: Iterable[str]) -> str:
    """Return a statement that grants `privileges` on every schema of the user to `roles`."""
    grants = "\n".join(
        f"EXECUTE pg_catalog.format('GRANT {privilege} TO {roles}', here);" for privilege in privileges
    )
    return rf"""
DO $grant$ DECLARE here name; BEGIN
    FOR here IN SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%' LOOP
        {grants}
    END LOOP;
END $grant$"""


# -- the statements ---------------------------------------------------------------------------------


def _with_parts(schema: Schema, tables: Iterable[Shape]) -> list[Shape]:
    listed = list(tables)
    return [*listed, *(leaf for table in listed if table.partitioned for leaf in schema.leaves(table.oid))]


def _of_relation(
    session: _Session, schema: Schema, table: Shape | None, each: Concerned, counts: Mapping[int, int], role: str
) -> Iterator[_Attempt]:
    name, columns = each.name.sql, each.columns
    if columns:
        chosen = ", ".join(map(quoted, columns))
        yield _Attempt(
            each.oid, each.name, each.word, "select", f"SELECT {chosen} FROM {name} LIMIT 1", columns, role
        )
    if each.kind == "v" and columns:
        yield _Attempt(
            each.oid,
            each.name,
            "view",
            "update",
            f"UPDATE {name} SET {_same(columns[:1])} WHERE false",
            columns[:1],
            role,
        )
        yield from _through_view(session, schema, each, counts, role)
    if each.kind == "m":
        sql = f"REFRESH MATERIALIZED VIEW CONCURRENTLY {name}"
        yield _Attempt(each.oid, each.name, each.word, "refresh", sql)
    if table is not None:
        values = _row(session, schema, table, counts) or {}
        made = _inserts(table, each.name, values, role)
        yield from made
        yield from _with_long_texts(schema, table, each.name, values, role)
        for rest in [each for each in schema.leaves(table.oid) if _takes_the_rest(each)]:
            yield from _inserts(table, each.name, _row(session, schema, rest, counts) or {}, role)[:1]
        for writer in each.writers[:_MOST_ROLES] if role != "owner" else ():
            yield from _as_writer(made, writer)
        yield from _changes(table, each.oid, each.name, made, role)
        yield from _other_values(table, each.name, values, role)
        yield from _with_what_follows(schema, table, each.name, values, role)


def _through_view(
    session: _Session, schema: Schema, view: Concerned, counts: Mapping[int, int], role: str
) -> Iterator[_Attempt]:
    """Yield an INSERT through a view of a row like one that the view shows: of the table below it come the values
    that have to be new.
    """
    import psycopg

    table = schema.table(view.base)
    if table is None:
        return
    keys = {column for columns in table.unique for column in columns}
    fields = [f for f in table.fields if f.name in view.columns and f.generated is None and f.counts is None]
    shown = ", ".join(f"{quoted(f.name)}::text" for f in fields)
    with contextlib.suppress(psycopg.Error):
        there = session.row(f"SELECT {shown} FROM {view.name.sql} LIMIT 1") if fields else None
        if there is None:
            return
        values: dict[str, object] = {f.name: value for f, value in zip(fields, there, strict=True)}
        if keys & values.keys():
            values |= {
                c: v for c, v in (_row(session, schema, table, counts) or {}).items() if c in keys & values.keys()
            }
        given = {column: literal(str(value)) for column, value in values.items() if value is not None}
        if given:
            listed = ", ".join(map(quoted, given))
            sql = f"INSERT INTO {view.name.sql} ({listed}) VALUES ({', '.join(given.values())})"
            yield _Attempt(view.oid, view.name, view.word, "insert", sql, tuple(given), role)


def _changes(table: Shape, oid: int, name: Name, inserts: Sequence[_Attempt], role: str) -> Iterator[_Attempt]:
    keys = {column for columns in table.unique for column in columns}
    free = [f.name for f in table.fields if f.generated is None and f.counts is None]
    settable = tuple(c for c in free if c not in keys) or tuple(free)
    one = _row_of(table, name, "")
    if settable:
        yield _Attempt(
            oid, name, "table", "update", f"UPDATE {name.sql} SET {_same(settable)} {one}", settable, role
        )
    last = _row_of(table, name, " DESC")
    first = inserts[0].sql if inserts else ""
    yield _Attempt(
        oid,
        name,
        "table",
        "delete",
        f"DELETE FROM {name.sql} {last}",
        (),
        role,
        first,
        finds=f"SELECT FROM {name.sql} {last}",
    )


def _with_what_follows(
    schema: Schema, table: Shape, name: Name, values: Mapping[str, object], role: str
) -> Iterator[_Attempt]:
    """Yield a DELETE of a row for each foreign key whose rows follow it, and an UPDATE of its key to new `values`."""
    for other in schema.tables:
        for key in (each for each in other.keys if each.referenced == table.oid):
            columns = ", ".join(map(quoted, key.columns))
            given = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in key.columns)
            referring = f"SELECT {columns} FROM {other.name.sql} WHERE {given} ORDER BY {columns}"
            referenced = ", ".join(map(quoted, key.referenced_columns))
            follows = (other.oid, key.columns)
            new = [values.get(column) for column in key.referenced_columns]
            if key.follows_key and None not in new:
                sets = ", ".join(
                    f"{quoted(c)} = {literal(str(v))}" for c, v in zip(key.referenced_columns, new, strict=True)
                )
                sql = f"UPDATE {name.sql} SET {sets} WHERE ({referenced}) = ({referring} LIMIT 1)"
                yield _Attempt(
                    table.oid, name, "table", "update", sql, key.referenced_columns, role, follows=follows
                )
            if key.follows:
                sql = f"DELETE FROM {name.sql} WHERE ({referenced}) = ({referring} DESC LIMIT 1)"
                yield _Attempt(
                    table.oid,
                    name,
                    "table",
                    "delete",
                    sql,
                    role=role,
                    follows=follows,
                    finds=f"SELECT{sql.removeprefix('DELETE')}",
                )


def _row_of(table: Shape, name: Name, order: str) -> str:
    """Return the condition that selects one row: by its key, as application code does, or by its ctid if there is
    no key.
    """
    key = _key_of(table)
    columns = ", ".join(key)
    sorts = ", ".join(f"{column}{order}" for column in key)
    return f"WHERE ({columns}) = (SELECT {columns} FROM {name.sql} ORDER BY {sorts} LIMIT 1)"


def _key_of(table: Shape) -> list[str]:
    required = {f.name for f in table.fields if not f.nullable}
    key = next((columns for columns in table.unique if all(columns) and set(columns) <= required), ("ctid",))
    return [column if column == "ctid" else quoted(column) for column in key]


def _same(columns: Iterable[str]) -> str:
    return ", ".join(f"{quoted(column)} = {quoted(column)}" for column in columns)


def _other_values(table: Shape, name: Name, values: Mapping[str, object], role: str) -> Iterator[_Attempt]:
    """Yield an UPDATE that gives a row the `values` of another."""
    keys = {column for columns in table.unique for column in columns}
    given = {
        f.name: literal(str(values[f.name]))
        for f in table.fields
        if f.generated is None and f.counts is None and f.name not in keys and values.get(f.name) is not None
    }
    if not given:
        return
    new, old = "alembic_reviewer_new", "alembic_reviewer_old"
    key = _key_of(table)
    differs = " OR ".join(f"{quoted(c)}::text IS DISTINCT FROM {value}" for c, value in given.items())
    row = f"SELECT {', '.join(key)}, {old}::text AS alembic_reviewer_row FROM {name.sql} AS {old} WHERE {differs} LIMIT 1"
    sets = ", ".join(f"{quoted(column)} = {value}" for column, value in given.items())
    same = " AND ".join(f"{new}.{column} = {old}.{column}" for column in key)
    yield _Attempt(
        table.oid,
        name,
        "table",
        "update",
        f"UPDATE {name.sql} AS {new} SET {sets} FROM ({row}) AS {old} WHERE {same}",
        tuple(given),
        role,
        finds=row,
        compares=f"RETURNING {new}::text = {old}.alembic_reviewer_row",
    )


def _inserts(table: Shape, name: Name, values: Mapping[str, object], role: str) -> list[_Attempt]:
    """Return INSERTs of an ordinary row: one with all columns except those that a sequence fills, one with only
    those that have no default, one with only those that are NOT NULL, one without what the table's triggers seem to
    fill, and one with all columns. Empty if no row can be made.
    """
    if not values:
        return []
    every = [f for f in table.fields if f.generated is None and values.get(f.name) is not None]
    given = [f for f in every if f.counts is None]
    least = [f for f in given if f.default is None]
    required = [f for f in least if not f.nullable]
    forms = [given, least, required, [f for f in required if not _filled(table, f.name)], every]
    found: list[_Attempt] = []
    for fields in (form for n, form in enumerate(forms) if form not in forms[:n]):
        listed = ", ".join(quoted(f.name) for f in fields)
        values_sql = ", ".join(literal(str(values[f.name])) for f in fields)
        sql = (
            f"INSERT INTO {name.sql} ({listed}) VALUES ({values_sql})"
            if fields
            else f"INSERT INTO {name.sql} DEFAULT VALUES"
        )
        found.append(_Attempt(table.oid, name, "table", "insert", sql, tuple(f.name for f in fields), role))
    return found


def _with_long_texts(
    schema: Schema, table: Shape, name: Name, values: Mapping[str, object], role: str
) -> Iterator[_Attempt]:
    """Yield an INSERT of a row with texts as long as their columns take, which not every function can handle."""
    keys = {column for columns in (*table.unique, *(key.columns for key in table.keys)) for column in columns}
    given: dict[str, str] = {}
    long = False
    for each in (f for f in table.fields if f.generated is None and f.counts is None):
        plain, text = kinds.base(schema, each)
        if kinds.is_text(plain) and plain != "character" and each.name not in keys:
            size = next(iter(kinds.arguments(text)), _LONG)
            given[each.name] = f"pg_catalog.repeat('x', {min(size, _LONG)})"
            long = True
        elif values.get(each.name) is not None:
            given[each.name] = literal(str(values[each.name]))
    if long:
        listed = ", ".join(map(quoted, given))
        sql = f"INSERT INTO {name.sql} ({listed}) VALUES ({', '.join(given.values())})"
        yield _Attempt(table.oid, name, "table", _LONG_INSERT, sql, tuple(given), role)


_LONG_INSERT = "insert of long texts"
_LONG = 9_000
"""Characters of a text without a limit: more than fit into one NOTIFY."""


def _as_writer(inserts: Sequence[_Attempt], role: str) -> Iterator[_Attempt]:
    """Yield the INSERTs with most and with fewest columns as a role: defaults ask for rights too."""
    for each in dict.fromkeys((inserts[0], min(inserts, key=lambda a: len(a.columns)))) if inserts else ():
        yield replace(each, action="as role", role="", as_role=role)


def _filled(table: Shape, column: str) -> bool:
    """Whether a trigger of the table names the column of the new row. Whether it fills it, the INSERT shows."""
    named = rf'\bNEW\s*\.\s*(?:"{re.escape(column)}"|{re.escape(column)}\b)'
    return bool(table.triggers) and re.search(named, table.triggers, re.IGNORECASE) is not None


def _row(
    session: _Session, schema: Schema, table: Shape, counts: Mapping[int, int], number: int = _FIRST
) -> dict[str, object] | None:
    """Return the values of an ordinary new row as text; None, without raising, if no row can be made."""
    import psycopg

    leaf = next(schema.leaves(table.oid), None) if table.partitioned else table
    fields = [f for f in table.fields if f.generated is None]
    if leaf is None or not fields:
        return None
    returned = ", ".join(f"{quoted(f.name)}::text" for f in fields)
    for judged in (False, True):
        with contextlib.suppress(NoParents, psycopg.Error):
            sql = insertion.statement(schema, leaf, counts, Way(1, number, judged=judged))
            row = session.row(f"{sql} RETURNING {returned}")
            if row is not None:
                return {f.name: value for f, value in zip(fields, row, strict=True)}
    return None


def _arbiters(catalogue: Catalogue, each: Concerned) -> Iterator[_Attempt]:
    """Yield an INSERT … ON CONFLICT for each unique constraint by its name, and for each unique index that can serve as its
    arbiter: one without a row, because PostgreSQL looks for the index when it plans the statement, and one of an
    existing row, because only then it rejects an index that is checked later.
    """
    known = catalogue.table(each.name)
    all_columns = [c.name for c in known.columns if not c.generated] if known else []
    for columns in (
        dict.fromkeys(index.columns for index in known.indexes if index.unique and index.valid) if known else ()
    ):
        if not columns or not all(columns):
            continue
        listed = ", ".join(map(quoted, columns))
        name = each.name.sql
        sql = f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {name} WHERE false ON CONFLICT ({listed}) DO NOTHING"
        yield _Attempt(each.oid, each.name, each.word, "on conflict", sql, columns)
        row = ", ".join(map(quoted, all_columns))
        there = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
        sql = (
            f"INSERT INTO {name} ({row}) OVERRIDING SYSTEM VALUE SELECT {row} FROM {name} WHERE {there} LIMIT 1"
            f" ON CONFLICT ({listed}) DO NOTHING"
        )
        yield _Attempt(each.oid, each.name, each.word, "on conflict", sql, columns)
    for index in known.indexes if known else ():
        if index.constraint and index.unique and all(index.columns):
            listed, name = ", ".join(map(quoted, index.columns)), each.name.sql
            sql = (
                f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {name} WHERE false"
                f" ON CONFLICT ON CONSTRAINT {quoted(index.constraint)} DO NOTHING"
            )
            yield _Attempt(
                each.oid, each.name, each.word, "on constraint", sql, index.columns, constraint=index.constraint
            )


def _as_roles(state: State) -> Iterator[_Attempt]:
    """Yield the plainest use of each relation and function by the roles to which it was given."""
    for each in state.concerned:
        for role in each.readers[:_MOST_ROLES] if each.columns else ():
            sql = f"SELECT {quoted(each.columns[0])} FROM {each.name.sql} LIMIT 1"
            yield _Attempt(each.oid, each.name, each.word, "as role", sql, as_role=role)
    for function in state.functions:
        for role in function.callers[:_MOST_ROLES]:
            yield replace(_call(function), action="as role", as_role=role)


def _call(function: Function) -> _Attempt:
    required = function.arguments[: len(function.arguments) - function.defaults]
    return _Attempt(
        function.oid, function.name, "function", "call", function.call(_argument(each) for each in required)
    )


def _argument(type_: str) -> str:
    plain = {"smallint": "1", "integer": "1", "bigint": "1", "numeric": "1", "boolean": "true"}
    if type_ in {"text", "character varying"}:
        return f"'x'::{type_}"
    return f"{plain[type_]}::{type_}" if type_ in plain else f"NULL::{type_}"


# -- the results ------------------------------------------------------------------------------------


def _told(attempt: _Attempt, error: psycopg.Error, fresh: bool = False) -> Refused:
    message = (error.diag.message_primary or str(error)).strip()
    where = _FUNCTION.search(error.diag.context or "")
    if where is not None and error.sqlstate != "P0001" and _RAISED.match(error.diag.context or "", where.end()):
        where = None  # it refuses the row, as a constraint of that SQLSTATE does
    column = error.diag.column_name or next(iter(_COLUMN.findall(message)), None)
    return Refused(
        attempt.subject,
        attempt.kind,
        attempt.action,
        attempt.shown,
        message,
        error.sqlstate or "",
        attempt.columns,
        column,
        error.diag.constraint_name or attempt.constraint or None,
        where.group(1) if where else None,
        int(where.group(2)) if where and where.group(2) else None,
        attempt.as_role or attempt.role,
        fresh,
    )


_FUNCTION = re.compile(
    r'(?:PL/\w+ function|SQL function) "?([\w.$]+)"?(?:\([^)]*\))?(?: line (\d+)| statement (?:\d+))?'
)
_RAISED = re.compile(r" at RAISE$", re.MULTILINE)
_COLUMN = re.compile(r'(?:column|field)(?: reference)? "?(?:[\w$]+\.)?([\w$]+)"?')


def _has_other_types(attempt: _Attempt, before: Mapping[int, Shape], now: Mapping[int, Shape]) -> bool:
    """Whether a column that the statement names had another type before."""
    was, is_ = (
        {f.name: f.text for f in tables[attempt.oid].fields} if attempt.oid in tables else {}
        for tables in (before, now)
    )
    return any(was.get(column) != is_.get(column, was.get(column)) for column in attempt.columns)


def _is_evidence(
    connection: Connection[tuple[object, ...]], found: Refused, before: Before, changes: Iterable[Difference]
) -> bool:
    """Return whether the rejection says something about the schema, and not about a generated value or a temporary
    condition.
    """
    state = found.sqlstate
    if found.column == "ctid":
        return False  # a view has replaced the table
    if state.startswith(_OF_THE_MOMENT) and state != "55000":
        return False
    if state == "23503":
        return _of_columns_left_out(connection, found, before, "f")
    if state in {"23505", "23P01", "23001"}:
        return False
    old = before.catalogue.table(found.subject)
    if state == "23514":
        return (
            found.constraint is None
            or _of_new_columns(connection, found, before)
            or _of_columns_left_out(connection, found, before, "c")
            or _judges_otherwise(found, before, changes)
        )
    if state == "23502" and old is not None and found.column is not None:
        known = old.column(found.column)
        return known is None or (found.column not in found.columns and not known.nullable)
    if state.startswith("22"):
        # a label that there was; what was a text before may never have had the value that was made up for it
        labels = [label for enum in before.catalogue.enums for label in enum.labels]
        return state == "22P02" and "enum" in found.error and any(f': "{each}"' in found.error for each in labels)
    return True


def _of_another_part(found: Refused, attempt: _Attempt, now: Schema, before: Iterable[Shape]) -> bool:
    """Whether the row has no partition while the table has others: those may take what the application writes. Where
    there was a DEFAULT partition, they need not.
    """
    missing = found.sqlstate == "23514" and found.constraint is None and "no partition of relation" in found.error
    took_any = any(_takes_the_rest(each) for each in before if each.root == attempt.oid)
    return missing and any(now.leaves(attempt.oid)) and not took_any


def _takes_the_rest(part: Shape) -> bool:
    """Whether it is a DEFAULT partition beside others."""
    return any(each.name == "partition" and each.expression.startswith("(NOT (") for each in part.conditions)


def _no_longer_follows(attempt: _Attempt, found: Refused, now: Schema) -> bool:
    """Return whether the foreign key with which the rows followed is now the one that rejects the DELETE."""
    if attempt.follows is None:
        return False
    oid, columns = attempt.follows
    other = now.table(oid)
    return other is not None and any(key.name == found.constraint and key.columns == columns for key in other.keys)


def _judges_otherwise(found: Refused, before: Before, changes: Iterable[Difference]) -> bool:
    """Return whether the CHECK constraint is as before, and accepted the same row then: a function that it calls has
    changed.
    """
    old = before.catalogue.table(found.subject)
    there = old is not None and any(each.name == found.constraint for each in old.constraints)
    listed = list(changes)
    same = not any(each.kind == "constraint" and each.name == found.constraint for each in listed)
    return there and same and any(each.kind == "function" for each in listed)


def _of_new_columns(connection: Connection[tuple[object, ...]], found: Refused, before: Before) -> bool:
    """Return whether the CHECK constraint covers only columns that the old code does not know."""
    old = before.catalogue.table(found.subject)
    columns = _columns_of(connection, found, "c")
    return bool(columns) and not any(old is not None and old.column(each) for each in columns)


def _of_columns_left_out(
    connection: Connection[tuple[object, ...]], found: Refused, before: Before, kind: str
) -> bool:
    """Return whether the constraint covers only columns that the INSERT leaves out, one of them new or left to its default:
    the running code may always write a column that would be NULL. What a function writes elsewhere may come from the
    columns that the INSERT does write.
    """
    direct = found.action == "insert" and found.function is None
    columns = _columns_of(connection, found, kind) if direct else []
    old = before.catalogue.table(found.subject)
    known = [old.column(name) for name in columns] if old is not None else []
    return not set(columns) & set(found.columns) and any(c is None or c.default is not None for c in known)


def _columns_of(connection: Connection[tuple[object, ...]], found: Refused, kind: str) -> list[str]:
    row = connection.execute(_CONSTRAINED, [found.constraint, kind, found.subject.name]).fetchone()
    return cast("list[str]", row[0]) if row is not None else []


_CONSTRAINED: LiteralString = r"""
SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.conname = %s AND k.contype = %s AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%%'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
        AND d.deptype = 'e')
ORDER BY c.relname <> %s, n.nspname, c.relname LIMIT 1
"""
"""The columns of the first constraint of that name and kind, on the table itself before others."""


def _fresh(
    session: _Session,
    schema: Schema,
    before: Before,
    names: Mapping[int, Name],
    failed: Mapping[int, set[str]],
    counts: Mapping[int, int],
    refused: Sequence[Refused],
) -> Iterator[Refused]:
    """Yield statements that are written for the upgraded schema and still fail in a function, for tables on which the
    old code's statements name something that no longer exists.
    """
    import psycopg

    direct = {each.subject for each in refused if each.sqlstate in _NO_SUCH and each.function is None}
    by_oid = {table.oid: table for table in schema.tables}
    for each in before.state.concerned:
        table = by_oid.get(each.oid)
        if table is None or each.name not in direct or not failed.get(each.oid):
            continue
        name = names[each.oid]
        leaf = next(schema.leaves(table.oid), None) if table.partitioned else table
        attempts: list[_Attempt] = []
        with contextlib.suppress(NoParents):
            if leaf is not None:
                sql = insertion.statement(schema, leaf, counts, Way(1, _FIRST))
                attempts.append(_Attempt(each.oid, each.name, "table", "insert", sql))
        attempts += _changes(table, each.oid, name, (), "")
        for attempt in attempts:
            if attempt.action not in failed[each.oid]:
                continue
            error = session.refusal(attempt)
            if isinstance(error, psycopg.Error) and error.sqlstate not in {
                "23502",
                "23503",
                "23505",
                "23514",
                "P0001",
            }:
                found = _told(replace(attempt, subject=each.name), error, fresh=True)
                if found.function is None and found.sqlstate == _NO_COLUMN:
                    row = session.row(_TRIGGER_OF_COLUMNS.format(each.oid))
                    found = replace(found, function=str(row[0])) if row is not None else found
                if found.function is not None:
                    shown = f"{attempt.action.upper()} on {name}"
                    yield replace(found, sql=shown, columns=())


_NO_COLUMN = "42703"
_TRIGGER_OF_COLUMNS = """
SELECT p.proname FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE t.tgrelid = {} AND NOT t.tgisinternal AND t.tgnargs > 0 AND l.lanname IN ('c', 'internal')
ORDER BY t.tgname LIMIT 1
"""
"""The function in C, such as tsvector_update_trigger(), to which a trigger of the table passes the names of columns."""


def _second_rows(
    session: _Session,
    schema: Schema,
    before: Before,
    counts: Mapping[int, int],
    failed: Mapping[int, set[str]],
) -> Iterator[Refused]:
    """Yield INSERTs that write one row and not a second: a unique index or an exclusion constraint covers only columns that
    the old code does not know, and all its rows have the same there.
    """
    for each in before.state.concerned:
        table, old = schema.table(each.oid), before.catalogue.table(each.name)
        if table is None or old is None or "insert" in failed.get(each.oid, ()):
            continue
        keys = (*table.unique, *table.exclusions)
        if not any(all(c and old.column(c) is None for c in columns) for columns in keys):
            continue
        known = {index.name for index in old.indexes}
        # the one with most columns: what a trigger makes of others need not be the same in all rows
        attempt = next((a for a in before.attempts if a.oid == each.oid and a.action == "insert"), None)
        other = _row(session, schema, table, counts, _FIRST + 1) if attempt is not None else None
        if attempt is None or other is None or any(other.get(column) is None for column in attempt.columns):
            continue
        listed = ", ".join(map(quoted, attempt.columns))
        given = ", ".join(literal(str(other[column])) for column in attempt.columns)
        first = f"INSERT INTO {table.name.sql} ({listed}) VALUES ({given})" if given else attempt.sql
        error = session.refusal(replace(attempt, first=first))
        if error is not None and error.sqlstate in _SECOND and error.diag.constraint_name not in known:
            yield _told(attempt, error)


def _published(session: _Session, tables: Iterable[Shape]) -> Iterator[Refused]:
    """Yield UPDATE and DELETE for new tables that a publication covers and that have no replica identity: PostgreSQL
    rejects them before it looks for a row.
    """
    if session.row("SELECT FROM pg_catalog.pg_publication LIMIT 1") is None:
        return
    for table in tables:
        free = [f.name for f in table.fields if f.generated is None]
        for action, sql in (
            ("update", f"UPDATE {table.name.sql} SET {_same(free[:1])} WHERE false"),
            ("delete", f"DELETE FROM {table.name.sql} WHERE false"),
        ):
            attempt = _Attempt(table.oid, table.name, "table", action, sql)
            error = session.refusal(attempt) if free and not table.root else None
            if error is not None and error.sqlstate == "55000":
                yield _told(attempt, error, fresh=True)


def _not_for_writers(
    session: _Session,
    schema: Schema,
    tables: Iterable[Shape],
    counts: Mapping[int, int],
    writers: Mapping[int, Sequence[str]],
) -> Iterator[Refused]:
    """Yield INSERTs into new tables by roles that may insert there, and lack a right that the INSERT also takes."""
    for table in tables:
        roles = writers.get(table.oid, ())
        made = _inserts(table, table.name, _row(session, schema, table, counts) or {}, "") if roles else []
        for attempt in (each for role in roles[:_MOST_ROLES] for each in _as_writer(made, role)):
            error = session.refusal(attempt)
            if error is not None and error.sqlstate == "42501" and "row-level security" not in str(error):
                yield _told(attempt, error, fresh=True)


def _gone_calls(session: _Session, before: Before, changes: Iterable[Difference]) -> Iterator[Refused]:
    """Yield calls of functions that no longer exist in their old form, or beside which there is another that fits: PostgreSQL
    finds none, or several, when it parses the call.
    """
    changed = {
        change: {
            Name.told(each.name.partition("(")[0])
            for each in changes
            if each.kind == "function" and each.change.value == change
        }
        for change in ("missing", "left behind")
    }
    redefined = {
        Name.told(each.name.partition("(")[0])
        for each in changes
        if each.kind == "function" and each.change.value == "changed" and each.aspect == "definition"
    }
    named = [each.name for each in before.state.functions]
    for each in before.state.functions:
        gone = any(each.name.matches(name) for name in changed["missing"])
        if gone or (named.count(each.name) == 1 and any(each.name.matches(n) for n in changed["left behind"])):
            call = each.call(f"NULL::{type_}" for type_ in each.arguments)
            attempt = _Attempt(each.oid, each.name, "function", "call", call)
            error = session.refusal(replace(attempt, sql=f"PREPARE alembic_reviewer_call AS {call}"))
            if error is not None and error.sqlstate in {"42883", "42725", "42704"}:
                yield _told(attempt, error)
                continue
        if gone or any(each.name.matches(name) for name in redefined):
            yield from _called_by_name(session, each)


def _called_by_name(session: _Session, function: Function) -> Iterator[Refused]:
    """Yield what names the arguments of the function, or the columns that it returns, as they were before."""
    given = [f"NULL::{type_}" for type_ in function.arguments]
    forms: list[tuple[str, tuple[str, ...]]] = []
    if given and len(function.parameters) == len(given) and all(function.parameters):
        named = (f"{quoted(n)} => {value}" for n, value in zip(function.parameters, given, strict=True))
        forms.append((function.call(named), function.parameters))
    if function.columns and all(function.columns):
        call = f"{function.name.sql}({', '.join(given)})"
        forms.append((f"SELECT {', '.join(map(quoted, function.columns))} FROM {call}", function.columns))
    for sql, columns in forms:
        attempt = _Attempt(function.oid, function.name, "function", "call", sql, columns)
        error = session.refusal(replace(attempt, sql=f"PREPARE alembic_reviewer_call AS {sql}"))
        if error is not None and error.sqlstate in {"42883", "42703"}:
            yield _told(attempt, error)


def _gone_labels(session: _Session, before: Catalogue, there: Mapping[Name, tuple[str, ...]]) -> Iterator[Refused]:
    """Yield labels of enum types that a value can no longer have. `there` are the labels of each type now."""
    for each in before.enums:
        labels = there.get(each.name)
        for label in [label for label in each.labels if label not in labels] if labels is not None else ():
            attempt = _Attempt(
                0, each.name, "enum type", "label", f"SELECT {literal(label)}::{each.name.sql}", (label,)
            )
            error = session.refusal(attempt)
            if error is not None:
                yield _told(attempt, error)


def _guarded(
    connection: Connection[tuple[object, ...]], before: Before, names: Mapping[int, Name]
) -> dict[int, bool]:
    """Return the tables on which row-level security is or was enabled, and whether it applies to the owner."""
    row = connection.execute(
        b"SELECT pg_catalog.json_agg(pg_catalog.json_build_array(oid::bigint, relforcerowsecurity)) FROM pg_catalog.pg_class"
        b" WHERE relrowsecurity AND oid::bigint = ANY (%s::bigint[])",
        [list(names)],
    ).fetchone()
    now: dict[int, bool] = dict(row[0]) if row and row[0] else {}  # type: ignore[call-overload]
    return {each.oid: each.forced for each in before.state.concerned if each.guarded} | now


def _newly_guarded(
    session: _Session, before: Before, names: Mapping[int, Name], guarded: Mapping[int, bool]
) -> Iterator[Visible]:
    """Yield the tables on which row-level security has been enabled."""
    rest = [e for e in before.state.concerned if e.oid in names and e.kind in {"r", "p"} and not e.guarded]
    for each in rest:
        if each.oid in guarded:
            now = replace(each, name=names[each.oid])
            rows, seen = session.seen(now, "application")
            yield Visible(each.name, "application", rows, rows, seen)
            if guarded[each.oid]:
                yield Visible(each.name, "owner", rows, rows, session.seen_as_owner(now), forced=True)


def _vanished(idle: Mapping[_Attempt, bool]) -> Iterator[Vanished]:
    """Yield the kinds of statements of which some write nothing."""
    for key in dict.fromkeys((attempt.subject, attempt.action) for attempt in idle):
        alike = {each: nothing for each, nothing in idle.items() if (each.subject, each.action) == key}
        first = next((each for each, nothing in alike.items() if nothing), None)
        if first is not None:
            yield Vanished(*key, first.shown, all(alike.values()))


def _only_logged(deletes: Iterable[_Attempt]) -> Iterator[Vanished]:
    """Yield the tables whose rows stay, while a trigger writes down that they are deleted."""
    for first in {each.subject: each for each in deletes}.values():
        yield Vanished(first.subject, first.action, first.shown, logged=True)


def _stale(
    connection: Connection[tuple[object, ...]], before: Before, changes: Iterable[Difference]
) -> Iterator[StaleIndex]:
    """Yield indexes that were not rebuilt although their expressions now return other values."""
    changed = {Name.told(each.name.partition("(")[0]) for each in changes if each.kind == "function"}
    for each in before.state.expressions:
        if each.oid not in before.digests or not any(each.function.matches(name) for name in changed):
            continue
        row = connection.execute(
            b"SELECT relfilenode::bigint FROM pg_catalog.pg_class WHERE oid::bigint = %s", [each.oid]
        ).fetchone()
        if row is None or row[0] != each.node:
            continue
        now = trial_state.digests(connection, [each]).get(each.oid)
        if now is not None and now != before.digests[each.oid]:
            yield StaleIndex(each.table, each.name, each.function, now[1])


def _stale_columns(
    connection: Connection[tuple[object, ...]], before: Before, changes: Iterable[Difference]
) -> Iterator[StaleIndex]:
    """Yield stored generated columns with other values than their expressions now return."""
    import psycopg

    changed = {Name.told(each.name.partition("(")[0]) for each in changes if each.kind == "function"}
    wanted = [each for each in before.state.computed if any(each.function.matches(name) for name in changed)]
    tables = trial_state.names(connection, (each.oid for each in wanted)) if wanted else {}
    for each in wanted:
        table = tables.get(each.oid)
        if table is None:
            continue
        differs = f"{quoted(each.name)} IS DISTINCT FROM ({each.text})"
        try:
            with connection.transaction():
                counted = f"SELECT pg_catalog.count(*) FROM {table.sql} WHERE {differs}"
                found = connection.execute(counted.encode()).fetchone()
        except psycopg.Error:
            continue
        if found is not None and found[0]:
            yield StaleIndex(table, each.name, each.function, int(str(found[0])), column=True)


def _compared(now: Iterable[Counter], before: Iterable[Counter]) -> tuple[Counter, ...]:
    """Return the counters as they are now, with what already applied before."""
    known = {each.sequence: each for each in before} | {(each.sequence, each.column): each for each in before}
    return tuple(
        replace(each, was_behind=old.behind, was_narrow=old.narrow) if old is not None else each
        for each in now
        for old in [
            known.get((each.sequence, each.column)) or known.get(each.sequence)
        ]  # the column may be renamed
    )


def _each_once(refused: Iterable[Refused]) -> Iterator[Refused]:
    """Yield one entry for each thing that is rejected, however many forms of the statement were tried."""
    told = set()
    for each in refused:
        key = (
            each.subject,
            each.action,
            each.error,
            each.function,
            each.columns if each.action in {"on conflict", "label"} else (),
            each.role if each.action == "as role" else "",
        )
        if key not in told:
            told.add(key)
            yield each
