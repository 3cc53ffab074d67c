"""What the server reports about relations, and what a statement has changed in them since the last report.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8. It does not talk to a server.
"""

from __future__ import annotations

import collections
import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# No statement_timeout of the project may cancel our queries: meanwhile its value is kept in a setting that only we
# use. A local setting ends with the transaction, as the project's would.
GUARD = """SELECT pg_catalog.set_config(
    'alembic_reviewer.statement_timeout', pg_catalog.current_setting('statement_timeout'), {local}),
    pg_catalog.set_config('statement_timeout', '0', {local})"""
UNGUARD = """SELECT pg_catalog.set_config(
    'statement_timeout', pg_catalog.current_setting('alembic_reviewer.statement_timeout'), {local}),
    pg_catalog.set_config('alembic_reviewer.statement_timeout', '', {local})"""
LIMIT = """coalesce(
    CASE WHEN NOT pg_catalog.texteq(pg_catalog.current_setting('alembic_reviewer.statement_timeout', true), '')
        THEN pg_catalog.current_setting('alembic_reviewer.statement_timeout', true) END,
    pg_catalog.current_setting('statement_timeout'))"""

# Everything about the relations that this transaction has locked, in one round trip. Relations that the transaction
# itself has created (oid above the base's highest) are reported once. Prepared, because planning takes longer than
# execution; twice, because the names take a third of the time and are rarely new. Plain lines, because building
# JSON takes the server another third: three lines with the time and the timeouts, then one for each lock.
#
# It runs in the migration's own session, where `SET search_path = public, pg_catalog` puts objects of the project
# before PostgreSQL's own of the same name. So functions, types and operators are all qualified with their schema.
NARROW = """
PREPARE {name} (pg_catalog.oid, pg_catalog.oid, boolean) AS SELECT pg_catalog.concat_ws(
    E'\\n', pg_catalog.now(), pg_catalog.current_setting('lock_timeout'), {limit},
    pg_catalog.string_agg(pg_catalog.concat_ws(
        ' ', relation, mode, coalesce(pg_catalog.pg_relation_filenode(relation), 0),
        pg_catalog.pg_stat_get_xact_numscans(relation),
        pg_catalog.pg_stat_get_xact_tuples_returned(relation),
        pg_catalog.pg_stat_get_xact_tuples_updated(relation),
        pg_catalog.pg_stat_get_xact_tuples_deleted(relation), {names}), E'\\n'))
FROM pg_catalog.pg_locks l WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
    AND locktype OPERATOR(pg_catalog.=) 'relation' AND granted AND relation OPERATOR(pg_catalog.>=) 16384
    AND (relation OPERATOR(pg_catalog.<=) $1 OR relation OPERATOR(pg_catalog.>) $2)
"""
NAMES = """CASE WHEN l.relation OPERATOR(pg_catalog.>) $2 OR $3 THEN
    (SELECT pg_catalog.json_build_array(
        n.nspname, c.relname, CAST(c.relkind AS pg_catalog.text), CAST(i.indrelid AS bigint))
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
     WHERE c.oid OPERATOR(pg_catalog.=) l.relation) END"""
ESCAPED = r"""pg_catalog.replace(pg_catalog.replace(CAST({} AS pg_catalog.text), E'\\', E'\\\\'), E'\n', E'\\n')"""
# The same for every existing relation, with scans counted over the session: used before a transaction's first
# statement, and around a statement that runs outside a transaction.
#
# After the same three lines: the number of schemas, a line for each, and a line for each relation, with its name last.
WIDE = (
    """
SELECT pg_catalog.concat_ws(E'\\n', pg_catalog.now(), pg_catalog.current_setting('lock_timeout'), """
    + LIMIT
    + """,
    (SELECT pg_catalog.concat_ws(E'\\n', pg_catalog.count(*), pg_catalog.string_agg(pg_catalog.concat_ws(
        ' ', n.oid, """
    + ESCAPED.format("n.nspname")
    + """), E'\\n')) FROM pg_catalog.pg_namespace n),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(
        ' ', c.oid, c.relnamespace, c.relkind, c.relfilenode, coalesce(i.indrelid, 0),
        pg_catalog.pg_stat_get_xact_numscans(c.oid), pg_catalog.pg_stat_get_xact_tuples_returned(c.oid),
        pg_catalog.pg_stat_get_xact_tuples_updated(c.oid), pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid),
        pg_catalog.pg_stat_get_numscans(c.oid), pg_catalog.pg_stat_get_tuples_returned(c.oid), """
    + ESCAPED.format("c.relname")
    + """), E'\\n')
     FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
     WHERE c.oid OPERATOR(pg_catalog.>=) 16384 AND c.relkind OPERATOR(pg_catalog.=) ANY (
         CAST('{r,p,i,I,m,v,S,f}' AS pg_catalog."char"[]))))
"""
)
# What a transaction holds now, for use after part of it has been rolled back.
HELD = """
SELECT CAST(coalesce(pg_catalog.json_object_agg(CAST(l.relation AS pg_catalog.text), l.modes),
    CAST('{}' AS pg_catalog.json)) AS pg_catalog.text)
FROM (SELECT relation, pg_catalog.json_agg(mode) AS modes FROM pg_catalog.pg_locks
      WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND locktype OPERATOR(pg_catalog.=) 'relation'
      AND granted AND relation OPERATOR(pg_catalog.>=) 16384
      GROUP BY relation) l
"""
KINDS = {
    "r": "table",
    "p": "partitioned table",
    "i": "index",
    "I": "partitioned index",
    "m": "materialized view",
    "v": "view",
    "S": "sequence",
    "f": "foreign table",
}
CHANGES = ("locks", "rewritten", "scanned", "built", "written")
NOTHING: frozenset[str] = frozenset()

