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
  the point, `cidr` to `inet`. On a server it is seen whether the table was rewritten; from text alone it is known where
  earlier revisions name the old type, else it is a notice.
- As a notice only: `timestamp` to `timestamptz` and back, which writes nothing where the session's time zone is UTC, as it is
  in the rehearsal. A revision that sets the time zone to UTC itself is not flagged.
- Columns of a table that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AlterColumnType,
    Basis,
    Concern,
    Context,
    Direction,
    Example,
    Group,
    LockMode,
    Rule,
    SetVariable,
    Severity,
    Subject,
    concern,
    names,
    remedies,
    types,
)

RULE = Rule(
    id="rewriting-type-change",
    summary="reads and writes wait while the whole table is written anew",
    severity=Severity.ERROR,
    group=Group.REWRITING,
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
            doubt = _doubt(subject, old, context)
            does = f"writes, {doubt}," if doubt else "writes"
            value = subject.using or None
            yield concern(
                f"""
                Changing `{table}.{column}` {what} {does} every row of `{table}` anew under ACCESS EXCLUSIVE, so reads
                and writes of `{table}` wait until the transaction ends.
                """,
                remedy=remedies.second_column(
                    table,
                    column,
                    f"{column[:59]}_new",
                    new,
                    value,
                    required=context.now.must_be_written(table, column),
                ),
                about=("column", str(table), column),
                basis=Basis.PARSED if doubt else None,
                severity=Severity.NOTICE if doubt else RULE.severity,
            )


def _old_type(changed: AlterColumnType, context: Context) -> str | None:
    """From the state before; without a server from the downgrade, which changes it back."""
    known = context.now.column(changed.table, changed.column)
    if known is not None:
        return known.type
    for operation, _ in context.story.operations(Direction.DOWNGRADE) if context.story else ():
        match operation:
            case AlterColumnType(table=table, column=column, type=old):
                if table.matches(changed.table) and column == changed.column:
                    return old
    return None


def _doubt(changed: AlterColumnType, old: str | None, context: Context) -> str:
    """What only the database tells, as a condition; empty where it is known that the table is written anew."""
    if context.statement.error:
        return ""
    if context.observed:
        rewritten = context.rewrote(changed.table)
        return "" if rewritten else "unless the session's time zone is UTC as in the rehearsal"
    if changed.using is None and old is not None and types.depends_on_time_zone(old, changed.type):
        return "" if _time_zone(context) else "unless the session's time zone is UTC"
    if changed.using is None and (old is None or not all(_known(each, context) for each in (old, changed.type))):
        return "unless both types are stored alike"
    return ""


def _known(type_: str, context: Context) -> bool:
    """Whether nothing else is stored like it: a type of PostgreSQL's own, or an enum. A domain is stored as its base."""
    if types.built_in(type_):
        return types.base(type_) != "citext"
    name = names.read(type_)
    return name is not None and context.now.labels(context.now.resolve(name)) is not None


def _time_zone(context: Context) -> str | None:
    """What an earlier statement of the deploy has set, as far as the text tells."""
    found = None
    for operation, _ in context.earlier:
        match operation:
            case SetVariable(name=name, value=value) if name.lower() in {"timezone", "time zone"}:
                found = value
    return found


def _in_utc(context: Context) -> bool:
    """Whether the deploy itself has seen to it that the time zone is UTC."""
    return (_time_zone(context) or "").strip("'").upper() == "UTC"


def _rewrites(changed: AlterColumnType, old: str | None, context: Context) -> bool:
    if context.observed:
        # the server of the rehearsal runs in UTC, where nothing is written; that of the deploy may not
        elsewhere = old is not None and types.depends_on_time_zone(old, changed.type) and not _in_utc(context)
        return (context.rewrote(changed.table) and not _innocent(changed, old, context)) or elsewhere
    if changed.using is None and old is not None:
        if types.has_no_cast(old, changed.type):
            return False  # it fails
        if types.depends_on_time_zone(old, changed.type) and _in_utc(context):
            return False
        return not types.keeps_storage(old, changed.type)
    # what is not known is most often a varchar that becomes a text
    return not (changed.using is None and types.canonical(changed.type) in {"text", "character varying"})


def _innocent(changed: AlterColumnType, old: str | None, context: Context) -> bool:
    """Whether it is another action of the same statement that writes the table anew."""
    return (
        not context.alone and changed.using is None and old is not None and types.keeps_storage(old, changed.type)
    )


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
        "beside one that is stored otherwise, which is the one to be told",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ALTER name TYPE varchar(100), ALTER age TYPE bigint")  # flagged
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
