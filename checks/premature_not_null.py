"""
A new column is made NOT NULL in the deploy that adds it, before the running code writes it.

## Why it hurts

Add as nullable, fill, make NOT NULL: each of the three is right, and in one deploy they are what `required-column` is.
The code that still runs does not know the column, so from the commit on each of its INSERTs leaves it NULL and is
refused. A primary key does the same. So does a CHECK that asks for a value, as NOT VALID too: new rows are always checked, and an UPDATE of a row
that is not filled yet is refused as well.

## Do this instead

Add the column as nullable in this deploy, and let the new code write it. Once that code runs everywhere, fill the old
rows in batches, and make the column NOT NULL in a later deploy (see `scanning-not-null`). Or give it a server default.

## Not flagged

- Columns with a default, and tables on which the same deploy creates a trigger, which may fill the column, and keeps it.
- Columns that are filled in an INSERT without them, as was seen, by a trigger that was there before.
- Columns that were there before, and tables of the same deploy.

## References

- <https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-NOT-NULL>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reviewer.check import (
    AddCheck,
    AddIdentity,
    AddNotNull,
    AddPrimaryKey,
    Concern,
    Context,
    CreateObject,
    DoBlock,
    DropObject,
    Example,
    Group,
    Name,
    Operation,
    Rule,
    SetDefault,
    SetNotNull,
    Severity,
    Statement,
    Subject,
    about,
    concern,
)

RULE = Rule(
    id="premature-not-null",
    summary="each INSERT of the running code, which does not know the column, fails",
    severity=Severity.ERROR,
    group=Group.BREAKING_CODE,
    replaces=frozenset({"stricter-for-old-code"}),
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case SetNotNull(table=table, column=name) if _unwritten(table, name, context):
            yield _tightened(table, name, "is NOT NULL from here on")
        case AddNotNull(table=table, column=name) if _unwritten(table, name, context):
            yield _tightened(table, name, "takes no NULL from here on, in new rows too though it is NOT VALID")
        case AddCheck(table=table, expression=expression) if (
            found := _NOT_NULL.fullmatch(expression)
        ) and _unwritten(table, name := found[1] or found[2], context):
            yield _tightened(table, name, "takes no NULL from here on")
        case AddPrimaryKey(table=table, columns=columns, using_index=index):
            of_index = (each.columns for each in context.now.indexes(table) if each.name == index)
            for name in columns or next(of_index, ()):
                if _unwritten(table, name, context):
                    yield _tightened(table, name, "is in the primary key, and so NOT NULL, from here on")


_NOT_NULL = re.compile(r'[\s(]*(?:"([^"]+)"|([a-z_][\w$]*))\s+is\s+not\s+null[\s)]*', re.IGNORECASE)


def _tightened(table: Name, column: str, how: str) -> Concern:
    return concern(
        f"""
        `{table}.{column}` came in this deploy and {how}, without a default: each INSERT of the running code, which does not
        write it, fails until the new code is everywhere.
        """,
        about=about.column(table, column),
    )


def _unwritten(table: Name, column: str, context: Context) -> bool:
    """Whether the column came in the same deploy to a table that was there, and nothing fills it in an INSERT that leaves
    it out: no default, and no trigger that may.
    """
    if not context.exists(table) or not context.is_new_column(table, column):
        return False
    if context.was(table, column) is not None:
        return False  # it was there under another name
    known = context.now.column(table, column)
    if known is None or known.default is not None or not known.nullable or context.filled(table, column):
        return False
    before, after = context.earlier, context.later()
    if any(_may_fill(operation, table, context) for operation, _ in (*before, *after)):
        return False
    made = {name for operation, _ in (*before, *after) for name in _trigger(operation, table)}
    return made.isdisjoint(_triggers_left(table, (*before, *context.later_in_deploy())))


def _may_fill(operation: Operation, table: Name, context: Context) -> bool:
    match operation:
        case CreateObject(kind="function", replace=True):
            return context.static  # of a trigger that was there, which only a server knows
        case SetDefault(table=on) | AddIdentity(table=on):
            return on.matches(table)
        case DoBlock():
            return True
    return False


def _trigger(operation: Operation, table: Name) -> Iterator[str]:
    match operation:
        case CreateObject(kind="trigger", object=Name(name=name), table=Name() as on) if on.matches(table):
            yield name


def _triggers_left(table: Name, deploy: Sequence[tuple[Operation, Statement]]) -> set[str]:
    """The triggers on the table that the deploy creates and does not drop again."""
    left = set[str]()
    for operation, _ in deploy:
        left.update(_trigger(operation, table))
        match operation:
            case DropObject(kind="trigger", object=Name(name=name), table=Name() as on) if on.matches(table):
                left.discard(name)
    return left


USERS = 'op.create_table("users", sa.Column("id", sa.BigInteger(), primary_key=True))'

EXAMPLES = [
    Example(
        "filled and made NOT NULL in the same deploy",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.execute("UPDATE users SET age = 0")
        op.alter_column("users", "age", nullable=False)  # flagged
        """,
    ),
    Example(
        "filled and checked in the same deploy",
        given=USERS,
        upgrade="""
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.create_check_constraint("has_age", "users", "age IS NOT NULL", postgresql_not_valid=True)  # flagged
        """,
    ),
    Example(
        "filled by a trigger, also in new rows",
        given=USERS,
        upgrade='''
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.execute("""CREATE FUNCTION age() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.age := coalesce(NEW.age, 0); RETURN NEW; END $$""")
        op.execute("CREATE TRIGGER age BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION age()")
        op.execute("UPDATE users SET age = 0")
        op.alter_column("users", "age", nullable=False)
        ''',
    ),
    Example(
        "filled and made the primary key in the same deploy",
        given="""
op.execute("CREATE TABLE members (user_id bigint NOT NULL, group_id bigint NOT NULL, PRIMARY KEY (user_id, group_id))")
""",
        upgrade="""
        op.add_column("members", sa.Column("id", sa.BigInteger()))
        op.execute("UPDATE members SET id = user_id * 1000 + group_id")
        op.drop_constraint("members_pkey", "members")
        op.create_primary_key("members_pkey", "members", ["id"])  # flagged
        """,
    ),
    Example(
        "numbered by PostgreSQL and made the primary key in the same deploy",
        given="""
op.execute("CREATE TABLE members (user_id bigint NOT NULL, group_id bigint NOT NULL, PRIMARY KEY (user_id, group_id))")
""",
        upgrade="""
        op.add_column("members", sa.Column("id", sa.BigInteger(), sa.Identity()))
        op.drop_constraint("members_pkey", "members")
        op.create_primary_key("members_pkey", "members", ["id"])
        """,
    ),
    Example(
        "filled by a trigger that was there, in new rows too",
        given=f'''
        {USERS}
        op.execute("""CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$""")
        op.execute("CREATE TRIGGER fill BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fill()")
        ''',
        upgrade='''
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.execute("""CREATE OR REPLACE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.age := coalesce(NEW.age, 0); RETURN NEW; END $$""")
        op.execute("UPDATE users SET age = 0")
        op.alter_column("users", "age", nullable=False)
        ''',
    ),
    Example(
        "filled by a trigger that the same deploy drops",
        given=USERS,
        upgrade='''
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.execute("""CREATE FUNCTION age() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.age := coalesce(NEW.age, 0); RETURN NEW; END $$""")
        op.execute("CREATE TRIGGER age BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION age()")
        op.execute("UPDATE users SET age = 0")
        op.execute("DROP TRIGGER age ON users")
        op.alter_column("users", "age", nullable=False)  # flagged
        ''',
    ),
    Example(
        "filled by a trigger that is dropped and created again",
        given=USERS,
        upgrade='''
        op.add_column("users", sa.Column("age", sa.Integer()))
        op.execute("""CREATE FUNCTION age() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.age := coalesce(NEW.age, 0); RETURN NEW; END $$""")
        op.execute("CREATE TRIGGER age BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION age()")
        op.execute("DROP TRIGGER age ON users")
        op.alter_column("users", "age", nullable=False)
        op.execute("CREATE TRIGGER age BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION age()")
        ''',
    ),
]
