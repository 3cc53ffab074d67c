"""
A CHECK lists a value that is longer than its column, so that no row can ever have it.

## Why it hurts

`sa.Enum(..., native_enum=False)` is a `VARCHAR` of the longest label and a CHECK. Autogenerate sees neither when a label is
added. Who writes the new CHECK by hand and forgets the length gets a value that the constraint allows and the column
rejects: the first INSERT of the new code fails with `value too long for type character varying`.

## Do this instead

Widen the column in the same revision: a longer `VARCHAR` is a change of the catalogue only.

## Not flagged

- Values that the column holds at the end of the revision.

## References

- <https://docs.sqlalchemy.org/en/20/core/type_basics.html#sqlalchemy.types.Enum.params.native_enum>
- <https://www.postgresql.org/docs/current/datatype-character.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    Basis,
    Concern,
    Context,
    Direction,
    Example,
    Group,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    concern,
    listed,
    place_of,
    types,
)

RULE = Rule(
    id="choice-too-long",
    summary="no row can have a value that the CHECK allows",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)

_LIST = re.compile(
    r"""["(]*\b(?P<column>\w+)"?\)?\s*(?:::\s*\w+)?\s*(?:\bIN\s*\(|=\s*ANY\s*\(+\s*ARRAY\s*\[)(?P<values>[^\])]*)""",
    re.IGNORECASE,
)
_TEXT = re.compile(r"'((?:[^']|'')*)'")
_LENGTH = re.compile(r"\((\d+)\)\s*$")


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    if not isinstance(subject, Story) or context.direction is Direction.DOWNGRADE:
        return
    for step in subject.steps():
        if not isinstance(step.operation, AddCheck):
            continue
        table = step.operation.table
        for found in _LIST.finditer(step.operation.expression):
            column = subject.after.column(table, found["column"])
            length = _LENGTH.search(column.type) if column is not None else None
            if column is None or length is None or not types.canonical(column.type).startswith(_TEXTS):
                continue
            values = [each.replace("''", "'") for each in _TEXT.findall(found["values"])]
            longer = [each for each in values if len(each) > int(length[1])]
            if longer:
                yield concern(
                    f"""
                    The check allows {listed([f"`{each}`" for each in longer])}, and `{table}.{column.name}` is
                    `{column.type}`: no row can have {"it" if len(longer) == 1 else "them"}. Widen the column to
                    `varchar({max(map(len, longer))})` first.
                    """,
                    about=about.column(table, column.name, "length"),
                    basis=Basis.PARSED,
                    location=place_of(step),
                    evidence={"values": longer},
                )


_TEXTS = ("character", "varchar", "char")

JOBS = """
op.execute(
    "CREATE TABLE jobs (id bigint PRIMARY KEY, state varchar(6) NOT NULL CONSTRAINT state CHECK (state IN ('open', 'closed')))"
)
"""

EXAMPLES = [
    Example(
        "a value that does not fit",
        given=JOBS,
        upgrade="""
        op.drop_constraint("state", "jobs")
        op.create_check_constraint(  # flagged
            "state", "jobs", "state IN ('open', 'closed', 'processing')", postgresql_not_valid=True
        )
        """,
    ),
    Example(
        "a value for which the column is made wider",
        given=JOBS,
        upgrade="""
        op.drop_constraint("state", "jobs")
        op.alter_column("jobs", "state", type_=sa.String(10))
        op.create_check_constraint(
            "state", "jobs", "state IN ('open', 'closed', 'processing')", postgresql_not_valid=True
        )
        """,
    ),
]
