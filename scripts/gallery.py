"""The gallery of real reports: reviews of published versions of open-source projects.

    python3 scripts/gallery.py [NAME ...]

makes the recordings in docs/gallery/ anew: pip fetches two published versions of a project, each becomes a commit of a
git repository, and the reviewer runs what the second adds to the first. Nothing but the recordings is kept.
The documentation site renders them (`pages`), so the pages show what today's reviewer says.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reviewer.review.verdict import Report

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "gallery"
INDEX = "gallery/index.md"
"""Where the list of the reports is in the site."""


@dataclass(frozen=True)
class Exhibit:
    """A report: what is new in version `end` of a package since `start`."""

    package: str
    start: str
    end: str
    ini: str
    """Its alembic.ini, in the package."""
    licence: str
    source: str
    about: str
    """What there is to see, in a sentence."""
    release: bool = False
    """Whether it is the page of a release instead of a review."""
    needs: tuple[str, ...] = ()
    """What env.py and the models import, besides the package itself."""
    files: tuple[tuple[str, str], ...] = ()
    """Files that the package leaves to whoever installs it, by name, with their text."""
    options: tuple[str, ...] = ()
    """Further options of the call; a file that they name is in `files` or beside the recordings."""

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.package}-{self.end}" + ("-release" if self.release else "")

    @property
    def recording(self) -> Path:
        """The file with its recording."""
        return FOLDER / f"{self.name}.json.gz"

    @property
    def command(self) -> list[str]:
        """The call that makes the report, in the repository of the two versions."""
        what = ["release", self.start, self.end] if self.release else ["review", "--base", self.start]
        return [*what, "--config", self.ini, *self.options]


_OPTUNA = ("optuna/storages/_rdb/alembic.ini", "MIT", "https://github.com/optuna/optuna")
_OPTUNA_NEEDS = (
    "alembic",
    "cliff",
    "cmaes",
    "colorlog",
    "numpy",
    "packaging",
    "pyyaml",
    "scipy",
    "sqlalchemy<2",
    "tqdm",
)
_MLFLOW = ("mlflow/store/db_migrations/alembic.ini", "Apache-2.0", "https://github.com/mlflow/mlflow")
_MLFLOW_LAUNCHER = '''"""As mlflow does before it runs Alembic: it names the database, and its models are imported."""

import mlflow.store.model_registry.dbmodels.models
import mlflow.store.tracking.dbmodels.models


def configure(config):
    config.set_main_option("sqlalchemy.url", "postgresql://app@db/app")
'''
_MLFLOW_REST = (
    False,
    ("mlflow==3.2.0",),
    (("launcher.py", _MLFLOW_LAUNCHER),),
    ("--launcher", "launcher:configure", "--base-schema", "mlflow.sql"),
)
_JUPYTERHUB = ("alembic.ini", "BSD-3-Clause", "https://github.com/jupyterhub/jupyterhub")
_JUPYTERHUB_INI = """# as jupyterhub writes it from its template, which names the folder and the database
[alembic]
script_location = jupyterhub/alembic
sqlalchemy.url = postgresql://app@db/app

[loggers]
keys = root

[handlers]
keys =

[formatters]
keys =

[logger_root]
handlers =
"""
_JUPYTERHUB_REST = (
    ("jupyterhub==5.0.0", "async_generator", "jupyter_telemetry"),
    (("alembic.ini", _JUPYTERHUB_INI),),
    ("--base-from", "models"),
)

EXHIBITS = (
    Exhibit(
        *("optuna", "2.10.1", "3.0.0", *_OPTUNA),
        "Four revisions in one transaction: who waits for how long, where the old code breaks, and the point of no return",
        release=True,
        needs=_OPTUNA_NEEDS,
        options=("--seed", "optuna.sql"),
    ),
    Exhibit(
        *("optuna", "2.10.1", "3.0.0", *_OPTUNA),
        "The same revisions as a review: two downgrades that fail, and legal rows on which the upgrade does",
        needs=_OPTUNA_NEEDS,
        options=("--seed", "optuna.sql"),
    ),
    Exhibit(
        *("optuna", "3.1.1", "3.2.0", *_OPTUNA),
        "One index, built under a lock that blocks writes, with another name than the models have for it",
        needs=_OPTUNA_NEEDS,
    ),
    Exhibit(
        *("mlflow", "2.22.0", "3.0.0", *_MLFLOW),
        "Downgrades that do nothing, so that the next upgrade fails",
        *_MLFLOW_REST,
    ),
    Exhibit(
        *("mlflow", "3.1.0", "3.2.0", *_MLFLOW),
        "Two revisions that were edited after they had been released",
        *_MLFLOW_REST,
    ),
    Exhibit(
        *("jupyterhub", "4.1.6", "5.0.0", *_JUPYTERHUB),
        "A downgrade that fails, and an update of every row under the strongest lock",
        False,
        *_JUPYTERHUB_REST,
    ),
    Exhibit(
        *("jupyterhub", "4.1.6", "5.0.0", *_JUPYTERHUB),
        "The same revisions as a release: both go out before the code",
        True,
        *_JUPYTERHUB_REST,
    ),
)


# -- rendering ------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """The pages of the gallery by their place in the site."""
    made = {f"gallery/{each.name}.html": _in_the_site(_page(each)) for each in EXHIBITS}
    return {INDEX: _index(), **made}


def report(exhibit: Exhibit) -> Report:
    """What the reviewer says of its recording."""
    from msgspec.structs import replace

    from reviewer import recording
    from reviewer.config import Config
    from reviewer.judging import judged

    text = gzip.decompress(exhibit.recording.read_bytes()).decode("utf-8")
    return replace(judged(Config(), recording.loads(text, exhibit.recording.name), {}), replayed=True)


def _page(exhibit: Exhibit) -> str:
    """The report as the reviewer writes it."""
    from reviewer.release_session import told_release
    from reviewer.report import html
    from reviewer.report.release import html as release_html

    if exhibit.release:
        return release_html.render(told_release(report(exhibit), exhibit.start, exhibit.end))
    return html.render(report(exhibit))


def _in_the_site(page: str) -> str:
    """`page` with a way back to the gallery; its links to rules stay in the site."""
    page = re.sub(r'href="https://[^"]+/docs/checks/([a-z0-9-]+)\.md"', r'href="../checks/\1/"', page)
    return page.replace("<body>", '<body>\n<nav><a href="./">Gallery of real reports</a></nav>', 1)


def _index() -> str:
    rows = [
        f"| [{each.package} {each.start} → {each.end}]({each.name}.html){' (release)' if each.release else ''} "
        f"| {each.about} | [{each.package}]({each.source}), {each.licence} "
        f"| [{each.recording.stat().st_size / 1024:.0f} KB]({each.recording.name}) |"
        for each in EXHIBITS
    ]
    commands = "\n".join(f"alembic-reviewer {' '.join(each.command)}" for each in EXHIBITS)
    return _INDEX.format(rows="\n".join(rows), commands=commands)


_INDEX = """# Gallery of real reports

