"""An enum type that already exists is not created a second time."""

from __future__ import annotations

import re

import libcst as cst

from reviewer.fix.code import with_option
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found
from reviewer.fix.refused import Refused
from reviewer.fix.source import Site, called, value
from reviewer.recording import Direction

RULES = ("failing-upgrade",)

_THERE = re.compile(r'type "([^"]+)" already exists')


def fix(found: Found) -> Fix:
    """`sa.Enum(...)` becomes `postgresql.ENUM(..., create_type=False)`."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    there = _THERE.search(found.finding.message)
    if there is None:
        raise Refused("only an enum type that is created twice can be fixed")
    name = there.group(1)
    site = found.source.call_at(found.line, ("create_table", "add_column", "alter_column"))
    enum = _enum(site, name)
    rewriting = found.rewriting()
    dialect = rewriting.needs_from("sqlalchemy.dialects", "postgresql")
    new = with_option(enum, "create_type", "False")
    if called(enum) == "Enum":
        new = new.with_changes(func=cst.parse_expression(f"{dialect}.ENUM"))
    rewriting.replace(enum, [new])
    return Fix(
        found.finding, f"do not create enum type `{name}` a second time", {found.source.path: rewriting.hunks()}
    )


def _enum(site: Site, name: str) -> cst.Call:
    calls = [
        each
        for each in site.source.nodes(cst.Call)
        if called(each) in {"Enum", "ENUM"}
        and site.call in site.source.above(each)
        and value(each, None, "name") == name
    ]
    if len(calls) != 1:
        raise Refused(f"the call at line {site.line} names the type `{name}` {len(calls)} times")
    return calls[0]
