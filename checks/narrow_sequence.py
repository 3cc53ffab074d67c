"""
The key column becomes larger, but its sequence does not.

## Why it hurts

The sequence of a `serial` column has the column's type: for an integer key it ends at 2,147,483,647. `ALTER COLUMN
... TYPE bigint` changes only the column, so the INSERTs that it was meant to save still fail: `nextval: reached
maximum value of sequence`. (The sequence of an identity column follows the column.)

## Do this instead

`ALTER SEQUENCE builds_id_seq AS bigint` in the same revision; it needs no table rewrite. The columns that refer to
the key must become larger too.

## Not flagged

- Identity columns, whose sequence follows the type.
- A sequence that was already smaller than its column.

## References

- <https://www.postgresql.org/docs/current/sql-altersequence.html>
- <https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-SERIAL>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AlterColumnType,
    Basis,
    Concern,
    Context,
    Example,
    Group,
    Rule,
    Severity,
    Story,
    Subject,
    about,
    cause_of,
    concern,
    place_of,
)

RULE = Rule(
    id="narrow-sequence",
    summary="the sequence ends before the key does",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            for each in after.counters if after is not None else ():
                if each.was_narrow or not each.narrow:
                    continue
                altered = cause_of(
                    subject,
                    each.table,
                    column=each.column,
                    wanted=lambda o: isinstance(o, AlterColumnType),
                    named_only=True,
                )
                step = altered or cause_of(subject, each.table) or cause_of(subject, each.sequence)
                if step is None:
                    continue
                sequence = each.sequence.sql.removeprefix("public.")
                yield concern(
                    f"""
                    `{each.table}.{each.column}` is {each.column_type}, and the sequence `{each.sequence}` that
                    fills it ends at {each.ends:,}: add `ALTER SEQUENCE {sequence} AS {each.column_type}`.
                    """,
                    about=about.sequence(each.sequence, "type"),
                    basis=Basis.OBSERVED,
                    location=place_of(step),
                    evidence={"ends": each.ends, "type": each.type, "column_type": each.column_type},
                )


BUILDS = 'op.execute("CREATE TABLE builds (id serial PRIMARY KEY)")'

EXAMPLES = [
    Example(
        "a serial key",
        given=BUILDS,
        upgrade="""
        op.alter_column("builds", "id", type_=sa.BigInteger(), existing_type=sa.Integer())  # flagged
        """,
    ),
    Example(
        "a serial key and its sequence",
        given=BUILDS,
        upgrade="""
        op.alter_column("builds", "id", type_=sa.BigInteger(), existing_type=sa.Integer())
        op.execute("ALTER SEQUENCE builds_id_seq AS bigint")
        """,
    ),
    Example(
        "another sequence for a larger key",
        given='op.execute("CREATE TABLE builds (id bigserial PRIMARY KEY)")',
        upgrade="""
        op.execute("CREATE SEQUENCE builds_seq AS integer START 1000000 OWNED BY builds.id")
        op.execute("ALTER TABLE builds ALTER id SET DEFAULT nextval('builds_seq')")  # flagged
        """,
    ),
    Example(
        "a sequence that becomes smaller than its key",
        given='op.execute("CREATE TABLE builds (id bigserial PRIMARY KEY)")',
        upgrade="""
        op.execute("ALTER SEQUENCE builds_id_seq AS smallint")  # flagged
        """,
    ),
    Example(
        "another attribute of the sequence",
        given='op.execute("CREATE TABLE builds (id bigserial PRIMARY KEY)")',
        upgrade="""
        op.execute("ALTER SEQUENCE builds_id_seq CACHE 10")
        """,
    ),
    Example(
        "an identity",
        given='op.execute("CREATE TABLE builds (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)")',
        upgrade="""
        op.alter_column("builds", "id", type_=sa.BigInteger(), existing_type=sa.Integer())
        """,
    ),
]
