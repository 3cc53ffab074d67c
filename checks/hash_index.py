"""
A hash index can do less than a btree and hardly anything better.

## Why it hurts

It finds equal values only: no order, no ranges, no uniqueness, no several columns.

## Do this instead

Leave `postgresql_using` out, and measure before you come back to it.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Other access methods.

## References

- <https://www.postgresql.org/docs/current/indexes-types.html#INDEXES-TYPES-HASH>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, CreateIndex, Example, Group, Rule, Severity, Subject, concern

RULE = Rule(
    id="hash-index",
    summary="it finds equal values only",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateIndex(table=table, name=name, method="hash"):
            yield concern(f"The index `{name}` of `{table}` is a hash index.", about=("index", name or "", RULE.id))


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "hash",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY by_name ON users USING hash (name)")  # flagged
        """,
    ),
    Example(
        "btree",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY by_name ON users USING btree (name)")
        """,
    ),
]
