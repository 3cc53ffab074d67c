"""A column with a volatile default is added without a value; the default is for rows to come, and a second revision
fills existing ones, in batches.
"""

from __future__ import annotations

from reviewer.fix.code import parsed, with_option, without_option
from reviewer.fix.fix import Fix, NewRevision
from reviewer.fix.fixers.not_valid import LEAVES, validating
from reviewer.fix.fixers.server_default import column_in
from reviewer.fix.found import Found
from reviewer.fix.moving import alone, put
from reviewer.fix.refused import Refused
from reviewer.recording import Direction
from reviewer.review import remedies
from reviewer.sql.names import quoted
from reviewer.sql.operations import AddColumn

RULES = ("rewriting-default",)

UNSAFE = "It adds revisions, and existing rows have no value until the last one has run"
_FILLED = "# the values go with the column\npass"


def fix(found: Found) -> Fix:
    """The call loses default and NOT NULL; what follows restores both."""
    if found.finding.direction is not Direction.UPGRADE:
        raise Refused("it is in the downgrade")
    added = found.operation(AddColumn)
    table, column = added.table, added.column
    site = found.site(("add_column",), column.name)
    written = column_in(site, column.name)
    if column.default is None or len(found.finding.remedy) < 2:
        raise Refused("the default is unknown")
    if column.references is not None or column.unique or column.check:
        raise Refused("the column has a constraint of its own")
    _, fill, *steps = found.finding.remedy
    rewriting = found.rewriting()
    plain = with_option(without_option(written, "server_default"), "nullable", "True")
    call = site.call.deep_replace(written, plain)
    statement = alone(site, call)
    default = parsed(remedies.set_default(table, column.name, column.default), found.source)
    put(rewriting, site, [statement, *default])
    id_, name = found.revision.id, f"{table.name} {column.name}"
    news = [NewRevision(id_, f"fill {name}", fill, _FILLED)]
    if steps:
        first, *others = (
            "\n".join(line for line in each.split("\n") if not line.startswith("#")) for each in steps
        )
        held = remedies.constraint_name(table, [column.name], "is_set" if len(others) == 2 else "not_null")
        drop = remedies.execute(f"ALTER TABLE {table.sql} DROP CONSTRAINT {quoted(held)}")
        news[0] = NewRevision(id_, f"fill {name}", f"{fill}\n{found.limited(first)}", found.limited(drop))
        undo = remedies.call("op.alter_column", table, column.name, nullable=True) + "\n" + first
        last = "" if len(others) < 2 else f"\n{found.limited(others[1])}"
        back = found.limited(undo) if len(others) == 2 else _FILLED
        news.append(NewRevision(id_, f"{name} is not null", validating(found, others[0]) + last, back))
    return Fix(
        found.finding,
        f"add `{table}.{column.name}` without a value and fill it in batches",
        {found.source.path: rewriting.hunks()},
        tuple(news),
        UNSAFE,
        LEAVES | {"unreversed-data-change", "lossy-round-trip"},
    )
