"""
The running code does not know the new label and cannot read rows that have it.

## Why it hurts

SQLAlchemy's Enum raises a LookupError for an unknown label. As soon as the new code writes the first row with the
new value, the old code fails to read that row.

## Do this instead

Deploy code that can read the new value first. Write it only when no older code is running.

## Not flagged

- Types that the same deploy has created.

## References

- <https://www.postgresql.org/docs/current/sql-altertype.html>
- <https://docs.sqlalchemy.org/en/20/core/type_basics.html#sqlalchemy.types.Enum>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import AddEnumValue, Concern, Context, Example, Group, Rule, Severity, Subject, about, concern

RULE = Rule(
    id="new-enum-value",
    summary="the running code cannot read rows that have the new value",
    severity=Severity.NOTICE,
    group=Group.BREAKING_CODE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AddEnumValue(type=type_, value=value) if (
            not context.now.has_made(type_) and not context.statement.error
        ):
            if value in (context.now.labels(type_) or ()):
                return
            yield concern(
                f"The running code cannot read rows with the new value `{value}` of `{type_}`.",
                about=about.type_(type_, value),
            )


MOOD = """op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")"""

EXAMPLES = [
    Example(
        "of a type in use",
        given=MOOD,
        upgrade="""
        op.execute("ALTER TYPE mood ADD VALUE 'sad'")  # flagged
        """,
    ),
    Example(
        "of a type of the same revision",
        upgrade=f"""
        {MOOD}
        op.execute("ALTER TYPE mood ADD VALUE 'sad'")
        """,
    ),
]
