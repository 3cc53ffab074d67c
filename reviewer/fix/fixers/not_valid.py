"""A foreign key or check is added NOT VALID, and validated in a second revision."""

from __future__ import annotations

import libcst as cst

from reviewer.fix import code
from reviewer.fix.fix import Fix, NewRevision
from reviewer.fix.found import Found, sql_of
from reviewer.fix.refused import Refused
from reviewer.fix.source import Site
from reviewer.recording import Direction
from reviewer.review import remedies
from reviewer.sql.operations import AddCheck, AddForeignKey

RULES = ("validating-foreign-key", "validating-check")

UNSAFE = "It adds a revision, which validates the existing rows once the constraint is in force"
LEAVES = frozenset(
    {"stricter-for-old-code", "refused-after-upgrade", "premature-not-null", "several-exclusive-locks"}
)
"""What is as true of the constraint however it is made, and was covered by the finding."""
NOTHING_BACK = "# a constraint that is validated stays so: there is nothing to undo\npass"
_INLINE = (1, 18, 2)
"""The first Alembic with `inline_references`."""


def fix(found: Found) -> Fix:
    """The call gets `postgresql_not_valid=True`, and a new revision validates."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    site = found.site(("create_foreign_key", "create_check_constraint", "add_column"))
    if site.name == "add_column":
        return _inline(found, site)
    found.operation(AddForeignKey if found.rule == "validating-foreign-key" else AddCheck)
    if len(found.finding.remedy) != 2:
        raise Refused("PostgreSQL does not support NOT VALID for it")
    name = found.finding.about[2]
    rewriting = found.rewriting()
    rewriting.replace(site.call, [_not_valid(site)])
    new = NewRevision(
        found.revision.id, f"validate {name}", validating(found, found.finding.remedy[1]), NOTHING_BACK
    )
    title = f"add `{name}` NOT VALID and validate it in a second revision"
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()}, (new,), UNSAFE, LEAVES)


def validating(found: Found, body: str) -> str:
    """A body that validates, outside the transaction of what comes before where revisions share one."""
    return found.here(body if found.per_migration else remedies.outside_transaction(body))


def _not_valid(site: Site) -> cst.Call:
    if site.name != "execute":
        return code.with_option(site.call, "postgresql_not_valid", "True")
    old = sql_of(site)
    new = code.with_sql_end(old, " NOT VALID")
    if new is None:
        raise Refused(f"the SQL at line {site.line} has a form that no fix handles")
    changed = site.call.deep_replace(old, new)
    assert isinstance(changed, cst.Call)
    return changed


def _inline(found: Found, site: Site) -> Fix:
    if found.rule != "validating-foreign-key":
        raise Refused("the check is part of a new column")
    if found.alembic < _INLINE:
        wanted = ".".join(map(str, _INLINE))
        raise Refused(
            f"`inline_references=True` needs Alembic {wanted}, and the project has {found.recording.environment.alembic}"
        )
    rewriting = found.rewriting()
    rewriting.replace(site.call, [code.with_option(site.call, "inline_references", "True")])
    title = "declare the foreign key in ADD COLUMN, where PostgreSQL knows that no row has a value yet"
    return Fix(found.finding, title, {found.source.path: rewriting.hunks()})
