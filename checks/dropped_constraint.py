"""
Without the constraint, rows that it rejected are accepted.

## Why it hurts

Once the migration commits, nothing stops duplicates, orphans or values that the constraint forbade, even from code
that relied on it. Adding it again later scans every row, and fails on the first invalid one that was written in the
meantime.

## Do this instead

Make sure that the constraint is really unwanted, and not just in the way of something else. If it is replaced, add
the new one (NOT VALID) before dropping the old one.

## Not flagged

- Constraints that the same revision adds again, relaxed or changed.
- A unique constraint in whose place a unique index on the same columns is there or comes.
- A CHECK (... IS NOT NULL) from the recipe for NOT NULL, once the column is NOT NULL.
- Constraints that the same deploy has added, and those of tables that it has created.
- Constraints whose table, or all of whose columns, the same revision drops next.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html>
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from reviewer.check import (
    AddCheck,
    AddExclusion,
    AddForeignKey,
    AddPrimaryKey,
    AddUnique,
    Concern,
    Constraint,
    Context,
    CreateIndex,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropTable,
    Example,
    ForeignKey,
    Group,
    Index,
    Name,
    RenameColumn,
    Rule,
    SetNotNull,
    Severity,
    Subject,
    Table,
    about,
    concern,
    is_partial,
)

RULE = Rule(
    id="dropped-constraint",
    summary="rows that the constraint rejected are accepted",
    severity=Severity.NOTICE,
    group=Group.LOSING_DATA,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropConstraint(table=table, name=name) if context.exists(table):
            known = context.now.table(table)
            found = next((each for each in known.constraints if each.name == name), None) if known else None
            if (known is not None and found is None) or _replaced(table, name, found, context):
                return
            if _goes(table, found.columns if found else (), context):
                return
            what = f"the {found.kind} constraint `{name}`" if found else f"the constraint `{name}`"
            yield concern(
                f"Dropping {what} of `{table}` allows rows that it rejected.",
                about=about.constraint(table, name),
                evidence={"definition": found.definition} if found else None,
            )

        case DropIndex(index=index):
            known = context.now.index_table(index)
            dropped = next((i for i in known.indexes if i.name == index.name), None) if known is not None else None
            if known is None or dropped is None or not dropped.unique or context.is_new_index(index):
                return
            if (
                context.exists(known.name)
                and not _another(known.name, dropped, context)
                and not _goes(known.name, dropped.columns, context)
            ):
                yield concern(
                    f"Dropping the unique index `{index.name}` of `{known.name}` allows rows that it rejected.",
                    about=about.constraint(known.name, index.name),
                    evidence={"definition": dropped.definition},
                )


def _goes(table: Name, columns: Collection[str], context: Context) -> bool:
    """Whether the table, or all of `columns`, are dropped next: no row can break the rule any more."""
    gone = set[str]()
    for operation, _ in context.later():
        match operation:
            case DropTable(table=on) if on.matches(table):
                return True
            case DropColumn(table=on, column=column) if on.matches(table):
                gone.add(column)
    return bool(columns) and gone.issuperset(columns)


def _another(table: Name, dropped: Index, context: Context) -> bool:
    """Whether another unique index or constraint on the same columns is there, or comes in the same deploy."""
    columns = set(dropped.columns)
    if any(i.unique and i.name != dropped.name and set(i.columns) <= columns for i in context.now.indexes(table)):
        return not is_partial(dropped)
    for operation, _ in (*context.earlier, *context.later()):
        match operation:
            case CreateIndex(table=on, unique=True) | AddUnique(table=on) | AddPrimaryKey(table=on) if on.matches(
                table
            ):
                return True
    return False


def _replaced(table: Name, name: str, found: Constraint | None, context: Context) -> bool:
    columns = tuple(found.columns) if found else ()
    proof = found is not None and found.kind == "check" and "IS NOT NULL" in found.definition
    for operation, _ in (*context.earlier, *context.later()):
        match operation:
            case RenameColumn(table=on, column=old, new_name=new) if on.matches(table):
                columns = tuple(new if each == old else each for each in columns)
            case (
                AddCheck(table=on, name=added)
                | AddExclusion(table=on, name=added)
                | AddForeignKey(table=on, name=added)
                | AddUnique(table=on, name=added)
                | AddPrimaryKey(table=on, name=added)
            ) if on.matches(table) and (added == name or _same_kind(operation, columns, found)):
                return True
            case AddForeignKey(table=on, key=key) if on.matches(table) and _refers_as_before(
                on, key, columns, found, context
            ):
                return True
            case CreateIndex(table=on, unique=True, where=None, columns=keys) if on.matches(table) and _forbids(
                keys, found, context.now.table(table)
            ):
                return True
            case SetNotNull(table=on, column=column) if proof and on.matches(table) and column in columns:
                return True
    return any(
        each.unique
        and each.valid
        and each.name != name
        and not is_partial(each)
        and _forbids(each.columns, found, context.now.table(table))
        for each in context.now.indexes(table)
    )


def _refers_as_before(
    on: Name, key: ForeignKey, columns: tuple[str, ...], found: Constraint | None, context: Context
) -> bool:
    """Whether a key on more columns refers to the same table, and none of them is NULL: then it lets no row out."""
    if found is None or found.referenced is None or not found.referenced.matches(key.referenced):
        return False
    known = context.story.after.table(on) if context.story else None
    more = [known.column(each) for each in key.columns if each not in columns] if known is not None else [None]
    return set(columns) <= set(key.columns) and all(each is not None and not each.nullable for each in more)


def _forbids(keys: tuple[str, ...], found: Constraint | None, table: Table | None) -> bool:
    """Whether a unique index on `keys`, columns or expressions of them, rejects what the constraint rejected: rows
    that are equal in a column are equal in whatever is made of it.
    """
    if found is None or found.kind != "unique" or "NULLS NOT DISTINCT" in found.definition:
        return False
    known = {each.name for each in table.columns} if table is not None else set()
    used = [{key} if key in found.columns else known.intersection(re.findall(r"\w+", key)) for key in keys]
    return bool(used) and all(each and each <= set(found.columns) for each in used)


def _same_kind(operation: object, columns: tuple[str, ...], found: Constraint | None) -> bool:
    match operation:
        case AddForeignKey(key=key):
            return found is not None and found.kind == "foreign key" and key.columns == columns
        case AddUnique() | AddPrimaryKey():
            return found is not None and found.kind in {"unique", "primary key"}
        case AddCheck():
            return (
                found is not None
                and found.kind == "check"
                and any(each in operation.expression for each in columns)
            )
    return False


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, age int CONSTRAINT grown CHECK (age > 17))")'

EXAMPLES = [
    Example(
        "and nothing in its place",
        given=USERS,
        upgrade="""
        op.drop_constraint("grown", "users", type_="check")  # flagged
        """,
    ),
    Example(
        "the only unique index on the columns",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text)")
        op.create_index("uq_email", "users", ["email"], unique=True)
        """,
        upgrade="""
        op.drop_index("uq_email", "users")  # flagged
        """,
    ),
    Example(
        "an index that is not unique",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text)")
        op.create_index("ix_email", "users", ["email"])
        """,
        upgrade="""
        op.drop_index("ix_email", "users")
        """,
    ),
    Example(
        "in whose place comes an index of fewer rows",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text CONSTRAINT one_email UNIQUE, gone bool)")
        """,
        upgrade="""
        op.create_index("uq_email", "users", ["email"], unique=True, postgresql_where=sa.text("NOT gone"))
        op.drop_constraint("one_email", "users")  # flagged
        """,
    ),
    Example(
        "in whose place comes a unique index",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text CONSTRAINT one_email UNIQUE)")
        """,
        upgrade="""
        op.drop_constraint("one_email", "users")
        op.create_index("uq_email", "users", ["email"], unique=True)
        """,
    ),
    Example(
        "in whose place comes a unique index that tells fewer rows apart",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text CONSTRAINT one_email UNIQUE)")
        """,
        upgrade="""
        op.drop_constraint("one_email", "users")
        op.execute("CREATE UNIQUE INDEX uq_email ON users (lower(email))")
        """,
    ),
    Example(
        "in whose place comes a unique index on something else",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, email text CONSTRAINT one_email UNIQUE, name text)")
        """,
        upgrade="""
        op.drop_constraint("one_email", "users")  # flagged
        op.execute("CREATE UNIQUE INDEX uq_name ON users (lower(email || name))")
        """,
    ),
    Example(
        "replaced by a wider one",
        given=USERS,
        upgrade="""
        op.drop_constraint("grown", "users", type_="check")
        op.create_check_constraint("grown", "users", "age > 12", postgresql_not_valid=True)
        """,
    ),
    Example(
        "before its column goes",
        given="""
        op.execute("CREATE TABLE teams (id int PRIMARY KEY)")
        op.execute("CREATE TABLE users (id int PRIMARY KEY, team int CONSTRAINT in_team REFERENCES teams, name text)")
        """,
        upgrade="""
        op.drop_constraint("in_team", "users")
        op.drop_column("users", "team")
        """,
    ),
    Example(
        "before another column goes",
        given="""
        op.execute("CREATE TABLE teams (id int PRIMARY KEY)")
        op.execute("CREATE TABLE users (id int PRIMARY KEY, team int CONSTRAINT in_team REFERENCES teams, name text)")
        """,
        upgrade="""
        op.drop_constraint("in_team", "users")  # flagged
        op.drop_column("users", "name")
        """,
    ),
    Example(
        "before its table goes",
        given="""
        op.execute("CREATE TABLE users (id int PRIMARY KEY, email text)")
        op.create_index("uq_email", "users", ["email"], unique=True)
        """,
        upgrade="""
        op.drop_index("uq_email", "users")
        op.drop_table("users")
        """,
    ),
]
