"""
Triggers are disabled: foreign keys and the application's own rules are not enforced.

## Why it hurts

`DISABLE TRIGGER ALL` also disables the triggers that enforce foreign keys. Rows written until they are enabled
again, by anybody, are not checked, neither then nor afterwards. The statement takes SHARE ROW
EXCLUSIVE, so writes of the table wait until the transaction ends.

## Do this instead

Write the rows in an order in which every constraint holds, or make the foreign key DEFERRABLE and defer it for the
transaction. If a trigger must be disabled for a change of rows, name it, and enable it again in the same
transaction: others then never see it disabled.

## Not flagged

- A trigger that is named, and enabled again in the same revision. `DISABLE TRIGGER USER` too, because it leaves the
  foreign keys enforced.
- Tables that the same deploy creates.

## References

- <https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-DISABLE-ENABLE-TRIGGER>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    LockMode,
    Rule,
    SetTrigger,
    Severity,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="disabled-trigger",
    summary="rows are written without being checked by foreign keys and triggers",
    severity=Severity.WARNING,
    group=Group.LOCKING,
    lock=LockMode.SHARE_ROW_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case SetTrigger(table=table, enabled=False, name=name) if context.exists(table):
            again = any(
                isinstance(later, SetTrigger)
                and later.enabled
                and later.table.matches(table)
                and later.name.lower() in {name.lower(), "all"}
                for later, _ in context.later()
            )
            if again and name.lower() != "all":
                return
            what = {"all": "all triggers, foreign keys among them,", "user": "all triggers of the application"}.get(
                name.lower(), f"trigger `{name}`"
            )
            until = "until they are enabled again" if again else "and nothing enables them again"
            yield concern(
                f"""
                Disabling {what} on `{table}` allows unchecked rows, {until}; SHARE ROW EXCLUSIVE
                makes writes of `{table}` wait until the transaction ends.
                """,
                about=about.table(table),
            )


USERS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")
op.execute(
    "CREATE FUNCTION trim_name() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN NEW.name = trim(NEW.name); RETURN NEW; END'"
)
op.execute("CREATE TRIGGER trim BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION trim_name()")
"""

EXAMPLES = [
    Example(
        "all of them",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users DISABLE TRIGGER ALL")  # flagged
        op.execute("UPDATE users SET name = 'a' WHERE id = 1")
        op.execute("ALTER TABLE users ENABLE TRIGGER ALL")
        """,
    ),
    Example(
        "one, and never on again",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users DISABLE TRIGGER trim")  # flagged
        """,
    ),
    Example(
        "one, for a change of rows",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users DISABLE TRIGGER trim")
        op.execute("UPDATE users SET name = 'a' WHERE id = 1")
        op.execute("ALTER TABLE users ENABLE TRIGGER trim")
        """,
    ),
    Example(
        "those of the application, for a change of rows",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users DISABLE TRIGGER USER")
        op.execute("UPDATE users SET name = 'a' WHERE id = 1")
        op.execute("ALTER TABLE users ENABLE TRIGGER USER")
        """,
    ),
    Example(
        "those of the application, of which only one is on again",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users DISABLE TRIGGER USER")  # flagged
        op.execute("UPDATE users SET name = 'a' WHERE id = 1")
        op.execute("ALTER TABLE users ENABLE TRIGGER trim")
        """,
    ),
]
