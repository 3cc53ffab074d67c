"""What the server tells of its relations, and what a statement has done to them since it told before.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8. It talks to no server.
"""

from __future__ import annotations

import collections
import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# No limit of the project's cancels our questions: theirs is kept aside meanwhile, in a setting that only we know. What
# is local ends with the transaction, as theirs does.
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

# Everything about the relations that this transaction has locked, in one round trip. Relations that the
# transaction has created itself (oid above the base's highest) are told once. Prepared, because planning it takes
# longer than running it; twice, because the names take a third of the time and are seldom news. Lines of text, because
# making JSON takes the server another third: three with the time and the timeouts, then one for each lock.
#
# It runs in the migration's own session, where `SET search_path = public, pg_catalog` puts what the project calls like
# something of PostgreSQL's before it: functions, types and operators are all named with their schema.
NARROW = """
PREPARE {name} (pg_catalog.oid, pg_catalog.oid, boolean) AS SELECT pg_catalog.concat_ws(
    E'\\n', pg_catalog.now(), pg_catalog.current_setting('lock_timeout'), {limit},
    pg_catalog.string_agg(pg_catalog.concat_ws(
        ' ', relation, mode, coalesce(pg_catalog.pg_relation_filenode(relation), 0),
        pg_catalog.pg_stat_get_xact_numscans(relation),
        pg_catalog.pg_stat_get_xact_tuples_returned(relation), {names}), E'\\n'))
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
# The same about every relation there is, with scans counted over the session: before a transaction's first
# statement, and around a statement that runs in no transaction.
WIDE = (
    """
SELECT CAST(pg_catalog.json_build_array(
    CAST(pg_catalog.now() AS pg_catalog.text), pg_catalog.current_setting('lock_timeout'),
    """
    + LIMIT
    + """,
    coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
        CAST(c.oid AS bigint), NULL, n.nspname, c.relname, CAST(c.relkind AS pg_catalog.text),
        CAST(pg_catalog.pg_relation_filenode(c.oid) AS bigint), pg_catalog.pg_stat_get_xact_numscans(c.oid),
        pg_catalog.pg_stat_get_xact_tuples_returned(c.oid), CAST(i.indrelid AS bigint),
        pg_catalog.pg_stat_get_numscans(c.oid), pg_catalog.pg_stat_get_tuples_returned(c.oid)))
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid OPERATOR(pg_catalog.=) c.oid
     WHERE c.oid OPERATOR(pg_catalog.>=) 16384 AND c.relkind OPERATOR(pg_catalog.=) ANY (
         CAST('{r,p,i,I,m,v,S,f}' AS pg_catalog."char"[]))), CAST('[]' AS pg_catalog.json))
) AS pg_catalog.text)
"""
)
# What a transaction holds now, for when a part of it has been taken back.
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
NOTHING: frozenset[str] = frozenset()

Row = collections.namedtuple(
    "Row", "oid modes schema name kind filenode scans tuples table totals", defaults=(None,)
)
Row.__doc__ = """One relation, as the server tells of it.

