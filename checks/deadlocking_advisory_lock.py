"""
An advisory lock is held while an index is built CONCURRENTLY: a second replica that waits for the lock deadlocks with it.

## Why it hurts

`pg_advisory_lock()` in env.py lets one replica migrate while the others wait. A replica that waits runs a statement, and
so holds a snapshot; a concurrent build waits until every older snapshot is gone. Each waits for the other: PostgreSQL
ends the build with `deadlock detected`, and an invalid index stays behind. With one replica, as in a test, nothing of
this is seen.

## Do this instead

Ask in a loop: `pg_try_advisory_lock()` with a pause between two tries holds no snapshot. Or let one job migrate and start
the replicas after it.

## Not flagged

- `pg_try_advisory_lock()`, and locks that are released before the statement.
- `pg_advisory_xact_lock()`: it goes with its transaction, in which nothing is built CONCURRENTLY.

## References

- <https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADVISORY-LOCKS>
- <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    CreateIndex,
    DropIndex,
    Example,
    Group,
    Reindex,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    line_of,
)

RULE = Rule(
    id="deadlocking-advisory-lock",
    summary="a second replica that waits for the lock deadlocks with the index build",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)

_TAKES = re.compile(r"\bpg_advisory_lock(?:_shared)?\s*\(", re.IGNORECASE)
_GIVES = re.compile(r"\bpg_advisory_unlock(?:_shared|_all)?\s*\(", re.IGNORECASE)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateIndex(concurrently=True) | DropIndex(concurrently=True) | Reindex(concurrently=True):
            held = None
            for _, statement in context.earlier:
                if _TAKES.search(statement.sql):
                    held = statement
                elif _GIVES.search(statement.sql):
                    held = None
            if held is not None:
                where = line_of(held, context) or "env.py"
                yield concern(
                    f"""
                    The advisory lock of {where} is held here: while a second replica waits in `pg_advisory_lock()`, this
                    statement waits for its snapshot, and PostgreSQL ends it with `deadlock detected`. Use
                    `pg_try_advisory_lock()` in a loop.
                    """,
                    about=about.other("advisory lock"),
                    evidence={"taken_by": held.sql},
                )


JOBS = 'op.execute("CREATE TABLE jobs (id int PRIMARY KEY, state text)")'

EXAMPLES = [
    Example(
        "an index built while the lock is held",
        given=JOBS,
        upgrade="""
        op.execute("SELECT pg_advisory_lock(4711)")
        with op.get_context().autocommit_block():
            op.create_index("ix_jobs_state", "jobs", ["state"], postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "asked for without waiting",
        given=JOBS,
        upgrade="""
        op.execute("SELECT pg_try_advisory_lock(4711)")
        with op.get_context().autocommit_block():
            op.create_index("ix_jobs_state", "jobs", ["state"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "released before",
        given=JOBS,
        upgrade="""
        op.execute("SELECT pg_advisory_lock(4711)")
        op.execute("SELECT pg_advisory_unlock(4711)")
        with op.get_context().autocommit_block():
            op.create_index("ix_jobs_state", "jobs", ["state"], postgresql_concurrently=True)
        """,
    ),
]
