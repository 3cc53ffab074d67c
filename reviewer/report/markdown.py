"""The pull request comment and the job summary, in GitHub's Markdown.

Whatever comes from the project stands in code spans and fenced blocks only, where names, links, images and HTML
mean nothing; the page is short enough for a comment, and cut by leaving things out, never by breaking off.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from urllib.parse import quote

from msgspec import Struct

from reviewer.recording import Location, Statement
from reviewer.report import inert, pages
from reviewer.report.alike import Group, findings_of, together
from reviewer.report.digest import (
    RevisionDigest,
    Shown,
    TreeDigest,
    base_commit,
    counted,
    digest,
    headline,
    number,
    passing,
    several_trees,
    sizes,
    skipped,
    timed,
    witness,
)
from reviewer.report.fingerprint import fingerprints
from reviewer.review.finding import Finding, Severity
from reviewer.review.verdict import Report, Verdict, worst

MARKER = re.compile(
    r"\A<!-- alembic-reviewer v1 id=(?P<id>\S+) run=(?P<run>\S+) sha=(?P<sha>\S+)(?: tree=(?P<tree>\S+))?"
    r"(?: was=(?P<was>\S*))?(?: now=(?P<now>\S*))? -->"
)
"""The first line of our comments. Anywhere else it means nothing."""

SUMMARY_SIZE = 1_000_000
"""Characters and bytes of a job summary: GitHub drops one of more than 1 MiB."""


class Place(Struct, frozen=True):
    """Where the page will be shown, and what it links to. By default it has no links and no marker."""

    repository: str = ""
    """Address of the repository, `https://github.com/owner/name`, for links to lines."""
    sha: str = ""
    """The commit that the links point to."""
    run_url: str = ""
    """Address of the run that created the report."""
    marker_id: str = ""
    """The id by which the comment is found again; empty: no marker."""
    run: str = ""
    """Number and attempt of the run, `123456.1`, for the marker."""
    note: str = ""
    """Our note in the last line: where the report comes from."""
    tree: str = ""
    """Name of the tree that the page is about, where the others have pages of their own."""
    known: frozenset[str] | None = None
    """What was found before the last push, as the comment of that time has it in its marker; None: unknown."""
    characters: int = 60_000
    """GitHub rejects comments of more than 65,536 characters."""
    bytes: int = 65_000


SUMMARY = Place(characters=SUMMARY_SIZE, bytes=SUMMARY_SIZE)
"""A page for the job summary, without links."""


class _Detail(Struct, frozen=True):
    """How much is shown."""

    sql: int
    """Lines of emitted SQL per revision; 0: none."""
    full: int
    """Findings with statement, evidence and remedy, the worst first."""
    brief: int
    """Findings beyond those, in a line each."""
    rows: int = 1_000
    """Rows of the table of revisions, and entries of each list; 0: neither."""

    @property
    def remembers(self) -> bool:
        """Whether there is room for what the next comment has to know of this one."""
        return self.full >= 30


_DETAILS = (
    _Detail(500, 1_000, 1_000),
    _Detail(50, 1_000, 1_000),
    _Detail(0, 1_000, 1_000),
    _Detail(0, 60, 1_000, 100),
    _Detail(0, 30, 1_000, 100),
    _Detail(0, 30, 200, 50),
    _Detail(0, 15, 200, 50),
    _Detail(0, 15, 80, 50),
    _Detail(0, 8, 80, 20),
    _Detail(0, 8, 30, 20),
    _Detail(0, 2, 20, 20),
    _Detail(0, 0, 0, 20),
    _Detail(0, 0, 0, 0),
)
"""From everything to the bare counts. The first that fits is used."""

_ICONS = {
    Verdict.PASS: "✅",
    Verdict.SKIPPED: "✅",
    Verdict.WARN: "⚠️",
    Verdict.FAIL: "❌",
    Verdict.ERROR: "🚫",
}
_SEVERITIES = {Severity.ERROR: "❌", Severity.WARNING: "⚠️", Severity.NOTICE: "ℹ️"}  # noqa: RUF001  (an emoji)
_READ = 10
"""Findings that are shown expanded; the others are folded."""
_NOT_RUN = "❔"
_APART = re.compile(r", (?=(?:[^`]*`[^`]*`)*[^`]*$)")
"""Between the things that a revision does, and not inside the code of a name or a type."""
_STATEMENT_LINES = 12
_COLUMNS = 400
_TIMED_SQL = 120
_REMEDY = 4_000
_LONGEST_TREE = 100
_REMEMBERED = 300
"""With more findings than that, new ones are not marked."""


def render(report: Report, place: Place = Place()) -> str:  # noqa: B008  (frozen)
    """`report` as Markdown, as much of it as fits into `place`."""
    page = ""
    trees = tuple(digest(tree) for tree in report.trees)
    for detail in _DETAILS:
        page = inert.without_commands("\n".join(_Page(report, trees, place, detail).lines()) + "\n")
        if _fits(page, place):
            break
    return page


def marker(place: Place, now: Iterable[str] | None = None) -> str:
    """The first line of the comment, an HTML comment that nobody sees; empty without an id. `now` is what is found."""
    if not place.marker_id:
        return ""
    tree = f" tree={_tree_word(place.tree)}" if place.tree else ""
    was = f" was={','.join(sorted(place.known))}" if place.known is not None and now is not None else ""
    found = f" now={','.join(sorted(now))}" if now is not None else ""
    words = f"id={_word(place.marker_id)} run={_word(place.run)} sha={_word(place.sha)}{tree}{was}{found}"
    return f"<!-- alembic-reviewer v1 {words} -->"


def known_before(body: str, sha: str) -> frozenset[str] | None:
    """What had been found before the push of `sha`, as `body`, the comment that stands there, tells; None if it does
    not. A second run on the same commit knows what the first one knew.
    """
    found = MARKER.match(body)
    words = found and (found["was"] if found["sha"] == _word(sha) else found["now"])
    if words is None:
        return None
    return frozenset(word for word in words.split(",") if re.fullmatch(r"[0-9a-f]{10}\.\d+", word))


def _fits(page: str, place: Place) -> bool:
    return len(page) <= place.characters and len(page.encode()) <= place.bytes


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]", "", text)[:64] or "0"


def _tree_word(name: str) -> str:
    """A tree's name as one word that ends no HTML comment, a different one for each name."""
    word = quote(name.encode("utf-8", "replace"), safe="").replace("--", "-%2D")
    return word if len(word) <= _LONGEST_TREE else hashlib.sha256(word.encode()).hexdigest()


