"""
Adding a unique constraint builds its index while reads and writes wait.

## Why it hurts

`ADD CONSTRAINT ... UNIQUE` takes ACCESS EXCLUSIVE on the table and builds an index over all of it. Until the
transaction ends, nobody can read or write the table. (CREATE INDEX alone would only block writes.) `unique=True` on
an added column does the same.

## Do this instead

Build a unique index CONCURRENTLY, outside a transaction, and in a later revision turn it into the constraint with
UNIQUE USING INDEX, which is instant. There is no NOT VALID for unique constraints. On a partitioned table the lock
cannot be avoided.

## Not flagged

- `UNIQUE USING INDEX`.
- Constraints on a table that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT-USING-INDEX>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddColumn,
    AddUnique,
    ColumnDefinition,
    Concern,
    Context,
    DropConstraint,
    Example,
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
    id="blocking-unique-constraint",
    summary="reads and writes wait while the constraint's index is built",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddUnique(table=table, columns=columns, using_index=None) if context.exists(table):
            name = subject.name or remedies.constraint_name(table, columns, "key")
            yield from _concern(subject, name, columns, (), context)
        case AddColumn(table=table, column=ColumnDefinition(unique=True) as column) if context.exists(table):
            if context.rewrote(table):
                return
            name = remedies.constraint_name(table, [column.name], "key")
            added = remedies.add_column(table, column, default=column.default, nullable=column.nullable)
            yield from _concern(subject, name, (column.name,), (added,), context)


def _concern(
    added: AddUnique | AddColumn, name: str, columns: tuple[str, ...], first: tuple[str, ...], context: Context
) -> Iterator[Concern]:
    table = added.table
    if context.observed and not context.built(table):
        return
    yield concern(
        f"""
        Adding unique constraint `{name}` builds its index over every row of `{table}` under ACCESS EXCLUSIVE, so
        reads and writes of `{table}` wait until the transaction ends.
        """,
        remedy=(
            *first,
            *remedies.constraint_from_index(
                "UNIQUE",
                table,
                name,
                columns,
                context.statement.sql,
                replaces=_replaces(table, name, context),
                timeout=context.lock_timeout_in_force,
            ),
        )
        if not context.now.is_partitioned(table)
        else (),
        about=about.constraint(table, name),
    )


def _replaces(table: Name, name: str, context: Context) -> bool:
    """Whether the revision has dropped a constraint of the same name before."""
    return any(
        isinstance(each, DropConstraint) and each.table.matches(table) and each.name == name
        for each, _ in context.same_revision()
    )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, email varchar(50))")'

EXAMPLES = [
    Example(
        "on a table that exists",
        given=USERS,
        upgrade="""
        op.create_unique_constraint("uq_users_email", "users", ["email"])  # flagged
        """,
    ),
    Example(
        "written on a new column",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN nick text UNIQUE")  # flagged
        """,
    ),
    Example(
        "in the place of one of the same name",
        given=f"""
        {USERS}
        op.execute("ALTER TABLE users ADD tenant bigint, ADD CONSTRAINT uq_users UNIQUE (email)")
        """,
        upgrade="""
        with op.get_context().autocommit_block():
            op.drop_constraint("uq_users", "users")
        op.create_unique_constraint("uq_users", "users", ["tenant", "email"])  # flagged
        """,
    ),
    Example(
        "USING INDEX",
        given=f"""
        {USERS}
        op.create_index("uq_users_email", "users", ["email"], unique=True)
        """,
        upgrade="""
        op.execute("ALTER TABLE users ADD CONSTRAINT uq_users_email UNIQUE USING INDEX uq_users_email")
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.create_table("notes", sa.Column("id", sa.BigInteger()))
        op.create_unique_constraint("uq_notes_id", "notes", ["id"])
        """,
    ),
]
