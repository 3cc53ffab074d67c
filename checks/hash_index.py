"""
A hash index can do less than a btree and is hardly ever better.

## Why it hurts

It only supports equality: no sorting, no ranges, no uniqueness, no multiple columns.

## Do this instead

Leave out `postgresql_using`, and measure before you use it again.

## Not flagged

- Everything, unless the rule is selected: it is off by default.
- Other access methods.

## References

- <https://www.postgresql.org/docs/current/indexes-types.html#INDEXES-TYPES-HASH>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import Concern, Context, CreateIndex, Example, Group, Rule, Severity, Subject, about, concern

RULE = Rule(
    id="hash-index",
    summary="it only supports equality",
    severity=Severity.NOTICE,
    group=Group.SCHEMA,
    default=False,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateIndex(table=table, name=name, method="hash"):
            yield concern(f"The index `{name}` of `{table}` is a hash index.", about=about.index(name, RULE.id))


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
