"""One page for a browser: no script, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import count
from urllib.parse import quote

from reviewer.recording import Location, Statement
from reviewer.report import inert, pages
from reviewer.report.alike import Group, together
from reviewer.report.digest import (
    RevisionDigest,
    Shown,
    TreeDigest,
    base_commit,
    counted,
    digest,
    headline,
    passing,
    several_trees,
    sizes,
    skipped,
    timed,
    witness,
)
from reviewer.review.finding import Finding, Severity
from reviewer.review.verdict import Report, Verdict

_SQL_LINES = 40
_COLUMNS = 1_000
_REMEDY = 20_000
_WIDE = '<div class="wide" tabindex="0" role="group" aria-label="{}">'
"""Around a table that scrolls where it does not fit, with the keyboard too."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --soft: #59636e; --line: #d1d9e0; --shade: #f6f8fa;
  --bad: #c3222c; --mind: #8a5a00; --note: #0550ae; --good: #116329 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9198a1; --line: #3d444d;
  --shade: #161b22; --bad: #ff7b72; --mind: #e3b341; --note: #79c0ff; --good: #7ee787 } }
* { box-sizing: border-box }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem } h3 { font-size: 1rem; margin: 0 0 .5rem }
code, pre { font: .875em/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; unicode-bidi: isolate }
code { background: var(--shade); padding: .1em .3em; border-radius: 4px }
pre { background: var(--shade); padding: .75rem 1rem; border-radius: 6px; overflow-x: auto }
pre code { padding: 0; background: none; font-size: 1em }
table { border-collapse: collapse; width: 100% }
.wide { overflow-x: auto } td code { overflow-wrap: anywhere }
@media (max-width: 40rem) { .wide table { min-width: 40rem } }
th, td { text-align: left; vertical-align: top; overflow-wrap: break-word; padding: .4rem .6rem; border-bottom: 1px solid var(--line) }
article { border: 1px solid var(--line); border-left-width: 4px; border-radius: 6px; padding: 1rem; margin: 1rem 0 }
article.error { border-left-color: var(--bad) } article.warning { border-left-color: var(--mind) }
article.notice { border-left-color: var(--note) }
.error > h3 b, .fail, .verdict-error { color: var(--bad) } .warning > h3 b, .warn { color: var(--mind) }
.notice > h3 b { color: var(--note) } .pass, .skipped { color: var(--good) }
dl { display: grid; grid-template-columns: fit-content(10rem) minmax(0, 1fr); gap: .2rem 1rem; margin: .5rem 0 }
dt, footer, .soft { color: var(--soft) } dd { margin: 0 }
a { color: inherit } h2 a, td a { text-decoration: none } :target { scroll-margin-top: 1rem; outline: 2px solid var(--note) }
summary { cursor: pointer } footer { margin: 3rem 0 1rem; border-top: 1px solid var(--line); padding-top: .5rem }
@media print { :root { --paper: #fff; --ink: #000; --soft: #444; --shade: #fff }
  body { max-width: none; margin: 0; font-size: 11pt } pre { white-space: pre-wrap; border: 1px solid var(--line) }
  .wide { overflow: visible } .wide table { min-width: 0 } article, tr { break-inside: avoid } h2, h3, summary { break-after: avoid }
  details > :not(summary) { display: block } details::details-content { display: block; content-visibility: visible; height: auto } }
"""


def render(report: Report) -> str:
    """`report` as one HTML page."""
    return inert.without_commands("\n".join(_page(report)) + "\n")


def _page(report: Report) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>Migration review: {escape(passing(report) or report.verdict.value + ': ')}{escape(headline(report))}</title>"
    yield f"<style>{_STYLE}</style></head>"
    yield "<body>"
    yield "<header>"
    kind = "verdict-error" if report.verdict is Verdict.ERROR else report.verdict.value
    between = ", " if passing(report) else ": "
    yield f'<h1><span class="{kind}">{report.verdict.value}</span>{between}{escape(headline(report))}</h1>'
    about = [part for part in (_span_of(report), f"made {escape(report.made)}" if report.made else "") if part]
    if about:
        yield f'<p class="soft">{" · ".join(about)}</p>'
    for error in report.all_errors:
        yield f"<p><b>Could not review:</b> {_prose(error)}</p>"
    yield "</header>"
    yield "<main>"
    trees = [digest(tree) for tree in report.trees]
    for n, tree in enumerate(trees):
        yield from _tree(tree, f"tree-{n}-" if len(trees) > 1 else "", named=several_trees(report))
    yield from _list("Suppressed", (_suppressed(finding) for finding in report.suppressed))
    yield from _list("Skipped", (f"{_prose(each.what)}: {_prose(each.reason)}" for each in skipped(report)))
    unrecognized = [each for tree in report.trees for each in tree.unrecognized]
    yield from _list("Not recognized", (f"{_place(each.location)}{_sql(each.sql)}" for each in unrecognized))
    yield "</main>"
    last = [witness(report), *sizes(report), f"alembic-reviewer {report.tool}"]
    yield f"<footer>{' · '.join(escape(inert.name(each)) for each in last)}</footer>"
    yield "</body>"
    yield "</html>"


def _span_of(report: Report) -> str:
    """The commits between which the new revisions were added."""
    base = base_commit(report)
    told = [f"base {_code(base)}" if base else "", f"head {_code(report.head[:12])}" if report.head else ""]
    return ", ".join(part for part in told if part)


def _tree(tree: TreeDigest, place: str, *, named: bool) -> Iterator[str]:
    """`place` is what the anchors of the tree begin with."""
    if named:
        yield f"<h2>Tree {_code(tree.name)}</h2>"
    anchors = (f"{place}finding-{n}" for n in count(1))  # each finding takes the next
    if tree.revisions:
        yield from _table(tree.revisions, place)
    for reason in tree.remarks:
        yield f"<p>{_prose(reason[:1].upper() + reason[1:])}.</p>"
    yield from _general(tree.first, anchors)
    for revision in tree.revisions:
        yield from _revision(revision, place, anchors)
    yield from _general(tree.last, anchors)
    yield from _how_long(tree)


def _how_long(tree: TreeDigest) -> Iterator[str]:
    """What takes time, as far as it was measured at several sizes."""
    found = timed(tree.tree)
    if not found:
        return
    yield "<section><h2>How long</h2>"
    titles = ("Revision", "Statement", "Tables", "In production", "Growth")
    yield f"{_WIDE.format('How long statements take')}<table><thead><tr>{_titles(titles)}</thead>"
    for each in found:
        way = "" if each.way == "upgrade" else f" ({each.way})"
        cells = (
            f"{_code(each.revision)}{way}",
            f"{_place(each.place)} {_code(inert.cut(each.what, _COLUMNS))}",
            escape(inert.name(each.tables)),
            escape(each.production) or "unknown",
            escape(inert.sentence(each.growth)),
        )
        yield f"<tr>{''.join(f'<td>{cell}' for cell in cells)}"
    yield f'</table></div><p class="soft">{escape(tree.tree.durations.made_of)}</p></section>'


def _general(findings: Sequence[Shown], anchors: Iterator[str]) -> Iterator[str]:
    if findings:
        yield "<section>"
        for group in together(findings):
            yield from _finding(group, next(anchors))
        yield "</section>"


def _table(revisions: Sequence[RevisionDigest], place: str) -> Iterator[str]:
    labelled = any(revision.way_back for revision in revisions)
    titles = ["Revision", "What it does", *(["Rollback"] if labelled else []), "Strongest lock", "Findings"]
    yield f"{_WIDE.format('Revisions')}<table>"
    yield f"<thead><tr>{_titles(titles)}</thead>"
    for revision in revisions:
        yield f"<tr>{''.join(f'<td>{cell}' for cell in _cells(revision, place, labelled=labelled))}"
    yield "</table></div>"


def _titles(titles: Iterable[str]) -> str:
    return "".join(f'<th scope="col">{title}' for title in titles)


def _anchor(found: RevisionDigest, place: str) -> str:
    """Of a revision's part of the page: it contains nothing that can end an attribute."""
    return f"{place}revision-{quote(found.revision.id.encode('utf-8', 'replace'), safe='')}"


def _cells(found: RevisionDigest, place: str, *, labelled: bool) -> Iterator[str]:
    name = _code(found.revision.id)
    # a percent sign in the id itself would be read as an escape
    target = _anchor(found, place).replace("%", "%25")
    yield f'<a href="#{target}">{name}</a>' if _has_part(found) else name
    yield _does(found)
    if labelled:
        yield found.rollback
    if found.strongest:
        yield f"{found.strongest.mode} on {_code(found.strongest.on)}"
    else:
        yield "none" if found.observed else "not observed"
    yield counted([shown.finding for shown in found.findings]) or found.nothing_found


def _has_part(revision: RevisionDigest) -> bool:
    return bool(revision.findings or revision.upgrade or revision.failure)


def _does(revision: RevisionDigest) -> str:
    return _prose(revision.phrase) if revision.phrase else escape(inert.sentence(revision.revision.message))


def _revision(revision: RevisionDigest, place: str, anchors: Iterator[str]) -> Iterator[str]:
    if not _has_part(revision):
        return
    yield f'<section id="{_anchor(revision, place)}">'
    yield f"<h2>{_code(revision.revision.id)} {_does(revision)}</h2>"
    yield f'<p class="soft">{_code(revision.revision.path)}</p>'
    if revision.way_back:
        yield f"<p>Rollback: {_prose(revision.way_back)}</p>"
    if revision.failure:
        yield f"<p>Its upgrade failed: {_prose(revision.failure)}</p>"
    for group in together(revision.findings):
        yield from _finding(group, next(anchors))
    if revision.upgrade:
        yield "<details><summary>The emitted SQL</summary>"
        yield from (_statement(each) for each in revision.upgrade[:_SQL_LINES])
        left = len(revision.upgrade) - _SQL_LINES
        yield f"<p>and {left:,} more</p></details>" if left > 0 else "</details>"
    yield "</section>"


def _finding(group: Group, anchor: str) -> Iterator[str]:
    shown, finding = group.shown, group.shown.finding
    way = "" if finding.direction.value == "upgrade" else f" ({finding.direction.value})"
    yield f'<article class="{finding.severity.value}" id="{anchor}">'
    here = f'<a href="#{anchor}" title="a link to this finding">#</a>'
    yield f"<h3><b>{finding.severity.value}</b> {_rule(finding)} {_place(finding.location)}{way}{group.times} {here}</h3>"
    yield f"<p>{_prose(finding.message)}</p>"
    if finding.severity is not Severity.NOTICE:
        if shown.sql is not None:
            yield _sql(shown.sql)
        facts = [inert.sentence(fact).partition(": ") for fact in shown.facts]
        yield f"<dl>{''.join(f'<dt>{_prose(label)}<dd>{_prose(rest)}' for label, _, rest in facts)}</dl>"
    yield from _remedy(finding)
    if group.likewise:
        yield f"<p>Likewise: {_prose(group.likewise)}</p>"
    yield "</article>"


def _rule(finding: Finding) -> str:
    """The name of the rule, which leads to its page."""
    name, page = escape(inert.name(finding.rule)), pages.of_rule(finding.rule)
    return f'<a href="{page}">{name}</a>' if page else name


def _remedy(finding: Finding) -> Iterator[str]:
    steps = len(finding.remedy)
    for step, body in enumerate(finding.remedy, 1):
        yield f"<p>Instead, deploy {step} of {steps}:</p>" if steps > 1 else "<p>Instead:</p>"
        yield f'<pre tabindex="0"><code>{escape(inert.block(body, limit=_REMEDY))}</code></pre>'


def _suppressed(finding: Finding) -> str:
    reason = finding.suppressed.reason if finding.suppressed else ""
    return f"{_rule(finding)} {_place(finding.location)}: {escape(inert.sentence(reason))}"


def _list(title: str, items: Iterable[str]) -> Iterator[str]:
    shown = list(items)
    if shown:
        yield f"<h2>{title}</h2>"
        yield "<ul>"
        yield from (f"<li>{item}</li>" for item in shown)
        yield "</ul>"


def _statement(statement: Statement) -> str:
    return f'<p class="soft">{_place(statement.location) or statement.origin.value}</p>{_sql(statement.sql)}'


def _sql(sql: str) -> str:
    shown = inert.excerpt(sql, lines=_SQL_LINES, columns=_COLUMNS)
    note = f"\n-- ... {shown.note}" if shown.note else ""
    lines = "\n".join(shown.lines)
    return f'<pre tabindex="0"><code>{escape(lines + note)}</code></pre>'


def _place(location: Location | None) -> str:
    return _code(str(location)) if location else ""


def _code(text: str) -> str:
    return f"<code>{escape(inert.name(text))}</code>"


def _prose(text: str) -> str:
    """A sentence, the names in it (between back-ticks) as code."""
    parts = escape(inert.sentence(text)).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
