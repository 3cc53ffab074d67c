"""
Row security hides rows from the migration, or from the code that runs after it.

## Why it hurts

Row security filters without an error. The owner of a table is subject to it under FORCE ROW LEVEL SECURITY, and
other roles always are; only superusers and roles with BYPASSRLS see every row. So an UPDATE in a migration that
runs as an ordinary owner can change nothing and report success, and a SELECT that the rest of the migration relies
on can return nothing, while the same statements work on all rows as a superuser. And a policy that reads a setting that nobody sets shows the running code an empty table once the
migration commits.

## Do this instead

Run such a revision as a role with BYPASSRLS, or remove FORCE for the transaction:
`ALTER TABLE ... NO FORCE ROW LEVEL SECURITY` before and `FORCE` after. Deploy code that sets what a policy reads
before adding the policy.

## Not flagged

- Tables without row security, and tables in which such a role sees every row.
- A statement after the same transaction has disabled row security, or set what a policy reads.

## References

- <https://www.postgresql.org/docs/current/ddl-rowsecurity.html>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AlterObject,
    Basis,
    Concern,
    Context,
    CreateObject,
    Delete,
    DropObject,
    Example,
    Group,
    Insert,
    Merge,
    Name,
    RowSecurity,
    Rule,
    Select,
    SetVariable,
    Severity,
    Story,
    Subject,
    Update,
    about,
    cause_of,
    concern,
    place_of,
)

RULE = Rule(
    id="hidden-rows",
    summary="row security hides rows without an error",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Update(table=table) | Delete(table=table) | Merge(table=table) if context.revision is not None:
            yield from _hidden(table, "leaves {} unchanged", context)
        case Select(tables=tables) | Insert(sources=tables) if context.revision is not None:
            for table in tables:
                yield from _hidden(table, "does not read {}", context)
        case Story(revision=revision):
            after = context.recording.after(revision.id)
            found = [v for v in (after.visible if after is not None else ()) if v.before > v.after == 0]
            for table in dict.fromkeys(each.table for each in found):
                roles = [each.role for each in found if each.table == table]
                step = cause_of(subject, table, wanted=_of_policies, named_only=True)
                if step is None:
                    continue
                who = "every role, the owner too," if "owner" in roles else "a role that does not own it"
                unless = (
                    "because no policy that shows a row is left"
                    if isinstance(step.operation, DropObject)
                    else "unless it sets what the policies read, which the running code does not do"
                )
                yield concern(
                    f"Row security on `{table}` hides all of its rows from {who} {unless}.",
                    about=about.table(table, "row security"),
                    basis=Basis.OBSERVED,
                    location=place_of(step),
                    evidence={"roles": roles},
                )


def _of_policies(operation: object) -> bool:
    match operation:
        case RowSecurity() | CreateObject():
            return True
        case AlterObject(kind=kind) | DropObject(kind=kind):
            return kind == "policy"
    return False


def _hidden(table: Name, what: str, context: Context) -> Iterator[Concern]:
    found = _seen(table, context)
    if found is None or _looked_at(table, context):
        return
    seen, rows = found
    others = "the others" if seen else "them"
    yield concern(
        f"""
        `{table}` forces row security, so {_many(seen, rows)} {rows:,} rows are visible here to an owner without
        BYPASSRLS: the statement {what.format(others)}, without an error.
        """,
        about=about.rows(table, "hidden"),
        basis=Basis.OBSERVED,
        evidence={"rows": rows, "seen": seen},
    )


def _seen(table: Name, context: Context) -> tuple[int, int] | None:
    """How many rows an owner without BYPASSRLS sees, and of how many, where these are fewer."""
    name = context.now.origin(table) or table
    after = context.recording.after(context.revision.id) if context.revision is not None else None
    for each in after.visible if after is not None else ():
        if each.role == "owner" and each.rows and each.table.matches(name):
            return (each.before, each.rows) if each.forced and each.before < each.rows else None
    known = next((each for each in context.recording.hidden if each.table.matches(name)), None)
    if known is None or any(
        isinstance(operation, RowSecurity) and operation.table.matches(table) for operation, _ in context.earlier
    ):
        return None  # it may not be forced any more
    return known.seen, known.rows


def _many(seen: int, rows: int) -> str:
    return "none of the" if not seen else f"only {seen:,} of the"


def _looked_at(table: Name, context: Context) -> bool:
    """Whether the transaction has changed row security before."""
    for operation, _ in context.same_transaction():
        match operation:
            case RowSecurity(table=on, action=action) if on.matches(table) and action in {"disable", "no force"}:
                return True
            case SetVariable(name=name) if "." in name or name in {"role", "session authorization", "row_security"}:
                return True
    return False


DOCUMENTS = """
op.execute("CREATE TABLE documents (id int PRIMARY KEY, tenant text NOT NULL, kind text)")
op.execute("ALTER TABLE documents ENABLE ROW LEVEL SECURITY")
op.execute("CREATE POLICY by_tenant ON documents USING (tenant = current_setting('app.tenant', true))")
"""

EXAMPLES = [
    Example(
        "a backfill under forced row security",
        given=f"""{DOCUMENTS}
