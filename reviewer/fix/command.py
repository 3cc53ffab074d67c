"""`alembic-reviewer fix` from beginning to end."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reviewer.config import Config
from reviewer.early import trees
from reviewer.errors import CannotReview, UsageError, nearest
from reviewer.fix import engine, fixers, writing
from reviewer.fix.diff import unified
from reviewer.fix.engine import Applied, Left, Outcomes
from reviewer.fix.trial import Trials
from reviewer.planning import plan_for, production_of
from reviewer.postgres import trouble
from reviewer.project.discovery import find_interpreter
from reviewer.rehearsal.fork_server import forking
from reviewer.review.finding import Finding
from reviewer.scope import Scope
from reviewer.session import Progress, prepare_the_rest, scope, start_server, workplace


class Result(Struct, frozen=True):
    """What became of all findings."""

    outcomes: tuple[Outcomes, ...]
    root: Path
    written: bool = False

    @property
    def applied(self) -> tuple[Applied, ...]:
        """What is fixed."""
        return tuple(each for one in self.outcomes for each in one.applied)

    @property
    def left(self) -> tuple[Left, ...]:
        """What is not."""
        return tuple(each for one in self.outcomes for each in one.left)

    @property
    def before(self) -> dict[str, bytes]:
        """What the files that change hold now; a new one is not in it."""
        found: dict[str, bytes] = {}
        for each in self.outcomes:
            sources = each.first.files.sources
            found |= {path: sources[path].data for path in each.last.contents if path in sources}
        return found

    @property
    def after(self) -> dict[str, bytes]:
        """What they are to hold."""
        return {path: data for each in self.outcomes for path, data in each.last.contents.items()}

    @property
    def diff(self) -> bytes:
        """The changes, as `git apply` takes them."""
        return unified(self.before, self.after)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why revisions could not be reviewed."""
        return tuple(error for each in self.outcomes for error in each.last.tree.recording.errors)

    def findings(self) -> tuple[Finding, ...]:
        """What is found when all is fixed."""
        return tuple(
            finding for each in self.outcomes for finding in each.last.tree.findings if finding.suppressed is None
        )

    def exit_status(self, config: Config) -> int:
        """0: nothing at or above the level that fails is left; 1: something is; 3: it could not be reviewed."""
        worst = max((finding.severity.rank for finding in self.findings()), default=0)
        if config.fail_on is not None and worst >= config.fail_on.rank:
            return 1
        return 3 if self.errors else 0


def fix_project(
    config: Config,
    environ: Mapping[str, str],
    rules: tuple[str, ...] = (),
    *,
    unsafe: bool = False,
    write: bool = False,
    progress: Progress = lambda _: None,
) -> Result:
    """Fix what a review of the project finds. Raises `ReviewerError` if nothing at all can be reviewed, or if the
    files cannot be written.
    """
    _check(rules)
    if config.static or config.recording is not None:
        raise UsageError("Fixes are rehearsed on a server.", "Leave `static` and `recording` out.")
    config = replace(config, each=False, scale=False)
    scopes = [scope(config, tree, environ) for tree in trees(config)]
    root = scopes[0].root
    found = _fixed(config, scopes, environ, rules, unsafe, progress)
    result = Result(tuple(found), root)
    if write and result.after:
        writing.write(root, result.before, result.after)
        result = replace(result, written=True)
    return result


def _fixed(
    config: Config,
    scopes: list[Scope],
    environ: Mapping[str, str],
    rules: tuple[str, ...],
    unsafe: bool,
    progress: Progress,
) -> list[Outcomes]:
    scopes = [each for each in scopes if each.selection.revisions]
    if not scopes:
        return []
    prepare_the_rest()
    production = production_of(config)
    interpreter = find_interpreter(config.path, config.python, environ)
    with trouble.told(), workplace() as (guardian, folder), contextlib.ExitStack() as stack:
        server = start_server(config, scopes, guardian, stack)
        runner = forking(plan_for(config, scopes[0], interpreter, environ), guardian, stack).runner
        run = partial(engine.run, rules=rules, unsafe=unsafe)
        return [
            run(Trials(config, each, interpreter, environ, server, guardian, folder, runner, production, progress))
            for each in scopes
        ]


def _check(rules: tuple[str, ...]) -> None:
    known = fixers.by_rule()
    for rule in rules:
        if rule not in known:
            raise UsageError(f"There is no fix for the rule `{rule}`.", nearest(rule, known))


__all__ = ["CannotReview", "Result", "fix_project"]
