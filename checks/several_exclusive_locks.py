"""
One transaction takes ACCESS EXCLUSIVE on several tables, one after the other.

## Why it hurts

Each lock is held until the transaction ends, so the first table is blocked while the statement for the second waits
for its own lock, behind everything that runs there. An application that uses the same tables in another order
causes a deadlock, and PostgreSQL then cancels one of the two.

## Do this instead

Change one table per revision, with `transaction_per_migration=True` in env.py and a `lock_timeout`.

## Not flagged

- Locks that one statement takes on several tables: see `unnamed-lock`.
- Tables that the same deploy creates.
- A table that is dropped: see `dropped-table`.
- As a notice only: changes that are fast themselves, such as a column added to each of two tables. What remains is
  the wait for the second lock, which a `lock_timeout` limits; without one, `endless-lock-wait` warns.

## References

- <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-DEADLOCKS>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    DropTable,
    Example,
    Group,
    LockMode,
    Relation,
    Rule,
    Severity,
    Statement,
    Subject,
    Understood,
    about,
    concern,
    line_of,
)

RULE = Rule(
    id="several-exclusive-locks",
    summary="the first table is blocked while the migration waits for the next one",
    severity=Severity.WARNING,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Understood(operations=operations) if not any(isinstance(each, DropTable) for each in operations):
            held = [
                h
                for h in context.blocking()
                if h.mode.blocks_reads and not context.now.is_partition(h.relation.as_name)
            ]
            taken = [table for table, mode in context.locks().items() if mode.blocks_reads and _own(table, context)]
            others = [table for table in taken if all(h.relation.as_name != table.as_name for h in held)]
            # reported once per transaction: at the second table
            if len({h.since.location for h in held}) != 1 or not others:
                return
            first = held[0]
            place = line_of(first.since, context)
            since = f" since {place}" if place else ""
            yield concern(
                f"""
                ACCESS EXCLUSIVE on `{others[0]}` is requested while the transaction holds it on
                `{first.relation}`{since}, so {first.relation.waiting(first.mode)} of `{first.relation}` wait as long as
                this statement waits for `{others[0]}`.
                """,
                about=about.other("tables", str(first.relation), str(others[0])),
                evidence={"held": {str(h.relation): str(h.mode) for h in held}},
                severity=RULE.severity if context.work() or _took_time(first.since) else Severity.NOTICE,
            )


def _took_time(statement: Statement) -> bool:
    """Whether the statement read or wrote a whole table: then others already wait for a long time."""
    seen = statement.observation
    return seen is not None and bool(seen.rewritten or seen.built or any(s.rows for s in seen.scanned))


def _own(table: Relation, context: Context) -> bool:
    return not context.now.is_partition(table.as_name)


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")'
ORDERS = 'op.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")'

EXAMPLES = [
    Example(
        "two tables in one revision",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.add_column("orders", sa.Column("total", sa.Integer()))  # flagged
        """,
    ),
    Example(
        "two tables in two revisions that one transaction runs",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        then=('op.add_column("orders", sa.Column("total", sa.Integer()))  # flagged',),
    ),
    Example(
        "with a transaction for each revision",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        then=('op.add_column("orders", sa.Column("total", sa.Integer()))',),
        transaction_per_migration=True,
    ),
    Example(
        "one table twice, and a new one",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.add_column("users", sa.Column("name", sa.Text()))
        op.create_table("notes", sa.Column("id", sa.BigInteger()))
        op.add_column("notes", sa.Column("text", sa.Text()))
        """,
    ),
]
