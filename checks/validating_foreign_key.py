"""
Adding a foreign key checks every existing row while writes to both tables wait.

## Why it hurts

`ADD CONSTRAINT ... FOREIGN KEY` takes SHARE ROW EXCLUSIVE on the referencing *and* the referenced table, then reads
the referencing table and looks up every row. Reads continue. Writes to **both** tables wait until the transaction
ends, and everything queued behind those writes waits too.

## Do this instead

Add the constraint as NOT VALID, which checks only new rows and is instant. Then validate it in a later
revision, in a separate transaction: VALIDATE CONSTRAINT scans the old rows under SHARE UPDATE EXCLUSIVE, which
blocks neither reads nor writes.

## Not flagged

- Keys that are NOT VALID.
- Keys on a table that the same deploy creates: it is empty, so nothing is scanned. The referenced table is still
  locked until the transaction ends: see `unnamed-lock`.
- A new column with REFERENCES written on it and no default: it is NULL in all rows, and PostgreSQL skips the check.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from reviewer.check import (
    AddColumn,
    AddForeignKey,
    ColumnDefinition,
    Concern,
    Context,
    Example,
    ForeignKey,
    Group,
    LockMode,
    Name,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="validating-foreign-key",
    summary="writes to both tables wait while every row is checked",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.SHARE_ROW_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddForeignKey(table=table, key=key, not_valid=False) if context.exists(table):
            if context.observed and not context.scanned(table):
                return
            name = subject.name or remedies.constraint_name(table, key.columns, "fkey")
            yield concern(
                _message(f"foreign key `{name}`", table, key, context),
                remedy=_not_valid(name, table, key, context),
                about=about.constraint(table, name),
            )
        case AddColumn(
            table=table, column=ColumnDefinition(references=ForeignKey() as key, default=str(default)) as column
        ) if context.exists(table):
            if context.rewrote(table) or (context.observed and not context.scanned(table)):
                return
            key = replace(key, columns=(column.name,))
            name = remedies.constraint_name(table, key.columns, "fkey")
            yield concern(
                _message(f"column `{column.name}` with a default and REFERENCES", table, key, context),
                remedy=(
                    remedies.add_column(table, column, default=default, nullable=column.nullable),
                    *(_not_valid(name, table, key, context) if key.referenced_columns else ()),
                ),
                about=about.constraint(table, name),
                severity=None if context.observed else Severity.WARNING,
            )


def _message(what: str, table: Name, key: ForeignKey, context: Context) -> str:
    lock = context.strongest(table, LockMode.SHARE_ROW_EXCLUSIVE)
    waiting = f"{lock.blocks} of `{table}`"
    if context.exists(key.referenced) and not key.referenced.matches(table):
        waiting += f" and {'' if lock is LockMode.SHARE_ROW_EXCLUSIVE else 'writes of '}`{key.referenced}`"
    return f"Adding {what} checks every row of `{table}` while {waiting} wait, until the transaction ends."


def _not_valid(name: str, table: Name, key: ForeignKey, context: Context) -> tuple[str, ...]:
    if context.now.is_partitioned(table) and context.major < 18:
        return ()  # NOT VALID is not supported there
    if not key.referenced_columns or "deferrable" in context.statement.sql.lower():
        sql = context.statement.sql.rstrip().rstrip(";")
        alone = context.understood is not None and len(context.understood.operations) == 1
        return (remedies.execute(f"{sql} NOT VALID"), remedies.validate(table, name)) if alone else ()
    return (
        remedies.create_foreign_key(name, table, key, postgresql_not_valid=True),
        remedies.validate(table, name),
    )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")'
ORDERS = 'op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint)")'

EXAMPLES = [
    Example(
        "on a table that exists",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.create_foreign_key("fk_user", "orders", "users", ["user_id"], ["id"], ondelete="CASCADE")  # flagged
        """,
    ),
    Example(
        "a new column with a default that refers to a row",
        given=f'{USERS}\n{ORDERS}\nop.execute("INSERT INTO users VALUES (0)")',
        upgrade="""
        op.execute("ALTER TABLE orders ADD COLUMN owner bigint DEFAULT 0 REFERENCES users (id)")  # flagged
        """,
    ),
    Example(
        "on a partitioned table, where NOT VALID is supported from PostgreSQL 18 on",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE visits (day date NOT NULL, user_id bigint) PARTITION BY RANGE (day)")
        op.execute("CREATE TABLE visits_rest PARTITION OF visits DEFAULT")
        """,
        upgrade="""
        op.create_foreign_key("fk_user", "visits", "users", ["user_id"], ["id"])  # flagged
        """,
    ),
    Example(
        "NOT VALID, to be validated later",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.create_foreign_key("fk_user", "orders", "users", ["user_id"], ["id"], postgresql_not_valid=True)
        """,
    ),
    Example(
        "on a table of the same revision",
        given=USERS,
        upgrade="""
        op.create_table("notes", sa.Column("id", sa.BigInteger()), sa.Column("user_id", sa.BigInteger()))
        op.create_foreign_key("fk_user", "notes", "users", ["user_id"], ["id"])
        """,
    ),
    Example(
        "a new column that is NULL everywhere",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.execute("ALTER TABLE orders ADD COLUMN owner bigint REFERENCES users (id)")
        """,
    ),
    Example(
        "only the first of two keys is checked",
        given=f"{USERS}\n{ORDERS}",
        upgrade="""
        op.execute(  # flagged
            "ALTER TABLE orders"
            " ADD CONSTRAINT a FOREIGN KEY (user_id) REFERENCES users (id),"
            " ADD CONSTRAINT b FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID"
        )
        """,
    ),
]
