"""
The new type holds less than the old one: values are rejected, truncated or rounded.

## Why it hurts

A shorter `varchar`, fewer digits of a `numeric`, `bigint` to `integer`, a timestamp to a date: the first value that
does not fit stops the deploy, or is silently rounded. A database without such rows, as in tests, shows neither.

## Do this instead

Check in production which values do not fit. Add a CHECK that forbids new ones (NOT VALID, validated later), fix the
old ones in batches, and then keep the type: the CHECK enforces the same without a rewrite.

## Not flagged

- Columns that the same deploy has added.
- Changes that keep every value: wider `varchar`, `varchar` to `text`, more digits, `to_jsonb()` of a text.
- A text that a valid CHECK on its length keeps as short as the new type, or a list of texts that all mean true or false.
- Numbers that USING makes whole, such as cents, where all digits fit.
- As a warning only: numbers that become floating, and have more digits than these keep.
- The table rewrite: see `rewriting-type-change`.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DATA-TYPE>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AlterColumnType,
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Name,
    Rule,
    Severity,
    Subject,
    Update,
    about,
    concern,
    listed_values,
    refusals,
    types,
)

RULE = Rule(
    id="narrowing-type-change",
    summary="values that do not fit the new type stop the deploy or lose a part",
    severity=Severity.ERROR,
    group=Group.LOSING_DATA,
    lock=LockMode.ACCESS_EXCLUSIVE,
    replaces=frozenset({"failing-upgrade", "fails-on-legal-rows"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AlterColumnType(table=table, column=column, type=new) if not context.is_new_column(table, column):
            known = context.now.column(table, column)
            if subject.using is not None and (
                values := listed_values.made_null(table, column, subject.using, context)
            ):
                yield concern(
                    f"""
                    {listed_values.others_than(values, f"`{table}.{column}`")} becomes NULL: the CASE has no ELSE.
                    """,
                    severity=RULE.severity.lower,
                    about=about.column(table, column, "narrower"),
                )
                return
            if known is None or not types.narrows(known.type, new):
                return
            if (
                any(refusals(subject, context))
                or _makes_json(subject)
                or (_is_plain(subject) and _fits(table, column, new, context))
                or _keeps_digits(subject, known.type)
            ):
                return
            if any(each not in _DOES_NOT_FIT for each in _failures(context)):
                return
            cut = _is_plain(subject) and _is_cut(table, column, new, context)
            lower = cut or types.base(new) in _FLOATING
            yield concern(
                f"""
                `{table}.{column}` holds less as `{types.canonical(new)}` than as `{types.canonical(known.type)}`:
                {"an UPDATE before has cut what does not fit, and the rest of it is lost" if cut else _happens(known.type, new, subject.using)}.
                """,
                severity=RULE.severity.lower if lower else None,
                about=about.column(table, column, "narrower"),
                evidence={"from": known.type, "to": types.canonical(new)},
            )


def _failures(context: Context) -> Iterator[str]:
    """The SQLSTATEs with which the statement has failed, on any rows."""
    for each in context.story.passes if context.story is not None else ():
        for statement in each.statements:
            if statement.sqlstate is not None and statement.sql == context.statement.sql:
                yield statement.sqlstate
    if context.statement.sqlstate is not None:
        yield context.statement.sqlstate


def _happens(old: str, new: str, using: str | None) -> str:
    """What PostgreSQL does with a value that does not fit."""
    called = re.match(r"\s*\(*\s*(\w+)\s*\(", using or "")
    if called is not None and called[1].lower() not in {"cast", "case"}:
        return f"values that do not fit become what `{called[1]}()` makes of them, or stop the deploy"
    before, after = types.base(old), types.base(new)
    if after.startswith(("timestamp", "time ", "interval")) and before == after:
        return "PostgreSQL rounds every time to fewer digits"
    if before.startswith("timestamp"):
        return f"PostgreSQL keeps only the {'date' if after == 'date' else 'time of day'}"
    if after in _FLOATING and before not in {"text", "character varying", "double precision"}:
        return f"PostgreSQL rounds what has more than {6 if after == 'real' else 15} digits"
    rounds = after in _NUMBERS and before in {"numeric", "real", "double precision"}
    return f"values that do not fit stop the deploy or are {'rounded' if rounds else 'truncated'}"


_FLOATING = frozenset({"real", "double precision"})
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real"})


def _is_plain(change: AlterColumnType) -> bool:
    """Whether the value is only cast: without USING, or with one that says nothing else."""
    if change.using is None:
        return True
    written = re.sub(r'[()"\s]', "", change.using).lower()
    column, new = change.column.lower(), re.sub(r"[()\s]", "", change.type).lower()
    casts = {new, re.sub(r"[()\s]", "", types.canonical(change.type))}
    return written == column or any(
        written in {f"{column}::{each}", f"{column}::text::{each}", f"cast{column}as{each}"} for each in casts
    )


def _keeps_digits(change: AlterColumnType, old: str) -> bool:
    """Whether USING makes whole numbers, such as cents, of all digits, and all of them fit."""
    column, whole = re.escape(change.column.lower()), types.base(change.type)
    written = re.sub(r'[()"\s]', "", change.using or "").lower()
    given = re.fullmatch(r"numeric\((\d+)(?:,\s*(\d+))?\)", types.canonical(old))
    times = re.fullmatch(
        rf"(?:round|trunc|cast)*{column}\*(10*)(?:\.0*)?(?:::numeric)?(?:,0)?(?:::\w+|as\w+)?", written
    )
    if given is None or times is None or whole not in types.LARGEST:
        return False
    digits, scale, zeros = int(given[1]), int(given[2] or 0), len(times[1]) - 1
    return zeros >= scale and 10 ** (digits - scale + zeros) - 1 <= types.LARGEST[whole]


def _makes_json(change: AlterColumnType) -> bool:
    """Whether USING wraps the value as it is: each text is a JSON string."""
    column = re.escape(change.column)
    return bool(
        re.match(
            rf'\s*\(*(?:pg_catalog\.)?to_jsonb?\(\s*"?{column}"?(?:::text)?\s*\)', change.using or "", re.IGNORECASE
        )
    )


def _is_cut(table: Name, column: str, new: str, context: Context) -> bool:
    """Whether the revision has cut all longer values before."""
    length, name = re.search(r"\((\d+)\)", new), rf'"?{re.escape(column)}"?'
    cut = re.compile(
        rf"\bset\s+{name}\s*=\s*(?:left|right|substr|substring)\s*\(\s*{name}\s*,(?:\s*1\s*,)?\s*(?P<to>\d+)\s*\)"
        rf"\s*(?:;?\s*$|where\s+(?:char_|character_)?length\s*\(\s*{name}\s*\)\s*>\s*(?P<over>\d+)\s*;?\s*$)",
        re.IGNORECASE,
    )
    updates = (
        cut.search(statement.sql)
        for operation, statement in context.same_revision()
        if isinstance(operation, Update) and operation.table.matches(table)
    )
    return length is not None and any(
        found and int(found["to"]) <= int(length[1]) and int(found["over"] or 0) <= int(length[1])
        for found in updates
    )


def _fits(table: Name, column: str, new: str, context: Context) -> bool:
    """Whether a valid CHECK keeps out, or has kept out so far, what is longer than the new type."""
    length = re.search(r"\((\d+)\)", new)
    if length is None and types.base(new) != "boolean":
        return False
    name = re.escape(column)
    limit = re.compile(rf'\b(?:char_|character_)?length\(\(*"?{name}"?\)?(?:::text)?\)\s*(<=?)\s*(\d+)')
    for each in listed_values.held(table, column, context):
        if (
            each.kind != "check"
            or not each.valid
            or re.search(r"\b(?:OR|NOT|CASE)\b", each.definition, re.IGNORECASE)
        ):
            continue
        texts = listed_values.texts_of(each, column)
        if texts and all(_holds(new, length, text) for text in texts):
            return True
        limits = limit.findall(each.definition) if length is not None else []
        if length is not None and any(int(most) - (sign == "<") <= int(length[1]) for sign, most in limits):
            return True
    return False


def _holds(new: str, length: re.Match[str] | None, text: str) -> bool:
    if length is not None:
        return len(text) <= int(length[1])
    read = text.strip().lower()
    return types.base(new) == "boolean" and (
        read in {"on", "of", "off", "1", "0"} or any(read and each.startswith(read) for each in _TRUTHS)
    )


_TRUTHS = ("true", "false", "yes", "no")
"""Words that are read as a boolean, also if only their beginning is given."""


_DOES_NOT_FIT = frozenset({"22001", "22003", "22008", "22P02", "22007"})
"""SQLSTATEs for a value that the new type does not accept."""


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50), paid numeric(10, 2))")'

EXAMPLES = [
    Example(
        "a list of values that all fit",
        given="""
        op.execute("CREATE TABLE jobs (id int PRIMARY KEY, st varchar(20) NOT NULL CHECK (st IN ('new', 'in_progress')))")
        """,
        upgrade="""
        op.alter_column("jobs", "st", type_=sa.String(11))
        """,
    ),
    Example(
        "a list of values of which one does not fit",
        given="""
        op.execute("CREATE TABLE jobs (id int PRIMARY KEY, st varchar(20) NOT NULL CHECK (st IN ('new', 'in_progress')))")
        """,
        upgrade="""
        op.alter_column("jobs", "st", type_=sa.String(10))  # flagged
        """,
    ),
    Example(
        "an amount that becomes cents",
        given=USERS,
        upgrade="""
        op.alter_column("users", "paid", type_=sa.BigInteger(), postgresql_using="(paid * 100)::bigint")
        """,
    ),
    Example(
        "an amount that becomes cents that do not fit",
        given=USERS,
        upgrade="""
        op.alter_column("users", "paid", type_=sa.Integer(), postgresql_using="(paid * 100)::integer")  # flagged
        """,
    ),
    Example(
        "more digits than a floating number keeps",
        given='op.execute("CREATE TABLE rates (id bigint PRIMARY KEY, rate numeric(20, 6))")',
        upgrade="""
        op.execute("ALTER TABLE rates ALTER rate TYPE double precision")  # flagged
        """,
    ),
    Example(
        "no more digits than a floating number keeps",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ALTER paid TYPE double precision")
        """,
    ),
    Example(
        "words that all mean true or false",
        given="op.execute(\"CREATE TABLE jobs (id int PRIMARY KEY, done text CONSTRAINT known CHECK (done IN ('yes', 'no')))\")",
        upgrade="""
        op.execute("ALTER TABLE jobs DROP CONSTRAINT known, ALTER done TYPE boolean USING done::boolean")
        """,
    ),
    Example(
        "words of which one means neither",
        given="op.execute(\"CREATE TABLE jobs (id int PRIMARY KEY, done text CONSTRAINT known CHECK (done IN ('yes', 'never')))\")",
        upgrade="""
        op.execute("ALTER TABLE jobs DROP CONSTRAINT known, ALTER done TYPE boolean USING done::boolean")  # flagged
        """,
    ),
    Example(
        "a CASE that leaves out what it does not list",
        given='op.execute("CREATE TABLE jobs (id int PRIMARY KEY, st text)")',
        upgrade="""
        op.execute("CREATE TYPE st AS ENUM ('open', 'closed')")
        op.execute("ALTER TABLE jobs ALTER st TYPE st USING (CASE st WHEN 'o' THEN 'open' WHEN 'c' THEN 'closed' END)::st")  # flagged
        """,
    ),
    Example(
        "a CASE that lists all that a CHECK allows",
        given="op.execute(\"CREATE TABLE jobs (id int PRIMARY KEY, st text CONSTRAINT known CHECK (st IN ('o', 'c')))\")",
        upgrade="""
        op.drop_constraint("known", "jobs")
        op.execute("CREATE TYPE st AS ENUM ('open', 'closed')")
        op.execute("ALTER TABLE jobs ALTER st TYPE st USING (CASE st WHEN 'o' THEN 'open' WHEN 'c' THEN 'closed' END)::st")
        """,
    ),
    Example(
        "a shorter varchar",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", type_=sa.String(10))  # flagged
        """,
    ),
    Example(
        "fewer digits",
        given=USERS,
        upgrade="""
        op.alter_column("users", "paid", type_=sa.Numeric(10, 0))  # flagged
        """,
    ),
    Example(
        "times with fewer digits",
        given='op.execute("CREATE TABLE visits (id bigint PRIMARY KEY, at timestamp)")',
        upgrade="""
        op.execute("ALTER TABLE visits ALTER at TYPE timestamp(0)")  # flagged
        """,
    ),
    Example(
        "a longer varchar",
        given=USERS,
        upgrade="""
        op.alter_column("users", "name", type_=sa.String(100))
        """,
    ),
    Example(
        "texts that are cast to documents",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ALTER name TYPE jsonb USING name::jsonb")  # flagged
        """,
    ),
    Example(
        "texts that become strings in documents",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ALTER name TYPE jsonb USING to_jsonb(name)")
        """,
    ),
    Example(
        "a CHECK keeps it that short",
        given=f"""
        {USERS}
        op.create_check_constraint("short_name", "users", "length(name) <= 20")
        """,
        upgrade="""
        op.alter_column("users", "name", type_=sa.String(20))
        """,
    ),
    Example(
        "a CHECK allows longer ones",
        given=f"""
        {USERS}
        op.create_check_constraint("short_name", "users", "length(name) <= 20 OR paid > 0")
        """,
        upgrade="""
        op.alter_column("users", "name", type_=sa.String(20))  # flagged
        """,
    ),
    Example(
        "texts that a function reads",
        given=f"""
        {USERS}
        op.execute("CREATE FUNCTION read(t text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'")
        """,
        upgrade="""
        op.execute("ALTER TABLE users ALTER name TYPE jsonb USING read(name)")  # flagged
        """,
    ),
    Example(
        "a list of values that keeps it that short",
        given="op.execute(\"CREATE TABLE runs (id int PRIMARY KEY, status varchar(20) CONSTRAINT known CHECK (status IN ('new', 'over')))\")",
        upgrade="""
        op.alter_column("runs", "status", type_=sa.String(4))
        """,
    ),
    Example(
        "a list of values, one of which is too long",
        given="op.execute(\"CREATE TABLE runs (id int PRIMARY KEY, status varchar(20) CONSTRAINT known CHECK (status IN ('new', 'over')))\")",
        upgrade="""
        op.alter_column("runs", "status", type_=sa.String(3))  # flagged
        """,
    ),
    Example(
        "a CHECK that is dropped in the same transaction",
        given="op.execute(\"CREATE TABLE runs (id int PRIMARY KEY, status varchar(20) CONSTRAINT known CHECK (status IN ('new', 'over')))\")",
        upgrade="""
        op.drop_constraint("known", "runs")
        op.alter_column("runs", "status", type_=sa.String(4))
        """,
    ),
    Example(
        "a CHECK that is dropped before the rows are changed",
        given="op.execute(\"CREATE TABLE runs (id int PRIMARY KEY, status varchar(20) CONSTRAINT known CHECK (status IN ('new', 'over')))\")",
        upgrade="""
        op.drop_constraint("known", "runs")
        op.execute("UPDATE runs SET status = \'finished\' WHERE status = \'over\'")
        op.alter_column("runs", "status", type_=sa.String(4))  # flagged
        """,
    ),
    Example(
        "values that were cut before",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET name = left(name, 10) WHERE length(name) > 10")
        op.alter_column("users", "name", type_=sa.String(10))  # flagged
        """,
    ),
]
