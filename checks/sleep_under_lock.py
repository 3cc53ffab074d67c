"""
The migration sleeps while its transaction holds a lock that blocks others.

## Why it hurts

A lock is held until its transaction ends, however little the transaction does meanwhile. A pause between batches is meant to
leave room for others, and `time.sleep` or `pg_sleep` in a transaction that has altered a table does the opposite: everybody
waits through every pause.

## Do this instead

Sleep where no lock is held: in a revision of its own, between batches that are committed one by one inside
`op.get_context().autocommit_block()`, or not at all. What waits for something outside, such as a replica or another service,
belongs before the first ALTER.

## Not flagged

- Pauses without a lock that blocks reads or writes of an existing table, and between transactions.
- Tables that the same deploy creates.
- Revisions that were rendered without a database: their pauses were not seen.

## References

- <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>
- <https://www.postgresql.org/docs/current/functions-datetime.html#FUNCTIONS-DATETIME-DELAY>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    DoBlock,
    Example,
    Group,
    Held,
    Location,
    Rule,
    Select,
    Severity,
    Subject,
    Understood,
    about,
    concern,
    since,
)

RULE = Rule(
    id="sleep-under-lock",
    summary="others wait for a lock that is held while the migration sleeps",
    severity=Severity.ERROR,
    group=Group.LOCKING,
)

_LONG = 1.0
"""Seconds from which on a pause is an error. A shorter one is a warning: it may be one of many."""
_SLEEPS = re.compile(r"\bpg_sleep(?:_for|_until)?\s*\(", re.IGNORECASE)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Understood(statement=statement) if statement.in_transaction and statement.error is None:
            sleeps = _SLEEPS.search(statement.sql) is not None
            if sleeps and any(isinstance(each, DoBlock) for each in subject.operations):
                yield from _told(subject.blocked_after, "This block sleeps", statement.seconds, context)
            elif sleeps and any(isinstance(each, Select) for each in subject.operations):
                yield from _told(context.blocking(), "This statement sleeps", statement.seconds, context)
            for each in subject.sent.slept:
                yield from _told(subject.blocked_after, "The revision sleeps", each.seconds, context, each.location)


def _told(
    held: tuple[Held, ...], who: str, seconds: float, context: Context, location: Location | None = None
) -> Iterator[Concern]:
    if not held:
        return
    first = held[0]
    yield concern(
        f"""
        {who} {_words(seconds)}while the transaction holds {first.mode} on `{first.relation}`{
            since(first, context)
        }, so {first.relation.waiting(first.mode)} of `{first.relation}` wait until it is done.
        """,
        about=about.table(first.relation),
        severity=Severity.ERROR if seconds >= _LONG else Severity.WARNING,
        location=location,
    )


def _words(seconds: float) -> str:
    """How long it was seen to take, in tenths of a second; nothing if it was not seen."""
    return f"for {seconds:.1f} s " if seconds >= 0.05 else ""


ORDERS = 'op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, total int)")'

EXAMPLES = [
    Example(
        "in Python, after an ALTER",
        given=ORDERS,
        upgrade="""
        import time
        op.add_column("orders", sa.Column("note", sa.Text()))
        time.sleep(0.1)  # flagged
        """,
    ),
    Example(
        "on the server, after an ALTER",
        given=ORDERS,
        upgrade="""
        op.add_column("orders", sa.Column("note", sa.Text()))
        op.execute("SELECT pg_sleep(0.1)")  # flagged
        """,
    ),
    Example(
        "in a block that alters",
        given=ORDERS,
        upgrade="""
        op.execute("DO $$ BEGIN ALTER TABLE orders ADD COLUMN note text; PERFORM pg_sleep(0.1); END $$")  # flagged
        """,
    ),
    Example(
        "before the lock is taken, and on a new table",
        given=ORDERS,
        upgrade="""
        import time
        time.sleep(0.1)
        op.execute("SELECT pg_sleep(0.1)")
        op.create_table("notes", sa.Column("id", sa.Integer(), primary_key=True))
        time.sleep(0.1)
        op.add_column("orders", sa.Column("note", sa.Text()))
        """,
    ),
    Example(
        "between batches that are committed one by one",
        given=ORDERS,
        upgrade="""
        import time
        with op.get_context().autocommit_block():
            for first in (0, 50):
                op.execute(f"UPDATE orders SET total = 0 WHERE id BETWEEN {first} AND {first + 49}")
                time.sleep(0.1)
        """,
    ),
]
