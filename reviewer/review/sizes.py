"""What sizes in production mean for a finding: the one place where they change its severity.

A finding of a rule that grows with a table (`Rule.grows`) is a notice if all its tables together are small there, and
an error if one of them is large and the server was seen to work through it. An old file does not say that a table is
still small. A table that production does not have, or
that was never analyzed, is unknown: nothing changes, and the finding says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from reviewer.recording import Direction
from reviewer.replay.stream import Understood
from reviewer.review.context import Context, Subject
from reviewer.review.finding import Finding, Growth, Severity
from reviewer.sql.names import Name, listed
from reviewer.sql.operations import AddForeignKey, Delete, Insert, Merge, Operation, Update
from reviewer.stats.sizes import Production, Size, Source, told_bytes, told_rows

PAGE = 8_192
"""Bytes that a row of a small table has at most, on average: 10,000 rows of a megabyte each are not small."""
LARGE = 100
"""How many small tables make a large one."""
_LISTED = 3


# -- which tables ---------------------------------------------------------------------------------


def growth(subject: Subject, context: Context) -> tuple[Growth, ...]:
    """The tables with whose size grows how long the statement takes: what it was seen to read, rewrite or index; what
    its text names where nobody could look. Tables that the deploy itself creates are left out, partitions count for
    the table that the statement names.
    """
    seen = [work.table.as_name for work in context.work()]
    named = list(_named(subject, context))
    names = [_whole(name, seen, named, context) for name in seen] or named
    found: dict[Name, Growth] = {}
    for name in names:
        before = _before(name, context)
        if before is not None:
            found.setdefault(before, Growth(name, before))
    return tuple(found.values())


def _named(subject: Subject, context: Context) -> Iterator[Name]:
    """The existing tables that the text names. An observed command that took no time with a table does not grow with
    it, but rows that are changed one by one, by an index, do.
    """
    operations: tuple[Operation, ...] = ()
    if isinstance(subject, Understood):
        operations = subject.operations
    elif context.understood is not None:
        operations = (subject,)  # type: ignore[assignment]
    for operation in operations:
        if context.observed and not isinstance(operation, Update | Delete | Insert | Merge):
            continue
        tables = [getattr(operation, "table", None), *getattr(operation, "sources", ())]
        if isinstance(operation, Insert) and operation.sources:
            del tables[0]  # it reads the others
        if isinstance(operation, AddForeignKey):
            tables.append(operation.key.referenced)
        yield from (each for each in tables if isinstance(each, Name) and context.exists(each))


def _whole(name: Name, seen: list[Name], named: list[Name], context: Context) -> Name:
    """The partitioned table that the statement locks or names, if it worked on every partition: production may have
    others. A partition that it worked on alone stays one.
    """
    locked = [relation.as_name for relation in context.locks()]
    while (known := context.now.table(name)) is not None and known.partition_of is not None:
        parent = known.partition_of
        meant = any(parent.matches(each) for each in (*locked, *named))
        if not meant or not all(any(leaf.matches(each) for each in seen) for leaf in _leaves(parent, context)):
            break
        name = parent
    return name


def _leaves(parent: Name, context: Context) -> Iterator[Name]:
    """The partitions that hold the rows of the table and existed before the deploy."""
    for each in context.now.partitions(parent):
        if each.kind == "partitioned table":
            yield from _leaves(each.name, context)
        elif context.exists(each.name):
            yield each.name


def _before(name: Name, context: Context) -> Name | None:
    """The name in production before the deploy; None for a table that the deploy creates, or its rollback does."""
    found = context.now.origin(name)
    if found is not None and context.direction is Direction.DOWNGRADE and context.story is not None:
        return context.story.after.origin(found)
    return found


# -- what they mean -------------------------------------------------------------------------------


def weighed(findings: Iterable[Finding], production: Production | None, small: int) -> tuple[Finding, ...]:
    """The findings with the sizes of their tables and the severity that follows from these; `small`: rows up to which
    a table is small. Without `production` as they are.
    """
    if production is None:
        return tuple(findings)
    return tuple(_weighed(each, production, small) if each.grows_with else each for each in findings)


def _weighed(finding: Finding, production: Production, small: int) -> Finding:
    tables = tuple(_sized(each, production.size(each.before)) for each in finding.grows_with)
    small_then = _small(tables, small)
    old = small_then and production.source.old
    severity = Severity.NOTICE if small_then and not old else _severity(finding, tables, small)
    lowered = severity.rank < finding.severity.rank
    return replace(
        finding,
        severity=severity,
        grows_with=tables,
        message=f"{finding.message} {_sentence(tables, lowered, production.source if old else None)}",
    )


def _sized(table: Growth, size: Size | None) -> Growth:
    return replace(table, rows=size.rows, bytes=size.bytes) if size is not None else table


def _small(tables: tuple[Growth, ...], small: int) -> bool:
    """Whether all of them together are."""
    known = [(each.rows, each.bytes) for each in tables if each.rows is not None and each.bytes is not None]
    rows, size = sum(rows for rows, _ in known), sum(size for _, size in known)
    return len(known) == len(tables) and rows <= small and size <= small * PAGE


def _severity(finding: Finding, tables: tuple[Growth, ...], small: int) -> Severity:
    """That of a finding whose tables are not known to be small."""
    known = [each.rows for each in tables if each.rows is not None and each.bytes is not None]
    worked = finding.witness is not None and bool(finding.witness.work)
    if finding.severity is Severity.WARNING and worked and any(rows > small * LARGE for rows in known):
        return Severity.ERROR
    return finding.severity


def _sentence(tables: tuple[Growth, ...], lowered: bool, old: Source | None) -> str:
    """`In production `orders` has 50 million rows (12 GB).`"""
    known = sorted((each for each in tables if each.bytes is not None), key=lambda each: -(each.bytes or 0))
    unknown = [_called(each) for each in tables if each.bytes is None]
    parts = []
    if known:
        sizes = [f"{_called(each)} has {_told(each)}" for each in known]
        end = ", so this is soon done" if lowered else ""
        if old is not None:
            end = f", but that was {old.days} days ago"
        parts.append(f"In production {listed(sizes, _LISTED)}{end}.")
    if unknown:
        what, are = ("size", "is") if len(unknown) == 1 else ("sizes", "are")
        parts.append(f"The {what} of {listed(unknown, _LISTED)} in production {are} unknown.")
    return " ".join(parts)


def _called(table: Growth) -> str:
    there = "" if table.before.matches(table.table) else f" (there `{table.before}`)"
    return f"`{table.table}`{there}"


def _told(table: Growth) -> str:
    size = told_bytes(table.bytes or 0)
    return f"{size} and was never analyzed" if table.rows is None else f"{told_rows(table.rows)} ({size})"
