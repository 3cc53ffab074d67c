"""
The upgrade changes rows, and the downgrade does not change them back.

## Why it hurts

After a rollback the old code encounters rows that it did not write: inserted ones stay, changed ones keep their new
values, deleted ones are lost for good. The next upgrade inserts the same rows again.

## Do this instead

Undo the change in `downgrade()` if the previous values are known. Copy rows that are deleted to a separate table
first, from which the downgrade can restore them. If nothing can be undone, raise
deliberately: `raise NotImplementedError("restore orders from the backup")`.

## Not flagged

- Rows of tables, and values of columns, that the same deploy has created: they are dropped with them.
- Rows that the downgrade inserts, changes or deletes again.
- Rows that were copied into another table before they are deleted, or that the same statement inserts there with
  DELETE ... RETURNING, if the copy has all of them; and rows that the revision has read and written elsewhere: what it
  did with them, no text tells.
- A downgrade that raises deliberately, which says that a rollback is impossible; deleted rows are still reported.
- A DELETE without WHERE, or with one that takes every row: see `unfiltered-change`.

## References

- <https://alembic.sqlalchemy.org/en/latest/ops.html#alembic.operations.Operations.bulk_insert>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reviewer.check import (
    Basis,
    Call,
    Concern,
    Context,
    Copy,
    CreateTable,
    Delete,
    Direction,
    DoBlock,
    DropTable,
    Example,
    Group,
    Insert,
    Merge,
    Name,
    Rule,
    Select,
    Severity,
    Subject,
    Truncate,
    Update,
    Written,
    about,
    concern,
    listed,
    ties,
)

RULE = Rule(
    id="unreversed-data-change",
    summary="a rollback leaves the changed rows as they are",
    severity=Severity.NOTICE,
    group=Group.LOSING_DATA,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Delete(table=table, filtered=filtered) as change if context.exists(table):
            every = not filtered or ties.set_in_each_row(change, context.statement.sql, context.now) is not None
            kept = _kept(table, context) or _moved_at_once(table, context)
            gone = [f"`{table}`"] if not every and not kept else []
            followers = [each for each in context.followers(table) if not _kept(each.relation.as_name, context)]
            with_them = [f"{each.deleted:,} of `{each.relation.as_name}`" for each in followers]
            if gone or with_them:
                yield _lost(table, [*gone, *with_them], followers)
            elif uncopied := context.uncopied(table):
                yield concern(
                    f"""
                    Of {uncopied.deleted:,} rows of `{table}` that this deleted in a rehearsal, on rows that the schema
                    allows, {uncopied.copied:,} were copied before: the others are lost for good.
                    """,
                    about=about.table(table),
                    severity=Severity.WARNING,
                    basis=Basis.OBSERVED,
                    evidence={"deleted": uncopied.deleted, "copied": uncopied.copied},
                )
        case Merge(table=table, does=does) if context.exists(table):
            if "delete" in does and not _kept(table, context):
                yield _lost(table, [f"`{table}`"], ())
            elif (
                does and _known_way_back(context) and not _undone(table, context, Update, Delete, Merge, DropTable)
            ):
                yield concern(
                    f"The downgrade does not undo what this MERGE changes in `{table}`.", about=about.rows(table)
                )
        case Call() | DoBlock() | Select():
            for each, every in context.written_by_code():
                table = each.relation.as_name
                if each.deleted and not every and not _put_aside(table, context):
                    yield concern(
                        f"""
                        The rows that the code of this statement deletes from `{table}` are lost for good: there is no
                        copy, and no downgrade restores them.
                        """,
                        about=about.rows(table),
                        severity=Severity.WARNING,
                        basis=Basis.OBSERVED,
                    )
        case Insert(table=table) | Copy(table=Name() as table, into=True) if context.exists(table):
            if _known_way_back(context) and not _undone(table, context, Delete, Truncate, DropTable):
                yield concern(
                    f"The downgrade does not delete the rows that this inserts into `{table}`.",
                    about=about.rows(table),
                )
        case Update(table=table, columns=columns, filtered=True) if context.exists(table):
            old = [column for column in columns if not context.is_new_column(table, column)]
            if old and _known_way_back(context) and not _undone(table, context, Update, DropTable):
                yield concern(
                    f"The downgrade does not restore the values of `{table}.{old[0]}` from before this UPDATE.",
                    about=about.column(table, old[0]),
                )


def _kept(table: Name, context: Context) -> bool:
    return (
        _put_aside(table, context) or context.moved_in_python(table) or _undone(table, context, Insert, Copy, Merge)
    )


def _moved_at_once(table: Name, context: Context) -> bool:
    """Whether the statement that deletes the rows also inserts all of them elsewhere."""
    operations = context.understood.operations if context.understood is not None else ()
    inserts = [each for each in operations if isinstance(each, Insert)]
    if any(source.matches(table) for each in inserts for source in each.sources):
        return True
    returned = re.search(r"\breturning\b", context.statement.sql, re.IGNORECASE)
    if returned is None or not inserts or not isinstance(operations[-1], Insert):
        return False
    seen = context.observation.written if context.observation is not None else ()
    deleted = next((each.deleted for each in seen if each.relation.as_name.matches(table)), 0)
    if deleted:
        return context.statement.rows is not None and context.statement.rows >= deleted
    return not re.search(r"\b(?:where|join|limit|on)\b", context.statement.sql[returned.end() :], re.IGNORECASE)


def _lost(table: Name, told: Sequence[str], followers: Sequence[Written]) -> Concern:
    return concern(
        f"""
        The rows that this deletes from {listed(told)} are lost for good: there is no copy, and no downgrade restores
        them{_because(followers)}.
        """,
        about=about.table(table),
        severity=Severity.WARNING,
        evidence={str(each.relation.as_name): each.deleted for each in followers},
    )


def _because(followers: Sequence[Written]) -> str:
    if not followers:
        return ""
    names = listed([f"`{each.relation.as_name}`" for each in followers])
    return f". Those of {names} were seen to go with them in the rehearsal, by ON DELETE CASCADE"


def _known_way_back(context: Context) -> bool:
    """Whether there is a downgrade that claims to undo the revision."""
    story = context.story
    return story is not None and not story.revision.downgrade_is_empty and bool(story.downgrade)


def _undone(table: Name, context: Context, *kinds: type) -> bool:
    operations = context.story.operations(Direction.DOWNGRADE) if context.story else ()
    return any(
        isinstance(operation, kinds)
        and getattr(operation, "table", None) is not None
        and operation.table.matches(table)  # type: ignore[union-attr]  # every one of `kinds` has a table
        for operation, _ in operations
    )


def _put_aside(table: Name, context: Context) -> bool:
    for operation, _ in context.earlier:
        match operation:
            case Insert(sources=sources) | CreateTable(sources=sources) if any(s.matches(table) for s in sources):
                return True
    return False


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

EXAMPLES = [
    Example(
        "rows that a procedure deletes",
        given=USERS
        + """
