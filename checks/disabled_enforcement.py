"""
What held for the rows is off: triggers and foreign keys of a session, a constraint, or row security.

## Why it hurts

Under `session_replication_role = replica`, PostgreSQL acts as the apply process of a replica: every ordinary trigger is off, and the
triggers that enforce foreign keys are among them. A DELETE leaves behind the rows that refer to the deleted ones,
an INSERT may refer to rows that do not exist, ON DELETE CASCADE does nothing, and nothing checks any of it
afterwards. Only a superuser, or a role with SET on the parameter, may set it, so many managed services reject it.

A constraint that becomes NOT ENFORCED is only written down: new rows may break it, and nothing says so. Without row
security, policies stay and do nothing: each role that may read the table reads the rows of all.

## Do this instead

Write the rows in an order in which every constraint holds, or make the foreign key DEFERRABLE and defer it for the
transaction. If one trigger is in the way, disable that one by name, and enable it again in the same transaction.

## Not flagged

- A session in which only tables that the same deploy creates are written before the parameter is set back.
- A constraint that the same revision enforces again.
- Row security that the same revision switches on again, and `NO FORCE`, which only the owner notices.

## References

- <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SESSION-REPLICATION-ROLE>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AlterConstraint,
    Basis,
    Concern,
    Context,
    Delete,
    Example,
    Group,
    Insert,
    Merge,
    Name,
    RowSecurity,
    Rule,
    SetVariable,
    Severity,
    Story,
    Subject,
    Update,
    about,
    cause_of,
    concern,
    listed,
    place_of,
)

RULE = Rule(
    id="disabled-enforcement",
    summary="foreign keys, triggers or row security are off",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
)

_ROLE = "session_replication_role"


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story():
            yield from _shown(subject, context)
        case AlterConstraint(table=table, name=name, enforced=False) if context.exists(table) and not any(
            isinstance(each, AlterConstraint) and each.name == name and each.enforced for each, _ in context.later()
        ):
            yield concern(
                f"`{name}` of `{table}` is not enforced any more: rows that break it are accepted.",
                about=about.constraint(table, name),
                severity=Severity.NOTICE,
            )
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


def _shown(story: Story, context: Context) -> Iterator[Concern]:
    """Tables of which a role sees more rows because row security is off."""
    after = context.recording.after(story.revision.id)
    found = [each for each in (after.visible if after is not None else ()) if each.before < each.after]
    for table in dict.fromkeys(each.table for each in found):
        step = cause_of(story, table, wanted=lambda o: isinstance(o, RowSecurity), named_only=True)
        if step is None or not isinstance(step.operation, RowSecurity) or step.operation.action != "disable":
            continue
        seen = max((each for each in found if each.table == table), key=lambda each: each.role == "application")
        who = "a role that does not own it" if seen.role == "application" else "its owner"
        yield concern(
            f"""
            Without row security on `{table}`, {who} sees {seen.after:,} rows in the rehearsal instead of {seen.before:,}:
            its policies do nothing.
            """,
            about=about.table(table, "row security"),
            severity=Severity.NOTICE,
            basis=Basis.OBSERVED,
            location=place_of(step),
            evidence={"role": seen.role, "before": seen.before, "after": seen.after},
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

SECURED = """
op.execute("CREATE TABLE notes (id bigint PRIMARY KEY, tenant int)")
op.execute("ALTER TABLE notes ENABLE ROW LEVEL SECURITY")
op.execute("CREATE POLICY own ON notes USING (tenant = 1)")
"""

EXAMPLES = [
    Example(
        "row security is off",
        given=SECURED,
        upgrade="""
        op.execute("ALTER TABLE notes DISABLE ROW LEVEL SECURITY")  # flagged
        """,
    ),
    Example(
        "row security is off for a change of rows",
        given=SECURED,
        upgrade="""
        op.execute("ALTER TABLE notes DISABLE ROW LEVEL SECURITY")
        op.execute("UPDATE notes SET tenant = 2 WHERE id = 2")
        op.execute("ALTER TABLE notes ENABLE ROW LEVEL SECURITY")
        """,
    ),
    Example(
        "a foreign key that is only written down",
        since=18,
        given=USERS
        + """
op.execute("CREATE TABLE notes (id bigint PRIMARY KEY, by bigint CONSTRAINT fk REFERENCES users)")""",
        upgrade="""
        op.execute("ALTER TABLE notes ALTER CONSTRAINT fk NOT ENFORCED")  # flagged
        """,
    ),
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
