"""
An UPDATE takes its values from another table in which several rows match.

## Why it hurts

`UPDATE ... FROM` updates each row once. If several rows of the other table match it, PostgreSQL takes any of them,
without an error: which one depends on the plan, so it can be another one in production than in a test, and nobody can
tell afterwards which rows got the wrong value.

## Do this instead

Say which row counts: join `(SELECT DISTINCT ON (user_id) ... ORDER BY user_id, placed_at DESC)`, or an aggregate such
as `max()`. If there can be only one, say so with a unique constraint on the joined columns.

## Not flagged

- Rows that a unique constraint or index allows only once.
- Several rows that all give the same value.
- Assignments that call volatile functions, and several columns that are assigned together.
- Tables that other statements of the deploy write so that neither before nor after it they hold what the UPDATE reads.

## References

- <https://www.postgresql.org/docs/current/sql-update.html#SQL-UPDATE-NOTES>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Example,
    Group,
    Rule,
    Severity,
    Subject,
    Update,
    about,
    concern,
    listed,
)

RULE = Rule(
    id="ambiguous-update",
    summary="which of several matching rows an UPDATE takes is undefined",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Update(table=table, columns=columns, sources=sources) if (
            context.revision is not None and not context.static
        ):
            for each in context.recording.ambiguous:
                if each.revision == context.revision.id and each.sql == context.statement.sql:
                    yield concern(
                        f"""
                        Several rows {_of(sources)}may match one row of `{table}`, and which of them
                        sets {listed([f"`{column}`" for column in columns])} is undefined. Query production: `{each.query}`
                        """,
                        about=about.rows(table, "ambiguous"),
                        basis=Basis.OBSERVED,
                        evidence={"query": each.query},
                    )
                    return


def _of(sources: tuple[object, ...]) -> str:
    return f"of `{sources[0]}` " if len(sources) == 1 else ""


TABLES = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, total int)")
op.execute("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint NOT NULL, total int NOT NULL)")
"""

EXAMPLES = [
    Example(
        "a value of any of several rows",
        given=TABLES,
        upgrade="""
        op.execute("UPDATE users SET total = o.total FROM orders o WHERE o.user_id = users.id")  # flagged
        """,
    ),
    Example(
        "of the newest row",
        given=TABLES,
        upgrade="""
        op.execute(
            "UPDATE users SET total = o.total FROM"
            " (SELECT DISTINCT ON (user_id) user_id, total FROM orders ORDER BY user_id, id DESC) o"
            " WHERE o.user_id = users.id"
        )
        """,
    ),
    Example(
        "of the only row",
        given=TABLES + 'op.execute("ALTER TABLE orders ADD UNIQUE (user_id)")',
        upgrade="""
        op.execute("UPDATE users SET total = o.total FROM orders o WHERE o.user_id = users.id")
        """,
    ),
    Example(
        "of several rows that are the same",
        given=TABLES,
        upgrade="""
        op.execute("UPDATE users SET total = 1 FROM orders o WHERE o.user_id = users.id")
        """,
    ),
]
