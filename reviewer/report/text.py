"""The report for the terminal: the verdict first, then the findings, then what was not reviewed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.text import Text

from reviewer.recording import Location
from reviewer.report import inert
from reviewer.report.alike import Group, together
from reviewer.report.digest import (
    RevisionDigest,
    TreeDigest,
    base_commit,
    digest,
    headline,
    passing,
    several_trees,
    sizes,
    skipped,
    timed,
    witness,
)
from reviewer.report.terminal import Terminal
from reviewer.review.finding import Finding, Severity
from reviewer.review.verdict import Report, Verdict

SQL_LINES = 6
"""Lines of a statement that are shown."""
SQL_COLUMNS = 160
"""Characters of each."""
TIMED = 20
"""Statements whose duration is reported."""
REMEDY_LIMIT = 6_000
"""Characters of each step of a remedy."""

_SEVERITIES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTICE: "cyan"}
_VERDICTS = {
    Verdict.PASS: "bold green",
    Verdict.SKIPPED: "green",
    Verdict.WARN: "bold yellow",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
}


def render(report: Report, terminal: Terminal = Terminal()) -> str:  # noqa: B008  (frozen)
    """`report` as a page for `terminal`; without one it is plain, and no line is broken."""
    return inert.without_commands(terminal.printed(_page(report, terminal)))


def first_lines(report: Report, terminal: Terminal = Terminal()) -> str:  # noqa: B008  (frozen)
    """The verdict, and why a review could not be done."""
    return inert.without_commands(terminal.printed(_first(report, terminal)))


def _first(report: Report, terminal: Terminal) -> Iterator[Text]:
    yield _verdict(report)
    for error in report.all_errors:
        yield from terminal.wrapped(_prose("could not review: " + error), 0)


def _page(report: Report, terminal: Terminal) -> Iterator[Text]:
    yield from _first(report, terminal)
    quiet = report.verdict is Verdict.SKIPPED or (report.verdict is Verdict.PASS and not report.findings)
    for tree in map(digest, report.trees):
        if quiet:
            yield from _ways_back(tree, terminal)
        else:
            yield from _tree(tree, terminal, named=several_trees(report))
        yield from _how_long(tree, terminal)
    left_out = [*_suppressed(report), *_skipped(report), *_unrecognized(report)]
    if left_out or not quiet:
        yield Text("")
    yield from left_out
    if left_out and not quiet:
        yield Text("")
    if report.verdict is Verdict.SKIPPED and (base := base_commit(report)):
        words = f"compared with commit {inert.name(base)}; --base REF names another one, --revisions base:head takes all"
        yield from terminal.wrapped(Text(words, "dim"), 0)
    if report.verdict is not Verdict.SKIPPED:
        last = "; ".join([witness(report), *sizes(report), f"alembic-reviewer {report.tool}"])
        yield Text(inert.name(last), "dim")


def _verdict(report: Report) -> Text:
    between = ", " if passing(report) else ": "
    return Text.assemble((report.verdict.value, _VERDICTS[report.verdict]), between, headline(report))


# -- what was found -------------------------------------------------------------------------------


def _ways_back(tree: TreeDigest, terminal: Terminal) -> Iterator[Text]:
    """Of a tree of which there is nothing else to say: each revision with its rollback label."""
    for revision in tree.revisions:
        if revision.way_back:
            about = _prose(revision.phrase) if revision.phrase else inert.sentence(revision.revision.message)
            name = (inert.name(revision.revision.id), "bold")
            line = Text.assemble(name, "  ", about, "  (rollback: ", _prose(revision.way_back), ")")
            yield from terminal.wrapped(line, 2, hanging=2)
    yield from _remarks(tree, terminal)


def _remarks(tree: TreeDigest, terminal: Terminal) -> Iterator[Text]:
    for reason in tree.remarks:
        yield from terminal.wrapped(_prose(reason), 0)


def _tree(tree: TreeDigest, terminal: Terminal, *, named: bool) -> Iterator[Text]:
    if named:
        yield Text("")
        yield Text.assemble("tree ", (inert.name(tree.name), "bold"))
    for group in together(tree.first):
        yield from _finding(group, terminal)
    apart = True
    for revision in tree.revisions:
        lines = list(_revision(revision, terminal))
        # revisions of which there is only one thing to say stand together
        if apart or len(lines) > 1:
            yield Text("")
        yield from lines
        apart = len(lines) > 1
    if tree.remarks:
        yield Text("")
    yield from _remarks(tree, terminal)
    if tree.last:
        yield Text("")
        yield Text("the deploy as a whole", "bold")
    for group in together(tree.last):
        yield from _finding(group, terminal)


def _how_long(tree: TreeDigest, terminal: Terminal) -> Iterator[Text]:
    """What takes time, as far as it was measured at several sizes."""
    found = timed(tree.tree)
    if not found:
        return
    yield Text("")
    yield Text("how long", "bold")
    for each in found[:TIMED]:
        way = "" if each.way == "upgrade" else f"  ({each.way})"
        yield Text.assemble("  ", (inert.name(each.revision), "bold"), "  ", _place(each.place), way)
        yield from _sql(each.what, terminal)
        yield from terminal.wrapped(_prose("; ".join(filter(None, [each.production, each.growth]))), 4)
    if len(found) > TIMED:
        yield Text(f"  and {len(found) - TIMED:,} more")
    yield from terminal.wrapped(Text(tree.tree.durations.made_of, "dim"), 2)


def _revision(revision: RevisionDigest, terminal: Terminal) -> Iterator[Text]:
    about = _prose(revision.phrase) if revision.phrase else inert.sentence(revision.revision.message)
    title = Text.assemble((inert.name(revision.revision.id), "bold"), "  ", about)
    yield from terminal.wrapped(title, 0)
    if revision.strongest:
        lock = revision.strongest
        blocks = f", blocks {lock.mode.blocks}" if lock.mode.blocks else ""
        mode = (lock.mode.value, "yellow" if blocks else "")
        line = Text.assemble("strongest lock: ", mode, " on ", inert.name(lock.on), blocks)
        yield from terminal.wrapped(line, 2)
    elif revision.observed and revision.findings:
        yield Text("  strongest lock: none on a table that existed before")
    if revision.way_back:
        yield from terminal.wrapped(_prose("rollback: " + revision.way_back), 2)
    if revision.failure:
        yield from terminal.wrapped(_prose("upgrade failed: " + revision.failure), 2)
    for group in together(revision.findings):
        yield from _finding(group, terminal)


def _finding(group: Group, terminal: Terminal) -> Iterator[Text]:
    shown, finding = group.shown, group.shown.finding
    yield Text("")
    yield Text.assemble(
        "  ",
        (finding.severity.value, _SEVERITIES[finding.severity]),
        "  ",
        (inert.name(finding.rule), "bold"),
        "  ",
        _place(finding.location),
        "" if finding.direction.value == "upgrade" else f"  ({finding.direction.value})",
        (f" {group.times}" if group.times else "", "dim"),
    )
    yield from terminal.wrapped(_prose(finding.message), 4)
    loud = finding.severity is not Severity.NOTICE
    if loud and shown.sql is not None:
        yield from _sql(shown.sql, terminal)
    for fact in shown.facts if loud else ():
        label, _, rest = inert.sentence(fact).partition(": ")
        yield from terminal.wrapped(Text.assemble((f"{label}: ", "dim"), _prose(rest)), 4, hanging=2)
    if finding.remedy:
        yield from _remedy(finding, terminal)
    if group.likewise:
        yield from terminal.wrapped(Text.assemble(("likewise: ", "dim"), _prose(group.likewise)), 4, hanging=2)


def _place(location: Location | None) -> str:
    return f"{_path(location.path)}:{location.line}" if location else ""


def _path(path: str) -> str:
    # never truncated: a path must stay clickable
    return inert.visible(path)


def _prose(text: str) -> Text:
    """A sentence, the names in it (between back-ticks) set off where there are colours."""
    shown = Text(inert.sentence(text))
    for name in re.finditer(r"`[^`]+`", shown.plain):
        shown.stylize("bold", name.start(), name.end())
    return shown


def _sql(sql: str, terminal: Terminal) -> Iterator[Text]:
    shown = inert.excerpt(sql, lines=SQL_LINES, columns=SQL_COLUMNS)
    for line in terminal.code("\n".join(shown.lines), "postgresql"):
        yield Text.assemble(("    | ", "dim"), line)
    if shown.note:
        yield Text(f"    | ... ({shown.note})", "dim")


def _remedy(finding: Finding, terminal: Terminal) -> Iterator[Text]:
    steps = finding.remedy
    yield Text("    instead:" if len(steps) == 1 else f"    instead, in {len(steps)} deploys:", "dim")
    for number, body in enumerate(steps, 1):
        if len(steps) > 1:
            yield Text(f"      # deploy {number} of {len(steps)}", "dim")
        for line in terminal.code(inert.block(body, limit=REMEDY_LIMIT), "python"):
            yield Text("      ").append_text(line)


# -- what does not count, and what was not looked at ----------------------------------------------


def _suppressed(report: Report) -> Iterator[Text]:
    for finding in report.suppressed:
        reason = finding.suppressed.reason if finding.suppressed else ""
        yield Text.assemble(
            ("suppressed", "dim"),
            f"  {inert.name(finding.rule)}  {_place(finding.location)}  {inert.sentence(reason)}",
        )


def _skipped(report: Report) -> Iterator[Text]:
    for each in skipped(report):
        yield Text.assemble(("skipped", "dim"), f"  {inert.sentence(each.what)}: {inert.sentence(each.reason)}")


def _unrecognized(report: Report) -> Iterator[Text]:
    for tree in report.trees:
        for each in tree.unrecognized:
            shown = inert.excerpt(each.sql, lines=1, columns=SQL_COLUMNS)
            note = f" ... ({shown.note})" if shown.note else ""
            yield Text.assemble(
                ("not recognized", "dim"), f"  {_place(each.location)}  {''.join(shown.lines)}{note}"
            )
