"""A release for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from reviewer.host import json_schema
from reviewer.recording import Location
from reviewer.release import model
from reviewer.report import inert
from reviewer.report.json.writing import view_of
from reviewer.report.release import views


def render(release: model.Release) -> str:
    """`release` as JSON text, in ASCII."""
    return inert.json_text(msgspec.to_builtins(_view(release)))


def schema() -> dict[str, Any]:
    """The JSON Schema of what `render` writes. Closed: a key that it does not name is a mistake there."""
    return json_schema.closed(views.Release, "release", "alembic-reviewer release")


def _view(release: model.Release) -> views.Release:
    verdict = release.verdict
    return views.Release(
        schema=1,
        start=release.start,
        end=release.end,
        verdict=views.Verdict(
            may_run=verdict.may,
            reasons=verdict.reasons,
            reads_wait=_hold(verdict.reads) if verdict.reads else None,
            writes_wait=_hold(verdict.writes) if verdict.writes else None,
            no_return=verdict.no_return.revision.id if verdict.no_return else None,
        ),
        notes=release.notes,
        timeline=tuple(map(_band, release.timeline.bands)),
        order=tuple(_order(each, release) for each in release.sequence.orders),
        untried=release.sequence.untried,
        stages=tuple(
            views.Stage(what="code" if each.what == "code" else "migrate", to=each.to, revisions=each.revisions)
            for each in release.sequence.stages
        ),
        conflict=release.sequence.conflict,
        plan=tuple(_action(part, each) for part, actions in release.plan.parts for each in actions),
        way_back=tuple(map(_way_back, release.way_back)),
        review=view_of(release.report),
    )


def _place(location: Location | None) -> dict[str, Any]:
    return {"path": location.path if location else None, "line": location.line if location else None}


def _duration(each: model.Duration) -> views.Duration:
    estimate = each.estimate
    return views.Duration(
        seconds=each.measured,
        rows=each.rows,
        grows_with=tuple(
            views.Growth(table=str(growth.before), rows=growth.rows, bytes=growth.bytes)
            for growth in each.grows_with
        ),
        estimate=views.Estimate(least=estimate.least, most=estimate.most, basis=estimate.basis)
        if estimate
        else None,
        growth=each.growth,
    )


def _hold(each: model.Hold) -> views.Hold:
    return views.Hold(
        table=str(each.table),
        mode=each.mode,
        blocks=each.blocks,
        since=each.since,
        until=each.until,
        bounded=each.bounded,
        duration=_duration(each.duration),
    )


def _band(each: model.Band) -> views.Band:
    return views.Band(
        number=each.number,
        transaction=each.transaction,
        revisions=each.revisions,
        seconds=each.seconds,
        steps=tuple(
            views.Step(
                number=step.number,
                revision=step.revision,
                sql=step.statement.sql,
                **_place(step.location),
                start=step.start,
                seen=step.seen,
                documented=step.documented,
                duration=_duration(step.duration),
            )
            for step in each.steps
        ),
        holds=tuple(map(_hold, each.holds)),
        lock_order=each.order,
    )


def _order(each: model.Order, release: model.Release) -> views.Order:
    said = each.declared
    return views.Order(
        revision=each.revision.id,
        does=release.phrase(each.revision.id),
        when=each.when,
        old_code=each.old,
        new_code=each.new,
        why=each.why,
        how=each.how,
        declared=views.Declared(
            when="before the code" if said.before_code else "after the code",
            where=said.where,
            line=said.line,
            disagrees=each.disagrees,
        )
        if said
        else None,
    )


def _action(part: str, each: model.Action) -> views.Action:
    return views.Action(
        part=part,
        title=each.title,
        detail=each.detail,
        code=each.code,
        language=each.language,
        **_place(each.location),
    )


def _way_back(each: model.WayBack) -> views.WayBack:
    return views.WayBack(
        revision=each.revision.id,
        rollback=each.label,
        final=each.final,
        lost=each.lost,
        differences=each.differences,
        failure=each.failure,
        duration=_duration(each.duration) if each.duration else None,
        old_code=each.old_code,
        destroys=each.destroys,
    )
