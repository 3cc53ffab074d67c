"""
Attaching a table as a partition scans all of it while nobody can use it.

## Why it hurts

`ATTACH PARTITION` takes ACCESS EXCLUSIVE on the table that becomes a partition and scans every row to check whether
it belongs there. A DEFAULT partition is locked and scanned as well, for rows that belong to the new one. Until the
transaction ends, nobody can read or write those tables.

## Do this instead

Add a CHECK constraint to the table that matches the bounds, as NOT VALID, and validate it in a separate
transaction. ATTACH PARTITION then knows that every row belongs, and skips the scan. (The bounds exclude NULL: the
columns must be NOT NULL, or the check must say so.) The same works for a DEFAULT partition, with the opposite
check.

## Not flagged

- Tables with a valid constraint that implies the bounds: PostgreSQL reads nothing.
- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-ATTACH-PARTITION>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AttachPartition,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Rule,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="scanning-attach-partition",
    summary="reads and writes wait while every row is checked against the bounds",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AttachPartition(table=table, partition=partition):
            read = [str(work.table) for work in context.work()]
            if not context.observed and context.exists(partition):
                read = [str(partition)]
            if read:
                tables = " and ".join(f"`{each}`" for each in dict.fromkeys(read))
                known = context.observed or context.now.table(partition) is not None
                implied = not context.observed and any(
                    each.kind == "check" and each.valid and _names_bounds(each.definition, context.statement.sql)
                    for each in context.now.constraints(partition)
                )
                reads = "reads" if known and not implied else "reads, unless a valid CHECK implies the bounds,"
                yield concern(
                    f"""
                    Attaching `{partition}` to `{table}` {reads} every row of {tables} under ACCESS EXCLUSIVE, so
                    reads and writes of {tables} wait until the transaction ends.
                    """,
                    about=about.table(partition),
                    severity=context.certainty(RULE.severity) if known and not implied else Severity.NOTICE,
                )


def _names_bounds(definition: str, sql: str) -> bool:
    """Whether a CHECK holds every value of the bounds, so that it may imply them."""
    bounds = re.search(r"\bFOR\s+VALUES\b(.*)", sql, re.IGNORECASE | re.DOTALL)
    return bounds is not None and all(value in definition for value in _VALUE.findall(bounds[1]))


_VALUE = re.compile(r"'(?:[^']|'')*'|\b\d[\d.]*")

EVENTS = """
op.execute("CREATE TABLE events (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
op.execute("CREATE TABLE old_events (id bigint NOT NULL, day date NOT NULL)")
op.execute("INSERT INTO old_events VALUES (1, '2024-05-05')")
"""
ATTACH = """
op.execute("ALTER TABLE events ATTACH PARTITION old_events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
"""

EXAMPLES = [
    Example(
        "nothing says that the rows belong there",
        given=EVENTS,
        upgrade=ATTACH.strip() + "  # flagged",
    ),
    Example(
        "a valid CHECK says so",
        given=EVENTS
        + """op.execute("ALTER TABLE old_events ADD CHECK (day >= '2024-01-01' AND day < '2025-01-01')")""",
        upgrade=ATTACH,
    ),
    Example(
        "a CHECK that says something else",
        given=EVENTS + """op.execute("ALTER TABLE old_events ADD CHECK (day >= '2020-01-01')")""",
        upgrade=ATTACH.strip() + "  # flagged",
    ),
    Example(
        "a table of the same revision",
        given=EVENTS,
        upgrade="""
        op.execute("CREATE TABLE new_events (id bigint NOT NULL, day date NOT NULL)")
        op.execute("ALTER TABLE events ATTACH PARTITION new_events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')")
        """,
    ),
]
