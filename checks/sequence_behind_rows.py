"""
The sequence of a key is behind its rows: the next INSERT generates a key that already exists.

## Why it hurts

Rows inserted with an explicit key do not advance the sequence, and an identity that is added to a table with rows
starts at 1. The revision succeeds, and so does every test that inserts nothing; the first ordinary INSERT
afterwards fails with a duplicate key, and so do the ones after it until the sequence has passed the rows.

## Do this instead

Advance the sequence in the same revision, after inserting the rows:
`SELECT setval(pg_get_serial_sequence('roles', 'id'), (SELECT max(id) FROM roles))`. Or omit the key from the rows.

## Not flagged

- A sequence that was already behind the rows before the revision.
- Keys that no sequence fills.

## References

- <https://www.postgresql.org/docs/current/functions-sequence.html>
- <https://www.postgresql.org/docs/current/ddl-identity-columns.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    AddIdentity,
    AlterIdentity,
    AlterObject,
    Basis,
    Call,
    Concern,
    Context,
    Copy,
    Counter,
    CreateObject,
    Example,
    Group,
    Insert,
    Merge,
    Rule,
    Select,
    Severity,
    Step,
    Story,
    Subject,
    Update,
    about,
    cause_of,
    concern,
    place_of,
    quoted,
    seen_between,
)

RULE = Rule(
    id="sequence-behind-rows",
    summary="the next INSERT generates a key that already exists",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)

_START = re.compile(r"\bSTART\b", re.IGNORECASE)
_MOVES = AddIdentity | AlterIdentity | AlterObject | Call | Copy | CreateObject | Insert | Merge | Update


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case AlterObject(kind="sequence", object=name, action=action) if context.static and not context.is_new(
            name
        ):
            if re.search(r"\bRESTART(?:\s+WITH)?(?:\s+1)?\s*$", action, re.IGNORECASE):
                yield concern(
                    f"""
                    `{name}` starts again at its beginning: unless all rows that have keys from it are gone, the next
                    INSERT fails as a duplicate.
                    """,
                    about=about.sequence(name, "behind"),
                )
        case AddIdentity(table=on, column=key) if context.static and context.exists(on):
            if not context.is_new_column(on, key) and not _START.search(context.statement.sql):
                yield concern(
                    f"""
                    The new identity of `{on}.{key}` starts at 1: where the table has rows, the next INSERT
                    without a key fails as a duplicate. Say where it starts: `(START WITH ...)`.
                    """,
                    about=about.column(on, key, "behind"),
                )
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            for each in after.counters if after is not None else ():
                if each.highest is None or each.was_behind or not each.behind or _mended(each, subject, context):
                    continue
                if _takes_no_other(each, subject):
                    continue
                step = (
                    _set_by(each, subject)
                    or cause_of(
                        subject, each.sequence, wanted=lambda o: isinstance(o, AlterObject), named_only=True
                    )
                    or cause_of(subject, each.table, wanted=_moves, named_only=True)
                    or cause_of(subject, each.table)
                )
                column, table = quoted(each.column), each.table.sql.removeprefix("public.")
                yield concern(
                    f"""
                    `{each.sequence}` generates {each.next:,} next, and `{each.table}.{each.column}` contains values
                    up to {each.highest:,}: an INSERT without a key fails as a duplicate when the sequence generates one
                    of them. Advance it with
                    `SELECT setval('{each.sequence.sql.removeprefix("public.")}', (SELECT max({column}) FROM
                    {table}))`.
                    """,
                    about=about.sequence(each.sequence, "behind"),
                    basis=Basis.OBSERVED,
                    location=place_of(step),
                    evidence={"next": each.next, "highest": each.highest},
                )


def _set_by(counter: Counter, story: Story) -> Step | None:
    """The last statement that sets the sequence with `setval()`, if none after it writes rows of the table."""
    for step in reversed(list(story.steps())):
        match step.operation:
            case Select(calls=calls) if "setval" in calls:
                if any(each in step.statement.sql for each in (counter.sequence.name, counter.table.name)):
                    return step
            case operation if isinstance(operation, _MOVES) and step is cause_of(
                story, counter.table, wanted=_moves
            ):
                return None
    return None


def _moves(operation: object) -> bool:
    return isinstance(operation, _MOVES)


def _takes_no_other(counter: Counter, story: Story) -> bool:
    """Whether a CHECK allows one key only, as in a table for one row: no INSERT waits for the sequence."""
    only = re.compile(rf'CHECK \(\(?"?{re.escape(counter.column)}"? = \d+\)?\)')
    known = story.after.table(counter.table)
    return known is not None and any(
        each.kind == "check" and only.fullmatch(each.definition) for each in known.constraints
    )


def _mended(counter: Counter, story: Story, context: Context) -> bool:
    """Whether a later revision of the same transaction advances the sequence, before anybody else sees it."""
    ids = [each.revision.id for each in context.stories]
    for later in ids[ids.index(story.revision.id) + 1 :]:
        after = context.recording.after(later)
        if after is not None and any(
            each.sequence == counter.sequence and not each.behind for each in after.counters
        ):
            return not seen_between(context.recording.passes, story.revision.id, later)
    return False


EXAMPLES = [
    Example(
        "rows that bring their own keys",
        upgrade="""
        op.create_table("roles", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()))
        op.execute("INSERT INTO roles VALUES (1, 'admin'), (2, 'reader')")  # flagged
        """,
    ),
    Example(
        "the sequence moved behind them",
        upgrade="""
        op.create_table("roles", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()))
        op.execute("INSERT INTO roles VALUES (1, 'admin'), (2, 'reader')")
        op.execute("SELECT setval('roles_id_seq', (SELECT max(id) FROM roles))")
        """,
    ),
    Example(
        "rows that bring keys of a sequence into a table of an earlier deploy",
        given="""
        op.execute("CREATE TABLE roles (id serial PRIMARY KEY, name text NOT NULL)")
        """,
        upgrade="""
        op.execute("INSERT INTO roles VALUES (1, 'admin'), (2, 'reader')")  # flagged
        """,
        downgrade="""
        op.execute("DELETE FROM roles WHERE id IN (1, 2)")
        """,
    ),
    Example(
        "rows without keys",
        upgrade="""
        op.create_table("roles", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()))
        op.execute("INSERT INTO roles (name) VALUES ('admin'), ('reader')")
        """,
    ),
    Example(
        "an identity on a key with rows",
        given='op.execute("CREATE TABLE items (id int PRIMARY KEY)")',
        upgrade="""
        op.execute("ALTER TABLE items ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")  # flagged
        """,
    ),
    Example(
        "an identity on a key with rows that starts behind them",
        given='op.execute("CREATE TABLE items (id int PRIMARY KEY)")',
        upgrade="""
        op.execute("ALTER TABLE items ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH 1000000)")
        """,
    ),
    Example(
        "a rebuilt table, with its rows",
        given='op.execute("CREATE TABLE items (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)")',
        upgrade="""
        op.execute("CREATE TABLE new_items (LIKE items INCLUDING ALL)")
        op.execute("INSERT INTO new_items SELECT * FROM items")  # flagged
        op.execute("DROP TABLE items")
        op.execute("ALTER TABLE new_items RENAME TO items")
        """,
    ),
    Example(
        "a sequence that the next revision of the transaction advances",
        given='op.execute("CREATE TABLE items (id serial PRIMARY KEY)")',
        upgrade="""
        op.execute("INSERT INTO items VALUES (500000)")
        """,
        then=("""op.execute("SELECT setval('items_id_seq', (SELECT max(id) FROM items))")""",),
    ),
    Example(
        "a sequence that is restarted behind the rows",
        given='op.execute("CREATE TABLE items (id serial PRIMARY KEY)")',
        upgrade="""
        op.execute("ALTER SEQUENCE items_id_seq RESTART WITH 1000000")
        """,
    ),
    Example(
        "a sequence that is restarted",
        given='op.execute("CREATE TABLE items (id serial PRIMARY KEY)")',
        upgrade="""
        op.execute("ALTER SEQUENCE items_id_seq RESTART WITH 1")  # flagged
        """,
    ),
    Example(
        "a table that takes one row only",
        upgrade="""
        op.create_table("settings", sa.Column("id", sa.Integer(), sa.CheckConstraint("id = 1"), primary_key=True))
        op.execute("INSERT INTO settings (id) VALUES (1)")
        """,
    ),
    Example(
        "set to the number of rows",
        given="""
        op.execute("CREATE TABLE jobs (id serial PRIMARY KEY, name text)")
        op.execute("INSERT INTO jobs (name) SELECT 'x' FROM generate_series(1, 40)")
        op.execute("DELETE FROM jobs WHERE id <= 20")
        """,
        upgrade="""
        op.execute("SELECT setval('jobs_id_seq', (SELECT count(*) FROM jobs))")  # flagged
        """,
    ),
]
