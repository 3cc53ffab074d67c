"""A report as its views: what the JSON report says of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from reviewer.recording import (
    Failure,
    Location,
    Observation,
    OldCode,
    Pass,
    Recording,
    Relation,
    Server,
    Skipped,
    Statement,
)
from reviewer.replay.effects import Held, Place, Witness
from reviewer.report import inert
from reviewer.report.digest import RevisionDigest, Shown, TreeDigest, digest, show
from reviewer.report.json import views
from reviewer.review.durations import Duration
from reviewer.review.finding import TriedFix
from reviewer.review.verdict import Report, Strongest
from reviewer.stats.sizes import Source

V = TypeVar("V", bound=views.View)


def view_of(report: Report) -> views.Report:
    """`report` as the values that become JSON."""
    trees = [digest(tree) for tree in report.trees]
    server = next((tree.recording.server for tree in report.trees if tree.recording.server), None)
    return views.Report(
        schema=1,
        tool=views.Tool(name="alembic-reviewer", version=report.tool),
        verdict=report.verdict,
        fail_on=views.FailOn(report.fail_on.value) if report.fail_on else views.FailOn.NEVER,
        postgres=_server(server),
        mode=report.mode,
        errors=report.all_errors,
        trees=tuple(_tree(tree.recording, tree.order) for tree in report.trees),
        revisions=tuple(_revision(revision, tree.tree.recording) for tree in trees for revision in tree.revisions),
        findings=tuple(_finding(shown, tree.tree.recording) for tree in trees for shown in _shown(tree)),
        skipped=(
            *(_skipped(each, "") for each in report.skipped),
            *(_skipped(each, tree.name) for tree in trees for each in tree.tree.recording.skipped),
        ),
        unrecognized=tuple(
            views.Unrecognized(sql=each.sql, **_place(each.location), tree=tree.name)
            for tree in trees
            for each in tree.tree.unrecognized
        ),
        sizes=_sizes(report.sizes) if report.sizes else None,
        scale=tuple(
            views.Scale(tree=tree.name, sizes=found.sizes, factor=found.factor, calibrated=found.calibrated or None)
            for tree in trees
            if (found := tree.tree.durations).all
        ),
        durations=tuple(_duration(each, tree.name) for tree in trees for each in tree.tree.durations.all),
    )


def _duration(each: Duration, tree: str) -> views.Duration:
    return views.Duration(
        tree=tree,
        revision=each.revision,
        direction=each.direction,
        **_place(each.location),
        sql=each.sql,
        statements=each.count,
        block=each.block,
        tables=tuple(map(str, each.tables)),
        growth=each.fit.kind,
        exponent=round(each.fit.exponent, 2),
        reason=each.fit.reason,
        measured=tuple(
            views.Measured(rows=point.rows, seconds=_seconds(point.seconds), waited=_seconds(point.waited))
            for point in each.fit.points
        ),
        seconds_per_row=views.Span(low=each.fit.slope.low, high=each.fit.slope.high),
        rows=each.rows,
        production=_same(each.production, views.Span) if each.production else None,
    )


def _same(value: object, view: type[V]) -> V:
    """`value` as a view that has the same fields."""
    return msgspec.convert(value, view, from_attributes=True)


def _sizes(source: Source) -> views.Sizes:
    return views.Sizes(
        file=source.file,
        database=source.database,
        postgres=source.postgres,
        made=source.made.isoformat(),
        days=source.days,
    )


def _server(server: Server | None) -> views.Postgres | None:
    return _same(server, views.Postgres) if server else None


def _tree(recording: Recording, order: str) -> views.Tree:
    return views.Tree(
        name=recording.tree,
        mode=recording.mode,
        postgres=_server(recording.server),
        transaction_per_migration=recording.transactions.per_migration,
        errors=recording.errors,
        old_code=views.OldCode(
            commit=recording.old_code.commit or None,
            tried=recording.old_code.mapped is not None,
            reason=_why_not_tried(recording.old_code),
        ),
        base_state=views.BaseState(
            origin=recording.base_origin.kind or None,
            base_schema=recording.base_origin.schema,
            revisions=recording.base_origin.revisions,
            replayed=recording.base_origin.replayed,
            seconds=recording.base_origin.seconds,
            commit=recording.base_origin.commit or None,
        ),
        tables=tuple(
            views.Table(schema=table.name.schema, name=table.name.name, kind=table.kind, rows=table.rows)
            for table in recording.base.tables
        ),
        deploy_order=order,
    )


def _why_not_tried(found: OldCode) -> str:
    return found.reason or ("the recording does not say why" if found.mapped is None else "")


def _skipped(each: Skipped, tree: str) -> views.Skipped:
    return views.Skipped(what=each.what, reason=each.reason, tree=tree)


def _place(location: Location | None) -> dict[str, Any]:
    """The two keys of whatever has a place."""
    return {"path": location.path if location else None, "line": location.line if location else None}


def _revision(found: RevisionDigest, recording: Recording) -> views.Revision:
    revision = found.revision
    return views.Revision(
        id=revision.id,
        down_revision=revision.down_revisions,
        path=revision.path,
        new=True,
        rollback=found.rollback,
        passes=tuple(map(_pass, found.passes)),
        tree=found.tree,
        message=revision.message,
        phrase=found.phrase,
        depends_on=revision.depends_on,
        branch_labels=revision.branch_labels,
        upgrade_line=revision.upgrade_line,
        strongest_lock=_strongest(found.strongest) if found.strongest else None,
        trials=tuple(_pass(each) for each in recording.trials if each.revision == revision.id),
        one_way=revision.id in recording.one_way,
    )


def _strongest(lock: Strongest) -> views.StrongestLock:
    return views.StrongestLock(mode=lock.mode, relations=tuple(map(str, lock.tables)))


def _pass(each: Pass) -> views.Pass:
    return views.Pass(
        direction=each.direction,
        rehearsal=each.rehearsal,
        outcome=each.outcome,
        seconds=_seconds(each.seconds),
        error=each.failure.message if each.failure else None,
        statements=tuple(map(_statement, each.statements)),
        reason=each.reason,
        rows=each.rows,
        failure=_failure(each.failure) if each.failure else None,
        worst=each.worst,
        collided=each.collided,
        written=each.written,
        compared=each.compared,
        differences=tuple(_same(difference, views.Difference) for difference in each.differences),
        losses=tuple(_same(loss, views.Loss) for loss in each.losses),
        new_losses=tuple(_same(loss, views.Loss) for loss in each.new_losses),
        brought=each.brought,
        unread=each.unread,
        unrun=tuple(views.Unrun(sql=unrun.sql, **_place(unrun.location)) for unrun in each.unrun),
    )


def _failure(failure: Failure) -> views.Failure:
    return views.Failure(
        kind=failure.kind,
        **_place(failure.location),
        sql=failure.sql,
        sqlstate=failure.sqlstate,
        deliberate=failure.deliberate,
        moment=failure.moment,
        outside=_same(failure.outside, views.OutsidePlace) if failure.outside else None,
    )


def _statement(statement: Statement) -> views.Statement:
    seen = statement.observation or Observation()
    relations = [
        *(lock.relation for lock in seen.locks),
        *seen.rewritten,
        *(scan.relation for scan in seen.scanned),
        *seen.built,
    ]
    return views.Statement(
        sql=statement.sql,
        **_place(statement.location),
        seconds=_seconds(statement.seconds),
        in_transaction=statement.in_transaction,
        locks=tuple(
            views.Lock(relation=str(lock.relation), mode=lock.mode, new_relation=lock.relation.new)
            for lock in seen.locks
        ),
        rewritten=tuple(map(str, seen.rewritten)),
        scanned=tuple(views.Scan(relation=str(scan.relation), rows=scan.rows) for scan in seen.scanned),
        rows=statement.rows,
        origin=statement.origin,
        parameters=statement.parameters,
        error=statement.error,
        sqlstate=statement.sqlstate,
        observed=statement.observation is not None,
        transaction=seen.transaction,
        lock_timeout=seen.lock_timeout,
        statement_timeout=seen.statement_timeout,
        built=tuple(map(str, seen.built)),
        relations=tuple(map(_relation, dict.fromkeys(relations))),
    )


def _relation(relation: Relation) -> views.Relation:
    return views.Relation(
        relation=str(relation),
        schema=relation.schema,
        name=relation.name,
        kind=relation.kind,
        new=relation.new,
        table=relation.table,
        table_new=relation.table_new,
    )


def _seconds(seconds: float) -> float:
    return round(seconds, 6)


def _shown(tree: TreeDigest) -> Iterable[Shown]:
    """Every finding in the order of the review, the suppressed ones too."""
    return [show(finding, tree.tree.recording) for finding in tree.tree.findings]


def _finding(shown: Shown, recording: Recording) -> views.Finding:
    finding = shown.finding
    witness = finding.witness
    return views.Finding(
        rule=finding.rule,
        severity=finding.severity,
        message=finding.message,
        revision=finding.revision,
        **_place(finding.location),
        direction=finding.direction,
        basis=finding.basis,
        evidence={str(key): inert.json_value(value) for key, value in finding.evidence.items()},
        remedy=finding.remedy,
        suppressed=_same(finding.suppressed, views.Suppressed) if finding.suppressed else None,
        tree=shown.tree,
        sql=finding.sql,
        about=finding.about,
        held=tuple(map(_held, shown.held)),
        statement=_address(witness.place, recording) if witness else None,
        refused=_address(witness.refusal, recording) if witness and witness.refusal else None,
        grows_with=tuple(
            views.Growth(table=str(each.table), before=str(each.before), rows=each.rows, bytes=each.bytes)
            for each in finding.grows_with
        ),
        takes=finding.takes,
        did=_did(witness) if witness else None,
        fix=_fix(finding.fix) if finding.fix else None,
    )


def _fix(fix: TriedFix) -> views.Fix:
    return views.Fix(title=fix.title or None, diff=fix.diff or None, reason=fix.reason or None, unsafe=fix.unsafe)


def _held(held: Held) -> views.Held:
    place = held.since.location
    return views.Held(
        relation=str(held.relation), mode=held.mode, since=_same(place, views.Since) if place else None
    )


def _did(witness: Witness) -> views.Did:
    return views.Did(
        locks=tuple(views.Taken(relation=str(lock.relation), mode=lock.mode) for lock in witness.locks),
        work=tuple(
            views.Work(
                kind=work.kind,
                table=str(work.table),
                rows=work.rows,
                index=str(work.index) if work.index else None,
            )
            for work in witness.work
        ),
    )


def _address(place: Place, recording: Recording) -> views.Address:
    """Which statement that is among those of the report: passes are counted within their revision."""
    run = recording.passes[place.run]
    before = sum(each.revision == run.revision for each in recording.passes[: place.run])
    return views.Address(revision=run.revision, run=before, statement=place.statement)