What the reviewer says of revisions that open-source projects have published. A finding does not mean that a project made a mistake: many
tables are small, and an application can be stopped for an upgrade. The reports show what such revisions do to a large table, and to code
that keeps running.

Each page is the HTML report as `--format html` writes it, of today's reviewer, from a [recording](../recording.md) of a run on
PostgreSQL 18. It is a page of its own, without this navigation.

| Report | What there is to see | Source, licence | Recording |
|---|---|---|---|
{rows}

A recording contains the statements that a project's revisions emit, under the licence of the project. `gunzip` one, and any format comes
from it, without a server:

```sh
alembic-reviewer review --recording optuna-3.2.0.json
```

`python3 scripts/gallery.py` in a checkout makes the recordings anew: pip fetches both versions of a project, each becomes a commit of a git
repository, and the reviewer runs what the second adds to the first. So the commits in the reports are not those of the projects. The calls:

```sh
{commands}
```
"""


# -- recording ------------------------------------------------------------------------------------


def record(exhibit: Exhibit, reviewer: Path, interpreter: Path, folder: Path) -> None:
    """Write the recording of `exhibit`, with everything that this needs in `folder`."""
    repository = folder / "repository"
    _repository(exhibit, interpreter, repository)
    for each in FOLDER.glob("*.sql"):
        shutil.copy(each, repository)
    saved = folder / "recording.json"
    call = [str(reviewer), *exhibit.command, "--python", str(interpreter), "--postgres", "embedded"]
    call += ["--env", f"PYTHONPATH={repository}", "--save-recording", str(saved)]
    done = subprocess.run(call, cwd=repository, stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in {0, 1}:
        sys.exit(f"{exhibit.name}: the reviewer ended with status {done.returncode}")
    exhibit.recording.write_bytes(gzip.compress(saved.read_bytes(), 9, mtime=0))


def _environment(needs: tuple[str, ...], folder: Path) -> Path:
    """The interpreter of an environment with what is needed."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    interpreter = folder / "bin" / "python"
    subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", "psycopg2-binary", *needs], check=True)
    return interpreter


def _repository(exhibit: Exhibit, interpreter: Path, folder: Path) -> None:
    """A repository with a commit and a tag for each version."""
    folder.mkdir()
    _git(folder, "init", "--quiet")
    for name, text in exhibit.files:
        (folder / name).write_text(text)
    for version in (exhibit.start, exhibit.end):
        shutil.rmtree(folder / exhibit.package, ignore_errors=True)
        wheels = folder.with_name(f"wheels-{version}")
        fetch = [str(interpreter), "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*fetch, "--dest", str(wheels), f"{exhibit.package}=={version}"], check=True)
        (wheel,) = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as opened:
            inside = [
                each for each in opened.namelist() if each.startswith(f"{exhibit.package}/") and "/js/" not in each
            ]
            opened.extractall(folder, inside)
        shutil.rmtree(wheels)
        _git(folder, "add", "--all", "--force")
        _git(folder, "commit", "--quiet", "--message", f"{exhibit.package} {version}")
        _git(folder, "tag", version)


def _git(folder: Path, *arguments: str) -> None:
    made = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _ALWAYS.items()}
    subprocess.run(["git", "-C", str(folder), *arguments], env={**os.environ, **made}, check=True)


_ALWAYS = {"NAME": "gallery", "EMAIL": "gallery@example.org", "DATE": "2026-01-01T00:00:00Z"}
"""The same commits whenever they are made."""


def main() -> None:
    """Make the recordings that are named, or all."""
    from environment import prepared

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of an exhibit; without one: all")
    names = parser.parse_args().names
    reviewer = prepared("examples") / "alembic-reviewer"
    with tempfile.TemporaryDirectory() as folder:
        interpreters: dict[tuple[str, ...], Path] = {}
        for each in EXHIBITS:
            if names and each.name not in names:
                continue
            if each.needs not in interpreters:
                interpreters[each.needs] = _environment(each.needs, Path(folder, f"environment-{each.package}"))
            work = Path(folder, each.name)
            work.mkdir()
            record(each, reviewer, interpreters[each.needs], work)
            print(f"{each.recording.relative_to(ROOT)}: {each.recording.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
