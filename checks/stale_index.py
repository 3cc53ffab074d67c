"""
A function is replaced under an index on it: the index keeps the old values, and queries do not find their rows.

## Why it hurts

An index on an expression holds what the function gave when each row was written. IMMUTABLE is a promise that this never
changes, so PostgreSQL does not look again when the function is replaced. From then on a query that uses the index misses
rows, a unique index lets duplicates in, and no error says so.

## Do this instead

Give the new function another name, build the index on it CONCURRENTLY, and drop the old one. Or `REINDEX INDEX
CONCURRENTLY` right after the replacement, knowing that queries are wrong in between.

## Not flagged

- A new body that gives the same values for the rows of the rehearsal.
- Indexes that the same revision builds again.

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
    cause_of,
    concern,
    place_of,
)

RULE = Rule(
    id="stale-index",
    summary="an index holds values that its function does not give any more",
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
                yield concern(
                    f"""
                    `{each.function}` gives other values now than those that the index `{each.index}` of `{each.table}` was
                    built with: queries that use it do not find their rows. Build it again in the same revision.
                    """,
                    about=("index", each.index, "stale"),
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
