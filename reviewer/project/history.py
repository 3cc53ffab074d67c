"""The revisions under review: the revision graph read from source, and what the branch adds to it.

HEAD means the working tree, so a revision that is not committed yet is under review too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reviewer import recording
from reviewer.errors import ProjectError, UsageError
from reviewer.host import files
from reviewer.host.paths import shown
from reviewer.project.discovery import Tree
from reviewer.project.git import Git
from reviewer.project.graph import Graph
from reviewer.project.source import (
    Problem,
    ProblemKind,
    SourceRevision,
    read_declarations,
    read_source,
    wanted_extensions,
)

__all__ = [
    "Graph",
    "Problem",
    "ProblemKind",
    "Selection",
    "SourceRevision",
    "between",
    "changed_files",
    "has_revisions",
    "new_revisions",
    "read_commit",
    "read_source",
    "read_worktree",
    "selected",
    "wanted_extensions",
]

_LOADED = re.compile(r"(?!\.\#|__init__)(.*\.py)$")
"""Files that Alembic loads from a folder of revisions."""


class Selection(Struct, frozen=True):
    """The revisions under review, and the state from which they start."""

    revisions: tuple[SourceRevision, ...] = ()
    """Parents first."""
    base_heads: tuple[str, ...] = ()
    """The revisions to upgrade an empty database to, so that it contains everything that is not under review."""
    heads: tuple[str, ...] = ()
    """What `alembic heads` prints with the revisions under review."""
    previous_heads: tuple[str, ...] = ()
    """What it prints without them."""
    labelled_heads: tuple[str, ...] = ()
    """Those of `heads` that are on their own labelled branch."""
    edited: tuple[SourceRevision, ...] = ()
    """Revisions of the base whose code has changed, as they are now."""
    deleted: tuple[SourceRevision, ...] = ()
    """Revisions of the base that no longer exist, as they were."""
    inserted: tuple[SourceRevision, ...] = ()
    """New revisions before old ones: databases that already ran the old ones will never run them."""
    colliding: tuple[tuple[SourceRevision, str], ...] = ()
    """New heads, each with a head that was added to the base branch since this branch diverged."""
    carried: tuple[str, ...] = ()
    """Old revisions that descend from inserted ones, so they can only run after them. They are not under review."""
    dependencies: Mapping[str, tuple[str, ...]] | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The revisions to upgrade to, so that all revisions under review run."""
        ids = {each.id for each in self.revisions}
        resolved = self.dependencies or {}
        needed = {up for each in self.revisions for up in (*each.down_revisions, *resolved.get(each.id, ()))}
        return tuple(sorted(ids - needed))

    def recorded(self) -> tuple[recording.Revision, ...]:
        """Return the revisions in the form that a recording stores."""
        resolved = self.dependencies or {}
        return tuple(each.recorded(resolved.get(each.id, each.depends_on)) for each in self.revisions)

    def rewritten(self, graph: Graph, ids: Iterable[str]) -> Selection:
        """Return the revisions `ids` of `graph`, in which files have been rewritten, with the same state to start from."""
        order = graph.sorted(ids)
        return replace(
            self,
            revisions=tuple(graph.revisions[rev] for rev in order),
            heads=graph.heads,
            labelled_heads=graph.labelled_heads,
            dependencies={rev: graph.dependencies[rev] for rev in order},
        )

    def history(self) -> recording.History:
        """Return what the rules about history need to know."""
        return recording.History(
            heads=self.heads,
            base_heads=self.previous_heads,
            labelled_heads=self.labelled_heads,
            edited=tuple(_entry(each, each.outline.upgrade_line) for each in self.edited),
            deleted=tuple(_entry(each) for each in self.deleted),
            inserted=tuple(_entry(each, detail=", ".join(self.carried[:1])) for each in self.inserted),
            colliding=tuple(_entry(each, detail=other) for each, other in self.colliding),
        )

    def beside(self, base: Graph, tip: Graph) -> Selection:
        """Return the same selection with the heads that collide with those of `tip`, the commit that the branch
        will be merged into.
        """
        merged = Graph({**tip.revisions, **{each.id: each for each in self.revisions}})
        apart = set(merged.labelled_heads)
        others = [
            head
            for head in merged.heads
            if head not in apart and head in tip.revisions and head not in base.revisions
        ]
        mine = [each for each in self.revisions if each.id in merged.heads and each.id not in apart]
        return replace(self, colliding=tuple((each, other) for each in mine for other in others[:1]))


def read_worktree(tree: Tree, root: Path, changed: Collection[str] | None = None) -> Graph:
    """Read the graph from the files as they are now. Paths in it are relative to `root`.

    If it is known which files have `changed`, only those are sure to be parsed: what the others declare is enough.
    """
    _refuse_unresolved(tree)
    root = root.resolve()
    return Graph.of(_read_file(file, _relative(file, root), changed) for file in _revision_files(tree))


def read_commit(tree: Tree, git: Git, commit: str, now: Graph | None = None) -> Graph:
    """Read the graph as it was at `commit`, in the folders that the tree uses now.

    If `now`, the graph of the working tree, is given, unchanged files are taken from it, and files that have moved
    in from other folders are found where they were.
    """
    folders = _folders(tree, git)
    blobs = {path: blob for path, blob in git.files(commit, folders).items() if _is_loaded(tree, folders, path)}
    known: dict[str, SourceRevision] = {}
    if now is not None:
        changed = git.changed(commit, folders)
        present = {each.path: each for each in now.revisions.values()}
        known = {path: present[path] for path in blobs if path in present and path not in changed}
        if any(path in changed and path not in blobs for path in present):
            blobs |= _moved_in(git, commit, blobs, present)
    contents = git.contents(blob for path, blob in blobs.items() if path not in known)
    found = (known.get(path) or read_source(contents[blob], path) for path, blob in sorted(blobs.items()))
    return Graph.of(found)


