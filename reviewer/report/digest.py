"""What all formats share: counts, the headline, and the findings and observations of each revision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reviewer.recording import (
    BaseOrigin,
    Direction,
    Location,
    Origin,
    Pass,
    Recording,
    Revision,
    Server,
    Skipped,
    Statement,
    furthest,
)
from reviewer.replay.effects import Held, Place, Witness
from reviewer.review import rollback_label
from reviewer.review.durations import Duration, told
from reviewer.review.finding import Basis, Finding, Severity
from reviewer.review.verdict import Report, Strongest, TreeReport, Verdict
from reviewer.sql.names import listed
from reviewer.sql.versions import unverified
from reviewer.stats.sizes import told_rows

UNTESTED: Final = rollback_label.UNTESTED
"""The rollback label of a revision whose downgrade is unknown."""


_LISTED = 8
"""Most objects of one kind that are listed by name."""


# -- counting -------------------------------------------------------------------------------------


def number(count: int, noun: str) -> str:
    """`1 revision`, `2 revisions`."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def counted(findings: Iterable[Finding]) -> str:
    """`2 errors, 1 warning`; empty where there is nothing."""
    severities = [finding.severity for finding in findings]
    return ", ".join(
        number(severities.count(severity), severity.value) for severity in Severity if severity in severities
    )


def several_trees(report: Report) -> bool:
    """Whether the project has more than one migration tree, so that each must be named."""
    return len({tree.recording.migration_tree for tree in report.trees}) > 1


def skipped(report: Report) -> tuple[Skipped, ...]:
    """What could not be reviewed, each reason once with everything that it applies to."""
    together: dict[str, list[str]] = {}
    for each in report.all_skipped:
        together.setdefault(each.reason, []).append(each.what)
    return tuple(Skipped(_together(list(dict.fromkeys(things))), reason) for reason, things in together.items())


def _together(things: Sequence[str]) -> str:
    """`revisions a, b and c`, if all are of one kind."""
    kinds = {thing.rpartition(" ")[0] for thing in things}
    if len(things) == 1 or len(kinds) > 1:
        return "; ".join(things)
    kind = kinds.pop()
    names = [thing.rpartition(" ")[2] for thing in things]
    plural = f"{kind}s " if kind and not kind.endswith((" of", " for")) else f"{kind} "
    return f"{plural}{listed(names, _LISTED if len(names) > _LISTED + 1 else None)}".strip()


def headline(report: Report) -> str:
    """What the gate does and why, in one line, without the verdict."""
    revisions = [revision for tree in report.trees for revision in tree.recording.revisions]
    blocking, others = _gated(report)
    incomplete = "the review is not complete" if report.all_errors else ""
    many = _reviewed(report)
    extra = [
        number(len(report.suppressed), "finding") + " suppressed" if report.suppressed else "",
        f"{len(report.all_skipped):,} skipped" if report.all_skipped else "",
    ]
    match report.verdict:
        case Verdict.SKIPPED:
            parts = ["no new revision, nothing to review"]
        case Verdict.PASS if not others:
            parts = [f"nothing found in {number(len(revisions), 'revision')}", *extra]
        case Verdict.PASS:
            parts = [counted(others), many, *extra]
        case Verdict.WARN:
            parts = [f"merge not blocked by {counted(others)}", many, *extra]
        case Verdict.ERROR:
            found = counted(others) or ("nothing else found" if revisions else "")
            parts = [f"merge blocked: {incomplete}", found, many, *extra]
        case Verdict.FAIL:
            besides = f"{counted(others)} besides" if others else ""
            parts = [f"merge blocked by {counted(blocking)}", besides, many, *extra, incomplete]
    return "; ".join(part for part in parts if part)


def passing(report: Report) -> str:
    """`pass, 4 notices`: precedes the headline if there are only notices, else empty."""
    return "pass, " if report.verdict is Verdict.PASS and report.findings else ""


def gate(report: Report) -> str:
    """What decides whether the merge is blocked, as a sentence without a full stop."""
    blocking, _ = _gated(report)
    if report.fail_on is None:
        rule = "no finding blocks the merge (fail-on: never)"
    elif report.fail_on is Severity.NOTICE:
        rule = "every finding blocks the merge (fail-on: notice)"
    else:
        rule = f"findings from {report.fail_on.value} on block the merge (fail-on: {report.fail_on.value})"
    does = (
        f"{counted(blocking)} do" if len(blocking) > 1 else f"{counted(blocking)} does" if blocking else "none does"
    )
    incomplete = ", and so does a review that is not complete" if report.all_errors else ""
    return f"{rule}; {does}{incomplete}"


