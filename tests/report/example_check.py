"""
A foreign key is checked against every row while writes to both tables wait.

## Why it hurts

`ADD CONSTRAINT ... FOREIGN KEY` takes `SHARE ROW EXCLUSIVE` on both tables and reads every row.

## Do this instead

Add it as `NOT VALID`, and validate it in a later deploy.

## Not flagged

- Keys that are `NOT VALID`.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import cast

from reviewer.review.context import Context, Subject
from reviewer.review.finding import Concern, Severity
from reviewer.review.rule import Check, Example, Group, Rule
from reviewer.sql.locks import LockMode

RULE = Rule(
    id="validating-foreign-key",
    summary="a foreign key reads the table while writes wait",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.SHARE_ROW_EXCLUSIVE,
    scans=True,
)


def check(_subject: Subject, _context: Context) -> Iterator[Concern]:
    """Nothing: this module is here to be documented."""
    yield from ()


EXAMPLES = [
    Example(
        "on a table that exists",
        upgrade='op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"])  # flagged',
    ),
    Example(
        "validated in the next deploy",
        upgrade='op.create_foreign_key("fk", "orders", "users", ["user_id"], ["id"], postgresql_not_valid=True)',
        then=('op.execute("ALTER TABLE orders VALIDATE CONSTRAINT fk")',),
        downgrade='op.drop_constraint("fk", "orders")',
    ),
]

CHECK = cast("Check", sys.modules[__name__])
"""This module as a check."""