def changed_files(tree: Tree, git: Git, commit: str) -> frozenset[str]:
    """Return the revision files that have changed since `commit`. Empty if no revision is new, edited or deleted.

    Reads no file, so a branch without migrations is recognized in a few milliseconds.
    """
    folders = _folders(tree, git)
    return frozenset(path for path in git.changed(commit, folders) if _is_loaded(tree, folders, path))


def has_revisions(tree: Tree) -> bool:
    """Return whether there is any revision file in the configured folders. env.py can set others."""
    return next(_revision_files(tree), None) is not None


def new_revisions(now: Graph, base: Graph) -> Selection:
    """Return what `now` adds to `base`. Raises `ProjectError` for a history that Alembic would reject too."""
    now.raise_fatal()
    new = now.revisions.keys() - base.revisions.keys()
    unavoidable = now.with_descendants(new)
    kept = now.revisions.keys() & base.revisions.keys()
    selection = selected(now, new, now.revisions.keys() - unavoidable)
    return replace(
        selection,
        previous_heads=base.heads,
        edited=tuple(now.revisions[rev] for rev in now.sorted(kept) if _differs(now, base, rev)),
        deleted=tuple(base.revisions[rev] for rev in base.sorted(base.revisions.keys() - now.revisions.keys())),
        inserted=tuple(now.revisions[rev] for rev in now.sorted(new & now.ancestors(kept))),
        carried=now.sorted(unavoidable - new),
    )


def between(graph: Graph, span: str) -> Selection:
    """Return the revisions after A up to B for the span `A:B`. A missing A is `base`, a missing B is `heads`.

    Raises `UsageError` for an invalid span, and `ProjectError` for a history that Alembic would reject.
    """
    graph.raise_fatal()
    start, colon, end = span.strip().partition(":")
    if not colon or ":" in end:
        raise UsageError(f"--revisions {span} is not of the form A:B.", "For example --revisions base:head.")
    lower, upper = graph.resolve(start.strip() or "base"), graph.resolve(end.strip() or "heads")
    there = graph.with_ancestors(lower)
    wanted = graph.with_ancestors(upper)
    if not there <= wanted:
        turned = set(upper) <= there
        raise UsageError(
            f"--revisions {span}: {start} does not come before {end or 'heads'}.",
            f"Swap them: --revisions {end}:{start}." if turned else "Name two revisions on one line of history.",
        )
    return selected(graph, wanted - there, there)


def selected(graph: Graph, new: Iterable[str], before: Iterable[str]) -> Selection:
    """The revisions `new` of a history, from the state that `before` lead to."""
    base_heads = graph.tips(frozenset(before))
    order = graph.sorted(new)
    return Selection(
        revisions=tuple(graph.revisions[rev] for rev in order),
        base_heads=base_heads,
        heads=graph.heads,
        previous_heads=base_heads,
        labelled_heads=graph.labelled_heads,
        dependencies={rev: graph.dependencies[rev] for rev in order},
    )


def _entry(each: SourceRevision, line: int | None = None, detail: str = "") -> recording.HistoryEntry:
    return recording.HistoryEntry(each.id, recording.Location(shown(each.path), line or each.outline.line), detail)


def _differs(now: Graph, base: Graph, rev: str) -> bool:
    after, before = now.revisions[rev], base.revisions[rev]
    return after is not before and after.text != before.text and after.digest != before.digest


def _moved_in(git: Git, commit: str, blobs: Mapping[str, str], present: Mapping[str, object]) -> dict[str, str]:
    origins = {before for now, before in git.renamed(commit).items() if now in present and before not in blobs}
    return git.files(commit, sorted(origins))


def _folders(tree: Tree, git: Git) -> list[str]:
    _refuse_unresolved(tree)
    return [git.relative(folder) for folder in tree.declared_locations]


def _refuse_unresolved(tree: Tree) -> None:
    if tree.unresolved:
        raise ProjectError(
            f"{tree.unresolved[0]} of {tree.config_file} could not be found without importing it.",
            "Add the folder that holds the package to prepend_sys_path, or write script_location as a path.",
        )


def _is_loaded(tree: Tree, folders: Collection[str], path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if not _LOADED.match(name) or "__pycache__" in folder:
        return False
    return tree.recursive_version_locations or (folder or ".") in folders


def _revision_files(tree: Tree) -> Iterator[str]:
    seen: set[str] = set()
    for location in tree.version_locations:
        for folder, names, found in os.walk(location):
            real = os.path.realpath(folder)
            names.sort()
            names[:] = [name for name in names if not name.endswith("__pycache__")]
            for name in sorted(found):
                if _LOADED.match(name):
                    file = f"{real}/{name}"
                    if os.path.islink(file):  # noqa: PTH114 - text, and many
                        file = os.path.realpath(file)
                    if file not in seen:
                        seen.add(file)
                        yield file
            if not tree.recursive_version_locations:
                break


def _read_file(file: str, path: str, changed: Collection[str] | None) -> SourceRevision | Problem:
    read = read_source if changed is None or path in changed else read_declarations
    try:
        text, stamp = files.read_stamped(file)
        return read(text, path, stamp)
    except OSError as error:
        return Problem(ProblemKind.UNREADABLE, f"{path} cannot be read: {files.why(error)}.", path)


def _relative(file: str, root: Path) -> str:
    above = f"{root}/".replace("//", "/")
    return file.removeprefix(above)
