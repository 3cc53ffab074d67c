"""Which DELETE takes more rows than the same upgrade has copied before: a join or a WHERE of the copy left some out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from reviewer.recording import Origin, Pass, Statement, Uncopied
from reviewer.replay.stream import operations
from reviewer.sql.names import Name
from reviewer.sql.operations import CreateTable, Delete, Insert, Merge, Operation, Truncate, Update

_FEWER_ROWS = re.compile(
    r"\b(?:group\s+by|distinct|on\s+conflict|limit|fetch|union|intersect|except|count|sum|min|max|avg|\w+_agg|returning)\b",
    re.IGNORECASE,
)
"""What lets a copy have fewer rows on purpose, or tell of others."""


def among(passes: Iterable[Pass]) -> tuple[Uncopied, ...]:
    """Return the DELETEs of `passes`, which have succeeded, that took rows of which there is no copy although others have
    been copied to a new table.
    """
    sent = [
        (each.revision, statement)
        for each in passes
        for statement in each.statements
        if statement.origin is Origin.REVISION
    ]
    return tuple(_found(sent))


def _found(sent: Sequence[tuple[str, Statement]]) -> Iterator[Uncopied]:
    for place, (revision, statement) in enumerate(sent):
        match operations(statement):
            case (Delete(table=table),) if statement.rows and not _FEWER_ROWS.search(statement.sql):
                copied = _copied([each for _, each in sent[:place]], table)
                if copied is not None and 0 < copied < statement.rows:
                    yield Uncopied(revision, statement.sql, table, statement.rows, copied)


def _copied(sent: Iterable[Statement], table: Name) -> int | None:
    """How many rows of `table` have been copied to new tables; None if the numbers do not tell that."""
    made: list[Name] = []
    copied = 0
    for statement in sent:
        for operation in operations(statement):
            if isinstance(operation, CreateTable):
                made.append(operation.table)
            if not _reads(operation, table):
                if _writes(operation, table):
                    return None
                continue
            alone = len(operations(statement)) == 1 and not _FEWER_ROWS.search(statement.sql)
            into = operation.table if isinstance(operation, CreateTable | Insert) else None
            if into is None or not alone or statement.rows is None or into not in made:
                return None
            copied += statement.rows
    return copied


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