op.execute("CREATE PROCEDURE clean() LANGUAGE SQL AS $$ DELETE FROM users WHERE id = 1 $$")
""",
        upgrade="""
        op.execute("CALL clean()")  # flagged
        """,
    ),
    Example(
        "rows deleted for good",
        given=USERS,
        upgrade="""
        op.execute("DELETE FROM users WHERE id < 10")  # flagged
        """,
    ),
    Example(
        "rows of another table that are put aside",
        given=USERS + '\nop.execute("CREATE TABLE posts (id int PRIMARY KEY)")',
        upgrade="""
        op.execute("CREATE TABLE kept AS SELECT * FROM posts")
        op.execute("DELETE FROM users WHERE id < 10")  # flagged
        """,
    ),
    Example(
        "rows that are put aside",
        given=USERS,
        upgrade="""
        op.execute("CREATE TABLE kept AS SELECT * FROM users WHERE id < 10")
        op.execute("DELETE FROM users WHERE id < 10")
        """,
    ),
    Example(
        "rows that one statement moves",
        given=USERS
        + "\nop.execute(\"CREATE TABLE kept (LIKE users)\")\nop.execute(\"INSERT INTO users VALUES (1, 'a'), (2, 'b')\")",
        upgrade="""
        op.execute("WITH gone AS (DELETE FROM users WHERE id < 10 RETURNING *) INSERT INTO kept SELECT * FROM gone")
        """,
    ),
    Example(
        "rows of which one statement moves some",
        given=USERS
        + "\nop.execute(\"CREATE TABLE kept (LIKE users)\")\nop.execute(\"INSERT INTO users VALUES (1, 'a'), (2, 'b')\")",
        upgrade="""
        op.execute(  # flagged
            "WITH gone AS (DELETE FROM users WHERE id < 10 RETURNING *) INSERT INTO kept SELECT * FROM gone WHERE name = 'a'"
        )
        """,
    ),
    Example(
        "rows that an outer join puts aside",
        given=USERS + '\nop.execute("CREATE TABLE logs (id int PRIMARY KEY, user_id bigint, made date NOT NULL)")',
        upgrade="""
        op.execute("CREATE TABLE kept AS SELECT l.* FROM logs l LEFT JOIN users u ON u.id = l.user_id WHERE made < now()")
        op.execute("DELETE FROM logs WHERE made < now()")
        """,
    ),
    Example(
        "rows that go with those that are put aside",
        given=USERS
        + """
