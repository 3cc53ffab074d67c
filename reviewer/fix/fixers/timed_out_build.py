"""A concurrent build is not limited by `lock_timeout`, and drops what a build that failed has left."""

from __future__ import annotations

from reviewer.fix.code import parsed
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found
from reviewer.fix.moving import alone, drop_leftover, limit_locks, put
from reviewer.fix.refused import Refused
from reviewer.recording import Direction
from reviewer.sql.names import Name
from reviewer.sql.operations import CreateIndex, DropIndex, Reindex

RULES = ("timed-out-concurrent-build",)


def fix(found: Found) -> Fix:
    """`SET lock_timeout = 0` comes before the call, and the old value after it."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    site = found.site(("create_index",))
    seen = found.statement.observation
    if "statement_timeout" in found.finding.evidence:
        raise Refused("how long the build may take is for you to choose")
    if seen is None or not seen.lock_timeout:
        raise Refused("its lock_timeout is unknown")
    before = [limit_locks(0)]
    built = next((each for each in found.understood.operations if isinstance(each, CreateIndex | Reindex)), None)
    if isinstance(built, CreateIndex) and built.name is not None and not _dropped(found, built.name):
        if site.repeated:
            raise Refused(site.repeated)
        before.append(drop_leftover(Name(built.name, built.table.schema)))
    again = limit_locks(seen.lock_timeout)
    rewriting = found.rewriting()
    first, *rest = parsed("\n".join(before), found.source)
    statement = alone(site, site.call)
    first = first.with_changes(leading_lines=statement.leading_lines)
    statement = statement.with_changes(leading_lines=())
    put(rewriting, site, [first, *rest, statement, *parsed(again, found.source)], each_time=True)
    return Fix(
        found.finding,
        "have no `lock_timeout` while the index is built CONCURRENTLY",
        {found.source.path: rewriting.hunks()},
    )


def _dropped(found: Found, name: str) -> bool:
    """Whether the revision drops an index of that name before."""
    for each in found.story.upgrade:
        if each.sent is found.statement:
            return False
        if any(isinstance(one, DropIndex) and one.index.name == name for one in each.operations):
            return True
    return False
