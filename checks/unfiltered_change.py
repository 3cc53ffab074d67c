"""
An UPDATE or DELETE touches every row of the table in one transaction: without WHERE, or in a loop.

## Why it hurts

A DELETE without WHERE empties the table. An UPDATE without WHERE rewrites each row: the table doubles in size,
every index gets new entries, replicas fall behind, and each row stays locked for other writers until the commit,
which is the end of the whole migration.

## Do this instead

Specify which rows to change, and change them in batches that are committed one by one, outside the revision that
changes the schema.

## Not flagged

- Tables that the same deploy has created.
- Statements with a WHERE that excludes some rows. `WHERE true` does not, nor does a loop over all rows, nor one that says
  nothing of the table: `DELETE FROM posts USING users WHERE users.name = 'x'`, or `user_id IN (SELECT user_id FROM users)`
  if `users` has no such column. With EXISTS that is a notice: all or nothing may be meant.
- Batches that are committed one by one.
- An UPDATE while the table is locked by an earlier statement: see `work-under-lock`.

## References

- <https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-SPACE-RECOVERY>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Call,
    Concern,
    Context,
    Delete,
    DoBlock,
    Example,
    Group,
    Name,
    Rule,
    Select,
    Severity,
    Subject,
    Unrecognized,
    Update,
    about,
    concern,
    listed,
    quoted,
    remedies,
    ties,
)

RULE = Rule(
    id="unfiltered-change",
    summary="every row is deleted or rewritten in one transaction",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Delete(table=table, filtered=False) if context.exists(table):
            then = "" if context.survived(table) else ", and no downgrade restores them"
            yield concern(
                f"DELETE without WHERE destroys all rows of `{table}`{then}.",
                about=about.rows(table),
            )
        case (Update(table=table) | Delete(table=table)) as change if (
            context.exists(table)
            and context.alone
            and not (isinstance(change, Update) and context.blocking())
            and (column := ties.set_in_each_row(change, context.statement.sql, context.now))
        ):
            does = "UPDATE rewrites every row" if isinstance(change, Update) else "DELETE destroys all rows"
            yield concern(
                f"This {does} of `{table}`, in one transaction: its WHERE takes every row, as `{column}` is NOT NULL.",
                about=about.rows(table),
            )
        case DoBlock(body=body) if not _leaves_out(body, context):
            yield from _by_code(context)
        case Call() | Select() | Unrecognized():
            yield from _by_code(context)
        case (Update(table=table, filtered=True) | Delete(table=table, filtered=True)) as change if (
            said := _says_nothing_of_it(change, context)
        ):
            words, severity = said
            yield concern(words, about=about.rows(table), severity=severity)
        case (Update(table=table) | Delete(table=table)) as change if not context.blocking() and (
            statements := context.loop(change)
        ):
            word, does = ("UPDATEs", "rewrite") if isinstance(change, Update) else ("DELETEs", "destroy")
            yield concern(
                f"""
                {statements:,} {word} of this line {does} every row of `{table}` in one transaction, and each row
                stays locked for other writers until the commit.
                """,
                about=about.rows(table),
            )
        case Update(table=table, filtered=True) if (
            context.changes_all(subject) and context.statement.in_transaction and not context.blocking()
        ):
            yield concern(
                f"""
                This UPDATE wrote every row of `{table}` in the rehearsal, whatever its WHERE says, in one transaction: each row
                stays locked for other writers until the commit.
                """,
                about=about.rows(table),
            )
        case Update(table=table, columns=columns, filtered=False) if (
            context.exists(table) and not context.blocking()
        ):
            yield concern(
                f"""
                UPDATE without WHERE rewrites every row of `{table}` in one transaction, and each row stays locked
                for other writers until the commit.
                """,
                remedy=_in_batches(table, columns, context),
                about=about.rows(table),
            )


def _says_nothing_of_it(change: Update | Delete, context: Context) -> tuple[str, Severity] | None:
    """Why the WHERE of the change takes every row or none, if it does; and how grave that is."""
    table = change.table
    conditions = ties.conditions(context.statement.sql) if change.sources and context.exists(table) else ()
    if len(conditions) != 1 or not context.alone:
        return None
    (condition,) = conditions
    used = ties.of_itself(condition, context.now)
    if used is not None:
        others = listed([f"`{name}`" for _, name in used.within[0]])
        return (
            f"`{used.name}` is no column of {others}: the subquery returns that of `{table}` itself, so the comparison"
            f" says nothing about {others}."
        ), Severity.WARNING
    if not ties.is_untied(condition, context.now):
        return None
    does = "updates" if isinstance(change, Update) else "deletes"
    nothing = f"Nothing in this WHERE is about `{table}`: it {does} every row of it, or none"
    if not condition.beside:
        return f"{nothing}.", Severity.NOTICE
    if any(each.sql == context.statement.sql for each in context.recording.ambiguous):
        return None  # told by the rule for that
    return f"{nothing}. Tie it to `{condition.beside[0][0]}`, by a key.", Severity.WARNING


def _leaves_out(body: str, context: Context) -> bool:
    """Whether each UPDATE and DELETE of a block has a WHERE that may leave rows out in production: none that runs in
    a loop, and none that a new column passes.
    """
    changes = [each for each in body.split(";") if re.search(r"\b(?:UPDATE|DELETE\s+FROM)\b", each, re.IGNORECASE)]
    filtered = all(re.search(r"\bWHERE\b", each, re.IGNORECASE) for each in changes)
    if not filtered or re.search(r"\bLOOP\b", body, re.IGNORECASE):
        return False
    words = set(re.findall(r"\w+", body))
    tables = [each.relation.as_name for each, _ in context.written_by_code()]
    return not any(context.is_new_column(table, word) for table in tables for word in words)


def _by_code(context: Context) -> Iterator[Concern]:
    """What the code that a statement runs was seen to do to every row."""
    for each, every in context.written_by_code():
        table = each.relation.as_name
        if not every or context.blocking():
            continue
        word, does = ("deletes", "destroys") if each.deleted > each.updated else ("updates", "rewrites")
        yield concern(
            f"""
            The code that this statement runs {does} every row of `{table}` in one transaction ({word}
            {max(each.updated, each.deleted):,} rows in the rehearsal), and each row stays locked for other writers
            until the commit.
            """,
            about=about.rows(table),
            basis=Basis.OBSERVED,
        )


def _in_batches(table: Name, columns: tuple[str, ...], context: Context) -> list[str]:
    """In batches, if one column is set and NULL shows which rows are left."""
    found = re.search(r"\bSET\s+(.+)$", context.statement.sql, re.IGNORECASE | re.DOTALL)
    if (
        len(columns) != 1
        or found is None
        or re.search(r"\b(FROM|WHERE|RETURNING|SELECT)\b|%|:", found[1], re.IGNORECASE)
    ):
        return []
    if not context.is_new_column(table, columns[0]):
        return []
    return [remedies.in_batches(table, found[1].strip().rstrip(";"), f"{quoted(columns[0])} IS NULL")]


USERS = 'op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")'

USERS_AND_POSTS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50))")
op.execute("CREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint, kind varchar(9))")
"""

