"""Nothing waits endlessly for a lock: env.py sets `lock_timeout`, or the revisions do where env.py is of no usual form."""

from __future__ import annotations

import re
from itertools import pairwise

import libcst as cst

from reviewer.fix.code import parsed
from reviewer.fix.fix import Fix
from reviewer.fix.found import Found
from reviewer.fix.refused import Refused
from reviewer.fix.source import UPGRADE, Hunk, Rewriting, Source, called, is_docstring
from reviewer.review import remedies

RULES = ("endless-lock-wait",)

SECONDS = 5


def fix(found: Found) -> Fix:
    """One statement more in env.py, or one in each revision."""
    env = found.files.sources.get(found.files.env_py or "")
    if env is not None and (hunks := _in_env(env, found)):
        title = f"set `lock_timeout` to {SECONDS} s for all migrations in `{env.path}`"
        changed = {env.path: hunks}
    else:
        changed = _in_revisions(found)
        title = f"set `lock_timeout` to {SECONDS} s in each revision that waits for locks"
    return Fix(
        found.finding,
        title,
        changed,
        unsafe=f"Whether {SECONDS} s is right is your decision: a deploy that waits longer fails and has to be retried",
        first=True,
        leaves=frozenset({"several-exclusive-locks"}),  # covered where nothing bounds the wait at all
    )


def _in_env(source: Source, found: Found) -> tuple[Hunk, ...]:
    """The statement before the migrations run, in a transaction that Alembic begins; empty where there is none such."""
    places = []
    for call in source.nodes(cst.Call):
        if called(call) != "run_migrations":
            continue
        above = list(source.above(call))
        statement = next((each for each in above if isinstance(each, cst.SimpleStatementLine)), None)
        begins = any(
            isinstance(item.item, cst.Call) and called(item.item) == "begin_transaction"
            for each in above
            if isinstance(each, cst.With)
            for item in each.items
        )
        if statement is None or not begins or not isinstance(call.func, cst.Attribute):
            continue
        scope = _branch(above, source)
        online = any(
            called(other) == "configure"
            and any(arg.keyword is not None and arg.keyword.value == "connection" for arg in other.args)
            for other in source.nodes(cst.Call)
            if scope in source.above(other)
        )
        if online:
            places.append((statement, source.module.code_for_node(call.func.value)))
    if len(places) != 1:
        return ()
    statement, context = places[0]
    rewriting = Rewriting(source)
    limit = f"{context}.execute(\"SET lock_timeout = '{SECONDS}s'\")"
    (added,) = parsed(found.here(limit, f"{context}.get_context()"), source)
    added = added.with_changes(leading_lines=statement.leading_lines)
    rewriting.replace(statement, [added, statement.with_changes(leading_lines=())])
    return rewriting.hunks()


def _branch(above: list[cst.CSTNode], source: Source) -> cst.CSTNode:
    """The function, or the branch of an `if`, that a call is in."""
    for block, parent in pairwise(above):
        if isinstance(block, cst.IndentedBlock) and isinstance(parent, cst.FunctionDef | cst.Else | cst.If):
            return block
    return source.module


def _in_revisions(found: Found) -> dict[str, tuple[Hunk, ...]]:
    told = found.finding.evidence.get("statements")
    ids = dict.fromkeys(
        match.group(1)
        for each in (told if isinstance(told, list) else ())
        if (match := re.match(r"(\S+) line ", each))
    )
    changed = {}
    for each in ids:
        revision = found.files.graph.revisions.get(each)
        if revision is None:
            raise Refused(f"the file of revision {each} is unknown")
        source = found.files.sources[revision.path]
        function = source.function(UPGRADE)
        if function is None or not isinstance(function.body, cst.IndentedBlock):
            raise Refused(f"`{source.path}` has no plain `upgrade()`")
        first = next((each for each in function.body.body if not is_docstring(each)), None)
        if not isinstance(first, cst.SimpleStatementLine | cst.BaseCompoundStatement):
            raise Refused(f"`upgrade()` of `{source.path}` is empty")
        rewriting = Rewriting(source)
        (added,) = parsed(found.here(remedies.execute(f"SET LOCAL lock_timeout = '{SECONDS}s'")), source)
        added = added.with_changes(leading_lines=first.leading_lines)
        rewriting.replace(first, [added, first.with_changes(leading_lines=())])
        changed[source.path] = rewriting.hunks()
    if not changed:
        raise Refused("no revision of its own waits for a lock")
    return changed
