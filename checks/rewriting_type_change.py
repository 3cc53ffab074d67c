"""
Changing the type of a column writes the whole table anew while reads and writes wait.

## Why it hurts

Where the old values cannot stand as they are, PostgreSQL writes all rows into a new file and builds every index anew,
under ACCESS EXCLUSIVE. Until the transaction ends nobody reads or writes the table. Foreign keys of the column are
checked again, which locks the other table too.

## Do this instead

Put a new column of the new type beside the old one: let the code write both, copy the old rows in batches, let the code
read the new one, and drop the old one a release later.

## Not flagged

- Changes for which PostgreSQL writes nothing: a longer `varchar`, `varchar` to `text`, a `numeric` with more digits before
  the point, `cidr` to `inet`, `timestamp` to `timestamptz` where the time zone is UTC. On a server it is seen whether the
  table was rewritten; from text alone the old type is often not known, and the finding is a warning.
- Columns of a table that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer import remedies, types
from reviewer.context import Context, Subject
from reviewer.finding import Concern, Severity, concern
from reviewer.locks import LockMode
from reviewer.operations import AlterColumnType
from reviewer.recording import Direction
from reviewer.rule import Example, Rule

RULE = Rule(
    id="rewriting-type-change",
    summary="reads and writes wait while the whole table is written anew",
    severity=Severity.ERROR,
    group="rewriting",
    lock=LockMode.ACCESS_EXCLUSIVE,
    rewrites=True,
    scans=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AlterColumnType(table=table, column=column, type=new) if context.exists(table):
            old = _old_type(subject, context)
            if not _rewrites(subject, old, context):
                return
            what = f"from `{old}` to `{new}`" if old else f"to `{new}`"
            does = "writes" if context.observed or old else "writes, unless both types are stored alike,"
            value = subject.using or None
            yield concern(
                f"""
                Changing `{table}.{column}` {what} {does} every row of `{table}` anew under ACCESS EXCLUSIVE, so reads
                and writes of `{table}` wait until the transaction ends.
                """,
                remedy=remedies.second_column(table, column, f"{column[:59]}_new", new, value),
                about=("column", str(table), column),
                severity=RULE.severity if old or context.statement.error else context.certainty(RULE.severity),
            )


def _old_type(changed: AlterColumnType, context: Context) -> str | None:
    """From the state before; without a server from the downgrade, which changes it back."""
    known = context.column(changed.table, changed.column)
    if known is not None:
        return known.type
    for operation, _ in context.story.operations(Direction.DOWNGRADE) if context.story else ():
        match operation:
            case AlterColumnType(table=table, column=column, type=old):
                if table.matches(changed.table) and column == changed.column:
                    return old
    return None


def _rewrites(changed: AlterColumnType, old: str | None, context: Context) -> bool:
    if context.observed:
        return context.rewrote(changed.table)
    if changed.using is None and old is not None:
        return not types.keeps_storage(old, changed.type)
    # what is not known is most often a varchar that becomes a text
    return not (changed.using is None and types.canonical(changed.type) in {"text", "character varying"})


USERS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50), age integer, score numeric(10, 2))")
"""

EXAMPLES = [
    Example(
        "integer to bigint",
        given=USERS,
        upgrade="""
        op.alter_column("users", "age", type_=sa.BigInteger())  # flagged
        """,
    ),
    Example(
        "text with USING",
        given=USERS,
        upgrade="""
        op.alter_column("users", "age", type_=sa.Text(), postgresql_using="age || ' years'")  # flagged
        """,
    ),
    Example(
        "wider, and stored alike",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", type_=sa.String(100))
        op.alter_column("users", "name", type_=sa.Text())
        op.alter_column("users", "score", type_=sa.Numeric(14, 2))
        """,
    ),
    Example(
        "on a table of the same revision",
        upgrade="""
        op.create_table("notes", sa.Column("id", sa.Integer()))
        op.alter_column("notes", "id", type_=sa.BigInteger())
        """,
    ),
]
