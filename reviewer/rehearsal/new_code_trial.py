"""The code at head on the schema before the new revisions: what goes wrong if it is deployed first, and which revision
each such thing waits for.

The same trial as with the code of the base commit, with the roles of the two states swapped.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs
from msgspec.structs import replace

from reviewer.recording import UNTOUCHED, Broken, Mapped, NewCode, Pass
from reviewer.rehearsal.old_code import PATIENCE, affected, concerns, read_tried
from reviewer.rehearsal.protocol import Probe
from reviewer.rehearsal.workbench import Workbench
from reviewer.sql.names import Name, listed

_NO_MODELS = "its env.py names no models as target_metadata"


class NewTrial:
    """The order: `begin`, then `look` after each of several revisions, then `finish`, then `result`."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._command: Probe | None = None
        self._mapped: tuple[Mapped, ...] | None = None
        self._broken: tuple[Broken, ...] = ()
        self._runs_after: dict[Broken, str] = {}
        self._seen: set[str] = set()
        self._reason = "" if bench.plan.new_code else "not asked for"

    def begin(self, before: str, after: str, passes: Iterable[Pass]) -> None:
        """Try the statements that run on the state `after` on the one `before`."""
        if not self._bench.plan.new_code:
            return
        tables = affected(passes, new=True)
        if tables is not None and not tables:
            self._reason = UNTOUCHED
            return
        if not self._bench.names_models:
            self._reason = _NO_MODELS
            return
        self._bench.progress("trying the statements of the new code on the schema before")
        only = None if tables is None else tuple(sorted((n.schema or "public", n.name) for n in tables))
        # copies: a pool of the application may keep a connection open
        upgraded = self._bench.database(after)
        self._command = self._bench.at(upgraded, Probe(head=self._bench.database(before), tables=only))
        found = self._ask(self._command)
        if found is None:
            return
        self._mapped, self._broken = found
        for each in self._mapped:
            if each.untried:
                self._bench.skip(f"the new code on `{each.table}` ({each.model})", each.untried)
        if not self._mapped:
            self._mapped = None
            self._reason = _NO_MODELS
        elif len(self._bench.plan.revisions) == 1:
            self._runs_after = dict.fromkeys(self._broken, self._bench.plan.revisions[0].id)

    def twin(self, bench: Workbench, before: str, deployed: Iterable[Pass]) -> NewTrial:
        """Return the same trial for some of the revisions, on another server, where the state before all of them is in
        the database `before`. `take_in` takes in what came of it.
        """
        other = NewTrial(bench)
        if self._left:
            ended = bench.upgraded([each.id for each in bench.plan.revisions], before)
            if ended.run.ok:
                other.begin(before, ended.database, deployed)
        return other

    def take_in(self, twin: NewTrial) -> None:
        """Take in what was seen after later revisions than here."""
        self._seen |= twin._seen
        for each, revision in twin._runs_after.items():
            self._runs_after.setdefault(each, revision)

    @property
    def _left(self) -> list[Broken]:
        """What is not known to run after any revision yet."""
        return [each for each in self._broken if each not in self._runs_after]

    def look(self, revision: str, database: str, touched: frozenset[Name] | None) -> None:
        """Try again what did not run, on the state in `database` after `revision`, which has touched these tables; None:
        any.
        """
        left = self._left
        if not left or not concerns(left, touched):
            self._seen.add(revision)
            return
        assert self._command is not None, "something was tried"
        tables = tuple(sorted({(each.table.schema or "public", each.table.name) for each in left}))
        # a copy: a pool of the application may keep a connection open
        copy = self._bench.database(database)
        found = self._ask(structs.replace(self._command, head=copy, tables=tables))
        if found is None:
            return
        self._seen.add(revision)
        still = {(each.table, each.column) for each in found[1]}
        # if the whole table was missing, its columns are reported one by one once it exists
        partly = {each.table for each in found[1]}
        for each in left:
            if (each.table, each.column) not in still and not (each.column is None and each.table in partly):
                self._runs_after[each] = revision

    def finish(self) -> None:
        """Say where it is not known which revision something waits for."""
        if self._left and len(self._unseen) > 1 and not self._reason:
            self._bench.skip(
                "which revision the new code needs", f"{listed(self._unseen)} could not be upgraded by themselves"
            )

    @property
    def _unseen(self) -> list[str]:
        return [each.id for each in self._bench.plan.revisions if each.id not in self._seen]

    def result(self) -> NewCode:
        """What came of it, for the recording."""
        left = self._unseen
        # it runs after all of them: where one alone was not looked at, that is it
        last = left[0] if len(left) == 1 else None
        known = [(each, self._runs_after.get(each, last)) for each in self._broken]
        return NewCode(
            self._mapped, tuple(replace(each, revision=revision) for each, revision in known), self._reason
        )

    def _ask(self, command: Probe) -> tuple[tuple[Mapped, ...], tuple[Broken, ...]] | None:
        answer = self._bench.ask(command, PATIENCE)
        if not answer.ok:
            self._bench.restart()
            answer = self._bench.ask(command, PATIENCE)
        if answer.ok:
            tried = read_tried(answer)
            return tried.mapped, (*tried.broken, *tried.allowed)
        self._bench.restart()
        why = answer.failed.message.rstrip(".") if answer.failed else "its env.py did not end"
        self._reason = self._reason or why
        self._bench.skip("the new code on the schema before", why)
        return None
