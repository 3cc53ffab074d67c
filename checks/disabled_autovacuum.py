"""
Autovacuum is off for a table, and dead rows stay.

## Why it hurts

Without autovacuum nothing reuses the space of updated and deleted rows, and nothing renews the statistics: the table grows,
its plans go wrong, and PostgreSQL comes back to it only to prevent wraparound, with a vacuum that reads everything. A
setting that was meant for one large load is there until somebody remembers it.

## Do this instead

Make it run more often, not never: `SET (autovacuum_vacuum_scale_factor = 0.01)`. After a load run `ANALYZE`.

## Not flagged

- A table that the same deploy creates, or for which it resets the parameter.

## References

- <https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    Rule,
    SetStorageParameters,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="disabled-autovacuum",
    summary="dead rows stay until somebody remembers the setting",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)

_OFF = re.compile(r"(?:toast\.)?autovacuum_enabled\s*=\s*'?(?:false|off|no|0|f|n)'?$", re.IGNORECASE)
_NAMED = re.compile(r"(?:toast\.)?autovacuum_enabled\b", re.IGNORECASE)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case SetStorageParameters(object=table, parameters=parameters) if context.exists(table):
            off = any(_OFF.match(each.strip()) for each in parameters)
            back = any(
                isinstance(later, SetStorageParameters)
                and later.object.matches(table)
                and any(_NAMED.match(each.strip()) and not _OFF.match(each.strip()) for each in later.parameters)
                for later, _ in context.later()
            )
            if off and not back:
                yield concern(
                    f"From now on nothing vacuums `{table}` by itself: dead rows and old statistics stay.",
                    about=about.table(table, "autovacuum"),
                )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "for good",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users SET (autovacuum_enabled = false)")  # flagged
        """,
    ),
    Example(
        "more often",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users SET (autovacuum_vacuum_scale_factor = 0.01)")
        """,
    ),
    Example(
        "for the length of the revision",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users SET (autovacuum_enabled = off)")
        op.execute("UPDATE users SET name = 'x' WHERE id = 0")
        op.execute("ALTER TABLE users RESET (autovacuum_enabled)")
        """,
        downgrade="""
        pass
        """,
    ),
]
