"""A call that has to run outside the transaction: in an autocommit block where it stands, or in a revision of its own."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from reviewer.fix.code import outside_transaction, parsed, text_of
from reviewer.fix.fix import Fix, NewRevision
from reviewer.fix.found import Found
from reviewer.fix.refused import Refused
from reviewer.fix.source import MARKER, Rewriting, Site, Source, Statement, alias

NEW_REVISION = "It adds a revision, because it commits and must not leave this one half applied"


@dataclass(frozen=True)
class Part:
    """A statement in its final form."""

    site: Site
    call: cst.Call
    before: str = ""
    """Code that comes right before it in its block."""
    after: str = ""
    """Code that comes right after it."""

    def block(self) -> cst.With:
        """The statement in an autocommit block."""
        source = self.site.source
        statements = [alone(self.site, self.call), *(parsed(self.after, source) if self.after else ())]
        return outside_transaction(statements, source, self.before)


def alone(site: Site, call: cst.Call) -> Statement:
    """The statement with another call, in a batch that does nothing else where it is in one."""
    statement = site.statement.with_deep_changes(site.statement.body[0], value=call)
    if site.batch is None:
        return statement
    leading = site.batch.leading_lines if site.whole is site.batch else ()
    return site.batch.with_changes(body=site.batch.body.with_changes(body=[statement]), leading_lines=leading)


def put(rewriting: Rewriting, site: Site, instead: Sequence[Statement]) -> None:
    """Have `instead` where a call is; what is in a batch with others comes right after that batch."""
    if site.batch is None or site.whole is site.batch:
        rewriting.replace(site.whole, instead)
        return
    rewriting.replace(site.statement, ())
    rewriting.replace(site.batch, lambda updated: [updated, *instead])


def in_block(found: Found, title: str, parts: Sequence[Part]) -> Fix:
    """Each of `parts` in an autocommit block where it stands."""
    rewriting = found.rewriting()
    for part in parts:
        put(rewriting, part.site, [part.block()])
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()})


def apart(found: Found, title: str, part: Part, back: Part | str | None, message: str) -> Fix:
    """`part` in a revision of its own, and the way back with it. `back` is code where the downgrade has no call for
    it.
    """
    rewriting = found.rewriting()
    movable(part.site)
    rewriting.remove(part.site)
    down = back if isinstance(back, str) else ""
    if isinstance(back, Part):
        movable(back.site)
        rewriting.remove(back.site)
        down = text_of([unmarked(back.block())], found.source)
    elif down:
        down = text_of([outside_transaction(parsed(down, found.source), found.source)], found.source)
    new = NewRevision(found.revision.id, message, text_of([unmarked(part.block())], found.source), down)
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, (new,), NEW_REVISION)


def unmarked(statement: cst.With) -> cst.With:
    """Without the comments in which autogenerate frames its commands: they stay where they are."""
    kept = [
        line
        for line in statement.leading_lines
        if line.comment is not None and not line.comment.value.startswith(MARKER)
    ]
    return statement.with_changes(leading_lines=kept)


def movable(site: Site) -> None:
    """Raises `Refused` where a statement means something only where it stands."""
    if site.conditional:
        raise Refused(
            f"the call at line {site.line} runs under a condition, which a separate revision would not have"
        )
    unknown = sorted(_names(alone(site, site.call)) - _known(site.source) - _bound(site))
    if unknown:
        raise Refused(f"the call at line {site.line} uses `{unknown[0]}`, which a separate revision would not have")


def _names(node: cst.CSTNode) -> set[str]:
    match node:
        case cst.Attribute(value=inner):
            return _names(inner)
        case cst.Arg(value=inner):
            return _names(inner)
        case cst.Name(value=name):
            return {name}
    return {name for child in node.children for name in _names(child)}


def _bound(site: Site) -> set[str]:
    if site.batch is None:
        return set()
    return {
        each.asname.name.value
        for each in site.batch.items
        if each.asname is not None and isinstance(each.asname.name, cst.Name)
    }


def _known(source: Source) -> set[str]:
    """Names that a new revision has too: imports and what is built in."""
    found = set(dir(builtins))
    for statement in source.module.body:
        for each in statement.body if isinstance(statement, cst.SimpleStatementLine) else ():
            if isinstance(each, cst.Import | cst.ImportFrom) and not isinstance(each.names, cst.ImportStar):
                found |= {name.evaluated_alias or name.evaluated_name.split(".")[0] for name in each.names}
    return found | {name for name in (alias(source.module, "alembic.op"),) if name}
