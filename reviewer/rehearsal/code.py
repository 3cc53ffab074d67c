"""The code that a history runs with, as files: the working tree, or a commit as it would be checked out."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Protocol

from reviewer.host.files import read_regular
from reviewer.project.git import Git

_LARGEST = 64 << 20
"""Bytes. A larger file is not compared."""
_MODULES = (".py", ".so", ".pyd")
_NO_FILE = "unreadable"
"""Used in place of a digest if the path exists but is not a regular file, or cannot be read."""


class Code(Protocol):
    """Files of a project. Paths are relative to its root, with `/`; an absolute path is outside of it."""

    def digests(self, paths: Iterable[str]) -> dict[str, str | None]:
        """Return a digest of the content of each file; None for a file that does not exist.

        Raises:
            ReviewerError: git cannot be queried.
        """
        ...

    def names(self, folders: Iterable[str], modules: bool = False) -> dict[str, str | None]:
        """Return a digest of the names in each folder; None for a folder that does not exist. If `modules` is true,
        only the names of modules and packages count. Hidden files and byte code never count.

        Raises:
            ReviewerError: git cannot be queried.
        """
        ...


class Folder:
    """The files below a folder in their current state."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def digests(self, paths: Iterable[str]) -> dict[str, str | None]:
        """Implement `Code.digests`."""
        return {each: _digest(self._root / each) for each in paths}

    def changed_since(self, moment: float, paths: Iterable[str]) -> bool:
        """Return whether one of the files has changed since `moment`, in seconds since 1970."""
        for each in paths:
            with suppress(OSError):
                seen = os.stat(self._root / each)  # noqa: PTH116 - many
                if seen.st_ctime >= moment and stat.S_ISREG(seen.st_mode):
                    return True
        return False

    def names(self, folders: Iterable[str], modules: bool = False) -> dict[str, str | None]:
        """Implement `Code.names`."""
        return {each: _listing(self._root / each, modules) for each in folders}


class Commit:
    """The files of a commit, and the ignored files that a checkout of it gets as well."""

    def __init__(self, root: Path, commit: str) -> None:
        self._git = Git(root)
        self._commit = commit
        self._now = Folder(root)

    def digests(self, paths: Iterable[str]) -> dict[str, str | None]:
        """Implement `Code.digests`."""
        wanted = list(paths)
        blobs = {each: self._tracked[each] for each in wanted if each in self._tracked}
        contents = self._git.contents(blobs.values())
        found = {each: hashlib.sha256(contents[blob]).hexdigest() for each, blob in blobs.items()}
        beside = [each for each in wanted if each in self._ignored or each.startswith("/")]
        folders = dict.fromkeys((each for each in wanted if each in self._children), _NO_FILE)
        return dict.fromkeys(wanted) | folders | self._now.digests(beside) | found

    def names(self, folders: Iterable[str], modules: bool = False) -> dict[str, str | None]:
        """Implement `Code.names`."""
        found: dict[str, str | None] = {}
        for folder in folders:
            if folder.startswith("/"):
                found |= self._now.names([folder], modules)
                continue
            inside = self._children.get(folder)
            if inside is not None and modules:
                inside = {
                    each
                    for each in inside
                    if each.endswith(_MODULES) or "__init__.py" in self._children.get(_joined(folder, each), ())
                }
            found[folder] = None if inside is None else _told(inside)
        return found

    @cached_property
    def _tracked(self) -> Mapping[str, str]:
        return self._git.files(self._commit, ["."])

    @cached_property
    def _ignored(self) -> frozenset[str]:
        folders = {os.path.dirname(each) for each in self._tracked}  # noqa: PTH120 - text, and many
        return frozenset(self._git.ignored_beside(folders)) - self._tracked.keys()

    @cached_property
    def _children(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {".": set()}
        for path in (*self._tracked, *self._ignored):
            while path:
                folder, _, name = path.rpartition("/")
                found.setdefault(folder or ".", set()).add(name)
                path = folder
        return found


def _joined(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


def _digest(path: Path) -> str | None:
    with suppress(OSError):
        return hashlib.sha256(read_regular(path, _LARGEST)).hexdigest()
    # A folder or a pipe differs from a missing file: a regular file may replace it, and the two must not compare
    # equal.
    return _NO_FILE if os.path.lexists(path) else None


def _listing(folder: Path, modules: bool) -> str | None:
    try:
        with os.scandir(folder) as entries:
            names = {
                entry.name
                for entry in entries
                if not modules or entry.name.endswith(_MODULES) or os.path.isfile(f"{entry.path}/__init__.py")  # noqa: PTH113 - many
            }
    except OSError:
        return None
    return _told(names)


def _told(names: Iterable[str]) -> str:
    seen = sorted(
        os.fsencode(each)
        for each in names
        if not each.startswith(".") and each != "__pycache__" and not each.endswith(".pyc")
    )
    return hashlib.sha256(b"/".join(seen)).hexdigest()
