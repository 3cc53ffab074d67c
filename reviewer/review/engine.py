"""The review: a pure function from a recording to findings. Replays in order, tracks the context, runs every check."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from msgspec.structs import replace

from reviewer.errors import CheckError
from reviewer.recording import (
    NOT_THERE,
    Direction,
    Location,
    Lock,
    Mode,
    Origin,
    Recording,
    Rehearsal,
    Statement,
)
from reviewer.replay.schema import Schema
from reviewer.replay.stream import Story, Understood, understand
from reviewer.review import sizes
from reviewer.review.context import Context, Subject
from reviewer.review.finding import Basis, Concern, Finding, Severity
from reviewer.review.rule import Check, Group
from reviewer.review.summary import NOTHING, describe
from reviewer.review.verdict import Strongest, TreeReport
from reviewer.sql.names import Name
from reviewer.sql.operations import Operation, Unrecognized
from reviewer.stats import SMALL_TABLE, drift
from reviewer.stats.sizes import Production


def review(
    recording: Recording,
    checks: Sequence[Check],
    production: Production | None = None,
    small_table: int = SMALL_TABLE,
) -> TreeReport:
    """All findings of `checks` in `recording`, weighed by the sizes of tables in `production`, where those of up to
    `small_table` rows are small. Needs no database, git or clock.
    """
    stories = understand(recording)
    ordered = sorted(checks, key=lambda check: (check.RULE.last_resort, check.RULE.id))
    begin = Context(
        recording,
        before=stories[0].before if stories else Schema(),
        stories=stories,
        drift=drift.between(recording, production) if production is not None else (),
    )

    findings: list[Finding] = []
    for direction in (Direction.UPGRADE, Direction.DOWNGRADE):
        asked = [check for check in ordered if direction in check.RULE.directions]
        for story in stories:
            findings += _replay(story, direction, asked, begin)
    for story in stories:
        findings += _ask(story, replace(begin, now=story.before, revision=story.revision, story=story), ordered)
    findings += _ask(recording, replace(begin, now=begin.before), ordered)
    findings = _each_once(findings)
    kept = _of_ways_that_exist(_without_replaced(findings, checks), recording)

    return TreeReport(
        recording=recording,
        findings=tuple(_in_order(sizes.weighed(kept, production, small_table), recording)),
        unrecognized=tuple(_unrecognized(stories)),
        phrases=tuple((s.revision.id, describe(_own(s))) for s in stories if s.ran),
        strongest=tuple((s.revision.id, found) for s in stories if (found := strongest(s, recording)) is not None),
    )


def _own(story: Story) -> list[Operation]:
    """What the statements of the revision do: those of env.py run in every upgrade."""
    return [operation for operation, statement in story.operations() if statement.origin is Origin.REVISION]


def _replay(story: Story, direction: Direction, checks: Sequence[Check], begin: Context) -> Iterator[Finding]:
    before = begin.before if direction is Direction.UPGRADE else story.after.deployed()
    context = replace(begin, direction=direction, revision=story.revision, story=story, before=before)
    for each, at in _in_turn(story.understood(direction), context):
        if each.statement.sqlstate not in NOT_THERE:  # it could not take effect: its failure is reported
            yield from _ask_statement(each, at, checks)
    if story.unrun.get(direction):
        yield from _replay_unrun(story, context, checks)


def _in_turn(statements: Iterable[Understood], context: Context) -> Iterator[tuple[Understood, Context]]:
    """Each statement with the state in which it runs."""
    place = 0
    for each in statements:
        width = 0 if each.undone else len(each.operations)
        yield each, replace(context, understood=each, now=each.schemas[0], place=place, width=width)
        place += width


def _replay_unrun(story: Story, context: Context, checks: Sequence[Check]) -> Iterator[Finding]:
    """The statements after the one that failed, according to their text, as if that one had succeeded.

    Failures here are not reported: the earlier failure is often their cause.
    """
    ran = story.understood(context.direction)
    statements = (*ran, *story.unrun[context.direction])
    upward = context.direction is Direction.UPGRADE
    whole = replace(story, upgrade=statements) if upward else replace(story, downgrade=statements)
    context = replace(
        context, recording=replace(context.recording, mode=Mode.STATIC), story=whole, stories=(whole,)
    )
    missing = [
        table
        for each in ran
        if each.statement.sqlstate in NOT_THERE
        for table, now in _tables(each)
        if now.table(table) is None and not now.is_new(table)
    ]
    for each, at in _in_turn(statements, context):
        if each.place is None and not any(table.matches(other) for table, _ in _tables(each) for other in missing):
            found = _ask_statement(each, at, checks)
            yield from (finding for finding in found if finding.about[:1] != ("failure",))


def _tables(understood: Understood) -> Iterator[tuple[Name, Schema]]:
    for operation, now in zip(understood.operations, understood.schemas, strict=False):
        table = getattr(operation, "table", None)
        if isinstance(table, Name):
            yield table, now


def _ask_statement(each: Understood, context: Context, checks: Sequence[Check]) -> Iterator[Finding]:
    explained = False
    subjects: list[tuple[Subject, Context]] = [
        (
            operation,
            replace(
                context,
                now=now,
                place=context.place + (0 if each.undone else n),
                done=n,
                width=min(context.width, 1),
            ),
        )
        for n, (operation, now) in enumerate(zip(each.operations, each.schemas, strict=False))
    ]
    subjects.append((each, context))
    for check in checks:
        if explained and check.RULE.last_resort:
            continue
        if each.undone and not check.RULE.group.about_waiting:
            continue
        found = [
            finding
            for subject, seen in subjects
            if (concerns := _concerns(check, subject, seen))  # most checks ignore most subjects
            for finding in _findings(check, concerns, subject, seen)
        ]
        explained = explained or (bool(found) and check.RULE.about_work)
        yield from found


def _ask(subject: Subject, context: Context, checks: Iterable[Check]) -> Iterator[Finding]:
    for check in checks:
        yield from _findings(check, _concerns(check, subject, context), subject, context)


def _concerns(check: Check, subject: Subject, context: Context) -> tuple[Concern, ...]:
    """What the check says. Raises `CheckError` if it belongs to another package and fails."""
    try:
        return tuple(check.check(subject, context))
    except Exception as error:
        if check.__name__.startswith("checks."):
            raise
        raise CheckError.of(check.__name__, error) from error


def _findings(check: Check, concerns: Sequence[Concern], subject: Subject, context: Context) -> list[Finding]:
    once: dict[tuple[str, tuple[str, ...], Location | None], Concern] = {}
    for each in concerns:
        once.setdefault((each.message, each.about, each.location), each)
    return [_finding(check, each, subject, context) for each in once.values()]


def _table(subject: Subject) -> str | None:
    """The table that an operation is about."""
    found = None if isinstance(subject, Understood | Story | Recording) else getattr(subject, "table", None)
    return str(found) if isinstance(found, Name) else None


def _whole(remedy: tuple[str, ...], subject: Subject, context: Context) -> tuple[str, ...]:
    """The remedy of one operation, with a word on what the emitted text does besides and the remedy leaves out."""
    understood = context.understood
    if not remedy or understood is None or isinstance(subject, (Understood, Story, Recording)):
        return remedy
    if understood.alone and len(understood.operations) < 2:
        return remedy
    text = understood.statement.sql
    quoted = any(" ".join(_WORDS.findall(text)) in " ".join(_WORDS.findall(body)) for body in remedy)
    covered = understood.operations if quoted else (subject,)
    others = describe([each for each in _sent_with(understood, context) if each not in covered])
    if others == NOTHING:
        return remedy
    plain = others.replace("`", "")  # in a comment in code
    left = textwrap.fill(
        f"Not covered here: the same statement also {plain}.", 86, initial_indent="# ", subsequent_indent="# "
    )
    return (f"{left}\n{remedy[0]}", *remedy[1:])


def _sent_with(understood: Understood, context: Context) -> Iterator[Operation]:
    """The operations of the whole text in which a command was sent."""
    sent = context.story.understood(context.direction) if context.story and not understood.alone else (understood,)
    return (operation for each in sent if each.sent is understood.sent for operation in each.operations)


def _apart(remedy: tuple[str, ...], context: Context) -> tuple[str, ...]:
    """The remedy of one deploy, with a word on its place where it commits what else the revision does."""
    story, understood = context.story, context.understood
    if len(remedy) != 1 or "autocommit_block()" not in remedy[0] or story is None or understood is None:
        return remedy
    others = [
        operation
        for each in story.understood(context.direction)
        if each.sent is not understood.sent
        for operation in each.operations
    ]
    if describe(others) == NOTHING:
        return remedy
    return (f"# in a separate revision: the block commits the earlier statements\n{remedy[0]}",)


def _importing(body: str) -> str:
    """The body with the import that a revision made by Alembic lacks: it has `op` and `sa`, and no dialect."""
    return f"from sqlalchemy.dialects import postgresql\n\n{body}" if _DIALECT.search(body) else body


_DIALECT = re.compile(r"(?<![\w.])postgresql\.\w")
_WORDS = re.compile(r"\w+")
_SMALL = 1_000_000
"""Rows up to which the revision's own condition keeps a table small."""


