"""What the code of one side of the deploy cannot do, revision by revision: each break is reported once, at the
revision that causes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import Broken, Mapped
from reviewer.sql.names import Name

_GONE = frozenset({"42703", "42P01", "3F000"})
"""SQLSTATEs of a column, a table or a schema that is missing: no kind of statement can use it."""


class Tried(Struct, frozen=True):
    """What statements of models did on one state that ran on another."""

    mapped: tuple[Mapped, ...] = ()
    broken: tuple[Broken, ...] = ()
    beneath: tuple[Broken, ...] = ()
    """What shows only without the columns that something else is wrong with."""
    allowed: tuple[Broken, ...] = ()
    """INSERTs that leave out what the models do not require: whether the code sends them, the models do not say."""


class Ledger:
    """Takes in state after state, in order."""

    def __init__(self) -> None:
        self._told: dict[Name, tuple[Broken, ...]] = {}
        self._beneath: dict[Name, tuple[Broken, ...]] = {}
        """What showed beneath a break at the revision of that break, and may be its consequence: a column that is
        renamed is missing, and under its new name required."""

    def after(self, revision: str | None, tried: Tried) -> tuple[list[Broken], Mapping[Broken, str]]:
        """Take in the state after `revision`. Returns what breaks in it and did not before, and of what was returned
        earlier that which runs again.
        """
        new: list[Broken] = []
        again: dict[Broken, str] = {}
        for table in (each.table for each in tried.mapped if each.tried):
            told, hidden = self._told.get(table, ()), self._beneath.get(table, ())
            seen, beneath = _of(table, tried.broken), _of(table, tried.beneath)
            fresh = [*_fresh(seen, told)] or [*_fresh(beneath, (*told, *hidden))]
            new += (found := [replace(each, revision=revision) for each in fresh])
            # where the whole table is missing, nothing else can show
            whole = any(each.column is None and "select" in each.statements for each in seen)
            kept = [each for each in told if whole or any(_same(each, one) for one in (*seen, *beneath))]
            if revision is not None:
                again |= {each: revision for each in told if each not in kept}
            self._told[table] = (*kept, *found)
            self._beneath[table] = (*(hidden if whole else ()), *beneath)
        return new, again


def _of(table: Name, broken: Iterable[Broken]) -> list[Broken]:
    return [each for each in broken if each.table == table]


def _fresh(seen: Iterable[Broken], before: Iterable[Broken]) -> Iterator[Broken]:
    for each in seen:
        known = [one for one in before if _same(one, each)]
        if known and each.sqlstate in _GONE:
            continue
        words = [word for word in each.statements if not any(word in one.statements for one in known)]
        if words:
            yield replace(each, statements=tuple(words))


def _same(one: Broken, other: Broken) -> bool:
    """Whether both are the same break: PostgreSQL's words may name another table after a rename."""
    if one.column != other.column:
        return False
    return one.error == other.error or (one.column is not None and one.sqlstate == other.sqlstate is not None)
