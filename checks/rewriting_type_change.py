"""
Changing the type of a column rewrites the whole table while reads and writes wait.

## Why it hurts

If the stored values cannot be kept as they are, PostgreSQL writes all rows into a new file and rebuilds every
index, under ACCESS EXCLUSIVE. Until the transaction ends, nobody can read or write the table. Foreign keys of the
column are checked again, which locks the other table too.

## Do this instead

Add a column of the new type next to the old one: let the code write both, copy the old rows in batches, let the
code read the new one, and drop the old one a release later.

## Not flagged

- Changes for which PostgreSQL rewrites nothing: a longer `varchar`, `varchar` to `text`, a `numeric` with more
  digits before the point, `cidr` to `inet`. A server shows whether the table was rewritten; from the text alone it
  is known if earlier revisions name the old type, otherwise it is a notice.
- As a warning only: `timestamp` to `timestamptz` and back, which rewrites nothing if the session's time zone is
  UTC, as in the rehearsal. A revision that sets the time zone to UTC itself is not flagged.
- Columns of a table that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AlterColumnType,
    Basis,
    Concern,
    Context,
    CreateEnum,
    Direction,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    SetVariable,
    Severity,
    Subject,
    about,
    concern,
    names,
    remedies,
    types,
)

RULE = Rule(
    id="rewriting-type-change",
    summary="reads and writes wait while the whole table is rewritten",
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
            what = _what(old, new)
            doubt = _doubt(subject, old, context)
            does = f"writes, {doubt}," if doubt else "writes"
            zone_name = _time_zone(context)
            zone = (
                old is not None
                and types.depends_on_time_zone(old, new)
                and "at time zone" not in (subject.using or "").lower()
            )
            read = (
                f" The old values are read as times in the session's time zone{f', {zone_name}' if zone_name else ''}."
                if zone
                else ""
            )
            yield concern(
                f"""
                Changing `{table}.{column}` {what} {does} every row of `{table}` under ACCESS EXCLUSIVE, so reads
                and writes of `{table}` wait until the transaction ends.{read}
                """,
                remedy=_remedy(subject, old, context),
                about=about.column(table, column),
                basis=Basis.PARSED if doubt else None,
                severity=_severity(doubt, zone),
            )


def _remedy(changed: AlterColumnType, old: str | None, context: Context) -> tuple[str, ...]:
    table, column, new, value = changed.table, changed.column, changed.type, changed.using or None
    if value is not None and not re.search(rf"\b{re.escape(column)}\b", value, re.IGNORECASE):
        return ()  # no old value is kept: there is nothing to copy
    enum = _enum_swap(changed, old, context)
    if enum is not None:
        return enum
    zone = _time_zone(context)
    if value is None and zone is None and old is not None and types.depends_on_time_zone(old, new):
        return (
            f"# the values of {remedies.shown(table, column)} are read as times in this zone; in UTC no row is rewritten\n"
            + remedies.execute("SET LOCAL timezone = 'UTC'")
            + "\n"
            + remedies.execute(context.statement.sql),
        )
    return remedies.second_column(
        table,
        column,
        f"{column[:59]}_new",
        new,
        value,
        other_type=True,
        required=context.now.must_be_written(table, column),
        settings=[("timezone", zone if zone.startswith("'") else _literal(zone))] if zone else [],
        notes=_key_notes(changed, context),
    )


def _key_notes(changed: AlterColumnType, context: Context) -> tuple[str, ...]:
    """What else has the type of a key: its sequence, and the columns that refer to it."""
    table, column = changed.table, changed.column
    known, notes = context.now.column(table, column), []
    sequence = re.match(r"nextval\('(.+?)'", known.default or "") if known else None
    if sequence and types.canonical(changed.type) in types.LARGEST:
        notes.append(f"before it runs out: ALTER SEQUENCE {sequence[1]} AS {changed.type.lower()}")
    if column in context.now.primary_key(table):
        notes.append(
            f"the new column needs a unique index, built CONCURRENTLY, before it can be the key of {table}"
        )
    referring = [
        f"{other.name}.{each.columns[0]}"
        for other in context.now.catalogue().tables
        for each in other.constraints
        if each.kind == "foreign key" and each.referenced is not None and each.referenced.matches(table)
        if each.referenced_columns == (column,)
    ]
    if referring:
        notes.append(f"the same for what refers to it: {', '.join(sorted(referring))}")
    return tuple(notes)


def _enum_swap(changed: AlterColumnType, old: str | None, context: Context) -> tuple[str, ...] | None:
    """For an enum type that replaces another one: the labels that it has more, where it has all of
    the old ones. None where it is no such change; nothing where a label goes, which no way in between keeps.
    """
    made = next(
        (
            each
            for each, _ in context.same_revision()
            if isinstance(each, CreateEnum) and _same_type(each.type, changed.type, context)
        ),
        None,
    )
    # the type that it replaces may have another name by now, and its own belong to the new one
    start = context.story.before if context.story is not None else context.now
    known = start.column(changed.table, changed.column)
    before = names.read(known.type if known is not None else old or "")
    labels = start.labels(start.resolve(before)) if before else None
    if made is None or labels is None:
        return None
    if not set(labels) <= set(made.labels) or [each for each in made.labels if each in labels] != list(labels):
        return ()
    sql = f"ALTER TYPE {made.type.sql} ADD VALUE IF NOT EXISTS "
    added = []
    for position, label in enumerate(made.labels):
        if label not in labels:
            place = (
                f" AFTER {_literal(made.labels[position - 1])}" if position else f" BEFORE {_literal(labels[0])}"
            )
            added.append(remedies.execute(f"{sql}{_literal(label)}{place}"))
    return (remedies.outside_transaction("\n".join(added)),) if added else ()


def _same_type(name: Name, type_: str, context: Context) -> bool:
    read = names.read(type_)
    return read is not None and context.now.resolve(read).matches(context.now.resolve(name))


def _literal(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _severity(doubt: str, zone: bool) -> Severity:
    """In another time zone the table is rewritten, and every value becomes another moment."""
    if doubt:
        return Severity.WARNING if zone else Severity.NOTICE
    return RULE.severity


def _what(old: str | None, new: str) -> str:
    """From which type to which; a type that has got another name and left its own to a new one is not the same."""
    if old is None:
        return f"to `{new}`"
    one, other = names.read(old), names.read(new)
    if one is not None and other is not None and one.matches(other):
        return f"to the new type that is called `{other}` now"
    return f"from `{old}` to `{new}`"


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
    """What only the database knows, as a condition; empty if the table is known to be rewritten."""
    if context.statement.error:
        return ""
    if context.observed:
        rewritten = context.rewrote(changed.table)
        return "" if rewritten else "unless the session's time zone is UTC as in the rehearsal"
    if changed.using is None and old is not None and types.depends_on_time_zone(old, changed.type):
        return "" if _time_zone(context) else "unless the session's time zone is UTC"
    if changed.using is None and (old is None or not all(_known(each, context) for each in (old, changed.type))):
        return "unless both types have the same storage format"
    return ""


def _known(type_: str, context: Context) -> bool:
    """Whether no other type has its storage format: a built-in type, or an enum. A domain is stored as its base
    type.
    """
    if types.built_in(type_):
        return types.base(type_) != "citext"
    name = names.read(type_)
    return name is not None and context.now.labels(context.now.resolve(name)) is not None


def _time_zone(context: Context) -> str | None:
    """What an earlier statement of the deploy has set, if the text shows it."""
    found = None
    for operation, _ in context.earlier:
        match operation:
            case SetVariable(name=name, value=value) if name.lower() in {"timezone", "time zone"}:
                found = value
    return found


def _in_utc(context: Context) -> bool:
    """Whether the deploy itself sets the time zone to UTC."""
    return (_time_zone(context) or "").strip("'").upper() == "UTC"


def _rewrites(changed: AlterColumnType, old: str | None, context: Context) -> bool:
    if context.observed:
        # the server of the rehearsal runs in UTC, where nothing is rewritten; production's server may not
        elsewhere = old is not None and types.depends_on_time_zone(old, changed.type) and not _in_utc(context)
        return (context.rewrote(changed.table) and not _innocent(changed, old, context)) or elsewhere
    if changed.using is None and old is not None:
        if types.has_no_cast(old, changed.type):
            return False  # it fails
        if types.depends_on_time_zone(old, changed.type) and _in_utc(context):
            return False
        return not types.keeps_storage(old, changed.type)
    # an unknown type is most often a varchar that becomes text
    return not (changed.using is None and types.canonical(changed.type) in {"text", "character varying"})


def _innocent(changed: AlterColumnType, old: str | None, context: Context) -> bool:
    """Whether it is another action of the same statement that rewrites the table."""
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
        "where no old value is kept",
        given=USERS,
        upgrade="""
        op.alter_column("users", "age", type_=sa.Text(), postgresql_using="NULL")  # flagged
        """,
    ),
    Example(
        "of times, in a time zone that the revision sets",
        given="""
        op.execute("CREATE TABLE visits (id bigint PRIMARY KEY, at timestamp NOT NULL)")
        """,
        upgrade="""
        op.execute("SET LOCAL timezone = 'Europe/Berlin'")
        op.alter_column("visits", "at", type_=sa.DateTime(timezone=True))  # flagged
        """,
    ),
    Example(
        "of a key that others refer to",
        given="""
        op.execute("CREATE TABLE people (id serial PRIMARY KEY)")
        op.execute("CREATE TABLE pets (id bigint PRIMARY KEY, person_id integer REFERENCES people (id))")
        """,
        upgrade="""
        op.alter_column("people", "id", type_=sa.BigInteger())  # flagged
        """,
    ),
    Example(
        "an enum type replaced for one more label",
        given="""
        op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, mood mood NOT NULL)")
        """,
        upgrade="""
        op.execute("ALTER TYPE mood RENAME TO mood_old")
        op.execute("CREATE TYPE mood AS ENUM ('good', 'fair', 'bad')")
        op.execute("ALTER TABLE users ALTER COLUMN mood TYPE mood USING mood::text::mood")  # flagged
        op.execute("DROP TYPE mood_old")
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