What NARROW left out is None. `table` is the oid of an index's table; `totals` are scans and tuples of the whole
session, which only WIDE tells: those of a transaction are counted anew in each.
"""


class Answer:
    """What the server told at one moment."""

    def __init__(self, now: str, lock_timeout: str, statement_timeout: str, rows: list[Row]) -> None:
        self.now = now
        self.lock_timeout = lock_timeout
        self.statement_timeout = statement_timeout
        self.rows = rows

    @property
    def limited(self) -> bool:
        """Whether a statement may run only for some time."""
        return self.statement_timeout != "0"

    @classmethod
    def of_wide(cls, text: str) -> Answer:
        now, lock_timeout, statement_timeout, rows = json.loads(text)
        found = [Row._make([*row[:9], (row[9] + row[6], row[10] + row[7])]) for row in rows]
        return cls(now, lock_timeout, statement_timeout, found)

    @classmethod
    def of_narrow(cls, text: str) -> Answer:
        now, lock_timeout, statement_timeout, *lines = text.split("\n")
        rows: dict[str, Row] = {}
        for line in lines:
            oid, mode, filenode, scans, tuples, *names = line.split(" ", 5)
            if oid in rows:
                rows[oid].modes.append(mode)
                continue
            schema, name, kind, table = json.loads(names[0]) if names else (None, None, None, None)
            number = int(filenode) or None
            rows[oid] = Row(int(oid), [mode], schema, name, kind, number, int(scans), int(tuples), table)
        return cls(now, lock_timeout, statement_timeout, list(rows.values()))


class Relations:
    """The relations as they were told of the last time, on one connection."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.totals: dict[int, tuple[int, int]] = {}  # by oid, scans and tuples of the whole session
        self.locks: dict[int, set[str]] = {}  # by oid, the modes that the transaction holds
        self.last: int | None = None  # the highest oid that was told of

    def begin(self, answer: Answer, held: str = "{}") -> None:
        """The state before a transaction's first statement, or behind what took a part of it back; `answer` is a wide
        one, `held` says what HELD brings.
        """
        self.rows = {row.oid: row for row in answer.rows}
        self.totals = {row.oid: row.totals for row in answer.rows}
        self.last = max(self.rows, default=16383)
        self.locks = {int(oid): set(modes) for oid, modes in json.loads(held).items()}

    def has_strangers(self, answer: Answer) -> bool:
        last = self.last or 0
        return any(row.oid > last and row.oid not in self.rows for row in answer.rows)

    def compare(
        self, answer: Answer, base: int, said: str
    ) -> tuple[dict[str, list[Any]], dict[int, dict[str, Any]]]:
        """What is different now, and becomes what is known: locks, rewritten, scanned and built.

        `said` is what the server said meanwhile; relations with an oid above `base` are new. Returns what is different,
        and beside it those with another file of which only its size tells whether they were rewritten, by oid.
        """
        found: dict[str, list[Any]] = {"locks": [], "rewritten": [], "scanned": [], "built": []}
        doubtful: dict[int, dict[str, Any]] = {}
        files = None
        for row in answer.rows:
            before = self.rows.get(row.oid)
            if before is not None:
                if self.is_untouched(row, before):
                    continue
                row = filled(row, before)
            self.last = max(self.last or 0, row.oid)
            if row.kind is None or row.kind == "t" or row.schema.startswith("pg_toast"):
                continue  # it came and went within this statement, or is nobody's business
            relation = self.described(row, before, base)
            found["locks"] += [[relation, mode] for mode in self.newly_held(row)]
            existing = row.kind in "rm" and row.oid <= base
            scans, tuples = self.scanned_since(row, before)
            if existing and scans > 0:
                found["scanned"].append([relation, tuples])
            if before is None and row.kind == "i":
                if files is None:
                    files = {each.filenode for each in self.rows.values()}
                if row.filenode not in files:  # ALTER COLUMN TYPE may make an index around the file of the old one
                    found["built"].append(relation)
            elif before is not None and before.filenode != row.filenode:
                if row.kind == "i":
                    found["built"].append(relation)
                elif existing and f'rewriting table "{row.name}"' in said:
                    found["rewritten"].append(relation)
                elif existing:
                    doubtful[row.oid] = relation
            self.rows[row.oid] = row
        if answer.rows and answer.rows[0].totals is not None:
            self.totals = {row.oid: row.totals for row in answer.rows}
        return found, doubtful

    def is_untouched(self, row: Row, before: Row) -> bool:
        """Whether nothing has happened to it in the transaction."""
        return (
            row.totals is None
            and row.scans == before.scans
            and row.tuples == before.tuples
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
        """How many sequential scans there were, and how many rows they read."""
        if row.totals is not None:
            was = self.totals.get(row.oid, row.totals)
            return row.totals[0] - was[0], row.totals[1] - was[1]
        if before is None or row.scans < before.scans:  # counted anew since the statistics were sent off
            return row.scans, row.tuples
        return row.scans - before.scans, row.tuples - before.tuples

    def described(self, row: Row, before: Row | None, base: int) -> dict[str, Any]:
        named = before or row  # under the name that it had when the statement began
        told = {
            "schema": named.schema,
            "name": named.name,
            "kind": KINDS.get(row.kind, "other"),
            "new": row.oid > base,
        }
        if row.table is not None:
            table = self.rows.get(row.table)
            told["table"] = table.name if table else ""
            told["table_new"] = row.table > base
        return told


def filled(row: Row, before: Row) -> Row:
    """The row with what it was not told of: names that are no news, and the file of what was dropped or has none."""
    if row.kind is None:
        row = row._replace(schema=before.schema, name=before.name, kind=before.kind, table=before.table)
    return row if row.filenode is not None else row._replace(filenode=before.filenode)