def _finding(check: Check, concern: Concern, subject: Subject, context: Context) -> Finding:
    statement = context.understood.statement if context.understood else None
    found = _unguarded_finding(check, concern, subject, context, statement)
    return _guarded(found, context) if check.RULE.group.about_waiting else found


def _guarded(finding: Finding, context: Context) -> Finding:
    """What takes long on a large table only is worth a notice where the revision itself asks how large the table is."""
    table = finding.table or next(iter(finding.about[1:]), "")
    guard = context.guard_of(finding.location, table) if table else None
    if guard is None:
        return finding
    small = guard.limit <= _SMALL
    return replace(
        finding,
        severity=Severity.NOTICE if small else finding.severity,
        message=f"{finding.message} The revision does this only under its own condition `{guard.condition}`.",
    )


def _unguarded_finding(
    check: Check, concern: Concern, subject: Subject, context: Context, statement: Statement | None
) -> Finding:
    return Finding(
        rule=check.RULE.id,
        severity=concern.severity or check.RULE.severity,
        message=concern.message,
        revision=context.revision.id if context.revision else None,
        location=concern.location or (statement.location if statement else None) or _place(context),
        direction=concern.direction or context.direction,
        basis=concern.basis or (Basis.OBSERVED if context.observed else Basis.PARSED),
        evidence={**context.evidence, **concern.evidence},
        remedy=tuple(map(_importing, _apart(_whole(concern.remedy, subject, context), context))),
        about=concern.about,
        sql=statement.sql if statement else None,
        table=_table(subject),
        grows_with=sizes.growth(subject, context) if check.RULE.grows else (),
        witness=context.witness,
    )


