"""One review from beginning to end: what is new, a server, the rehearsal, the checks, the report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from reviewer import __version__, recording
from reviewer.config import Config
from reviewer.early import Early, started
from reviewer.errors import ProjectError, UsageError
from reviewer.host import files
from reviewer.host.folders import work_folder
from reviewer.host.guardian import Guardian
from reviewer.host.paths import on_disk, relative, shown
from reviewer.postgres import trouble
from reviewer.project.additive import only_adds_tables
from reviewer.project.discovery import Interpreter, Tree, find_interpreter, mentions_flask
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
from reviewer.project.imports import application_imports
from reviewer.recording import Direction, History, Mode, OldCode, Outcome, Recording, Revision, Skipped
from reviewer.rehearsal import base_schema
from reviewer.rehearsal.code import Commit, Folder
from reviewer.rehearsal.interpreter import RunnerProcess, Setup, environment
from reviewer.rehearsal.kept_state import KeptStates, Wanted, interpreter_of
from reviewer.rehearsal.lanes import Lanes, Processes, side_by_side
from reviewer.rehearsal.old_code import OldSource
from reviewer.rehearsal.plan import End, Plan, ScalePlan
from reviewer.rehearsal.protocol import Address
from reviewer.review import suppressions
from reviewer.review.durations import durations, refuse_unknown, told_beside
from reviewer.review.finding import Finding, Severity, TriedFix
from reviewer.review.rule import Group
from reviewer.review.suppressions import Suppression
from reviewer.review.verdict import Report, TreeReport
from reviewer.sql.names import VERSION_TABLE
from reviewer.stats import drift
from reviewer.stats.sizes import Production

if TYPE_CHECKING:
    from reviewer.postgres import RunningServer
    from reviewer.recording import Lock, Statement
    from reviewer.review.rule import Check, Rule

_IDLE = (".md", ".rst", "alembic-reviewer.toml")
"""Ends of paths of files that no history depends on."""

Progress = Callable[[str], None]
Comments = Mapping[str, tuple[Suppression, ...]]
"""The suppression comments of one tree, by the path of their file."""


class Scope(Struct, frozen=True):
    """One tree and what to review in it."""

    tree: Tree
    selection: Selection
    graph: Graph
    root: Path
    """Paths in the report are relative to it: the git root, or the project without git."""
    since: str = ""
    """What "new" means here, as a phrase for a human."""
    base_commit: str | None = None
    """The commit whose code is running while the migration runs; None if git does not say."""
    head: str = ""
    """The commit that is checked out; empty without git."""
    before: Graph | None = None
    """The graph at that commit."""
    changed: frozenset[str] = frozenset()
    """Files that have changed since, from the root, but for new revisions: any of them may be code that the history runs."""

    @property
    def unchanged(self) -> bool:
        """Whether the code of that commit is the code at hand, new revisions left out."""
        return self.before is not None and not self.changed


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
    started = [first.process(folder, guardian)]

    def close() -> None:
        for each in started:
            each.close()

    stack.callback(close)

    def process(*arguments: Any) -> RunnerProcess:
        return started.pop() if started else first.runner(*arguments)

    return process


def completed(made: Recording, config: Config, each: Scope) -> Recording:
    """What a rehearsal has recorded, with what the configuration and git say of it."""
    return _from_base(replace(made, one_way=_one_way(config, each)), each)


def unread(each: Scope) -> tuple[Skipped, ...]:
    """What of the history could not be read from its source."""
    problems = (problem for problem in each.graph.problems if not problem.fatal)
    return tuple(Skipped(shown(problem.path), shown(problem.message)) for problem in problems)


def _head(path: Path) -> str:
    """The commit that is checked out at `path`; empty without git."""
    with contextlib.suppress(GitError):
        return Git.containing(path).commit("HEAD") or ""
    return ""


def with_rules(config: Config) -> Config:
    """`config` with the rules of the groups that it names."""
    named = {group.value for group in Group} & config.named_rules()
    if not named:
        return config
    import checks as all_checks

    rules: dict[str, list[str]] = {}
    for check in all_checks.load():
        rules.setdefault(check.RULE.group.value, []).append(check.RULE.id)
    return config.without_groups({name: rules.get(name, []) for name in named})


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


def setup_of(config: Config, tree: Tree) -> Setup:
    """What the runner must know about `tree`."""
    is_toml = tree.config_file.suffix == ".toml"
    return Setup(
        directory=tree.directory,
        config=None if is_toml else tree.config_file,
        toml=tree.config_file if is_toml else tree.toml_file,
        section=tree.section,
        script_location=str(tree.script_location) if tree.flask and tree.script_location else None,
        flask=tree.flask and mentions_flask(tree.env_py),
        x=config.x,
        launcher=config.launcher,
    )


def plan_for(config: Config, scope: Scope, interpreter: Interpreter, environ: Mapping[str, str]) -> Plan:
    """The plan of the rehearsal for one tree."""
    old = old_source(config, scope)
    return Plan(
        revisions=scope.selection.recorded(),
        base_heads=scope.selection.base_heads,
        depth=len(scope.graph.with_ancestors(scope.selection.base_heads)),
        setup=setup_of(config, scope.tree),
        interpreter=interpreter.command,
        environ=environment(environ, config.env, config.pass_env, "{url}"),
        root=scope.root,
        history=history_of(scope),
        base_schema=base_schema.read(config.base_schema) if config.base_schema else None,
        rows=config.rows,
        seed=base_schema.read(config.seed, "seed") if config.seed else None,
        seed_command=config.seed_command,
        timeout=config.timeout,
        scale=_scale(config),
        tree=scope.tree.name,
        old=old,
        no_old=why_no_old_code(config, scope),
        new_code=old is not None and not old.unchanged and not config.each,
        from_models=config.base_from == "models",
        superuser=config.migrate_as == "superuser",
        base_code=base_code(config, scope),
        installs_anew=installs_anew(config, scope),
        earlier=_earlier(scope) if config.static else (),
    )


def _scale(config: Config) -> ScalePlan | None:
    """How to measure what grows; None if nobody asks for it."""
    if not config.scale:
        return None
    production = production_of(config)
    sizes = production.sizes if production is not None else {}
    known = {name: size.rows for name, size in sizes.items() if size.rows is not None}
    return ScalePlan(config.scale_seconds, config.scale_rows, known)


def controlled(plan: Plan, config: Config, scope: Scope) -> Plan:
    """The plan with the env.py to test for swallowed failures, unless that rule is off."""
    rule = "swallowed-failure"
    wanted = rule in config.select if config.select else not config.ignored(rule)
    return replace(plan, control=scope.tree.env_py if wanted else None)


def _earlier(scope: Scope) -> tuple[tuple[Revision, bytes], ...]:
    """The revisions that created the base state, each with its source."""
    graph = scope.graph
    ids = graph.sorted(graph.with_ancestors(scope.selection.base_heads))
    return tuple((found.recorded(found.depends_on), found.text) for found in map(graph.revisions.__getitem__, ids))


def old_source(config: Config, scope: Scope) -> OldSource | None:
    """Where to find the code that is running while the migration runs; None if it is not tested."""
    if why_no_old_code(config, scope) or scope.base_commit is None:
        return None
    sources = [revision.text for revision in scope.selection.revisions]
    needed = config.base_from == "models" or not only_adds_tables(sources)
    return OldSource(scope.root, scope.base_commit, early=needed, unchanged=scope.unchanged)


def base_code(config: Config, scope: Scope) -> OldSource | None:
    """The commit whose code made the base state of production, where that is not the code at hand."""
    if config.static or config.each or scope.base_commit is None or scope.before is None or not scope.changed:
        return None
    known = all(each in scope.before.revisions for each in scope.selection.base_heads)
    if not known or not scope.tree.directory.is_relative_to(scope.root):
        return None
    return OldSource(scope.root, scope.base_commit)


def installs_anew(config: Config, scope: Scope) -> bool:
    """Whether what has changed may break old revisions: they, or what they import, are among it."""
    if base_code(config, scope) is None or scope.before is None:
        return False
    place = scope.tree.script_location
    inside = f"{relative(place, scope.root)}/" if place is not None else ""
    if inside and any(each.startswith(inside) for each in scope.changed):
        return True
    if not any(each.endswith(".py") for each in scope.changed):
        return False
    old = map(scope.before.revisions.__getitem__, scope.before.with_ancestors(scope.selection.base_heads))
    return bool(application_imports(old, scope.tree, scope.root))


def why_no_old_code(config: Config, scope: Scope) -> str:
    """Why no code of a base commit is tested; empty if it is."""
    if config.static:
        return "there is no server to run it on"
    if config.revisions is not None:
        return "--revisions names no commit whose code is running"
    if not config.old_code and config.base_from != "models":
        return "turned off"
    if scope.base_commit is None or not scope.tree.directory.is_relative_to(scope.root):
        return "git names no commit whose code is running"
    return ""


def history_of(scope: Scope) -> History:
    """What the rules about history need to know about a tree."""
    found = application_imports(scope.selection.revisions, scope.tree, scope.root)
    return replace(scope.selection.history(), imports=found)


def production_of(config: Config) -> Production | None:
    """Production as the file of `--stats` describes it; None without one. Raises `UsageError` if it cannot be read."""
    if config.stats is None:
        return None
    from reviewer.stats import file

    return file.load(config.stats).at(datetime.now(timezone.utc))


def replayed(config: Config, production: Production | None = None) -> Report:
    """The report of a saved recording: the same as when it was made, without a server."""
    assert config.recording is not None
    try:
        text = files.read(config.recording)
    except OSError as error:
        raise UsageError(
            f"The recording {config.recording} cannot be read: {files.why(error)}.", "Name a file that exists."
        ) from None
    recordings = recording.loads(text, str(config.recording))
    refuse_unknown(config.calibrate, [new.id for each in recordings for new in each.revisions])
    root = root_of(config.path) or config.path
    comments = {each.tree: comments_in(root, each) for each in recordings}
    return replace(judged(config, recordings, comments, production), replayed=True)


def comments_of(scope: Scope) -> Comments:
    """The suppression comments in the reviewed revisions and in env.py, as the files were when they were read."""
    reviewed = (*scope.selection.edited, *scope.selection.revisions)
    found = {(path := shown(each.path)): suppressions.read(each.text, path) for each in reviewed}
    env = scope.tree.env_py
    if env is not None:
        with contextlib.suppress(OSError):
            path = relative(env, scope.root)
            found[path] = suppressions.read(files.read_regular(env), path)
    return found


def comments_in(root: Path, each: Recording) -> Comments:
    """The suppression comments in the revisions of a recording, as their files below `root` are now."""
    found = {}
    edited = {entry.location.path for entry in each.history.edited}
    asked = {each.control.location.path} if each.control.location is not None else set()
    for path in edited | asked | {revision.path for revision in each.revisions}:
        with contextlib.suppress(OSError):
            found[path] = suppressions.read(files.read_regular(on_disk(root, path)), path)
    return found


def judged(
    config: Config,
    recordings: Sequence[Recording],
    comments: Mapping[str, Comments],
    production: Production | None = None,
    *,
    merge: bool = True,
) -> Report:
    """The report of `recordings`: what the selected checks find, weighed by the sizes in `production`, with `comments`
    (by tree) applied. Reads no source. Raises `UsageError` if `production` is the database of none of them. `merge`: what
    one rule finds in one revision about one table is one finding.
    """
    import checks as all_checks
    from reviewer.review import ledger
    from reviewer.review.engine import review
    from reviewer.review.merging import merged

    loaded = all_checks.load()
    config = with_rules(config)
    config.check_rules({check.RULE.id for check in loaded})
    selected = _selected(config, loaded)
    asked = {check.RULE.id for check in selected}
    reporters = {check.RULE.reports_failed: check.RULE.id for check in loaded if check.RULE.reports_failed}
    waiting = {check.RULE.id for check in loaded if check.RULE.group.about_waiting}
    merging = merging_rules() if merge else frozenset[str]()
    of_files = {check.RULE.id for check in loaded if check.RULE.once_a_file and merge}
    reports = []
    skipped = _unused(recordings, production) + _hot_in_vain(config, recordings)
    for each in recordings:
        there = production if production is not None and production.knows(each.base) else None
        report = (
            review(each, selected, there, config.small_table)
            if each.revisions or each.history.rewritten
            else TreeReport(each)
        )
        timed = durations(each, there, config.calibrate)
        skipped += tuple(Skipped(f"--calibrate {revision}", reason) for revision, reason in timed.unused)
        report = replace(report, findings=told_beside(report.findings, timed), durations=timed)
        findings = _suppressed(report.findings, each, comments.get(each.tree, {}), loaded, selected)
        severe = _with_severities(config, findings, each, waiting)
        told = replace(report, findings=merged(severe, merging, of_files), order=_deploy_order(each, findings))
        dropped = [finding for finding in findings if config.ignored(finding.rule, _path(finding))]
        reports.append(
            ledger.settled(
                told, lambda rule, path: rule in asked and not config.ignored(rule, path), reporters, dropped
            )
        )
    return Report(
        tool=__version__,
        trees=tuple(reports),
        fail_on=config.fail_on,
        skipped=skipped,
        sizes=production.source if production is not None else None,
    )


def _deploy_order(recording: Recording, findings: Sequence[Finding]) -> str:
    if recording.new_code.mapped is None:
        return ""
    from reviewer.release.order import in_short

    return in_short(recording, findings, code_rules())


def _unused(recordings: Sequence[Recording], production: Production | None) -> tuple[Skipped, ...]:
    """What of production could not be used: the sizes of trees whose tables are in another database, and a schema that
    belongs to another revision. Raises `UsageError` if all of them are.
    """
    if production is None:
        return ()
    source = production.source
    others = [each.tree for each in recordings if not production.knows(each.base)]
    if others and len(others) == len(recordings):
        raise UsageError(
            f"{source.file} is about the database {source.database}, which has none of the tables of this project.",
            "Name the file of its own database with --stats.",
        )
    reason = f"{source.file} is about the database {source.database}, which has none of its tables"
    found = [Skipped(f"the sizes of tree {tree}", reason) for tree in others]
    first = {each.migration_tree: each for each in reversed(recordings)}  # with --each there are several of a tree
    for tree, each in first.items():
        if each.tree not in others and (why := drift.why_not(each, production)):
            name = f" of tree {tree}" if tree else ""
            found.append(Skipped(f"a comparison{name} with the schema of production", why))
    return tuple(found)


def _hot_in_vain(config: Config, recordings: Sequence[Recording]) -> tuple[Skipped, ...]:
    """The `hot-tables` that no tree has, before its new revisions or after them."""
    known = {
        str(name)
        for each in recordings
        for name in (
            *(table.name for table in each.base.tables),
            *(lock.relation for run in each.passes for told in run.statements for lock in _locks(told)),
        )
    }
    if not any(each.base.tables for each in recordings):
        return ()
    return tuple(
        Skipped(f"hot table {name}", "the database has no table of that name")
        for name in config.hot_tables
        if name.removeprefix("public.") not in known
    )


def _locks(statement: Statement) -> Sequence[Lock]:
    return statement.observation.locks if statement.observation else ()


def code_rules() -> frozenset[str]:
    """The rules about the running code."""
    import checks as all_checks

    return frozenset(check.RULE.id for check in all_checks.load() if check.RULE.group is Group.BREAKING_CODE)


def merging_rules() -> frozenset[str]:
    """The rules whose findings on one table of one revision become one."""
    import checks as all_checks

    return frozenset(check.RULE.id for check in all_checks.load() if check.RULE.merges)


def quiet_rules() -> frozenset[str]:
    """The rules that are silent where another one says as much at the same place."""
    import checks as all_checks

    return frozenset(check.RULE.id for check in all_checks.load() if check.RULE.yields or check.RULE.last_resort)


def waiting_rules() -> frozenset[str]:
    """The rules about how long others wait for a lock of the migration."""
    import checks as all_checks

    return frozenset(check.RULE.id for check in all_checks.load() if check.RULE.group.about_waiting)


def _selected(config: Config, loaded: Sequence[Check]) -> list[Check]:
    wanted = [c for c in loaded if (c.RULE.id in config.select if config.select else c.RULE.default)]
    return [check for check in wanted if not config.ignored(check.RULE.id)]


def _suppressed(
    findings: Sequence[Finding],
    each: Recording,
    comments: Comments,
    loaded: Sequence[Check],
    selected: Sequence[Check],
) -> tuple[Finding, ...]:

    def could_speak(rule: Rule) -> bool:
        tried = each.old_code.mapped is not None or not rule.of_old_code
        return tried and (each.models.compared or not rule.of_models)

    # a comment in env.py applies to findings about env.py, and is not unused in other reviews
    reviewed = {entry.location.path for entry in each.history.edited} | {
        revision.path for revision in each.revisions
    }
    told = {finding.location.path for finding in findings if finding.location is not None}
    return tuple(
        suppressions.apply(
            findings,
            {path: found for path, found in comments.items() if path in reviewed | told},
            {check.RULE.id for check in loaded},
            asked_rules={check.RULE.id for check in selected if could_speak(check.RULE)},
            revisions={revision.path: revision.id for revision in each.revisions},
            not_wholly_seen={revision.path for revision in each.revisions if not _wholly_seen(revision.id, each)},
        )
    )


def _wholly_seen(revision: str, recording: Recording) -> bool:
    """Whether a revision ran up and down on a server with rows in the tables, so that every finding had its chance."""
    tables = [table for table in recording.base.tables if table.name.name != VERSION_TABLE]
    ran = {
        found.direction
        for found in recording.passes_of(revision)
        if (found.outcome is Outcome.OK and found.rows)
        or (found.outcome is Outcome.FAILED and found.direction is Direction.DOWNGRADE)
    }
    return (
        recording.mode is Mode.OBSERVED
        and {Direction.UPGRADE, Direction.DOWNGRADE} <= ran
        and (not tables or any(table.rows for table in tables))
    )


def _with_severities(
    config: Config, findings: Sequence[Finding], recording: Recording, waiting: Collection[str]
) -> tuple[Finding, ...]:
    """The findings with the configured severities, in general and for single files."""
    kept = []
    for finding in findings:
        path = _path(finding)
        if config.ignored(finding.rule, path):
            continue
        usual = finding.severity
        if usual is Severity.WARNING and finding.rule in waiting and _is_hot(config, finding, recording):
            usual = Severity.ERROR
        kept.append(replace(finding, severity=config.severity_of(finding.rule, usual, path)))
    return tuple(kept)


def _path(finding: Finding) -> str | None:
    return finding.location.path if finding.location else None


def _is_hot(config: Config, finding: Finding, recording: Recording) -> bool:
    """Whether a finding is about a table in constant use, or its statement locks one."""
    hot = {name.removeprefix("public.") for name in config.hot_tables}
    if not hot:
        return False
    locked = {
        str(lock.relation)
        for each in recording.passes
        for statement in each.statements
        if statement.location is not None and statement.location == finding.location
        for lock in _locks(statement)
        if not lock.relation.new and lock.mode.blocks_writes
    }
    return bool(hot & {*locked, *finding.about[1:2]})


def _one_way(config: Config, scope: Scope) -> tuple[str, ...]:
    """Revisions under review of which the configuration says that nobody goes back over them."""
    accepted = {found for name in config.one_way_revisions for found in scope.graph.resolve(name)}
    if config.floor_revision is not None:
        accepted |= scope.graph.with_ancestors(scope.graph.resolve(config.floor_revision))
    return tuple(each.id for each in scope.selection.revisions if each.id in accepted)


def lanes_of(config: Config, scopes: Sequence[Scope], guardian: Guardian, fixer: Fixer | None = None) -> Lanes:
    """How many rehearsals run at the same time: one on a server of the user's, which they would share, and for fixes."""
    if config.static or fixer is not None or _on_a_server_of_the_users(config):
        return Lanes()

    def start(stack: contextlib.ExitStack, kept: KeptStates | None) -> Future[RunningServer]:
        return start_server(config, scopes, guardian, stack, kept)

    return Lanes(config.jobs or min(4, _cores()), start)


