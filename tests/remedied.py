"""What is wrong with a remedy: deployed as it says, it runs, ends where the flagged statement would, keeps every value,
lets code that knows only the state before go on at every step, and is not flagged itself.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

import checks
from reviewer.recording import Catalogue, Direction, Outcome, Recording
from reviewer.rehearsal import row_comparison
from reviewer.rehearsal.catalogue_snapshot import compare
from reviewer.rehearsal.row_comparison import Rows
from reviewer.review.engine import review
from reviewer.review.finding import Finding
from reviewer.review.rule import Group
from reviewer.sql.names import Name
from reviewer.sql.parse import parse
from tests import examples, reversal
from tests.examples import Bench, Story
from tests.old_statements import Watcher

ELSEWHERE = {
    "frozen-default": "the flagged default is what is wrong",
    "quoted-default": "the flagged default is what is wrong",
    "blocking-detach-partition": "DETACH CONCURRENTLY leaves a CHECK that says what the bound was",
    "rewriting-generated-column": "a virtual column, or a plain one that a trigger fills",
    "rewriting-serial": "a sequence as default, also where an identity was asked for",
    "rewriting-type-change": "a second column stands beside the old one until no code reads the old one",
}
"""Rules whose remedy ends in another schema than the flagged statement, and why that is meant."""

OTHER_VALUES = {
    "frozen-default": "each run has a moment of its own",
    "quoted-default": "the flagged values have the quotes in them",
    "rename-as-drop": "the flagged statement destroys what the remedy copies",
    "rewriting-default": "each run draws values of its own",
}
"""Rules whose remedy ends with other values than the flagged statement, and why that is meant. None of the values that
were there before is lost all the same.
"""

_SAME_END = frozenset({Group.LOCKING, Group.REWRITING, Group.NOT_WORKING})
"""Groups in which the flagged statement is right but for the way: what breaks running code has another end."""


def faults(bench: Bench, story: Story, finding: Finding, recording: Recording) -> Iterator[str]:
    """What is wrong with the remedy of `finding`, which is about `recording` of `story`; a sentence each."""
    for body in finding.remedy:
        if missing := _not_imported(body):
            yield f"a revision that Alembic has made does not know {missing}"
    remedy = story.with_remedy(finding, recording)
    watched = bench.watched(remedy)
    remedied = bench.record(remedy)
    yield from remedied.errors
    failed = [
        each for each in remedied.passes if each.direction is Direction.UPGRADE and each.outcome is not Outcome.OK
    ]
    for each in failed:
        yield f"step {each.revision} does not run: {each.failure.message if each.failure else each.reason}"
    # what the migration itself was told of rows that may be there is as true of its remedy
    told = {f.rule for f in review(recording, checks.load()).findings} - {finding.rule}
    for other in examples.loud(review(remedied, checks.load()).findings):
        if other.rule not in told:
            yield f"{other.severity.value} {other.rule}: {other.message}"
    if not failed:
        yield from _end(watched, _meant(bench, story, finding, recording), finding, recording.base)


def _not_imported(body: str) -> set[str]:
    """The names that the body uses, and neither it nor the template of Alembic's revisions defines."""
    nodes = [*ast.walk(ast.parse(body))]
    names = [each for each in nodes if isinstance(each, ast.Name)]
    own = {each.id for each in names if not isinstance(each.ctx, ast.Load)}
    own |= {name.asname or name.name for each in nodes if isinstance(each, ast.ImportFrom) for name in each.names}
    return {each.id for each in names} - own - {"op", "sa", *dir(builtins)}


def one_way(bench: Bench, story: Story, finding: Finding, recording: Recording) -> Iterator[str]:
    """What of the remedy does not run again after it was undone."""
    remedy = story.with_remedy(finding, recording)
    undone = reversal.downgrades(bench.record(remedy))
    if undone is None:
        return
    for each in bench.record(replace(remedy, downgrades=undone)).passes:
        if each.outcome is not Outcome.OK:
            why = each.failure.message if each.failure else each.reason
            yield f"{each.direction.value} of step {each.revision} does not run: {why}"


def _meant(bench: Bench, story: Story, finding: Finding, recording: Recording) -> Watcher | None:
    """What the flagged statement makes by itself; None where it does not run."""
    if finding.direction is not Direction.UPGRADE:
        return None
    watched = bench.deployed(story.without_remedy(finding, recording))
    return watched if watched.schema is not None else None


def _end(reached: Watcher, meant: Watcher | None, finding: Finding, base: Catalogue) -> Iterator[str]:
    group = checks.by_id()[finding.rule].RULE.group
    # what the flagged statement is there to refuse, it refuses in another way too
    refused_anyway = meant.refused["all"] if meant and group in _SAME_END else {}
    for step, refused in reached.refused.items():
        for statement, words in refused.items():
            if statement not in refused_anyway:
                yield f"after step {step} old code fails with {words}: {statement}"
    alone = finding.sql is not None and len(parse(finding.sql)) == 1  # of several things only one is remedied
    assert reached.schema is not None
    if meant and meant.schema and alone and group in _SAME_END and finding.rule not in ELSEWHERE:
        for odd in compare(meant.schema, reached.schema):
            if odd.aspect == "not valid" and odd.after is None:
                continue  # what is validated besides is no other end
            yield f"it ends elsewhere: {odd.kind} {odd.name} of {odd.table} is {odd.change.value} {odd.aspect}"
    if meant is None or finding.rule in OTHER_VALUES:
        for loss in row_comparison.compare(reached.base, reached.rows):
            table = base.table(Name.told(loss.table))
            if table is not None and (loss.column is None or table.column(loss.column) is not None):
                yield f"{loss.values} values of {loss.table}.{loss.column or '*'} are lost, as {loss.before}"
    elif alone:
        yield from _other_values(meant.rows, reached.rows)


def _other_values(meant: tuple[Rows, ...], reached: tuple[Rows, ...]) -> Iterator[str]:
    """Where rows have other values than the flagged statement gives them: in the column that it is about, or in a second
    one, under the name that a remedy gives it.
    """
    there: Mapping[str, Rows] = {str(rows.table): rows for rows in reached}
    for rows in meant:
        other = there.get(str(rows.table))
        if other is None or len(rows.rows) != len(other.rows):
            yield f"{rows.table} has {len(other.rows) if other else 'no'} rows and not {len(rows.rows)}"
            continue
        columns = rows.rows[0].keys() if rows.rows else ()
        for column in columns:
            second = f"{column[:59]}_new"
            name = second if other.rows and second in other.rows[0] else column
            values = [(row[column], now[name]) for row, now in _pairs(rows, other) if column in row and name in now]
            wrong = [pair for pair in values if pair[0] != pair[1]]
            if wrong:
                yield f"{rows.table}.{name} is {wrong[0][1]!r} and not {wrong[0][0]!r}"


def _pairs(rows: Rows, other: Rows) -> Iterator[tuple[row_comparison.Row, row_comparison.Row]]:
    one, two = rows.keyed(), other.keyed()
    if one is not None and two is not None and one.keys() == two.keys():
        yield from ((one[key], two[key]) for key in one)
    else:
        # without a key they have no order
        yield from zip(sorted(rows.rows, key=str), sorted(other.rows, key=str), strict=True)
