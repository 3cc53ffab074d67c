"""
A failure in the middle leaves the revision half applied, and it cannot be run again.

## Why it hurts

An autocommit block commits what came before it, and each statement in it separately. If a later one fails (a
concurrent index on duplicates, a lock timeout), the earlier ones stay, but Alembic has not recorded the revision as
applied. The next `alembic upgrade` starts from its first line and fails on objects that already exist; somebody has
to repair it by hand.

## Do this instead

Put only one non-transactional statement in a revision, and nothing else. If several belong together, make each of
them repeatable: `IF NOT EXISTS`, `IF EXISTS`, or a drop before the create.

## Not flagged

- A revision of one autocommit statement; settings such as `SET lock_timeout` do not count.
- Steps before the last one that can simply be run again.
- A revision that was observed to run again on its own leftovers: because its code asks what is there, or because
  its downgrade does nothing.
- Projects that run without transactional DDL: every revision there is like this.

## References

- <https://alembic.sqlalchemy.org/en/latest/api/runtime.html#alembic.runtime.migration.MigrationContext.autocommit_block>
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from reviewer.check import (
    AddColumn,
    AddEnumValue,
    AlterColumnOptions,
    AlterColumnType,
    Analyze,
    Basis,
    ChangeOwner,
    Cluster,
    Comment,
    Concern,
    Context,
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
    DropObject,
    DropTable,
    Example,
    Group,
    LockTable,
    Name,
    Operation,
    Outcome,
    Privileges,
    RefreshMaterializedView,
    Reindex,
    ReplicaIdentity,
    RowSecurity,
    Rule,
    Select,
    SessionCommand,
    SetDefault,
    SetLogged,
    SetNotNull,
    SetStorageParameters,
    SetTrigger,
    SetVariable,
    Severity,
    Statement,
    Step,
    Story,
    Subject,
    TransactionControl,
    Truncate,
    Update,
    Vacuum,
    ValidateConstraint,
    about,
    concern,
)

RULE = Rule(
    id="half-applied-revision",
    summary="after a failure it can neither continue nor be run again",
    severity=Severity.WARNING,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case Story(revision=revision) as story if context.recording.transactions.transactional_ddl:
            steps = _steps(story)
            cleared = {
                step.operation.index if isinstance(step.operation, DropIndex) else step.operation.object
                for step in story.steps()
                if isinstance(step.operation, DropIndex | DropObject) and step.operation.if_exists
            }
            stays = next((n for n, step in enumerate(steps[:-1]) if not _repeatable(step, cleared)), None)
            if any(
                isinstance(s.operation, TransactionControl) and s.operation.action == "commit"
                for s in story.steps()
            ):
                return  # transaction-control says the same
            if stays is None or len(steps) < 2 or revision.id in context.recording.repeatable or _ran_again(story):
                return
            kept = next((s for s in steps[stays] if not _again(s.operation, cleared)), steps[stays][0]).statement
            yield concern(
                f"""
                If a later statement of `{revision.id}` fails, what this one did stays committed while the revision
                is not recorded as applied, and running it again fails.
                """,
                about=about.other("steps", revision.id),
                location=kept.location,
                basis=Basis.OBSERVED if kept.observation else Basis.PARSED,
            )


def _ran_again(story: Story) -> bool:
    """Whether its second upgrade succeeded on what the first had left, for example because its code checks what
    exists.
    """
    return story.revision.downgrade_is_empty and any(
        each.direction is Direction.UPGRADE_AGAIN and each.outcome is Outcome.OK for each in story.passes
    )


_Together = list[Step]


def _steps(story: Story) -> list[_Together]:
    """What is committed together: a transaction, or one statement outside of one."""
    found: list[_Together] = []
    last: object = None
    for each in story.steps():
        operation, statement = each.operation, each.statement
        if (
            isinstance(operation, SetVariable | Select | SessionCommand | TransactionControl)
            and not statement.error
        ):
            continue
        # a transaction that a statement has ended was not observed: it is the one that was open before
        ended = statement.error and statement.in_transaction and last is not None
        transaction = last if ended else _transaction(statement)
        same_statement = bool(found) and found[-1][-1].understood.place == each.understood.place
        if not same_statement and (not found or transaction is None or transaction != last):
            found.append([])
        found[-1].append(each)
        last = transaction
    if any(map(_of_revision, found)):
        while not _of_revision(found[-1]):
            found.pop()  # env.py goes on after it, with the next tenant's schema for example
    return found


def _of_revision(together: _Together) -> bool:
    return any(each.statement.location is not None for each in together)


def _transaction(statement: Statement) -> int | None:
    if not statement.in_transaction:
        return None
    seen = statement.observation
    return seen.transaction if seen is not None and seen.transaction is not None else -1


def _repeatable(step: _Together, cleared: Collection[Name]) -> bool:
    return all(_again(each.operation, cleared) for each in step)


def _again(operation: Operation, cleared: Collection[Name]) -> bool:
    """Whether it can run a second time and end in the same state. `cleared`: what the revision drops, if it is there."""
    match operation:
        case CreateIndex(table=table, name=str(name)):
            if _cleared(Name(name, table.schema), cleared):
                return True
        case CreateObject(object=name):
            if _cleared(name, cleared):
                return True
    match operation:
        case (
            CreateTable(if_not_exists=True) | AddColumn(if_not_exists=True) | CreateIndex(if_not_exists=True)
            | AddEnumValue(if_not_exists=True) | CreateObject(if_not_exists=True) | CreateObject(replace=True)
            | CreateView(replace=True) | DropTable(if_exists=True) | DropColumn(if_exists=True)
            | DropIndex(if_exists=True) | DropConstraint(if_exists=True) | DropObject(if_exists=True)
            | ValidateConstraint() | SetNotNull() | DropNotNull() | SetDefault() | DropDefault() | AlterColumnType()
            | AlterColumnOptions() | SetStorageParameters() | SetLogged() | SetTrigger() | RowSecurity()
            | ReplicaIdentity() | ChangeOwner() | Privileges() | Comment() | Analyze() | Vacuum() | Cluster()
            | Reindex() | RefreshMaterializedView() | LockTable() | Truncate() | Delete() | DoBlock()
            | Update(filtered=True)
        ):  # fmt: skip
            return True
    return False


def _cleared(name: Name, cleared: Collection[Name]) -> bool:
    """Whether what is called so was dropped before, if it was there."""
    return any(each.matches(name) for each in cleared)


USERS = """op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text)")"""

