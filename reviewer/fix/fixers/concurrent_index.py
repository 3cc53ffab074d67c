"""Indexes are built and dropped CONCURRENTLY, outside the transaction."""

from __future__ import annotations

import re

import libcst as cst
from msgspec.structs import replace

from reviewer.fix.code import outside_transaction, parsed, template, with_option, without_option
from reviewer.fix.fix import Fix
from reviewer.fix.fixers.server_default import column_in
from reviewer.fix.found import Found, sql_of, with_sql
from reviewer.fix.moving import (
    NEW_REVISION,
    Part,
    apart,
    bounded,
    drop_leftover,
    in_block,
    limit_locks,
    new_revision,
)
from reviewer.fix.refused import Refused
from reviewer.fix.slicing import Slice, taken
from reviewer.fix.source import Site, argument, literal
from reviewer.recording import Direction
from reviewer.review import about, remedies
from reviewer.sql.names import Name
from reviewer.sql.operations import CreateIndex, DropIndex, Operation, Select

RULES = ("blocking-index", "blocking-index-drop")

_KINDS = (CreateIndex, DropIndex, Select)
"""What a revision may do besides, whose commands are committed one by one."""
_IF_EXISTS = (1, 12)
"""The first Alembic with `if_exists`."""
_CREATES = re.compile(
    r"\bINDEX\s+(?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\S+)\s+ON\s+(?:ONLY\s+)?(?P<on>[^\s(]+)",
    re.IGNORECASE,
)


def fix(found: Found) -> Fix:
    """The call gets `postgresql_concurrently=True` and an autocommit block."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    building = found.rule == "blocking-index"
    if building:
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
    if building and found.site(("create_index", "add_column"), name.name).name == "add_column":
        return _of_new_column(found, index, name, title)
    part = _part(found, name)
    back = _back(found, name, table)
    parts = [part]
    if all(isinstance(each, _KINDS) for each in found.rest()):
        if isinstance(back, Part) and all(isinstance(each, _KINDS) for each in found.rest(Direction.DOWNGRADE)):
            parts.append(back)
        return in_block(found, title, parts)
    several = "build" if building else "drop"
    message = (
        f"{several} indexes of {found.revision.id} CONCURRENTLY" if part.site.repeated else title.replace("`", "")
    )
    return apart(found, title, part, back, message)


def _of_new_column(found: Found, index: CreateIndex, name: Name, title: str) -> Fix:
    """`sa.Column(..., index=True)` loses that, and the index is built in a revision of its own."""
    site = found.site(("add_column",))
    if site.repeated:
        raise Refused(site.repeated)
    if len(index.columns) != 1:
        raise Refused(f"the call at line {site.line} makes another index than that of a column")
    written = column_in(site, index.columns[0])
    rewriting = found.rewriting()
    rewriting.replace(written, [without_option(without_option(written, "index"), "unique")])
    up = taken(site, parsed(bounded(found.finding.remedy[0], found), found.source), None)
    back = _back(found, name, index.table)
    if isinstance(back, Part):
        down = back.apart()
        rewriting.remove(back.site)
    else:
        down = Slice((outside_transaction(parsed(back, found.source), found.source),), ())
    new = new_revision(found, title.replace("`", ""), up, down)
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, (new,), NEW_REVISION)


def _part(found: Found, name: Name) -> Part:
    building = found.rule == "blocking-index"
    site = found.site(("create_index",) if building else ("drop_index",), name.name)
    limit = found.outer_limit
    before = [limit_locks(0)] if limit else []
    after = found.here(limit_locks(limit)) if limit else ""
    drop = _leftover(found, site, name) if building else ""
    if (
        drop and site.conditional and drop == drop_leftover(name)
    ):  # the condition may be that there is no such index
        call, first = _whatever_is_there(found, site), _if_invalid(name, limit)
    else:
        more = not building and not all(isinstance(each, Select) for each in found.rest())
        call, first = _whatever_is_there(found, site) if more else _concurrently(site), ""
        before += [drop] if drop else []
    return Part(site, call, found.here("\n".join(before)) if before else "", after, first)


def _leftover(found: Found, site: Site, name: Name) -> str:
    """Code that drops what a build that failed has left, with the values that the call itself is given."""
    if site.name == "execute":
        text = template(sql_of(site))
        match = _CREATES.search(text)
        if match is None or "{" not in match.group(0).replace("{{", ""):
            if site.repeated:
                raise Refused(site.repeated)
            return drop_leftover(name)
        schema = re.match(r"(.*\.|\{[^{}]*\}(?=\w))", match["on"])
        index = f"{schema.group(1) if schema else ''}{match['name']}".replace('"', '\\"')
        if "{" not in index:
            return drop_leftover(name)
        return f'op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")'
    code = found.source.module.code_for_node
    schema_given = argument(site.call, None, "schema")
    if not site.repeated and (schema_given is None or isinstance(literal(schema_given.value), str)):
        return drop_leftover(name)
    given = [argument(site.call, 0, "index_name"), argument(site.call, 1, "table_name")]
    if found.alembic < _IF_EXISTS or site.batch is not None or None in given:
        raise Refused(site.repeated or "it is in a schema that the revision computes")
    index, table = (code(each.value) for each in given if each is not None)
    where = f", schema={code(schema_given.value)}" if schema_given is not None else ""
    return f"op.drop_index({index}, table_name={table}{where}, if_exists=True, postgresql_concurrently=True)"


def _if_invalid(name: Name, limit: int) -> str:
    """The same only for an index that is not valid: a valid one may have been built by hand before."""
    index = name.sql.removeprefix("public.")
    quoted = index.replace("'", "''")
    query = f"SELECT 1 FROM pg_index WHERE NOT indisvalid AND indexrelid = to_regclass('{quoted}')"
    lines = [drop_leftover(name)]
    if limit:
        lines = [limit_locks(0), *lines, limit_locks(limit)]
    inside = "\n".join(f"        {line}" for line in "\n".join(lines).split("\n"))
    bind = "op.get_bind()"
    return (
        f"leftover = {remedies.call('sa.text', query)}\n"
        f'if {bind}.dialect.name == "postgresql" and {bind}.scalar(leftover):\n'
        f"    # a build that failed has left it\n"
        f"    with op.get_context().autocommit_block():\n{inside}"
    )


def _whatever_is_there(found: Found, site: Site) -> cst.Call:
    """The call in a form that can run again where its first try was committed and something after it failed."""
    call = _concurrently(site)
    match site.name:
        case "execute" if re.search(
            r"\bIF\s+(NOT\s+)?EXISTS\b", found.source.module.code_for_node(call), re.IGNORECASE
        ):
            return call
        case "execute":
            words = "IF NOT EXISTS" if found.rule == "blocking-index" else "IF EXISTS"
            return with_sql(replace(site, call=call), r"\bCONCURRENTLY\b", f"CONCURRENTLY {words}")
        case name if found.alembic >= _IF_EXISTS:
            return with_option(call, "if_not_exists" if name == "create_index" else "if_exists", "True")
    return call


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
        try:
            call = _whatever_is_there(found, site) if building and site.conditional else _concurrently(site)
        except Refused:  # several commands in one text: IF EXISTS makes them harmless after the drop
            if not building or not re.search(r"\bIF\s+EXISTS\b", found.source.module.code_for_node(site.call)):
                raise
        else:
            return Part(site, call, "")
    return (
        remedies.call("op.drop_index", name, table_name=table.name, postgresql_concurrently=True)
        if building
        else ""
    )
