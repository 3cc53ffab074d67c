"""One review from beginning to end: what is new, a server, the rehearsal, the checks, the report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from reviewer import recording
from reviewer.config import Config
from reviewer.early import Early, started
from reviewer.errors import ProjectError, UsageError
from reviewer.host import files
from reviewer.host.folders import work_folder
from reviewer.host.guardian import Guardian
from reviewer.judging import comments_of, judged, replayed, with_rules
from reviewer.planning import controlled, is_the_users, kept_states, plan_for, production_of, setup_of
from reviewer.postgres import trouble
from reviewer.project.discovery import Interpreter, Tree, find_interpreter
from reviewer.project.git import Git, GitError, root_of
from reviewer.project.history import (
    Graph,
    Selection,
    between,
    changed_files,
    has_revisions,
    new_revisions,
    read_commit,
    read_worktree,
    wanted_extensions,
)
from reviewer.recording import Recording
from reviewer.rehearsal.interpreter import RunnerProcess, environment
from reviewer.rehearsal.kept_state import KeptStates
from reviewer.rehearsal.lanes import Lanes, Processes, side_by_side
from reviewer.rehearsal.plan import End, Plan
from reviewer.rehearsal.protocol import Address
from reviewer.review.durations import refuse_unknown
from reviewer.review.finding import Finding, TriedFix
from reviewer.review.verdict import Report, TreeReport
from reviewer.scope import Scope, common_root, completed, nothing_new, unread
from reviewer.stats.sizes import Production

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer

_IDLE = (".md", ".rst", "alembic-reviewer.toml")
"""Ends of paths of files that no history depends on."""

Progress = Callable[[str], None]


class Rehearsed(Struct, frozen=True):
    """A tree that was rehearsed, while its server still runs: what fixes start from."""

    config: Config
    scope: Scope
    interpreter: Interpreter
    environ: Mapping[str, str]
    server: Future[RunningServer]
    guardian: Guardian
    folder: Path
    runner: Callable[..., RunnerProcess]
    """Starts a process of the interpreter."""
    production: Production | None
    progress: Progress
    recording: Recording
    end: End
    """What its deploy led to."""


Fixer = Callable[[Rehearsed], Sequence[tuple[Finding, TriedFix]]]
"""Tries to fix what is found in a tree, and tells of each finding what became of it."""


def review_project(
    config: Config,
    environ: Mapping[str, str],
    progress: Progress = lambda _: None,
    fixer: Fixer | None = None,
    begun: Early | None = None,
) -> Report:
    """Review what `config` asks for; `fixer` tries the fixes, if it asks for them. What has `begun` already is not
    started again. Raises `ReviewerError` if nothing at all can be reviewed.
    """
    now = datetime.now(timezone.utc)
    report = _reviewed(with_rules(config), environ, progress, fixer if config.fixes else None, begun)
    sizes = report.sizes.at(now) if report.sizes is not None else None
    return replace(report, made=now.strftime("%Y-%m-%d %H:%M UTC"), sizes=sizes)


def _reviewed(
    config: Config, environ: Mapping[str, str], progress: Progress, fixer: Fixer | None, begun: Early | None
) -> Report:
    production = production_of(config)
    if config.recording is not None:
        return replace(replayed(config, production), head=_head(config.path))
    if config.save_recording is not None:
        refuse_unwritable(config.save_recording)
    recordings: list[Recording] = []
    fixes: dict[str, Sequence[tuple[Finding, TriedFix]]] = {}
    with trouble.told(), contextlib.ExitStack() as stack:
        early = begun or stack.enter_context(started(config, environ))
        guardian = early.guardian
        scopes = [scope(config, tree, environ) for tree in early.trees]
        refuse_unknown(config.calibrate, [new.id for each in scopes for new in each.selection.revisions])
        # Everything is read now, so that nothing the project's code writes while it runs can change what is reviewed.
        comments = {each.tree.name: comments_of(each) for each in scopes}
        if not any(each.selection.revisions for each in scopes):
            report = judged(config, [nothing_new(each) for each in scopes], comments, production)
            return replace(report, head=scopes[0].head)
        interpreter = find_interpreter(config.path, config.python, environ)
        plans = [controlled(plan_for(config, each, interpreter, environ), config, each) for each in scopes]
        plans = [replace(plan, runner=early.runner, end=End() if fixer is not None else None) for plan in plans]
        folder = stack.enter_context(work_folder(guardian))
        work = [n for n, each in enumerate(scopes) if each.selection.revisions]
        lanes = lanes_of(config, scopes, guardian, fixer)
        at_once = lanes.of(len(work))
        for position in work[:at_once]:  # whatever runs later on the same server, runs after more than a history
            kept = kept_states(config, scopes[position], plans[position], environ)
            plans[position] = replace(plans[position], kept=kept)
        kept = plans[work[0]].kept
        server = None if config.static else start_server(config, scopes, guardian, stack, kept)
        runner = _first_started(config, plans, folder, guardian, stack)
        prepare_the_rest()
        progress(f"interpreter: {' '.join(interpreter.command)} ({interpreter.why})")
        if server is not None:
            server.add_done_callback(partial(say_server, progress=progress))
        rehearse = partial(_rehearsed_tree, config, guardian=guardian, progress=progress, lanes=lanes.each(at_once))
        made = _by_position(rehearse, plans, work, lanes, server, folder, runner)
        began: list[Rehearsed] = []
        for position, (each, plan) in enumerate(zip(scopes, plans, strict=True)):
            if position not in made:
                recordings.append(nothing_new(each))
                continue
            first, *others = (completed(one, config, each) for one in made[position])
            recordings += [replace(first, skipped=first.skipped + unread(each)), *others]
            comments |= {one.tree: comments[each.tree.name] for one in made[position]}
            if fixer is not None and server is not None and plan.end is not None:
                began.append(
                    Rehearsed(
                        *(config, each, interpreter, environ, server, guardian, folder),
                        *(plan.runner, production, progress, recordings[-1], plan.end),
                    )
                )
        if fixer is not None:
            fixes = {each.scope.tree.name: fixer(each) for each in began}
    progress("judging")
    if config.save_recording is not None:
        save(recordings, config.save_recording)
    report = judged(config, recordings, comments, production)
    return replace(
        report,
        trees=tuple(_with_fixes(each, fixes) for each in report.trees),
        errors=report.errors + (_not_set(config, environ) if report.all_errors else ()),
        head=scopes[0].head,
    )


def _not_set(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What may be why env.py failed: variables that it should get and that do not exist."""
    return tuple(
        f"{name}, which pass-env names, is not set here." for name in config.pass_env if name not in environ
    )


