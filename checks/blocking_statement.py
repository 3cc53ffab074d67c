"""
A statement was observed to lock a table and to process a whole table, and no other rule explains why.

## Why it hurts

Whatever it is (a DO block, a function call, a statement that this version does not know), PostgreSQL was observed
to take a lock that blocks others, and to read or write a whole table while holding it. The larger the table, the
longer others wait.

## Do this instead

Split it: take the lock in one short transaction, and do the work in another, in batches. If the statement calls a
function that alters tables, move the statements of that function into the revision.

## Not flagged

- Anything that another rule explains.
- Work on tables that the same deploy creates.
- Statements whose execution was not observed: the text does not show what happens inside.

## References

- <https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    Rule,
    Severity,
    Subject,
    Understood,
    about,
    concern,
    listed,
)

RULE = Rule(
    id="blocking-statement",
    summary="others wait while a statement processes a whole table",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    scans=True,
    last_resort=2,
    replaces=frozenset({"unnamed-lock"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Understood():
            work = context.work()
            blocking = {table: mode for table, mode in context.locks().items() if table.hindered_by(mode)}
            if not work or not blocking:
                return
            table, mode = max(blocking.items(), key=lambda item: item[1].strength)
            alike = [
                each for each, its in blocking.items() if its is mode and each.waiting(its) == table.waiting(mode)
            ]
            tables = listed([f"`{each}`" for each in sorted(alike, key=str)], 3)
            yield concern(
                f"""
                This statement {" and ".join(each.phrase for each in work[:2])} under {mode} on {tables}, so
                {table.waiting(mode)} of {tables} wait until the transaction ends.
                """,
                about=about.table(table),
            )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "a DO block that alters and updates",
        given=USERS,
        upgrade='''
        op.execute(  # flagged
            """
            DO $$ BEGIN
                ALTER TABLE users ADD COLUMN nick text;
                UPDATE users SET nick = name;
            END $$
            """
        )
        ''',
    ),
    Example(
        "a function that does it",
        given=f"""
        {USERS}
        op.execute(
            "CREATE FUNCTION tidy() RETURNS void LANGUAGE sql"
            " AS 'CREATE INDEX users_name ON users (name)'"
        )
        """,
        upgrade="""
        op.execute("SELECT tidy()")  # flagged
        """,
    ),
    Example(
        "a DO block that takes a lock and reads nothing",
        given=USERS,
        upgrade="""
        op.execute("DO $$ BEGIN ALTER TABLE users ADD COLUMN nick text; END $$")
        """,
    ),
]
