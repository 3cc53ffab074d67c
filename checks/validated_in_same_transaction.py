"""
A constraint is added as NOT VALID and validated in the same transaction: that defeats the purpose.

## Why it hurts

NOT VALID makes adding a constraint instant, and VALIDATE CONSTRAINT needs only a weak lock. But a lock is held
until its transaction ends: in one transaction with the first step, the second scans every row under the lock of the
first, which is ACCESS EXCLUSIVE for a check and SHARE ROW EXCLUSIVE on both tables for a foreign key. By default
Alembic runs all pending revisions in one transaction, so two revisions are not enough.

## Do this instead

Validate in a separate revision, and set `transaction_per_migration=True` in env.py; or validate inside
`with op.get_context().autocommit_block():`, which commits the earlier statements.

## Not flagged

- A validation in another transaction than the one that added the constraint.
- Constraints on tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.environment.EnvironmentContext.configure.params.transaction_per_migration>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddForeignKey,
    AddNotNull,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Rule,
    Severity,
    Statement,
    Subject,
    ValidateConstraint,
    about,
    concern,
    line_of,
    remedies,
)

RULE = Rule(
    id="validated-in-same-transaction",
    summary="the strong lock of the first step is held while every row is checked in the second",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case ValidateConstraint(table=table, name=name) if context.exists(table):
            added = _added(subject, context)
            if added is None or (context.observed and not context.work()):
                return
            lock = context.strongest(table, LockMode.SHARE_UPDATE_EXCLUSIVE)
            place = line_of(added, context)
            where = f" in {place}, in the same transaction" if place else " in the same transaction"
            yield concern(
                f"""
                Constraint `{name}` was added{where}, so validating it reads every row of `{table}`
                under {lock}, and {lock.blocks or "writes"} of `{table}` wait until the transaction ends.
                """,
                remedy=[remedies.outside_transaction(remedies.validate(table, name))],
                about=about.constraint(table, name),
            )


def _added(validated: ValidateConstraint, context: Context) -> Statement | None:
    for operation, statement in context.same_transaction():
        match operation:
            case AddCheck() | AddForeignKey() | AddNotNull():
                if operation.table.matches(validated.table) and operation.name == validated.name:
                    return statement
    return None


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, age integer)")'

EXAMPLES = [
    Example(
        "in one revision",
        given=USERS,
        upgrade="""
        op.create_check_constraint("not_negative", "users", "age >= 0", postgresql_not_valid=True)
        op.execute("ALTER TABLE users VALIDATE CONSTRAINT not_negative")  # flagged
        """,
    ),
    Example(
        "in two revisions that one transaction runs",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint)")
        """,
        upgrade="""
        op.create_foreign_key("fk_user", "orders", "users", ["user_id"], ["id"], postgresql_not_valid=True)
        """,
        then=('op.execute("ALTER TABLE orders VALIDATE CONSTRAINT fk_user")  # flagged',),
    ),
    Example(
        "with a transaction for each revision",
        given=USERS,
        upgrade="""
        op.create_check_constraint("not_negative", "users", "age >= 0", postgresql_not_valid=True)
        """,
        then=('op.execute("ALTER TABLE users VALIDATE CONSTRAINT not_negative")',),
        transaction_per_migration=True,
    ),
    Example(
        "after a commit",
        given=USERS,
        upgrade="""
        op.create_check_constraint("not_negative", "users", "age >= 0", postgresql_not_valid=True)
        with op.get_context().autocommit_block():
            op.execute("ALTER TABLE users VALIDATE CONSTRAINT not_negative")
        """,
    ),
]
