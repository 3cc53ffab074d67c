"""Makes a recording without a server: what `alembic upgrade --sql` renders, with the line that caused each
statement.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from reviewer import __version__
from reviewer.host.guardian import Guardian
from reviewer.host.paths import relative
from reviewer.recording import (
    Catalogue,
    Direction,
    Environment,
    Failure,
    FailureKind,
    Location,
    Mode,
    OldCode,
    Origin,
    Outcome,
    Pass,
    Recording,
    Rehearsal,
    Skipped,
    Statement,
    TransactionMode,
)
from reviewer.rehearsal.interpreter import Answer, RunnerProcess
from reviewer.rehearsal.obstacles import unreadable
from reviewer.rehearsal.plan import Plan
from reviewer.rehearsal.protocol import ModeEvent, Offline, Rendered, RevisionEvent, Unrendered
from reviewer.rehearsal.reader import shortened, without_addresses
from reviewer.rehearsal.reconstruction import Opaque, catalogue

_UNBOUND = re.compile(r"%\(\w+\)s|(?<![:\w]):[a-z_]\w*(?!:)")
"""A bind parameter that Alembic has left in the text."""


def render(plan: Plan, guardian: Guardian, folder: Path) -> Recording:
    """Render every new revision up and down, each by itself. One that cannot be rendered is listed as skipped."""
    skipped: list[Skipped] = []
    passes: list[Pass] = []
    strange: list[str] = []
    mode = TransactionMode()
    deadline = time.monotonic() + plan.timeout
    ids = tuple(revision.id for revision in plan.revisions)
    commands = {
        Direction.UPGRADE: Offline(revisions=ids),
        Direction.DOWNGRADE: Offline(revisions=ids[::-1], downgrade=True),
    }
    # Side by side, each in a process of its own. The processes end first, so that an interrupt waits for nothing.
    with ThreadPoolExecutor(len(commands) + 1) as pool, ExitStack() as stack:
        first, *others = (
            stack.enter_context(plan.process(folder, guardian, plan.runner)) for _ in range(len(commands) + 1)
        )
        answers = {
            direction: pool.submit(_answer, process, commands[direction], deadline)
            for direction, process in zip(commands, others, strict=True)
        }
        hello = first.hello()
        base, unknown = _base(plan, first)
        answered = {direction: answer.result() for direction, answer in answers.items()}
    skipped += unknown
    for direction, answer in answered.items():
        strange += [answer.unreadable] if answer.unreadable is not None else []
        found, why = read_rendered(answer, direction, plan)
        modes = [event for event in answer.events if isinstance(event, ModeEvent)]
        if modes:
            mode = TransactionMode(modes[0].per_migration, modes[0].transactional_ddl)
        for revision in plan.revisions:
            rendered = found.get(revision.id)
            if rendered is None:
                rendered = Pass(revision.id, direction, Rehearsal.DEPLOYED, Outcome.SKIPPED, reason=why)
            if rendered.outcome is not Outcome.OK and not _certain(rendered):
                reason = rendered.reason or (rendered.failure.message if rendered.failure else why)
                where = f" ({rendered.failure.location})" if rendered.failure and rendered.failure.location else ""
                skipped.append(
                    Skipped(
                        f"{direction.value} of revision {revision.id}",
                        f"it cannot be rendered as SQL: {reason}{where}",
                    )
                )
            passes.append(rendered)
            skipped += [Skipped(*shortened(each)) for each in rendered.statements if each.left_out]
            skipped += [
                Skipped(f"values of {each.location}", "the statement was rendered without its values")
                for each in rendered.statements
                if _UNBOUND.search(each.sql)
            ]
    return Recording(
        tool=__version__,
        mode=Mode.STATIC,
        revisions=plan.revisions,
        passes=tuple(passes),
        skipped=tuple(skipped),
        environment=Environment(hello.python, hello.alembic, hello.sqlalchemy),
        transactions=mode,
        history=plan.history,
        base=base,
        tree=plan.tree,
        errors=unreadable(strange) or _errors(passes),
        old_code=OldCode(reason=plan.no_old),
    )


def _answer(process: RunnerProcess, command: Offline, deadline: float) -> Answer:
    process.hello()
    return process.run(command, deadline)


def _base(plan: Plan, process: RunnerProcess) -> tuple[Catalogue, list[Skipped]]:
    """Reconstruct the base state from the text of the earlier revisions. They get only part of the time, so that
    the revisions under review are rendered too.
    """
    past: list[str | Opaque] = [plan.base_schema.text] if plan.base_schema else []
    if not plan.earlier:
        return catalogue(past), []
    command = Offline(revisions=tuple(revision.id for revision, _ in plan.earlier))
    answer = process.run(command, time.monotonic() + plan.timeout / 3)
    found, why = read_rendered(answer, Direction.UPGRADE, plan)
    untold = []
    for revision, source in plan.earlier:
        rendered = found.get(revision.id)
        if rendered is not None and rendered.outcome is Outcome.OK:
            past += [statement.sql for statement in rendered.statements]
        else:
            past.append(Opaque(source.decode("utf-8", "replace")))
            untold.append((revision.id, (rendered.reason if rendered else None) or why))
    if not untold:
        return catalogue(past), []
    revisions = f"revision {untold[0][0]}" if len(untold) == 1 else f"{len(untold)} earlier revisions"
    return catalogue(past), [
        Skipped(
            f"what {revisions} did before",
            f"{'it' if len(untold) == 1 else 'they'} cannot be rendered as SQL: {untold[-1][1]}",
        )
    ]


def read_rendered(answer: Answer, direction: Direction, plan: Plan) -> tuple[dict[str, Pass], str]:
    """Return each revision's rendered pass, and the reason why any other revision has none."""
    passes: dict[str, Pass] = {}
    current: str | None = None
    for event in answer.events:
        message = without_addresses(event.message) if isinstance(event, Unrendered) else ""
        match event:
            case RevisionEvent(phase="begin"):
                current = event.id
                passes[current] = Pass(event.id, direction, Rehearsal.DEPLOYED, Outcome.OK)
            case RevisionEvent(phase="end"):
                current = None
            case Rendered(origin="revision") if current is not None:
                location = _location(event.path, event.line or 1, plan)
                statement = Statement(
                    event.sql, location, Origin.REVISION, in_transaction=event.inside, left_out=event.left_out
                )
                passes[current] = replace(passes[current], statements=(*passes[current].statements, statement))
            case Unrendered(kind=FailureKind.IMPORT.value):
                # no database is involved: anyone who runs the revision with this interpreter gets the same error
                begun = passes.get(event.id) or Pass(event.id, direction, Rehearsal.DEPLOYED, Outcome.FAILED)
                location = _location(event.path, event.line, plan)
                failure = Failure(FailureKind.IMPORT, message, location)
                if not event.in_revision:
                    caused = _location(event.caused_path, event.caused_line, plan)
                    failure = replace(failure, location=caused, outside=location)
                passes[event.id] = replace(begun, outcome=Outcome.FAILED, failure=failure, reason=message)
            case Unrendered():
                location = _location(event.path, event.line, plan)
                failure = Failure(FailureKind.OFFLINE, message, location, deliberate=event.deliberate)
                outcome = (
                    Outcome.SKIPPED if not event.deliberate or direction is Direction.UPGRADE else Outcome.FAILED
                )
                passes[event.id] = Pass(
                    event.id, direction, Rehearsal.DEPLOYED, outcome, failure=failure, reason=message
                )
    return passes, _why(answer, plan)


def _location(path: str | None, line: int | None, plan: Plan) -> Location | None:
    return Location(relative(Path(path), plan.root), line) if path and line else None


def _why(answer: Answer, plan: Plan) -> str:
    if answer.unreadable is not None:
        return answer.unreadable
    if answer.failed is not None:
        return answer.failed.message
    if answer.timed_out:
        return f"env.py did not end within {plan.allowed}"
    if answer.exit_status is not None:
        return f"env.py ended the process with status {answer.exit_status}"
    if answer.done is not None and answer.done.calls == 0:
        return "env.py ran no migrations in offline mode"
    return "nothing was rendered for it"


def _certain(rendered: Pass) -> bool:
    """Return whether the revision fails with a database too. A finding reports that."""
    return rendered.failure is not None and rendered.failure.kind is FailureKind.IMPORT


def _errors(passes: list[Pass]) -> tuple[str, ...]:
    upgrades = [each for each in passes if each.direction is Direction.UPGRADE]
    if not upgrades or any(each.outcome is Outcome.OK or _certain(each) for each in upgrades):
        return ()
    return (
        f"No new revision can be rendered as SQL: {upgrades[0].reason}.\n"
        "Leave --static out, so that the revisions are run on a throw-away PostgreSQL.",
    )
