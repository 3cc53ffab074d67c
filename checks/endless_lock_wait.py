"""
Nothing limits how long a statement waits for its lock, and everybody else queues behind it.

## Why it hurts

A statement that needs a strong lock waits for every query that is running on the table. While it waits, all later
statements queue behind it, even a plain SELECT. With `lock_timeout` at 0 that lasts as long as the
longest query: one report that runs for ten minutes turns an instant `ADD COLUMN` into a ten-minute outage.

## Do this instead

Set `lock_timeout` for all migrations, most easily in env.py. A deploy that hits it fails quickly and can be
retried.

```python
with context.begin_transaction():
    context.execute("SET lock_timeout = '5s'")
    context.run_migrations()
```

Not before `context.configure()`: what is executed there begins a transaction that Alembic does not commit, and then
`alembic upgrade` ends without an error and without any change.

## Not flagged

- Statements with a timeout of up to a minute in effect, wherever it was set: env.py, the role, the database, the
  revision. A `statement_timeout` is one too: it ends the wait like the work.
- Locks on tables that the same deploy creates, and locks that block nobody, such as those of CONCURRENTLY.
- A weaker lock on a table that the transaction holds in ACCESS EXCLUSIVE mode: it is granted at once.
- Any but the first fast statement of the deploy that can wait endlessly: it is reported once. If all of them are
  slow, it is reported at the first one, without a remedy: the rule for that work says what to do instead.
- Reviews without a server: the text does not show which timeout is in effect.

## References

- <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-LOCK-TIMEOUT>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Recording,
    Relation,
    Rule,
    Severity,
    Statement,
    Subject,
    Understood,
    concern,
    remedies,
)

RULE = Rule(
    id="endless-lock-wait",
    summary="everybody queues behind a migration that waits endlessly for its lock",
    severity=Severity.WARNING,
    group=Group.LOCKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Recording():
            waiting = [
                (story.revision.id, understood.statement, *strongest)
                for story in context.stories
                for understood in story.upgrade
                if (strongest := _unbounded(understood)) is not None
            ]
            if not waiting:
                return
            # one that the remedy suits: slow statements must be changed, and other rules say how
            quick = [each for each in waiting if not _takes_long(each[1])]
            _, told, table, mode = (quick or waiting)[0]
            others = len(waiting) - 1
            yield concern(
                f"""
                `lock_timeout` is {_timeout(told)} when {mode} on `{table}` is requested{
                    f" (and at {others} more statement{'s' if others > 1 else ''})" if others else ""
                }: while it waits behind a running query, everybody else who needs `{table}` queues behind it,
                {_how_long(told)}.
                """,
                remedy=[
                    "# set it for all migrations in env.py, as `alembic-reviewer explain endless-lock-wait` shows, or here:\n"
                    + _with_a_timeout(told),
                ]
                if quick and not told.parameters
                else [],
                basis=Basis.OBSERVED if told.in_transaction else Basis.PARSED,
                location=told.location,
                evidence={
                    "statements": [
                        f"{revision} line {statement.location.line if statement.location else 0}: {mode} on {table}"
                        for revision, statement, table, mode in waiting[:50]
                    ],
                },
            )


_SHORT = 60_000
"""Milliseconds after which a timeout ends a wait soon enough."""


def _timeout(statement: Statement) -> str:
    limit = statement.observation.lock_timeout if statement.observation is not None else 0
    return remedies.span(limit) if limit else "0"


def _how_long(statement: Statement) -> str:
    seen = statement.observation
    limit = seen.statement_timeout if seen is not None else 0
    if seen is not None and seen.lock_timeout and (not limit or seen.lock_timeout <= limit):
        return "for up to that long"
    return f"until `statement_timeout` ends it after {limit / 1000:g} s" if limit else "with no time limit"


def _with_a_timeout(statement: Statement) -> str:
    """The statement again. SET LOCAL sets nothing outside of a transaction."""
    local = "LOCAL " if statement.in_transaction else ""
    body = remedies.execute(f"SET {local}lock_timeout = '5s'") + "\n" + remedies.execute(statement.sql)
    return body if statement.in_transaction else remedies.outside_transaction(body)


def _unbounded(understood: Understood) -> tuple[Relation, LockMode] | None:
    """The strongest lock that blocks others and that has no timeout: outside of a transaction, as documented."""
    seen = understood.statement.observation
    if seen is not None and any(0 < limit <= _SHORT for limit in (seen.lock_timeout, seen.statement_timeout)):
        return None  # either ends the wait
    if seen is None or understood.statement.location is None:
        return None
    blocking = [
        (lock.relation, lock.mode)
        for lock in understood.locks
        if lock.relation.hindered_by(lock.mode) and lock.relation.is_table and not lock.relation.new
        if not _is_held(lock.relation, lock.mode, understood)
    ]
    return max(blocking, key=lambda found: found[1].strength, default=None)


def _is_held(relation: Relation, mode: LockMode, understood: Understood) -> bool:
    """Whether the transaction holds a lock that has `mode` granted at once."""
    held = understood.held.get((relation.schema, relation.name))
    return held is not None and held.mode.includes(mode)


def _takes_long(statement: Statement) -> bool:
    """Whether the statement did something that takes time in proportion to a table."""
    seen = statement.observation
    return seen is not None and bool(seen.rewritten or seen.built or seen.scanned)


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "no timeout, reported once",
        given=USERS,
        upgrade="""
        op.execute("SET lock_timeout = 0")
        op.add_column("users", sa.Column("age", sa.Integer()))  # flagged
        op.drop_column("users", "name")
        """,
    ),
    Example(
        "no timeout, told at the statement that takes no time by itself",
        given=USERS,
        upgrade="""
        op.execute("SET lock_timeout = 0")
        op.create_index("ix_users_name", "users", ["name"])
        op.add_column("users", sa.Column("age", sa.Integer()))  # flagged
        """,
    ),
    Example(
        "a timeout that outside of a transaction is in force nowhere",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("SET lock_timeout = 0")
            op.execute("SET LOCAL lock_timeout = '5s'")
            op.execute("ALTER TABLE users ADD COLUMN IF NOT EXISTS age int")  # flagged
        """,
    ),
    Example(
        "a timeout of the session, outside of a transaction",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("SET lock_timeout = '5s'")
            op.execute("ALTER TABLE users ADD COLUMN IF NOT EXISTS age int")
        """,
    ),
    Example(
        "a timeout that is longer than anybody wants to wait",
        given=USERS,
        upgrade="""
        op.execute("SET LOCAL lock_timeout = '10min'")
        op.add_column("users", sa.Column("age", sa.Integer()))  # flagged
        """,
    ),
    Example(
        "a timeout is in force",
        given=USERS,
        upgrade="""
        op.execute("SET LOCAL lock_timeout = '5s'")
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
    ),
    Example(
        "a new table",
        upgrade="""
        op.execute("SET lock_timeout = 0")
        op.create_table("notes", sa.Column("id", sa.BigInteger()))
        op.add_column("notes", sa.Column("text", sa.Text()))
        """,
    ),
    Example(
        "a short statement_timeout ends the wait, too",
        given=USERS,
        upgrade="""
        op.execute("SET lock_timeout = 0")
        op.execute("SET LOCAL statement_timeout = '10s'")
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
    ),
    Example(
        "a long one lets everybody wait for that long",
        given=USERS,
        upgrade="""
        op.execute("SET lock_timeout = 0")
        op.execute("SET LOCAL statement_timeout = '30min'")
        op.add_column("users", sa.Column("age", sa.Integer()))  # flagged
        """,
    ),
]
