"""The code of the base commit beside a rehearsal: when it is asked, on which databases, and which revision broke
it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reviewer.errors import ServerError
from reviewer.recording import UNTOUCHED, Broken, Catalogue, Models, OldCode, Pass, seen_between
from reviewer.rehearsal.interpreter import Answer
from reviewer.rehearsal.old_code import Running, Trial, Unavailable, affected
from reviewer.rehearsal.protocol import Compare, Probe
from reviewer.rehearsal.workbench import Workbench
from reviewer.sql.names import Name, listed

if TYPE_CHECKING:
    from reviewer.rehearsal.prepared_statements import HeldPlans


class OldTrial:
    """The old code's statements and the models, tried before the upgrade and after it.

    The order: `starts_from`, `hold_plans`, the deploy, `release_plans`, `begin`, the stepwise rehearsal with `stepped`
    after the upgrade of each revision, `finish`, `compare`, `result`. With one revision, `begin` tries the state that
    the deploy leads to; with several, that is tried only where one of them could not be tried by itself.
    """

    def __init__(self, bench: Workbench) -> None:
        stage = bench.plan.stage
        self._own = stage is None
        self._running = Running() if stage is None else stage.old
        self.code = Trial(bench.plan.old, bench.old_process, bench.plan.no_old, self._running)
        self._bench = bench
        self._plans: HeldPlans | None = None
        self._models = Models()
        self._copies: dict[str, str] = {}
        """Copies of states before, by the database that they were made from."""
        self._left = [each.id for each in bench.plan.revisions]
        """Revisions that have not been tried and may change something for the code."""
        self._deployed: tuple[str, str, frozenset[Name] | None] | None = None

    def twin(self, bench: Workbench) -> OldTrial:
        """Return the same trial for some of the revisions, on another server. `take_in` takes in what came of it."""
        if not self._left or self.code.names_no_models or self.code.failed:
            bench.plan = replace(bench.plan, old=None)
        other = OldTrial(bench)
        other._left = [*self._left]
        return other

    def take_in(self, twin: OldTrial) -> None:
        """Take in what was tried for later revisions than here."""
        if twin.code.wanted:
            self._left = [each for each in self._left if each in twin._left]
            self.code.go_on(twin.code)
            self._bench.unreadable += twin.code.unreadable

    def close(self) -> None:
        """End its process, unless the next rehearsal continues with it, and its session."""
        self._end_plans()
        if self._own:
            self._running.close()

    def starts_from(self, database: str) -> None:
        """Keep the state before the first of several rehearsals: the code that all of them try is written for it."""
        stage = self._bench.plan.stage
        if stage is not None and self.code.wanted and stage.old.whole and not stage.old.before:
            stage.old.before = self._bench.database(database)

    def hold_plans(self, database: str, base: Catalogue) -> None:
        """Open a session on `database`, which is about to be upgraded, that has prepared its statements before. The
        one on another database, in which the upgrade failed, ends.
        """
        from reviewer.rehearsal.prepared_statements import HeldPlans

        self._end_plans()
        if self.code.wanted and self._bench.names_models:
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
        """Look at the models while the upgraded state exists, and let the old code try its statements in parallel."""
        if not self.code.wanted:
            return
        self.code.runs_as(self._bench.names_models)
        tables = affected(passes)
        if tables is not None and not tables:
            self.code.reason, self._left = UNTOUCHED, []
        elif len(self._bench.plan.revisions) == 1:
            self._try(self._left[0], before, after, tables)
        else:
            self._deployed = before, after, tables
        if self._bench.plan.stage is not None:
            return  # the models at head are written for the state after all rehearsals
        self._bench.enter(after)
        answer = self._compare(after)
        if answer is not None:
            self.code.compared(answer, base)

    def stepped(self, revision: str, before: str, database: str, ups: Iterable[Pass], base: Catalogue) -> None:
        """One of several revisions has been upgraded by itself, in `ups`: let the old code try its statements on the
        state that it leads to. `before` has the state before all of them.
        """
        if not self.code.wanted or revision not in self._left:
            return
        ups = list(ups)
        tables = affected(ups) if ups else None
        if tables is not None:  # in a deploy, what an earlier revision has made is not new any more
            tables |= {name for name in affected(ups, new=True) or () if base.table(name) is not None}
        if tables is None or tables:
            self._try(revision, before, database, tables)
        else:
            self._left.remove(revision)

    def _try(self, revision: str | None, before: str, after: str, tables: frozenset[Name] | None) -> None:
        bench = self._bench
        if self.code.failed:
            return
        if self.code.names_no_models:
            self._left = []
            return
        bench.progress("trying the statements of the base commit's code")
        copy = self._running.before if self._running.whole else ""
        if not copy and before not in self._copies:
            self._copies[before], head = bench.clones(before, after)
        else:
            head = bench.database(after)
        copy = copy or self._copies[before]
        bench.enter(after)
        bench.finish_beside = self.code.finish
        self.code.begin(revision, bench.at(copy, Probe(head=head)), tables)
        if revision is not None:
            self._left.remove(revision)

    @property
    def databases(self) -> frozenset[str]:
        """Those that it still needs."""
        deployed = self._deployed[:2] if self._deployed is not None else ()
        return self.code.databases | {*self._copies.values(), *deployed}

    def _compare(self, database: str) -> Answer | None:
        bench = self._bench
        if not bench.names_models:
            return Answer()  # which there would be too if it were asked
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
        """Wait for what was begun, and try the end of the deploy where a revision could not be tried by itself."""
        if not self.code.wanted:
            return
        try:
            if self._running.failed:
                raise Unavailable(self._running.failed)
            self.code.take_in()
            if self._deployed is not None and self._left:
                alone = self._left[0] if len(self._left) == 1 else None
                self._try(alone, *self._deployed)
                self.code.take_in()
        except Unavailable as error:
            self._bench.skip(self._what, str(error))
        else:
            if self._deployed is not None and len(self._left) > 1:
                why = f"{listed(self._left)} could not be upgraded by themselves"
                self._bench.skip("which revision breaks the code of the base commit", why)
        for each in self.code.untried:
            self._bench.skip(f"{self._what} on `{each.table}` ({each.model})", each.untried)
        self._running.whole = self._running.whole and not self._left

    def compare(self, base: str) -> None:
        """Ask what autogenerate would have written for the state in the database `base`, if that matters."""
        if not self.code.wanted or self.code.failed:
            return
        try:
            self._models = self.code.models(lambda: self._bench.at(self._bench.database(base), Compare()))
        except Unavailable as error:
            self._bench.skip(self._what, str(error))

    @property
    def _what(self) -> str:
        old = self._bench.plan.old
        return f"code of the base commit{f' `{old.commit[:12]}`' if old else ''}"

    def result(self, passes: Iterable[Pass]) -> tuple[OldCode, Models]:
        """What came of it, for the recording. `passes` are those of the deploy."""
        known = tuple(passes)

        def seen(broken: Broken) -> bool:
            return not (broken.revision and broken.until) or seen_between(known, broken.revision, broken.until)

        return self.code.result(seen), self._models
