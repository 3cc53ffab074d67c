"""
CASCADE drops objects that the statement does not name.

## Why it hurts

`DROP ... CASCADE` also drops everything that depends on the object: views that read it, foreign keys of other
tables that refer to it, columns of that type. None of them is in the revision, so no reviewer sees them, and a
downgrade that recreates the one object does not recreate the others. Which ones they are depends on the database:
production may have a view that no other database has.

## Do this instead

Leave out CASCADE. PostgreSQL then rejects the drop and lists the dependent objects; drop or change these
explicitly.

## Not flagged

- CASCADE if nothing depended on the object on the server.
- Dependent objects that the same deploy has created.
- Views and foreign keys that a later statement of the same revision creates again under the same name.
- `DROP SCHEMA ... CASCADE` and `TRUNCATE ... CASCADE`: see `dropped-schema` and `truncated-table`.

## References

- <https://www.postgresql.org/docs/current/ddl-depend.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddForeignKey,
    Concern,
    Context,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropObject,
    DropTable,
    DropView,
    Example,
    Group,
    Name,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    implications,
)

RULE = Rule(
    id="cascading-drop",
    summary="objects that nobody named are dropped as well",
    severity=Severity.ERROR,
    group=Group.LOSING_DATA,
    replaces=frozenset({"dropped-object"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropObject(kind="schema" | "database"):
            return
        case (
            DropTable(table=name, cascade=True)
            | DropView(view=name, cascade=True)
            | DropIndex(index=name, cascade=True)
            | DropColumn(table=name, cascade=True)
            | DropConstraint(table=name, cascade=True)
            | DropObject(object=name, cascade=True)
        ):
            gone = [each for each in _gone(context) if not (_new(each, context) or _made_again(each, context))]
            if context.observed and not gone:
                return
            what = _what(subject, name)
            if context.is_new(name) and not gone:
                return
            with_it = ", ".join(gone) if gone else "everything that depends on it in production"
            yield concern(
                f"Dropping {what} with CASCADE also drops what no statement names: {with_it}.",
                about=about.other("cascade", str(name), what),
                severity=context.certainty(RULE.severity),
                evidence={"dropped": gone},
            )


def _gone(context: Context) -> list[str]:
    """What PostgreSQL reports as dropped, in its own words."""
    said = context.observation.messages if context.observation else ()
    found = [each for message in said for each in re.findall(r"drop cascades to (.+)", message)]
    return [each for each in dict.fromkeys(found) if not re.fullmatch(r"\d+ other objects?", each)] or found


def _new(gone: str, context: Context) -> bool:
    """Whether the object, or the table that it is part of, was created by the same deploy."""
    name = gone.split(" ")[-1].replace('"', "")
    schema, _, last = name.rpartition(".")
    named = Name(last, schema or None)
    return context.now.has_made(named) or context.now.is_new(named)


def _made_again(gone: str, context: Context) -> bool:
    """Whether a later statement of the revision creates a view, or adds a constraint, of that name."""
    view = re.fullmatch(r"(?:materialized )?view (\S+)", gone)
    if view is not None:
        return implications.makes((operation for operation, _ in context.later()), Name.told(view[1]))
    constraint = re.fullmatch(r"constraint (\S+) on table (\S+)", gone)
    if constraint is None:
        return False
    name, table = constraint[1].strip('"'), Name.told(constraint[2])
    return any(
        isinstance(operation, AddForeignKey) and operation.name == name and operation.table.matches(table)
        for operation, _ in context.later()
    )


def _what(
    operation: DropTable | DropView | DropIndex | DropColumn | DropConstraint | DropObject, name: Name
) -> str:
    match operation:
        case DropColumn(column=column):
            return f"`{name}.{column}`"
        case DropConstraint(name=constraint):
            return f"the constraint `{constraint}` of `{name}`"
        case DropObject(kind="owned"):
            return f"what `{name}` owns"
        case DropObject(kind=kind):
            return f"the {kind} `{name}`"
        case DropView():
            return f"the view `{name}`"
    return f"`{name}`"


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "a type, and the columns that have it",
        given="""
        op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        op.execute("CREATE TABLE users (id bigint PRIMARY KEY, mood mood)")
        """,
        upgrade="""
        op.execute("DROP TYPE mood CASCADE")  # flagged
        """,
    ),
    Example(
        "a column, and two views",
        given=f"""
        {USERS}
        op.execute("CREATE VIEW names AS SELECT name FROM users")
        op.execute("CREATE VIEW more_names AS SELECT name FROM users")
        """,
        upgrade="""
        op.execute("ALTER TABLE users DROP COLUMN name CASCADE")  # flagged
        """,
    ),
    Example(
        "a view over another, one of which is created again",
        given=f"""
        {USERS}
        op.execute("CREATE VIEW names AS SELECT name FROM users")
        op.execute("CREATE VIEW short_names AS SELECT left(name, 3) AS name FROM names")
        """,
        upgrade="""
        op.execute("DROP VIEW names CASCADE")  # flagged
        op.execute("CREATE VIEW names AS SELECT name, id FROM users")
        """,
    ),
    Example(
        "a view over another, both of which are created again",
        given=f"""
        {USERS}
        op.execute("CREATE VIEW names AS SELECT name FROM users")
        op.execute("CREATE VIEW short_names AS SELECT left(name, 3) AS name FROM names")
        """,
        upgrade="""
        op.execute("DROP VIEW names CASCADE")
        op.execute("CREATE VIEW names AS SELECT name, id FROM users")
        op.execute("CREATE VIEW short_names AS SELECT left(name, 3) AS name FROM names")
        """,
    ),
    Example(
        "nothing depends on it",
        given="""
        op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        """,
        upgrade="""
        op.execute("DROP TYPE mood CASCADE")
        """,
    ),
]
