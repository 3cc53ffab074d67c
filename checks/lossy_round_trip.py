"""
Upgrade and downgrade succeed, but the rows are no longer what they were.

## Why it hurts

A rollback is meant to restore the state before the release. This one restores the schema, but not the data: values
were changed, truncated, rounded, merged or cleared by the upgrade, and the downgrade does not know what they were.
That is noticed after the rollback, when the only copy is the backup.

## Do this instead

Keep the old values until the release is established: write the new form to a new column and drop the old one in a
later release. If that is not worth it, raise deliberately in the downgrade and say what to restore:
`raise NotImplementedError("restore public.users.email from the backup")`.

## Not flagged

- What was written after the upgrade to tables and columns that the downgrade drops: the rollback label says so.
- As a notice only: values that the upgrade writes over NULL, and that stay; and values that only the upgraded
  schema allows, and that the downgrade turns into something else.
- Losses that `dropped-column`, `dropped-table`, `truncated-table` and, for a DELETE without WHERE, `unfiltered-change`
  already report.
- Other spellings of the same value: `1.50` and `1.5`, a document with its keys in another order.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html#downgrading>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Basis,
    Concern,
    Context,
    Delete,
    Direction,
    DropColumn,
    DropTable,
    Example,
    Group,
    Location,
    Loss,
    Name,
    Rule,
    Severity,
    Step,
    Story,
    Subject,
    Truncate,
    Update,
    about,
    concern,
    guilty,
    ties,
)

RULE = Rule(
    id="lossy-round-trip",
    summary="a rollback restores the schema, but not the data",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
    replaces=frozenset({"unreversed-data-change"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story:
            losses = [
                loss for each in story.passes if each.direction is Direction.DOWNGRADE for loss in each.losses
            ]
            for loss in losses:
                if _told_by_a_drop(loss, story):
                    continue
                yield concern(
                    f"After the upgrade and downgrade of `{revision.id}`, {_sentence(loss, context)}.",
                    about=about.column(loss.table, loss.column) if loss.column else about.table(loss.table),
                    severity=Severity.NOTICE if loss.fills else None,
                    basis=Basis.COMPARED,
                    location=_place(loss, story),
                    direction=Direction.DOWNGRADE,
                    evidence=_evidence(loss),
                )
            yield from _of_new_rows(story, context)


def _of_new_rows(story: Story, context: Context) -> Iterator[Concern]:
    revision = story.revision
    for each in story.passes:
        for loss in each.new_losses if each.direction is Direction.DOWNGRADE else ():
            whose = "would fit the schema before it" if loss.allowed_before else "only fits the upgraded schema"
            yield concern(
                f"What is written after the upgrade of `{revision.id}`, and {whose}, does not survive its downgrade:"
                f" {_sentence(loss, context)}.",
                about=about.other("new rows", loss.table, loss.column or ""),
                severity=None if loss.allowed_before else Severity.NOTICE,
                basis=Basis.COMPARED,
                location=_place(loss, story),
                direction=Direction.DOWNGRADE,
                evidence=_evidence(loss),
            )


def _place(loss: Loss, story: Story) -> Location:
    """The line of the downgrade that loses it, or the downgrade, where nothing in it restores what the upgrade loses."""
    found = guilty.of_loss(story, Name.told(loss.table), loss.column)
    return found or Location(story.revision.path, story.revision.downgrade_line or 1)


def _evidence(loss: Loss) -> dict[str, object]:
    return {"values": loss.values, "of": loss.of, "before": loss.before, "after": loss.after}


def _told_by_a_drop(loss: Loss, story: Story) -> bool:
    """Whether another rule reports it: of rows or values that the downgrade puts back otherwise, none does."""
    whole, copied = loss.column is None, False
    for step in story.steps(Direction.UPGRADE):
        match step.operation:
            case DropTable(table=table) | Truncate(table=table) | Delete(table=table, filtered=False) if (
                whole and str(step.now.origin(table) or table) == loss.table
            ):
                return True
            case Delete(table=table) as change if (
                whole
                and str(step.now.origin(table) or table) == loss.table
                and ties.set_in_each_row(change, step.statement.sql, step.now)
            ):
                return True
            case Truncate(cascade=True) if whole and Name.told(loss.table).name in _cascaded(step):
                return True
            case DropColumn(table=table, column=column):
                before = step.now.column_origin(table, column) or (table, column)
                if (str(before[0]), before[1]) == (loss.table, loss.column):
                    return not (copied and loss.after is not None)
            case Update(table=into, reads=reads, sources=sources) if loss.column in reads and any(
                str(step.now.origin(each) or each) == loss.table for each in (into, *sources)
            ):
                copied = True
    return False


def _cascaded(step: Step) -> set[str]:
    """The tables that TRUNCATE … CASCADE was seen to empty without naming them."""
    seen = step.statement.observation
    said = seen.messages if seen is not None else ()
    return {name for message in said for name in re.findall(r'truncate cascades to table "(.+?)"', message)}


def _sentence(loss: Loss, context: Context) -> str:
    known = context.recording.base.table(Name.told(loss.table))
    part = " that were compared" if known is not None and known.rows > loss.of else ""
    if loss.column is None:
        return f"{loss.values} of {loss.of} rows of `{loss.table}`{part} in the rehearsal are lost"
    where = f"`{loss.table}.{loss.column}`"
    old, new = _value(loss.before), _value(loss.after)
    verb = "are lost" if loss.after is None else "are changed"
    return f"{loss.values} of {loss.of} values of {where}{part} in the rehearsal {verb}: {old} became {new}"


def _value(value: str | None) -> str:
    return "NULL" if value is None else f"`{value}`"


USERS = """op.create_table(
    "users", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("name", sa.String(50)),
    sa.Column("score", sa.Numeric(10, 2))
)"""

EXAMPLES = [
    Example(
        "values that are changed in place",
        given=USERS,
        upgrade="""
        op.execute("UPDATE users SET name = upper(name)")
        """,
        downgrade="""
        op.execute("UPDATE users SET name = lower(name)")  # flagged
        """,
    ),
    Example(
        "a type that keeps less",
        given=USERS,
        upgrade="""
        op.alter_column("users", "score", type_=sa.Integer())
        """,
        downgrade="""
        op.alter_column("users", "score", type_=sa.Numeric(10, 2))  # flagged
        """,
    ),
    Example(
        "rows that were written after the upgrade are deleted",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("deleted_at", sa.DateTime()))
        """,
        downgrade="""
        op.execute("DELETE FROM users WHERE deleted_at IS NOT NULL")  # flagged
        op.drop_column("users", "deleted_at")
        """,
    ),
    Example(
        "nothing restores what the upgrade changes",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("note", sa.Text()))
        op.execute("UPDATE users SET score = 0")
        """,
        downgrade="""
        # flagged
        op.execute("UPDATE users SET name = name")
        op.drop_column("users", "note")
        """,
    ),
    Example(
        "a loop of a function, which reads and then writes",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("note", sa.Text()))
        """,
        downgrade="""
        def reset(bind):
            for (id_,) in bind.execute(sa.text("SELECT id FROM users")).fetchall():
                bind.execute(sa.text("UPDATE users SET name = name WHERE id = :id"), {"id": id_})
                bind.execute(sa.text("UPDATE users SET score = 0 WHERE id = :id"), {"id": id_})  # flagged

        reset(op.get_bind())
        op.drop_column("users", "note")
        """,
    ),
    Example(
        "a form that can be turned back",
        given=USERS,
        upgrade="""
        op.alter_column("users", "score", type_=sa.Float())
        op.alter_column("users", "name", type_=sa.Text())
        """,
        downgrade="""
        op.alter_column("users", "score", type_=sa.Numeric(10, 2))
        op.alter_column("users", "name", type_=sa.String(50))
        """,
    ),
    Example(
        "a column that the upgrade adds, with what was written to it",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer(), server_default="1"))
        """,
        downgrade="""
        op.drop_column("users", "age")
        """,
    ),
]