# -- what is foreign ------------------------------------------------------------------------------


def span(text: str, *, in_table: bool = False) -> str:
    """`text` as a code span that nothing in it can end."""
    shown = _unmarked(inert.name(text)) or " "
    ticks = "`" * (_longest_run(shown, "`") + 1)
    pad = (
        " "
        if shown.startswith("`") or shown.endswith("`") or (shown[0] == shown[-1] == " " and shown.strip())
        else ""
    )
    if in_table:
        # a bar ends a cell even in code; a backslash before it helps only where none stands before that one
        shown = shown.replace("|", r"\x7c")
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def fence(text: str, language: str) -> list[str]:
    """`text` as a fenced block that nothing in it can end."""
    shown = _unmarked(inert.block(text))
    ticks = "`" * max(3, _longest_run(shown, "`") + 1)
    return [f"{ticks}{language}", *shown.split("\n"), ticks]


def _unmarked(text: str) -> str:
    """No HTML comments, so that a page never contains a marker except ours."""
    return text.replace("<!--", r"<!\x2d-")


def _longest_run(text: str, character: str) -> int:
    return max((len(run) for run in re.findall(re.escape(character) + "+", text)), default=0)


_HARMLESS = re.compile(r"[A-Za-z0-9 .,:;()'\"/%+=?_-]*")
_LINKING = re.compile(r"://|www\.|\bGH-\d|\b(?=\w*\d)(?=\w*[a-f])[0-9a-f]{7,40}\b", re.IGNORECASE)


def prose(text: str, *, in_table: bool = False) -> str:
    """One of our sentences, with names in back-ticks: the names as code, the words as words.

    If a name contains back-ticks of its own, or anything else that could mean something outside of code,
    the whole sentence becomes code.
    """
    shown = inert.sentence(text)
    parts = shown.split("`")
    words = parts[::2]
    if len(parts) % 2 == 0 or not all(_HARMLESS.fullmatch(each) and not _LINKING.search(each) for each in words):
        return span(shown.replace("`", ""), in_table=True) if in_table else _long_span(shown)
    return "".join(span(part, in_table=in_table) if n % 2 else _escaped(part) for n, part in enumerate(parts))


def _escaped(words: str) -> str:
    return words.replace("_", r"\_")


def _long_span(text: str) -> str:
    shown = _unmarked(text) or " "
    ticks = "`" * (_longest_run(shown, "`") + 1)
    return f"{ticks} {shown} {ticks}"


# -- the page -------------------------------------------------------------------------------------