def strongest(story: Story, recording: Recording) -> Strongest | None:
    """The strongest lock that the upgrade was seen to take, or must have taken, on existing tables."""
    found = [lock for each in story.upgrade for lock in _told_locks(each, recording)]
    alone = [
        statement
        for each in story.passes
        if each.direction is Direction.UPGRADE and each.rehearsal is Rehearsal.STEPWISE
        for statement in each.statements
        if statement.origin is not Origin.ALEMBIC and statement.observation is not None
    ]
    # what an earlier revision of the same transaction holds is seen as newly taken only where the revision runs
    # alone, and there the tables that the deploy itself creates are old ones
    found += [
        lock
        for statement in alone
        for lock in (statement.observation.locks if statement.observation else ())
        if not lock.relation.new and recording.base.table(lock.relation.as_name)
    ]
    on = [lock for lock in found if lock.relation.is_table]
    if not on:
        return None
    mode = max(lock.mode for lock in on)
    return Strongest(mode, tuple(dict.fromkeys(lock.relation for lock in on if lock.mode is mode)))


def _told_locks(each: Understood, recording: Recording) -> list[Lock]:
    seen = each.statement.observation
    if seen is None:
        return []
    if seen.transaction is None:  # its locks were gone before anybody could look: the text says which it takes
        return [lock for lock in each.locks if recording.base.table(lock.relation.as_name)]
    return [lock for lock in each.locks if not lock.relation.new]


