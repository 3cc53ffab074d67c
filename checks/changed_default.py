"""
Rows get a different value than before if the code omits the column.

## Why it hurts

While the migration is deployed two versions of the code run. Both now get the new default, and their rows differ
from earlier ones, although the code that wrote them is the same.

## Do this instead

Let the new code write the value explicitly, and change the default when no old code is running.

## Not flagged

- A first default on a column that had none.
- The same default in another spelling, and defaults that only move a sequence.
- Columns that the same deploy has added.

## References

- <https://www.postgresql.org/docs/current/ddl-default.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import Concern, Context, Example, Group, Rule, SetDefault, Severity, Subject, about, concern

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
            if known is None or known.default is None or _bare(known.default) == _bare(new):
                return
            yield concern(
                f"The default of `{table}.{column}` changes from `{known.default}` to `{new}`, for the running code too.",
                about=about.column(table, column, "default"),
            )


def _bare(default: str) -> str:
    """Without casts, parentheses and case, where PostgreSQL's spelling differs from the user's."""
    return re.sub(r"::[\w .\"]+(\(\d+\))?(\[\])?|[()\s]", "", default).lower()


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
        "a first default, and the same once more",
        given=USERS,
        upgrade="""
        op.alter_column("users", "age", server_default="0")
        op.alter_column("users", "mood", server_default="good")
        """,
    ),
]
