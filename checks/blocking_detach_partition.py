"""
Detaching a partition takes ACCESS EXCLUSIVE on the whole partitioned table.

## Why it hurts

`DETACH PARTITION` needs ACCESS EXCLUSIVE on the partitioned table and on the partition. It waits for every running
query on the table, all later queries wait behind it, and the lock is held until the transaction ends.

## Do this instead

`DETACH PARTITION ... CONCURRENTLY`, outside a transaction, in a separate revision: it takes SHARE UPDATE EXCLUSIVE
on the partitioned table. It is not possible if the table has a DEFAULT partition.

## Not flagged

- `DETACH PARTITION ... CONCURRENTLY`.
- Partitioned tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    DetachPartition,
    Example,
    Group,
    LockMode,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="blocking-detach-partition",
    summary="the whole partitioned table is blocked",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DetachPartition(concurrently=False, table=table, partition=partition) if context.exists(table):
            yield concern(
                f"""
                Detaching `{partition}` takes ACCESS EXCLUSIVE on all of `{table}`: reads and writes queue behind it
                while it waits for running queries, and then wait until the transaction ends.
                """,
                remedy=[
                    remedies.outside_transaction(
                        remedies.execute(f"ALTER TABLE {table.sql} DETACH PARTITION {partition.sql} CONCURRENTLY")
                    )
                ],
                about=about.table(table),
            )


EVENTS = """
op.execute("CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
op.execute("CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
"""

EXAMPLES = [
    Example(
        "in the revision's transaction",
        given=EVENTS,
        upgrade="""
        op.execute("ALTER TABLE events DETACH PARTITION events_2024")  # flagged
        """,
    ),
    Example(
        "CONCURRENTLY",
        given=EVENTS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("ALTER TABLE events DETACH PARTITION events_2024 CONCURRENTLY")
        """,
    ),
]
