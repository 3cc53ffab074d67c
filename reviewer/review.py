"""The review: a pure function from a recording to findings. Replays in order, keeps the context, asks every check."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from reviewer.context import Context, Held, Story, Subject
from reviewer.finding import Basis, Concern, Finding
from reviewer.names import Name
from reviewer.operations import (
    CreateTable,
    CreateView,
    Operation,
    RenameObject,
    RenameTable,
    SetSchema,
    Unrecognized,
)
from reviewer.parse import parse
from reviewer.phrase import NOTHING, describe
from reviewer.recording import (
    NOT_THERE,
    Direction,
    Location,
    Mode,
    Origin,
    Pass,
    Recording,
    Rehearsal,
    Revision,
    Statement,
    furthest,
)
from reviewer.rule import Check
from reviewer.savepoints import Savepoints, transaction_of, undone
from reviewer.verdict import TreeReport, Understood


def review(recording: Recording, checks: Sequence[Check]) -> TreeReport:
    """Everything that `checks` have to say about `recording`. Needs no database, no git and no clock."""
    understood = {id(p): _understand(p) for p in _all_judged(recording)}
    stories = [_story(revision, recording, understood) for revision in recording.revisions]
    ordered = sorted(checks, key=lambda check: (check.RULE.last_resort, check.RULE.id))

    findings: list[Finding] = []
    for direction in (Direction.UPGRADE, Direction.DOWNGRADE):
        asked = [check for check in ordered if direction in check.RULE.directions]
        findings += _replay(recording, stories, direction, asked, understood)
    findings += _stories(recording, stories, ordered)
    findings += _ask(recording, Context(recording, stories=tuple(stories)), ordered)
    findings = _each_once(findings)

    return TreeReport(
        recording=recording,
        findings=tuple(_in_order(_of_ways_that_exist(_without_replaced(findings, checks), recording), recording)),
        unrecognized=tuple(_unrecognized(stories)),
        phrases=tuple((s.revision.id, describe([op for op, _ in s.operations()])) for s in stories if s.ran),
    )


def _all_judged(recording: Recording) -> Iterator[Pass]:
    """The passes whose statements are looked at; those of the others are the same ones again."""
    for revision in recording.revisions:
        for direction in (Direction.UPGRADE, Direction.DOWNGRADE):
            judged = furthest(recording.passes_of(revision.id), direction)
            if judged is not None:
                yield judged


def _understand(each: Pass) -> tuple[Understood, ...]:
    return _understood(statement for statement in each.statements if statement.origin is not Origin.ALEMBIC)


def _understood(statements: Iterable[Statement]) -> tuple[Understood, ...]:
    told = [(statement, parse(statement.sql, statement.left_out > 0)) for statement in statements]
    gone = undone(told)
    return tuple(Understood(statement, read, n in gone) for n, (statement, read) in enumerate(told))


def _story(revision: Revision, recording: Recording, understood: dict[int, tuple[Understood, ...]]) -> Story:
    passes = recording.passes_of(revision.id)
    up = furthest(passes, Direction.UPGRADE)
    down = furthest(passes, Direction.DOWNGRADE)
    return Story(
        revision,
        upgrade=understood[id(up)] if up else (),
        downgrade=understood[id(down)] if down else (),
        passes=passes,
    )


_SERIAL = re.compile(r"(?:small|big)?serial", re.IGNORECASE)
"""Types whose column brings a sequence along."""
_Standing = tuple[dict[tuple[str, str], Held], frozenset[Name], int]


@dataclass
class _Replay:
    """What the statements so far have built up."""

    transaction: int | None = None
    held: dict[tuple[str, str], Held] = field(default_factory=dict)
    created: set[Name] = field(default_factory=set)
    before: list[tuple[Operation, Statement]] = field(default_factory=list)
    start: int = 0
    savepoints: Savepoints[_Standing] = field(default_factory=lambda: Savepoints(({}, frozenset(), 0)))

    def enter(self, transaction: int | None) -> None:
        if transaction is None or transaction != self.transaction:
            self.held = {}
            self.start = len(self.before)
            self.savepoints.begin(self._standing())
        self.transaction = transaction

    def take(self, understood: Understood, context: Context) -> None:
        statement = understood.statement
        for lock in context.all_locks() if statement.error is None else ():
            key = (lock.relation.schema, lock.relation.name)
            known = self.held.get(key)
            if not lock.relation.new and (known is None or known.mode < lock.mode):
                self.held[key] = Held(lock.relation, lock.mode, statement)
            if lock.relation.new:  # those too that no text names, as the sequence of a serial column
                self.created.add(lock.relation.as_name)
        if statement.error is None:
            for operation in understood.operations:
                self.follow(operation)
        self.before += [(operation, statement) for operation in understood.operations]
        if statement.error is None:
            back = self.savepoints.follow(understood.operations, self._standing())
            if back is not None:
                held, created, length = back
                self.held, self.created = dict(held), set(created)
                del self.before[length:]

    def _standing(self) -> _Standing:
        return dict(self.held), frozenset(self.created), len(self.before)

    def follow(self, operation: Operation) -> None:
        match operation:
            case CreateTable(table=name, columns=columns):
                self.created.add(name)
                counting = (each.name for each in columns if _SERIAL.match(each.type))
                self.created.update(Name(f"{name.name}_{column}_seq", name.schema) for column in counting)
            case CreateView(view=name, replace=False):
                self.created.add(name)
            case RenameTable(table=name, new_name=new) | RenameObject(object=name, new_name=new) if self.made(name):
                self.created.add(Name(new, name.schema))
            case SetSchema(object=name, new_schema=schema) if self.made(name):
                self.created.add(Name(name.name, schema))

    def made(self, name: Name) -> bool:
        return any(created.matches(name) for created in self.created)


def _replay(
    recording: Recording,
    stories: Sequence[Story],
    direction: Direction,
    checks: Sequence[Check],
    understood: dict[int, tuple[Understood, ...]],
) -> Iterator[Finding]:
    state = _Replay()
    rehearsal = None
    for story in stories:
        judged = furthest(story.passes, direction)
        if judged is None:
            continue
        alone = direction is not Direction.UPGRADE or judged.rehearsal is Rehearsal.STEPWISE
        if alone or judged.rehearsal is not rehearsal:
            # transactions are counted anew in each step, and in a deploy with other rows as in the one before; what an
            # upgrade created stays new in the deploy
            state = _Replay(created=state.created if direction is Direction.UPGRADE else set())
        rehearsal = judged.rehearsal
        for each in understood[id(judged)]:
            unseen = _unseen(story.revision, recording)
            state.enter(transaction_of(each.statement, state.transaction, unseen, each.operations))
            context = Context(
                recording,
                direction,
                story.revision,
                each,
                held=dict(state.held),
                created=frozenset(state.created),
                before=tuple(state.before),
                transaction_start=state.start,
                story=story,
                stories=tuple(stories),
            )
            if each.statement.sqlstate not in NOT_THERE:  # what it was to do cannot be done: that it failed is told
                yield from _ask_statement(each, context, checks)
            state.take(each, context)
        if judged.unrun:
            yield from _replay_unrun(judged, story, state, Context(recording, direction, story.revision), checks)


def _replay_unrun(
    judged: Pass, story: Story, state: _Replay, context: Context, checks: Sequence[Check]
) -> Iterator[Finding]:
    """What is behind the statement that failed, as its text tells, and as if that one had done its work.

    That something fails here is not told: what has failed before is the reason as often as not.
    """
    unrun = _understood(judged.unrun)
    recording = replace(context.recording, mode=Mode.STATIC)
    story = replace(story, upgrade=(*story.upgrade, *unrun))
    refused = [each for each in story.upgrade if each.statement.error is not None]
    for operation in [operation for each in refused for operation in each.operations]:
        state.follow(operation)
    missing = [
        table
        for each in refused
        if each.statement.sqlstate in NOT_THERE
        for table in _tables(each)
        if recording.base.table(table) is None and not state.made(table)
    ]
    for each in unrun:
        state.enter(state.transaction if each.statement.in_transaction else None)
        context = Context(
            recording,
            context.direction,
            story.revision,
            each,
            held=dict(state.held),
            created=frozenset(state.created),
            before=tuple(state.before),
            transaction_start=state.start,
            story=story,
            stories=(story,),
        )
        if not any(table.matches(other) for table in _tables(each) for other in missing):
            found = _ask_statement(each, context, checks)
            yield from (finding for finding in found if finding.about[:1] != ("failure",))
        state.take(each, context)


def _tables(understood: Understood) -> Iterator[Name]:
    for operation in understood.operations:
        table = getattr(operation, "table", None)
        if isinstance(table, Name):
            yield table


def _unseen(revision: Revision, recording: Recording) -> int:
    """The transaction of what no server looked at: one for each revision where env.py asks for that, else one for all,
    until a statement outside of it commits what came before.
    """
    return hash(revision.id) if recording.transactions.per_migration else 0


_WHILE_IT_RUNS = frozenset({"locking", "rewriting"})
"""Groups of rules about what hurts although it is taken back."""


def _ask_statement(each: Understood, context: Context, checks: Sequence[Check]) -> Iterator[Finding]:
    explained = False
    subjects = (*each.operations, each)
    for check in checks:
        if explained and check.RULE.last_resort:
            continue
        if each.undone and check.RULE.group not in _WHILE_IT_RUNS:
            continue
        found = [
            finding
            for subject in subjects
            if (concerns := tuple(check.check(subject, context)))  # most checks say nothing to most subjects
            for finding in _findings(check, concerns, subject, context)
        ]
        explained = explained or (bool(found) and check.RULE.about_work)
        yield from found


def _stories(recording: Recording, stories: Sequence[Story], checks: Sequence[Check]) -> Iterator[Finding]:
    for story in stories:
        yield from _ask(
            story, Context(recording, revision=story.revision, story=story, stories=tuple(stories)), checks
        )


def _ask(subject: Subject, context: Context, checks: Iterable[Check]) -> Iterator[Finding]:
    for check in checks:
        yield from _findings(check, tuple(check.check(subject, context)), subject, context)


def _findings(check: Check, concerns: Sequence[Concern], subject: Subject, context: Context) -> list[Finding]:
    once: dict[tuple[str, tuple[str, ...], Location | None], Concern] = {}
    for each in concerns:
        once.setdefault((each.message, each.about, each.location), each)
    return [
        _finding(check, each, _apart(_whole(each.remedy, subject, context), context), context)
        for each in once.values()
    ]


def _whole(remedy: tuple[str, ...], subject: Subject, context: Context) -> tuple[str, ...]:
    """The remedy of one operation, with a word on what the emitted text does besides and the remedy leaves out."""
    understood = context.understood
    if not remedy or understood is None or isinstance(subject, (Understood, Story, Recording)):
        return remedy
    if len(understood.operations) < 2:
        return remedy
    text = context.text_of(subject)
    quoted = any(" ".join(_WORDS.findall(text)) in " ".join(_WORDS.findall(body)) for body in remedy)
    covered = parse(text) if quoted else (subject,)
    others = describe([each for each in understood.operations if each not in covered])
    if others == NOTHING:
        return remedy
    left = textwrap.fill(
        f"Left to you: the same statement also {others}.", 86, initial_indent="# ", subsequent_indent="# "
    )
    return (f"{left}\n{remedy[0]}", *remedy[1:])


def _apart(remedy: tuple[str, ...], context: Context) -> tuple[str, ...]:
    """The remedy of one deploy, with a word on its place where it commits what else the revision does."""
    story, understood = context.story, context.understood
    if len(remedy) != 1 or "autocommit_block()" not in remedy[0] or story is None or understood is None:
        return remedy
    statements = story.upgrade if context.direction is Direction.UPGRADE else story.downgrade
    others = [operation for each in statements if each is not understood for operation in each.operations]
    if describe(others) == NOTHING:
        return remedy
    return (f"# in a revision of its own: the block commits what comes before it\n{remedy[0]}",)


_WORDS = re.compile(r"\w+")


def _finding(check: Check, concern: Concern, remedy: tuple[str, ...], context: Context) -> Finding:
    statement = context.understood.statement if context.understood else None
    return Finding(
        rule=check.RULE.id,
        severity=concern.severity or check.RULE.severity,
        message=concern.message,
        revision=context.revision.id if context.revision else None,
        location=concern.location or (statement.location if statement else None) or _place(context),
        direction=concern.direction or context.direction,
        basis=concern.basis or (Basis.OBSERVED if context.observed else Basis.PARSED),
        evidence={**context.evidence, **concern.evidence},
        remedy=remedy,
        about=concern.about,
        sql=statement.sql if statement else None,
    )


def _place(context: Context) -> Location | None:
    """Where a finding about a whole revision points: at its `def upgrade`."""
    revision = context.revision
    return Location(revision.path, revision.upgrade_line or 1) if revision else None


def _of_ways_that_exist(findings: Iterable[Finding], recording: Recording) -> list[Finding]:
    """Without what is said of a way back that nobody goes."""
    return [
        finding
        for finding in findings
        if finding.revision not in recording.one_way
        or (finding.direction is Direction.UPGRADE and finding.rule != "missing-downgrade")
    ]


def _each_once(findings: Iterable[Finding]) -> list[Finding]:
    """A line that runs many times, in a loop over rows for example, is told once, and how often it was so."""
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for each in findings:
        key = (each.rule, each.severity, each.message, each.revision, each.location, each.direction)
        alike.setdefault(key, []).append(each)
    return [
        replace(same[0], evidence={**same[0].evidence, "times": len(same)}) if len(same) > 1 else same[0]
        for same in alike.values()
    ]


def _without_replaced(findings: Sequence[Finding], checks: Sequence[Check]) -> list[Finding]:
    """One cause, one finding: where two rules saw the same thing, the one that replaces the other speaks."""
    rules = {check.RULE.id: check.RULE for check in checks}

    def replaced(finding: Finding, other: Finding) -> bool:
        named = finding.rule in rules[other.rule].replaces and other.revision == finding.revision
        return named and _same(finding, other)

    replacing = [finding for finding in findings if rules[finding.rule].replaces]
    kept = [finding for finding in findings if not any(replaced(finding, other) for other in replacing)]
    return [
        _in_place_of(finding, [each for each in findings if replaced(each, finding)], rules[finding.rule].quotes)
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
        judged = furthest(story.passes, Direction.UPGRADE)
        unrun = _understood(judged.unrun) if judged else ()
        for each in (*story.upgrade, *unrun, *story.downgrade):
            if any(isinstance(operation, Unrecognized) for operation in each.operations):
                yield each.statement
