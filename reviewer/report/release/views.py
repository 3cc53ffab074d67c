"""The JSON report of a release, type by type. Its JSON Schema is made from these classes; keys are only ever added
while `schema` is 1.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from reviewer.release.model import Cell, May, When
from reviewer.report.json.views import Line, Natural, Path, Report, Seconds, SpelledMode, Sql, View
from reviewer.review.rollback_label import Label

Number = Annotated[Natural, Meta(description="Number of a statement of the deploy, counted from 1.")]


class Growth(View, frozen=True, kw_only=True):
    """An existing table with whose size something grows."""

    table: Annotated[str, Meta(description="Its name in production before the release.")]
    rows: Annotated[Natural | None, Meta(description="Estimated rows in production; null where that is unknown.")]
    bytes: Annotated[Natural | None, Meta(description="Bytes in production; null where that is unknown.")]


class Estimate(View, frozen=True, kw_only=True):
    """How long something takes at production's size."""

    least: Seconds
    most: Seconds
    basis: Annotated[str, Meta(description="What the range rests on.")]


class Duration(View, frozen=True, kw_only=True):
    """How long something took in the rehearsal."""

    seconds: Seconds
    rows: Annotated[Natural, Meta(description="Rows of the largest table that it grows with, in the rehearsal.")]
    grows_with: tuple[Growth, ...]
    estimate: Annotated[
        Estimate | None,
        Meta(description="Null if the growth was not measured, or if the size in production is unknown."),
    ]
    growth: Annotated[str, Meta(description="How it grows; empty if that was not measured.")] = ""


class Hold(View, frozen=True, kw_only=True):
    """A lock on an existing table, to the end of its transaction."""

    table: str
    mode: SpelledMode
    blocks: Annotated[str, Meta(description="What waits: `reads and writes`, `writes`, or empty.")]
    since: Number
    until: Number
    bounded: Annotated[bool, Meta(description="Whether a lock_timeout bounds how long it is waited for.")]
    duration: Duration


class Step(View, frozen=True, kw_only=True):
    """A statement of the deploy."""

    number: Number
    revision: str
    sql: Sql
    path: Path
    line: Line
    start: Annotated[Seconds, Meta(description="Seconds of the server since the beginning of the deploy.")]
    seen: Annotated[tuple[str, ...], Meta(description="What it does to existing tables.")]
    documented: Annotated[bool, Meta(description="Whether its locks are those of the manual, not observed ones.")]
    duration: Duration


class Band(View, frozen=True, kw_only=True):
    """A transaction, or a statement outside of any."""

    number: Natural
    transaction: bool
    revisions: tuple[str, ...]
    seconds: Seconds
    steps: tuple[Step, ...]
    holds: tuple[Hold, ...]
    lock_order: Annotated[tuple[str, ...], Meta(description="The tables that it locks one after another.")]


class Declared(View, frozen=True, kw_only=True):
    """When the author of a revision says that it is to run."""

    when: Literal["before the code", "after the code"]
    where: str
    line: Line
    disagrees: Annotated[bool, Meta(description="Whether what was measured contradicts it.")]


class Order(View, frozen=True, kw_only=True):
    """When a revision is to run."""

    revision: str
    does: Annotated[str, Meta(description="What it does, in one phrase.")]
    when: When
    old_code: Annotated[Cell, Meta(description="The old code on the schema after the revision.")]
    new_code: Annotated[Cell, Meta(description="The new code on the schema without the revision.")]
    why: tuple[str, ...]
    how: Annotated[tuple[str, ...], Meta(description="Of one to be split: its parts in their order.")]
    declared: Declared | None


class Stage(View, frozen=True, kw_only=True):
    """One step of the release: revisions, or the code."""

    what: Literal["migrate", "code"]
    to: Annotated[tuple[str, ...], Meta(description="Of a migration: what to upgrade to.")]
    revisions: tuple[str, ...]


class WayBack(View, frozen=True, kw_only=True):
    """A revision taken back."""

    revision: str
    rollback: Label
    final: Annotated[bool, Meta(description="Whether there is no way back over it that brings everything back.")]
    lost: tuple[str, ...]
    differences: tuple[str, ...]
    failure: str
    duration: Annotated[Duration | None, Meta(description="Null where the downgrade did not run.")]
    old_code: Annotated[Cell, Meta(description="The old code on the schema that the downgrade leaves.")]
    destroys: Annotated[
        tuple[str, ...],
        Meta(description="What the upgrade does to existing rows and values, a phrase each."),
    ] = ()


class Action(View, frozen=True, kw_only=True):
    """A thing to do."""

    part: Annotated[str, Meta(description="The part of the plan that it belongs to.")]
    title: str
    detail: str
    code: str
    language: str
    path: Path
    line: Line


class Verdict(View, frozen=True, kw_only=True):
    """What is said first."""

    may_run: Annotated[May, Meta(description="Whether it may run with traffic on.")]
    reasons: tuple[str, ...]
    reads_wait: Annotated[Hold | None, Meta(description="The lock under which reads wait longest.")]
    writes_wait: Annotated[Hold | None, Meta(description="The lock under which writes wait longest.")]
    no_return: Annotated[
        str | None,
        Meta(
            description="The first revision that is known to have no way back; an `untested` one before it may have none."
        ),
    ]


class Release(View, frozen=True, kw_only=True):
    """A release from one state to another."""

    schema: Literal[1]
    start: str
    end: str
    verdict: Verdict
    notes: tuple[str, ...]
    timeline: tuple[Band, ...]
    order: tuple[Order, ...]
    untried: Annotated[tuple[str, ...], Meta(description="Why the old or the new code was not tried at all.")]
    stages: Annotated[tuple[Stage, ...], Meta(description="Empty where no order is without harm.")]
    conflict: Annotated[str, Meta(description="Why no order is without harm.")]
    plan: tuple[Action, ...]
    way_back: tuple[WayBack, ...]
    review: Annotated[Report, Meta(description="The review of the revisions, as `review --format json` has it.")]