def _on_a_server_of_the_users(config: Config) -> bool:
    return "://" in config.postgres or "=" in config.postgres


def _cores() -> int:
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def kept_states(config: Config, scope: Scope, plan: Plan, environ: Mapping[str, str]) -> KeptStates | None:
    """Where the base state of `scope` may be kept between reviews; None where it is not to be, or cannot."""
    elsewhere = config.static or _on_a_server_of_the_users(config)
    if not config.snapshots or elsewhere or config.base_from == "models" or not plan.base_heads:
        return None
    if plan.installs_anew:  # the history has to be run anyway
        return None
    setup = plan.setup
    key = (
        *(__version__, str(scope.root), interpreter_of(plan.interpreter), plan.steady_environ),
        [None if each is None else str(each) for each in (setup.directory, setup.config, setup.toml)],
        [setup.section, setup.script_location, setup.flask, list(setup.x), setup.launcher, plan.superuser],
        plan.base_schema.text if plan.base_schema is not None else None,
        [_declared(each, environ) for each in config.snapshot_key],
    )
    source, graph = plan.base_code, scope.graph
    if source is not None and scope.before is not None:
        graph = scope.before
    places = dict.fromkeys((scope.root, setup.directory, *filter(None, [scope.tree.script_location])))
    return KeptStates(
        Wanted.of(
            graph,
            plan.base_heads,
            key=key,
            code=Folder(scope.root) if source is None else Commit(scope.root, source.commit),
            root=scope.root,
            folders=scope.tree.declared_locations,
            always=[place / name for place in places for name in (".env", ".flaskenv")],
            declared=bool(config.snapshot_key),
            rows=0 if config.each or plan.seed is not None or plan.seed_command is not None else plan.rows,
            limit=config.cache_size,
        )
    )