class _Page(Struct, frozen=True, dict=True):
    report: Report
    trees: tuple[TreeDigest, ...]
    place: Place
    detail: _Detail

    def lines(self) -> Iterator[str]:
        """The page, line by line; every part closes what it opens."""
        report = self.report
        if self.place.marker_id:
            yield marker(self.place, [print_ for _, print_ in self._prints] if self._remembered else None)
        of = f" of {span(inert.cut(self.place.tree, _LONGEST_TREE))}" if self.place.tree else ""
        yield f"### {_ICONS[report.verdict]} Migration review{of}: {passing(report)}{headline(report)}"
        for error in report.all_errors[: max(self.detail.rows, 1)]:
            yield from ("", f"**Could not review:** {prose(error)}")
        if self.detail.rows:
            for tree in self.trees:
                yield from self._table(tree)
        for tree in self.trees if self.detail.rows else ():
            for reason in tree.remarks:
                yield from ("", f"{prose(reason[:1].upper() + reason[1:])}.")
        yield from self._findings()
        if self.detail.rows:
            for tree in self.trees:
                yield from self._folded("How long", self._how_long(tree))
            yield from self._folded(number(len(report.suppressed), "suppressed finding"), self._suppressed())
            yield from self._folded(f"{len(report.all_skipped)} skipped", self._skipped())
            unrecognized = [each for tree in report.trees for each in tree.unrecognized]
            what = number(len(unrecognized), "statement") + " not recognized"
            yield from self._folded(what, self._unrecognized(unrecognized))
        if self.detail.sql:
            yield from self._folded("The emitted SQL", self._sql())
        if report.verdict is not Verdict.SKIPPED or self.place.run_url:
            yield from ("", f"<sub>{self._footer()}</sub>")

    def _footer(self) -> str:
        base = base_commit(self.report)
        parts = [f"compared with {span(base)}"] if base else []
        # a comment is not written again where nothing else has changed
        basis = witness(self.report, origins=not self.place.marker_id)
        parts += [_tag(inert.name(each)) for each in (basis, *sizes(self.report))]
        parts += [_tag(f"alembic-reviewer {inert.name(self.report.tool)}")]
        if self.place.run_url:
            parts.append(f'<a href="{_address(self.place.run_url)}">run</a>')
        if self.place.note:
            parts.append(_tag(self.place.note))
        if self.detail is not _DETAILS[0]:
            parts.append("shortened: the whole report is in the run")
        return " · ".join(parts)

    # -- the table of revisions --

    def _table(self, tree: TreeDigest) -> Iterator[str]:
        if not tree.revisions:
            return
        yield ""
        if several_trees(self.report):
            yield from (f"**Tree {span(tree.name)}**", "")
        labelled = any(revision.way_back for revision in tree.revisions)
        columns = ["Revision", "What it does", *(["Rollback"] if labelled else []), "Strongest lock", "Findings"]
        yield _row(columns)
        yield _row(["---"] * len(columns))
        for revision in tree.revisions[: self.detail.rows]:
            yield _row(self._cells(revision, labelled=labelled))
        left = len(tree.revisions) - self.detail.rows
        if left > 0:
            yield _row(["", f"and {number(left, 'more revision')}", *[""] * (len(columns) - 2)])

    def _cells(self, found: RevisionDigest, *, labelled: bool) -> Iterator[str]:
        findings = [shown.finding for shown in found.findings]
        icon = next((_SEVERITIES[severity] for severity in Severity if severity.rank == worst(findings)), "✅")
        name = span(found.revision.id, in_table=True)
        does = [prose(each, in_table=True) for each in _APART.split(found.phrase) if each]
        if not findings and found.ran is None:
            icon = _NOT_RUN
        # not to be broken, or the mark stands in a line of its own
        yield f"{'🚫' if found.failure else icon}&nbsp;{self._link(name, Location(found.revision.path, 0))}"
        # the words of the revision's author are not ours
        yield "<br>".join(does) if does else span(found.revision.message, in_table=True)
        if labelled:
            yield found.rollback
        if found.strongest:
            yield f"{found.strongest.mode} on {span(found.strongest.on, in_table=True)}"
        else:
            yield "none" if found.observed else "not observed"
        yield counted(findings) or found.nothing_found

    # -- the findings --

    @cached_property
    def _prints(self) -> list[tuple[Shown, str]]:
        every = (shown for tree in self.trees for shown in tree.all_findings)
        return [(shown, f"{print_[:10]}.{print_.partition(':')[2]}") for shown, print_ in fingerprints(every)]

    @cached_property
    def _every(self) -> list[tuple[Group, bool]]:
        """Every finding, and whether it is new since the last push: those first, else in the order of the report."""
        known = self.place.known
        told = [(shown, known is not None and print_ not in known) for shown, print_ in self._prints]
        return [
            (group, is_new)
            for is_new in (True, False)
            for group in together(shown for shown, new in told if new is is_new)
        ]

    @property
    def _remembered(self) -> bool:
        return self.detail.remembers and len(self._prints) <= _REMEMBERED

    def _since_last_push(self) -> Iterator[str]:
        known = self.place.known
        if known is None or not (self._prints or known):
            return
        new = sum(len(group.findings) for group, is_new in self._every if is_new)
        gone = len(known - {print_ for _, print_ in self._prints})
        told = f"{number(new, 'new finding')}{', shown first' if 0 < new < len(self._prints) else ''}"
        yield from ("", f"Since the last push: {told if new else 'no new finding'}; {gone:,} resolved.")

    def _findings(self) -> Iterator[str]:
        every = self._every
        yield from self._since_last_push()
        # where there is no room for all, the worst come in full, in the order of the revisions all the same
        worst_first = sorted(range(len(every)), key=lambda n: -every[n][0].shown.finding.severity.rank)
        full = set(worst_first[: self.detail.full])
        brief = set(worst_first[self.detail.full : self.detail.full + self.detail.brief])
        read = set(worst_first[:_READ]) & full
        for n in sorted(read):
            yield from self._finding(*every[n])
        rest = self._rest([every[n] for n in sorted(full - read)], [every[n] for n in sorted(brief)])
        folded = counted(findings_of(every[n][0] for n in (full | brief) - read))
        yield from self._folded(f"{folded} more", rest)
        left = list(findings_of(group for n, (group, _) in enumerate(every) if n not in full | brief))
        if left and full:
            yield from ("", f"And {counted(left)} more.")

    def _rest(self, full: Iterable[tuple[Group, bool]], brief: Iterable[tuple[Group, bool]]) -> Iterator[str]:
        for group, is_new in full:
            yield from self._finding(group, is_new)
        yield ""
        for group, is_new in brief:
            yield f"- {self._title(group, is_new)}: {prose(group.shown.finding.message)}"

    def _title(self, group: Group, is_new: bool) -> str:
        finding = group.shown.finding
        new = "new: " if is_new else ""
        where = f" at {self._located(finding.location)}" if finding.location else ""
        way = "" if finding.direction.value == "upgrade" else f" ({finding.direction.value})"
        return f"{_SEVERITIES[finding.severity]} {new}{self._rule(finding)}{where}{way}{group.times}"

    def _rule(self, finding: Finding) -> str:
        """A rule's id, which leads to its page where the page is one with links."""
        page = pages.of_rule(finding.rule) if self.place.repository else None
        return f"[{_rule(finding)}]({page})" if page else _rule(finding)

    def _finding(self, group: Group, is_new: bool) -> Iterator[str]:
        finding = group.shown.finding
        yield from ("", f"#### {self._title(group, is_new)}", "", prose(finding.message))
        if group.likewise:
            yield from ("", f"Likewise: {prose(group.likewise)}.")
        if finding.remedy:
            yield from ("", f"{_instead(finding)}:", "", *self._remedy(finding))
        if finding.severity is not Severity.NOTICE:
            yield from self._folded("The statement, and what is known of it", self._known(group.shown))

    def _known(self, shown: Shown) -> Iterator[str]:
        if shown.sql is not None:
            yield from (*_statement(shown.sql), "")
        yield from (f"- {prose(fact)}" for fact in shown.facts)

    def _remedy(self, finding: Finding) -> Iterator[str]:
        for step, body in enumerate(finding.remedy, 1):
            if len(finding.remedy) > 1:
                yield from (*([""] if step > 1 else []), f"Deploy {step}:", "")
            yield from fence(inert.cut(body, _REMEDY), "python")

    # -- lists --

    def _suppressed(self) -> Iterator[str]:
        for finding in self.report.suppressed[: self.detail.rows]:
            where = f" at {self._located(finding.location)}" if finding.location else ""
            reason = finding.suppressed.reason if finding.suppressed else ""
            yield f"- {self._rule(finding)}{where}: {span(inert.sentence(reason))}"
        yield from self._more(len(self.report.suppressed))

    def _skipped(self) -> Iterator[str]:
        left_out = skipped(self.report)
        for each in left_out[: self.detail.rows]:
            yield f"- {prose(each.what)}: {prose(each.reason)}"
        yield from self._more(len(left_out))

    def _unrecognized(self, statements: Sequence[Statement]) -> Iterator[str]:
        for each in statements[: self.detail.rows]:
            yield f"- {self._located(each.location)}" if each.location else "- somewhere"
            yield from ("", *(f"  {line}" for line in _statement(each.sql)), "")
        yield from self._more(len(statements))

    def _more(self, count: int) -> Iterator[str]:
        if count > self.detail.rows:
            yield f"- and {count - self.detail.rows:,} more"

    def _sql(self) -> Iterator[str]:
        for tree in self.trees:
            for revision in tree.revisions[: self.detail.rows]:
                if revision.upgrade:
                    yield from (span(revision.revision.id), "")
                    yield from (*fence("\n".join(self._script(revision.upgrade)).rstrip("\n"), "sql"), "")

    def _script(self, statements: Sequence[Statement]) -> Iterator[str]:
        room = self.detail.sql
        for n, each in enumerate(statements):
            if room <= 0:
                yield f"-- ... {number(len(statements) - n, 'more statement')}"
                return
            sql = inert.excerpt(each.sql, lines=room, columns=_COLUMNS)
            *first, last = sql.lines or ("",)
            place = f"line {each.location.line}" if each.location else each.origin.value
            # a comment at the end would take the semicolon for its own
            end = "" if last.endswith(";") or "--" in last else ";"
            yield from (*first, f"{last}{end}  -- {place}")
            if sql.note:
                yield f"-- ... {sql.note}"
            room -= len(sql.lines)

    # -- small parts --

    def _how_long(self, tree: TreeDigest) -> Iterator[str]:
        found = timed(tree.tree)
        if not found:
            return
        yield "| Revision | Statement | Tables | In production | Growth |"
        yield "|---|---|---|---|---|"
        for each in found[: self.detail.rows]:
            way = "" if each.way == "upgrade" else f" ({each.way})"
            place = f"{span(str(each.place), in_table=True)} " if each.place is not None else ""
            cells = (
                f"{span(each.revision, in_table=True)}{way}",
                f"{place}{span(inert.cut(each.what, _TIMED_SQL), in_table=True)}",
                span(each.tables, in_table=True) if each.tables else "",
                prose(each.production, in_table=True) if each.production else "unknown",
                prose(each.growth, in_table=True),
            )
            yield f"| {' | '.join(cells)} |"
        if len(found) > self.detail.rows:
            yield from ("", f"and {len(found) - self.detail.rows:,} more")
        yield from ("", f"{prose(tree.tree.durations.made_of)}.")

    def _folded(self, summary: str, body: Iterable[str]) -> Iterator[str]:
        lines = "\n".join(body).strip("\n")
        if lines:
            # GitHub reads Markdown in <details> only after an empty line
            yield from ("", f"<details><summary>{summary}</summary>", "", lines, "", "</details>")

    def _located(self, location: Location) -> str:
        return self._link(span(str(location)), location)

    def _link(self, text: str, location: Location) -> str:
        outside = location.path.startswith("/") or {"..", "."} & set(re.split(r"[/\\]", location.path))
        if outside or not (self.place.repository and self.place.sha):
            return text
        line = f"#L{location.line}" if location.line else ""
        path = quote(location.path.encode("utf-8", "replace"), safe="/")
        return f"[{text}]({_address(self.place.repository)}/blob/{_word(self.place.sha)}/{path}{line})"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(finding: Finding) -> str:
    """A rule's id: the catalogue's word, or code where it is none that could stand there."""
    return finding.rule if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", finding.rule) else span(finding.rule)


def _statement(sql: str) -> list[str]:
    shown = inert.excerpt(sql, lines=_STATEMENT_LINES, columns=_COLUMNS)
    return fence("\n".join([*shown.lines, *([f"-- ... {shown.note}"] if shown.note else [])]), "sql")


def _instead(finding: Finding) -> str:
    steps = len(finding.remedy)
    return "Write this instead" if steps == 1 else f"Write this instead, in {steps} deploys"


def _tag(text: str) -> str:
    """Our own words and a version, in small print; as code where they are anything else."""
    harmless = re.fullmatch(r"[A-Za-z0-9 .,:;()+-]{1,120}", text) and not _LINKING.search(text)
    return text if harmless else span(inert.cut(text, 120))


def _address(url: str) -> str:
    """A URL of the platform's as it can stand in a link."""
    return quote(url, safe=":/?#=&%.-_~").replace("&", "&amp;").rstrip("/")