EXAMPLES = [
    Example(
        "a column, then a concurrent index",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))  # flagged
        with op.get_context().autocommit_block():
            op.create_index("by_name", "users", ["name"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "two indexes in one block",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("by_name", "users", ["name"], postgresql_concurrently=True)  # flagged
            op.create_index("by_both", "users", ["name", "id"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "two indexes in one block, each dropped before if a failed build has left it",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            for name, columns in (("by_name", ["name"]), ("by_both", ["name", "id"])):
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
                op.create_index(name, "users", columns, postgresql_concurrently=True)
        """,
    ),
    Example(
        "nothing but one index",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("SET lock_timeout = '5s'")
            op.create_index("by_name", "users", ["name"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "what stays can be run again",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS by_name")
            op.create_index("by_name", "users", ["name"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "a statement that fails takes back what its transaction has done",
        given=USERS,
        upgrade="""
        op.create_table("groups", sa.Column("id", sa.BigInteger(), primary_key=True))
        op.add_column("people", sa.Column("age", sa.Integer()))
        """,
    ),
    Example(
        "asks what is there already, and takes it back",
        given=USERS,
        upgrade="""
        existing = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("users")}
        with op.get_context().autocommit_block():
            for name, columns in (("by_name", ["name"]), ("by_both", ["name", "id"])):
                if name not in existing:
                    op.create_index(name, "users", columns, postgresql_concurrently=True)
        """,
        downgrade="""
        with op.get_context().autocommit_block():
            op.drop_index("by_both", "users", postgresql_concurrently=True)
            op.drop_index("by_name", "users", postgresql_concurrently=True)
        """,
    ),
    Example(
        "decides something else",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            if op.get_bind().dialect.name == "postgresql":
                op.create_index("by_name", "users", ["name"], postgresql_concurrently=True)  # flagged
                op.create_index("by_both", "users", ["name", "id"], postgresql_concurrently=True)
        """,
    ),
    Example(
        "asks what is there already",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            if "age" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("users")}:
                op.add_column("users", sa.Column("age", sa.Integer()))
                op.add_column("users", sa.Column("size", sa.Integer()))
        """,
        downgrade="""
        pass
        """,
    ),
]
