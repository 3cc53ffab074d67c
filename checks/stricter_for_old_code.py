"""
From now on the database rejects rows that the running code may still write.

## Why it hurts

A new CHECK, UNIQUE, foreign key or NOT NULL applies to every new row once the migration commits, even if it is
added as NOT VALID. Older code does not know it: each INSERT or UPDATE that violates it fails. A foreign key that was checked
at the end of the transaction and is checked by each statement rejects a row that comes before the one it refers to.

## Do this instead

First deploy code that satisfies the constraint, and check in production whether violating rows are still written.
Then add the constraint.

## Not flagged

- Tables and columns that the same deploy has created.
- A constraint that replaces one of the same name, and a foreign key over columns that referred to the same before.
- A constraint that is checked later than before.
- Constraints that are flagged for their locks: that finding is about the same line. If the reviewer has seen an INSERT fail that
  leaves out what the models of the base commit do not require, it is told all the same, as a warning.
- Triggers: what they reject depends on their code.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reviewer.check import (
    AddCheck,
    AddForeignKey,
    AddUnique,
    AlterConstraint,
    Basis,
    Broken,
    Concern,
    Context,
    CreateIndex,
    DropConstraint,
    Example,
    Group,
    Index,
    Name,
    Rule,
    SetNotNull,
    Severity,
    Story,
    Subject,
    about,
    cause_of,
    concern,
    forbids_nulls_too,
    implications,
    is_partial,
    place_of,
)

RULE = Rule(
    id="stricter-for-old-code",
    summary="the database rejects rows that the running code may still write",
    severity=Severity.NOTICE,
    group=Group.BREAKING_CODE,
    last_resort=1,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            last = subject is context.stories[-1]
            for each in context.recording.old_code.allowed:
                here = each.revision == revision.id or (each.revision is None and last)
                if here and not any(_goes_on(one, each) for one in context.recording.old_code.allowed):
                    yield _seen(each, subject, context)
        case SetNotNull(table=table, column=column) if _is_seen(table, column, None, context):
            return
        case AddCheck(table=table, name=str(name)) if _is_seen(table, None, name, context):
            return
        case (
            AddForeignKey(table=table, name=name)
            | AddCheck(table=table, name=name)
            | AddUnique(table=table, name=name)
        ) if context.exists(table):
            if re.search(r"\bNOT\s+ENFORCED\b", context.statement.sql, re.IGNORECASE):
                return  # PostgreSQL 18: it is only written down
            if _replaces_one(table, name, context) or _only_new_columns(subject, context):
                return
            if isinstance(subject, AddForeignKey) and _refers_already(subject, context):
                return
            what = f"the constraint `{name}`" if name else "the constraint"
            yield concern(
                f"From now on {what} rejects rows of `{table}` that the running code may still write.",
                about=about.constraint(table, name or ""),
            )
        case CreateIndex(table=table, name=name, unique=True) if context.exists(table):
            if all(context.is_new_column(table, column) for column in subject.columns):
                return
            fewer = (i for i in context.now.indexes(table) if _rejects_more(i, subject.columns))
            if any(forbids_nulls_too(each, subject, context.now) for each in fewer):
                return
            yield concern(
                f"From now on the unique index `{name}` rejects duplicates in `{table}` that the running code may still write.",
                about=about.index(name),
            )
        case AlterConstraint(table=table, name=name, deferred=False):
            before = (each.definition for each in context.now.constraints(table) if each.name == name)
            if "INITIALLY DEFERRED" not in next(before, ""):
                return
            yield concern(
                f"""
                From now on each statement checks `{name}`, which was checked at the end of the transaction: the running
                code may still write rows of `{table}` before the rows that they need.
                """,
                about=about.constraint(table, name),
                severity=Severity.WARNING,
            )
        case SetNotNull(table=table, column=column) if not context.is_new_column(table, column):
            known = context.was(table, column)
            if known is not None and not known.nullable:
                return
            if any(implications.proofs_not_null(context.now, table, column, valid=each) for each in (True, False)):
                return  # a CHECK rejects NULL already
            yield concern(
                f"`{table}.{column}` rejects NULL from now on, which the running code may still write.",
                about=about.column(table, column, "not null"),
            )


def _seen(broken: Broken, story: Story, context: Context) -> Concern:
    """What was tried with a model, whatever else is said about the line."""
    constraint = _constraint(broken)
    where = cause_of(story, broken.table, column=broken.column, named=constraint)
    allows = (
        f"allows `{broken.table}.{broken.column}` to be NULL"
        if broken.column
        else f"allows rows of `{broken.table}` that `{constraint}` rejects"
    )
    least = "without it" if broken.column else "with the required columns only"
    lasts = any(_goes_on(broken, each) for each in context.recording.old_code.allowed)
    until = f" until revision {broken.until}" if broken.until and not lasts else ""
    return concern(
        f"""
        The model `{broken.model}` of the running code (commit `{context.recording.old_code.commit[:7]}`) {allows}: from now on
        an INSERT {least} fails with `{broken.error}`{until}.
        """,
        about=about.column(broken.table, broken.column, "not null")
        if broken.column
        else about.constraint(broken.table, constraint or ""),
        location=place_of(where),
        severity=Severity.WARNING,
        basis=Basis.OBSERVED,
        evidence={
            "model": broken.model,
            "sql": broken.sql,
            "column": broken.column,
            "sqlstate": broken.sqlstate,
            "base_commit": context.recording.old_code.commit,
        },
    )


def _goes_on(check: Broken, later: Broken) -> bool:
    """Whether `later`, a NOT NULL, refuses from the revision on at which `check`, a CHECK that it replaces, ends."""
    return (
        check.until is not None
        and check.until == later.revision
        and check.table == later.table
        and (check.sqlstate, later.sqlstate) == ("23514", "23502")
    )


def _is_seen(table: Name, column: str | None, constraint: str | None, context: Context) -> bool:
    """Whether a refusal by that is told with what was tried."""
    before = context.now.column_origin(table, column) if column else None
    name = (before[0] if before else context.now.origin(table)) or table
    return any(
        each.table.matches(name)
        and each.revision in {None, context.revision.id if context.revision else None}
        and (each.column == before[1] if before else constraint is not None and _constraint(each) == constraint)
        for each in context.recording.old_code.allowed
    )


def _constraint(broken: Broken) -> str | None:
    found = _CHECK.search(broken.error)
    return found[1] if found else None


_CHECK = re.compile(r'check constraint "(.+)"')


def _replaces_one(table: Name, name: str | None, context: Context) -> bool:
    return any(
        isinstance(earlier, DropConstraint) and earlier.table.matches(table) and earlier.name == name
        for earlier, _ in context.same_revision()
    )


def _refers_already(made: AddForeignKey, context: Context) -> bool:
    """Whether the same columns referred to the same ones before the deploy, checked no later and no less."""
    key, now = made.key, context.now
    known = context.recording.base.table(now.origin(made.table) or made.table)
    wanted = set(zip(key.columns, key.referenced_columns or now.primary_key(key.referenced), strict=False))
    full = "MATCH FULL" in context.statement.sql.upper()
    return bool(wanted) and any(
        each.kind == "foreign key"
        and each.referenced is not None
        and each.referenced.matches(key.referenced)
        and set(zip(each.columns, each.referenced_columns, strict=False)) == wanted
        and not re.search(r"INITIALLY DEFERRED|NOT ENFORCED", each.definition)
        and (not full or "MATCH FULL" in each.definition)
        for each in (known.constraints if known is not None else ())
    )


def _rejects_more(index: Index, columns: Sequence[str]) -> bool:
    """Whether rows that are the same in `columns` are the same in those of a unique index, which rejects them already."""
    whole = index.unique and index.valid and not is_partial(index)
    return whole and bool(index.columns) and set(index.columns) <= set(columns)


def _only_new_columns(subject: object, context: Context) -> bool:
    match subject:
        case AddForeignKey(table=table, key=key):
            return all(context.is_new_column(table, column) for column in key.columns)
        case AddUnique(table=table, columns=columns, using_index=None):
            fewer = any(_rejects_more(each, columns) for each in context.now.indexes(table))
            known = fewer and "NULLS NOT DISTINCT" not in context.statement.sql.upper()
            return known or all(context.is_new_column(table, column) for column in columns)
        case AddUnique(table=table, using_index=str()):
            return True  # its unique index already rejects duplicates
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
        "a foreign key, though it is NOT VALID",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE pets (id int, owner bigint, vet bigint CONSTRAINT fk REFERENCES users)")
        """,
        upgrade="""
        op.create_foreign_key("fk_owner", "pets", "users", ["owner"], ["id"], postgresql_not_valid=True)  # flagged
        """,
    ),
    Example(
        "a foreign key beside one of the same columns",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE pets (id int, owner bigint CONSTRAINT fk REFERENCES users)")
        """,
        upgrade="""
        op.create_foreign_key("fk_owner", "pets", "users", ["owner"], ["id"], ondelete="CASCADE", postgresql_not_valid=True)
        """,
    ),
    Example(
        "a foreign key that is checked by each statement from now on",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE pets (id int, owner bigint CONSTRAINT fk REFERENCES users DEFERRABLE INITIALLY DEFERRED)")
        """,
        upgrade="""
        op.execute("ALTER TABLE pets ALTER CONSTRAINT fk NOT DEFERRABLE")  # flagged
        """,
    ),
    Example(
        "a foreign key that may be checked later from now on",
        given=f"""
        {USERS}
        op.execute("CREATE TABLE pets (id int, owner bigint CONSTRAINT fk REFERENCES users)")
        """,
        upgrade="""
        op.execute("ALTER TABLE pets ALTER CONSTRAINT fk DEFERRABLE INITIALLY DEFERRED")
        """,
    ),
    Example(
        "NULL that a CHECK rejects already",
        given="""
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text CHECK (name IS NOT NULL))")
        """,
        upgrade="""
        op.alter_column("users", "name", nullable=False)
        """,
    ),
    Example(
        "duplicates that a key of fewer columns rejects already",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("by_name", "users", ["name", "id"], unique=True, postgresql_concurrently=True)
        """,
    ),
    Example(
        "duplicates that no key rejects",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("by_name", "users", ["name", "age"], unique=True, postgresql_concurrently=True)  # flagged
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
