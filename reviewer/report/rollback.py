"""The rollback of every revision, with its label and details, and the totals below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from rich.text import Text

from reviewer.recording import Change, Difference, Direction, Loss, Outcome, Pass, Recording, Rehearsal, Table
from reviewer.report import inert
from reviewer.report.digest import RevisionDigest, counted, digest, number, skipped, witness
from reviewer.report.terminal import Terminal
from reviewer.review.verdict import Report
from reviewer.sql.names import VERSION_TABLE, listed

_NOTHING = "-"
_MOST = 3
"""Most names that are listed individually."""
_WIDEST = 44
"""A cell of more characters than that pushes the rest of its line, in a pipe, instead of widening the column."""
_STYLES = {
    "lossless": "green",
    "loses-new-data": "green",
    "data-dependent": "yellow",
    "irreversible": "yellow",
    "loses-existing-data": "bold red",
    "broken": "bold red",
}


class _Line(Struct, frozen=True):
    """One revision; the fields are the columns."""

    revision: str
    rollback: str
    rows: str
    differences: str
    losses: str
    failed_or_skipped: str
    does: str

    def cells(self) -> tuple[str, ...]:
        return tuple(inert.sentence(getattr(self, name)) or _NOTHING for name in self.__struct_fields__)


_HEADINGS = tuple(name.replace("_", " ") for name in _Line.__struct_fields__)


def render(report: Report, terminal: Terminal = Terminal()) -> str:  # noqa: B008  (frozen)
    """`report` as one block for each revision; without a terminal as a table, each revision one line, however long."""
    found = [(tree.recording, revision) for tree in report.trees for revision in digest(tree).revisions]
    reasons = Counter(reason for _, revision in found for reason in {*_reasons(revision)})
    shared = {reason: count for reason, count in reasons.items() if count > 1}
    lines = [_line(revision, recording, report, shared) for recording, revision in found]
    if terminal.width is None:
        table = [Text(line) for line in (*_plain(lines), "")]
    else:
        table = list(_blocks(lines, terminal))
    totals = [line for total in _totals(report, lines, shared) for line in terminal.wrapped(Text(total), 0)]
    return inert.without_commands(terminal.printed([*table, *totals]))


# -- one revision ---------------------------------------------------------------------------------


def _line(found: RevisionDigest, recording: Recording, report: Report, shared: Collection[str]) -> _Line:
    down = [each for each in _stepwise(found.passes) if each.direction is Direction.DOWNGRADE]
    again = [each for each in _stepwise(found.passes) if each.direction is Direction.UPGRADE_AGAIN]
    trials = [each for each in recording.trials if each.revision == found.revision.id]
    return _Line(
        revision=found.revision.id,
        rollback=found.rollback,
        rows=_rows(recording),
        differences=_listed(
            [_difference(each) for ran in down for each in ran.differences]
            + [f"after the second upgrade: {_difference(each)}" for ran in again for each in ran.differences]
        ),
        losses=_listed(
            [_loss(each) for ran in down for each in ran.losses]
            + [f"of new data {_loss(each)}" for ran in down for each in ran.new_losses]
            + [f"new data in {listed(ran.brought, _MOST)}" for ran in down if ran.brought]
        ),
        failed_or_skipped=_listed(
            [*map(_failed, found.passes), *map(_tried, trials), *_skipped(found, report, shared)]
        ),
        does=found.phrase.replace("`", "") or found.revision.message,
    )


def _stepwise(passes: Iterable[Pass]) -> list[Pass]:
    return [each for each in passes if each.rehearsal is Rehearsal.STEPWISE and each.outcome is Outcome.OK]


def _rows(recording: Recording) -> str:
    tables = list(_tables(recording))
    if not tables:
        return "no table yet"
    filled = [table for table in tables if table.rows]
    return f"{len(filled):,} of {number(len(tables), 'table')}, {number(sum(t.rows for t in filled), 'row')}"


def _tables(recording: Recording) -> Iterator[Table]:
    for table in recording.base.tables:
        if table.kind in {"table", "partitioned table"} and table.name.name != VERSION_TABLE:
            yield table


def _difference(each: Difference) -> str:
    name = f"{each.table}.{each.name}" if each.table else each.name
    if each.change is Change.CHANGED:
        return f"{each.aspect} of {each.kind} {name} changed"
    return f"{each.kind} {name} {each.change.value}"


def _loss(loss: Loss) -> str:
    if loss.column is None:
        return f"{loss.values:,} of {number(loss.of, 'row')} of {loss.table} lost"
    verb = "lost" if loss.after is None else "changed"
    return f"{loss.values:,} of {number(loss.of, 'value')} of {loss.table}.{loss.column} {verb}"


def _failed(each: Pass) -> str:
    if each.outcome is not Outcome.FAILED:
        return ""
    rows = "" if each.rows else " without rows"
    return f"{_direction(each)}{rows} fails: {each.failure.message if each.failure else ''}"


def _tried(trial: Pass) -> str:
    if trial.worst:
        on = "the worst rows that the schema allows"
    elif not trial.rows and not trial.written:
        on = "empty tables"
    else:
        on = "a row with the same key" if trial.collided else " or ".join(trial.written).replace("`", "")
    return f"{_direction(trial)} fails on {on}: {trial.failure.message if trial.failure else ''}"


def _skipped(found: RevisionDigest, report: Report, shared: Collection[str]) -> Iterator[str]:
    """What was not run, with the reason where it is not `shared` with other revisions and told below them all."""
    for each in found.passes:
        if each.outcome is Outcome.SKIPPED and each.reason:
            yield f"{_direction(each)} skipped" + ("" if each.reason in shared else f": {each.reason}")
    if found.untested and not any(each.reason == found.untested for each in found.passes):
        yield "downgrade untested" + ("" if found.untested in shared else f": {found.untested}")
    for entry in report.all_skipped:
        if found.revision.id in entry.what.split():
            yield f"{entry.what} skipped" + ("" if entry.reason in shared else f": {entry.reason}")


def _reasons(found: RevisionDigest) -> Iterator[str]:
    yield from (each.reason for each in found.passes if each.outcome is Outcome.SKIPPED and each.reason)
    if found.untested:
        yield found.untested


def _direction(each: Pass) -> str:
    return each.direction.value.replace("upgrade-again", "second upgrade")


def _listed(things: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(thing for thing in things if thing))


# -- the table ------------------------------------------------------------------------------------


def _plain(lines: Sequence[_Line]) -> Iterator[str]:
    table = [_HEADINGS, *(line.cells() for line in lines)]
    widths = [max(min(len(cell), _WIDEST) for cell in column) for column in zip(*table, strict=True)]
    for cells in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


def _blocks(lines: Sequence[_Line], terminal: Terminal) -> Iterator[Text]:
    """Each revision by itself, what there is to say of it below: a table of so many words fits no screen."""
    for line in lines:
        first, label, *rest, does = line.cells()
        title = Text.assemble((first, "bold"), "  ", (label, _STYLES.get(label, "")), "  ", does)
        yield from terminal.wrapped(title, 0, hanging=2)
        for heading, cell in zip(_HEADINGS[2:-1], rest, strict=True):
            if cell != _NOTHING:
                yield from terminal.wrapped(Text.assemble((f"{heading}: ", "dim"), cell), 2, hanging=2)
        yield Text("")


# -- the totals -----------------------------------------------------------------------------------


def _totals(report: Report, lines: Sequence[_Line], shared: Mapping[str, int]) -> Iterator[str]:
    for error in report.all_errors:
        yield f"could not review: {inert.sentence(error)}"
    if findings := [each.finding for tree in report.trees for each in digest(tree).all_findings]:
        by_rule = Counter(finding.rule for finding in findings)
        rules = ", ".join(f"{count:,} {inert.name(rule)}" for rule, count in by_rule.most_common())
        yield f"findings: {counted(findings)} ({rules}); the other formats describe them"
    labels = Counter(line.rollback for line in lines)
    told = ", ".join(f"{count:,} {label}" for label, count in labels.most_common())
    yield f"{number(len(lines), 'revision')}{': ' + told if told else ''}"
    yield from _filled(report)
    ran = [each for tree in report.trees for each in tree.recording.passes if each.direction is Direction.DOWNGRADE]
    ran = [each for each in ran if each.outcome is not Outcome.SKIPPED]
    yield (
        f"of {number(len(ran), 'downgrade')} {sum(bool(each.differences) for each in ran):,} left a different"
        f" catalogue, {sum(bool(each.losses) for each in ran):,} lost or changed existing data,"
        f" {sum(bool(each.new_losses or each.brought) for each in ran):,} lost or changed new data"
    )
    said = {entry.reason for entry in report.all_skipped}
    for reason, count in shared.items():
        if reason not in said:
            yield f"skipped  in {number(count, 'revision')}: {inert.sentence(reason)}"
    for entry in skipped(report):
        yield f"skipped  {inert.sentence(entry.what)}: {inert.sentence(entry.reason)}"
    yield inert.name(f"{witness(report)}; alembic-reviewer {report.tool}")


def _filled(report: Report) -> Iterator[str]:
    """The share of tables that hold rows in every state in which they exist."""
    found: dict[tuple[str, str], bool] = {}
    for tree in report.trees:
        for table in _tables(tree.recording):
            key = (tree.recording.migration_tree, str(table.name))
            found[key] = found.get(key, True) and table.rows > 0
    if not found:
        yield "rows: there was no table before the first revision"
        return
    filled = sum(found.values())
    yield f"rows: {filled:,} of {number(len(found), 'table')} filled, {100 * filled / len(found):.1f} %"
