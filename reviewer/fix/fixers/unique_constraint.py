"""A unique constraint takes over a unique index that was built CONCURRENTLY."""

from __future__ import annotations

from reviewer.fix.code import in_place, parsed
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found
from reviewer.fix.moving import NEW_REVISION, bounded, new_revision, only, put
from reviewer.fix.refused import Refused
from reviewer.fix.slicing import Slice, taken
from reviewer.recording import Direction
from reviewer.review import remedies
from reviewer.sql.operations import AddUnique, DropConstraint

RULES = ("blocking-unique-constraint",)

LEAVES = frozenset({"stricter-for-old-code", "refused-after-upgrade"})
"""What is as true of the constraint however it is made, and was covered by the finding."""


def fix(found: Found) -> Fix:
    """The call is replaced by the build and by ADD CONSTRAINT ... USING INDEX."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    added = found.operation(AddUnique)
    if len(found.finding.remedy) != 2 or found.finding.remedy[1].startswith("#"):
        raise Refused("it has more than plain columns, is on a partitioned table, or replaces another constraint")
    name = found.finding.about[2]
    site = found.site(("create_unique_constraint",), added.name)
    build, take = found.finding.remedy
    body = f"{bounded(build, found)}\n{found.limited(take)}"
    title = f"add unique constraint `{name}` USING INDEX, with the index built CONCURRENTLY"
    if site.repeated:
        raise Refused(site.repeated)
    rewriting = found.rewriting()
    if not any(found.rest()):
        put(rewriting, site, in_place(body, site.whole, found.source))
        return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, leaves=LEAVES)
    up = taken(site, parsed(body, found.source), None)
    rewriting.remove(site)
    back = found.counterpart(
        ("drop_constraint", "execute"), lambda each: isinstance(each, DropConstraint) and each.name == name
    )
    if back is not None:
        down = taken(back, [only(back, back.call)], lambda inner: inner[0])
        rewriting.remove(back)
    else:
        drop = remedies.call("op.drop_constraint", remedies.fixed(name), added.table, type_="unique")
        down = Slice(tuple(parsed(drop, found.source)), ())
    new = new_revision(found, f"add unique constraint {name}", up, down)
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, (new,), NEW_REVISION, LEAVES)
