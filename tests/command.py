"""The real command on small projects, in a place of its own where everything that is left behind shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import warm
from tests.repository import write

ROOT = Path(__file__).parent.parent
URL = "postgresql+psycopg://app:secret@database.invalid/app"

INI = """[alembic]
script_location = %(here)s/migrations
sqlalchemy.url = {url}
"""

ENV = """from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config

if context.is_offline_mode():
    context.configure(url=config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    section = config.get_section(config.config_ini_section)
    with engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""

TABLE = 'op.create_table("items", sa.Column("id", sa.Integer(), primary_key=True))'


def revision(
    id: str,  # noqa: A002 (as in Alembic)
    down: str | None = None,
    upgrade: str = "pass",
    downgrade: str = "pass",
    top: str = "",
) -> str:
    """The text of a revision; `upgrade` and `downgrade` are bodies, the first line of `upgrade` is line 12."""
    bodies = [text.strip("\n").replace("\n", "\n    ") for text in (upgrade, downgrade)]
    return (
        f'"""{id}"""\n\nimport os\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
        f"revision = {id!r}\ndown_revision = {down!r}\n{top}\n"
        f"def upgrade():\n    {bodies[0]}\n\n\ndef downgrade():\n    {bodies[1]}\n"
    )


def project(folder: Path, *revisions: str, url: str = URL, env: str = ENV, ini: str = "") -> Path:
    """A small project with one table, and `revisions` (texts of files) that go on from its revision `a`."""
    files = {
        "alembic.ini": INI.format(url=url) + ini,
        "migrations/env.py": env,
        "migrations/versions/a.py": revision("a", None, TABLE, 'op.drop_table("items")'),
    }
    files.update({f"migrations/versions/r{number}.py": text for number, text in enumerate(revisions, 1)})
    return write(folder, files)


@dataclass(frozen=True)
class Place:
    """Temporary files and a cache that one test alone uses."""

    folder: Path
    environ: Mapping[str, str]
    allowed: list[str] = field(default_factory=list)
    """Names of files in the temporary folder that the test itself has put there."""

    def command(self, *arguments: str) -> list[str]:
        """The command line of a review; the project's interpreter is the one that runs the tests."""
        python = [] if "--python" in arguments else ["--python", sys.executable]
        return [sys.executable, "-m", "alembic_reviewer", "review", *python, *arguments]

    def review(
        self, path: Path, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Review the project in `path` as a user would, to the end."""
        command = self.command(*arguments)
        return warm.run(command[command.index("review") :], path, {**self.environ, **(env or {})})

    def report(self, path: Path, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON report of a review that came to an end."""
        done = self.review(path, "--format", "json", *arguments, env=env)
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def left_behind(self) -> list[str]:
        """Processes, and files in the temporary folder and in the cache, that should not be there."""
        processes = [f"process {pid}: {words}" for pid, words in mentioning(str(self.folder))]
        files = [str(path) for path in (self.folder / "tmp").iterdir() if path.name not in self.allowed]
        cache = self.folder / "cache"
        meant = {("clusters", ".tar"), ("controls", ".json"), ("cache", ""), ("snapshots", ".json")}
        meant.add(("snapshots", ".tar"))
        kept = [str(p) for p in cache.rglob("*") if p.is_file() and (p.parent.name, p.suffix) not in meant]
        return [*processes, *files, *kept]

    def keeps_base_states(self) -> Path:
        """Let reviews keep base states from now on. The folder in which they will be."""
        snapshots = self.folder / "cache" / "snapshots"
        snapshots.unlink()
        return snapshots

    def clean(self) -> bool:
        """Whether nothing is left behind, before long: after a kill the guardian still has to do its work."""
        return before_long(lambda: not self.left_behind())


@contextmanager
def somewhere() -> Iterator[Place]:
    """A place whose path is short enough for a socket, and open to the account that the server runs under."""
    folder = Path(tempfile.mkdtemp(prefix="arp-", dir="/tmp"))
    try:
        folder.chmod(0o711)
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o711)
        (folder / "cache").mkdir()
        lend_archives(folder / "cache")
        (folder / "cache" / "snapshots").touch()  # each review replays the history; see `keeps_base_states`
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "GITHUB_", "GIT_"))}
        environ = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "tmp"),
            "ALEMBIC_REVIEWER_CACHE": str(folder / "cache"),
        }
        yield Place(folder, environ)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lend_archives(cache: Path) -> None:
    """Fresh data folders that this machine has already: `initdb` would cost a second in each test."""
    from reviewer.postgres.cache import cache_folder

    (cache / "clusters").mkdir()
    for archive in (cache_folder() / "clusters").glob("*.tar"):
        with suppress(OSError):
            os.link(archive, cache / "clusters" / archive.name)


def mentioning(text: str) -> list[tuple[int, str]]:
    """Living processes, ours excepted, that have `text` in their command line or environment (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes()
            told = text.encode() in words or text.encode() in (folder / "environ").read_bytes()
            if told and int(folder.name) != os.getpid():
                found.append((int(folder.name), words.replace(b"\0", b" ").decode(errors="replace")[:200]))
    return found


def before_long(condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true before the patience of a test ends."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with what it holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What a command has said, for the message of an assertion."""
    return f"status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def untimed(told: object) -> object:
    """A report as JSON without how long anything took."""
    if isinstance(told, dict):
        return {name: untimed(value) for name, value in told.items() if not re.search("seconds|made", name)}
    return [*map(untimed, told)] if isinstance(told, list) else told
