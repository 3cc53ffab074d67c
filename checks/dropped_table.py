"""
Dropping a table destroys its rows, and breaks the code that still reads it.

## Why it hurts

The drop is final: a downgrade can recreate the table, but not its rows. Running code that still reads or writes it
fails once the migration commits. Dropping a table with foreign keys also takes ACCESS EXCLUSIVE on every table that
they refer to.

## Do this instead

Remove the table from the models first, and deploy that. In a later release rename it, wait, and drop it if nobody
has missed it; say so next to the statement: `# reviewer: allow[dropped-table] unused since 2.4`. Keep a copy of
data that may be needed again.

## Not flagged

- Tables that the same deploy has created.
- `DROP TABLE IF EXISTS` if there is no such table.
- A table that was copied into one that takes its name in the same revision, as
  `batch_alter_table(recreate="always")` does, if a lock keeps others from writing during the copy: the rows are kept
  (see `work-under-lock` for how the copy affects others).
- A table that looks renamed by drop and create: see `rename-as-drop`.

## References

- <https://www.postgresql.org/docs/current/sql-droptable.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    CreateObject,
    CreateTable,
    Direction,
    DropTable,
    Example,
    Group,
    Insert,
    LockMode,
    Merge,
    Name,
    RenameTable,
    Rule,
    Severity,
    Subject,
    Update,
    about,
    concern,
)

RULE = Rule(
    id="dropped-table",
    summary="its rows are lost for good, and code that still reads it fails",
    severity=Severity.ERROR,
    group=Group.LOSING_DATA,
    lock=LockMode.ACCESS_EXCLUSIVE,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case DropTable(table=table, if_exists=if_exists) if context.exists(table):
            if if_exists and context.absent(table):
                return
            uncopied = context.uncopied(table)
            if _replaced(table, context) and uncopied is None:
                if _written_meanwhile(table, context):
                    yield concern(
                        f"""
                        Rows of `{table}` that others write after the copy and before this DROP are lost: nothing keeps
                        them from it. Before the copy: `LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE`.
                        """,
                        about=about.rows(table),
                        severity=Severity.WARNING,
                    )
                return
            kept = _copied(table, context) or context.survived(table) or context.moved_in_python(table)
            unused = context.old_code_uses(table) is False
            uses = context.old_code_uses(table)
            lost = f"breaks the running code, {'which' if uses else 'if that'} still reads and writes it"
            if unused:
                lost = "is safe for the running code, whose models no longer have it"
            if uncopied is not None:
                lost = (
                    "destroys the rows that were not copied before"
                    f" ({uncopied.deleted - uncopied.copied:,} of {uncopied.deleted:,} in a rehearsal, on rows that the"
                    f" schema allows) {'but' if unused else 'and'} {lost}"
                )
            elif not kept:
                lost = f"destroys its rows {'but' if unused else 'and'} {lost}"
            yield concern(
                f"Dropping `{table}` {lost}{_comes_back_empty(table, context, kept)}.",
                about=about.table(table),
                severity=(Severity.NOTICE if uncopied is None else Severity.WARNING)
                if unused
                else context.certainty(RULE.severity)
                if subject.if_exists
                else None,
            )


def _copied(table: Name, context: Context) -> bool:
    """Whether the rows were copied into another table before."""
    return any(
        isinstance(earlier, CreateTable | Insert | Merge | Update)
        and any(source.matches(table) for source in earlier.sources)
        for earlier, _ in context.earlier
    )


def _replaced(table: Name, context: Context) -> bool:
    """Whether a copy takes the table's name in the same revision."""
    return _copied(table, context) and any(
        isinstance(later, RenameTable) and Name(later.new_name, later.table.schema).matches(table)
        for later, _ in context.later()
    )


def _written_meanwhile(table: Name, context: Context) -> bool:
    """Whether others can write to the table while it is copied, and no trigger was made that could copy that too."""
    for step in context.story.steps() if context.story is not None else ():
        match step.operation:
            case CreateObject(kind="trigger" | "rule", table=Name() as on) if on.matches(table):
                return False
            case CreateTable(sources=sources) | Insert(sources=sources) | Merge(sources=sources) if any(
                each.matches(table) for each in sources
            ):
                held = [each for each in step.understood.held.values() if each.relation.as_name.matches(table)]
                return not any(each.mode.blocks_writes for each in held)
    return False


def _comes_back_empty(table: Name, context: Context, kept: bool) -> str:
    if context.story is None or kept:
        return ""
    downgrade = context.story.operations(Direction.DOWNGRADE)
    if any(isinstance(operation, CreateTable) and operation.table.matches(table) for operation, _ in downgrade):
        return "; the downgrade creates the table again, but not its rows"
    return ""


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "a table with rows",
        given=USERS,
        upgrade="""
        op.drop_table("users")  # flagged
        """,
        downgrade=USERS,
    ),
    Example(
        "recreated under the same name",
        given=USERS,
        upgrade="""
        op.execute("DROP TABLE IF EXISTS users")  # flagged
        op.create_table("users", sa.Column("key", sa.Text(), primary_key=True))
        """,
    ),
    Example(
        "a table of the same deploy",
        upgrade=USERS,
        then=('op.drop_table("users")',),
    ),
    Example(
        "if there is one, and there is none",
        given=USERS,
        upgrade="""
        op.execute("DROP TABLE IF EXISTS people")
        """,
    ),
]
