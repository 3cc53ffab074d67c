"""What a statement did and what its transaction held: the facts that checks ask for and reports show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from reviewer.recording import Lock, Observation, Relation, Statement
from reviewer.sql.locks import LockMode
from reviewer.sql.names import Name


class Place(Struct, frozen=True):
    """Which statement of a recording: by the index of its pass, and by its index within that, from 0."""

    run: int
    statement: int


class Held(Struct, frozen=True):
    """A lock that the transaction holds on a relation that existed before the deploy."""

    relation: Relation
    mode: LockMode
    since: Statement
    """The statement that took it."""


def also_holding(
    held: Mapping[tuple[str, str], Held], locks: Iterable[Lock], since: Statement
) -> Mapping[tuple[str, str], Held]:
    """`held` after the statement `since` has taken `locks`: the strongest on each existing relation."""
    for lock in locks:
        key = (lock.relation.schema, lock.relation.name)
        known = held.get(key)
        if not lock.relation.new and (known is None or known.mode < lock.mode):
            held = {**held, key: Held(lock.relation, lock.mode, since)}
    return held


Kind = Literal["rewrite", "scan", "build"]
"""What takes time in proportion to a table; `build` is of an index."""


class Work(Struct, frozen=True):
    """Something that a statement did and that takes time in proportion to an existing table."""

    kind: Kind
    table: Relation
    rows: int | None = None
    """Rows read in the rehearsal, for a scan."""
    index: Relation | None = None
    """The index that was built."""

    @property
    def phrase(self) -> str:
        """What happened, for a message: `rewrites orders`, `reads every row of orders`."""
        match self.kind:
            case "rewrite":
                return f"rewrites `{self.table}`"
            case "build":
                return f"builds index `{self.index}` on `{self.table}`"
            case _:
                return f"reads every row of `{self.table}`"


class Witness(Struct, frozen=True):
    """What is known about the statement that a finding is about."""

    place: Place
    refusal: Place | None = None
    """The same statement in a pass in which the server rejected it, for example because of rows."""
    held: tuple[Held, ...] = ()
    """Locks that block others and that the transaction held before, strongest first."""
    locks: tuple[Lock, ...] = ()
    """The strongest lock that it newly acquired on each existing table, as observed, or as documented."""
    work: tuple[Work, ...] = ()


def work(seen: Observation | None) -> tuple[Work, ...]:
    """What takes time in proportion to an existing table: rewrites, index builds, scans. A rewrite includes the
    scan and the index builds that come with it, an index build the scan.
    """
    if seen is None:
        return ()
    rewritten = [Work("rewrite", table) for table in seen.rewritten if not table.new and table.is_table]
    whole = {each.table.as_name for each in rewritten}
    built = [
        Work("build", Relation(index.schema, index.table, "table"), index=index)
        for index in seen.built
        if index.table and not index.table_new and Name(index.table, index.schema) not in whole
    ]
    whole |= {each.table.as_name for each in built}
    scanned = [
        Work("scan", scan.relation, rows=scan.rows)
        for scan in seen.scanned
        if not scan.relation.new and scan.relation.is_table and scan.relation.as_name not in whole
    ]
    return (*rewritten, *built, *scanned)


def on_tables(locks: Iterable[Lock]) -> dict[Relation, LockMode]:
    """The strongest lock on each existing table, in the order in which they were taken; indexes left out."""
    found: dict[Relation, LockMode] = {}
    for lock in locks:
        if lock.relation.is_table and not lock.relation.new:
            known = found.get(lock.relation)
            found[lock.relation] = max(lock.mode, known) if known else lock.mode
    return found


def blocking(held: Iterable[Held]) -> tuple[Held, ...]:
    """Those locks on tables that others wait for, strongest first."""
    found = [each for each in held if each.relation.is_table and each.relation.hindered_by(each.mode)]
    return tuple(sorted(found, key=lambda each: -each.mode.strength))
