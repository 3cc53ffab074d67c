"""
The database refuses rows from now on that the running code may still write.

## Why it hurts

A new CHECK, UNIQUE, foreign key or NOT NULL holds for every new row from the commit on, also when it is added as NOT
VALID. Code that was written before it knows nothing of it: each INSERT or UPDATE that breaks it fails.

## Do this instead

Deploy code that keeps the rule first, and look in production whether rows that break it still come in. Then add the
constraint.

## Not flagged

- Tables and columns that the same deploy has created.
- A constraint that replaces one of the same name.
- Constraints that are flagged for what they lock: that finding is about the same line.
- Triggers: what they refuse is in their code.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddForeignKey,
    AddUnique,
    Concern,
    Context,
    CreateIndex,
    DropConstraint,
    Example,
    Group,
    Name,
    Rule,
    SetNotNull,
    Severity,
    Subject,
    concern,
)

RULE = Rule(
    id="stricter-for-old-code",
    summary="the database refuses rows that the running code may still write",
    severity=Severity.NOTICE,
    group=Group.BREAKING_CODE,
    last_resort=1,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case (
            AddForeignKey(table=table, name=name)
            | AddCheck(table=table, name=name)
            | AddUnique(table=table, name=name)
        ) if context.exists(table):
            if re.search(r"\bNOT\s+ENFORCED\b", context.statement.sql, re.IGNORECASE):
                return  # PostgreSQL 18: it is only written down
            if _replaces_one(table, name, context) or _only_new_columns(subject, context):
                return
            what = f"The constraint `{name}`" if name else "The constraint"
            yield concern(
                f"{what} refuses rows of `{table}` from now on that the running code may still write.",
                about=("constraint", str(table), name or ""),
            )
        case CreateIndex(table=table, name=name, unique=True) if context.exists(table):
            if all(context.is_new_column(table, column) for column in subject.columns):
                return
            if any(each.unique and each.columns == subject.columns for each in context.now.indexes(table)):
                return
            yield concern(
                f"The unique index `{name}` refuses duplicates in `{table}` from now on that the running code may still write.",
                about=("index", name or ""),
            )
        case SetNotNull(table=table, column=column) if not context.is_new_column(table, column):
            known = context.was(table, column)
            if known is not None and not known.nullable:
                return
            yield concern(
                f"`{table}.{column}` refuses NULL from now on, which the running code may still write.",
                about=("column", str(table), column, "not null"),
            )


def _replaces_one(table: Name, name: str | None, context: Context) -> bool:
    return any(
        isinstance(earlier, DropConstraint) and earlier.table.matches(table) and earlier.name == name
        for earlier, _ in context.same_revision()
    )


def _only_new_columns(subject: object, context: Context) -> bool:
    match subject:
        case AddForeignKey(table=table, key=key):
            return all(context.is_new_column(table, column) for column in key.columns)
        case AddUnique(table=table, columns=columns, using_index=None):
            return all(context.is_new_column(table, column) for column in columns)
        case AddUnique(table=table, using_index=str()):
            return True  # its unique index refuses duplicates already
    return False


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, age int)")"""

EXAMPLES = [
    Example(
        "a check, though it is NOT VALID",
        given=USERS,
        upgrade="""
        op.create_check_constraint("grown", "users", "age > 17", postgresql_not_valid=True)  # flagged
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade=f"""
        {USERS}
        op.create_check_constraint("grown", "users", "age > 17")
        """,
    ),
]
