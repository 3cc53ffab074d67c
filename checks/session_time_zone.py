"""
An UPDATE copies between `timestamp` and `timestamptz`, and the time zone of the session decides which moment that is.

## Why it hurts

PostgreSQL reads a time without a time zone as one in the time zone of the session, which the server, the role, the
connection string or an environment variable sets. In a rehearsal it is UTC. Where it is another one in production, every
copied value is off by some hours, and by others in summer: nothing fails.

## Do this instead

Say which time zone the values are in: `SET made_at = made AT TIME ZONE 'UTC'`.

## Not flagged

- An assignment with `AT TIME ZONE`, or any other expression.
- A revision that sets the time zone itself before.
- A change of the type: see `rewriting-type-change`.

## References

- <https://www.postgresql.org/docs/current/datatype-datetime.html#DATATYPE-TIMEZONES>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Example,
    Group,
    Rule,
    SetVariable,
    Severity,
    Subject,
    Update,
    about,
    concern,
    types,
)

RULE = Rule(
    id="session-time-zone",
    summary="the time zone of whoever deploys decides which moments are stored",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
)

_ZONES = {"timestamp without time zone", "timestamp with time zone"}
_CAST = r"(?:\s*::\s*timestamp(?:tz|\s+with(?:out)?\s+time\s+zone)?)?"


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Update(table=table, columns=columns, reads=reads) if context.exists(table) and not _is_set(context):
            known = {each: found.type for each in {*columns, *reads} if (found := context.now.column(table, each))}
            for column in columns:
                for source in reads:
                    kinds = {types.base(known.get(column, "")), types.base(known.get(source, ""))}
                    if kinds == _ZONES and _copies(context.statement.sql, column, source):
                        yield concern(
                            f"""
                            `{table}.{column}` gets the values of `{source}` as times in the session's time zone. Say which one
                            they are in: `{column} = {source} AT TIME ZONE 'UTC'`.
                            """,
                            about=about.column(table, column, "time zone"),
                            basis=Basis.PARSED,
                        )


def _copies(sql: str, column: str, source: str) -> bool:
    """Whether the column is assigned the other one, with no more than a cast."""
    of, to = (rf'(?:"?\w+"?\s*\.\s*)?"?{re.escape(each)}"?' for each in (source, column))
    assigned = rf"(?:\bset|,)\s*{to}\s*=\s*\(?\s*{of}\s*{_CAST}\s*\)?\s*(?:,|;|$|\bwhere\b|\bfrom\b)"
    return re.search(assigned, sql, re.IGNORECASE) is not None


def _is_set(context: Context) -> bool:
    names = (operation.name.lower() for operation, _ in context.earlier if isinstance(operation, SetVariable))
    return any(name in {"timezone", "time zone"} for name in names)


EVENTS = 'op.execute("CREATE TABLE events (id bigint PRIMARY KEY, made timestamp NOT NULL, made_at timestamptz)")'

EXAMPLES = [
    Example(
        "as times of the session",
        given=EVENTS,
        upgrade="""
        op.execute("UPDATE events SET made_at = made WHERE made_at IS NULL")  # flagged
        """,
    ),
    Example(
        "as times of the session, with a cast",
        given=EVENTS,
        upgrade="""
        op.execute("UPDATE events SET made_at = made::timestamptz WHERE made_at IS NULL")  # flagged
        """,
    ),
    Example(
        "as times in UTC",
        given=EVENTS,
        upgrade="""
        op.execute("UPDATE events SET made_at = made AT TIME ZONE 'UTC' WHERE made_at IS NULL")
        """,
    ),
    Example(
        "in a time zone that the revision sets",
        given=EVENTS,
        upgrade="""
        op.execute("SET LOCAL timezone = 'UTC'")
        op.execute("UPDATE events SET made_at = made WHERE made_at IS NULL")
        """,
    ),
]