_TreeRehearsal = Callable[..., tuple[Recording, ...]]


def _rehearsed_tree(
    config: Config,
    plan: Plan,
    server: Future[RunningServer] | None,
    folder: Path,
    runner: Callable[..., RunnerProcess] | None,
    *,
    guardian: Guardian,
    progress: Progress,
    lanes: Lanes,
) -> tuple[Recording, ...]:
    if server is None:
        from reviewer.rehearsal.static import render

        return (render(plan, guardian, folder),)
    if config.each:
        from reviewer.rehearsal.each import rehearse_each

        return rehearse_each(plan, server, guardian, folder, progress, lanes)
    from reviewer.rehearsal.deploy import rehearse

    return (rehearse(plan, server, guardian, folder, progress, runner, lanes),)


def _by_position(
    rehearse: _TreeRehearsal,
    plans: Sequence[Plan],
    work: Sequence[int],
    lanes: Lanes,
    server: Future[RunningServer] | None,
    folder: Path,
    runner: Callable[..., RunnerProcess] | None,
) -> dict[int, tuple[Recording, ...]]:
    """Rehearse the plans at the positions in `work`. The first lane has the server that is there already."""
    at_once, processes = lanes.of(len(work)), Processes()

    def rehearsed(position: int, server: Future[RunningServer] | None, folder: Path) -> tuple[Recording, ...]:
        plan = processes.of(plans[position]) if at_once > 1 else plans[position]
        return rehearse(plan, server, folder, runner if position == work[0] else None)

    def lane(number: int) -> dict[int, tuple[Recording, ...]]:
        mine = work[number::at_once]
        if number == 0:
            return {position: rehearsed(position, server, folder) for position in mine}
        with lanes.further(plans[mine[0]].kept, folder / f"tree{number}") as (another, place):
            return {position: rehearsed(position, another, place) for position in mine}

    done = side_by_side([partial(lane, number) for number in range(at_once)], processes.stop)
    return {position: made for each in done for position, made in each.items()}


