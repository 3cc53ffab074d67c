"""A small project on a branch of a pull request, as actions/checkout leaves it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.repository import git, write

_FILES = Path(__file__).parent / "selftest"
ENV = (_FILES / "base/migrations/env.py").read_text()
FIRST = (_FILES / "base/migrations/versions/aaa111_first.py").read_text()
UNSAFE = (_FILES / "must_fail.py").read_text()
SAFE = (_FILES / "must_pass.py").read_text()
HARMLESS = (
    UNSAFE.replace("from alembic import op", "import sqlalchemy as sa\nfrom alembic import op")
    .replace(
        'op.create_index("ix_people_name", "people", ["name"])',
        'op.create_table("notes", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("body", sa.Text))',
    )
    .replace('op.drop_index("ix_people_name", "people")', 'op.drop_table("notes")')
)


@dataclass
class PullRequest:
    """A repository with a branch, checked out as GitHub's merge of the two."""

    folder: Path
    """The workspace."""
    at: str = "."
    """Where in it the project is."""

    def start(self) -> PullRequest:
        """The history before the branch."""
        self.folder.mkdir(parents=True, exist_ok=True)
        git(self.folder, "init", "-q", "-b", "main")
        project = {
            "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
            "migrations/env.py": ENV,
            "migrations/versions/aaa111_people.py": FIRST,
        }
        write(self.folder / self.at, project)
        (self.folder / "README.md").write_text("a project\n")
        self._commit("the beginning")
        git(self.folder, "checkout", "-q", "-b", "feature")
        return self

    def add(self, files: dict[str, str]) -> PullRequest:
        """A commit on the branch, and the merge of it checked out."""
        git(self.folder, "checkout", "-q", "feature")
        write(self.folder / self.at, files)
        self._commit("a change")
        git(self.folder, "checkout", "-q", "--detach", "main")
        git(self.folder, "merge", "-q", "--no-ff", "--no-edit", "feature")
        git(self.folder, "update-ref", "refs/remotes/origin/main", "main")
        return self

    @property
    def head(self) -> str:
        """The commit at the end of the branch."""
        return git(self.folder, "rev-parse", "feature")

    @property
    def base(self) -> str:
        """The commit that the branch is to be merged into."""
        return git(self.folder, "rev-parse", "main")

    def event(self, action: str = "synchronize", *, fork: bool = False) -> dict[str, object]:
        """The payload of a `pull_request` event."""
        return {
            "action": action,
            "repository": {"full_name": "octo-org/blog", "default_branch": "main"},
            "pull_request": {
                "number": 7,
                "head": {
                    "sha": self.head,
                    "ref": "feature",
                    "repo": {"full_name": "mallory/blog" if fork else "octo-org/blog"},
                },
                "base": {"sha": self.base, "ref": "main", "repo": {"full_name": "octo-org/blog"}},
            },
        }

    def _commit(self, message: str) -> None:
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "-m", message)


PYTHON = sys.executable
"""An interpreter that has Alembic, SQLAlchemy and a driver."""
