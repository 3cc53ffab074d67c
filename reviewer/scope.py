"""What to review in one migration tree, and what a rehearsal of it has recorded."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reviewer import __version__
from reviewer.config import Config
from reviewer.host.paths import shown
from reviewer.project.discovery import Tree
from reviewer.project.history import Graph, ProblemKind, Selection
from reviewer.recording import Mode, OldCode, Recording, Skipped


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


def completed(made: Recording, config: Config, each: Scope) -> Recording:
    """What a rehearsal has recorded, with what the configuration and git say of it."""
    return _from_base(replace(made, one_way=_one_way(config, each)), each)


def unread(each: Scope) -> tuple[Skipped, ...]:
    """What of the history could not be read from its source. Labels are needed only where somebody names one."""
    problems = (
        problem for problem in each.graph.problems if not problem.fatal and problem.kind is not ProblemKind.LABELS
    )
    return tuple(Skipped(shown(problem.path), shown(problem.message)) for problem in problems)


def _one_way(config: Config, scope: Scope) -> tuple[str, ...]:
    """Revisions under review of which the configuration says that nobody goes back over them."""
    accepted = {found for name in config.one_way_revisions for found in scope.graph.resolve(name)}
    if config.floor_revision is not None:
        accepted |= scope.graph.with_ancestors(scope.graph.resolve(config.floor_revision))
    return tuple(each.id for each in scope.selection.revisions if each.id in accepted)


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


def common_root(path: Path, tree: Tree) -> Path:
    """What paths are relative to without git: PATH, so that several trees can be distinguished."""
    folder = (path if path.is_dir() else path.parent).resolve()
    return folder if tree.directory.is_relative_to(folder) else tree.directory
