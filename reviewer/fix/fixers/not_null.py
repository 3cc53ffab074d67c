"""A column becomes NOT NULL in steps: a constraint that is not validated, its validation, and then SET NOT NULL."""

from __future__ import annotations

import re

from reviewer.fix.code import in_place, parsed, sql_text, without_option
from reviewer.fix.fix import Fix, NewRevision
from reviewer.fix.fixers.not_valid import LEAVES, NOTHING_BACK, UNSAFE, validating
from reviewer.fix.found import Found, sql_of
from reviewer.fix.moving import alone, put
from reviewer.fix.refused import Refused
from reviewer.fix.source import Rewriting, Site
from reviewer.recording import Direction
from reviewer.review import remedies
from reviewer.sql.names import Name, quoted
from reviewer.sql.operations import DropColumn, DropNotNull, DropTable, Operation, SetNotNull

RULES = ("scanning-not-null",)

_ONE_THING = re.compile(r"^[^,;]*\bALTER\s+(COLUMN\s+)?\S+\s+(SET|DROP)\s+NOT\s+NULL\s*;?\s*$", re.IGNORECASE)
_SAYS_NOTHING = ("existing_", "schema", "table_name", "column_name", "nullable", "modify_")


def fix(found: Found) -> Fix:
    """The call is replaced by the first step; a new revision does the others."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    column = found.operation(SetNotNull)
    site = found.site(("alter_column",), column.column)
    first, *others = (_plain(each) for each in found.finding.remedy)
    table, name = column.table, column.column
    title = f"make `{table}.{name}` NOT NULL in steps"
    rewriting = found.rewriting()
    if len(others) == 1 and "VALIDATE" in first:
        # an existing constraint proves it
        body = f"{validating(found, first)}\n{found.limited(others[0])}"
        _put(rewriting, site, body)
        return Fix(found.finding, title, {found.source.path: rewriting.hunks()})
    back = found.counterpart(
        ("alter_column", "execute"),
        lambda each: isinstance(each, DropNotNull) and each.column == name and each.table.matches(table),
    )
    if back is None and not any(_drops(each, table, name) for each in found.rest(Direction.DOWNGRADE)):
        raise Refused("the downgrade has no call of its own that makes the column nullable again")
    _put(rewriting, site, first)
    if len(others) == 2:
        validate, last = others
        check = remedies.constraint_name(table, [name], "is_set")
        if back is not None:
            _put(rewriting, back, _drop_check(check, table))
        undo = (
            remedies.call("op.alter_column", table, name, nullable=True)
            + "\n"
            + remedies.call(
                "op.create_check_constraint",
                remedies.fixed(check),
                table,
                remedies.PREDICATE.format(column=quoted(name)),
                postgresql_not_valid=True,
            )
        )
        new = NewRevision(
            found.revision.id,
            f"{table.name} {name} is not null",
            f"{validating(found, validate)}\n{found.limited(last)}",
            found.limited(undo),
        )
    else:
        new = NewRevision(
            found.revision.id, f"validate {table.name} {name}", validating(found, others[0]), NOTHING_BACK
        )
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, (new,), UNSAFE, LEAVES)


def _drops(operation: Operation, table: Name, column: str) -> bool:
    """Whether the column goes with it, and every constraint on it."""
    match operation:
        case DropColumn(table=on, column=gone):
            return on.matches(table) and gone == column
        case DropTable(table=on):
            return on.matches(table)
    return False


def _plain(body: str) -> str:
    """Without the comments, which the reason of the fix says."""
    return "\n".join(line for line in body.split("\n") if not line.startswith("#"))


def _drop_check(check: str, table: Name) -> str:
    return remedies.call("op.drop_constraint", remedies.fixed(check), table, type_="check")


def _put(rewriting: Rewriting, site: Site, body: str) -> None:
    """`body` instead of what the call says of NULL; what it changes besides stays before it."""
    if site.name == "execute":
        if not _ONE_THING.search(sql_text(sql_of(site)) or ""):
            raise Refused(f"the SQL at line {site.line} does more than that")
        put(rewriting, site, in_place(body, site.whole, site.source))
        return
    named = [each.keyword.value for each in site.call.args if each.keyword is not None]
    if "new_column_name" in named:
        raise Refused(f"the call at line {site.line} also renames the column")
    if all(name.startswith(_SAYS_NOTHING) for name in named):
        put(rewriting, site, in_place(body, site.whole, site.source))
        return
    rest = alone(site, without_option(site.call, "nullable"))
    put(rewriting, site, [rest, *parsed(body, site.source)])