EXAMPLES = [
    Example(
        "USING without a tie",
        given=USERS_AND_POSTS,
        upgrade="""
        op.execute("DELETE FROM posts USING users WHERE users.name = 'test'")  # flagged
        """,
    ),
    Example(
        "USING with a tie",
        given=USERS_AND_POSTS,
        upgrade="""
        op.execute("DELETE FROM posts USING users WHERE users.name = 'test' AND user_id = users.id")
        """,
    ),
    Example(
        "a subquery that returns a column of the outer table",
        given=USERS_AND_POSTS,
        upgrade="""
        op.execute("DELETE FROM posts WHERE user_id IN (SELECT user_id FROM users WHERE name = 'test')")  # flagged
        """,
    ),
    Example(
        "a subquery that returns a column of its own",
        given=USERS_AND_POSTS,
        upgrade="""
        op.execute("DELETE FROM posts WHERE user_id IN (SELECT id FROM users WHERE name = 'test')")
        """,
    ),
    Example(
        "EXISTS without a tie",
        given=USERS_AND_POSTS,
        upgrade="""
        op.execute("UPDATE posts SET kind = 'old' WHERE EXISTS (SELECT FROM users u WHERE u.name = 'test')")  # flagged
        """,
    ),
    Example(
        "EXISTS with a tie",
        given=USERS_AND_POSTS,
        upgrade="""
        op.execute("UPDATE posts SET kind = 'old' WHERE EXISTS (SELECT FROM users u WHERE u.name = 'test' AND u.id = user_id)")
        """,
    ),
    Example(
        "all rows deleted",
        given=USERS,
        upgrade="""
        op.execute("DELETE FROM users")  # flagged
        """,
    ),
    Example(
        "a WHERE that leaves none out",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET name = lower(name) WHERE 1 = 1")  # flagged
        """,
    ),
    Example(
        "a WHERE that takes every row",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET name = 'x' || users.name FROM users o WHERE lower(o.name) = lower(users.name)")  # flagged
        """,
    ),
    Example(
        "a WHERE that asks whether the key is set",
        given=USERS,
        upgrade="""
        op.execute("DELETE FROM users WHERE id IS NOT NULL")  # flagged
        """,
    ),
    Example(
        "a WHERE that asks whether a value is set",
        given=USERS,
        upgrade="""
        op.execute("DELETE FROM users WHERE name IS NOT NULL")
        """,
    ),
    Example(
        "all rows, one by one",
        given=USERS,
        upgrade="""
        for (id_,) in op.get_bind().execute(sa.text("SELECT id FROM users")).fetchall():
            op.execute(f"UPDATE users SET name = 'u{id_}' WHERE id = {id_}")  # flagged
        """,
    ),
    Example(
        "all rows, with a list of values",
        given=USERS,
        upgrade="""
        bind = op.get_bind()
        ids = bind.execute(sa.text("SELECT id FROM users")).scalars().all()
        change = sa.text("UPDATE users SET name = :name WHERE id = :key")
        bind.execute(change, [{"name": f"u{key}", "key": key} for key in ids])  # flagged
        """,
    ),
    Example(
        "some rows, with a list of values",
        given=USERS,
        upgrade="""
        bind = op.get_bind()
        ids = bind.execute(sa.text("SELECT id FROM users LIMIT 2")).scalars().all()
        change = sa.text("UPDATE users SET name = :name WHERE id = :key")
        bind.execute(change, [{"name": f"u{key}", "key": key} for key in ids])
        """,
    ),
    Example(
        "one by one, and some are left out",
        given=USERS,
        upgrade="""
        for (id_,) in op.get_bind().execute(sa.text("SELECT id FROM users LIMIT 2")).fetchall():
            op.execute(f"UPDATE users SET name = 'u{id_}' WHERE id = {id_}")
        """,
    ),
    Example(
        "all rows, by a procedure",
        given=USERS
        + """
op.execute("CREATE PROCEDURE lower_names() LANGUAGE SQL AS $$ UPDATE users SET name = lower(name) $$")
""",
        upgrade="""
        op.execute("CALL lower_names()")  # flagged
        """,
    ),
    Example(
        "all rows, by a block that loops over them",
        given=USERS,
        upgrade="""
        op.execute(  # flagged
            "DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM users LOOP"
            " UPDATE users SET name = 'u' WHERE id = r.id; END LOOP; END $$"
        )
        """,
    ),
    Example(
        "a block that leaves rows out",
        given=USERS,
        upgrade="""
        op.execute("DO $$ BEGIN UPDATE users SET name = lower(name) WHERE name <> lower(name); END $$")
        """,
    ),
    Example(
        "all rows, by a procedure that moves them",
        given=USERS
        + """
op.execute("CREATE TABLE old_users (LIKE users)")
op.execute(
    "CREATE PROCEDURE move() LANGUAGE SQL AS $$"
    " INSERT INTO old_users SELECT * FROM users; DELETE FROM users $$"
)
""",
        upgrade="""
        op.execute("CALL move()")
        """,
    ),
    Example(
        "all rows, in batches that are committed one by one",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            for start in range(0, 200, 2):
                op.execute(f"UPDATE users SET name = lower(name) WHERE id > {start} AND id <= {start} + 2")
        """,
    ),
    Example(
        "some rows",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET name = lower(name) WHERE id < 10")
        """,
    ),
]