op.execute("ALTER TABLE documents FORCE ROW LEVEL SECURITY")
""",
        upgrade="""
        op.execute("UPDATE documents SET kind = 'note' WHERE kind IS NULL")  # flagged
        """,
    ),
    Example(
        "a loop over rows that it does not see",
        given=f"""{DOCUMENTS}
op.execute("ALTER TABLE documents FORCE ROW LEVEL SECURITY")
""",
        upgrade="""
        bind = op.get_bind()
        for row in bind.execute(sa.text("SELECT id FROM documents")).fetchall():  # flagged
            bind.execute(sa.text("UPDATE documents SET kind = 'note' WHERE id = :id"), {"id": row[0]})
        """,
    ),
    Example(
        "a copy of rows that it does not see",
        given=f"""{DOCUMENTS}
op.execute("ALTER TABLE documents FORCE ROW LEVEL SECURITY")
op.execute("CREATE TABLE kinds (id int PRIMARY KEY, kind text)")
""",
        upgrade="""
        op.execute("INSERT INTO kinds SELECT id + 1000000, kind FROM documents")  # flagged
        """,
    ),
    Example(
        "a backfill while it is not forced",
        given=f"""{DOCUMENTS}
op.execute("ALTER TABLE documents FORCE ROW LEVEL SECURITY")
""",
        upgrade="""
        op.execute("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY")
        op.execute("UPDATE documents SET kind = 'note' WHERE kind IS NULL")
        op.execute("ALTER TABLE documents FORCE ROW LEVEL SECURITY")
        """,
    ),
    Example(
        "a backfill by the owner, which row security does not concern",
        given=DOCUMENTS,
        upgrade="""
        op.execute("UPDATE documents SET kind = 'note' WHERE kind IS NULL")
        """,
    ),
    Example(
        "a policy that reads what nobody sets",
        given='op.execute("CREATE TABLE documents (id int PRIMARY KEY, tenant text NOT NULL)")',
        upgrade="""
        op.execute("CREATE POLICY by_tenant ON documents USING (tenant = current_setting('app.tenant', true))")
        op.execute("ALTER TABLE documents ENABLE ROW LEVEL SECURITY")  # flagged
        """,
    ),
    Example(
        "a policy that shows every row",
        given='op.execute("CREATE TABLE documents (id int PRIMARY KEY, tenant text NOT NULL)")',
        upgrade="""
        op.execute("CREATE POLICY everybody ON documents USING (true)")
        op.execute("ALTER TABLE documents ENABLE ROW LEVEL SECURITY")
        """,
    ),
    Example(
        "the last policy dropped",
        given=f"""{DOCUMENTS}
op.execute("CREATE POLICY everybody ON documents USING (true)")
op.execute("DROP POLICY by_tenant ON documents")
""",
        upgrade="""
        op.execute("DROP POLICY everybody ON documents")  # flagged
        """,
    ),
    Example(
        "one of several policies dropped",
        given=f"""{DOCUMENTS}
op.execute("CREATE POLICY everybody ON documents USING (true)")
""",
        upgrade="""
        op.execute("DROP POLICY by_tenant ON documents")
        """,
    ),
]
