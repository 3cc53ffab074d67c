"""
Dropping a view, function, sequence or extension breaks the code that still uses it.

## Why it hurts

PostgreSQL knows which of its own objects depend on it, and rejects the drop if there are any. It does not know the
queries of the running code: once the migration commits, each one that names the object fails.

## Do this instead

Remove it from the code first, and drop it one release later.

## Not flagged

- Objects that the same deploy has created.
- A drop and create of the same name in one transaction, as usual for views: nobody sees the gap. A view that is
  recreated with fewer columns is reported.
- `IF EXISTS` if no such object exists on the server.
- Types, triggers, policies and rules: queries do not name them.
- A drop with CASCADE that also drops other objects: see `cascading-drop`.

## References

- <https://www.postgresql.org/docs/current/sql-dropview.html>
- <https://www.postgresql.org/docs/current/ddl-depend.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    DropObject,
    DropView,
    Example,
    Group,
    Name,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    implications,
    listed,
)

RULE = Rule(
    id="dropped-object",
    summary="the code that still uses it fails",
    severity=Severity.WARNING,
    group=Group.BREAKING_CODE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropView(view=name, materialized=materialized):
            yield from _told("materialized view" if materialized else "view", name, context)
        case DropObject(kind=kind, object=name) if kind in _NAMED_BY_CODE:
            yield from _told(kind, name, context)


_NAMED_BY_CODE = frozenset(
    {"function", "procedure", "routine", "aggregate", "sequence", "extension", "foreign table", "operator"}
)


def _told(kind: str, name: Name, context: Context) -> Iterator[Concern]:
    if context.is_new(name) or context.now.has_made(name) or context.says("does not exist, skipping"):
        return
    if implications.makes((operation for operation, _ in context.later()), name):
        yield from _told_of_columns(kind, name, context)
        return
    yield concern(
        f"Dropping the {kind} `{name}` breaks every statement of the running code that still uses it.",
        about=about.object_(kind, name),
    )


def _told_of_columns(kind: str, name: Name, context: Context) -> Iterator[Concern]:
    anew = implications.view_instead(context, name)
    gone = [f"`{column}`" for column in implications.left_out(context, name, anew)] if anew else []
    if gone:
        yield concern(
            f"""
            The {kind} `{name}` is recreated without {listed(gone)}, which breaks every statement of the running
            code that still reads {"it" if len(gone) == 1 else "them"}.
            """,
            about=about.object_(kind, name),
        )


VIEW = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
op.execute("CREATE VIEW people AS SELECT id FROM users")
"""

EXAMPLES = [
    Example(
        "a view in use",
        given=VIEW,
        upgrade="""
        op.execute("DROP VIEW people")  # flagged
        """,
    ),
    Example(
        "a view that is recreated",
        given=VIEW,
        upgrade="""
        op.execute("DROP VIEW people")
        op.execute("CREATE VIEW people AS SELECT id, id AS number FROM users")
        """,
    ),
    Example(
        "a view that is recreated with a column less",
        given=VIEW,
        upgrade="""
        op.execute("DROP VIEW people")  # flagged
        op.execute("CREATE VIEW people AS SELECT id AS number FROM users")
        """,
    ),
]
