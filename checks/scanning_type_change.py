"""
A type change without a table rewrite still scans all rows, to check a constraint again.

## Why it hurts

Some type changes only affect the catalogue, for example a longer `varchar`. But a valid CHECK constraint that uses
the column is checked again on every row, under ACCESS EXCLUSIVE. Until the transaction ends, nobody can read or
write the table.

## Do this instead

Drop the constraint, change the type, add the constraint again as NOT VALID, in one revision: all instant. Validate
it in the next one, in a separate transaction.

## Not flagged

- Type changes that scan nothing, and those that rewrite the table: see `rewriting-type-change`.
- Reviews without a server: the text does not show whether a constraint uses the column.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddForeignKey,
    AlterColumnType,
    Concern,
    Constraint,
    Context,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    SetNotNull,
    Severity,
    Subject,
    about,
    concern,
    quoted,
    remedies,
    types,
)

RULE = Rule(
    id="scanning-type-change",
    summary="reads and writes wait while a constraint is checked again on every row",
    severity=Severity.ERROR,
    group=Group.REWRITING,
    lock=LockMode.ACCESS_EXCLUSIVE,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AlterColumnType(table=table, column=column) if context.scanned(table) or _checked_again(
            subject, context
        ):
            if context.rewrote(table) or context.built(table) or _other_reason(context):
                return
            checked = _checks(table, column, context)
            again = ", ".join(f"`{each.name}`" for each in checked) or "its constraints"
            yield concern(
                f"""
                Changing the type of `{table}.{column}` checks {again} again on every row of `{table}` under ACCESS
                EXCLUSIVE, so reads and writes of `{table}` wait until the transaction ends.
                """,
                remedy=_remedy(subject, checked, context) if checked else (),
                about=about.column(table, column),
                severity=context.certainty(RULE.severity),
            )


def _checked_again(changed: AlterColumnType, context: Context) -> bool:
    """Whether the text shows that nothing is rewritten, and a valid CHECK uses the column."""
    known = context.now.column(changed.table, changed.column)
    if context.observed or context.statement.error or known is None or changed.using is not None:
        return False
    return (
        types.canonical(known.type) != types.canonical(changed.type)
        and types.keeps_storage(known.type, changed.type)
        and any(each.valid for each in _checks(changed.table, changed.column, context))
    )


def _other_reason(context: Context) -> bool:
    """Whether another action of the same statement reads the table."""
    operations = context.understood.operations if context.understood else ()
    return any(isinstance(operation, AddCheck | AddForeignKey | SetNotNull) for operation in operations)


def _checks(table: Name, column: str, context: Context) -> list[Constraint]:
    return [each for each in context.now.constraints(table) if each.kind == "check" and column in each.columns]


def _remedy(changed: AlterColumnType, checked: list[Constraint], context: Context) -> tuple[str, ...]:
    table = changed.table
    dropped = [remedies.call("op.drop_constraint", each.name, table, type_="check") for each in checked]
    added = [
        remedies.execute(f"ALTER TABLE {table.sql} ADD CONSTRAINT {quoted(each.name)} {each.definition} NOT VALID")
        for each in checked
    ]
    return (
        "\n".join([*dropped, remedies.execute(context.statement.sql), *added]),
        *(remedies.validate(table, each.name) for each in checked),
    )


USERS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50) CONSTRAINT named CHECK (length(name) > 0))")
"""

EXAMPLES = [
    Example(
        "a longer varchar with a CHECK",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", type_=sa.String(100))  # flagged
        """,
    ),
    Example(
        "a longer varchar without one",
        given='op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")',
        upgrade="""
        op.alter_column("users", "name", type_=sa.String(100))
        """,
    ),
]
