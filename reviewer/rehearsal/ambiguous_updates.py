"""Which UPDATE ... FROM can give a row different values: PostgreSQL takes any of several rows, and says nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from reviewer.recording import Ambiguous, Origin, Pass, Statement
from reviewer.replay.stream import operations
from reviewer.sql.operations import Call, Copy, Delete, DoBlock, Insert, Merge, Operation, Truncate, Update
from reviewer.sql.parse import choices

if TYPE_CHECKING:
    from psycopg import Connection
    from typing_extensions import LiteralString

    from reviewer.postgres import RunningServer
    from reviewer.sql.choices import Choice
    from reviewer.sql.names import Name

_MOST = 20
"""The most UPDATEs that are examined."""
_FROM = re.compile(r"\bfrom\b", re.IGNORECASE)
_VOLATILE: LiteralString = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = ANY (%s) AND provolatile = 'v')
"""


def among(
    server: RunningServer, deployed: Sequence[Pass], after: str, before: Callable[[], str]
) -> tuple[Ambiguous, ...]:
    """Return the ambiguous updates of the passes `deployed`. The database `after` has the worst rows after these passes;
    `before` makes one that has them before. Each UPDATE is examined where its tables hold what they hold when it runs.
    """
    found = [*_found(deployed)][:_MOST]
    ambiguous, left = _seen(server, [each for each in found if each.after], after)
    if earlier := [each for each in found if each.before and (each in left or not each.after)]:
        ambiguous += _seen(server, earlier, before())[0]
    return tuple(ambiguous)


class _Found(Struct, frozen=True):
    """An UPDATE, and whether its tables hold before or after the deploy what they hold when it runs."""

    revision: str
    sql: str
    choice: Choice
    before: bool
    after: bool


def _found(deployed: Sequence[Pass]) -> Iterator[_Found]:
    sent = [
        (each.revision, statement)
        for each in deployed
        for statement in each.statements
        if statement.origin is Origin.REVISION
    ]
    for place, (revision, statement) in enumerate(sent):
        if _FROM.search(statement.sql) is None or statement.parameters or statement.left_out:
            continue
        found = choices(statement.sql)
        if len(found) != 1 or len(operations(statement)) != 1:
            continue
        (choice,) = found
        own = (choice.table,) if choice.table in choice.sources else ()
        after = not choice.reads_what_it_writes and not _written(sent[place + 1 :], (*choice.sources, *own))
        yield _Found(
            revision,
            statement.sql,
            choice,
            before=not _written(sent[:place], (*choice.sources, choice.table)),
            after=after,
        )


def _written(sent: Sequence[tuple[str, Statement]], tables: Sequence[Name]) -> bool:
    """Whether statements may write rows of `tables`."""
    return any(_writes(operation, tables) for _, statement in sent for operation in operations(statement))


def _writes(operation: Operation, tables: Sequence[Name]) -> bool:
    match operation:
        case DoBlock() | Call():
            return True
        case (
            Insert(table=table)
            | Update(table=table)
            | Delete(table=table)
            | Merge(table=table)
            | Truncate(table=table)
            | Copy(table=table)
        ):
            return table is not None and any(table.matches(each) for each in tables)
    return False


def _seen(server: RunningServer, found: Sequence[_Found], database: str) -> tuple[list[Ambiguous], list[_Found]]:
    """The ambiguous ones, and those that the database cannot tell of: what they read is gone, or not there yet."""
    import psycopg

    ambiguous: list[Ambiguous] = []
    left: list[_Found] = []
    if not found:
        return ambiguous, left
    with server.connect(database) as connection:
        connection.execute("SET statement_timeout = '5s'")
        for each in found:
            try:
                rows = _counted(connection, each.choice)
            except psycopg.Error:
                left.append(each)
            else:
                if rows:
                    ambiguous.append(Ambiguous(each.revision, each.sql, each.choice.query, rows))
    return ambiguous, left


def _counted(connection: Connection[tuple[object, ...]], choice: Choice) -> int:
    """How many rows can get different values; 0 also if these differ for every row by themselves."""
    volatile = connection.execute(_VOLATILE, [list(choice.calls)]).fetchone()
    if volatile is not None and volatile[0]:
        return 0
    counted = connection.execute(choice.query.encode()).fetchone()
    return int(str(counted[0])) if counted is not None else 0
