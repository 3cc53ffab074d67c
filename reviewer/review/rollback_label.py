"""The rollback label of a revision: what a rollback does, in one machine-readable word."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final, Literal

from reviewer.recording import (
    Change,
    Difference,
    Direction,
    Origin,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Statement,
    Table,
)
from reviewer.sql.locks import LockMode
from reviewer.sql.names import listed
from reviewer.sql.operations import Delete, Operation, Update

LOSSLESS: Final = "lossless"
"""Nothing is lost, not even what is written after the upgrade."""
LOSES_NEW_DATA: Final = "loses-new-data"
"""Existing data survives; some of what is written after the upgrade is dropped or changed."""
LOSES_EXISTING_DATA: Final = "loses-existing-data"
"""Rows or values from before the upgrade are not restored."""
DATA_DEPENDENT: Final = "data-dependent"
"""Whether the downgrade runs or fails depends on what was written after the upgrade."""
IRREVERSIBLE: Final = "irreversible"
"""The downgrade raises deliberately or does not exist, or the configuration accepts the revision as irreversible.
"""
BROKEN: Final = "broken"
"""The downgrade fails, or the upgrade fails after it."""
UNTESTED: Final = "untested"
"""Not enough is known: no server, the upgrade failed, or there were no rows to compare."""

Label = Literal[
    "lossless", "loses-new-data", "loses-existing-data", "data-dependent", "irreversible", "broken", "untested"
]
"""One of the words above."""

_NAMED = 3
"""So many tables are named one by one."""

_HOLDS_DATA = frozenset({"table", "column"})


def label(recording: Recording, revision: str) -> Label:
    """The rollback label of `revision`."""
    if revision in recording.one_way:
        return IRREVERSIBLE
    passes = [
        each for each in recording.passes if each.revision == revision and each.rehearsal is Rehearsal.STEPWISE
    ]
    down = _best(passes, Direction.DOWNGRADE)
    if down is None:
        return UNTESTED
    refused = down.failure is not None and down.failure.deliberate
    if down.outcome is Outcome.FAILED and not (refused and _fails_with_rows(passes)):
        return IRREVERSIBLE if refused else BROKEN
    again = _best(passes, Direction.UPGRADE_AGAIN)
    if again is not None and again.outcome is Outcome.FAILED and not _failed_on_new_data(again):
        return BROKEN
    if refused:  # under a condition, which holds where there are rows
        return DATA_DEPENDENT
    if any(each.revision == revision and recording.base.table(each.table) for each in recording.uncopied):
        return LOSES_EXISTING_DATA
    if down.losses or any(_held_data(each, recording) for each in down.differences):
        return LOSES_EXISTING_DATA
    trials = [each for each in recording.trials if each.revision == revision and each.written]
    if _fails_with_rows(passes) or any(each.direction is not Direction.UPGRADE for each in trials):
        return DATA_DEPENDENT
    if not down.compared or not down.rows or down.unread or _met_no_row(recording, revision, down.brought):
        return UNTESTED
    if _unwritable(recording, revision):
        return UNTESTED
    return LOSES_NEW_DATA if down.brought or down.new_losses or _deletes(down) else LOSSLESS


def _held_data(difference: Difference, recording: Recording) -> bool:
    """Whether what does not come back is a table or a column, or a schema that had tables."""
    if difference.change is not Change.MISSING:
        return False
    if difference.kind == "schema":
        return any(table.name.schema == difference.name for table in recording.base.tables)
    return difference.kind in _HOLDS_DATA


def why_untested(recording: Recording, revision: str) -> str:
    """What kept the way back from being tested, for a revision that is `untested`; empty where it was not
    rehearsed, or the states could not be compared, which is reported with what was skipped.
    """
    passes = [
        each for each in recording.passes if each.revision == revision and each.rehearsal is Rehearsal.STEPWISE
    ]
    down = _best(passes, Direction.DOWNGRADE)
    if down is None:
        reasons = (each.reason for each in passes if each.direction is Direction.DOWNGRADE)
        return next((reason for reason in reasons if reason), "")
    if not down.rows:
        return "it only ran on empty tables"
    if down.unread:
        return f"the rows of {listed([f'`{name}`' for name in down.unread], _NAMED)} could not be compared"
    if missed := _met_no_row(recording, revision, down.brought):
        return f"none of the rows was one that {listed(missed, _NAMED)} changes"
    unwritable = _unwritable(recording, revision)
    return f"nothing could be written to {listed(unwritable, _NAMED)} after the upgrade" if unwritable else ""


def _unwritable(recording: Recording, revision: str) -> list[str]:
    """The tables in which new code too could neither insert nor update a row after the upgrade."""
    refused = [r for each in recording.afterwards if each.revision == revision for r in each.refused if r.fresh]
    actions: dict[str, set[str]] = {}
    for each in refused:
        actions.setdefault(f"`{each.subject}`", set()).add(each.action)
    return [table for table, found in actions.items() if {"insert", "update"} <= found]


def _met_no_row(recording: Recording, revision: str, new: Collection[str]) -> list[str]:
    """What the upgrade changes in rows that it did not find: `its UPDATE of users`, for tables that had rows. `new` are
    the columns that it adds.
    """
    found: dict[str, int] = {}
    for each in recording.passes:
        if each.revision == revision and each.direction is Direction.UPGRADE and each.rows:
            for statement, operation in _changes(each):
                table = recording.base.table(operation.table)
                if (
                    table is None
                    or not table.rows
                    or (isinstance(operation, Update) and _fills(operation, table, new))
                ):
                    continue
                if statement.rows is not None:
                    what = f"its {type(operation).__name__.upper()} of `{operation.table}`"
                    found[what] = found.get(what, 0) + statement.rows
            for what, rows in _by_code(each, recording):
                found[what] = found.get(what, 0) + rows
    return [what for what, rows in found.items() if not rows]


def _fills(operation: Update, table: Table, new: Collection[str]) -> bool:
    """Whether it writes only to columns that the downgrade removes again: no existing value is lost by it."""
    return bool(operation.columns) and all(f"{table.name}.{each}" in new for each in operation.columns)


def _by_code(ran: Pass, recording: Recording) -> Iterator[tuple[str, int]]:
    """What DO and CALL may change in tables that had rows, each with the number of rows that they were seen to change.
    A procedure that commits is not seen at all.
    """
    for statement in ran.statements:
        code = _CODE.match(statement.sql)
        if code is None or statement.error or statement.origin is not Origin.REVISION:
            continue
        what = f"its {code.group(1).upper()}"
        if what == "its CALL" and not statement.in_transaction:
            yield what, 0
        if statement.observation is None or (what == "its DO" and not _CHANGES.search(statement.sql)):
            continue
        written = {each.relation.as_name: each.updated + each.deleted for each in statement.observation.written}
        for lock in statement.observation.locks:
            name = lock.relation.as_name
            table = recording.base.table(name)
            if lock.mode is LockMode.ROW_EXCLUSIVE and table is not None and table.rows:
                yield f"{what} block" if what == "its DO" else what, written.get(name, 0)


def _deletes(down: Pass) -> bool:
    """Whether the downgrade deletes rows. If no existing row: those that may come after the upgrade."""
    return any(isinstance(operation, Delete) for _, operation in _changes(down))


def _changes(ran: Pass) -> Iterator[tuple[Statement, Update | Delete]]:
    """The statements of the revision that update or delete rows."""
    told = [s for s in ran.statements if s.origin is Origin.REVISION and _CHANGES.search(s.sql)]
    if not told:
        return
    from reviewer.replay.stream import (
        operations,  # for the few that change rows; the words of PostgreSQL take time to import
    )

    for each in told:
        found: list[Operation] = list(operations(each))
        yield from ((each, operation) for operation in found if isinstance(operation, Update | Delete))


_CODE = re.compile(r"\s*(do|call)\b", re.IGNORECASE)
_CHANGES = re.compile(r"\b(update|delete)\b", re.IGNORECASE)


def _best(passes: Sequence[Pass], direction: Direction) -> Pass | None:
    """The pass that counts: one with rows that ended well, else one that failed with rows, else one without."""
    ran = [each for each in passes if each.direction is direction and each.outcome is not Outcome.SKIPPED]
    with_rows = [each for each in ran if each.rows] or ran
    return next((each for each in with_rows if each.outcome is Outcome.OK), with_rows[0] if with_rows else None)


def _fails_with_rows(passes: Sequence[Pass]) -> bool:
    down = [each for each in passes if each.direction is Direction.DOWNGRADE]
    return any(p.rows and p.outcome is Outcome.FAILED for p in down) and any(p.outcome is Outcome.OK for p in down)


def _failed_on_new_data(again: Pass) -> bool:
    """Whether the second upgrade failed on a value, not on what the downgrade left behind."""
    return again.failure is not None and (again.failure.sqlstate or "")[:2] in {"22", "23"} and not again.rows
