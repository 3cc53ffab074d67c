"""The downgrade gets what it lacks, as the catalogue after it shows: an enum type that is dropped, an index that is created."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from reviewer.fix.code import parsed
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found
from reviewer.fix.refused import Refused
from reviewer.fix.source import DOWNGRADE, Hunk, Rewriting, is_docstring
from reviewer.recording import Change, Difference, Direction, Outcome
from reviewer.review import undoing

RULES = ("incomplete-downgrade", "missing-downgrade", "failing-second-upgrade")

_GOING = ("policy", "rule", "trigger", "view", "materialized view", "constraint", "index", "column", "table")
"""The order in which things can be dropped; all others come after them."""


def fix(found: Found) -> Fix:
    """Everything that the comparison has shown is added at the end of `downgrade()`."""
    source = found.files.sources[found.revision.path]
    function = source.function(DOWNGRADE)
    if function is None or not isinstance(function.body, cst.IndentedBlock):
        raise Refused("it has no `downgrade()`")
    if not _differences(found):
        raise Refused("what it leaves behind is unknown, because the revision does not run up and down")
    lacking = [each for each in _differences(found) if not _stays(each)]
    lines = [(each, undoing.code(each)) for each in sorted(lacking, key=_turn)]
    unknown = next((each for each, line in lines if not line), None)
    if unknown is not None or not lines:
        what = f"{unknown.kind} `{unknown.name}`" if unknown else "what it lacks"
        raise Refused(f"no single statement restores {what}")
    rewriting = _rewritten(found, function, [line for _, line in lines])
    empty = found.story.revision.downgrade_is_empty
    return Fix(
        found.finding,
        f"add what the downgrade lacks: {'; '.join(line for _, line in lines[:4])}".replace("\n", "; "),
        {source.path: rewriting},
        unsafe="Whether this revision should have a way back is your decision" if empty else "",
        leaves=frozenset({"destructive-downgrade", "lossy-round-trip"} if empty else ()),
    )


def _differences(found: Found) -> Sequence[Difference]:
    for each in found.story.passes:
        if each.direction is Direction.DOWNGRADE and each.outcome is Outcome.OK and each.compared:
            return each.differences
    return ()


def _stays(difference: Difference) -> bool:
    """Whether PostgreSQL has no way back: a constraint that is validated, an extension that others may use."""
    return (difference.aspect == "not valid" and difference.after is None) or (
        difference.kind == "extension" and difference.change is Change.LEFT_BEHIND
    )


def _turn(difference: Difference) -> tuple[int, int]:
    if difference.change is Change.LEFT_BEHIND:
        return (0, _GOING.index(difference.kind) if difference.kind in _GOING else len(_GOING))
    return (1, -_GOING.index(difference.kind) if difference.kind in _GOING else -len(_GOING))


def _rewritten(found: Found, function: cst.FunctionDef, lines: Sequence[str]) -> tuple[Hunk, ...]:
    source = found.files.sources[found.revision.path]
    rewriting = Rewriting(source)
    if any("sa." in line for line in lines):
        rewriting.needs("sqlalchemy", "sa")
    added = parsed("\n".join(lines), source)
    body = [each for each in function.body.body if not is_docstring(each)]
    last = body[-1] if body else function.body.body[-1]
    match last:
        case cst.SimpleStatementLine(body=[cst.Pass()]):
            added[0] = added[0].with_changes(leading_lines=last.leading_lines)
            rewriting.replace(last, added)
        case cst.SimpleStatementLine(body=[cst.Return()]):
            raise Refused(f"`downgrade()` of `{source.path}` returns at its end")
        case _:
            rewriting.replace(last, lambda updated: [updated, *added])
    return rewriting.hunks()