op.execute("CREATE TABLE posts (id int PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE)")
op.execute("INSERT INTO users VALUES (1, 'a'), (2, 'b')")
op.execute("INSERT INTO posts VALUES (1, 1), (2, 2)")
""",
        upgrade="""
        op.execute("INSERT INTO users (id, name) SELECT id + 1000, name FROM users WHERE id = 2")
        op.execute("DELETE FROM users WHERE id = 2")  # flagged
        """,
    ),
    Example(
        "rows that referred to them and have been moved",
        given=USERS
        + """
op.execute("CREATE TABLE posts (id int PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE)")
op.execute("INSERT INTO users VALUES (1, 'a'), (2, 'b')")
op.execute("INSERT INTO posts VALUES (1, 1), (2, 2)")
""",
        upgrade="""
        op.execute("INSERT INTO users (id, name) SELECT id + 1000, name FROM users WHERE id = 2")
        op.execute("UPDATE posts SET user_id = 1002 WHERE user_id = 2")
        op.execute("DELETE FROM users WHERE id = 2")
        """,
    ),
    Example(
        "rows that MERGE deletes for good",
        given=USERS + '\nop.execute("CREATE TABLE former (id bigint PRIMARY KEY)")',
        upgrade="""
        op.execute("MERGE INTO users u USING former f ON u.id = f.id WHEN MATCHED THEN DELETE")  # flagged
        """,
        since=15,
    ),
    Example(
        "a MERGE that does nothing with the rows that are there",
        given=USERS + '\nop.execute("CREATE TABLE former (id bigint PRIMARY KEY)")',
        upgrade="""
        op.execute("MERGE INTO users u USING former f ON u.id = f.id WHEN MATCHED THEN DO NOTHING")
        """,
        since=15,
    ),
    Example(
        "rows that the downgrade leaves",
        given=USERS,
        upgrade="""
        op.execute("INSERT INTO users (id, name) VALUES (0, 'nobody')")  # flagged
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        downgrade="""
        op.drop_column("users", "age")
        """,
    ),
    Example(
        "rows that the downgrade deletes",
        given=USERS,
        upgrade="""
        op.execute("INSERT INTO users (id, name) VALUES (0, 'nobody')")
        """,
        downgrade="""
        op.execute("DELETE FROM users WHERE id = 0")
        """,
    ),
]
