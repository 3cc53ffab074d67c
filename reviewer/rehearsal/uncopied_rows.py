"""Which DELETE or DROP TABLE takes more rows than the same upgrade has copied before: a join or a WHERE of the copy left some
out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reviewer.recording import Origin, Pass, Statement, Uncopied
from reviewer.replay.stream import operations
from reviewer.sql.names import Name
from reviewer.sql.operations import CreateTable, Delete, DropTable, Insert, Merge, Operation, Truncate, Update

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

_FEWER_ROWS = re.compile(
    r"\b(?:group\s+by|distinct|on\s+conflict|limit|fetch|union|intersect|except|count|sum|min|max|avg|\w+_agg|returning)\b",
    re.IGNORECASE,
)
"""What lets a copy have fewer rows on purpose, or tell of others."""
_LAST_LIMIT = re.compile(r"\blimit\s+\d+[\s;]*$", re.IGNORECASE)
"""It cuts off the copy as a whole, which leaves rows out whatever was meant."""


def among(server: RunningServer, passes: Iterable[Pass], before: Callable[[], str]) -> tuple[Uncopied, ...]:
    """Return the DELETEs and DROP TABLEs of `passes`, which have succeeded, that took rows of which there is no copy
    although others have been copied to a new table. `before` makes a database with the rows that there were.
    """
    sent = [
        (each.revision, statement)
        for each in passes
        for statement in each.statements
        if statement.origin is Origin.REVISION
    ]
    deleted = tuple(_deleted(sent))
    dropped = tuple(_dropped(sent))
    return (*deleted, *_with_rows(server, before(), dropped)) if dropped else deleted


def _deleted(sent: Sequence[tuple[str, Statement]]) -> Iterator[Uncopied]:
    for place, (revision, statement) in enumerate(sent):
        match operations(statement):
            case (Delete(table=table),) if statement.rows and not _FEWER_ROWS.search(statement.sql):
                copied = _copied([each for _, each in sent[:place]], table)
                if copied is not None and 0 < copied < statement.rows:
                    yield Uncopied(revision, statement.sql, table, statement.rows, copied)


def _dropped(sent: Sequence[tuple[str, Statement]]) -> Iterator[Uncopied]:
    """The tables that are dropped after some rows of them were copied. How many they had is not known yet."""
    for place, (revision, statement) in enumerate(sent):
        for operation in operations(statement):
            if isinstance(operation, DropTable) and statement.error is None:
                copied = _copied([each for _, each in sent[:place]], operation.table)
                if copied:
                    yield Uncopied(revision, statement.sql, operation.table, 0, copied)


def _with_rows(server: RunningServer, database: str, dropped: Iterable[Uncopied]) -> Iterator[Uncopied]:
    """Those that had more rows than were copied."""
    with server.connect(database) as connection:
        for each in dropped:
            there = connection.execute("SELECT pg_catalog.to_regclass(%s)", [each.table.sql]).fetchone()
            if there is None or there[0] is None:
                continue
            counted = connection.execute(f"SELECT pg_catalog.count(*) FROM {each.table.sql}".encode()).fetchone()
            rows = int(str(counted[0])) if counted is not None else 0
            if rows > each.copied:
                yield replace(each, deleted=rows)


def _copied(sent: Iterable[Statement], table: Name) -> int | None:
    """How many rows of `table` have been copied to other tables; None if the numbers do not tell that."""
    copied = 0
    for statement in sent:
        for operation in operations(statement):
            if not _reads(operation, table):
                if _writes(operation, table):
                    return None
                continue
            alone = len(operations(statement)) == 1 and not _FEWER_ROWS.search(_LAST_LIMIT.sub("", statement.sql))
            if not alone or statement.rows is None or not _adds(operation):
                return None
            copied += statement.rows
    return copied


def _adds(operation: Operation) -> bool:
    """Whether it copies rows whatever the table has already that they go to."""
    match operation:
        case CreateTable():
            return True
        case Insert(table=into, sources=sources):
            return not any(each.matches(into) for each in sources)
    return False


def _reads(operation: Operation, table: Name) -> bool:
    match operation:
        case (
            CreateTable(sources=sources)
            | Insert(sources=sources)
            | Update(sources=sources)
            | Merge(sources=sources)
        ):
            return any(each.matches(table) for each in sources)
    return False


def _writes(operation: Operation, table: Name) -> bool:
    match operation:
        case Insert(table=on) | Delete(table=on) | Merge(table=on) | Truncate(table=on):
            return on.matches(table)
    return False
