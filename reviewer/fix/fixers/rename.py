"""A column that is dropped and added under another name is renamed."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from reviewer.fix.code import in_place, parsed
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found
from reviewer.fix.moving import put
from reviewer.fix.refused import Refused
from reviewer.fix.source import DOWNGRADE, UPGRADE, Rewriting, Site
from reviewer.recording import Direction
from reviewer.review import remedies
from reviewer.sql import types
from reviewer.sql.names import Name
from reviewer.sql.operations import DropColumn

RULES = ("rename-as-drop",)

LEAVES = frozenset(
    {
        "renamed-column",
        "old-code-broken",
        "stale-function",
        "nullable-for-old-code",
        "stricter-for-old-code",
        "changed-default",
        "dropped-default",
    }
)
"""What is as true of the column that takes the place of the old one, and was covered by its drop."""


def fix(found: Found) -> Fix:
    """One `alter_column(..., new_column_name=...)` takes the place of both calls, in each direction."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    dropped = found.operation(DropColumn)
    table, old = dropped.table, dropped.column
    new = found.finding.evidence.get("becomes")
    if not isinstance(new, str):
        raise Refused("a whole table is replaced")
    rewriting = found.rewriting()
    for function, before, after in ((UPGRADE, old, new), (DOWNGRADE, new, old)):
        gone = found.written(function, ("drop_column",), before)
        come = found.written(function, ("add_column",), after)
        if gone is None or come is None:
            raise Refused(f"`{function}()` has no plain call each that drops `{before}` and adds `{after}`")
        _renamed(rewriting, gone, come, table, before, after, dict(_changes(found, table, old, new, function)))
    return Fix(
        found.finding,
        f"rename `{table}.{old}` to `{new}`",
        {found.source.path: rewriting.hunks()},
        unsafe="It keeps the values, but the running code still uses the old name",
        leaves=LEAVES,
    )


def _changes(found: Found, table: Name, old: str, new: str, function: str) -> Iterator[tuple[str, object]]:
    """What else is different of the new column."""
    before, after = found.story.before.column(table, old), found.story.after.column(table, new)
    if before is None or after is None:
        raise Refused("the columns are unknown")
    if types.canonical(before.type) != types.canonical(after.type):
        raise Refused(f"the types are {before.type} and {after.type}")
    if function == DOWNGRADE:
        before, after = after, before
    if before.nullable != after.nullable:
        yield "nullable", after.nullable
    if before.default != after.default:
        default = after.default
        yield "server_default", remedies.Code("None" if default is None else remedies.call("sa.text", default))


def _renamed(
    rewriting: Rewriting, gone: Site, come: Site, table: Name, old: str, new: str, changes: dict[str, object]
) -> None:
    first, last = sorted((gone, come), key=lambda site: site.line)
    if first.conditional or last.conditional:
        raise Refused(f"the call at line {first.line} runs under a condition")
    if first.repeated or last.repeated:
        raise Refused(first.repeated or last.repeated)
    source = rewriting.source
    if last.batch is not None and last.batch is first.batch:
        (item,) = last.batch.items
        name = item.asname.name if item.asname is not None else None
        if not isinstance(name, cst.Name):
            raise Refused(f"the batch at line {last.line} has no name")
        text = remedies.call(f"{name.value}.alter_column", old, new_column_name=new, **changes)
        (statement,) = parsed(text, source)
        rewriting.replace(last.statement, [statement.with_changes(leading_lines=last.statement.leading_lines)])
        rewriting.replace(first.statement, ())
        return
    text = remedies.call("op.alter_column", table, old, new_column_name=new, **changes)
    rewriting.remove(first)
    put(rewriting, last, in_place(text, last.whole, source))
