"""
BEGIN, COMMIT or ROLLBACK in a revision breaks the transaction that Alembic has opened.

## Why it hurts

A COMMIT ends Alembic's transaction: earlier changes stay, whatever happens next, later statements run outside a
transaction or in another one, and Alembic does not know. If a later statement fails, the revision is half applied
and cannot be run again. A ROLLBACK discards the changes of the revision, but Alembic records it as applied. A BEGIN
that is never closed leaves the session idle in a transaction, with all of its locks.

## Do this instead

Put statements that must not run in a transaction into `with op.get_context().autocommit_block():`.

## Not flagged

- Savepoints: they stay within the transaction.
- BEGIN and COMMIT in one text, in an autocommit block.

## References

- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.migration.MigrationContext.autocommit_block>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Direction,
    Example,
    Group,
    Origin,
    Rule,
    Severity,
    Subject,
    TransactionControl,
    Understood,
    about,
    concern,
)

RULE = Rule(
    id="transaction-control",
    summary="Alembic's transaction ends in the middle of the revision",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    directions=frozenset({Direction.UPGRADE, Direction.DOWNGRADE}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Understood(statement=statement, operations=operations) if statement.origin is Origin.REVISION:
            actions = [o.action for o in operations if isinstance(o, TransactionControl) and o.action in _EFFECTS]
            whole = actions[:1] == ["begin"] and actions[-1:] in (["commit"], ["rollback"])
            if actions and not (whole and not statement.in_transaction):
                yield concern(
                    f"{actions[0].upper()} in a revision {_EFFECTS[actions[0]]}.",
                    about=about.other("transaction", context.revision.id if context.revision else ""),
                )


_EFFECTS = {
    "begin": "opens a transaction that Alembic does not know about",
    "commit": "ends Alembic's transaction: if a later statement fails, earlier changes stay, and the revision cannot be"
    " run again",
    "rollback": "discards the earlier changes, but Alembic still records the revision as applied",
}


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(10))")"""

EXAMPLES = [
    Example(
        "a COMMIT",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.execute("COMMIT")  # flagged
        """,
    ),
    Example(
        "a savepoint",
        given=USERS,
        upgrade="""
        op.execute("SAVEPOINT before_the_column")
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.execute("RELEASE SAVEPOINT before_the_column")
        """,
    ),
]
