"""
A new enum value is used in the transaction that adds it, which PostgreSQL rejects.

## Why it hurts

`ALTER TYPE ... ADD VALUE` can run in a transaction, but the value cannot be used before the commit: `unsafe use of
new value`. By default Alembic runs all pending revisions in one transaction, so a value added in one revision and
used in the next one works in a pipeline that upgrades step by step, and fails in production. Since PostgreSQL 17 a
type that was created in the same transaction is exempt, which hides the problem when the whole history runs on an
empty database.

## Do this instead

Add the value in an autocommit block, which commits it immediately, in a separate revision; use it in the next
revision.

## Not flagged

- Values of a type that the same transaction has created, where PostgreSQL allows it.
- With `transaction_per_migration=True`: a value that another revision has added.

## References

- <https://www.postgresql.org/docs/current/sql-altertype.html#SQL-ALTERTYPE-NOTES>
- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.migration.MigrationContext.autocommit_block>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddColumn,
    AddEnumValue,
    Basis,
    Concern,
    Context,
    CreateIndex,
    Delete,
    Direction,
    Example,
    Group,
    Insert,
    Operation,
    Rule,
    SetDefault,
    Severity,
    Statement,
    Story,
    Subject,
    Update,
    about,
    concern,
    failures,
)

RULE = Rule(
    id="enum-value-used-too-early",
    summary="the deploy stops: the value is not committed yet when it is used",
    severity=Severity.ERROR,
    group=Group.NOT_WORKING,
    sqlstate="55P04",
    replaces=frozenset({"failing-upgrade", "failing-second-upgrade", "blocking-statement"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story:
            failed = next(
                (p for p in story.passes if p.failure is not None and p.failure.sqlstate == _UNSAFE_NEW_VALUE), None
            )
            if failed is None or failed.direction is Direction.DOWNGRADE:
                return
            words = failures.words(failed).removeprefix("PostgreSQL says ")
            yield concern(
                f"""
                `{revision.id}` uses a new enum value in the transaction that adds it, and PostgreSQL stops the
                deploy: {words}.
                """,
                about=about.failure(revision.id, Direction.UPGRADE),
                basis=Basis.OBSERVED,
                location=failures.place(revision, failed),
                direction=Direction.UPGRADE,
                evidence=failures.evidence(failed),
            )
        case Insert() | Update() | Delete() | SetDefault() | AddCheck() | AddColumn() | CreateIndex() if (
            context.static
        ):
            for earlier, _ in _one_transaction(context):
                match earlier:
                    case AddEnumValue(type=type_, value=value) if f"'{value}'" in context.statement.sql:
                        if not context.now.has_made(type_):
                            yield concern(
                                f"""
                                The value `{value}` of `{type_}` is used in the transaction that adds it, which
                                PostgreSQL rejects.
                                """,
                                about=about.failure(
                                    context.revision.id if context.revision else "", Direction.UPGRADE
                                ),
                                severity=RULE.severity.lower,
                            )


def _one_transaction(context: Context) -> tuple[tuple[Operation, Statement], ...]:
    """What came before in the same transaction: by default that is everything since the last autocommit block."""
    if not context.statement.in_transaction:
        return ()
    found = context.same_transaction() if context.recording.transactions.per_migration else context.earlier
    start = max((n + 1 for n, (_, statement) in enumerate(found) if not statement.in_transaction), default=0)
    return found[start:]


_UNSAFE_NEW_VALUE = "55P04"
"""SQLSTATE of a value that is not committed yet: unsafe_new_enum_value_usage."""


MOOD = """
op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, mood mood)")
"""

EXAMPLES = [
    Example(
        "in the next revision, in one transaction",
        given=MOOD,
        upgrade="""
        op.execute("ALTER TYPE mood ADD VALUE 'sad'")
        """,
        then=("""op.execute("UPDATE users SET mood = 'sad' WHERE mood = 'bad'")  # flagged""",),
    ),
    Example(
        "in the next revision, each in a separate transaction",
        given=MOOD,
        upgrade="""
        op.execute("ALTER TYPE mood ADD VALUE 'sad'")
        """,
        then=("""op.execute("UPDATE users SET mood = 'sad' WHERE mood = 'bad'")""",),
        transaction_per_migration=True,
    ),
    Example(
        "committed in between",
        given=MOOD,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad'")
        op.execute("UPDATE users SET mood = 'sad' WHERE mood = 'bad'")
        """,
    ),
]