Row = collections.namedtuple(
    "Row", "oid modes schema name kind filenode scans tuples table updated deleted totals", defaults=(0, 0, None)
)
Row.__doc__ = """One relation, as the server reports it.

Values that NARROW leaves out are None. `table` is the oid of an index's table; `totals` are the scans and tuples of
the whole session, which only WIDE reports: the counters of a transaction restart in each.
"""


class Lines:
    """Every existing relation as WIDE reports it. A line is taken apart when it is asked for: of thousands, few are."""

    def __init__(self, schemas: dict[str, str], lines: dict[int, str]) -> None:
        self.schemas = schemas
        self.lines = lines

    def row(self, oid: int) -> Row | None:
        line = self.lines.get(oid)
        if line is None:
            return None
        schema, kind, filenode, table, *counts, name = line.split(" ", 10)
        scans, tuples, updated, deleted, all_scans, all_tuples = map(int, counts)
        return Row(
            oid,
            None,
            self.schemas[schema],
            unescaped(name),
            kind,
            int(filenode) or None,
            scans,
            tuples,
            int(table) or None,
            updated,
            deleted,
            (all_scans + scans, all_tuples + tuples),
        )

    def files(self, without: dict[int, Row]) -> set[int]:
        return {int(line.split(" ", 3)[2]) for oid, line in self.lines.items() if oid not in without}

    def not_in(self, other: Lines) -> set[int]:
        """Return the relations that `other` reports differently, or not at all."""
        known = other.lines
        return {oid for oid, line in self.lines.items() if known.get(oid) != line}


class Answer:
    """What the server reported at one moment: about the relations that are locked, or in `every` about all."""

    def __init__(
        self, now: str, lock_timeout: str, statement_timeout: str, rows: list[Row], every: Lines | None = None
    ) -> None:
        self.now = now
        self.lock_timeout = lock_timeout
        self.statement_timeout = statement_timeout
        self.rows = rows
        self.every = every

    @property
    def limited(self) -> bool:
        """Whether a statement_timeout is in force."""
        return self.statement_timeout != "0"

    @classmethod
    def of_wide(cls, text: str) -> Answer:
        now, lock_timeout, statement_timeout, count, *lines = text.split("\n")
        schemas = dict(line.split(" ", 1) for line in lines[: int(count)])
        schemas = {oid: unescaped(name) for oid, name in schemas.items()}
        found = {int(oid): line for oid, _, line in (each.partition(" ") for each in lines[int(count) :])}
        return cls(now, lock_timeout, statement_timeout, [], Lines(schemas, found))

    @classmethod
    def of_narrow(cls, text: str) -> Answer:
        now, lock_timeout, statement_timeout, *lines = text.split("\n")
        rows: dict[str, Row] = {}
        for line in lines:
            oid, mode, filenode, scans, tuples, updated, deleted, *names = line.split(" ", 7)
            if oid in rows:
                rows[oid].modes.append(mode)
                continue
            schema, name, kind, table = json.loads(names[0]) if names else (None, None, None, None)
            number = int(filenode) or None
            counts = int(scans), int(tuples)
            changed = int(updated), int(deleted)
            rows[oid] = Row(int(oid), [mode], schema, name, kind, number, *counts, table, *changed)
        return cls(now, lock_timeout, statement_timeout, list(rows.values()))


