"""Review of each revision as a separate release: rehearsed alone, from the state before it, with rows in every
table that exists by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reviewer.host.guardian import Guardian
from reviewer.recording import Direction, History, Outcome, Pass, Recording, Rehearsal, Revision, Skipped
from reviewer.rehearsal.deploy import rehearse
from reviewer.rehearsal.interpreter import Answer, RunnerProcess
from reviewer.rehearsal.plan import Plan, Stage

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer
    from reviewer.rehearsal.protocol import Hello


def rehearse_each(
    plan: Plan,
    server: Future[RunningServer],
    guardian: Guardian,
    folder: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Recording, ...]:
    """Rehearse each revision of `plan` separately. Returns one recording for each, parents first.

    If the state before a revision cannot be reached, that revision and all later ones are reported as skipped.
    """
    found: list[Recording] = []
    stage = Stage()
    process = _Shared(plan.runner)
    try:
        for position, revision in enumerate(plan.revisions):
            part = _part(plan, position, stage)
            say = partial(_about, progress, revision)
            made = rehearse(part, server, guardian, folder, say, process.starter())
            found.append(made)
            if made.errors:
                found[-1:] = _not_reached(plan, position, made, stage)
                break
            server.result().drop_all(keep={stage.database, stage.old.before})
    finally:
        stage.old.close()
        process.close()
    return tuple(found)


def _about(progress: Callable[[str], None], revision: Revision, text: str) -> None:
    progress(f"{revision.id}: {text}")


def _part(plan: Plan, position: int, stage: Stage) -> Plan:
    revision = plan.revisions[position]
    history = plan.history if position == 0 else History()
    imports = tuple(each for each in plan.history.imports if each.revision == revision.id)
    return replace(
        plan,
        revisions=(revision,),
        base_heads=_heads(plan.base_heads, plan.revisions[:position]),
        history=replace(history, imports=imports),
        tree=f"{plan.tree}@{revision.id}",
        stage=stage,
        kept=plan.kept if position == 0 else None,
        depth=plan.depth if position == 0 else 0,
        control=plan.control if revision is plan.revisions[-1] else None,  # the last thing that the process does
    )


def _heads(base: Iterable[str], done: Iterable[Revision]) -> tuple[str, ...]:
    """Return the heads of the database after `done` have run on top of `base`."""
    known = list(done)
    parents = {parent for each in known for parent in (*each.down_revisions, *each.depends_on)}
    return tuple(each for each in (*base, *(revision.id for revision in known)) if each not in parents)


def _not_reached(plan: Plan, position: int, failed: Recording, stage: Stage) -> Iterable[Recording]:
    """Yield the failed recording of the revision at `position`, and skipped ones for all revisions after it."""
    first, *rest = plan.revisions[position:]
    if stage.failed in {each.id for each in plan.revisions[:position]}:
        reason = f"the state to start from cannot be reached, because revision {stage.failed} fails"
        # the failing revision is new and has its own review: the fix is to correct it, not to choose another state
        # to start from
        error = f"The state before revision {first.id} cannot be reached, because revision {stage.failed} fails, which is also new and has its own review."
        yield replace(
            failed,
            passes=tuple(replace(each, reason=reason) for each in failed.passes),
            skipped=(Skipped(f"revision {first.id}", reason),),
            errors=(f"{error}\nFix {stage.failed}, and review again.",),
        )
    else:
        reason = f"the state to start from cannot be reached: {failed.errors[0].splitlines()[0]}"
        yield failed
    for revision in rest:
        skipped = Pass(revision.id, Direction.UPGRADE, Rehearsal.DEPLOYED, Outcome.SKIPPED, reason=reason)
        yield replace(
            failed,
            revisions=(revision,),
            passes=(skipped,),
            skipped=(Skipped(f"revision {revision.id}", reason),),
            history=History(),
            tree=f"{plan.tree}@{revision.id}",
            errors=(),
            trials=(),
        )


class _Shared:
    """One process of the project's interpreter for all rehearsals, for as long as nothing goes wrong in it."""

    def __init__(self, runner: Callable[..., RunnerProcess]) -> None:
        self._runner = runner
        self._process: _Kept | None = None

    def starter(self) -> Callable[..., Any]:
        """Return the function with which a rehearsal starts its processes. Its first process may be a shared one;
        later ones are fresh.
        """
        served = False

        def start(*arguments: Any) -> _Kept:
            nonlocal served
            if self._process is None or served or self._process.spoilt:
                self.close()
                self._process = _Kept(self._runner(*arguments))
            served = True
            return self._process

        return start

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.process.close()


class _Kept:
    """A process that outlives the rehearsal that uses it."""

    def __init__(self, process: RunnerProcess) -> None:
        self.process = process
        self.began = process.began
        self.spoilt = False
        self._hello: Hello | None = None

    def hello(self) -> Hello:
        """Return the runner's first event, which it sends only once."""
        self._hello = self._hello or self.process.hello()
        return self._hello

    def run(self, *arguments: Any) -> Answer:
        """Run a command as `RunnerProcess.run` does."""
        answer = self.process.run(*arguments)
        self.spoilt = self.spoilt or not answer.ok
        return answer

    def close(self) -> None:
        """Do nothing: the next rehearsal may use the process."""
