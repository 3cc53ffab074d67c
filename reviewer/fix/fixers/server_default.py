"""A column that is added NOT NULL gets a server default, for existing rows and for code that does not know it.

Only types with a value that means nothing have one: numbers 0, texts the empty one, booleans false, JSON and arrays
the empty one, and times the moment of the migration.
"""

from __future__ import annotations

import libcst as cst

from reviewer.fix.code import with_option
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found, strings
from reviewer.fix.refused import Refused
from reviewer.fix.source import Site, called
from reviewer.recording import Difference, Direction
from reviewer.review import remedies
from reviewer.sql import types
from reviewer.sql.operations import AddColumn

RULES = ("required-column",)


def fix(found: Found) -> Fix:
    """The column in the call gets `server_default`."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    added = found.operation(AddColumn)
    column = added.column
    value = types.neutral(column.type) if column.references is None else None
    if value is None:
        raise Refused(f"{column.type} has no value that suits every row")
    site = found.site(("add_column",), column.name)
    written = column_in(site, column.name)
    rewriting = found.rewriting()
    text = rewriting.needs("sqlalchemy", "sa")
    default = f"{text}.{remedies.call('text', value)}"
    rewriting.replace(written, [with_option(written, "server_default", default)])

    def only_the_default(each: Difference) -> bool:
        return (each.kind, each.name, each.aspect) == ("column", column.name, "default")

    return Fix(
        found.finding,
        f"give `{added.table}.{column.name}` the server default {value}",
        {found.source.path: rewriting.hunks()},
        unsafe=f"Whether {value} is right for the existing rows is your decision",
        other_end=only_the_default,
    )


def column_in(site: Site, column: str) -> cst.Call:
    """The `Column(...)` in a call that adds one."""
    if site.name != "add_column":
        raise Refused("it is written as SQL")
    for each in site.call.args:
        match each.value:
            case cst.Call() as call if called(call) == "Column" and column in {
                one.evaluated_value for one in strings(call)
            }:
                return call
    raise Refused(f"the column is not defined in the call at line {site.line}")
