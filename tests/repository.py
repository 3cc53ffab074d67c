"""Real git repositories and Alembic projects for tests, made of text."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "A"), ("EMAIL", "a@b"))
    },
}


def git(folder: Path, *arguments: str) -> str:
    """What `git` prints in `folder`."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write `files`, by path below `folder`."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def revision(id: str, down: str | tuple[str, ...] | None = None, more: str = "", body: str = "pass") -> str:  # noqa: A002 (as in Alembic)
    """The text of a revision file."""
    return (
        f'"""{id} does something"""\nrevision = {id!r}\ndown_revision = {down!r}\n{more}\n\n'
        f"def upgrade():\n    {body}\n\n\ndef downgrade():\n    pass\n"
    )


INI = "[alembic]\nscript_location = %(here)s/migrations\n"

PROJECT = {
    "alembic.ini": INI,
    "migrations/env.py": "",
    "migrations/versions/a_first.py": revision("a"),
    "migrations/versions/b_second.py": revision("b", "a"),
}


@dataclass(frozen=True)
class Repository:
    """A git repository on branch `main`."""

    folder: Path

    @classmethod
    def at(cls, folder: Path, files: dict[str, str] | None = None) -> Repository:
        """A new one, with `files` in its first commit."""
        folder.mkdir(parents=True, exist_ok=True)
        git(folder, "init", "--quiet", "--initial-branch=main")
        repository = cls(folder.resolve())
        if files:
            repository.commit(files)
        return repository

    def git(self, *arguments: str) -> str:
        """What `git` prints here."""
        return git(self.folder, *arguments)

    def write(self, files: dict[str, str]) -> None:
        """Change the working tree only."""
        write(self.folder, files)

    def commit(self, files: dict[str, str] | None = None) -> str:
        """Commit everything, after `files` were written; the object name."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")
