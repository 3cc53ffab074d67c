"""The code of the base commit beside a rehearsal: when it is asked, on which databases, and which revision broke
it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from reviewer.errors import ServerError
from reviewer.recording import UNTOUCHED, Broken, Catalogue, Models, OldCode, Pass
from reviewer.rehearsal.interpreter import Answer
from reviewer.rehearsal.old_code import Trial, Unavailable, affected, concerns
from reviewer.rehearsal.protocol import Compare, Probe
from reviewer.rehearsal.workbench import Workbench
from reviewer.sql.names import Name

if TYPE_CHECKING:
    from reviewer.rehearsal.prepared_statements import HeldPlans


class OldTrial:
    """The old code's statements and the models, tried before the upgrade and after it.

    The order: `hold_plans`, the deploy, `release_plans`, `begin`, the stepwise rehearsal, `finish`, `look` after each
    revision while it is `open`, `compare`, `result`.
    """

    def __init__(self, bench: Workbench) -> None:
        self.code = Trial(bench.plan.old, bench.old_process, bench.plan.no_old)
        self._bench = bench
        self._plans: HeldPlans | None = None
        self._models = Models()
        self._broke_in: dict[Broken, str] = {}
        self._given_up = False

    def close(self) -> None:
        """End its process and its session."""
        self._end_plans()
        self.code.close()

    def hold_plans(self, database: str, base: Catalogue) -> None:
        """Open a session on `database`, which is about to be upgraded, that has prepared its statements before. The
        one on another database, in which the upgrade failed, ends.
        """
        from reviewer.rehearsal.prepared_statements import HeldPlans

        self._end_plans()
        if self.code.wanted:
            with contextlib.suppress(ServerError):
                self._plans = HeldPlans(self._bench.server.connect(database), base)

    def release_plans(self, upgraded: bool) -> None:
        """End the last such session; where its database is `upgraded`, it runs its statements once more before."""
        if self._plans is not None:
            self.code.stale = self._plans.stale() if upgraded else ()
        self._end_plans()

    def _end_plans(self) -> None:
        if self._plans is not None:
            self._plans.close()
            self._plans = None

    def begin(self, before: str, after: str, base: Catalogue, passes: Iterable[Pass]) -> None:
        """Look at the models while the upgraded state is there, and let the old code try its statements beside."""
        if not self.code.wanted:
            return
        bench = self._bench
        tables = affected(passes)
        if tables is None or tables:
            bench.progress("trying the statements of the base commit's code")
            copies = bench.database(before), bench.database(after)
            bench.enter(after)
            bench.finish_beside = self.code.finish
            self.code.begin(bench.at(copies[0], Probe(head=copies[1])), tables)
        else:
            self.code.reason = UNTOUCHED
        answer = self._compare(after)
        if answer is not None:
            self.code.compared(answer, base)

    def _compare(self, database: str) -> Answer | None:
        bench = self._bench
        command = bench.at(database, Compare(facts=True, to=tuple(bench.plan.heads)))
        answer = bench.ask(command)
        if not answer.ok:
            bench.restart()
            answer = bench.ask(command)
        if answer.ok:
            return answer
        bench.restart()
        why = answer.failed.message.rstrip(".") if answer.failed else "it did not end"
        bench.skip("comparison of models and migrations", why)
        return None

    def finish(self) -> None:
        """Wait for what was begun. With one revision, everything that broke broke in that."""
        code, plan = self.code, self._bench.plan
        if not code.wanted:
            return
        if code.failure():
            self._bench.skip(self._what, code.reason)
        if len(plan.revisions) == 1:
            self._broke_in = dict.fromkeys(code.broke(), plan.revisions[0].id)

    @property
    def open(self) -> bool:
        """Whether it is not known yet in which revision something broke."""
        return self.code.wanted and not self._given_up and len(self._broke_in) < len(self.code.broke())

    def look(self, revision: str, database: str, tables: frozenset[Name] | None) -> None:
        """Try again what broke, on the state after `revision`, which has touched `tables`; None: any."""
        left = [each for each in self.code.broke() if each not in self._broke_in]
        if not concerns(left, tables):
            return
        try:
            now = self.code.still(database)
        except Unavailable as error:
            self.give_up(str(error))
            return
        for each in now:
            for wanted in left:
                if (wanted.table, wanted.column) == (each.table, each.column) and wanted not in self._broke_in:
                    self._broke_in[wanted] = revision

    def give_up(self, reason: str) -> None:
        """It cannot be asked any more."""
        self._given_up = True
        self.code.reason = reason
        self._bench.skip(self._what, reason)

    def compare(self, base: str) -> None:
        """Ask what autogenerate would have written for the state in the database `base`, if that matters."""
        if not self.code.wanted or self._given_up:
            return
        try:
            self._models = self.code.models(lambda: self._bench.at(self._bench.database(base), Compare()))
        except Unavailable as error:
            self.give_up(str(error))

    @property
    def _what(self) -> str:
        old = self._bench.plan.old
        return f"code of the base commit {old.commit[:12] if old else ''}"

    def result(self) -> tuple[OldCode, Models]:
        """What came of it, for the recording."""
        return self.code.result(self._broke_in), self._models
