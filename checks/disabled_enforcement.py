"""
`session_replication_role = replica` while rows change: no trigger fires and no foreign key is checked.

## Why it hurts

For the session, PostgreSQL then acts as the apply process of a replica: every ordinary trigger is off, and the
triggers that enforce foreign keys are among them. A DELETE leaves behind the rows that refer to the deleted ones,
an INSERT may refer to rows that do not exist, ON DELETE CASCADE does nothing, and nothing checks any of it
afterwards. Only a superuser, or a role with SET on the parameter, may set it, so many managed services reject it.

## Do this instead

Write the rows in an order in which every constraint holds, or make the foreign key DEFERRABLE and defer it for the
transaction. If one trigger is in the way, disable that one by name, and enable it again in the same transaction.

## Not flagged

- A session in which only tables that the same deploy creates are written before the parameter is set back.

## References

- <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SESSION-REPLICATION-ROLE>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Delete,
    Example,
    Group,
    Insert,
    Merge,
    Name,
    Rule,
    SetVariable,
    Severity,
    Subject,
    Update,
    about,
    concern,
    listed,
)

RULE = Rule(
    id="disabled-enforcement",
    summary="rows are written while foreign keys and triggers are off for the session",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
)

_ROLE = "session_replication_role"


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case SetVariable(name=name, value=value) if name.lower() == _ROLE and _is_replica(value):
            written = _written_until_reset(context)
            if written:
                yield concern(
                    f"""
                    Under session_replication_role = replica no trigger fires and no foreign key is checked while rows of
                    {listed([f"`{table}`" for table in written])} change, so rows may be left that refer to nothing.
                    """,
                    about=about.table(written[0]),
                )


def _is_replica(value: str | None) -> bool:
    return value is not None and value.strip("'\"").lower() == "replica"


def _written_until_reset(context: Context) -> tuple[Name, ...]:
    """The existing tables whose rows change before the parameter is set back."""
    found: list[Name] = []
    for later, _ in context.later():
        match later:
            case SetVariable(name=name, value=value) if name.lower() == _ROLE and not _is_replica(value):
                break
            case Insert(table=Name() as table) | Update(table=table) | Delete(table=table) | Merge(table=table):
                if context.exists(table) and table not in found:
                    found.append(table)
    return tuple(found)


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")'

EXAMPLES = [
    Example(
        "rows that others may refer to are deleted",
        given=USERS,
        upgrade="""
        op.execute("SET LOCAL session_replication_role = replica")  # flagged
        op.execute("DELETE FROM users WHERE id = 1")
        op.execute("SET LOCAL session_replication_role = DEFAULT")
        """,
    ),
    Example(
        "never set back",
        given=USERS,
        upgrade="""
        op.execute("SET session_replication_role = 'replica'")  # flagged
        op.execute("UPDATE users SET name = 'a' WHERE id = 1")
        """,
    ),
    Example(
        "only for what the deploy creates",
        given=USERS,
        upgrade="""
        op.execute("CREATE TABLE teams (id bigint PRIMARY KEY)")
        op.execute("SET LOCAL session_replication_role = replica")
        op.execute("INSERT INTO teams VALUES (1)")
        op.execute("SET LOCAL session_replication_role = DEFAULT")
        op.execute("UPDATE users SET name = 'a' WHERE id = 1")
        """,
    ),
]
