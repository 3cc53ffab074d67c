"""
An enum value is renamed, and the running code still sends and expects the old label.

## Why it hurts

`ALTER TYPE ... RENAME VALUE` changes every row at once. The old code then sends a label that no longer
exists (`invalid input value for enum`), and cannot read the new one: SQLAlchemy raises a LookupError for a label
that its Enum does not have.

## Do this instead

Add the new label next to the old one, in a separate revision; deploy code that reads both and writes the new one;
then change the rows in batches. The old label stays in the type and does no harm.

## Not flagged

- Types that the same deploy has created.

## References

- <https://www.postgresql.org/docs/current/sql-altertype.html>
- <https://docs.sqlalchemy.org/en/20/core/type_basics.html#sqlalchemy.types.Enum>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    Example,
    Group,
    RenameEnumValue,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    remedies,
)

RULE = Rule(
    id="renamed-enum-value",
    summary="the running code still sends the old label, and cannot read the new one",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case RenameEnumValue(type=type_, value=old, new_value=new) if not context.now.has_made(type_):
            yield concern(
                f"""
                Renaming the value `{old}` of `{type_}` to `{new}` breaks the running code, which still sends
                `{old}` and cannot read `{new}`.
                """,
                remedy=[
                    remedies.outside_transaction(
                        remedies.execute(f"ALTER TYPE {type_.sql} ADD VALUE IF NOT EXISTS {_literal(new)}")
                    )
                ],
                about=about.type_(type_, old),
            )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


MOOD = """op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")"""

EXAMPLES = [
    Example(
        "of a type in use",
        given=MOOD,
        upgrade="""
        op.execute("ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'")  # flagged
        """,
    ),
    Example(
        "of a type of the same revision",
        upgrade=f"""
        {MOOD}
        op.execute("ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'")
        """,
    ),
    Example(
        "added beside it",
        given=MOOD,
        upgrade="""
        op.execute("ALTER TYPE mood ADD VALUE 'sad'")
        """,
    ),
]
