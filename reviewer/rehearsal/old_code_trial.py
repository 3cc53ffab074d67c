"""The code of the base commit beside a rehearsal: when it is asked, on which databases, and which revision broke
it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from reviewer.errors import ServerError
from reviewer.recording import Broken, Catalogue, Models, OldCode, Pass
from reviewer.rehearsal.interpreter import Answer
from reviewer.rehearsal.old_code import Trial, Unavailable, affected
from reviewer.rehearsal.protocol import Compare, Probe, Step
from reviewer.rehearsal.workbench import Workbench

if TYPE_CHECKING:
    from reviewer.rehearsal.prepared_statements import HeldPlans


class OldTrial:
    """The old code's statements and the models, tried before the upgrade and after it.

    The order: `hold_plans`, the deploy, `release_plans`, `begin`, the stepwise rehearsal, `end`, `result`.
    """

    def __init__(self, bench: Workbench) -> None:
        self.code = Trial(bench.plan.old, bench.old_process, bench.plan.no_old)
        self._bench = bench
        self._plans: HeldPlans | None = None
        self._models = Models()
        self._broke_in: dict[Broken, str] = {}

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
            self.code.reason = "the new revisions touch no existing table"
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

    def end(self, base: str) -> None:
        """Wait for what was begun, and find out which revision each thing broke in."""
        code, plan = self.code, self._bench.plan
        if not code.wanted:
            return
        what = f"code of the base commit {plan.old.commit[:12] if plan.old else ''}"
        if code.failure():
            self._bench.skip(what, code.reason)
        try:
            self._broke_in = self._which_revision(base)
            self._models = code.models(lambda: self._bench.at(self._bench.database(base), Compare()))
        except Unavailable as error:
            code.reason = str(error)
            self._bench.skip(what, str(error))

    def _which_revision(self, base: str) -> dict[Broken, str]:
        """After which revision each thing broke: by the only one, or by trying after each."""
        revisions, broken = self._bench.plan.revisions, self.code.broke()
        if not broken or len(revisions) == 1:
            return dict.fromkeys(broken, revisions[0].id)
        found: dict[Broken, str] = {}
        database = base
        for revision in revisions:
            start = partial(self._bench.database, database)
            command = Step(revision=revision.id, direction="upgrade")
            ended = self._bench.believed(command, start, observe=False)
            if not ended.run.ok:
                why = f"revision {revision.id} fails to upgrade on its own"
                self._bench.skip("which revision breaks the code of the base commit", why)
                break
            database = ended.database
            for each in self.code.still(database):
                for wanted in broken:
                    if (wanted.table, wanted.column) == (each.table, each.column) and wanted not in found:
                        found[wanted] = revision.id
            if len(found) == len(broken):
                break
        return found

    def result(self) -> tuple[OldCode, Models]:
        """What came of it, for the recording."""
        return self.code.result(self._broke_in), self._models
