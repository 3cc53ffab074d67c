"""One release from beginning to end: where it starts and ends, the rehearsal in its own transaction mode, the report."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reviewer.config import Config
from reviewer.early import trees
from reviewer.errors import ProjectError, UsageError
from reviewer.host.guardian import Guardian
from reviewer.judging import code_rules, comments_of, judged, with_rules
from reviewer.planning import controlled, kept_states, plan_for, production_of, setup_of
from reviewer.postgres import RunningServer, trouble
from reviewer.project.discovery import Interpreter, Tree, find_interpreter, find_trees
from reviewer.project.git import Git, GitError, root_of
from reviewer.project.history import Graph, has_revisions, read_commit, read_worktree
from reviewer.project.phases import Phases, declared
from reviewer.project.span import Span, commit_of, span
from reviewer.recording import Recording, Revision
from reviewer.rehearsal.deploy import rehearse
from reviewer.rehearsal.fork_server import forking
from reviewer.rehearsal.interpreter import Setup
from reviewer.rehearsal.old_code import OldSource
from reviewer.rehearsal.plan import Plan
from reviewer.release.build import build
from reviewer.release.model import Release
from reviewer.review.durations import refuse_unknown
from reviewer.review.verdict import Report
from reviewer.scope import Scope, common_root, completed, nothing_new, unread
from reviewer.session import (
    Progress,
    lanes_of,
    located,
    prepare_the_rest,
    refuse_unwritable,
    save,
    say_server,
    start_server,
    workplace,
)
from reviewer.stats.sizes import Production


class _Ends(Struct, frozen=True):
    """Where a release starts and ends, and the tree whose revisions run: that of the end."""

    span: Span
    scope: Scope
    config: Config
    """As the call, its paths in the checkout where the end is a commit."""
    source: Path
    """The root of the working tree."""
    setup: Setup
    """The project in the working tree, from which each checkout is derived."""


def release_project(
    config: Config, start: str, end: str, environ: Mapping[str, str], progress: Progress = lambda _: None
) -> Release:
    """The release from `start` to `end` of the project that `config` names. Raises `ReviewerError` if there is nothing
    that can be said of it.
    """
    now = datetime.now(timezone.utc)
    config = with_rules(config)
    production = production_of(config)
    if config.save_recording is not None:
        refuse_unwritable(config.save_recording)
    with trouble.told(), workplace() as (guardian, folder):
        ends = _ends(config, start, end, environ, folder)
        scope = ends.scope
        refuse_unknown(config.calibrate, [each.id for each in scope.selection.revisions])
        comments = {scope.tree.name: comments_of(scope)}
        recording = nothing_new(scope)
        if scope.selection.revisions:
            recording = _rehearsed(ends, environ, guardian, folder, progress)
    progress("judging")
    if config.save_recording is not None:
        save([recording], config.save_recording)
    report = judged(config, [recording], comments, production)
    sizes = report.sizes.at(now) if report.sizes is not None else None
    report = replace(report, made=now.strftime("%Y-%m-%d %H:%M UTC"), sizes=sizes, head=scope.head)
    return told_release(
        report, ends.span.start.words, ends.span.end.words, production=production, notes=ends.span.notes
    )


def told_release(
    report: Report, start: str, end: str, *, production: Production | None = None, notes: tuple[str, ...] = ()
) -> Release:
    """The release from `start` to `end`, both in words, of which `report` is the review of the one tree."""
    return build(report, start, end, production=production, breaking=code_rules(), notes=notes)


# -- where it starts and ends ---------------------------------------------------------------------


def _ends(config: Config, start: str, end: str, environ: Mapping[str, str], folder: Path) -> _Ends:
    tree = _only(trees(config))
    root = root_of(config.path) or common_root(config.path, tree)
    git = _git(tree)
    if tree.unresolved or not has_revisions(tree):
        tree = located(config, tree, environ)
    now = read_worktree(tree, root)
    setup = setup_of(config, tree)
    last = commit_of(end, git, now)
    after, there, moved = now, tree, config
    if last is not None:
        assert git is not None
        checkout = folder / "release-end"
        moved, there = _checked_out(config, tree, git, root, last, end, checkout)
        after = read_worktree(there, checkout)
    first = commit_of(start, git, after if after.revisions else now)

    def read(commit: str) -> Graph:
        assert git is not None
        return read_commit(tree, git, commit, now)

    found = span((start, first), (end, last), after, read, tree, git)
    scope = Scope(
        there,
        found.selection,
        after,
        root if last is None else folder / "release-end",
        f"{found.start.words} to {found.end.words}",
        found.code,
        last or (git.commit("HEAD") or "" if git is not None else ""),
    )
    return _Ends(found, scope, moved, root, setup)


def _only(found: tuple[Tree, ...]) -> Tree:
    if len(found) > 1:
        names = ", ".join(each.name or str(each.config_file) for each in found)
        raise UsageError(
            f"The project has {len(found)} migration trees ({names}), and a release is of one.",
            "Name its alembic.ini with --config.",
        )
    return found[0]


def _git(tree: Tree) -> Git | None:
    with contextlib.suppress(GitError):
        return Git.containing(tree.directory)
    return None


def _checked_out(
    config: Config, tree: Tree, git: Git, root: Path, commit: str, name: str, checkout: Path
) -> tuple[Config, Tree]:
    """The project as it was at `commit`, in a folder of its own."""
    checkout.mkdir()
    git.check_out(commit, checkout, checkout.with_name("release-end.index"))

    def place(path: Path) -> Path:
        try:
            return checkout / path.resolve().relative_to(root.resolve())
        except ValueError:
            return path

    path = place(config.path)
    if not path.exists():
        raise UsageError(
            f"At {name} there is no {config.path.resolve().relative_to(root.resolve())}.",
            "Name an end at which the project is there.",
        )
    configs = tuple(replace(each, path=place(each.path)) for each in config.configs)
    moved = replace(config, path=path, configs=configs)
    try:
        there = _only(find_trees(path, configs, config.section, git_root=checkout))
    except ProjectError as error:
        said = error.sentence.replace(f"{checkout}/", "").replace(str(checkout), "it")
        raise ProjectError(f"At {name} the project cannot be found: {said}", error.way_out) from None
    return moved, replace(there, name=tree.name)


# -- the rehearsal --------------------------------------------------------------------------------


def _rehearsed(
    ends: _Ends, environ: Mapping[str, str], guardian: Guardian, folder: Path, progress: Progress
) -> Recording:
    prepare_the_rest()
    config, scope = ends.config, ends.scope
    # of the working tree: a checkout has no environment of its own
    interpreter = find_interpreter(ends.source / _below(ends), config.python, environ)
    with contextlib.ExitStack() as stack:
        plan = forking(_plan(ends, interpreter, environ), guardian, stack)  # first: nothing takes longer to start
        if ends.span.end.commit is None:  # a checkout has another path every time, and code may depend on it
            plan = replace(plan, kept=kept_states(config, scope, plan, environ))
        server: Future[RunningServer] = start_server(config, [scope], guardian, stack, plan.kept)
        progress(f"interpreter: {' '.join(interpreter.command)} ({interpreter.why})")
        server.add_done_callback(partial(say_server, progress=progress))
        made = rehearse(plan, server, guardian, folder, progress, lanes=lanes_of(config, [scope], guardian))
        if ends.span.end.commit is not None:
            made = replace(made, errors=tuple(f"At {ends.span.end.name}: {error}" for error in made.errors))
        made = completed(made, config, scope)
        return replace(made, skipped=made.skipped + unread(scope))


def _below(ends: _Ends) -> Path:
    """The project's folder below the root of the repository."""
    try:
        return ends.config.path.resolve().relative_to(ends.scope.root.resolve())
    except ValueError:
        return ends.config.path.resolve()


def _plan(ends: _Ends, interpreter: Interpreter, environ: Mapping[str, str]) -> Plan:
    config, scope = ends.config, ends.scope
    plan = controlled(plan_for(config, scope, interpreter, environ), config, scope)
    moved = scope.root != ends.source
    setup = replace(plan.setup, moved=(ends.source, scope.root)) if moved else plan.setup
    reason = _why_no_old(ends)
    old = OldSource(ends.source, ends.span.code, setup=ends.setup) if ends.span.code and not reason else None
    return replace(
        plan,
        revisions=_declared(plan.revisions, ends, config.phases),
        setup=setup,
        old=old,
        no_old=reason,
        new_code=config.old_code,
    )


def _why_no_old(ends: _Ends) -> str:
    if not ends.config.old_code:
        return "turned off"
    if ends.span.code is None:
        return f"git names no commit for the code at {ends.span.start.name}"
    return ""


def _declared(revisions: tuple[Revision, ...], ends: _Ends, phases: Phases) -> tuple[Revision, ...]:
    """The revisions with what their source says of when they are to run."""
    graph = ends.span.graph
    return tuple(
        replace(each, declared=declared(graph.revisions[each.id], graph.labels(each.id), phases))
        for each in revisions
    )
