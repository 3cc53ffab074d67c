"""
Adding a check constraint reads every row while reads and writes wait.

## Why it hurts

`ADD CONSTRAINT ... CHECK` takes ACCESS EXCLUSIVE on the table and scans all of it to check every row.
Until the transaction ends, nobody can read or write the table, not even with a plain SELECT.

## Do this instead

Add the constraint as NOT VALID, which checks only new rows and is instant. Then validate it in a later
revision, in a separate transaction: VALIDATE CONSTRAINT scans the old rows under SHARE UPDATE EXCLUSIVE, which
blocks neither reads nor writes.

## Not flagged

- Constraints that are NOT VALID.
- Constraints on a table that the same deploy creates.

With a server, a constraint that is added to a domain is reported by `blocking-statement`.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddColumn,
    AlterDomain,
    ColumnDefinition,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    names,
    remedies,
)

RULE = Rule(
    id="validating-check",
    summary="reads and writes wait while every row is checked",
    severity=Severity.ERROR,
    group=Group.LOCKING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddCheck(table=table, not_valid=False, expression=expression) if context.exists(table):
            if context.observed and not context.scanned(table):
                return
            name = subject.name or remedies.constraint_name(table, (), "check").replace("__", "_")
            yield concern(
                f"""
                Adding check constraint `{name}` reads every row of `{table}` under ACCESS EXCLUSIVE, so reads and
                writes of `{table}` wait until the transaction ends.
                """,
                remedy=[
                    _not_valid(name, table, expression),
                    remedies.validate(table, name),
                ],
                about=about.constraint(table, name),
            )
        case AddColumn(table=table, column=ColumnDefinition(check=str(expression)) as column) if context.exists(
            table
        ):
            if context.rewrote(table) or (context.observed and not context.scanned(table)):
                return
            name = remedies.constraint_name(table, [column.name], "check")
            yield concern(
                f"""
                Adding column `{column.name}` with a CHECK reads every row of `{table}` under ACCESS EXCLUSIVE, so
                reads and writes of `{table}` wait until the transaction ends.
                """,
                remedy=[
                    remedies.add_column(table, column, default=column.default, nullable=column.nullable),
                    _not_valid(name, table, expression),
                    remedies.validate(table, name),
                ],
                about=about.constraint(table, name),
                severity=None if context.observed else Severity.WARNING,
            )
        case AlterDomain(domain=domain, action="add constraint" | "set not null", not_valid=False) if (
            context.static
        ):
            tables = " and ".join(f"`{name}`" for name in _of_domain(domain, context))
            if tables:
                yield concern(
                    f"""
                    Adding a constraint to the domain `{domain}` reads every row of {tables} under SHARE, so writes
                    of {tables} wait until the transaction ends.
                    """,
                    about=about.other("domain", str(domain)),
                    severity=RULE.severity.lower,
                )


def _of_domain(domain: Name, context: Context) -> list[Name]:
    """The tables that have a column of the domain."""
    return [
        table.name
        for table in context.now.tables.values()
        if any((read := names.read(column.type)) and read.matches(domain) for column in table.columns)
    ]


def _not_valid(name: str, table: Name, expression: str) -> str:
    return remedies.call(
        "op.create_check_constraint", remedies.fixed(name), table, expression, postgresql_not_valid=True
    )


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, age integer)")'

EXAMPLES = [
    Example(
        "on a table that exists",
        given=USERS,
        upgrade="""
        op.create_check_constraint("not_negative", "users", "age >= 0")  # flagged
        """,
    ),
    Example(
        "written on a new column",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN mood text DEFAULT 'good' CHECK (mood IN ('good', 'bad'))")  # flagged
        """,
    ),
    Example(
        "NOT VALID, to be validated later",
        given=USERS,
        upgrade="""
        op.create_check_constraint("not_negative", "users", "age >= 0", postgresql_not_valid=True)
        """,
    ),
    Example(
        "validated in a separate revision",
        given=f"""
        {USERS}
        op.create_check_constraint("not_negative", "users", "age >= 0", postgresql_not_valid=True)
        """,
        upgrade="""
        op.execute("ALTER TABLE users VALIDATE CONSTRAINT not_negative")
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.create_table("notes", sa.Column("id", sa.BigInteger()))
        op.create_check_constraint("positive", "notes", "id > 0")
        """,
    ),
]