def _declared(named: str, environ: Mapping[str, str]) -> list[str | None]:
    """What `env:NAME` or `file:PATH` stands for now."""
    kind, _, name = named.partition(":")
    return [named, environ.get(name) if kind == "env" else Folder(Path("/")).digests([name])[name]]


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


def _from_base(made: Recording, each: Scope) -> Recording:
    """The recording with the commit that it starts from, where its code was not tried either."""
    return replace(made, old_code=replace(made.old_code, commit=made.old_code.commit or each.base_commit or ""))


def nothing_new(each: Scope) -> Recording:
    """The recording of a tree without new revisions."""
    return Recording(
        tool=__version__,
        mode=Mode.OBSERVED,
        revisions=(),
        tree=each.tree.name,
        history=each.selection.history(),
        old_code=OldCode(each.base_commit or "", reason="there is no new revision"),
    )


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


def common_root(path: Path, tree: Tree) -> Path:
    """What paths are relative to without git: PATH, so that several trees can be distinguished."""
    folder = (path if path.is_dir() else path.parent).resolve()
    return folder if tree.directory.is_relative_to(folder) else tree.directory


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


__all__ = [
    "Fixer",
    "Rehearsed",
    "Scope",
    "code_rules",
    "comments_in",
    "comments_of",
    "common_root",
    "completed",
    "controlled",
    "judged",
    "located",
    "merging_rules",
    "nothing_new",
    "plan_for",
    "prepare_the_rest",
    "production_of",
    "quiet_rules",
    "refuse_unwritable",
    "replayed",
    "review_project",
    "save",
    "say_server",
    "scope",
    "setup_of",
    "start_server",
    "unread",
    "waiting_rules",
    "with_rules",
    "workplace",
]
