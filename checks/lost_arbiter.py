"""
`INSERT … ON CONFLICT` no longer has a matching unique index.

## Why it hurts

`ON CONFLICT (email)` asks PostgreSQL for a unique index or constraint on exactly those columns. Once the last one
is dropped, each such statement of the running code fails with SQLSTATE 42P10: upserts, `on_conflict_do_update()`,
`bulk_save` of many libraries. A partial index is no substitute: it only matches statements that repeat its WHERE.
Neither is a DEFERRABLE constraint: PostgreSQL rejects it with SQLSTATE 55000, even if there is another index.

`ON CONFLICT ON CONSTRAINT uq_email` asks for a constraint by its name. It fails with SQLSTATE 42704 once the constraint
is renamed, or its index, which renames both.

## Do this instead

Build the new unique index first, CONCURRENTLY, deploy code whose ON CONFLICT names it, and drop the old one a
release later. Before that, search the code for `on_conflict` and `ON CONFLICT`.

## Not flagged

- Another non-partial unique index on the same columns that stays or is created in the same revision.
- A constraint that becomes an index: a statement that names columns finds it.
- Tables and indexes that the same deploy has created.
- A key whose columns are dropped too: no statement can name them.

## References

- <https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddPrimaryKey,
    AddUnique,
    Basis,
    Concern,
    Context,
    DropConstraint,
    DropIndex,
    Example,
    Group,
    Name,
    Refused,
    RenameConstraint,
    RenameIndex,
    Rule,
    Severity,
    Step,
    Story,
    Subject,
    about,
    cause_of,
    concern,
    is_partial,
    listed,
    place_of,
)

RULE = Rule(
    id="lost-arbiter",
    summary="`INSERT … ON CONFLICT` has no unique index any more",
    severity=Severity.WARNING,
    group=Group.BREAKING_CODE,
)


_DEFERRABLE = "55000"


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            if after is None:
                yield from _read(subject, context)
                return
            lost = {(r.subject, r.columns) for r in after.refused if r.action == "on conflict"}
            for each in after.refused:
                if each.action == "on constraint" and (each.subject, each.columns) not in lost:
                    yield from _named_otherwise(each, subject)
                if each.action != "on conflict":
                    continue
                if each.sqlstate == "42P10":
                    yield _said(each.subject, each.columns, _dropped(each, subject), subject, Basis.OBSERVED)
                elif each.sqlstate == _DEFERRABLE and "ON CONFLICT" in each.error:
                    step = cause_of(
                        subject, each.subject, wanted=lambda o: isinstance(o, AddUnique | AddPrimaryKey)
                    )
                    yield _put_off(each, step)


def _dropped(refused: Refused, story: Story) -> Step | None:
    """The operation that drops the key on exactly these columns, or else the last one that drops a key of the table."""
    for step in reversed(story.steps()):
        table, columns = _key(step)
        if table is None or set(columns) != set(refused.columns):
            continue
        if (step.now.origin(table) or table).matches(refused.subject):
            return step
    return cause_of(story, refused.subject, wanted=lambda o: isinstance(o, DropConstraint | DropIndex))


def _named_otherwise(refused: Refused, story: Story) -> Iterator[Concern]:
    """Where another constraint on the same columns is there, under another name. Of an index without a constraint it is
    known that ON CONFLICT has to name the columns.
    """
    there = (i for i in story.after.indexes(refused.subject) if i.constraint not in {None, refused.constraint})
    new = next((i.constraint for i in there if i.unique and set(i.columns) == set(refused.columns)), None)
    if new is not None and refused.constraint is not None:
        renames = RenameConstraint | RenameIndex | DropConstraint
        step = cause_of(story, refused.subject, named=refused.constraint, wanted=lambda o: isinstance(o, renames))
        yield _renamed(refused.subject, refused.constraint, new, step, Basis.OBSERVED)


def _renamed(table: Name, old: str, new: str, step: Step | None, basis: Basis) -> Concern:
    return concern(
        f"""
        If the running code has `INSERT INTO {table} … ON CONFLICT ON CONSTRAINT {old}`, that fails from now on
        (SQLSTATE 42704): the constraint is called `{new}` now.
        """,
        about=about.other("arbiter", str(table), old),
        severity=Severity.NOTICE,  # few statements name a constraint
        basis=basis,
        location=place_of(step),
        evidence={"constraint": old, "sqlstate": "42704"},
    )


def _read(story: Story, context: Context) -> Iterator[Concern]:
    """The same from the text alone."""
    for step in story.steps():
        match step.operation:
            case RenameConstraint(table=named, name=old, new_name=new) if context.exists(named):
                if any(i.unique and i.constraint == old for i in step.now.indexes(named)):
                    yield _renamed(named, old, new, step, Basis.PARSED)
        table, columns = _key(step)
        if table is None or not columns or step.now.is_new(table) or not context.exists(table):
            continue
        now = step.now.origin(table) or table
        left = story.after.indexes(table)
        known = story.after.table(table)
        there = known is not None and all(known.column(column) for column in columns)
        if there and not any(i.unique and not is_partial(i) and set(i.columns) == set(columns) for i in left):
            yield _said(now, columns, step, story, Basis.PARSED)


def _key(step: Step) -> tuple[Name | None, tuple[str, ...]]:
    match step.operation:
        case DropConstraint(table=table, name=name):
            found = next((i for i in step.now.indexes(table) if i.unique and name in {i.constraint, i.name}), None)
            return table, found.columns if found is not None else ()
        case DropIndex(index=index):
            known = step.now.index_table(index)
            dropped = next((i for i in known.indexes if i.name == index.name), None) if known else None
            if (
                known is not None
                and dropped is not None
                and dropped.unique
                and not is_partial(dropped)
                and all(dropped.columns)
            ):
                return known.name, dropped.columns
    return None, ()


def _put_off(refused: Refused, step: Step | None) -> Concern:
    return concern(
        f"""
        If the running code has `INSERT INTO {refused.subject} … ON CONFLICT ({", ".join(refused.columns)})`, that fails
        from now on (SQLSTATE {_DEFERRABLE}): a constraint on these columns is DEFERRABLE now, and ON CONFLICT cannot use it.
        """,
        about=about.other("arbiter", str(refused.subject), *refused.columns),
        severity=Severity.WARNING,
        basis=Basis.OBSERVED,
        location=place_of(step),
        evidence={"columns": list(refused.columns), "sqlstate": _DEFERRABLE},
    )


def _said(table: Name, columns: tuple[str, ...], step: Step | None, story: Story, basis: Basis) -> Concern:
    names = ", ".join(columns)
    partial = any(i.unique and is_partial(i) and set(i.columns) == set(columns) for i in story.after.indexes(table))
    but = ": the partial index on the same columns only matches statements that repeat its WHERE" if partial else ""
    return concern(
        f"""
        If the running code has `INSERT INTO {table} … ON CONFLICT ({names})`, that fails from now on (SQLSTATE 42P10):
        no unique index on {listed([f"`{c}`" for c in columns])} is left{but}.
        """,
        about=about.other("arbiter", str(table), *columns),
        severity=Severity.WARNING if basis is Basis.OBSERVED else Severity.NOTICE,
        basis=basis,
        location=place_of(step),
        evidence={"columns": list(columns), "sqlstate": "42P10"},
    )


ACCOUNTS = """
op.execute("CREATE TABLE accounts (id int PRIMARY KEY, email text NOT NULL, deleted bool, CONSTRAINT uq_email UNIQUE (email))")
"""

EXAMPLES = [
    Example(
        "two unique constraints, each in its line",
        given=f"""
        {ACCOUNTS.strip()}
        op.create_unique_constraint("uq_pair", "accounts", ["email", "deleted"])
        """,
        upgrade="""
        op.drop_constraint("uq_email", "accounts")  # flagged
        op.drop_constraint("uq_pair", "accounts")  # flagged
        """,
    ),
    Example(
        "a unique constraint that becomes a partial index",
        given=ACCOUNTS,
        upgrade="""
        op.drop_constraint("uq_email", "accounts")  # flagged
        op.create_index("uq_live", "accounts", ["email"], unique=True, postgresql_where=sa.text("NOT deleted"))
        """,
    ),
    Example(
        "a unique index that goes",
        given=f"""
        {ACCOUNTS.strip()}
        op.create_index("uq_both", "accounts", ["email", "deleted"], unique=True)
        """,
        upgrade="""
        op.drop_index("uq_both", "accounts")  # flagged
        """,
    ),
    Example(
        "a unique constraint that becomes DEFERRABLE",
        given=ACCOUNTS,
        upgrade="""
        op.drop_constraint("uq_email", "accounts")
        op.create_unique_constraint("uq_email", "accounts", ["email"], deferrable=True)  # flagged
        """,
    ),
    Example(
        "a unique constraint that is renamed",
        given=ACCOUNTS,
        upgrade="""
        op.execute("ALTER TABLE accounts RENAME CONSTRAINT uq_email TO accounts_email_key")  # flagged
        """,
    ),
    Example(
        "the index of a unique constraint that is renamed",
        given=ACCOUNTS,
        upgrade="""
        op.execute("ALTER INDEX uq_email RENAME TO accounts_email_key")  # flagged
        """,
    ),
    Example(
        "a unique index that is renamed",
        given=f"""
        {ACCOUNTS.strip()}
        op.create_index("uq_both", "accounts", ["email", "deleted"], unique=True)
        """,
        upgrade="""
        op.execute("ALTER INDEX uq_both RENAME TO accounts_both")
        """,
    ),
    Example(
        "a unique constraint that is made again",
        given=ACCOUNTS,
        upgrade="""
        op.drop_constraint("uq_email", "accounts")
        op.create_unique_constraint("uq_email", "accounts", ["email"])
        """,
    ),
    Example(
        "a unique constraint that becomes a unique index",
        given=ACCOUNTS,
        upgrade="""
        op.create_index("uq_new", "accounts", ["email"], unique=True)
        op.drop_constraint("uq_email", "accounts")
        """,
    ),
    Example(
        "a key that goes with its column",
        given=ACCOUNTS,
        upgrade="""
        op.drop_column("accounts", "email")
        """,
    ),
]
