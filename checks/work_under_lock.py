"""
Work that takes time in proportion to a table, done while the transaction holds a lock that blocks others.

## Why it hurts

A lock is held until its transaction ends. `ADD COLUMN` is instant, but an UPDATE of all rows after it in the same
transaction keeps ACCESS EXCLUSIVE while it runs: nobody can read or write the table in that time. The same applies
if the lock is on a different table: a new table's foreign key locks the table that it refers to. And by default
Alembic runs all pending revisions in one transaction, so the lock can come from an earlier revision.

## Do this instead

Take the lock in one transaction and do the work in another: put the work into a separate revision, set
`transaction_per_migration=True` in env.py, and change rows in batches that are committed one by one inside
`op.get_context().autocommit_block()`.

## Not flagged

- Work on tables that the same deploy creates.
- Changes of single rows by their key: an index finds them. (The rehearsal disables sequential scans, so an observed
  one could not have used an index.)
- Work in a transaction that holds no lock that blocks writes.
- Statements that another rule explains: that finding names the lock.

## References

- <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>
- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.environment.EnvironmentContext.configure.params.transaction_per_migration>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Delete,
    Example,
    Group,
    Insert,
    Merge,
    Name,
    Operation,
    Rule,
    Severity,
    Subject,
    Understood,
    Update,
    about,
    concern,
    remedies,
    since,
)

RULE = Rule(
    id="work-under-lock",
    summary="others wait for a lock that is held while rows are processed",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    scans=True,
    last_resort=1,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Understood(statement=statement, operations=operations):
            held = context.blocking()
            work = _work(operations, context) if held else None
            if work is None or statement.error is not None:
                return
            first = held[0]
            yield concern(
                f"""
                {work[:1].upper()}{work[1:]} while the transaction holds {first.mode} on `{first.relation}`{
                    since(first, context)
                }, so {first.relation.waiting(first.mode)} of `{first.relation}` wait until it is done.{
                    _of_batch(operations)
                }
                """,
                remedy=_remedy(operations, context),
                about=about.table(first.relation),
                evidence={
                    "held": {str(each.relation): str(each.mode) for each in held},
                    "held_since": str(first.since.location) if first.since.location else None,
                },
            )


def _work(operations: tuple[Operation, ...], context: Context) -> str | None:
    """What the statement does that takes time in proportion to an existing table, as a phrase without a subject."""
    for operation in operations:
        match operation:
            case Update(table=table, filtered=False) if context.exists(table):
                return f"updating every row of `{table}`"
            case Delete(table=table, filtered=False) if context.exists(table):
                return f"deleting every row of `{table}`"
            case (Update(table=table) | Delete(table=table)) as change if statements := context.loop(change):
                verb = "updating" if isinstance(change, Update) else "deleting"
                return f"{verb} every row of `{table}` in {statements:,} statements"
            case Update(table=table) if context.changes_all(operation):
                return f"updating every row of `{table}`"
            case Delete(table=table) if context.changes_all(operation):
                return f"deleting every row of `{table}`"
            case Insert(table=table, sources=sources):
                copied = next((source for source in sources if _whole(source, context)), None)
                if copied and table is not None and copied.matches(table):
                    return f"copying rows of `{copied}` into itself"
                if copied:
                    return f"copying rows of `{copied}` into `{table}`"
    if not context.work():
        return None
    first = context.work()[0]
    for operation in operations:
        match operation:
            case Update(table=table):
                return f"updating `{table}` by reading every row of `{first.table}`"
            case Delete(table=table):
                return f"deleting from `{table}` by reading every row of `{first.table}`"
            case Merge(table=table):
                return f"merging into `{table}` by reading every row of `{first.table}`"
    return {
        "rewrite": f"rewriting `{first.table}`",
        "build": f"building index `{first.index}` on `{first.table}`",
    }.get(first.kind, f"reading every row of `{first.table}`")


def _whole(source: Name, context: Context) -> bool:
    """Whether a source of INSERT ... SELECT that exists was read completely: by a scan, or because as many rows
    came from it.
    """
    if not context.exists(source):
        return False
    if not context.observed:
        return True
    known = context.now.table(source)
    rows = context.statement.rows
    return context.scanned(source) or (known is not None and rows is not None and rows >= max(known.rows, 2))


def _remedy(operations: tuple[Operation, ...], context: Context) -> tuple[str, ...]:
    """The work in a separate revision, after the one that takes the lock."""
    if context.statement.parameters:
        return ()
    match operations:
        case (Update(table=table, filtered=False),):
            key = _integer_key(table, context)
            return (remedies.in_ranges(table, key, context.statement.sql),) if key else ()
        case (Insert(table=table),) if table.name.startswith(_TEMPORARY):
            return ()  # it is there in this revision only
        case (Update() as change,) if context.loop(change):
            sql = context.statement.sql
            return (remedies.until_none(sql),) if re.search(r"\bLIMIT\b", sql, re.IGNORECASE) else ()
        case (Update() | Insert() | Merge(),):
            return (remedies.outside_transaction(remedies.execute(context.statement.sql)),)
        case _:
            return ()


_TEMPORARY = "_alembic_tmp_"
"""What the copy is called that Alembic's batch mode makes of a table."""


def _of_batch(operations: tuple[Operation, ...]) -> str:
    """What helps where it is Alembic's batch mode that copies a table."""
    if any(isinstance(each, Insert) and each.table.name.startswith(_TEMPORARY) for each in operations):
        return (
            ' It is `recreate="always"` of the batch that copies the table; with `recreate="auto"` PostgreSQL alters it'
            " in place."
        )
    return ""


def _integer_key(name: Name, context: Context) -> str | None:
    """The column that is the table's whole primary key, if it is an integer."""
    key = context.now.primary_key(name)
    column = context.now.column(name, key[0]) if len(key) == 1 else None
    return column.name if column and column.type in {"smallint", "integer", "bigint"} else None


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "a new column, filled in the same revision",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("nick", sa.Text()))
        op.execute("UPDATE users SET nick = name")  # flagged
        """,
    ),
    Example(
        "the lock is on one table, the work on another",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, state text)")
        """,
        upgrade="""
        op.execute("CREATE TABLE notes (id bigint, user_id bigint REFERENCES users)")
        op.execute("DELETE FROM orders WHERE state = 'gone'")  # flagged
        """,
    ),
    Example(
        "the lock comes from an earlier revision of the same transaction",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("nick", sa.Text()))
        """,
        then=('op.execute("UPDATE users SET nick = name")  # flagged',),
    ),
    Example(
        "filled row by row",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("nick", sa.Text()))
        users = sa.table("users", sa.column("id"), sa.column("name"), sa.column("nick"))
        for id_, name in op.get_bind().execute(sa.select(users.c.id, users.c.name).where(users.c.id >= 0)).fetchall():
            op.execute(users.update().where(users.c.id == id_).values(nick=name.upper()))  # flagged
        """,
    ),
    Example(
        "with a transaction for each revision",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("nick", sa.Text()))
        """,
        then=('op.execute("UPDATE users SET nick = name")',),
        transaction_per_migration=True,
    ),
    Example(
        "one row by its key, and rows of a new table",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("nick", sa.Text()))
        op.execute("UPDATE users SET nick = 'root' WHERE id = 1")
        op.execute("CREATE TABLE notes (id bigint, text text)")
        op.execute("INSERT INTO notes VALUES (1, 'first')")
        op.execute("UPDATE notes SET text = 'second'")
        """,
    ),
]
