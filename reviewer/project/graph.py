"""The revision graph: down_revisions, order, and the resolution of symbols that the user gives.

Follows Alembic's rules for heads, labels, dependencies and relative symbols, without using Alembic.
<https://alembic.sqlalchemy.org/en/latest/branches.html>
"""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

from msgspec import Struct

from reviewer.errors import ProjectError, UsageError
from reviewer.project.source import Problem, ProblemKind, SourceRevision

_RELATIVE = re.compile(r"(?P<start>.*?)(?P<steps>[+-]\d+)")


class Graph(Struct, frozen=True, dict=True):
    """Every revision of one tree at one state of the source."""

    revisions: Mapping[str, SourceRevision]
    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, found: Iterable[SourceRevision | Problem]) -> Graph:
        """Build the graph of the revisions that were read from files, with all problems in it."""
        revisions: dict[str, SourceRevision] = {}
        problems: list[Problem] = []
        for each in found:
            if isinstance(each, Problem):
                problems.append(each)
            elif each.id in revisions:
                problems.append(_duplicate(revisions[each.id], each))
            else:
                revisions[each.id] = each
                if each.source_problem:
                    problems.append(each.source_problem)
        graph = cls(revisions)
        problems += graph._missing(known_incomplete=any(not each.fatal for each in problems))
        problems += graph._cycles()
        return cls(revisions, tuple(problems))

    def raise_fatal(self) -> None:
        """Raise `ProjectError` for the first problem that makes Alembic itself reject the history."""
        for problem in self.problems:
            if problem.fatal:
                raise ProjectError(problem.message, _WAYS_OUT[problem.kind])

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """What `alembic heads` prints: revisions that no other revision names as its down_revision."""
        return tuple(sorted(each for each in self.revisions if not self._children.get(each)))

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """Revisions without a down_revision."""
        return tuple(sorted(rev for rev, each in self.revisions.items() if not each.down_revisions))

    @cached_property
    def dependencies(self) -> Mapping[str, tuple[str, ...]]:
        """For each revision its `depends_on`, with labels resolved to ids. Unknown ones are left out."""
        known = {
            rev: tuple(self._owners.get(symbol, symbol) for symbol in each.depends_on)
            for rev, each in self.revisions.items()
        }
        return {rev: tuple(each for each in ids if each in self.revisions) for rev, ids in known.items()}

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Every id, in an order in which they can run. It is deterministic for the same graph.

        Revisions in a cycle, and their descendants, come last.
        """
        waiting = {rev: len(set(parents)) for rev, parents in self._parents.items()}
        ready = [rev for rev, count in waiting.items() if not count]
        heapq.heapify(ready)
        done: list[str] = []
        while ready:
            rev = heapq.heappop(ready)
            done.append(rev)
            for child in self._dependents.get(rev, ()):
                waiting[child] -= 1
                if not waiting[child]:
                    heapq.heappush(ready, child)
        return (*done, *sorted(waiting.keys() - set(done)))

    def ancestors(self, ids: Iterable[str]) -> frozenset[str]:
        """Return everything that must run before `ids`, including dependencies, without `ids` themselves."""
        start = [rev for rev in ids if rev in self.revisions]
        return _reached(start, self._parents) - set(start)

    def with_ancestors(self, ids: Iterable[str]) -> frozenset[str]:
        """Return `ids` and everything that must run before them."""
        return _reached((rev for rev in ids if rev in self.revisions), self._parents)

    def with_descendants(self, ids: Iterable[str]) -> frozenset[str]:
        """Return `ids`, their descendants, and everything that depends on them."""
        return _reached((rev for rev in ids if rev in self.revisions), self._dependents)

    def tips(self, ids: Collection[str]) -> tuple[str, ...]:
        """Return those of `ids` that none of the others needs: upgrading to them runs all of `ids`."""
        chosen = set(ids)
        needed = {parent for rev in chosen for parent in self._parents.get(rev, ())}
        return tuple(sorted(chosen - needed))

    def sorted(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return `ids` in an order in which they can run."""
        return tuple(sorted(ids, key=self._position.__getitem__))

    def labels(self, rev: str) -> frozenset[str]:
        """Return the branch labels of a revision: its own, and those of the branch that it is on."""
        return self._labels.get(rev, frozenset())

    @property
    def labelled_heads(self) -> tuple[str, ...]:
        """Heads with a label that no other head has: branches that are meant to stay separate."""
        everyone = [label for head in self.heads for label in self.labels(head)]
        return tuple(head for head in self.heads if any(everyone.count(label) == 1 for label in self.labels(head)))

    def resolve(self, symbol: str) -> tuple[str, ...]:
        """Return the ids that `symbol` refers to: an id or its prefix, `head`, `heads`, `base` (none), a branch
        label, `label@head`, `id+1`, `id-1`. Raises `UsageError` if it is unknown or ambiguous.
        """
        if symbol in self.revisions:
            return (symbol,)
        if symbol in self._owners:
            return (self._owners[symbol],)
        if relative := _RELATIVE.fullmatch(symbol):
            return self._walked(symbol, relative["start"], int(relative["steps"]))
        branch, at, name = symbol.rpartition("@")
        within = self._lineage(branch) if at else None
        return self._resolved(symbol, name, within)

    def _resolved(self, symbol: str, name: str, within: frozenset[str] | None) -> tuple[str, ...]:
        if name == "base":
            return ()
        if name in {"head", "heads"}:
            heads = tuple(head for head in self.heads if within is None or head in within)
            if name == "head" and len(heads) > 1:
                raise UsageError(
                    f"`{symbol}` means {len(heads)} heads: {', '.join(heads)}.",
                    "Name one of them, narrow it down with label@head, or use heads.",
                )
            return self.tips(heads)
        if name in self._owners:
            return (self._owners[name],)
        if name in self.revisions and (within is None or name in within):
            return (name,)
        means = {each: self._owners.get(each, each) for each in (*self.revisions, *self._owners)}
        found = sorted(each for each, rev in means.items() if within is None or rev in within)
        found = [each for each in found if name and each.startswith(name)]
        if len(found) == 1:
            return (means[found[0]],)
        if found:
            raise UsageError(
                f"`{symbol}` is a prefix of {len(found)} ids: {', '.join(found)}.", "Write more characters of it."
            )
        near = difflib.get_close_matches(name, [*self.revisions, *self._owners, "head", "heads", "base"], n=1)
        known = f"There are {len(self.revisions)} revisions; see `alembic history`."
        unknown = next((each.message for each in self.problems if each.kind is ProblemKind.LABELS), None)
        way_out = f"Did you mean `{near[0]}`?" if near else unknown or known
        raise UsageError(f"There is no revision `{symbol}`.", way_out)

    def _walked(self, symbol: str, start: str, steps: int) -> tuple[str, ...]:
        branch, at, name = start.rpartition("@")
        within = self._lineage(branch) if at else frozenset(self.revisions)
        if name:
            here = self._resolved(symbol, name, within)
        else:
            here = self.tips([head for head in self.heads if head in within]) if steps < 0 else ()
        for _ in range(abs(steps)):
            if steps > 0:
                onward = (
                    {child for rev in here for child in self._children.get(rev, ())} if here else set(self.bases)
                )
            else:
                onward = {parent for rev in here for parent in self._line(rev)}
                if here and not onward:
                    return ()
            here = tuple(sorted(onward & within))
            if len(here) != 1:
                many = f"{len(here)} revisions ({', '.join(here)})" if here else "no revision"
                raise UsageError(f"`{symbol}` leads to {many}.", "Write the id instead.")
        return here

    def _line(self, rev: str) -> tuple[str, ...]:
        return tuple(each for each in self.revisions[rev].down_revisions if each in self.revisions)

    def _lineage(self, branch: str) -> frozenset[str]:
        labelled = frozenset(rev for rev in self.revisions if branch in self.labels(rev))
        if labelled:
            return labelled | _reached(labelled, {rev: self._line(rev) for rev in self.revisions})
        start = self._resolved(branch, branch, None)
        lines = {rev: self._line(rev) for rev in self.revisions}
        return _reached(start, lines) | _reached(start, self._children)

    @cached_property
    def _owners(self) -> Mapping[str, str]:
        return {label: rev for rev, each in self.revisions.items() for label in each.branch_labels}

    @cached_property
    def _parents(self) -> Mapping[str, tuple[str, ...]]:
        return {rev: (*self._line(rev), *self.dependencies[rev]) for rev in self.revisions}

    @cached_property
    def _children(self) -> Mapping[str, tuple[str, ...]]:
        return _reversed({rev: self._line(rev) for rev in self.revisions})

    @cached_property
    def _dependents(self) -> Mapping[str, tuple[str, ...]]:
        return _reversed(self._parents)

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {rev: position for position, rev in enumerate(self.order)}

    @cached_property
    def _labels(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for label, owner in self._owners.items():
            reached = set(_reached([owner], self._children))
            # Alembic also applies a label to the revisions before it, back to the branch point.
            here = owner
            while (
                len(self._dependents[here]) <= 1 and len(line := self._line(here)) == 1 and line[0] not in reached
            ):
                here = line[0]
                if len(self._dependents[here]) > 1:
                    break
                reached.add(here)
            for rev in reached:
                found.setdefault(rev, set()).add(label)
        return {rev: frozenset(labels) for rev, labels in found.items()}

    def _missing(self, *, known_incomplete: bool) -> list[Problem]:
        problems = []
        for rev, each in self.revisions.items():
            for parent in each.down_revisions:
                if parent not in self.revisions:
                    message = (
                        f"{each.path} (revision {rev}) has the down_revision {parent}, which no file declares."
                    )
                    kind = ProblemKind.MISSING_PARENT
                    problems.append(
                        Problem(kind, message, each.path, each.outline.line, fatal=not known_incomplete)
                    )
            for symbol in each.depends_on:
                if symbol not in self.revisions and symbol not in self._owners:
                    message = f"{each.path} (revision {rev}) depends on {symbol}, which no file declares."
                    kind = ProblemKind.MISSING_DEPENDENCY
                    problems.append(
                        Problem(kind, message, each.path, each.outline.line, fatal=not known_incomplete)
                    )
        return problems

    def _cycles(self) -> list[Problem]:
        # Revisions that never became ready descend from a cycle. Walking back along such parents must enter it.
        settled: set[str] = set()
        for rev in self.order:
            if all(parent in settled for parent in self._parents[rev]):
                settled.add(rev)
            else:
                break
        unsettled = sorted(self.revisions.keys() - settled)
        if not unsettled:
            return []
        trail = [unsettled[0]]
        while True:
            parent = next(each for each in self._parents[trail[-1]] if each not in settled)
            if parent in trail:
                cycle = trail[trail.index(parent) :]
                break
            trail.append(parent)
        first = self.revisions[min(cycle)]
        around = " → ".join([*cycle, cycle[0]])
        files = ", ".join(self.revisions[rev].path for rev in cycle)
        message = f"The down_revisions and dependencies of {around} form a cycle ({files})."
        return [Problem(ProblemKind.CYCLE, message, first.path, first.outline.line)]


_WAYS_OUT: Mapping[ProblemKind, str] = {
    ProblemKind.UNREADABLE: "Correct the file, or move it out of the folder of revisions.",
    ProblemKind.SYNTAX: "Correct the file. If the project needs a newer Python, install the reviewer with it.",
    ProblemKind.NO_REVISION: "Add the revision id, or move the file out of the folder of revisions.",
    ProblemKind.COMPUTED: "Write the ids as plain strings.",
    ProblemKind.LABELS: "Write the labels as plain strings.",
    ProblemKind.DUPLICATE: "Give one of the two another id, and correct the down_revision of its descendants.",
    ProblemKind.MISSING_PARENT: "Correct its down_revision, or restore the missing file.",
    ProblemKind.MISSING_DEPENDENCY: "Correct its depends_on, or restore the missing file.",
    ProblemKind.CYCLE: "Correct the down_revision or depends_on of one of them.",
}


def _duplicate(first: SourceRevision, second: SourceRevision) -> Problem:
    message = f"{first.path} and {second.path} both declare revision {second.id}."
    return Problem(ProblemKind.DUPLICATE, message, second.path, second.outline.line)


def _reached(start: Iterable[str], neighbours: Mapping[str, Collection[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        rev = waiting.pop()
        if rev not in found:
            found.add(rev)
            waiting.extend(neighbours.get(rev, ()))
    return frozenset(found)


def _reversed(parents: Mapping[str, Collection[str]]) -> Mapping[str, tuple[str, ...]]:
    children: dict[str, list[str]] = {rev: [] for rev in parents}
    for rev, above in parents.items():
        for parent in dict.fromkeys(above):
            children[parent].append(rev)
    return {rev: tuple(sorted(below)) for rev, below in children.items()}
