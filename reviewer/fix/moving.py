"""A call that has to run outside the transaction: in an autocommit block where it stands, or in a revision of its own."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst
from msgspec import Struct

from reviewer.fix.code import outside_transaction, parsed, text_of
from reviewer.fix.fix import Fix, NewRevision
from reviewer.fix.found import Found
from reviewer.fix.refused import Refused
from reviewer.fix.slicing import Slice, taken
from reviewer.fix.source import MARKER, Rewriting, Site, Statement
from reviewer.review import remedies
from reviewer.sql.names import Name

NEW_REVISION = "It adds a revision, because it commits and must not leave this one half applied"


class Part(Struct, frozen=True):
    """A statement in its final form."""

    site: Site
    call: cst.Call
    before: str = ""
    """Code that comes right before it in its block."""
    after: str = ""
    """Code that comes right after it."""
    first: str = ""
    """Code that comes before everything else in the function, whatever the conditions are."""

    def block(self) -> cst.With:
        """The statement in an autocommit block."""
        return self.around([alone(self.site, self.call)])

    def around(self, statements: Sequence[Statement]) -> cst.With:
        """An autocommit block with `statements` and what comes before and after them."""
        source = self.site.source
        after = parsed(self.after, source) if self.after else ()
        return outside_transaction([*statements, *after], source, self.before)

    def apart(self) -> Slice:
        """The statement in an autocommit block, with everything that it needs in a function of its own."""
        found = taken(self.site, [only(self.site, self.call)], lambda inner: unmarked(self.around(inner)))
        first = parsed(self.first, self.site.source) if self.first else ()
        return Slice((*first, *found.body), found.top)


def only(site: Site, call: cst.Call) -> cst.SimpleStatementLine:
    """The statement with another call, without the batch that it is in."""
    return site.statement.with_deep_changes(site.statement.body[0], value=call)


def alone(site: Site, call: cst.Call) -> Statement:
    """The statement with another call, in a batch that does nothing else where it is in one."""
    statement = only(site, call)
    if site.batch is None:
        return statement
    leading = site.batch.leading_lines if site.whole is site.batch else ()
    return site.batch.with_changes(body=site.batch.body.with_changes(body=[statement]), leading_lines=leading)


def put(rewriting: Rewriting, site: Site, instead: Sequence[Statement], *, each_time: bool = False) -> None:
    """Have `instead` where a call is; what is in a batch with others comes right after that batch.

    Raises:
        Refused: it would lose its condition, or the call may run more often than `instead` is meant to; `each_time`
            says that it is meant to run as often.
    """
    if site.repeated and not (each_time and site.batch is None):
        raise Refused(site.repeated)
    if site.batch is None or site.whole is site.batch:
        rewriting.replace(site.whole, instead)
        return
    if site.statement not in site.batch.body.body:
        raise Refused(f"the call at line {site.line} runs under a condition in its batch")
    rewriting.replace(site.statement, ())
    rewriting.replace(site.batch, lambda updated: [updated, *instead])


def in_block(found: Found, title: str, parts: Sequence[Part]) -> Fix:
    """Each of `parts` in an autocommit block where it stands."""
    rewriting = found.rewriting()
    for part in parts:
        put(rewriting, part.site, [part.block()], each_time=True)
        if part.first:
            if "sa." in part.first:
                rewriting.needs("sqlalchemy", "sa")
            rewriting.begin(part.site, parsed(part.first, found.source))
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()})


def apart(found: Found, title: str, part: Part, back: Part | str | None, message: str) -> Fix:
    """`part` in a revision of its own, and the way back with it. `back` is code where the downgrade has no call for
    it.
    """
    rewriting = found.rewriting()
    up = part.apart()
    rewriting.remove(part.site)
    down = Slice((), ())
    if isinstance(back, Part):
        down = back.apart()
        rewriting.remove(back.site)
    elif back:
        down = Slice((outside_transaction(parsed(back, found.source), found.source),), ())
    new = new_revision(found, message, up, down)
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, (new,), NEW_REVISION)


def new_revision(found: Found, message: str, up: Slice, down: Slice) -> NewRevision:
    """A revision right after the one of the finding."""
    source = found.source
    needed = (*up.top, *down.top)
    top = [each for each in source.module.body if each in needed]
    top += [each for each in needed if each not in source.module.body]
    return NewRevision(
        found.revision.id, message, text_of(up.body, source), text_of(down.body, source), text_of(top, source)
    )


def unmarked(statement: cst.With) -> cst.With:
    """Without the comments in which autogenerate frames its commands: they stay where they are."""
    kept = [
        line
        for line in statement.leading_lines
        if line.comment is not None and not line.comment.value.startswith(MARKER)
    ]
    return statement.with_changes(leading_lines=kept)


def bounded(build: str, found: Found) -> str:
    """The build, which waits as long as it takes, and nothing after it."""
    if found.own_limit:  # it ends with the transaction before
        return build.replace(f"    {limit_locks(0)}\n", "")
    return f"{build}\n    {limit_locks(found.outer_limit)}" if found.outer_limit else build


def limit_locks(milliseconds: int) -> str:
    """Code that sets `lock_timeout`; 0 is no limit."""
    limit = f"'{remedies.span(milliseconds)}'" if milliseconds else "0"
    return remedies.execute(f"SET lock_timeout = {limit}")


def drop_leftover(name: Name) -> str:
    """Code that drops the index that a failed concurrent build has left."""
    return remedies.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name.sql.removeprefix('public.')}")