class Relations:
    """The relations on one connection, as last reported."""

    def __init__(self) -> None:
        self.every = Lines({}, {})
        self.rows: dict[int, Row] = {}  # those that are no longer as `every` has them
        self.locks: dict[int, set[str]] = {}  # by oid, the modes that the transaction holds
        self.last: int | None = None  # the highest oid reported so far

    def begin(self, answer: Answer, held: str = "{}") -> None:
        """Set the state before a transaction's first statement, or after part of the transaction was rolled back.
        `answer` is a wide one, `held` the result of HELD.
        """
        self.every, self.rows = answer.every or Lines({}, {}), {}
        self.last = max(self.every.lines, default=16383)
        self.locks = {int(oid): set(modes) for oid, modes in json.loads(held).items()}

    def row(self, oid: int) -> Row | None:
        return self.rows.get(oid) or self.every.row(oid)

    def has_strangers(self, answer: Answer) -> bool:
        last = self.last or 0
        return any(row.oid > last and row.oid not in self.rows for row in answer.rows)

    def changed(self, answer: Answer) -> list[Row]:
        """Return what `answer` reports, without relations that are just as they were."""
        if answer.every is None:
            return answer.rows
        every = answer.every
        oids = every.not_in(self.every) | (self.rows.keys() & every.lines.keys())
        return [row for row in map(every.row, oids) if row is not None]

    def compare(
        self, answer: Answer, base: int, said: str
    ) -> tuple[dict[str, list[Any]], dict[int, dict[str, Any]]]:
        """Compare with the last state, and replace it: locks, rewritten, scanned, written and built.

        `said` holds the server's messages in between. Relations with an oid above `base` are new. Returns the
        changes and, by oid, relations with a new file whose size has to be checked to know whether they were
        rewritten.
        """
        found: dict[str, list[Any]] = {name: [] for name in CHANGES}
        doubtful: dict[int, dict[str, Any]] = {}
        files = None
        for row in sorted(
            self.changed(answer), key=lambda row: row.oid
        ):  # a table before its indexes, which name it
            before = self.row(row.oid)
            if before is not None:
                if self.is_untouched(row, before):
                    continue
                row = filled(row, before)
            self.last = max(self.last or 0, row.oid)
            if row.kind is None or row.kind == "t" or row.schema.startswith("pg_toast"):
                continue  # created and dropped within this statement, or of no interest
            relation = self.described(row, before, base)
            found["locks"] += [[relation, mode] for mode in self.newly_held(row)]
            existing = row.kind in "rm" and row.oid <= base
            scans, tuples = self.scanned_since(row, before)
            if existing and scans > 0:
                found["scanned"].append([relation, tuples])
            updated, deleted = self.written_since(row, before)
            if existing and (updated or deleted):
                found["written"].append([relation, updated, deleted])
            if before is None and row.kind == "i":
                if files is None:
                    files = {each.filenode for each in self.rows.values()} | self.every.files(self.rows)
                if row.filenode not in files:  # ALTER COLUMN TYPE may create an index that reuses the old file
                    found["built"].append(relation)
            elif before is not None and before.filenode != row.filenode:
                if row.kind == "i":
                    found["built"].append(relation)
                elif existing and f'rewriting table "{row.name}"' in said:
                    found["rewritten"].append(relation)
                elif existing:
                    doubtful[row.oid] = relation
            self.rows[row.oid] = row
        if answer.every is not None:
            gone = self.every.lines.keys() - answer.every.lines.keys()
            self.rows.update((oid, last) for oid in gone if (last := self.row(oid)) is not None)
            self.every = answer.every
        return found, doubtful

    def is_untouched(self, row: Row, before: Row) -> bool:
        """Return whether nothing has happened to the relation in the transaction."""
        return (
            row.totals is None
            and row.scans == before.scans
            and row.tuples == before.tuples
            and (row.updated, row.deleted) == (before.updated, before.deleted)
            and (row.filenode is None or row.filenode == before.filenode)
            and (row.kind is None or (row[2:5], row.table) == (before[2:5], before.table))
            and self.locks.get(row.oid, NOTHING).issuperset(row.modes)
        )

    def newly_held(self, row: Row) -> list[str]:
        held = self.locks.setdefault(row.oid, set())
        new = [mode for mode in row.modes or () if mode not in held]
        held.update(new)
        return new

    def scanned_since(self, row: Row, before: Row | None) -> tuple[int, int]:
        """Return how many sequential scans there were, and how many rows they read."""
        if row.totals is not None:
            known = self.every.row(row.oid)
            was = known.totals if known is not None else row.totals
            return row.totals[0] - was[0], row.totals[1] - was[1]
        if before is None or row.scans < before.scans:  # the counter restarts when statistics are flushed
            return row.scans, row.tuples
        return row.scans - before.scans, row.tuples - before.tuples

    def written_since(self, row: Row, before: Row | None) -> tuple[int, int]:
        """Return how many rows were updated and how many deleted; nothing where that was in another transaction."""
        if row.totals is not None:
            return 0, 0
        if before is None or row.updated < before.updated or row.deleted < before.deleted:
            return row.updated, row.deleted
        return row.updated - before.updated, row.deleted - before.deleted

    def described(self, row: Row, before: Row | None, base: int) -> dict[str, Any]:
        named = before or row  # under the name that it had when the statement began
        told = {
            "schema": named.schema,
            "name": named.name,
            "kind": KINDS.get(row.kind, "other"),
            "new": row.oid > base,
        }
        if row.table is not None:
            table = self.row(row.table)
            told["table"] = table.name if table else ""
            told["table_new"] = row.table > base
        return told


def unescaped(name: str) -> str:
    if "\\" not in name:
        return name
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], name)


def filled(row: Row, before: Row) -> Row:
    """Fill in what the answer left out: names that have not changed, and the file of a relation that was dropped or
    has none.
    """
    if row.kind is None:
        row = row._replace(schema=before.schema, name=before.name, kind=before.kind, table=before.table)
    return row if row.filenode is not None else row._replace(filenode=before.filenode)
