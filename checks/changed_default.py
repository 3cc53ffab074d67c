"""
Rows get a different value than before if the code omits the column.

## Why it hurts

While the migration is deployed two versions of the code run. Both now get the new default, and their rows differ
from earlier ones, although the code that wrote them is the same.

A generated column that becomes an ordinary one is worse: no code could write it, so all code leaves it out. New rows
have NULL there, and an UPDATE no longer changes it.

A default that is a new label of an enum is worse: SQLAlchemy's Enum raises a LookupError when the running code reads
a row that it has written itself.

## Do this instead

Let the new code write the value explicitly, and change the default when no old code is running. Before DROP EXPRESSION, create a trigger that computes the same.

## Not flagged

- A first default on a column that had none.
- The same default in another spelling, and defaults that only move a sequence.
- Columns that the same deploy has added.
- DROP EXPRESSION in a revision that creates a trigger on the table, or drops the column.

## References

- <https://www.postgresql.org/docs/current/ddl-default.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    CreateObject,
    DropColumn,
    DropExpression,
    Example,
    Group,
    Name,
    Rule,
    SetDefault,
    Severity,
    Subject,
    about,
    concern,
    types,
)

RULE = Rule(
    id="changed-default",
    summary="the running code writes a different value from now on",
    severity=Severity.NOTICE,
    group=Group.BREAKING_CODE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case SetDefault(table=table, column=column, default=new) if not context.is_new_column(table, column):
            known = context.was(table, column)
            if known is None or known.default is None:
                return
            if _value(known.default, known.type) == _value(new, known.type):
                return
            if {known.default.lower(), new.strip().lower()} <= types.START_OF_TRANSACTION:
                return
            labels = context.before.labels(Name.told(known.type))
            label = _LABEL.match(new)
            if labels is not None and label is not None and label[1] not in labels:
                yield concern(
                    f"""
                    INSERTs of the running code that leave `{table}.{column}` out write `{label[1]}` from now on, a new
                    value of `{known.type}` that it does not know: SQLAlchemy's Enum cannot read such a row.
                    """,
                    about=about.column(table, column, "default"),
                    severity=Severity.WARNING,
                )
                return
            yield concern(
                f"The default of `{table}.{column}` changes from `{known.default}` to `{new}`, for the running code too.",
                about=about.column(table, column, "default"),
            )
        case DropExpression(table=table, column=column) if not context.is_new_column(table, column):
            if any(_goes_on(other, table, column) for other, _ in (*context.same_revision(), *context.later())):
                return
            yield concern(
                f"""
                From now on nothing computes `{table}.{column}`: the running code could not write it, so its new rows lack
                the value, and its UPDATEs leave an old one.
                """,
                about=about.column(table, column, "default"),
                severity=Severity.WARNING,
            )


_LABEL = re.compile(r"\s*'([^']+)'")


def _goes_on(operation: object, table: Name, column: str) -> bool:
    """Whether the operation may fill the column, or drops it."""
    match operation:
        case CreateObject(kind="trigger", table=Name() as on):
            return on.matches(table)
        case DropColumn(table=on, column=name):
            return on.matches(table) and name == column
    return False


def _bare(default: str) -> str:
    """Without casts, parentheses and case, where PostgreSQL's spelling differs from the user's."""
    return re.sub(r"::[\w .\"]+(\(\d+\))?(\[\])?|[()\s]", "", default).lower()


def _value(default: str, type_: str) -> str:
    """A constant as PostgreSQL reads it: `server_default="1"` is `'1'`, which is 1 to a number."""
    bare = _bare(default)
    found = re.fullmatch(r"'([^']*)'", bare)
    if found is None or types.base(type_) not in _UNQUOTED:
        return bare
    return _BOOLEANS.get(found[1], found[1]) if types.base(type_) == "boolean" else found[1]


_UNQUOTED = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean"})
_BOOLEANS = {
    "t": "true",
    "1": "true",
    "on": "true",
    "yes": "true",
    "f": "false",
    "0": "false",
    "off": "false",
    "no": "false",
}


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, mood text DEFAULT 'good', age int)")"""

EXAMPLES = [
    Example(
        "another value",
        given=USERS,
        upgrade="""
        op.alter_column("users", "mood", server_default="bad")  # flagged
        """,
    ),
    Example(
        "a column that is not computed any more",
        given='op.execute("CREATE TABLE sizes (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED)")',
        upgrade="""
        op.execute("ALTER TABLE sizes ALTER twice DROP EXPRESSION")  # flagged
        """,
    ),
    Example(
        "a column that a trigger computes from now on",
        given='op.execute("CREATE TABLE sizes (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED)")',
        upgrade="""
        op.execute("CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.twice = NEW.a * 2; RETURN NEW; END'")
        op.execute("ALTER TABLE sizes ALTER twice DROP EXPRESSION")
        op.execute("CREATE TRIGGER twice BEFORE INSERT OR UPDATE ON sizes FOR EACH ROW EXECUTE FUNCTION twice()")
        """,
    ),
    Example(
        "a first default, and the same once more",
        given=USERS,
        upgrade="""
        op.alter_column("users", "age", server_default="0")
        op.alter_column("users", "mood", server_default="good")
        """,
    ),
    Example(
        "the same number and truth in quotes",
        given='op.execute("CREATE TABLE users (id bigint PRIMARY KEY, age int DEFAULT 1, active bool DEFAULT true)")',
        upgrade="""
        op.alter_column("users", "age", server_default="1")
        op.alter_column("users", "active", server_default="t")
        """,
    ),
    Example(
        "the start of the transaction in another spelling",
        given='op.execute("CREATE TABLE users (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")',
        upgrade="""
        op.alter_column("users", "at", server_default=sa.text("CURRENT_TIMESTAMP"))
        """,
    ),
    Example(
        "another moment",
        given='op.execute("CREATE TABLE users (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")',
        upgrade="""
        op.alter_column("users", "at", server_default=sa.text("clock_timestamp()"))  # flagged
        """,
    ),
    Example(
        "another number",
        given='op.execute("CREATE TABLE users (id bigint PRIMARY KEY, age int DEFAULT 1)")',
        upgrade="""
        op.alter_column("users", "age", server_default="2")  # flagged
        """,
    ),
    Example(
        "a label that the running code does not know",
        given="""
        op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, mood mood DEFAULT 'good')")
        """,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad'")
        op.alter_column("users", "mood", server_default="sad")  # flagged
        """,
    ),
]
