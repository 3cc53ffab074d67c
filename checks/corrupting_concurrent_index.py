"""
PostgreSQL 14.0 to 14.3 can miss rows in an index that is built CONCURRENTLY.

## Why it hurts

A bug of these versions lets `CREATE INDEX CONCURRENTLY` and `REINDEX CONCURRENTLY` miss rows that change during the
build. The index looks valid, and queries that use it do not find these rows.

## Do this instead

Update the server to 14.4 or newer before the deploy, and rebuild indexes that were built concurrently before.

## Not flagged

- Other versions. The version is that of the review's server: select production's version with `--postgres`.

## References

- <https://www.postgresql.org/docs/release/14.4/>
"""

from __future__ import annotations

import re
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
    id="corrupting-concurrent-index",
    summary="the index silently misses rows",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
    needs="PostgreSQL 14.0 to 14.3",
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateIndex(concurrently=True) | Reindex(concurrently=True) if _has_the_bug(context):
            yield concern(
                f"""
                PostgreSQL {context.recording.server.version if context.recording.server else ""} can miss rows in
                an index that is built CONCURRENTLY; fixed in 14.4.
                """,
                about=about.other("server"),
            )


def _has_the_bug(context: Context) -> bool:
    server = context.recording.server
    return server is not None and re.match(r"14\.[0-3](\D|$)", server.version) is not None


EXAMPLES = [
    Example(
        "on a server without the bug",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")
        """,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("by_name", "users", ["name"], postgresql_concurrently=True)
        """,
    ),
]