def _with_fixes(tree: TreeReport, fixes: Mapping[str, Sequence[tuple[Finding, TriedFix]]]) -> TreeReport:
    """The findings of a tree with what became of their fixes."""
    tried = [(_place_of(finding), fix) for finding, fix in fixes.get(tree.recording.tree, ())]
    found = tuple(
        replace(finding, fix=next((fix for place, fix in tried if place == _place_of(finding)), None))
        for finding in tree.findings
    )
    return replace(tree, findings=found)


def _place_of(finding: Finding) -> tuple[object, ...]:
    return finding.rule, finding.revision, finding.direction, finding.location, finding.about, finding.suppressed


def prepare_the_rest() -> None:
    """Load what reads the events, judges and reports them, while the server and the project's interpreter start."""
    Thread(target=_load_the_rest, name="imports", daemon=True).start()


def _load_the_rest() -> None:
    with contextlib.suppress(Exception):  # what fails here fails again, and is told, where it is needed
        import checks as all_checks
        from reviewer import report
        from reviewer.review import engine  # noqa: F401
        from reviewer.sql.parse import parse

        parse("")  # imports sqlglot
        all_checks.load()
        report.prepare()


def _first_started(
    config: Config, plans: Sequence[Plan], folder: Path, guardian: Guardian, stack: contextlib.ExitStack
) -> Callable[..., RunnerProcess] | None:
    """The project's interpreter, started before what reads its events is loaded: it takes longer than that."""
    first = next((each for each in plans if each.revisions), None)
    if first is None or config.static or config.each:
        return None
    started = [first.process(folder, guardian, first.runner)]

    def close() -> None:
        for each in started:
            each.close()

    stack.callback(close)

    def process(*arguments: Any) -> RunnerProcess:
        return started.pop() if started else first.runner(*arguments)

    return process


def _head(path: Path) -> str:
    """The commit that is checked out at `path`; empty without git."""
    with contextlib.suppress(GitError):
        return Git.containing(path).commit("HEAD") or ""
    return ""


def scope(config: Config, tree: Tree, environ: Mapping[str, str]) -> Scope:
    """What to review in `tree`. Raises `UsageError` if that cannot be determined."""
    root = root_of(config.path) or common_root(config.path, tree)
    if tree.unresolved or not has_revisions(tree):
        tree = located(config, tree, environ)
    if config.revisions is not None:
        graph = read_worktree(tree, root)
        selection = _between(graph, config.revisions, root)
        return Scope(tree, selection, graph, root, f"revisions {config.revisions}", head=_head(config.path))
    git = Git.containing(tree.directory)
    base = git.base(config.base, environ)
    since = f"new since {base.ref} ({base.commit[:12]}, {base.why})"
    changed = changed_files(tree, git, base.commit)
    if not changed:
        return Scope(tree, Selection(), Graph({}), root, since, base.commit, base.head)
    graph = read_worktree(tree, root, changed)
    before = read_commit(tree, git, base.commit, graph)
    selection = new_revisions(graph, before)
    if base.tip != base.commit:
        selection = selection.beside(before, read_commit(tree, git, base.tip, graph))
    new = {each.path for each in selection.revisions}
    code = frozenset(each for each in git.edited(base.commit) - new if not each.endswith(_IDLE))
    return Scope(tree, selection, graph, root, since, base.commit, base.head, before, code)


