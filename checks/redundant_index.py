"""
Another index already serves the same purpose.

## Why it hurts

An index whose columns are the leading columns of another one is never needed for a lookup, but each INSERT and
UPDATE has to maintain it, and each vacuum has to read it. A column that is listed twice adds nothing.

## Do this instead

Leave it out. If the new index replaces the old one, drop that in the same change.

## Not flagged

- A unique index: it forbids duplicates that the other one allows, as one with `NULLS NOT DISTINCT` forbids a second
  NULL.
- Partial indexes, expressions, access methods other than btree, other sort orders.
- An index or constraint that the same deploy drops.

## References

- <https://www.postgresql.org/docs/current/indexes-multicolumn.html>
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.check import (
    Concern,
    Context,
    CreateIndex,
    DropConstraint,
    DropIndex,
    Example,
    Group,
    Rule,
    Severity,
    Subject,
    about,
    concern,
    forbids_nulls_too,
    is_partial,
)

RULE = Rule(
    id="redundant-index",
    summary="every write pays for an index that no query needs",
    severity=Severity.NOTICE,
    group=Group.NOT_WORKING,
)


def check(subject: Subject, context: Context) -> Iterator[Concern]:
    match subject:
        case CreateIndex(table=table, name=name, columns=columns, where=None, method=None | "btree"):
            twice = next((column for n, column in enumerate(columns) if column in columns[:n]), None)
            if twice is not None:
                yield concern(f"The index `{name}` lists `{twice}` twice.", about=about.index(name))
                return
            if subject.include or not all(re.fullmatch(r'\w+|".+"', column) for column in columns):
                return
            dropped = {
                each.index.name if isinstance(each, DropIndex) else each.name
                for each, _ in context.later_in_deploy()
                if isinstance(each, DropIndex) or (isinstance(each, DropConstraint) and each.table.matches(table))
            }
            for other in context.now.indexes(table):
                if (
                    other.name in dropped
                    or is_partial(other)
                    or not other.valid
                    or not columns
                    or other.name == name
                ):
                    continue
                if subject.unique and not (other.unique and other.columns == columns):
                    continue
                if not forbids_nulls_too(other, subject, context.now):
                    continue
                if other.columns[: len(columns)] == columns:
                    which = f"`{other.name}`" if other.name else "a key"
                    yield concern(
                        f"The index `{name}` on `{', '.join(columns)}` is redundant with {which} on `{', '.join(other.columns)}`.",
                        about=about.index(name),
                    )
                    return


USERS = """
op.execute("CREATE TABLE users (id bigint PRIMARY KEY, name text, age int)")
op.execute("CREATE INDEX by_name_and_age ON users (name, age)")
"""

EXAMPLES = [
    Example(
        "the first column of another index",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("by_name", "users", ["name"], postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "a unique index on the primary key",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("uq_id", "users", ["id"], unique=True, postgresql_concurrently=True)  # flagged
        """,
    ),
    Example(
        "a unique index on the first column of another index",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("uq_name", "users", ["name"], unique=True, postgresql_concurrently=True)
        """,
    ),
    Example(
        "in place of a constraint that a later revision drops",
        given=USERS + '\nop.execute("ALTER TABLE users ADD CONSTRAINT one_name UNIQUE (name)")',
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("uq_name", "users", ["name"], unique=True, postgresql_concurrently=True)
        """,
        then=('op.drop_constraint("one_name", "users")',),
    ),
    Example(
        "the second column of another index",
        given=USERS,
        upgrade="""
        with op.get_context().autocommit_block():
            op.create_index("by_age", "users", ["age"], postgresql_concurrently=True)
        """,
    ),
]
