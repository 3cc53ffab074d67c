"""
Row level security is enabled without a policy, so nobody sees a row.

## Why it hurts

From the commit on every role that does not own the table sees no row and can write none: with no policy, PostgreSQL
denies by default, without an error. Tests that run as the owner, like most code in development, do not notice.

## Do this instead

Create the policies in the same transaction, before enabling row level security.

## Not flagged

- A table that already has a policy, or gets one in the same revision.
- Tables that the same deploy has created: nobody has rows in them.

## References

- <https://www.postgresql.org/docs/current/ddl-rowsecurity.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Call,
    Concern,
    Context,
    CreateObject,
    DoBlock,
    Example,
    Group,
    LockMode,
    Name,
    RowSecurity,
    Rule,
    Severity,
    Subject,
    Unrecognized,
    about,
    concern,
)

RULE = Rule(
    id="row-security-without-policy",
    summary="no role except the owner sees any row",
    severity=Severity.WARNING,
    group=Group.BREAKING_CODE,
    lock=LockMode.ACCESS_EXCLUSIVE,
    replaces=frozenset({"hidden-rows"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case RowSecurity(table=table, action="enable") if context.exists(table):
            known = context.now.table(table)
            if known is not None and known.policies:
                return
            around = (*context.earlier, *context.later())
            if any(_policy_on(operation, table) for operation, _ in around):
                return
            forced = any(
                isinstance(o, RowSecurity) and o.action == "force" and o.table.matches(table) for o, _ in around
            )
            who = "every role, including the owner" if forced else "every role except the owner"
            yield concern(
                f"Row level security without a policy hides all rows of `{table}` from {who}.",
                about=about.table(table, "row security"),
            )


def _policy_on(operation: object, table: Name) -> bool:
    match operation:
        case CreateObject(kind="policy", table=Name() as on):
            return on.matches(table)
        case DoBlock() | Call() | Unrecognized():
            return True  # it may create one, which the text does not show
    return False


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")"""

EXAMPLES = [
    Example(
        "no policy",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ENABLE ROW LEVEL SECURITY")  # flagged
        """,
    ),
    Example(
        "with a policy",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
        op.execute("CREATE POLICY everybody ON users USING (true)")
        """,
    ),
    Example(
        "with a policy that was there",
        given=f"""
        {USERS}
        op.execute("CREATE POLICY everybody ON users USING (true)")
        """,
        upgrade="""
        op.execute("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
        """,
    ),
]
