"""A constraint without a name gets the one that the database gives it, so that a downgrade can drop it."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from reviewer.fix.fix import Fix
from reviewer.fix.found import Found, strings
from reviewer.fix.refused import Refused
from reviewer.fix.source import DOWNGRADE, UPGRADE, Rewriting, Site, argument, literal
from reviewer.recording import Direction
from reviewer.review import remedies
from reviewer.sql.operations import AddCheck, AddForeignKey, AddUnique

RULES = ("unnamed-constraint",)

_MAKES = {
    "create_foreign_key": "fkey",
    "create_unique_constraint": "key",
    "create_check_constraint": "check",
}
_KINDS = {
    "foreignkey": "create_foreign_key",
    "unique": "create_unique_constraint",
    "check": "create_check_constraint",
}


def fix(found: Found) -> Fix:
    """`None` becomes the name, where the constraint is made and where it is dropped."""
    if found.finding.direction is Direction.DOWNGRADE:
        drop = found.source.call_at(found.line, ("drop_constraint",))
        made = _made(found, drop)
    else:
        made = found.site(tuple(_MAKES))
        if made.name == "execute":
            raise Refused("it is written as SQL")
    name = _name(found, made)
    rewriting = found.rewriting()
    _named(rewriting, made, name)
    for site in _drops(found, made):
        _named(rewriting, site, name)
    return Fix(
        found.finding,
        f"name the constraint `{name}`",
        {found.source.path: rewriting.hunks()},
        leaves=frozenset({"stricter-for-old-code"}),  # found before too, of a constraint without a name
    )


def _made(found: Found, drop: Site) -> Site:
    kind = argument(drop.call, None, "type_")
    wanted = _KINDS.get(str(literal(kind.value))) if kind is not None else None
    table = _table(drop)
    sites = [
        found.source.site(call) for call in found.source.calls_in(UPGRADE, (wanted,) if wanted else tuple(_MAKES))
    ]
    same = [site for site in sites if _unnamed(site.call) and _table(site) == table]
    if len(same) != 1:
        raise Refused(f"{len(same)} calls of `upgrade()` make a constraint without a name on that table")
    return same[0]


def _drops(found: Found, made: Site) -> Sequence[Site]:
    calls = [call for call in found.source.calls_in(DOWNGRADE, ("drop_constraint",)) if _unnamed(call)]
    sites = [found.source.site(call) for call in calls]
    kinds = {kind: name for kind, name in _KINDS.items() if name == made.name}
    same = []
    for site in sites:
        kind = argument(site.call, None, "type_")
        if _table(site) == _table(made) and (kind is None or str(literal(kind.value)) in kinds):
            same.append(site)
    if len(same) > 1:
        raise Refused("several calls of `downgrade()` drop a constraint without a name on that table")
    return same


def _unnamed(call: cst.Call) -> bool:
    first = argument(call, 0, "constraint_name")
    return first is not None and literal(first.value) is None


def _table(site: Site) -> object:
    """The table of a call, or of the batch that it is in."""
    if site.batch is not None:
        call = site.batch.items[0].item
        assert isinstance(call, cst.Call)
        found = argument(call, 0, "table_name")
    else:
        found = argument(site.call, 1, "source_table", "table_name")
    return literal(found.value) if found is not None else None


def _name(found: Found, made: Site) -> str:
    """As the server gave it, or as the project's naming convention did."""
    first, last = made.source.lines_of(made.batch or made.statement)
    for each in found.story.upgrade:
        at = each.statement.location
        if at is None or not first <= at.line <= last:
            continue
        for operation in each.operations:
            match operation:
                case AddForeignKey(table=table, name=name, key=key) if made.name == "create_foreign_key":
                    return name or remedies.constraint_name(table, key.columns, "fkey")
                case AddUnique(table=table, name=name, columns=columns) if made.name == "create_unique_constraint":
                    return name or remedies.constraint_name(table, columns, "key")
                case AddCheck(table=table, name=name) if made.name == "create_check_constraint":
                    return name or remedies.constraint_name(table, (), "check").replace("__", "_")
    raise Refused("the statement that makes it is unknown")


def _named(rewriting: Rewriting, site: Site, name: str) -> None:
    first = argument(site.call, 0, "constraint_name")
    assert first is not None
    prefix = rewriting.source.module.code_for_node(site.call.func).rpartition(".")[0]
    quote = next((each.quote for each in strings(site.call) if len(each.quote) == 1), '"')
    written = f"{prefix}.f({quote}{name}{quote})" if prefix else f"{quote}{name}{quote}"
    rewriting.replace(first.value, [cst.parse_expression(written)])
