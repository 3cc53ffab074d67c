"""
`lock_timeout` holds for a concurrent build too: behind any older transaction it dies, and leaves an invalid index.

## Why it hurts

`lock_timeout` is right for statements that others queue behind. A concurrent build takes no such lock, but it waits for
transactions that are older than itself, and that wait counts as well: a report that runs for a minute makes the build
fail with `canceling statement due to lock timeout`. The index stays, invalid, and the next try finds its name taken.

## Do this instead

`SET lock_timeout = 0` in the autocommit block before the build, and set it again afterwards. Drop an invalid leftover
first: `DROP INDEX CONCURRENTLY IF EXISTS ...`.

## Not flagged

- Builds with a `lock_timeout` of 0, and builds that are not concurrent.

## References

- <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>
- <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-LOCK-TIMEOUT>
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
            if seen is not None and seen.lock_timeout:
                yield concern(
                    f"""
                    `lock_timeout` is {_time(seen.lock_timeout)} here, and a concurrent build waits for every older
                    transaction: behind one that takes longer it fails and leaves an invalid index. Set it to 0 for the build.
                    """,
                    about=about.other("lock_timeout", "concurrently"),
                    evidence={"lock_timeout": seen.lock_timeout},
                )


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
]
