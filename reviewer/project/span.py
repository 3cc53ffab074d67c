"""From where to where a release goes: two names, each a revision or a commit of git, and what lies between them.

A revision is looked up in the history of the working tree, or of the commit that the other name stands for; a tag, a
branch or a commit stands for the heads of the history at that commit. What both could be is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from msgspec import Struct

from reviewer.errors import ProjectError, UsageError
from reviewer.project.discovery import Tree
from reviewer.project.git import Git
from reviewer.project.history import Graph, Selection, new_revisions, selected

_SYMBOLS = frozenset({"base", "head", "heads"})


class End(Struct, frozen=True):
    """One end of a release."""

    name: str
    """As it was given."""
    commit: str | None = None
    """Full object name of the commit that it stands for; None for a revision."""
    ids: tuple[str, ...] = ()
    """The revisions that a database there is at; none: it is empty."""

    @property
    def words(self) -> str:
        """For a human: `v1.2 (3f9a1c84d7e2)`."""
        at = ", ".join(self.ids) or "an empty database"
        return self.name if self.ids == (self.name,) else f"{self.name} ({at})"


class Span(Struct, frozen=True):
    """What a release consists of."""

    start: End
    end: End
    selection: Selection
    graph: Graph
    """The history at its end."""
    code: str | None = None
    """The commit whose code is running before; None if git names none."""
    notes: tuple[str, ...] = ()
    """What is worth knowing about the range, a sentence each."""


def commit_of(name: str, git: Git | None, graph: Graph) -> str | None:
    """The commit that `name` stands for; None for a revision of `graph`. Raises `UsageError` if it is neither, or both."""
    if name in _SYMBOLS or name in graph.revisions:
        return None
    commit = git.commit(name) if git is not None else None
    known = _is_revision(name, graph)
    if commit and known:
        raise UsageError(
            f"`{name}` is both the beginning of a revision's id and a name that git knows.",
            f"Write the id of the revision in full, or the commit as {commit[:12]}.",
        )
    if commit or known:
        return commit
    where = "no tag, branch or commit of git" if git is not None else "the project is not in a git repository"
    try:
        graph.resolve(name)
    except UsageError as error:
        said = str(error).split("\n")[0].rstrip(".")
        rest = str(error).split("\n")[1:]
        raise UsageError(f"{said}, and {where} has that name." if git else f"{said}; {where}.", *rest) from None
    raise AssertionError("it was not found before")


def _is_revision(name: str, graph: Graph) -> bool:
    with contextlib.suppress(UsageError):
        graph.resolve(name)
        return True
    return False


def span(
    start: tuple[str, str | None],
    end: tuple[str, str | None],
    after: Graph,
    read: Callable[[str], Graph],
    tree: Tree,
    git: Git | None,
) -> Span:
    """The release from `start` to `end`, each a name with the commit that it stands for. `after` is the history at the
    end; `read` reads the one at a commit. Raises `UsageError` for ends that are not in that order, `ProjectError` for
    a history that Alembic would reject.
    """
    after.raise_fatal()
    last = End(*end, ids=after.heads if end[1] else after.resolve(end[0]))
    if end[1] and not after.revisions:
        raise _without_migrations(end[0], tree)
    if start[1] is None:
        first = End(start[0], None, after.resolve(start[0]))
        found = _between(after, first, last)
        return Span(
            first, last, found, after, _commit_before(after, first, last, git, read), _beside(found, first, after)
        )
    before = read(start[1])
    if not before.revisions:
        raise _without_migrations(start[0], tree)
    first = End(start[0], start[1], before.heads)
    if after.revisions.keys() < before.revisions.keys():
        raise _backwards(first, last)
    gone = [each for each in before.heads if each not in after.revisions]
    if gone:
        raise _not_there(first, last, gone)
    if set(last.ids) != set(after.heads):
        return Span(first, last, _between(after, first, last), after, start[1])
    _refuse_backwards(after, first, last)
    return Span(first, last, new_revisions(after, before), after, start[1])


def _between(graph: Graph, first: End, last: End) -> Selection:
    _refuse_backwards(graph, first, last)
    missing = graph.with_ancestors(first.ids) - graph.with_ancestors(last.ids)
    if missing:
        stray = [each for each in first.ids if each in missing]
        raise UsageError(
            f"{', '.join(stray)} is not in the history of {last.words}: they are on different branches.",
            "Name two revisions on one line of history, or the merge of both as the end.",
        )
    there = graph.with_ancestors(first.ids)
    return selected(graph, graph.with_ancestors(last.ids) - there, there)


def _refuse_backwards(graph: Graph, first: End, last: End) -> None:
    there, wanted = graph.with_ancestors(first.ids), graph.with_ancestors(last.ids)
    if wanted < there:
        raise _backwards(first, last)


def _backwards(first: End, last: End) -> UsageError:
    return UsageError(
        f"{last.words} comes before {first.words}.",
        f"A release goes upward: alembic-reviewer release {last.name} {first.name}",
    )


def _not_there(first: End, last: End, gone: list[str]) -> ProjectError:
    return ProjectError(
        f"Revision {', '.join(gone)} of {first.name} is not in the history of {last.name}: a database that is there"
        " cannot be upgraded.",
        "Name an end whose history continues that of the start, or restore the revision.",
    )


def _without_migrations(name: str, tree: Tree) -> UsageError:
    folders = ", ".join(each.name for each in tree.declared_locations)
    return UsageError(
        f"At {name} there are no migrations in {folders}.",
        "To deploy the whole history, name `base` as the start.",
    )


def _beside(found: Selection, first: End, graph: Graph) -> tuple[str, ...]:
    """Revisions that are deployed and do not descend from the start: on a database there they may have run already."""
    if not first.ids:
        return ()
    after = graph.with_descendants(first.ids)
    beside = [each.id for each in found.revisions if each.id not in after]
    if not beside:
        return ()
    plural = len(beside) > 1
    return (
        f"{', '.join(beside)} {'come' if plural else 'comes'} from another branch and not after {first.name}:"
        f" a database that has run {'them' if plural else 'it'} already has less to do.",
    )


def _commit_before(
    graph: Graph, first: End, last: End, git: Git | None, read: Callable[[str], Graph]
) -> str | None:
    """The last commit whose history ends at `first`: the one before the first of all other revisions was added."""
    there = graph.with_ancestors(first.ids)
    others = [each.path for each in graph.revisions.values() if each.id not in there]
    if git is None or not others or not first.ids:
        return None
    commit = git.before(others, last.commit or "HEAD")
    if commit is None or set(read(commit).heads) != set(first.ids):
        return None
    return commit
