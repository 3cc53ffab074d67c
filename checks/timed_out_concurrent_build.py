"""
`lock_timeout` and `statement_timeout` hold for a concurrent build too: it dies, and leaves an invalid index.

## Why it hurts

`lock_timeout` is right for statements that others queue behind. A concurrent build takes no such lock, but it waits for
transactions that are older than itself, and that wait counts as well: a report that runs for a minute makes the build
fail with `canceling statement due to lock timeout`. The index stays, invalid, and the next try finds its name taken.

A `statement_timeout` of seconds, which suits every other statement, is worse: the build takes longer than that by
itself as soon as the table is large.

## Do this instead

`SET lock_timeout = 0` and `SET statement_timeout = 0` in the autocommit block before the build, and set them again
afterwards. Drop an invalid leftover first: `DROP INDEX CONCURRENTLY IF EXISTS ...`.

## Not flagged

- Builds with a `lock_timeout` of 0, a `statement_timeout` of more than a minute, and builds that are not concurrent.
- Builds on a table that the same deploy creates, as to `statement_timeout`.

## References

- <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>
- <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-LOCK-TIMEOUT>
- <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    CreateIndex,
    Example,
    Group,
    Reindex,
    Rule,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="timed-out-concurrent-build",
    summary="behind any older transaction the build dies, and leaves an invalid index",
    severity=Severity.NOTICE,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateIndex(concurrently=True) | Reindex(concurrently=True):
            seen = context.observation
            if seen is not None and 0 < seen.statement_timeout <= _SHORT and _is_old(subject, context):
                yield concern(
                    f"""
                    `statement_timeout` is {_time(seen.statement_timeout)} here, and a concurrent build of a large table takes
                    longer: it is cancelled and leaves an invalid index. Run `SET statement_timeout = 0` before the build.
                    """,
                    about=about.other("statement_timeout", "concurrently"),
                    severity=Severity.WARNING,
                    evidence={"statement_timeout": seen.statement_timeout},
                )
            if seen is not None and seen.lock_timeout:
                yield concern(
                    f"""
                    `lock_timeout` is {_time(seen.lock_timeout)} here, and a concurrent build waits for every older
                    transaction: behind one that takes longer it fails and leaves an invalid index. Set it to 0 for the build.
                    """,
                    about=about.other("lock_timeout", "concurrently"),
                    evidence={"lock_timeout": seen.lock_timeout},
                )


_SHORT = 60_000
"""Milliseconds in which an index of a large table is not built."""


def _is_old(subject: CreateIndex | Reindex, context: Context) -> bool:
    return not isinstance(subject, CreateIndex) or context.exists(subject.table)


def _time(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds} ms"


JOBS = 'op.execute("CREATE TABLE jobs (id int PRIMARY KEY, state text)")'

EXAMPLES = [
    Example(
        "with the timeout of the other statements",
        given=JOBS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("SET lock_timeout = '2s'")
            op.create_index("ix_jobs_state", "jobs", ["state"], postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "without one",
        given=JOBS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("SET lock_timeout = 0")
            op.create_index("ix_jobs_state", "jobs", ["state"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "cancelled when it takes longer than other statements may",
        given=JOBS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("SET statement_timeout = '3s'")
            op.create_index("ix_jobs_state", "jobs", ["state"], postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "with time enough",
        given=JOBS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("SET statement_timeout = '30min'")
            op.create_index("ix_jobs_state", "jobs", ["state"], postgresql_concurrently=True)
        """,
    ),
]
