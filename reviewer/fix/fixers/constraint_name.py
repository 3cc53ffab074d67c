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
    """The call that makes what `drop` drops."""
    for each in found.source.calls_in(UPGRADE, tuple(_MAKES)):
        if _unnamed(each):
            made = found.source.site(each)
            if any(site.call is drop.call for site in _drops(found, made)):
                return made
    raise Refused("no call of `upgrade()` makes a constraint of that kind on that table without a name")


def _drops(found: Found, made: Site) -> Sequence[Site]:
    """The calls that drop what `made` makes: the last one drops the first one, where a downgrade goes back step by
    step.
    """
    source = found.source
    makes = [source.site(call) for call in source.calls_in(UPGRADE, (made.name,)) if _unnamed(call)]
    makes = [site for site in makes if _table(site) == _table(made)]
    drops = [source.site(call) for call in source.calls_in(DOWNGRADE, ("drop_constraint",)) if _unnamed(call)]
    drops = [site for site in drops if _table(site) == _table(made) and _kind(site) in {made.name, None}]
    if not drops:
        return ()
    if len(drops) != len(makes) or (len(makes) > 1 and None in map(_kind, drops)):
        raise Refused(
            f"`upgrade()` makes {len(makes)} such constraints on that table and `downgrade()` drops {len(drops)} without a name"
        )
    order = next(n for n, site in enumerate(makes) if site.call is made.call)
    return [drops[-1 - order]]


def _kind(drop: Site) -> str | None:
    """The function that makes what a call drops; None if it does not say."""
    kind = argument(drop.call, None, "type_")
    return _KINDS.get(str(literal(kind.value))) if kind is not None else None


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
    own = _names(found, made, made.source.lines_of(made.statement))
    if own:
        return own[0]
    if made.batch is not None:  # what it has collected may run where it ends
        names = _names(found, made, made.source.lines_of(made.batch))
        calls = [
            each for each in found.source.calls_in(UPGRADE, (made.name,)) if made.batch in found.source.above(each)
        ]
        if len(names) == len(calls):
            return names[calls.index(made.call)]
    raise Refused("the statement that makes it is unknown")


def _names(found: Found, made: Site, lines: tuple[int, int]) -> list[str]:
    """The names of the constraints of one kind that are made in some lines, in order."""
    names = []
    for each in found.story.upgrade:
        at = each.statement.location
        if at is None or not lines[0] <= at.line <= lines[1]:
            continue
        for operation in each.operations:
            match operation:
                case AddForeignKey(table=table, name=name, key=key) if made.name == "create_foreign_key":
                    names.append(name or remedies.constraint_name(table, key.columns, "fkey"))
                case AddUnique(table=table, name=name, columns=columns) if made.name == "create_unique_constraint":
                    names.append(name or remedies.constraint_name(table, columns, "key"))
                case AddCheck(table=table, name=name) if made.name == "create_check_constraint":
                    names.append(name or remedies.constraint_name(table, (), "check").replace("__", "_"))
    return names


def _named(rewriting: Rewriting, site: Site, name: str) -> None:
    if site.repeated:
        raise Refused(site.repeated)
    first = argument(site.call, 0, "constraint_name")
    assert first is not None
    prefix = rewriting.source.module.code_for_node(site.call.func).rpartition(".")[0]
    quote = next((each.quote for each in strings(site.call) if len(each.quote) == 1), '"')
    written = f"{prefix}.f({quote}{name}{quote})" if prefix else f"{quote}{name}{quote}"
    rewriting.replace(first.value, [cst.parse_expression(written)])