def _gated(report: Report) -> tuple[list[Finding], list[Finding]]:
    """The findings that block the merge, and the others."""
    least = report.fail_on.rank if report.fail_on is not None else None
    blocking = [each for each in report.findings if least is not None and each.severity.rank >= least]
    return blocking, [each for each in report.findings if each not in blocking]


def _reviewed(report: Report) -> str:
    """How many revisions there are, and how many of them have findings."""
    revisions = sum(len(tree.recording.revisions) for tree in report.trees)
    touched = {
        (n, f.revision)
        for n, tree in enumerate(report.trees)
        for f in tree.findings
        if f.suppressed is None and f.revision is not None
    }
    with_findings = f", {len(touched):,} of them with findings" if 0 < len(touched) < revisions else ""
    return f"{number(revisions, 'revision')}{with_findings}" if revisions else ""


def base_commit(report: Report) -> str:
    """The commit whose state the new revisions start from; empty if git names none."""
    commits = dict.fromkeys(tree.recording.old_code.commit for tree in report.trees)
    return next((commit[:12] for commit in commits if commit), "")


def witness(report: Report, *, origins: bool = True) -> str:
    """The basis of the report: `PostgreSQL 18.4 (embedded), observed`. `origins`: also what the base states came from,
    which may differ from one review of the same to the next.
    """
    servers = dict.fromkeys(tree.recording.server for tree in report.trees if tree.recording.server)
    named = [f"PostgreSQL {_version(server)} ({server.source})" for server in servers]
    match report.mode:
        case "static":
            how = "static: read from the text, nothing was run"
        case "replayed":
            how = "replayed from a recording"
        case mode:
            how = mode
    beyond = dict.fromkeys(words for server in servers if (words := unverified(server.major)))
    made = dict.fromkeys(_origins(report) if origins else ())
    return "; ".join([", ".join([*named, how, *made]), *beyond])


def _origins(report: Report) -> Iterator[str]:
    """What the base states came from, where that was no history that was run from its beginning."""
    for each in (tree.recording.base_origin for tree in report.trees):
        match each.kind:
            case "snapshot":
                yield f"base state from a snapshot of {number(each.revisions, 'revision')}"
            case "earlier snapshot":
                before = number(each.revisions - each.replayed, "revision")
                yield f"base state from a snapshot of {before} and {each.replayed:,} replayed"
            case "history":
                yield f"base state from {_history(each)}"
            case "models":
                yield "base state from the models of the base commit"


def _history(origin: BaseOrigin) -> str:
    replayed = f"{number(origin.replayed, 'revision')} replayed"
    if origin.schema and origin.replayed < origin.revisions:  # which has a version number in it
        return f"the base schema and {replayed}" if origin.replayed else "the base schema"
    return replayed if origin.replayed else "the history"


def sizes(report: Report) -> tuple[str, ...]:
    """Where the sizes of tables in production come from, and how old they are; empty without any."""
    return (report.sizes.phrase,) if report.sizes is not None else ()


def _version(server: Server) -> str:
    return server.version.removeprefix("PostgreSQL ").split(" (")[0] or server.version


# -- what was seen --------------------------------------------------------------------------------


class Shown(Struct, frozen=True):
    """A finding with the observations of its statement."""

    finding: Finding
    statement: Statement | None
    refused: Statement | None
    """The same statement in a pass in which the server rejected it."""
    held: tuple[Held, ...]
    """Blocking locks on existing tables that the transaction already held."""
    seen: tuple[str, ...]
    """What the statement did to existing tables, one phrase each."""
    tree: str

    @property
    def sql(self) -> str | None:
        """The statement that it is about, or that failed."""
        failed = self.finding.evidence.get("sql")
        return self.finding.sql if self.finding.sql is not None else failed if isinstance(failed, str) else None

    @property
    def facts(self) -> tuple[str, ...]:
        """The evidence, one line each, names in backticks."""
        lines = []
        if self.seen:
            lines.append(f"{Basis.OBSERVED.value}: {', '.join(self.seen)}")
        if self.finding.basis is not Basis.OBSERVED or not self.seen:
            lines.append(f"{self.finding.basis.value}: {self._basis}")
        lines += [f"held: {held.mode} on `{held.relation}` since {self._since(held)}" for held in self.held[:3]]
        if self.finding.grows_with and all(each.bytes is None for each in self.finding.grows_with):
            tables = [f"`{each.table}`" for each in self.finding.grows_with]
            lines.append(f"grows with: the size of {listed(tables, _LISTED)}")
        if self.finding.takes:
            lines.append(f"takes: {self.finding.takes}")
        if self.refused and self.refused.error and self.refused.error not in self.finding.message:
            state = f" ({self.refused.sqlstate})" if self.refused.sqlstate else ""
            lines.append(f"PostgreSQL said: {self.refused.error}{state}")
        lines += [f"{_words(key)}: {_told(value)}" for key, value in self._evidence]
        if self.finding.fix is not None and self.finding.fix.diff:
            lines.append(f"fix: {self.finding.fix.title}; rehearsed, and `alembic-reviewer fix` writes it")
        return tuple(lines)

    def _since(self, held: Held) -> str:
        place = held.since.location
        if place is None:
            return "a statement of env.py"
        here = self.finding.location and self.finding.location.path == place.path
        return f"line {place.line}" if here else f"`{place}`"

    @property
    def _basis(self) -> str:
        if self.finding.basis is Basis.PARSED and self.sql is None:
            return "from the revision files; this needs no database"
        return _BASES[self.finding.basis]

    @property
    def _evidence(self) -> Iterator[tuple[str, object]]:
        for key, value in self.finding.evidence.items():
            if (
                key in _TOLD
                or value in (None, "", [], (), {})
                or (self.seen and key in _SEEN)
                or (self.held and key in _HELD)
            ):
                continue
            if isinstance(value, str) and value in self.finding.message:
                continue
            yield key, value


