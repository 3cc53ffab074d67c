"""
An invalid index left behind by a failed build is taken for a valid one.

## Why it hurts

When `CREATE INDEX CONCURRENTLY` fails or is cancelled, an invalid index remains: no query uses it, a unique one
enforces nothing, and each write still pays for it. `IF NOT EXISTS` finds its name, skips the build and reports
success: the deploy succeeds, but the index that everybody relies on does not exist.

## Do this instead

First drop possible leftovers, and build without IF NOT EXISTS:

    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_users_name")
        op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)

## Not flagged

- `IF NOT EXISTS` after a `DROP INDEX ... IF EXISTS` of the same name, or after a query that asks `pg_index.indisvalid` for it.
- `IF NOT EXISTS` if the valid index exists: see `masking-if-exists`.
- Builds that are not concurrent: they leave nothing behind.

## References

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
    Name,
    Rule,
    Select,
    Severity,
    Subject,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="invalid-index",
    summary="an unusable leftover of a failed build is taken for the index",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateIndex(table=table, name=str() as name, concurrently=True, if_not_exists=True):
            if context.statement.error is not None or context.now.is_partitioned(table):
                return  # PostgreSQL refuses it, and nothing is left behind
            if any(isinstance(each, DropIndex) and each.index.name == name for each, _ in context.earlier):
                return
            if any(isinstance(each, Select) and _asks(sent.sql, name) for each, sent in context.earlier):
                return
            known = next((each for each in context.now.indexes(table) if each.name == name), None)
            if known is not None and known.valid:
                return
            left = (
                "exists but is invalid, so its build is skipped"
                if known
                else "may be left invalid by a failed build, and then its build is skipped"
            )
            index = Name(name, table.schema)
            yield concern(
                f"The index `{name}` {left}: the revision succeeds and no query can use the index.",
                remedy=[
                    remedies.outside_transaction(
                        remedies.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.sql}")
                        + "\n"
                        + remedies.execute(
                            re.sub(r"\s+IF\s+NOT\s+EXISTS", "", context.statement.sql, count=1, flags=re.IGNORECASE)
                        )
                    )
                ],
                about=about.index(name),
                severity=RULE.severity if known else RULE.severity.lower,
            )


def _asks(sql: str, name: str) -> bool:
    """Whether a query asks if an index is invalid: it drops one that is."""
    return re.search(r"\bindisvalid\b", sql, re.IGNORECASE) is not None and name in sql


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")"""

EXAMPLES = [
    Example(
        "if it is not there",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_name ON users (name)")  # flagged
        """,
    ),
    Example(
        "after the leftover is dropped",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS by_name")
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_name ON users (name)")
        """,
    ),
    Example(
        "after it was looked up whether one is left",
        given=USERS,
        upgrade="""
        left = "SELECT 1 FROM pg_index WHERE NOT indisvalid AND indexrelid = to_regclass('by_name')"
        with op.get_context().autocommit_block():
            if op.get_bind().scalar(sa.text(left)):
                op.execute("DROP INDEX CONCURRENTLY by_name")
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_name ON users (name)")
        """,
    ),
]
