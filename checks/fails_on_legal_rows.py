"""
Rows that the schema allows today stop the upgrade.

## Why it hurts

A new constraint, a narrower type or a conversion examines every existing row. Tests have tidy rows; production has
ten years of them. What no constraint forbids exists: a NULL, a duplicate name, a dangling reference, an empty
string that is not a number. The deploy then stops at the first of them, after scanning the table under its lock.

## Do this instead

Query production before the deploy, with the query in the finding. If there are such rows, clean them up in an
earlier revision, in batches; if there are none, make sure that none are added: add the constraint as `NOT VALID`
first, which applies to new rows immediately, and validate it in a later deploy.

## Not flagged

- Rows that the base schema already rejects, by NOT NULL, UNIQUE, CHECK or a foreign key.
- Rows that the same upgrade has cleaned up before.
- Tables that the history itself has filled: their contents are known.
- As a notice only: `VALIDATE CONSTRAINT`, which can fail without harm and be retried.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reviewer.check import (
    AddCheck,
    AddForeignKey,
    AddNotNull,
    AddPrimaryKey,
    AddUnique,
    AlterColumnType,
    Basis,
    Concern,
    Context,
    CreateIndex,
    Direction,
    Example,
    FailureKind,
    Group,
    Name,
    Operation,
    Rule,
    Schema,
    SetNotNull,
    Severity,
    Story,
    Subject,
    Update,
    ValidateConstraint,
    about,
    concern,
    failures,
    quoted,
)

RULE = Rule(
    id="fails-on-legal-rows",
    summary="rows that the schema allows today stop the upgrade",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story if not context.static:
            failed = next((t for t in context.recording.trials if t.worst and t.revision == revision.id), None)
            if failed is None or failed.failure is None:
                return
            operation = failures.operation(story, failed)
            query = _query(story, operation, failed.failure.sqlstate)
            ask = f" Query production: `{query}`" if query else ""
            how = "fails"
            if failed.failure.kind is FailureKind.TIMEOUT:
                how, ask = "does not end", " Let each round of a loop leave fewer rows to the next."
            yield concern(
                f"""
                The upgrade of `{revision.id}` {how} on rows that the schema allows: {failures.words(failed)}.{ask}
                """,
                about=about.failure(revision.id, Direction.UPGRADE),
                severity=Severity.NOTICE if isinstance(operation, ValidateConstraint) else None,
                basis=Basis.OBSERVED,
                location=failures.place(revision, failed),
                direction=Direction.UPGRADE,
                evidence={**failures.evidence(failed), **({"query": query} if query else {})},
            )


def _filled(story: Story, operation: Operation | None) -> str | None:
    """The column from which the revision has filled the column before it requires it; empty where it has filled it with
    something else, None if it has not.
    """
    match operation:
        case SetNotNull(table=table, column=column) | AddNotNull(table=table, column=column):
            for each, sent in story.operations():
                if each is operation:
                    break
                if isinstance(each, Update) and each.table.matches(table) and column in each.columns:
                    copied = re.search(
                        rf'\b{re.escape(column)}"?\s*=\s*"?(\w+)"?\s*(?:,|;|$|\bWHERE\b)', sent.sql, re.IGNORECASE
                    )
                    return copied[1] if copied is not None and copied[1] in each.reads else ""
    return None


def _query(story: Story, operation: Operation | None, sqlstate: str | None) -> str | None:
    """A query that finds such rows in production before the deploy; None where there is none."""
    now = next((step.now for step in story.steps() if step.operation is operation), None)
    if now is None:
        return None
    query = _asking(operation, _filled(story, operation), sqlstate, now)
    return query if query and _fits(query, operation, now) else None


def _fits(query: str, operation: Operation | None, now: Schema) -> bool:
    """Whether it names nothing that the deploy has added or renamed."""
    match operation:
        case AddForeignKey(table=table, key=key):
            tables = [table, key.referenced]
        case (
            SetNotNull(table=table) | AddNotNull(table=table) | AddCheck(table=table) | AlterColumnType(table=table)
        ) | (AddUnique(table=table) | AddPrimaryKey(table=table) | CreateIndex(table=table)):
            tables = [table]
        case _:
            return False
    words = set(re.findall(r"\w+", query))
    columns = [(table, column.name) for table in tables if (known := now.table(table)) for column in known.columns]
    return all(now.origin(table) == table for table in tables) and all(
        now.column_origin(*each) == each for each in columns if each[1] in words
    )


def _asking(operation: Operation | None, filled: str | None, sqlstate: str | None, now: Schema) -> str | None:
    """The query, with the names of the moment; `filled` is the column from which the column has been filled."""
    match operation:
        case SetNotNull(table=table, column=column) | AddNotNull(table=table, column=column) if filled is not None:
            own = [] if now.is_new_column(table, column) else [f"{quoted(column)} IS NULL"]
            return _count(table, " AND ".join([*own, f"{quoted(filled)} IS NULL"])) if filled else None
        case SetNotNull(table=table, column=column) | AddNotNull(table=table, column=column):
            return _count(table, f"{quoted(column)} IS NULL")
        case AddCheck(table=table, expression=expression):
            return _count(table, f"NOT ({expression})")
        case AddPrimaryKey(table=table, columns=columns) if columns and sqlstate == "23502":
            return _count(
                table, " OR ".join(f"{quoted(column)} IS NULL" for column in _nullable(table, columns, now))
            )
        case AddPrimaryKey(table=table, columns=columns) if columns:
            return _repeated(table, columns)
        case AddUnique(table=table, columns=columns) if columns:
            return _repeated(table, columns, [] if operation.nulls_not_distinct else _given(table, columns, now))
        case CreateIndex(table=table, columns=columns, unique=True) if columns:
            compared = [] if operation.nulls_not_distinct else _given(table, columns, now)
            only = [f"({operation.where})" if compared else operation.where] if operation.where else []
            return _repeated(table, columns, only + compared)
        case AddForeignKey(table=table, key=key) if key.columns and len(key.columns) == len(key.referenced_columns):
            pairs = zip(key.columns, key.referenced_columns, strict=True)
            same = " AND ".join(f"r.{quoted(to)} = t.{quoted(column)}" for column, to in pairs)
            given = " AND ".join(f"t.{quoted(column)} IS NOT NULL" for column in key.columns)
            return (
                f"SELECT count(*) FROM {table.sql} t WHERE {given}"
                f" AND NOT EXISTS (SELECT FROM {key.referenced.sql} r WHERE {same})"
            )
        case AlterColumnType(table=table, column=column, type=type_, using=using) if sqlstate == "23505":
            made = using or f"{quoted(column)}::{type_}"
            filled = _where(_given(table, (column,), now))
            return f"SELECT {made}, count(*) FROM {table.sql}{filled} GROUP BY 1 HAVING count(*) > 1"
        case AlterColumnType(table=table, column=column, type=type_):
            size = type_.partition("(")[2].rstrip(")")
            if type_.lower().startswith(("varchar", "character", "char")) and size.isdigit():
                return _count(table, f"length({quoted(column)}::text) > {size}")
            return f"SELECT DISTINCT {quoted(column)}::text FROM {table.sql} ORDER BY 1"
    return None


def _repeated(table: Name, columns: Sequence[str], conditions: Sequence[str] = ()) -> str:
    listed = ", ".join(map(_key, columns))
    return f"SELECT {listed}, count(*) FROM {table.sql}{_where(conditions)} GROUP BY {listed} HAVING count(*) > 1"


def _given(table: Name, columns: Sequence[str], now: Schema) -> list[str]:
    """Conditions that leave out what no unique index compares: GROUP BY takes one NULL for another."""
    return [f"{_key(column)} IS NOT NULL" for column in _nullable(table, columns, now)]


def _nullable(table: Name, columns: Sequence[str], now: Schema) -> list[str]:
    known = [(column, now.column(table, column)) for column in columns]
    return [column for column, found in known if found is None or found.nullable]


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _key(column: str) -> str:
    return quoted(column) if column.isidentifier() else f"({column})"


def _count(table: Name, condition: str) -> str:
    return f"SELECT count(*) FROM {table.sql} WHERE {condition}"


USERS = """op.create_table(
    "users", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("email", sa.String(80)),
    sa.Column("age", sa.Text())
)"""

EXAMPLES = [
    Example(
        "a unique constraint, and nothing forbids duplicates yet",
        given=USERS,
        upgrade="""
        op.create_unique_constraint("uq_users_email", "users", ["email"])  # flagged
        """,
    ),
    Example(
        "NOT NULL on a column that takes NULL",
        given=USERS,
        upgrade="""
        op.alter_column("users", "email", nullable=False)  # flagged
        """,
    ),
    Example(
        "texts that the new type makes equal",
        given="""
        op.execute("CREATE TABLE keys (id int PRIMARY KEY, k varchar(10) NOT NULL UNIQUE)")
        """,
        upgrade="""
        op.alter_column("keys", "k", type_=sa.CHAR(10))  # flagged
        """,
    ),
    Example(
        "cleaned before",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET email = '' WHERE email IS NULL")
        op.alter_column("users", "email", nullable=False)
        """,
    ),
    Example(
        "an index that forbids nothing",
        given=USERS,
        upgrade="""
        op.create_index("ix_users_email", "users", ["email"])
        """,
    ),
]
