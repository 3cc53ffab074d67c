"""What to do without where a revision fails on rows that we have made: first values that only the application can make
(bytes, JSON), then rows, of as few tables as possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import Catalogue, Failure, Pass
from reviewer.rehearsal.round_trip import touched
from reviewer.sql.names import Name, listed

if TYPE_CHECKING:
    from psycopg import Connection

_OPAQUE = (("bytea",), ("json", "jsonb", "xml"))
"""Types whose values mean something to the application alone, those that it can do least with first."""


class Without(Struct, frozen=True):
    """Tables without rows, or with NULL in those of their columns that have certain types."""

    tables: tuple[Name, ...]
    types: tuple[str, ...] = ()
    """Empty: without rows."""

    @property
    def phrase(self) -> str:
        """For example `rows of orders and items`."""
        names = listed([str(each) for each in self.tables])
        return f"{' and '.join(self.types)} values of {names}" if self.types else f"rows of {names}"

    def apply(self, connection: Connection[tuple[object, ...]]) -> bool:
        """Take them away; False if there are none, or if the server refuses."""
        import psycopg

        names = [each.sql for each in self.tables]
        for way in (_BLANK,) if self.types else (_EMPTY, _EMPTY_WITH_ALL):
            try:
                with connection.transaction():
                    connection.execute("SET LOCAL lock_timeout = '5s'")
                    statements = connection.execute(
                        way.encode(), {"tables": names, "types": list(self.types)}
                    ).fetchall()
                    for (statement,) in statements:
                        connection.execute(str(statement).encode())
            except psycopg.Error:
                continue
            return bool(statements)
        return False


def in_the_way(revision: str, failure: Failure, passes: Iterable[Pass], known: Catalogue) -> Iterable[Without]:
    """What to do without, one after the other, for `revision` to run in spite of `failure`."""
    runs = [each for each in passes if each.revision == revision]
    there = [
        replace(run, statements=tuple(s for s in run.statements if s.location == failure.location)) for run in runs
    ]
    tables = [each.name for each in known.tables if each.kind in {"table", "partitioned table"}]

    def those_of(some: Sequence[Pass]) -> tuple[Name, ...]:
        names = touched(some)
        return tuple(each for each in tables if any(each.matches(name) for name in names))

    ways = [those_of(there), those_of(runs)]
    for types in _OPAQUE:
        yield Without(ways[-1], types)
    yield from (Without(each) for each in dict.fromkeys(ways) if each)


_BLANK = """
SELECT pg_catalog.format('UPDATE %%s SET %%s', a.attrelid::regclass, pg_catalog.string_agg(pg_catalog.format('%%I = NULL', a.attname), ', '))
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = ANY (%(tables)s::text[]::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.attnotnull
  AND a.attgenerated = '' AND t.typname = ANY (%(types)s)
GROUP BY a.attrelid
"""
_EMPTY = """
SELECT statement FROM (
    SELECT 1, pg_catalog.format('UPDATE %%s SET %%s', k.conrelid::regclass, pg_catalog.string_agg(pg_catalog.format('%%I = NULL', a.attname), ', '))
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY (%(tables)s::text[]::regclass[])
      AND NOT k.conrelid = ANY (%(tables)s::text[]::regclass[])
    GROUP BY k.oid, k.conrelid HAVING NOT pg_catalog.bool_or(a.attnotnull)
    UNION ALL
    SELECT 2, pg_catalog.format('DELETE FROM %%s', t) FROM pg_catalog.unnest(%(tables)s::text[]::regclass[]) t
) steps (step, statement) ORDER BY step
"""
_EMPTY_WITH_ALL = """
SELECT 'TRUNCATE ' || pg_catalog.string_agg(t::text, ', ') || ' CASCADE' FROM pg_catalog.unnest(%(tables)s::text[]::regclass[]) t
"""
