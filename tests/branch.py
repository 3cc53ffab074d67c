"""A branch of a real git repository: a project with models, a base commit, and what a branch changes of both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reviewer.recording import Recording, loads
from reviewer.report.json import load
from reviewer.review.verdict import Report
from tests import warm
from tests.command import INI, URL, revision
from tests.repository import git, write

ROOT = Path(__file__).parent.parent

ENV = """from alembic import context
from sqlalchemy import engine_from_config, pool

import models

config = context.config
section = config.get_section(config.config_ini_section)
with engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=models.Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
"""

HEAD = """import enum

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

Base = orm.declarative_base()

"""


class Branch:
    """A project whose base commit has one revision `a` and models, and whose branch adds revisions."""

    def __init__(self, folder: Path, given: str, models: str, files: dict[str, str] | None = None) -> None:
        self.folder = folder
        write(
            folder,
            {
                "alembic.ini": INI.format(url=URL) + "prepend_sys_path = .\n",
                "migrations/env.py": ENV,
                "migrations/versions/a.py": revision("a", None, given),
                "models.py": HEAD + models,
                ".gitignore": "__pycache__/\n.env\nrecording.json\nreport.json\n",
                **(files or {}),
            },
        )
        git(folder, "init", "-qb", "main")
        self.commit("base")
        git(folder, "checkout", "-qb", "feature")
        self._last = "a"

    def commit(self, message: str) -> str:
        """Commit everything; the commit's name."""
        git(self.folder, "add", ".")
        git(self.folder, "commit", "-qm", message)
        return git(self.folder, "rev-parse", "HEAD")

    def adds(self, upgrade: str, downgrade: str = 'raise NotImplementedError("one way")') -> Branch:
        """A further revision."""
        name = chr(ord(self._last) + 1)
        write(self.folder, {f"migrations/versions/{name}.py": revision(name, self._last, upgrade, downgrade)})
        self._last = name
        return self

    def with_models(self, models: str) -> Branch:
        """Other models at head."""
        write(self.folder, {"models.py": HEAD + models})
        return self

    def review(self, *arguments: str, base: tuple[str, ...] = ("--base", "main")) -> Reviewed:
        """Review the branch, committed."""
        if git(self.folder, "status", "--porcelain"):
            self.commit("branch")
        done = warm.run(
            [
                *("review", ".", "--python", sys.executable, *base, "--format", "json", "--output", "report.json"),
                *("--save-recording", "recording.json", *arguments),
            ],
            self.folder,
            warm.environment(),
        )
        assert done.returncode in {0, 1, 3}, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        recording = loads((self.folder / "recording.json").read_bytes())[0]
        text = (self.folder / "report.json").read_text()
        return Reviewed(load(text), recording, json.loads(text))


class Reviewed:
    """What a review of a branch says."""

    def __init__(self, report: Report, recording: Recording, told: object) -> None:
        self.report = report
        self.recording = recording
        self.told = told
        """The report as JSON."""

    def rules(self) -> list[str]:
        """Rules of the findings that this file is about."""
        silent = {"endless-lock-wait", "missing-downgrade", "irreversible"}
        return sorted(f.rule for f in self.report.findings if f.rule not in silent)

    def finding(self, rule: str) -> str:
        """The one finding of `rule`, as severity and message."""
        (found,) = [f for f in self.report.findings if f.rule == rule]
        return f"{found.severity.value}: {found.message}"

    @property
    def skipped(self) -> str:
        """Everything that was skipped, in one text."""
        return "\n".join(f"{each.what}: {each.reason}" for each in self.report.all_skipped)
