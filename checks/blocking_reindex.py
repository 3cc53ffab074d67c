"""
Rebuilding an index blocks writes to its table, and every query that would use the index.

## Why it hurts

`REINDEX` takes SHARE on the table, so INSERT, UPDATE and DELETE wait until the transaction ends, and ACCESS
EXCLUSIVE on each index: queries for which the planner considers that index wait too.

## Do this instead

`REINDEX ... CONCURRENTLY`, outside a transaction, in a separate revision.

## Not flagged

- `REINDEX ... CONCURRENTLY`.
- Indexes of tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-reindex.html#SQL-REINDEX-CONCURRENTLY>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    Reindex,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="blocking-reindex",
    summary="writes, and queries that would use the indexes, wait while these are rebuilt",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Reindex(concurrently=False, kind=kind, object=name):
            if kind == "index" and name is not None and context.is_new_index(name):
                return
            if kind == "table" and name is not None and context.is_new(name):
                return
            if context.observed and not context.work():
                return
            tables = sorted({str(work.table) for work in context.work()})
            if not tables and name is not None:
                known = context.now.index_table(name)
                tables = [str(known.name)] if known else [str(name)] if kind == "table" else []
            on = ", ".join(f"`{table}`" for table in tables) or "every table of it"
            what = f"{kind} `{name}`" if name is not None else f"the {kind}"
            sql = re.sub(
                r"(?is)^(\s*reindex\s*(?:\([^)]*\)\s*)?(?:index|table|schema|database))\b", r"\1 CONCURRENTLY",
                context.statement.sql,
            )  # fmt: skip
            yield concern(
                f"""
                Rebuilding {what} takes SHARE on {on} and ACCESS EXCLUSIVE on the indexes, so writes, and queries
                that would use the indexes, wait until the transaction ends.
                """,
                remedy=[remedies.outside_transaction(remedies.execute(sql))] if kind != "system" else [],
                about=about.index(str(name)) if kind == "index" else about.table(name),
            )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "of a table",
        given=USERS,
        upgrade="""
        op.execute("REINDEX TABLE users")  # flagged
        """,
    ),
    Example(
        "of one index",
        given=USERS,
        upgrade="""
        op.execute("REINDEX INDEX users_pkey")  # flagged
        """,
    ),
    Example(
        "CONCURRENTLY",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("REINDEX TABLE CONCURRENTLY users")
        """,
    ),
]
