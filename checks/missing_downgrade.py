"""
The downgrade does nothing: a rollback succeeds, and the database stays as the upgrade left it.

## Why it hurts

`alembic downgrade` reports success and moves the version back, while tables, columns and constraints of the upgrade
still exist. The old code then runs against the new schema, and the next upgrade fails on objects that already
exist.

## Do this instead

Write the reverse of the upgrade. If there is none, say so: `raise NotImplementedError("restore from the backup")`
stops a rollback that cannot work, and is reported as irreversible, not as a mistake. A revision without any
`downgrade()` stops it too, with an AttributeError that does not say why.

## Not flagged

- Merge revisions, and revisions whose upgrade does nothing.
- Upgrades that leave nothing to undo: VALIDATE CONSTRAINT, maintenance, comments, an enum value or an extension
  added with IF NOT EXISTS, which a downgrade should leave.
- Upgrades that undo themselves, such as a trigger that is disabled and enabled again: the database was compared.
- Pure data changes, temporary tables, and what already existed according to the server.
- A downgrade that raises deliberately.
- If the second upgrade fails because nothing was undone, `failing-second-upgrade` reports it.

## References

- <https://alembic.sqlalchemy.org/en/latest/tutorial.html#downgrading>
"""

from __future__ import annotations

from collections.abc import Iterator

from reviewer.check import (
    AddCheck,
    AddColumn,
    AddEnumValue,
    AddForeignKey,
    AddNotNull,
    AddUnique,
    Analyze,
    Basis,
    Call,
    ChangeOwner,
    Cluster,
    ClusterOn,
    Comment,
    Concern,
    Context,
    Copy,
    CreateIndex,
    CreateObject,
    CreateTable,
    CreateView,
    Delete,
    Direction,
    DoBlock,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropIndex,
    DropNotNull,
    DropTable,
    DropView,
    Example,
    Group,
    Insert,
    Location,
    LockTable,
    Merge,
    Name,
    Operation,
    Privileges,
    RefreshMaterializedView,
    Reindex,
    RowSecurity,
    Rule,
    Select,
    SessionCommand,
    SetDefault,
    SetNotNull,
    SetTrigger,
    SetVariable,
    Severity,
    Story,
    Subject,
    TransactionControl,
    Truncate,
    Unrecognized,
    Update,
    Vacuum,
    ValidateConstraint,
    about,
    concern,
)

RULE = Rule(
    id="missing-downgrade",
    summary="a rollback reports success but undoes nothing",
    severity=Severity.WARNING,
    group=Group.LOSING_DATA,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story if revision.downgrade_is_empty and not revision.is_merge:
            left = [operation for operation in _done(story) if _leaves_something(operation)]
            if left and not (_left_nothing(story) and all(_is_compared(operation) for operation in left)):
                nothing = f"`downgrade()` of `{revision.id}` does nothing"
                yield concern(
                    f"{nothing}: a rollback reports success and leaves the changes of the upgrade."
                    if revision.downgrade_line
                    else f"`{revision.id}` has no `downgrade()`: a rollback stops here with a Python error.",
                    about=about.failure(revision.id, Direction.UPGRADE_AGAIN),
                    basis=Basis.PARSED,
                    location=Location(revision.path, revision.downgrade_line or revision.upgrade_line or 1),
                    direction=Direction.DOWNGRADE,
                )


def _done(story: Story) -> Iterator[Operation]:
    """The effective operations of the upgrade, except those on its own temporary tables."""
    temporary: list[Name] = []
    for each in story.upgrade:
        seen = each.statement.observation
        if len(each.operations) == 1 and seen is not None and seen.says(", skipping"):
            continue
        for operation in each.operations:
            if isinstance(operation, CreateTable) and operation.temporary:
                temporary.append(operation.table)
            table = getattr(operation, "table", None)
            if not isinstance(table, Name) or not any(table.matches(name) for name in temporary):
                yield operation


def _left_nothing(story: Story) -> bool:
    """Whether the database was seen to be the same before the upgrade and after the downgrade."""
    downs = [each for each in story.passes if each.direction is Direction.DOWNGRADE and each.compared]
    return bool(downs) and not any(each.differences for each in downs)


def _is_compared(operation: Operation) -> bool:
    """Whether the comparison shows all that the operation can leave behind."""
    match operation:
        case SetTrigger(name=name):
            return name.lower() not in {"all", "user"}  # those of foreign keys are not compared
        case (
            CreateTable() | DropTable() | AddColumn() | DropColumn() | CreateIndex() | DropIndex() | AddCheck()
            | AddNotNull() | AddUnique() | AddForeignKey() | DropConstraint() | SetNotNull() | DropNotNull()
            | SetDefault() | DropDefault() | CreateView() | DropView() | RowSecurity()
        ):  # fmt: skip
            return True
    return False


def _leaves_something(operation: Operation) -> bool:
    match operation:
        case AddEnumValue(if_not_exists=True) | CreateObject(kind="extension" | "schema", if_not_exists=True):
            return False
        case (
            Insert() | Update() | Delete() | Merge() | Copy() | Truncate() | Select() | SetVariable() | LockTable()
            | SessionCommand() | TransactionControl() | Analyze() | Vacuum() | Cluster() | ClusterOn() | Reindex()
            | RefreshMaterializedView() | ValidateConstraint() | Comment() | Privileges() | ChangeOwner()
            | DoBlock() | Call() | Unrecognized()
        ):  # fmt: skip
            return False
    return True


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "an addition that can be repeated",
        given=USERS,
        upgrade="""
        op.execute("ALTER TABLE users ADD COLUMN IF NOT EXISTS age integer")
        """,
        downgrade="""
        # flagged
        pass
        """,
    ),
    Example(
        "nothing to take back",
        given=f"""
        {USERS}
        op.execute("ALTER TABLE users ADD CONSTRAINT positive CHECK (id > 0) NOT VALID")
        """,
        upgrade="""
        op.execute("ALTER TABLE users VALIDATE CONSTRAINT positive")
        """,
        downgrade="pass",
    ),
    Example(
        "a temporary table, and a column that is there",
        given=USERS,
        upgrade="""
        op.execute("CREATE TEMP TABLE chosen ON COMMIT DROP AS SELECT id FROM users")
        op.execute("CREATE INDEX ON chosen (id)")
        op.execute("ALTER TABLE users ADD COLUMN IF NOT EXISTS id bigint")
        """,
        downgrade="pass",
    ),
    Example(
        "what the upgrade itself takes back",
        given=f"""
        {USERS}
        op.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
        op.execute("CREATE TRIGGER nothing BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION nothing()")
        """,
        upgrade="""
        op.execute("ALTER TABLE users DISABLE TRIGGER nothing")
        op.create_table("chosen", sa.Column("id", sa.BigInteger()))
        op.drop_table("chosen")
        op.execute("ALTER TABLE users ENABLE TRIGGER nothing")
        """,
        downgrade="pass",
    ),
    Example(
        "irreversible on purpose",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        """,
        downgrade="""
        raise NotImplementedError("restore users from the backup")
        """,
    ),
]
