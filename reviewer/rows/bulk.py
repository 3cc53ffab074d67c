"""Many rows from few: tables filled on the server, by INSERT … SELECT from the existing rows.

Every row is copied so many times, and each copy is made different where the table demands it: keys and unique columns are
moved by a distance that no other copy has, and foreign keys move with the keys that they refer to, so that they stay
valid. PostgreSQL is the judge: what it refuses is reported, and the table keeps the rows that it had.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reviewer.sql.names import Name

if TYPE_CHECKING:
    from psycopg import Connection

_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
_TEXTS = frozenset({"text", "character varying", "character", "citext"})
_TIMES = frozenset({"timestamp without time zone", "timestamp with time zone"})
_ORDER = ("number", "uuid", "text", "time", "date", "bytes")
"""Which column of a unique index is made different, if there are several."""
_WISHED = frozenset({"number", "uuid", "text"})
_COPY = "alembic_reviewer_copies.g"
"""The number of a copy."""
_MANY = 20_000
"""Rows from which on it pays to build the indexes after them."""
_LENGTH = re.compile(r"\((\d+)\)")


class _Field(msgspec.Struct, frozen=True):
    name: str
    type: str
    whole: str
    """With its modifiers."""

    @property
    def kind(self) -> str:
        if self.type in _NUMBERS:
            return "number"
        if self.type in _TEXTS:
            return "text"
        if self.type in _TIMES:
            return "time"
        return {"uuid": "uuid", "date": "date", "bytea": "bytes"}.get(self.type, "")

    @property
    def length(self) -> int | None:
        found = _LENGTH.search(self.whole)
        return int(found.group(1)) if found else None


class _Key(msgspec.Struct, frozen=True):
    columns: tuple[str, ...]
    referenced: int
    referenced_columns: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True):
    oid: int
    name: Name
    fields: tuple[_Field, ...]
    """Without generated columns."""
    unique: tuple[tuple[str, ...], ...]
    """Columns of the unique indexes, those in their expressions too."""
    keys: tuple[_Key, ...]
    partitioned_by: tuple[str, ...]
    sequences: tuple[tuple[str, str], ...]
    """Columns that a sequence fills, each with the sequence."""
    parts: tuple[Name, ...] = ()
    """Its partitions."""

    def field(self, name: str) -> _Field:
        return next(each for each in self.fields if each.name == name)


class _Move(Struct, frozen=True):
    """How a column differs between the copies of a row."""

    kind: str
    expression: str = ""
    """With `{name}` for the column and `{g}` for the number of the copy."""
    wished: bool = False
    """Whether no index demands it."""
    parent: tuple[int, str] | None = None
    """The column of another table that it refers to, and moves with."""


class _State(Struct):
    """What is known of a table that is being filled."""

    table: _Table
    rows: int
    """How many there were at first, from which all others come."""
    places: str = "true"
    """A condition that those rows meet, and none of their copies. Where a copy goes is up to the server: into the space of
    a deleted row, or into a partition before those rows.
    """
    copies: int = 0
    """How many copies of them have been made."""
    reason: str = ""
    wished: bool = True
    """Whether columns are made different that no index demands it of, because they differ in all rows that there were."""
    prefixed: bool = False
    """Whether texts are made different at their beginning: a condition refuses the end."""

    @property
    def all_rows(self) -> int:
        return self.rows * (self.copies + 1)


class Bulk:
    """Fills tables of one database to a number of rows, as often as it is asked to, with more each time."""

    def __init__(
        self, connection: Connection[tuple[object, ...]], tables: Iterable[Name], *, parents: bool = False
    ) -> None:
        """`parents`: whether the tables that they refer to are filled too, so that references have as many different
        values as they have in a large table.
        """
        self._connection = connection
        row = connection.execute(_QUERY).fetchone()
        assert row is not None
        known = {each.oid: each for each in msgspec.json.decode(str(row[0]), type=tuple[_Table, ...])}
        self._known = known
        wanted = [each.oid for name in tables for each in known.values() if self._is(each, name)]
        if parents:
            wanted += [key.referenced for oid in wanted for key in known[oid].keys if key.referenced in known]
        self._states = {oid: _State(known[oid], *self._placed(known[oid])) for oid in self._with_parents(wanted)}
        self._moved: dict[int, dict[str, _Move]] = {}
        for oid in self._states:
            self._moves(oid)

    def on(self, connection: Connection[tuple[object, ...]]) -> Bulk:
        """The same, going on through another connection to that database."""
        self._connection = connection
        return self

    @staticmethod
    def _is(table: _Table, name: Name) -> bool:
        return any(each.matches(name) for each in (table.name, *table.parts))

    def rows_of(self, name: Name) -> int | None:
        """How many rows the table has, a partition's whole table; None if it was not to be filled."""
        return next((each.all_rows for each in self._states.values() if self._is(each.table, name)), None)

    @property
    def rows(self) -> dict[Name, int]:
        """How many rows each table has."""
        return {each.table.name: each.all_rows for each in self._states.values()}

    @property
    def refused(self) -> dict[Name, str]:
        """The tables that could not be filled as far as was asked, each with PostgreSQL's reason."""
        return {each.table.name: each.reason for each in self._states.values() if each.reason}

    def fill(self, rows: Mapping[Name, int] | int, seconds: float = 0.0) -> int:
        """Fill each table to about so many rows, one number for all or one for each; returns how many rows were added.
        `seconds`: how long one table may take; 0: any time.
        """
        added = 0
        connection = self._connection
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            connection.execute("SET LOCAL client_min_messages = error")
            connection.execute("SET LOCAL jit = off")
            connection.execute("SET LOCAL synchronize_seqscans = off")
            connection.execute("SET LOCAL lock_timeout = '5s'")
            connection.execute(f"SET LOCAL statement_timeout = {max(int(seconds * 1000), 0)}".encode())
            for state in self._states.values():
                wanted = rows if isinstance(rows, int) else rows.get(state.table.name, 0)
                if not state.rows:
                    state.reason = state.reason or "it has no row to start from"
                    continue
                copies = wanted // state.rows - 1
                if copies > state.copies and not state.reason:
                    before = state.all_rows
                    self._fill(state, copies)
                    added += state.all_rows - before
        return added

    def settle(self) -> None:
        """Make the tables what they are in production: visible to all, with statistics."""
        for state in self._states.values():
            self._connection.execute(f"VACUUM (ANALYZE) {state.table.name.sql}".encode())

    # -- one table --------------------------------------------------------------------------------

    def _fill(self, state: _State, copies: int) -> None:
        import psycopg

        for wished, prefixed in dict.fromkeys(
            ((state.wished, state.prefixed), (state.wished, True), (False, state.prefixed), (False, True))
        ):
            state.wished, state.prefixed = wished, prefixed
            try:
                with self._connection.transaction():
                    built_after = self._set_indexes_aside(state, copies)
                    self._connection.execute(self._statement(state, copies).encode())
                    if built_after:
                        self._connection.execute(f"REINDEX TABLE {state.table.name.sql}".encode())
                    self._advance(state)
            except psycopg.Error as error:
                words = (error.diag.message_primary or str(error)).strip().split("\n")[0]
                state.reason = state.reason or words
            else:
                state.copies, state.reason = copies, ""
                return

    def _set_indexes_aside(self, state: _State, copies: int) -> bool:
        """Whether the indexes of the table are built once all rows exist, which takes a third of the time. Only a
        superuser may do that, and nobody where the table has partitions.
        """
        import psycopg

        if (copies - state.copies) * state.rows < _MANY or state.table.parts:
            return False
        try:
            with self._connection.transaction():
                self._connection.execute(
                    "UPDATE pg_catalog.pg_index SET indisready = false WHERE indrelid = %s AND indisready AND indisvalid",
                    [state.table.oid],
                )
        except psycopg.Error:
            return False
        return True

    def _statement(self, state: _State, copies: int) -> str:
        table = state.table
        columns = [each.name for each in table.fields]
        values = [self._value(state, table.field(name)) for name in columns]
        return (
            f"INSERT INTO {table.name.sql} ({', '.join(map(_quoted, columns))}) OVERRIDING SYSTEM VALUE"
            f" SELECT {', '.join(values)}"
            f" FROM pg_catalog.generate_series({state.copies + 1}, {copies}) alembic_reviewer_copies (g) CROSS JOIN"
            f" (SELECT t.*, pg_catalog.row_number() OVER () AS alembic_reviewer_n FROM"
            f" (SELECT * FROM {table.name.sql} WHERE {state.places}) t) s"
        )

    def _value(self, state: _State, column: _Field) -> str:
        move = self._moved[state.table.oid].get(column.name)
        name = f"s.{_quoted(column.name)}"
        if move is None or (move.wished and not state.wished):
            return name
        if move.kind == "text":
            return self._text(state, column)
        return f"({self._moved_by(move, name, _COPY)})::{column.whole}"

    def _moved_by(self, move: _Move, name: str, copy: str) -> str:
        """The value of the column `name` in the copy of that number."""
        if move.parent is None:
            return move.expression.format(name=name, g=copy)
        parent, column = move.parent
        theirs = self._moved[parent][column]
        # the row that it refers to has been copied so many times
        return self._moved_by(theirs, name, f"pg_catalog.mod({copy}, {self._states[parent].copies + 1})")

    @staticmethod
    def _text(state: _State, column: _Field) -> str:
        name = f"s.{_quoted(column.name)}::text"
        # a number that no other row of any copy has, in as few characters as possible
        number = f"pg_catalog.to_hex({_COPY} * {state.rows}::bigint + s.alembic_reviewer_n)"
        if state.prefixed:
            joined = f"{number} || {name}"
            whole = f"pg_catalog.left({joined}, {column.length})" if column.length else joined
        elif column.length:
            room = f"GREATEST({column.length - 1} - pg_catalog.length({number}), 0)"
            whole = f"pg_catalog.left({name}, {room}) || pg_catalog.right('-' || {number}, {column.length})"
        else:
            whole = f"{name} || '-' || {number}"
        return f"({whole})::{column.whole}"

    def _advance(self, state: _State) -> None:
        for column, sequence in state.table.sequences:
            self._connection.execute(
                "SELECT pg_catalog.setval(%s::regclass, (SELECT pg_catalog.max(c)::bigint FROM"
                f" (SELECT {_quoted(column)} AS c FROM {state.table.name.sql}) t))".encode(),
                [sequence],
            )

    # -- what is made different -----------------------------------------------------------------------

    def _moves(self, oid: int) -> dict[str, _Move]:
        """The columns that differ between copies, each with the way in which it does."""
        if oid in self._moved:
            return self._moved[oid]
        moved: dict[str, _Move] = {}
        self._moved[oid] = moved
        state = self._states[oid]
        table = state.table
        referring = {name for key in table.keys for name in key.columns}
        names = {each.name for each in table.fields}
        for index in sorted(table.unique, key=len):
            if any(name in moved for name in index):
                continue
            free = [name for name in index if name in names - referring and name not in table.partitioned_by]
            able = [name for kind in _ORDER for name in free if table.field(name).kind == kind]
            if able:
                moved[able[0]] = self._move(state, table.field(able[0]))
        for key in table.keys:
            if key.referenced not in self._states:
                continue
            theirs = self._moves(key.referenced)
            followed = [pair for pair in zip(key.columns, key.referenced_columns, strict=True) if pair[1] in theirs]
            if any(theirs[other].kind == "text" for _, other in followed):
                # it is made different by the number of the parent's row, which a child does not know: all copies of the
                # child refer to the row that there was
                continue
            for name, other in followed:
                if name not in moved and name in names:
                    moved[name] = _Move(theirs[other].kind, parent=(key.referenced, other))
        left = names - referring - self._referred_to(oid) - moved.keys()
        for name in self._differing(table, left):
            moved[name] = replace(self._move(state, table.field(name)), wished=True)
        return moved

    def _referred_to(self, oid: int) -> set[str]:
        """The columns that keys of other tables name."""
        keys = (key for each in self._known.values() for key in each.keys if key.referenced == oid)
        return {name for key in keys for name in key.referenced_columns}

    def _differing(self, table: _Table, names: Iterable[str]) -> list[str]:
        """Those of the columns that have another value in every row: a revision may make them unique."""
        wanted = [
            each.name
            for each in table.fields
            if each.name in names and each.kind in _WISHED and each.name not in table.partitioned_by
        ]
        if not wanted:
            return []
        counts = ", ".join(f"pg_catalog.count(DISTINCT {_quoted(name)}) = pg_catalog.count(*)" for name in wanted)
        row = self._connection.execute(f"SELECT {counts} FROM {table.name.sql}".encode()).fetchone()
        return [name for name, differs in zip(wanted, row or (), strict=False) if differs]

    def _move(self, state: _State, column: _Field) -> _Move:
        match column.kind:
            case "number":
                span = self._span(state, column, "numeric")
                return _Move("number", f"{{name}} + ({{g}})::{column.type} * ({span})::{column.type}")
            case "uuid":
                return _Move("uuid", "pg_catalog.md5({name}::text || ({g}))")
            case "time":
                return _Move("time", f"{{name}} + ({{g}}) * {self._span(state, column, 'time')}")
            case "date":
                return _Move("date", f"{{name}} + ({{g}}) * ({self._span(state, column, 'date')})")
            case "bytes":
                return _Move("bytes", "{name} || pg_catalog.convert_to('-' || ({g}), 'UTF8')")
            case _:
                return _Move("text")

    def _span(self, state: _State, column: _Field, kind: str) -> str:
        """By how much one copy is away from the next."""
        quoted = _quoted(column.name)
        texts = {
            "numeric": f"(pg_catalog.ceil(pg_catalog.max({quoted})::numeric - pg_catalog.min({quoted})::numeric) + 1)::text",
            "time": f"pg_catalog.quote_literal(pg_catalog.max({quoted}) - pg_catalog.min({quoted}) + interval '1 second') || '::interval'",
            "date": f"(pg_catalog.max({quoted}) - pg_catalog.min({quoted}) + 1)::text",
        }
        row = self._connection.execute(f"SELECT {texts[kind]} FROM {state.table.name.sql}".encode()).fetchone()
        found = row[0] if row is not None else None
        return str(found) if found is not None else "1"

    # -- which tables -----------------------------------------------------------------------------

    def _with_parents(self, wanted: Iterable[int]) -> list[int]:
        """Those tables, and what they refer to where nothing else tells their copies apart; parents first."""
        found: list[int] = []
        all_wanted = frozenset(wanted)

        def add(oid: int, seen: frozenset[int]) -> None:
            if oid in seen or oid not in self._known:
                return
            table = self._known[oid]
            names = {each.name for each in table.fields}
            own = {name for key in table.keys for name in key.columns}
            for index in table.unique:
                kinds = [table.field(name).kind for name in index if name in names and name not in own]
                if not any(kinds):
                    for key in table.keys:
                        if set(key.columns) & set(index):
                            add(key.referenced, seen | {oid})
            for key in table.keys:
                if key.referenced in all_wanted:
                    add(key.referenced, seen | {oid})
            if oid not in found:
                found.append(oid)

        for oid in all_wanted:
            add(oid, frozenset())
        return found

    def _placed(self, table: _Table) -> tuple[int, str]:
        """How many rows the table has, and a condition that finds them again among their copies."""
        rows = self._connection.execute(
            "SELECT tableoid::text, pg_catalog.count(*), pg_catalog.array_agg(ctid)::text"
            f" FROM {table.name.sql} GROUP BY tableoid".encode()
        ).fetchall()
        parts = [f"ctid = ANY ({_literal(str(places))}::tid[])" for _, _, places in rows]
        if table.parts:
            parts = [f"tableoid = {part[0]} AND {places}" for part, places in zip(rows, parts, strict=True)]
        return sum(int(str(count)) for _, count, _ in rows), " OR ".join(parts) or "false"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_QUERY = r"""
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
    'oid', c.oid::bigint,
    'name', pg_catalog.json_build_object('name', c.relname, 'schema', n.nspname),
    'fields', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
            'type', pg_catalog.format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), NULL),
            'whole', pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '[]'),
    'unique', coalesce((SELECT pg_catalog.json_agg((SELECT coalesce(pg_catalog.json_agg(DISTINCT a.attname), '[]')
            FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND (a.attnum = ANY (x.indkey[0:x.indnkeyatts - 1])
                OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE x.indexprs IS NOT NULL AND d.classid = 'pg_catalog.pg_class'::regclass
                    AND d.objid = x.indexrelid AND d.refobjid = c.oid AND d.refobjsubid = a.attnum))))
        FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisunique), '[]'),
    'keys', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('referenced', k.confrelid::bigint,
            'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY u.n) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u (c, n)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.c),
            'referenced_columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY u.n) FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u (c, n)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.c)) ORDER BY k.conname)
        FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class p ON p.oid = k.confrelid
        WHERE k.conrelid = c.oid AND k.contype = 'f' AND NOT p.relispartition), '[]'),
    'partitioned_by', coalesce((SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.pg_partitioned_table p
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND a.attnum = ANY (p.partattrs)
        WHERE p.partrelid = c.oid), '[]'),
    'parts', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', p.relname, 'schema', q.nspname))
        FROM pg_catalog.pg_partition_tree(c.oid) r JOIN pg_catalog.pg_class p ON p.oid = r.relid
        JOIN pg_catalog.pg_namespace q ON q.oid = p.relnamespace WHERE c.relkind = 'p' AND p.oid <> c.oid), '[]'),
    'sequences', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, s.name))
        FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_serial_sequence(
            pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), a.attname) AS name) s
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND s.name IS NOT NULL), '[]')
    )), '[]')::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
"""
