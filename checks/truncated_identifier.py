"""
PostgreSQL truncates names to 63 bytes, without an error.

## Why it hurts

The object gets a different name from the one in the revision: a later `drop_constraint` with the full name works by
luck or not at all, two long names with the same prefix clash, and autogenerate keeps reporting a difference.

## Do this instead

Use a shorter name, or a naming convention, whose names SQLAlchemy shortens itself.

## Not flagged

- Names that SQLAlchemy has shortened before sending them.

## References

- <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>
- <https://alembic.sqlalchemy.org/en/latest/naming.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    Rule,
    Severity,
    Subject,
    Understood,
    Unrecognized,
    about,
    concern,
)

RULE = Rule(
    id="truncated-identifier",
    summary="the object gets a different name from the one in the revision",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Understood(statement=statement, operations=operations):
            said = statement.observation.messages if statement.observation else ()
            cut = [
                name for message in said for name in re.findall(r'identifier "(.+)" will be truncated to', message)
            ]
            if (
                not cut
                and statement.observation is None
                and not all(isinstance(o, Unrecognized) for o in operations)
            ):
                cut = _too_long(statement.sql)
            for name in dict.fromkeys(cut):
                kept = name.encode()[:63].decode(errors="ignore")
                yield concern(
                    f"PostgreSQL truncates the name `{name}` to `{kept}`, without an error.",
                    about=about.other("name", kept),
                )


def _too_long(sql: str) -> list[str]:
    """Names longer than 63 bytes in a text that no server has parsed; strings and comments are ignored."""
    bare = re.sub(r"(\$\w*\$).*?\1|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", " ", sql, flags=re.DOTALL)
    return [
        name
        for quoted, plain in re.findall(r'"((?:[^"]|"")+)"|([^\W\d]\w{63,})', bare)
        for name in [quoted or plain]
        if len(name.encode()) > 63
    ]


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(10))")"""
LONG = "users_are_known_by_their_names_and_by_the_age_that_they_had_when_they_came"

EXAMPLES = [
    Example(
        "of 74 bytes",
        given=USERS,
        upgrade=f"""
        op.execute("ALTER TABLE users ADD CONSTRAINT {LONG} CHECK (id > 0) NOT VALID")  # flagged
        """,
    ),
    Example(
        "of 63 bytes",
        given=USERS,
        upgrade=f"""
        op.execute("ALTER TABLE users ADD CONSTRAINT {LONG[:63]} CHECK (id > 0) NOT VALID")
        """,
    ),
]
