"""A unique constraint takes over a unique index that was built CONCURRENTLY."""

from __future__ import annotations

from reviewer.fix.code import in_place, text_of
from reviewer.fix.fix import Fix, NewRevision
from reviewer.fix.found import Found, span
from reviewer.fix.moving import NEW_REVISION, alone, movable, put
from reviewer.fix.refused import Refused
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
    body = f"{_bounded(build, found)}\n{found.limited(take)}"
    title = f"add unique constraint `{name}` USING INDEX, with the index built CONCURRENTLY"
    rewriting = found.rewriting()
    if not any(found.rest()):
        put(rewriting, site, in_place(body, site.whole, found.source))
        return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, leaves=LEAVES)
    movable(site)
    rewriting.remove(site)
    back = found.counterpart(
        ("drop_constraint", "execute"), lambda each: isinstance(each, DropConstraint) and each.name == name
    )
    down = remedies.call("op.drop_constraint", remedies.fixed(name), added.table, type_="unique")
    if back is not None:
        movable(back)
        rewriting.remove(back)
        down = text_of([alone(back, back.call)], found.source)
    new = NewRevision(found.revision.id, f"add unique constraint {name}", body, down)
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, (new,), NEW_REVISION, LEAVES)


def _bounded(build: str, found: Found) -> str:
    """The build, which waits as long as it takes, and nothing after it."""
    zero = remedies.execute("SET lock_timeout = 0")
    if found.own_limit:  # it ends with the transaction before
        return build.replace(f"    {zero}\n", "")
    again = remedies.execute(f"SET lock_timeout = '{span(found.outer_limit)}'")
    return f"{build}\n    {again}" if found.outer_limit else build