def _between(graph: Graph, span: str, root: Path) -> Selection:
    """The revisions of the span; who names tags or commits of git is told which option takes them."""
    try:
        return between(graph, span)
    except ProjectError:
        raise
    except UsageError:
        first, _, last = span.partition(":")
        with contextlib.suppress(GitError):
            git = Git.containing(root)
            for name in (first.strip(), last.strip()):
                if name and name not in {"base", "head", "heads"} and git.commit(name):
                    switch = f" after `git switch --detach {last.strip()}`" if git.commit(last.strip()) else ""
                    since = first.strip() if git.commit(first.strip()) else "TAG"
                    raise UsageError(
                        f"--revisions takes Alembic's revisions, and `{name}` is a tag, a branch or a commit of git.",
                        f"What came since a tag is reviewed with --base {since}{switch}.",
                    ) from None
        raise


def lanes_of(config: Config, scopes: Sequence[Scope], guardian: Guardian, fixer: Fixer | None = None) -> Lanes:
    """How many rehearsals run at the same time: one on a server of the user's, which they would share, and for fixes."""
    if config.static or fixer is not None or is_the_users(config):
        return Lanes()

    def start(stack: contextlib.ExitStack, kept: KeptStates | None) -> Future[RunningServer]:
        return start_server(config, scopes, guardian, stack, kept)

    return Lanes(config.jobs or min(4, _cores()), start)


def _cores() -> int:
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_server(
    config: Config,
    scopes: Sequence[Scope],
    guardian: Guardian,
    stack: contextlib.ExitStack,
    kept: KeptStates | None = None,
) -> Future[RunningServer]:
    """The server, starting in a thread while the project's interpreter starts; from a kept base state if there is one."""
    from reviewer.postgres import ServerRequest, choose_none, start

    wanted = frozenset(config.extensions) | {
        extension for each in scopes for extension in wanted_extensions(each.graph.revisions.values())
    }
    request = ServerRequest(config.postgres, config.postgres_version, wanted, config.postgres_image, config.scale)
    pool = stack.enter_context(ThreadPoolExecutor(1))
    choose = kept.choose if kept is not None else choose_none
    return pool.submit(lambda: stack.enter_context(start(request, guardian, choose)))


def say_server(server: Future[RunningServer], progress: Progress) -> None:
    """Tell which server it is, once it is up."""
    if not server.cancelled() and server.exception() is None:
        progress(f"PostgreSQL {server.result().version}: {server.result().why}")


@contextlib.contextmanager
def workplace() -> Iterator[tuple[Guardian, Path]]:
    """A guardian, and a folder that is removed when we end."""
    with Guardian() as guardian, work_folder(guardian) as folder:
        yield guardian, folder


def located(config: Config, tree: Tree, environ: Mapping[str, str]) -> Tree:
    """Ask the project's interpreter where the revisions are: in a package, or in folders that env.py sets."""
    interpreter = find_interpreter(config.path, config.python, environ)
    with workplace() as (guardian, folder), contextlib.ExitStack() as stack:
        server = start_server(config, (), guardian, stack).result()
        database = server.create_database("describe")
        server.make_superuser(database, True)  # nothing that it refuses is of interest here
        kept = environment(environ, config.env, config.pass_env, server.address.url(database))
        process = stack.enter_context(
            RunnerProcess(interpreter.command, setup_of(config, tree), kept, folder, guardian)
        )
        process.hello()
        described = process.describe(Address.of(server.address), database, config.timeout)
    return tree.located(Path(described.directory), [Path(each) for each in described.folders])


def refuse_unwritable(path: Path) -> None:
    """Checked before the work, not after it."""
    if why := files.why_unwritable(path):
        raise UsageError(
            f"The recording cannot be written to {path}: {why}.", "Name another file with --save-recording."
        )


def save(recordings: Sequence[Recording], path: Path) -> None:
    """Write `recordings` to a file. Raises `UsageError` if that is impossible."""
    try:
        files.write(path, recording.dumps(recordings))
    except OSError as error:
        raise UsageError(
            f"The recording cannot be written to {path}: {files.why(error)}.", "Name another file."
        ) from None