_BASES = {
    Basis.OBSERVED: "on a server, in the rehearsal",
    Basis.PARSED: "from the text alone, not observed on a server",
    Basis.COMPARED: "by comparing the state before with the state after",
}
# What the observation of the statement already says better.
_SEEN = frozenset(
    {"lock", "locks", "mode", "table", "tables", "rewritten", "rewrites", "scanned", "scans", "rows", "built"}
)
# What is shown elsewhere, or is only for programs.
_TOLD = frozenset({"covers", "kind", "sql"})
_HELD = frozenset({"held", "held_since", "since"})


def _words(key: str) -> str:
    return key.replace("_", " ")


def _told(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case str():
            return value
        case list() | tuple():
            shown = ", ".join(_told(each) for each in value[:5])
            return f"{shown} and {len(value) - 5:,} more" if len(value) > 5 else shown
        case Mapping():
            return ", ".join(f"{_words(str(key))} {_told(each)}" for key, each in value.items())
        case _:
            return str(value)


class Timed(Struct, frozen=True):
    """One line of the table of how long the deploy takes."""

    revision: str
    way: str
    """`upgrade` or `downgrade`."""
    place: Location | None
    what: str
    """The statement on one line."""
    tables: str
    growth: str
    """`0.4 to 0.6 s per million rows`, `does not grow`."""
    production: str
    """`21 to 45 s at 50 million rows`; empty where that is unknown."""
    grows: bool
    """Whether it takes longer with more rows, as far as is known."""


def timed(tree: TreeReport) -> tuple[Timed, ...]:
    """What takes time in a tree, the longest first."""
    return tuple(_timed(each) for each in tree.durations.worth_telling)


def _timed(each: Duration) -> Timed:
    statements = f"{number(each.count, 'statement')}, first " if each.block else ""
    there = ""
    if each.production is not None:
        rows = f" at {told_rows(each.rows)}" if each.rows is not None else ""
        there = f"{told(each.production)}{rows}{each.doubt}"
    return Timed(
        each.revision,
        each.direction.value,
        each.location,
        f"{statements}{' '.join(each.sql.split())}",
        listed([str(name) for name in each.tables], _LISTED),
        each.phrase,
        there,
        each.grows,
    )


class RevisionDigest(Struct, frozen=True):
    """One revision as the reports show it."""

    tree: str
    revision: Revision
    phrase: str
    rollback: rollback_label.Label
    untested: str
    """Why the rollback was rehearsed but is still `untested`; empty if it is tested, or was not rehearsed."""
    strongest: Strongest | None
    observed: bool
    """Whether its upgrade was observed on a server."""
    findings: tuple[Shown, ...]
    upgrade: tuple[Statement, ...]
    """What its upgrade sent, without Alembic's bookkeeping."""
    passes: tuple[Pass, ...]
    ran: Pass | None
    """The pass that the report shows: the deployed one, or another one that got further."""

    told_once: bool = False
    """Whether the tree gives the reason for being untested, for several revisions at once."""

    @property
    def way_back(self) -> str:
        """The rollback label, with the reason for `untested` if that is not obvious; empty if nothing was
        rehearsed.
        """
        if self.rollback == UNTESTED:
            why = "" if self.told_once else f", because {self.untested}"
            return f"{self.rollback}{why}" if self.untested else ""
        return self.rollback

    @property
    def failure(self) -> str:
        """Why its upgrade failed, if no finding says so."""
        failed = self.ran.failure if self.ran and not self.findings else None
        return failed.message if failed else ""

    @property
    def nothing_found(self) -> str:
        """The text if there are no findings: `none` only if the revision ran."""
        return "its upgrade failed" if self.failure else "none" if self.ran else "not run"


class TreeDigest(Struct, frozen=True):
    """One migration tree as the reports show it."""

    tree: TreeReport
    revisions: tuple[RevisionDigest, ...]
    findings: tuple[Shown, ...]
    """Findings that belong to no revision under review."""

    @property
    def untested(self) -> tuple[str, ...]:
        """Why the rollback of several revisions is untested: one sentence for each reason."""
        reasons = [each.untested for each in self.revisions if each.told_once]
        return tuple(
            f"the rollback of {number(reasons.count(reason), 'revision')} is untested, because {reason}"
            for reason in dict.fromkeys(reasons)
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is said of the revisions together, a sentence each without its end."""
        return (*([f"deploy order: {self.tree.order}"] if self.tree.order else []), *self.untested)

    @property
    def name(self) -> str:
        """The tree's name; empty where the project has only one."""
        return self.tree.recording.tree

    @property
    def all_findings(self) -> tuple[Shown, ...]:
        """Every active finding, in the order in which they are shown."""
        return (*self.first, *(shown for revision in self.revisions for shown in revision.findings), *self.last)

    @property
    def first(self) -> tuple[Shown, ...]:
        """What is shown before the revisions: errors that belong to none of them."""
        return tuple(shown for shown in self.findings if shown.finding.severity is Severity.ERROR)

    @property
    def last(self) -> tuple[Shown, ...]:
        """What is shown after the revisions: findings about the whole deploy."""
        return tuple(shown for shown in self.findings if shown.finding.severity is not Severity.ERROR)


def digest(tree: TreeReport) -> TreeDigest:
    """`tree` sorted by revision, each finding with its observations."""
    phrases, strongest = dict(tree.phrases), dict(tree.strongest)
    shown = [show(finding, tree.recording) for finding in tree.findings if finding.suppressed is None]
    ids = {revision.id for revision in tree.recording.revisions}
    revisions = [
        _revision(
            revision,
            tree.recording,
            phrases.get(revision.id, ""),
            strongest.get(revision.id),
            tuple(each for each in shown if each.finding.revision == revision.id),
        )
        for revision in tree.recording.revisions
    ]
    reasons = Counter(each.untested for each in revisions if each.untested)
    return TreeDigest(
        tree=tree,
        revisions=tuple(replace(each, told_once=reasons[each.untested] > 1) for each in revisions),
        findings=tuple(each for each in shown if each.finding.revision not in ids),
    )


def _revision(
    revision: Revision,
    recording: Recording,
    phrase: str,
    strongest: Strongest | None,
    findings: tuple[Shown, ...],
) -> RevisionDigest:
    passes = recording.passes_of(revision.id)
    ran = furthest(passes, Direction.UPGRADE)
    upgrade = tuple(s for s in (ran.statements if ran else ()) if s.origin is not Origin.ALEMBIC)
    label = rollback_label.label(recording, revision.id)
    return RevisionDigest(
        tree=recording.tree,
        revision=revision,
        phrase=phrase or ("joins branches" if revision.is_merge else ""),
        rollback=label,
        untested=rollback_label.why_untested(recording, revision.id) if label == UNTESTED else "",
        strongest=strongest,
        observed=any(statement.observation for statement in upgrade),
        findings=findings,
        upgrade=upgrade,
        passes=passes,
        ran=ran,
    )


def show(finding: Finding, recording: Recording) -> Shown:
    """A finding with its statement."""
    witness = finding.witness
    refusal = _at(witness.refusal, recording) if witness else None
    return Shown(
        finding,
        statement=_at(witness.place, recording) if witness else None,
        refused=refusal,
        held=witness.held if witness else (),
        seen=tuple(_did(witness)) if witness else (),
        tree=recording.tree,
    )


def _at(place: Place | None, recording: Recording) -> Statement | None:
    return recording.passes[place.run].statements[place.statement] if place is not None else None


def _did(witness: Witness) -> Iterator[str]:
    for lock in sorted(witness.locks, key=lambda each: -each.mode.strength):
        yield f"{lock.mode} on `{lock.relation}`"
    for work in witness.work:
        rows = f" ({number(work.rows, 'row')} in the rehearsal)" if work.rows else ""
        yield work.phrase + rows