def _place(context: Context) -> Location | None:
    """Where a finding about a whole revision points: at its `def upgrade`."""
    revision = context.revision
    return Location(revision.path, revision.upgrade_line or 1) if revision else None


def _of_ways_that_exist(findings: Iterable[Finding], recording: Recording) -> list[Finding]:
    """Without findings about downgrades that nobody runs."""
    return [
        finding
        for finding in findings
        if finding.revision not in recording.one_way or finding.direction is Direction.UPGRADE
    ]


def _each_once(findings: Iterable[Finding]) -> list[Finding]:
    """A line that runs many times, in a loop over rows for example, is reported once, with the number of times."""
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for each in findings:
        key = (each.rule, each.severity, each.message, each.revision, each.location, each.direction)
        alike.setdefault(key, []).append(each)
    return [
        replace(same[0], evidence={**same[0].evidence, "times": len(same)}) if len(same) > 1 else same[0]
        for same in alike.values()
    ]


_HARMS = frozenset({Group.LOSING_DATA, Group.BREAKING_CODE, Group.NOT_WORKING})


def _without_replaced(findings: Sequence[Finding], checks: Sequence[Check]) -> list[Finding]:
    """One cause, one finding: if two rules found the same thing, the one that replaces the other is kept."""
    rules = {check.RULE.id: check.RULE for check in checks}

    def replaced(finding: Finding, other: Finding) -> bool:
        if finding.rule not in rules[other.rule].replaces or other.revision != finding.revision:
            return False
        # what is about something else and only at the same line does not make less of it
        alike = finding.about and finding.about == other.about
        return bool(alike) or (_same(finding, other) and other.severity.rank >= finding.severity.rank)

    def explained(finding: Finding, other: Finding) -> bool:
        if rules[other.rule].yields or other.revision != finding.revision:
            return False
        harms = rules[other.rule].group in _HARMS and other.severity.rank >= finding.severity.rank
        return harms and other.direction is finding.direction and _same(finding, other)

    replacing = [finding for finding in findings if rules[finding.rule].replaces]
    kept = [finding for finding in findings if not any(replaced(finding, other) for other in replacing)]
    kept = [
        each
        for each in kept
        if not (rules[each.rule].yields and any(explained(each, other) for other in kept if other is not each))
    ]
    return [
        _in_place_of(
            finding,
            [each for each in findings if replaced(each, finding) and not rules[each.rule].yields],
            rules[finding.rule].quotes,
        )
        if rules[finding.rule].replaces
        else finding
        for finding in kept
    ]


def _in_place_of(finding: Finding, others: Sequence[Finding], quotes: bool) -> Finding:
    abouts = tuple(dict.fromkeys(about for each in others for about in (each.about, *each.stands_for)))
    return replace(_quoting(finding, others) if quotes else finding, stands_for=abouts)


def _quoting(finding: Finding, others: Sequence[Finding]) -> Finding:
    if not others:
        return finding
    return replace(
        finding,
        message=" ".join(dict.fromkeys([finding.message, *(each.message for each in others)])),
        remedy=finding.remedy or next((each.remedy for each in others if each.remedy), ()),
        evidence={**finding.evidence, "replaces": sorted({each.rule for each in others})},
    )


def _same(one: Finding, other: Finding) -> bool:
    if one.about and one.about == other.about:
        return True
    return one.location is not None and one.location == other.location and one.direction is other.direction


def _in_order(findings: Iterable[Finding], recording: Recording) -> list[Finding]:
    position = {revision.id: n for n, revision in enumerate(recording.revisions)}
    return sorted(
        findings,
        key=lambda f: (
            position.get(f.revision, -1) if f.revision else -1,
            -f.severity.rank,
            f.location.line if f.location else 0,
            f.rule,
        ),
    )


def _unrecognized(stories: Iterable[Story]) -> Iterator[Statement]:
    for story in stories:
        for each in (*story.upgrade, *story.downgrade, *chain.from_iterable(story.unrun.values())):
            if any(isinstance(operation, Unrecognized) for operation in each.operations):
                yield each.statement
