"""Differences between production and the state that the history produces: `before` is the history's value, `after`
production's.

Partitions are left out, since production creates its own. So are objects that differ only in their names, and NOT
NULL constraints, which are separate objects only since PostgreSQL 18: the column shows whether it is nullable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from reviewer.recording import (
    Catalogue,
    Change,
    Column,
    Constraint,
    Difference,
    Index,
    Mode,
    Recording,
    Table,
)
from reviewer.sql.names import VERSION_TABLE, listed
from reviewer.stats.sizes import Production

_SEQUENCE = re.compile(r"^nextval\('.*'::regclass\)$")

_PUBLIC = re.compile(r"(?<![\w.\"])public\.")

T = TypeVar("T", Column, Constraint, Index)


def why_not(recording: Recording, production: Production) -> str:
    """Explain why the schema of production cannot be compared with the base state of `recording`. Empty if it can
    be, or if no schema was read.
    """
    if production.catalogue is None or not recording.revisions:
        return ""
    if recording.mode is Mode.STATIC:
        return "without a server it is not known what the history makes"
    heads = production.stats.heads
    base = recording.history.base_heads or _parents(recording)
    if heads is not None and not {*base} <= {*heads}:
        at = f"at revision {listed(heads)}" if heads else "at no revision"
        return f"production was {at}, and the review starts from {listed(base)}"
    return ""


def _parents(recording: Recording) -> tuple[str, ...]:
    """Return the parents of the first revisions in the recording."""
    own = {each.id for each in recording.revisions}
    return tuple(dict.fromkeys(p for each in recording.revisions for p in each.down_revisions if p not in own))


def between(recording: Recording, production: Production) -> tuple[Difference, ...]:
    """Return how production differs from the base state of `recording`; empty if they cannot be compared."""
    if production.catalogue is None or why_not(recording, production):
        return ()
    return tuple(compare(recording.base, production.catalogue))


def compare(made: Catalogue, there: Catalogue) -> Iterator[Difference]:
    """Yield the differences of `there` from the state that the history has `made`, table by table."""
    tables, others = _by_name(made), _by_name(there)
    for name in sorted({*tables, *others}):
        mine, other = tables.get(name), others.get(name)
        if mine is None or other is None:
            found = mine or other
            assert found is not None
            yield Difference(found.kind, name, Change.MISSING if other is None else Change.LEFT_BEHIND)
        elif mine.kind != other.kind:
            yield Difference(mine.kind, name, Change.CHANGED, aspect="kind", before=mine.kind, after=other.kind)
        elif "view" not in mine.kind:
            yield from _of_table(name, mine, other)
    labels = {str(each.name): each.labels for each in there.enums}
    for enum in sorted(made.enums, key=lambda each: str(each.name)):
        name = str(enum.name)
        if name not in labels:
            yield Difference("enum type", name, Change.MISSING)
        elif labels[name] != enum.labels:
            yield Difference(
                "enum type",
                name,
                Change.CHANGED,
                aspect="labels",
                before=", ".join(enum.labels),
                after=", ".join(labels[name]),
            )


def _by_name(catalogue: Catalogue) -> dict[str, Table]:
    return {
        str(each.name): each
        for each in catalogue.tables
        if each.partition_of is None and each.name.name != VERSION_TABLE
    }


def _of_table(name: str, mine: Table, other: Table) -> Iterator[Difference]:
    yield from _parts(name, "column", mine.columns, other.columns, _column, lambda _: True)
    yield from _parts(
        name,
        "constraint",
        mine.constraints,
        other.constraints,
        lambda each: {
            "definition": _unqualified(each.definition.removesuffix(" NOT VALID")),
            "valid": _yes(each.valid),
        },
        lambda each: each.kind != "not null",
    )
    yield from _parts(
        name,
        "index",
        mine.indexes,
        other.indexes,
        lambda each: {"definition": _without_name(each.definition), "valid": _yes(each.valid)},
        lambda each: each.constraint is None,
    )
    for policy in sorted({*mine.policies} ^ {*other.policies}):
        missing = policy in mine.policies
        yield Difference("policy", policy, Change.MISSING if missing else Change.LEFT_BEHIND, name)


def _parts(
    table: str,
    kind: str,
    mine: Sequence[T],
    others: Sequence[T],
    about: Callable[[T], Mapping[str, str | None]],
    counts: Callable[[T], bool],
) -> Iterator[Difference]:
    made: dict[str, Mapping[str, str | None]] = {each.name: about(each) for each in mine if counts(each)}
    there: dict[str, Mapping[str, str | None]] = {each.name: about(each) for each in others if counts(each)}
    if kind != "column":  # objects that differ only in their names
        for name in [each for each in made if each not in there]:
            same = next((each for each in there if each not in made and there[each] == made[name]), None)
            if same is not None:
                del made[name], there[same]
    for name in [*made, *(each for each in there if each not in made)]:
        if name not in there:
            yield Difference(kind, name, Change.MISSING, table, after=_definition(made[name]))
        elif name not in made:
            yield Difference(kind, name, Change.LEFT_BEHIND, table, after=_definition(there[name]))
        else:
            for aspect, value in made[name].items():
                if value != there[name][aspect]:
                    yield Difference(kind, name, Change.CHANGED, table, aspect, value, there[name][aspect])


def _definition(about: Mapping[str, str | None]) -> str | None:
    return about.get("definition") or about.get("type")


def _column(column: Column) -> dict[str, str | None]:
    default = column.default and _unqualified(column.default)
    if default is not None and _SEQUENCE.match(default):
        default = "nextval"  # the sequence of a serial column keeps the old name of a renamed table
    return {"type": _unqualified(column.type), "nullable": _yes(column.nullable), "default": default}


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _without_name(definition: str) -> str:
    """Return the definition of an index from its table onwards, and whether it is unique."""
    unique = "UNIQUE " if definition.startswith("CREATE UNIQUE") else ""
    return unique + _unqualified(definition.partition(" ON ")[2])


def _unqualified(text: str) -> str:
    """Remove `public.`: PostgreSQL writes it for a role that may not use that schema, and omits it for others."""
    return _PUBLIC.sub("", text)
