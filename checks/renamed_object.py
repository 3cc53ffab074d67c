"""
A view, type, function, sequence or schema is renamed, and the running code still uses the old name.

## Why it hurts

Names are looked up when a statement runs. From the commit until the last process of the old version has stopped,
each query that names the view, calls the function, casts to the type or writes the schema's name fails. Moving
a table to another schema is a rename too, unless both schemas are in everybody's `search_path`.

## Do this instead

Create the object under its new name next to the old one, let the new code use it, and drop the old one one release
later. A view under the old name can replace a table or view that has moved.

## Not flagged

- Objects that the same deploy has created.
- A name that the same revision gives to another object of that kind, as when an enum type is replaced.
- As a warning only: a sequence that a default takes values from, which few statements name.
- Triggers, policies, rules, constraints and indexes: code does not name them.

## References

- <https://www.postgresql.org/docs/current/sql-altertype.html>
- <https://www.postgresql.org/docs/current/ddl-schemas.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    Name,
    RenameObject,
    Rule,
    SetSchema,
    Severity,
    Subject,
    about,
    concern,
    implications,
    quoted,
    remedies,
)

RULE = Rule(
    id="renamed-object",
    summary="the running code still uses the old name",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case RenameObject(kind=kind, object=name, new_name=new) if kind in _NAMED_BY_CODE:
            if not (_new(name, context) or _taken_again(name, context)):
                yield concern(
                    f"""
                    Renaming the {kind} `{name}` to `{new}` breaks every statement of the running code that names
                    it, from the commit until the last process of the old version has stopped.
                    """,
                    about=about.object_(kind, name),
                    severity=RULE.severity.lower if kind == "sequence" and _fills_a_column(name, context) else None,
                )
        case SetSchema(kind=kind, object=name, new_schema=schema) if kind in {*_NAMED_BY_CODE, "table"}:
            if not (_new(name, context) or _taken_again(name, context)):
                yield concern(
                    f"""
                    Moving the {kind} `{name}` to the schema `{schema}` breaks every statement of the running code
                    that does not look there for it.
                    """,
                    remedy=_with_a_view(kind, name, schema),
                    about=about.object_(kind, name),
                )


_NAMED_BY_CODE = frozenset(
    {"view", "materialized view", "type", "domain", "function", "procedure", "routine", "aggregate", "sequence", "schema",
     "foreign table", "attribute", "database"}
)  # fmt: skip


def _fills_a_column(sequence: Name, context: Context) -> bool:
    """Whether a default takes its values, which goes on under any name: few statements name such a sequence too."""
    called = re.compile(rf"""nextval\('(?:\w+\.)?"?{re.escape(sequence.name)}"?'""")
    return any(
        called.search(column.default or "") for table in context.now.tables.values() for column in table.columns
    )


def _new(name: Name, context: Context) -> bool:
    return context.is_new(name) or context.now.has_made(name)


def _taken_again(name: Name, context: Context) -> bool:
    """Whether the same revision creates another object under the old name."""
    return implications.makes((operation for operation, _ in context.later()), name)


def _with_a_view(kind: str, name: Name, schema: str) -> list[str]:
    if kind not in {"table", "view"}:
        return []
    moved = Name(name.name, schema)
    return [
        remedies.execute(f"ALTER {kind.upper()} {name.sql} SET SCHEMA {quoted(schema)}")
        + "\n"
        + remedies.execute(f"CREATE VIEW {name.sql} AS SELECT * FROM {moved.sql}")
    ]


VIEW = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
op.execute("CREATE VIEW people AS SELECT id FROM users")
"""

EXAMPLES = [
    Example(
        "a view in use",
        given=VIEW,
        upgrade="""
        op.execute("ALTER VIEW people RENAME TO persons")  # flagged
        """,
    ),
    Example(
        "a table that moves to another schema",
        given=f"""{VIEW}op.execute("CREATE SCHEMA crm")""",
        upgrade="""
        op.execute("ALTER TABLE users SET SCHEMA crm")  # flagged
        """,
    ),
    Example(
        "a view takes the old name at once",
        given=VIEW,
        upgrade="""
        op.execute("ALTER VIEW people RENAME TO persons")
        op.execute("CREATE VIEW people AS SELECT id FROM persons")
        """,
    ),
    Example(
        "a sequence that only fills a column",
        given='op.execute("CREATE TABLE users (id serial PRIMARY KEY)")',
        upgrade="""
        op.execute("ALTER SEQUENCE users_id_seq RENAME TO people_id_seq")  # flagged
        """,
    ),
]
