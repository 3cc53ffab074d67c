"""
Adding an exclusion constraint builds its index while reads and writes wait.

## Why it hurts

`ADD CONSTRAINT ... EXCLUDE` takes ACCESS EXCLUSIVE on the table and builds an index over all of it. Until the
transaction ends, nobody can read or write the table.

## Do this instead

There is no way to avoid the lock: exclusion constraints support neither NOT VALID nor USING INDEX. Add it in a
maintenance window, or create a new table that has it and move the rows over in batches.

## Not flagged

- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddExclusion,
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
    id="blocking-exclusion-constraint",
    summary="reads and writes wait while the constraint's index is built",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddExclusion(table=table, name=name) if context.exists(table):
            if context.observed and not context.built(table):
                return
            yield concern(
                f"""
                Adding exclusion constraint {f"`{name}` " if name else ""}builds its index over every row of
                `{table}` under ACCESS EXCLUSIVE, so reads and writes of `{table}` wait until the transaction ends.
                """,
                about=about.constraint(table, name or ""),
            )


EXAMPLES = [
    Example(
        "on a table that exists",
        given='op.execute("CREATE TABLE stays (id bigint PRIMARY KEY, period tstzrange)")',
        upgrade="""
        op.execute("ALTER TABLE stays ADD CONSTRAINT no_overlap EXCLUDE USING gist (period WITH &&)")  # flagged
        """,
        rows=False,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.execute("CREATE TABLE stays (id bigint PRIMARY KEY, period tstzrange)")
        op.execute("ALTER TABLE stays ADD CONSTRAINT no_overlap EXCLUDE USING gist (period WITH &&)")
        """,
    ),
]
