"""The modules of the application that a revision imports: files of the project outside the folder of the
migrations.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from reviewer.host.paths import shown
from reviewer.project.discovery import Tree
from reviewer.project.source import SourceRevision
from reviewer.recording import HistoryEntry, Location


def application_imports(revisions: Iterable[SourceRevision], tree: Tree, root: Path) -> tuple[HistoryEntry, ...]:
    """Return every import of the project's own code in `revisions`, resolved to its file. Nothing is imported.

    Relative imports, and modules in the script location, are helpers of the migrations and do not count.
    """
    folders = [folder for base in dict.fromkeys((tree.directory, root)) for folder in (base, base / "src")]
    own = tree.script_location
    return tuple(
        HistoryEntry(each.id, Location(shown(each.path), line), module)
        for each in revisions
        for module, line in _absolute(each)
        for file in [_file(module, folders)]
        if file is not None and (own is None or not file.is_relative_to(own))
    )


def _absolute(revision: SourceRevision) -> Iterator[tuple[str, int]]:
    for each in revision.imports:
        top = each.module.split(".")[0]
        if top and top not in sys.stdlib_module_names and top not in {"alembic", "sqlalchemy"}:
            yield each.module, each.line


def _file(module: str, folders: Iterable[Path]) -> Path | None:
    relative = Path(*module.split("."))
    for folder in folders:
        path = folder / relative
        if path.is_dir():
            return path
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
    return None
