"""
Statements of the code that runs during the deploy fail on the new schema.

## Why it hurts

While the migration runs and until the last process of the old version has stopped, the old code works on the new
schema. The reviewer takes the models of the base commit, reads, inserts, updates and deletes rows with them on the
schema before the new revisions and on the one after, and rolls everything back. What ran before and fails after
will fail in production once the migration commits.

## Do this instead

Change the schema in steps that work with both versions of the code. First add, and let the database fill what the
old code does not write (`server_default`); deploy code that does not use the old column or table; drop or rename it
in a later release. A renamed table can keep a view under its old name.

## Not flagged

- Statements that already failed before the new revisions.
- Rejected rows if the reviewer's generated values are the cause: a new CHECK, UNIQUE or foreign key.
- Tables and columns that the old models do not have: their own rule is then a notice.
- Reviews without a base commit (`--revisions`), without a server, and with `--no-old-code`: the other rules report
  what the text shows.

## References

- <https://docs.sqlalchemy.org/en/20/orm/mapping_styles.html>
- <https://martinfowler.com/bliki/ParallelChange.html>
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from reviewer.check import (
    AlterColumnType,
    Basis,
    Broken,
    Concern,
    Context,
    DropTable,
    Example,
    Group,
    Location,
    Name,
    Operation,
    RenameEnumValue,
    RenameTable,
    Rule,
    Severity,
    Statement,
    Step,
    Story,
    Subject,
    about,
    column_of,
    concern,
    listed,
    verbs,
)

RULE = Rule(
    id="old-code-broken",
    summary="the code that runs during the deploy fails on the new schema",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
    replaces=frozenset(
        {
            "dropped-column",
            "dropped-table",
            "rename-as-drop",
            "renamed-column",
            "renamed-table",
            "renamed-object",
            "renamed-enum-value",
            "dropped-default",
            "premature-not-null",
            "refused-after-upgrade",
            "removed-enum-value",
            "required-column",
            "stricter-for-old-code",
            "type-changed-for-old-code",
        }
    ),
    quotes=True,
    of_old_code=True,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            last = subject is context.stories[-1]
            found = [
                (_cause(each, subject), each)
                for each in context.recording.old_code.broken
                if each.revision == revision.id or (each.revision is None and last)
            ]
            found.sort(key=lambda pair: _order(pair[0]))
            for _, group in groupby(found, key=lambda pair: _order(pair[0])):
                pairs = list(group)
                yield _said(pairs[0][0], [each for _, each in pairs], context)
            yield from _stale(subject, context)


def _stale(story: Story, context: Context) -> Iterator[Concern]:
    """Statements that a driver prepared before the upgrade and uses after it."""
    if context.recording.environment.driver not in _PREPARE:
        return
    for table in context.recording.old_code.stale:
        changes = [
            operation
            for operation, _ in story.operations()
            if isinstance(operation, AlterColumnType) and operation.table.matches(table)
        ]
        if changes and context.old_code_uses(table, changes[0].column):
            yield concern(
                f"""
                Connections of the running code that have prepared a SELECT of `{table}.{changes[0].column}` fail
                once with `cached plan must not change result type`, because its type has changed.
                """,
                about=about.column(table, changes[0].column, "plan"),
                severity=Severity.NOTICE,
                basis=Basis.OBSERVED,
                evidence={"driver": context.recording.environment.driver},
            )


_PREPARE = frozenset({"asyncpg", "psycopg", "psycopg_async"})
"""Drivers that prepare statements automatically."""


def _said(cause: tuple[Operation, Statement] | None, broken: Sequence[Broken], context: Context) -> Concern:
    first = broken[0]
    commit = context.recording.old_code.commit[:7]
    failing = {word for each in broken if each.model == first.model for word in each.statements}
    others = sorted({each.model for each in broken} - {first.model})
    more = f"; so do {listed([f'`{name}`' for name in others])}" if others else ""
    until = f" until revision {first.until}" if first.until else ""
    return concern(
        f"""
        `{first.model}` of the running code (commit `{commit}`) breaks: {verbs(failing)} on `{first.table}`
        {"fail" if len(failing) > 1 else "fails"} with `{first.error}`{until}{more}.
        """,
        about=_about(cause[0] if cause else None, first),
        location=_place(cause),
        basis=Basis.OBSERVED,
        evidence={
            "model": first.model,
            "statements": sorted(failing),
            "sql": first.sql,
            "column": first.column,
            "sqlstate": first.sqlstate,
            "base_commit": context.recording.old_code.commit,
        },
    )


def _cause(broken: Broken, story: Story) -> tuple[Operation, Statement] | None:
    """The last operation of the revision that is most closely related to the failure."""
    best, found = 0, None
    for step in story.steps():
        score = _relation(step, broken)
        if score and score >= best:
            best, found = score, (step.operation, step.statement)
    return found


def _relation(step: Step, broken: Broken) -> int:
    operation = step.operation
    if isinstance(operation, RenameEnumValue):
        labels = (f'"{operation.value}"', f"'{operation.value}'", f"'{operation.new_value}'")
        return 4 if any(label in broken.error for label in labels) else 0
    names = [
        name for each in ("table", "object", "view") if isinstance(name := getattr(operation, each, None), Name)
    ]
    named = next((name for name in names if (step.now.origin(name) or name).matches(broken.table)), None)
    if named is None:
        return 0
    column = column_of(operation)
    if broken.column is not None and column is not None:
        before = step.now.column_origin(named, column)
        if broken.column in {column, before[1] if before else None}:
            return 3
    return 2 if isinstance(operation, DropTable | RenameTable) else 1


def _about(operation: Operation | None, broken: Broken) -> tuple[str, ...]:
    match operation:
        case RenameEnumValue(type=type_, value=value):
            return about.type_(type_, value)
        case DropTable(table=table) | RenameTable(table=table):
            return about.table(table)
    if broken.column is not None:
        return about.column(broken.table, broken.column)
    return about.table(broken.table)


def _place(cause: tuple[Operation, Statement] | None) -> Location | None:
    return cause[1].location if cause else None


def _order(cause: tuple[Operation, Statement] | None) -> tuple[str, int, str]:
    place = _place(cause)
    return (place.path, place.line, "") if place else ("", 0, cause[1].sql if cause else "")


USERS = 'op.execute("CREATE TABLE users (id int PRIMARY KEY, name varchar(50))")'

MODELS = """
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(50))
"""

EXAMPLES = [
    Example(
        "a column that is still mapped",
        given=USERS,
        upgrade="""
        op.drop_column("users", "name")  # flagged
        """,
        models=MODELS,
    ),
    Example(
        "a column that every new row needs",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), nullable=False, server_default="0"))
        op.alter_column("users", "age", server_default=None)  # flagged
        """,
        models=MODELS,
    ),
    Example(
        "a column that was unmapped a release before",
        given=USERS,
        upgrade="""
        op.drop_column("users", "name")
        """,
        models="""
        class User(Base):
            __tablename__ = "users"
            id = sa.Column(sa.Integer, primary_key=True)
        """,
    ),
    Example(
        "a column with a default",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), nullable=False, server_default="0"))
        """,
        models=MODELS,
    ),
]
