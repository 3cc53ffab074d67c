"""A copy of the project in which files can be rewritten: its migrations are copied, everything else is linked to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from reviewer.errors import UsageError
from reviewer.project.discovery import Tree


def make(root: Path, folder: Path, tree: Tree, files: Mapping[str, bytes]) -> Path:
    """A copy of the project in `root` below `folder`, with the contents `files` by path.

    Raises:
        UsageError: its migrations are elsewhere.
    """
    root = root.resolve()
    whole = {_inside(each, root) for each in tree.version_locations}
    single = {_inside(each, root) for each in (tree.config_file, tree.toml_file) if each is not None}
    if tree.script_location is not None:
        script = _inside(tree.script_location, root)
        single |= {script / each.name for each in tree.script_location.iterdir() if each.is_file()}
    wanted = whole | single | {Path(path) for path in files}
    _mirror(root, folder, Path(), whole, wanted, {parent for each in wanted for parent in each.parents})
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():
            place.unlink()
        place.write_bytes(data)
    return folder


def moved(tree: Tree, root: Path, copy: Path) -> Tree:
    """The same tree in the copy."""
    from msgspec.structs import replace

    def place(path: Path) -> Path:
        return copy / _inside(path, root.resolve())

    return replace(
        tree,
        config_file=place(tree.config_file),
        directory=place(tree.directory),
        toml_file=place(tree.toml_file) if tree.toml_file else None,
        script_location=place(tree.script_location) if tree.script_location else None,
        version_locations=tuple(map(place, tree.version_locations)),
        declared_locations=tuple(map(place, tree.declared_locations)),
    )


def _inside(path: Path, root: Path) -> Path:
    try:
        return path.resolve().relative_to(root)
    except ValueError:
        raise UsageError(
            f"{path} is outside of the project in {root}, and only the project's own files are fixed.",
            "Run it in the project that has the migrations.",
        ) from None


def _mirror(root: Path, copy: Path, inside: Path, whole: set[Path], wanted: set[Path], above: set[Path]) -> None:
    copy.mkdir(parents=True, exist_ok=True)
    copied = inside in whole or any(parent in whole for parent in inside.parents)
    for entry in os.scandir(root / inside):
        path = inside / entry.name
        source, target = root / path, copy / entry.name
        if entry.name == "__pycache__":
            continue
        if entry.is_dir(follow_symlinks=True) and (path in above or path in whole or copied):
            _mirror(root, target, path, whole, wanted, above)
        elif entry.is_file(follow_symlinks=True) and (path in wanted or copied):
            shutil.copyfile(source, target)
        else:
            target.symlink_to(source)
