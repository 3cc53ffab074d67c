"""What an upgrade does that inserts rows under keys which generated rows have.

Nobody knows which keys the rows of production have. So the rehearsal continues with generated rows that have other
keys, and an upgrade of the empty table shows whether the sequence that fills the key is left behind the new rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reviewer.recording import Afterwards, Counter, Failure
from reviewer.rehearsal import trial_state
from reviewer.rehearsal.protocol import Upgrade
from reviewer.rows import shape

if TYPE_CHECKING:
    from psycopg import Connection

    from reviewer.recording import Pass
    from reviewer.rehearsal.base_state import BaseState
    from reviewer.rehearsal.reader import Run
    from reviewer.rehearsal.workbench import Workbench
    from reviewer.sql.names import Name

_UNIQUE_VIOLATION = "23505"
_MESSAGE = re.compile(r'duplicate key value violates unique constraint "(.+)"')


def constraint_of(failure: Failure | None) -> str | None:
    """The constraint or unique index that rejected a key, if that is the failure; None otherwise."""
    if failure is None or failure.sqlstate != _UNIQUE_VIOLATION:
        return None
    found = _MESSAGE.search(failure.message)
    return found.group(1) if found else None


def has_collided(run: Run, trials: Collection[Pass]) -> bool:
    """Whether `run` failed on a key in a revision that did so before, in one of `trials`."""
    known = {each.revision for each in trials if each.collided}
    return constraint_of(run.failure) is not None and run.failed_revision in known


def behind_if_empty(bench: Workbench, base: BaseState, constraint: str) -> tuple[Counter, ...]:
    """Upgrade a copy of `base` in which the table that has `constraint` is as it was created: without rows, its
    sequences at their start. Returns those that the upgrade leaves behind the rows.
    """
    owners = base.owners(constraint)
    emptied = base.without(bench, base.together(owners))
    with bench.server.connect(emptied) as connection:
        sequences = {each.sequence for each in _counters(connection, owners)}
        for name in sequences:
            connection.execute(f"ALTER SEQUENCE {name.sql} RESTART".encode())
    if not sequences:
        return ()
    ended = bench.believed(Upgrade(to=tuple(bench.plan.heads)), partial(bench.database, emptied), observe=False)
    if not ended.run.ok:
        return ()
    with bench.server.connect(ended.database) as connection:
        return tuple(each for each in _counters(connection, owners) if each.behind)


def _counters(connection: Connection[tuple[object, ...]], tables: Collection[Name]) -> tuple[Counter, ...]:
    known = shape.read(connection, tables).tables
    return trial_state.counters(
        connection, [each for each in known if any(each.name.matches(name) for name in tables)]
    )


def with_counters(seen: Collection[Afterwards], behind: Collection[tuple[str, Counter]]) -> tuple[Afterwards, ...]:
    """Return `seen` with what was found of sequences, each with the revision that inserts the rows."""
    found = {each.revision: each for each in seen}
    for revision, counter in behind:
        before = found.get(revision, Afterwards(revision))
        others = (each for each in before.counters if each.sequence != counter.sequence)
        found[revision] = replace(before, counters=(*others, counter))
    return tuple(found.values())
