"""
A function is replaced that an index or a generated column uses: the old values stay, and queries do not find their rows.

## Why it hurts

An index on an expression stores what the function returned when each row was written. IMMUTABLE is a promise that
this never changes, so PostgreSQL does not rebuild the index when the function is replaced. From then on a query
that uses the index misses rows, and a unique index accepts duplicates, without an error. A stored generated column keeps its value in the
same way, until the row is next updated.

## Do this instead

Give the new function another name, build the index on it CONCURRENTLY, and drop the old one. Or `REINDEX INDEX
CONCURRENTLY` right after the replacement, accepting that queries are wrong in between. For a generated column, add a
new one that calls the new function, or update the rows in batches, which computes it anew.

## Not flagged

- A new body that returns the same values for the rows of the rehearsal.
- Indexes that the same revision rebuilds, and columns whose rows it updates.

## References

- <https://www.postgresql.org/docs/current/xfunc-volatility.html>
- <https://www.postgresql.org/docs/current/indexes-expressional.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    CreateObject,
    Example,
    Group,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    cause_of,
    concern,
    place_of,
)

RULE = Rule(
    id="stale-index",
    summary="an index or a generated column stores values that its function no longer returns",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            for each in after.stale if after is not None else ():
                step = cause_of(
                    subject, each.function, wanted=lambda o: isinstance(o, CreateObject), named_only=True
                )
                if each.column:
                    yield concern(
                        f"""
                        `{each.function}` now returns other values than those in the generated column
                        `{each.table}.{each.index}`: {each.rows:,} rows of the rehearsal keep theirs until they are updated.
                        """,
                        about=about.column(each.table, each.index),
                        severity=Severity.WARNING,
                        basis=Basis.OBSERVED,
                        location=place_of(step),
                        evidence={"rows": each.rows},
                    )
                    continue
                yield concern(
                    f"""
                    `{each.function}` now returns other values than those in the index `{each.index}` of
                    `{each.table}`: queries that use it do not find their rows. Rebuild it in the same revision.
                    """,
                    about=about.index(each.index, "stale"),
                    basis=Basis.OBSERVED,
                    location=place_of(step),
                    evidence={"rows": each.rows},
                )


ITEMS = """
op.execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL)")
op.execute("CREATE FUNCTION fold(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)'")
op.execute("CREATE INDEX ix_fold ON items (fold(name))")
"""

EXAMPLES = [
    Example(
        "another body",
        given=ITEMS,
        upgrade="""
        op.execute("CREATE OR REPLACE FUNCTION fold(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t)'")  # flagged
        """,
    ),
    Example(
        "another body, for a generated column",
        given=ITEMS + 'op.execute("ALTER TABLE items ADD COLUMN key text GENERATED ALWAYS AS (fold(name)) STORED")',
        upgrade="""
        op.execute("DROP INDEX ix_fold")
        op.execute("CREATE OR REPLACE FUNCTION fold(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t)'")  # flagged
        """,
    ),
    Example(
        "another way to the same values",
        given=ITEMS,
        upgrade="""
        op.execute("CREATE OR REPLACE FUNCTION fold(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t::varchar)'")
        """,
    ),
    Example(
        "built again",
        given=ITEMS,
        upgrade="""
        op.execute("CREATE OR REPLACE FUNCTION fold(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t)'")
        with op.get_context().autocommit_block():
            op.execute("REINDEX INDEX CONCURRENTLY ix_fold")
        """,
    ),
]
