"""How a step talks to GitHub's runner: workflow commands on standard output, and files that the runner names.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from reviewer.report import inert

_FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")


def message(kind: str, text: str, title: str = "") -> str:
    """A line that the runner shows as an annotation; `kind` is error, warning or notice."""
    words = inert.sentence(text).replace("##[", r"##\x5b")
    named = f" title={_property(inert.sentence(title))}" if title else ""
    return f"::{kind}{named}::{_data(words)}"


def set_outputs(environ: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Set the step's outputs, in a form that no value can break out of."""
    lines = []
    for name, value in outputs.items():
        end = f"ghadelimiter_{uuid.uuid4()}"
        lines += [f"{name}<<{end}", value, end]
    _append(environ.get("GITHUB_OUTPUT", ""), "".join(f"{line}\n" for line in lines))


def folder_in_workspace(root: Path | None, environ: Mapping[str, str]) -> str:
    """The folder of the checkout in the workspace, relative to which the runner reads the paths of annotations."""
    workspace = Path(environ.get("GITHUB_WORKSPACE") or ".").resolve()
    inside = root is not None and root.resolve() != workspace and root.resolve().is_relative_to(workspace)
    return root.resolve().relative_to(workspace).as_posix() if root and inside else ""


def add_summary(environ: Mapping[str, str], page: str) -> None:
    """Add a page to the job's summary."""
    _append(environ.get("GITHUB_STEP_SUMMARY", ""), page)


class CommandFiles(Struct, frozen=True):
    """The runner's command files, as they were before the project's code ran."""

    before: Mapping[Path, bytes]
    folders: frozenset[Path]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> CommandFiles:
        """As they are now: everything in the folders of the files that the runner names, newer kinds included."""
        named = {Path(environ[name]) for name in _FILES if environ.get(name)}
        folders = frozenset(each.parent for each in named)
        return cls(_contents(folders), folders)

    def restore(self) -> list[str]:
        """Restore their contents. Returns the names of those that were changed."""
        changed = []
        now = _contents(self.folders)
        for path in sorted(self.before.keys() | now.keys()):
            if self.before.get(path) != now.get(path):
                changed.append(path.name)
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                    if path in self.before:
                        path.write_bytes(self.before[path])
        return changed


def _contents(folders: frozenset[Path]) -> dict[Path, bytes]:
    found = {}
    for path in (path for folder in folders for path in _listed(folder)):
        try:
            found[path] = b"a link" if path.is_symlink() else path.read_bytes()
        except OSError:
            found[path] = b"unreadable"
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.is_symlink() or each.is_file()]
    except OSError:
        return []


def _append(path: str, text: str) -> None:
    if path:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
