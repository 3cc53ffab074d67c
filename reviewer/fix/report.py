"""What `alembic-reviewer fix` says: a diff for `git apply`, words for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from reviewer import __version__
from reviewer.fix.command import Result
from reviewer.fix.diff import unified
from reviewer.fix.engine import Applied, Left, key
from reviewer.review.finding import Finding


def words(result: Result) -> str:
    """What was fixed and what was not, with the reasons."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    applied, left = result.applied, result.left
    done = "fixed" if result.written else "can be fixed"
    if applied:
        yield f"{len(applied)} finding{'s' if len(applied) > 1 else ''} {done}; each fix was rehearsed and reviewed:"
    for each in applied:
        fix = each.fix
        why = f" (unsafe: {_lower(fix.unsafe)})" if fix.unsafe else ""
        yield f"  {_place(fix.finding)}  {fix.rule}: {fix.title}{why}"
        for rule in sorted(_traded(each, result)):
            yield f"    {rule} is found instead"
    if left:
        yield f"{len(left)} finding{'s' if len(left) > 1 else ''} left:"
    for other in left:
        way = "; --unsafe tries it" if other.unsafe else ""
        yield f"  {_place(other.finding)}  {other.finding.severity.value} {other.finding.rule}: {other.reason}{way}"
    for error in result.errors:
        yield f"could not review: {error.splitlines()[0]}"
    if not applied and not left and not result.errors:
        yield "Nothing to fix."


def _traded(applied: Applied, result: Result) -> set[str]:
    """The rules that find something of its revision which they did not find before."""
    known = {key(finding) for each in result.outcomes for finding in each.first.tree.findings}
    return {
        finding.rule
        for each in result.outcomes
        for finding in each.last.tree.findings
        if finding.suppressed is None
        and finding.rule in applied.fix.leaves
        and each.last.origins.get(finding.revision or "", finding.revision) == applied.fix.finding.revision
        and key(finding) not in known
    }


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _place(finding: Finding) -> str:
    return str(finding.location) if finding.location is not None else finding.revision or "the whole deploy"


def as_json(result: Result) -> str:
    """The same as JSON, with each fix as a diff of its own and all together as one."""
    found = {
        "schema": 1,
        "tool": {"name": "alembic-reviewer", "version": __version__},
        "written": result.written,
        "fixes": [_fix(each) for each in result.applied],
        "left": [_left(each) for each in result.left],
        "errors": list(result.errors),
        "diff": _text(result.diff),
    }
    return json.dumps(found, indent=2)


def _fix(applied: Applied) -> dict[str, object]:
    fix = applied.fix
    return {
        **_finding(fix.finding),
        "title": fix.title,
        "safe": not fix.unsafe,
        "why_unsafe": fix.unsafe or None,
        "files": sorted(applied.after),
        "diff": _text(unified(applied.before, applied.after)),
    }


def _left(left: Left) -> dict[str, object]:
    return {**_finding(left.finding), "reason": left.reason, "unsafe": left.unsafe}


def _finding(finding: Finding) -> dict[str, object]:
    where = finding.location
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "message": finding.message,
        "revision": finding.revision,
        "path": where.path if where else None,
        "line": where.line if where else None,
        "direction": finding.direction.value,
    }


def _text(diff: bytes) -> str:
    return diff.decode("utf-8", "backslashreplace")
