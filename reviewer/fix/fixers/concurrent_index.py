"""Indexes are built and dropped CONCURRENTLY, outside the transaction."""

from __future__ import annotations

import libcst as cst

from reviewer.fix.code import with_option
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found, span, with_sql
from reviewer.fix.moving import Part, apart, in_block
from reviewer.fix.refused import Refused
from reviewer.fix.source import Site
from reviewer.recording import Direction
from reviewer.review import about, remedies
from reviewer.sql.names import Name
from reviewer.sql.operations import CreateIndex, DropIndex, Operation

RULES = ("blocking-index", "blocking-index-drop")

_KINDS = (CreateIndex, DropIndex)


def fix(found: Found) -> Fix:
    """The call gets `postgresql_concurrently=True` and an autocommit block."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    if found.rule == "blocking-index":
        index = found.operation(CreateIndex, lambda each: about.index(each.name) == found.finding.about)
        if index.name is None:
            raise Refused("the index has no name, so nothing could drop what a failed build leaves")
        name, table = Name(index.name, index.table.schema), index.table
        title = f"build index `{index.name}` CONCURRENTLY"
    else:
        dropped = found.operation(DropIndex, lambda each: about.index(each.index.name) == found.finding.about)
        known = found.understood.schemas[0].index_table(dropped.index) if found.understood.schemas else None
        name, table = dropped.index, known.name if known else dropped.index
        title = f"drop index `{name.name}` CONCURRENTLY"
    if not found.finding.remedy or len(found.finding.remedy) > 1:
        raise Refused("PostgreSQL does not support that on a partitioned table")
    part = _part(found, name)
    back = _back(found, name, table)
    parts = [part]
    if all(isinstance(each, _KINDS) for each in found.rest()):
        if isinstance(back, Part) and all(isinstance(each, _KINDS) for each in found.rest(Direction.DOWNGRADE)):
            parts.append(back)
        return in_block(found, title, parts)
    return apart(found, title, part, back, title.replace("`", ""))


def _part(found: Found, name: Name) -> Part:
    building = found.rule == "blocking-index"
    site = found.site(("create_index",) if building else ("drop_index",), name.name)
    limit = found.outer_limit
    before = [remedies.execute("SET lock_timeout = 0")] if limit else []
    if building:
        before.append(remedies.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name.sql.removeprefix('public.')}"))
    after = remedies.execute(f"SET lock_timeout = '{span(limit)}'") if limit else ""
    return Part(site, _concurrently(site), "\n".join(before), after)


def _concurrently(site: Site) -> cst.Call:
    if site.name == "execute":
        return with_sql(site, r"\bINDEX\b(?!\s+CONCURRENTLY\b)", "INDEX CONCURRENTLY")
    return with_option(site.call, "postgresql_concurrently", "True")


def _back(found: Found, name: Name, table: Name) -> Part | str:
    """The way back: the call in the downgrade, or code where there is none."""
    building = found.rule == "blocking-index"

    def same(operation: Operation) -> bool:
        match operation:
            case DropIndex(index=index) if building:
                return index.matches(name)
            case CreateIndex(name=other) if not building:
                return other == name.name
        return False

    site = found.counterpart(("drop_index", "execute") if building else ("create_index", "execute"), same)
    if site is not None:
        return Part(site, _concurrently(site), "")
    return (
        remedies.call("op.drop_index", name, table_name=table.name, postgresql_concurrently=True)
        if building
        else ""
    )
