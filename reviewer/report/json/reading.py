"""A report recreated from its views, with everything that the other formats need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import UNSET
from msgspec.structs import asdict

from reviewer.recording import (
    BaseOrigin,
    Catalogue,
    Difference,
    Failure,
    Location,
    Lock,
    Loss,
    Observation,
    OldCode,
    Pass,
    Recording,
    Relation,
    Revision,
    Scan,
    Server,
    Skipped,
    Statement,
    Table,
    TransactionMode,
)
from reviewer.replay.effects import Held, Place, Witness, Work
from reviewer.report.json import views
from reviewer.review.durations import Duration, Durations
from reviewer.review.finding import Finding, Growth, Severity, Suppressed, TriedFix
from reviewer.review.fit import Fit, Point, Range
from reviewer.review.verdict import Report, Strongest, TreeReport
from reviewer.sql.names import Name
from reviewer.stats.sizes import Source


def report_of(found: views.Report) -> Report:
    """The report that `found` describes. Its verdict and counts are recomputed."""
    return Report(
        tool=found.tool.version,
        trees=tuple(_tree(tree, found) for tree in found.trees),
        fail_on=None if found.fail_on is views.FailOn.NEVER else Severity(found.fail_on.value),
        skipped=tuple(Skipped(each.what, each.reason) for each in found.skipped if not each.tree),
        errors=_common_errors(found),
        replayed=found.mode == "replayed",
        sizes=_sizes(found.sizes) if found.sizes else None,
    )


def _sizes(found: views.Sizes) -> Source | None:
    try:
        made = datetime.fromisoformat(found.made)
    except ValueError:
        return None
    return Source(found.file, found.database, found.postgres, made, found.days)


def _common_errors(found: views.Report) -> tuple[str, ...]:
    """Those that no tree has for its own: the list has all of them."""
    own = Counter(error for tree in found.trees for error in tree.errors)
    common = []
    for error in found.errors:
        if own[error]:
            own[error] -= 1
        else:
            common.append(error)
    return tuple(common)


def _tree(tree: views.Tree, found: views.Report) -> TreeReport:
    name = tree.name
    revisions = [each for each in found.revisions if each.tree == name]
    return TreeReport(
        recording=Recording(
            tool=found.tool.version,
            mode=tree.mode,
            revisions=tuple(map(_revision, revisions)),
            passes=tuple(_pass(ran, each.id) for each in revisions for ran in each.passes),
            skipped=tuple(Skipped(each.what, each.reason) for each in found.skipped if name and each.tree == name),
            errors=tree.errors,
            server=Server(tree.postgres.version, tree.postgres.source) if tree.postgres else None,
            transactions=TransactionMode(per_migration=tree.transaction_per_migration),
            base=Catalogue(
                tables=tuple(Table(Name(each.name, each.schema), each.kind, rows=each.rows) for each in tree.tables)
            ),
            old_code=OldCode() if tree.old_code is UNSET else _old_code(tree.old_code),
            base_origin=BaseOrigin() if tree.base_state is UNSET else _base_origin(tree.base_state),
            tree=name,
            one_way=tuple(each.id for each in revisions if each.one_way),
            trials=tuple(_pass(ran, each.id) for each in revisions for ran in each.trials),
        ),
        findings=tuple(_finding(each, revisions) for each in found.findings if each.tree == name),
        unrecognized=tuple(
            Statement(each.sql, _place(each.path, each.line)) for each in found.unrecognized if each.tree == name
        ),
        durations=_durations(found, name),
        order=tree.deploy_order,
        phrases=tuple((each.id, each.phrase) for each in revisions),
        strongest=tuple(
            (each.id, Strongest(lock.mode, tuple(map(_relation, lock.relations))))
            for each in revisions
            if (lock := each.strongest_lock)
        ),
    )


def _durations(found: views.Report, tree: str) -> Durations:
    scale = next((each for each in found.scale if each.tree == tree), None)
    if scale is None:
        return Durations()
    return Durations(
        tuple(_duration(each) for each in found.durations if each.tree == tree),
        scale.sizes,
        scale.factor,
        scale.calibrated or "",
    )


def _duration(found: views.Duration) -> Duration:
    span, there = found.seconds_per_row, found.production
    return Duration(
        found.revision,
        found.direction,
        _place(found.path, found.line),
        found.sql,
        found.statements,
        found.block,
        tuple(map(Name.told, found.tables)),
        Fit(
            found.growth,
            tuple(Point(each.rows, each.seconds, each.waited) for each in found.measured),
            Range(span.low, span.high),
            found.exponent,
            found.reason,
        ),
        found.rows,
        Range(there.low, there.high) if there else None,
    )


def _base_origin(found: views.BaseState) -> BaseOrigin:
    return BaseOrigin(
        found.origin or "",
        found.base_schema,
        found.revisions,
        found.replayed,
        found.seconds,
        found.commit or "",
    )


def _old_code(found: views.OldCode) -> OldCode:
    return OldCode(found.commit or "", () if found.tried else None, reason=found.reason)


def _revision(found: views.Revision) -> Revision:
    return Revision(
        found.id,
        found.down_revision,
        found.path,
        found.depends_on,
        found.branch_labels,
        found.message,
        found.upgrade_line,
    )


def _pass(found: views.Pass, revision: str) -> Pass:
    return Pass(
        revision,
        found.direction,
        found.rehearsal,
        found.outcome,
        found.seconds,
        _failure(found.failure, found.error or "") if found.failure else None,
        tuple(map(_statement, found.statements)),
        found.reason,
        found.rows,
        found.worst,
        found.collided,
        found.written,
        found.compared,
        tuple(Difference(**asdict(each)) for each in found.differences),
        tuple(Loss(**asdict(each)) for each in found.losses),
        tuple(Loss(**asdict(each)) for each in found.new_losses),
        found.brought,
        found.unread,
        tuple(Statement(each.sql, _place(each.path, each.line)) for each in found.unrun),
    )


def _failure(found: views.Failure, message: str) -> Failure:
    return Failure(
        found.kind,
        message,
        _place(found.path, found.line),
        found.sql,
        found.sqlstate,
        found.deliberate,
        moment=found.moment,
        outside=_place(found.outside.path, found.outside.line) if found.outside else None,
    )


def _statement(found: views.Statement) -> Statement:
    return Statement(
        found.sql,
        _place(found.path, found.line),
        found.origin,
        found.seconds,
        found.in_transaction,
        found.rows,
        found.parameters,
        error=found.error,
        sqlstate=found.sqlstate,
        observation=_observation(found) if found.observed else None,
    )


def _observation(found: views.Statement) -> Observation:
    relations: Mapping[str, Relation] = {
        each.relation: Relation(each.schema, each.name, each.kind, each.new, each.table, each.table_new)
        for each in found.relations
    }

    def relation(name: str) -> Relation:
        return relations.get(name) or Relation("public", name, "other")

    return Observation(
        locks=tuple(Lock(relation(each.relation), each.mode) for each in found.locks),
        rewritten=tuple(map(relation, found.rewritten)),
        scanned=tuple(Scan(relation(each.relation), each.rows) for each in found.scanned),
        built=tuple(map(relation, found.built)),
        lock_timeout=found.lock_timeout,
        statement_timeout=found.statement_timeout,
        transaction=found.transaction,
    )


def _finding(found: views.Finding, revisions: Sequence[views.Revision]) -> Finding:
    suppressed = found.suppressed
    return Finding(
        found.rule,
        found.severity,
        found.message,
        found.revision,
        _place(found.path, found.line),
        found.direction,
        found.basis,
        found.evidence,
        found.remedy,
        found.about,
        found.sql,
        Suppressed(suppressed.reason, suppressed.line) if suppressed else None,
        takes=found.takes,
        grows_with=tuple(
            Growth(Name.told(each.table), Name.told(each.before), each.rows, each.bytes)
            for each in found.grows_with
        ),
        witness=_witness(found, revisions),
        fix=_fix(found.fix) if found.fix else None,
    )


def _fix(fix: views.Fix) -> TriedFix:
    return TriedFix(fix.title or "", fix.diff or "", fix.reason or "", fix.unsafe)


def _witness(found: views.Finding, revisions: Sequence[views.Revision]) -> Witness | None:
    """What is known of the statement, where the report says which it is and has it."""
    place = _address(found.statement, revisions)
    if place is None:
        return None
    did = found.did or views.Did(locks=(), work=())
    return Witness(
        place,
        _address(found.refused, revisions),
        held=tuple(
            Held(
                _relation(each.relation),
                each.mode,
                Statement("", _place(each.since.path, each.since.line) if each.since else None),
            )
            for each in found.held
        ),
        locks=tuple(Lock(_relation(each.relation), each.mode) for each in did.locks),
        work=tuple(
            Work(
                each.kind,
                _relation(each.table),
                each.rows,
                _relation(each.index) if each.index else None,
            )
            for each in did.work
        ),
    )


def _address(found: views.Address | None, revisions: Sequence[views.Revision]) -> Place | None:
    if found is None:
        return None
    before = 0
    for revision in revisions:
        if revision.id == found.revision:
            passes = revision.passes
            there = found.run < len(passes) and found.statement < len(passes[found.run].statements)
            return Place(before + found.run, found.statement) if there else None
        before += len(revision.passes)
    return None


def _relation(told: str) -> Relation:
    name = Name.told(told)
    return Relation(name.schema or "public", name.name, "table")


def _place(path: str | None, line: int | None) -> Location | None:
    return None if path is None else Location(path, line or 1)
