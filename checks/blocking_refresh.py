"""
Refreshing a materialized view blocks all reads of it until the refresh is done.

## Why it hurts

`REFRESH MATERIALIZED VIEW` takes ACCESS EXCLUSIVE on the view, runs its query and rewrites the contents. A plain
SELECT from the view waits until the transaction ends.

## Do this instead

`REFRESH MATERIALIZED VIEW CONCURRENTLY` does not block readers. It needs a unique index on plain columns of the
view, without WHERE, and a view that is already populated.

## Not flagged

- `REFRESH ... CONCURRENTLY`, and `WITH NO DATA`.
- Views that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-refreshmaterializedview.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Name,
    RefreshMaterializedView,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="blocking-refresh",
    summary="readers of the materialized view wait while it is refreshed",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    rewrites=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case RefreshMaterializedView(concurrently=False, with_data=True, view=view) if context.exists(view):
            yield concern(
                f"""
                Refreshing `{view}` rewrites it under ACCESS EXCLUSIVE, so reads of `{view}` wait until the
                transaction ends.
                """,
                remedy=[remedies.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view.sql}")]
                if _has_unique_index(view, context)
                else [],
                about=about.table(view),
            )


def _has_unique_index(view: Name, context: Context) -> bool:
    known = context.now.table(view)
    return known is not None and any(
        index.unique and index.valid and "" not in index.columns and " WHERE " not in index.definition
        for index in known.indexes
    )


VIEW = """
op.execute("CREATE TABLE sales (id bigint PRIMARY KEY, shop bigint)")
op.execute("CREATE MATERIALIZED VIEW totals AS SELECT shop, count(*) AS number FROM sales GROUP BY shop")
op.execute("CREATE UNIQUE INDEX totals_shop ON totals (shop)")
"""

EXAMPLES = [
    Example(
        "a view in use",
        given=VIEW,
        upgrade="""
        op.execute("REFRESH MATERIALIZED VIEW totals")  # flagged
        """,
    ),
    Example(
        "CONCURRENTLY",
        given=VIEW,
        upgrade="""
        op.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY totals")
        """,
    ),
    Example(
        "a view of the same revision",
        given='op.execute("CREATE TABLE sales (id bigint PRIMARY KEY, shop bigint)")',
        upgrade="""
        op.execute("CREATE MATERIALIZED VIEW totals AS SELECT shop FROM sales WITH NO DATA")
        op.execute("REFRESH MATERIALIZED VIEW totals")
        """,
    ),
]
