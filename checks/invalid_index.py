"""
An invalid index left behind by a failed build is taken for a valid one.

## Why it hurts

When `CREATE INDEX CONCURRENTLY` fails or is cancelled, an invalid index remains: no query uses it, a unique one
enforces nothing, and each write still pays for it. `IF NOT EXISTS` finds its name, skips the build and reports
success: the deploy succeeds, but the index that everybody relies on does not exist. An index ON ONLY a partitioned
table is invalid too, until every partition has an index attached to it.

## Do this instead

First drop possible leftovers, and build without IF NOT EXISTS:

    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_users_name")
        op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)

## Not flagged

- `IF NOT EXISTS` after a `DROP INDEX ... IF EXISTS` of the same name, or after a query that asks `pg_index.indisvalid` for it.
- `IF NOT EXISTS` if the valid index exists: see `masking-if-exists`.
- Builds that are not concurrent: they leave nothing behind.
- An index ON ONLY a partitioned table, once every partition has an index attached to it.

## References

- <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AttachIndex,
    Basis,
    Change,
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
    Story,
    Subject,
    about,
    concern,
    place_of,
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
        case Story():
            yield from _incomplete(subject, context)
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


def _incomplete(story: Story, context: Context) -> Iterator[Concern]:
    """An index ON ONLY a partitioned table is invalid until each of its partitions has an index attached to it."""
    stories = context.recording.revisions
    later = stories[[each.id for each in stories].index(story.revision.id) :]
    changes = [change for each in later if (after := context.recording.after(each.id)) for change in after.changes]
    left = {
        d.name for d in changes if d.kind == "index" and d.change is Change.LEFT_BEHIND and d.aspect == "invalid"
    }
    left -= {d.name for d in changes if d.kind == "index" and d.change is Change.CHANGED and d.aspect == "invalid"}
    left -= {d.name for d in changes if d.kind == "index" and d.change is Change.MISSING}
    begun = {each.index.name for each, _ in story.operations() if isinstance(each, AttachIndex)}
    for step in story.steps():
        match step.operation:
            case CreateIndex(table=table, name=str() as name, only=True) if name in left:
                yield concern(
                    f"""
                    The index `{name}` is invalid after the upgrade: it is on the partitioned table `{table}` only, and not
                    every partition has an index that is attached to it.
                    """,
                    about=about.index(name),
                    basis=Basis.OBSERVED,
                    location=place_of(step),
                    # where nothing is attached yet, a later deploy may do it
                    severity=RULE.severity if name in begun else Severity.NOTICE,
                )


def _asks(sql: str, name: str) -> bool:
    """Whether a query asks if an index is invalid: it drops one that is."""
    return re.search(r"\bindisvalid\b", sql, re.IGNORECASE) is not None and name in sql


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")"""

EVENTS = """
op.execute("CREATE TABLE events (id int, at date) PARTITION BY RANGE (at)")
op.execute("CREATE TABLE events_24 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
op.execute("CREATE TABLE events_25 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')")
"""

EXAMPLES = [
    Example(
        "one partition has no index",
        given=EVENTS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("by_id_24", "events_24", ["id"], postgresql_concurrently=True)
        op.execute("CREATE INDEX by_id ON ONLY events (id)")  # flagged
        op.execute("ALTER INDEX by_id ATTACH PARTITION by_id_24")
        """,
    ),
    Example(
        "each partition has one, in the end",
        given=EVENTS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("by_id_24", "events_24", ["id"], postgresql_concurrently=True)
        op.execute("CREATE INDEX by_id ON ONLY events (id)")
        op.execute("ALTER INDEX by_id ATTACH PARTITION by_id_24")
        """,
        then=(
            """
            with op.get_context().autocommit_block():
                op.create_index("by_id_25", "events_25", ["id"], postgresql_concurrently=True)
            op.execute("ALTER INDEX by_id ATTACH PARTITION by_id_25")
            """,
        ),
    ),
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
