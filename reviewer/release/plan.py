"""What to do, in order: check, run beforehand, split, deploy, bound, wait."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reviewer.recording import Catalogue, Recording
from reviewer.release.loops import Repeated, folded
from reviewer.release.model import Action, Duration, Hold, Plan, Sequence, Timeline, When
from reviewer.release.snippets import LOCK_TIMEOUT, WHERE
from reviewer.replay.stream import operations
from reviewer.review.verdict import Report
from reviewer.sql.names import listed
from reviewer.sql.operations import CreateIndex

_LISTED = 12
"""Most statements that want a quiet hour."""
_INDEX = re.compile(
    r"\s*CREATE\s+(?P<unique>UNIQUE\s+)?INDEX\s+(?P<concurrently>CONCURRENTLY\s+)?(?P<exists>IF\s+NOT\s+EXISTS\s+)?",
    re.IGNORECASE,
)


def plan(report: Report, recording: Recording, timeline: Timeline, sequence: Sequence) -> Plan:
    """What follows from the parts of a release for the person who runs it."""
    return Plan(
        check=tuple(_checks(report)),
        beforehand=tuple(_beforehand(timeline, recording.base)),
        split=tuple(_splits(sequence)),
        order=tuple(_order(sequence)),
        bound=tuple(_bound(timeline)),
        quiet=tuple(_quiet(timeline)),
    )


def _checks(report: Report) -> Iterator[Action]:
    for each in report.findings:
        query = each.evidence.get("query")
        if isinstance(query, str):
            where = f" of {each.revision}" if each.revision else ""
            yield Action(
                f"Rows that would stop the upgrade{where}",
                "It must return nothing, or 0, on production.",
                f"{query};",
                "sql",
                each.location,
            )


def _beforehand(timeline: Timeline, base: Catalogue) -> Iterator[Action]:
    """Indexes on existing tables: repeatable, and no other revision is needed for them."""
    for step in timeline.steps:
        found = operations(step.statement)
        match = _INDEX.match(step.statement.sql)
        if len(found) != 1 or match is None or step.statement.left_out or step.statement.error is not None:
            continue
        operation = found[0]
        if not isinstance(operation, CreateIndex) or operation.name is None:
            continue
        table = base.table(operation.table)
        # an expression or a predicate may name anything: only plain columns are known to be there
        simple = operation.columns and all(table and table.column(name) for name in operation.columns)
        if table is None or table.kind != "table" or not simple or operation.where:
            continue
        rest = step.statement.sql[match.end() :].strip().rstrip(";")
        unique = "UNIQUE " if match["unique"] else ""
        nothing = (
            f"Revision {step.revision} then does nothing here."
            if match["exists"]
            else f"Give the index in revision {step.revision} `if_not_exists=True`: it then does nothing here, and without it"
            " it fails, because the index is there."
        )
        yield Action(
            f"Index `{operation.name}` on `{operation.table}`",
            f"It blocks neither reads nor writes. {nothing} If it fails, drop the invalid index and run it again.",
            f"CREATE {unique}INDEX CONCURRENTLY IF NOT EXISTS {rest};",
            "sql",
            step.location,
        )


def _splits(sequence: Sequence) -> Iterator[Action]:
    for each in sequence.orders:
        if each.when is When.SPLIT:
            parts = "; ".join(f"{n}. {part}" for n, part in enumerate(each.how, 1))
            code = "\n\n".join(f"# deploy {n}\n{body}" for n, body in enumerate(each.remedy, 1))
            yield Action(f"Revision {each.revision.id}", parts, code, "python" if code else "")


def _order(sequence: Sequence) -> Iterator[Action]:
    if sequence.conflict:
        yield Action(sequence.trouble, sequence.conflict)
    for stage in sequence.stages:
        if stage.what == "code":
            yield Action("Deploy the new code", "Wait until no instance of the old code is left.")
        else:
            code = "\n".join(f"alembic upgrade {to}" for to in stage.to)
            yield Action(f"Migrate: {listed(list(stage.revisions), 8)}", "", code, "sh")


def _bound(timeline: Timeline) -> Iterator[Action]:
    waiting = [hold for hold in timeline.holds if hold.blocks and not hold.bounded]
    if waiting:
        tables = listed([f"`{each}`" for each in dict.fromkeys(str(hold.table) for hold in waiting)], 5)
        yield Action(
            "SET lock_timeout, with retries, in env.py",
            f"Without it a lock on {tables} waits behind the longest transaction that uses the table, and everybody else"
            f" waits behind the lock. {WHERE}",
            LOCK_TIMEOUT,
            "python",
        )
    for band in timeline.bands:
        if len(band.order) > 1:
            yield Action(
                f"Transaction {band.number} locks {', then '.join(f'`{each}`' for each in band.order)}",
                "An application that locks them in another order can meet it in a deadlock; with"
                " transaction_per_migration=True each revision keeps its locks to itself.",
            )


def _quiet(timeline: Timeline) -> Iterator[Action]:
    """What keeps others waiting for as long as a table is large, once for each statement, what a loop sends as one."""
    found = list(_waiting(timeline))
    yield from found[:_LISTED]
    if len(found) > _LISTED:
        yield Action(f"And {len(found) - _LISTED:,} more statements, which the timeline has")


def _waiting(timeline: Timeline) -> Iterator[Action]:
    seen: set[int] = set()
    for hold in sorted(timeline.holds, key=lambda each: each.duration.rank, reverse=True):
        if not hold.blocks or not hold.duration.grows_with:
            continue
        for each in _slow(timeline, hold):
            step = each.first
            if step.number not in seen:
                seen |= {other.number for other in each.steps}
                does = ", ".join(step.seen) or step.statement.sql.strip().split("\n")[0][:80]
                yield Action(
                    f"{step.revision}: {hold.blocks} of `{hold.table}` wait while it {_verb(does)}{each.times}",
                    _long(each.duration),
                    location=step.location,
                )


def _slow(timeline: Timeline, hold: Hold) -> tuple[Repeated, ...]:
    under = timeline.steps[hold.since - 1 : hold.until]
    return folded(step for step in under if step.duration.grows_with)


def _verb(does: str) -> str:
    return does if does.startswith(("rewrites", "reads", "builds")) else f"runs `{does}`"


def _long(duration: Duration) -> str:
    words = duration.words
    return words[:1].upper() + words[1:] + "."
