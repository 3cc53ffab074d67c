"""What a rehearsal of one tree needs to know: where the code is, from which state it starts, and what else is tried."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from msgspec.structs import replace

from reviewer import __version__
from reviewer.config import Config
from reviewer.host.paths import relative
from reviewer.project.additive import only_adds_tables
from reviewer.project.discovery import Interpreter, Tree, mentions_flask
from reviewer.project.imports import application_imports
from reviewer.recording import History, Revision
from reviewer.rehearsal import base_schema
from reviewer.rehearsal.code import Commit, Folder
from reviewer.rehearsal.interpreter import Setup, environment
from reviewer.rehearsal.kept_state import KeptStates, Wanted, interpreter_of
from reviewer.rehearsal.old_code import OldSource
from reviewer.rehearsal.plan import Plan, ScalePlan
from reviewer.scope import Scope
from reviewer.stats.sizes import Production


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


def is_the_users(config: Config) -> bool:
    """Whether the server is one of the user's, named by its URL."""
    return "://" in config.postgres or "=" in config.postgres


def kept_states(config: Config, scope: Scope, plan: Plan, environ: Mapping[str, str]) -> KeptStates | None:
    """Where the base state of `scope` may be kept between reviews; None where it is not to be, or cannot."""
    elsewhere = config.static or is_the_users(config)
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
